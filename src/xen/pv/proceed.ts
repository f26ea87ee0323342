/**
 * Long hypercalls restart as Xen's do: the argument registers are changed to what is left, and the instruction runs
 * again. That is possible where the call came straight from a SYSCALL; inside a multicall, and from host code that plays
 * a domain, the registers are not the call's.
 */
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

/** RDI RSI RDX R10 R8 as register numbers (Xen public/xen.h, 64-bit calling convention). */
const ARGUMENT_REGISTERS = [7, 6, 2, 10, 8];

/** A function that stores the next arguments in the registers, or answers false when they are not the call's. */
export function proceedWith(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  number: number,
  args: readonly bigint[],
): (next: readonly bigint[]) => boolean {
  return (next) => {
    if (vcpu.code !== undefined || !vcpu.running) return false;
    const cpu = hypervisor.cpuOf(vcpu);
    if (cpu.gpr(0) !== BigInt(number)) return false;
    for (const [i, register] of ARGUMENT_REGISTERS.entries()) if (i < args.length && cpu.gpr(register) !== args[i]) return false;
    for (const [i, register] of ARGUMENT_REGISTERS.entries()) {
      const value = next[i];
      if (value !== undefined) cpu.setGpr(register, value);
    }
    return true;
  };
}

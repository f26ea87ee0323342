/**
 * Long hypercalls restart as Xen's do: what is left becomes the arguments, and the guest's instruction runs again. A call
 * that came straight from a SYSCALL has its arguments in registers. Inside a multicall they are changed where the
 * multicall handed them over, and it stores them into the entry before it restarts itself. Host code that plays a domain
 * is trusted not to ask for endless work: it gets everything at once.
 */
import { Hypercall } from '../../xen-abi/xen.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

/** RDI RSI RDX R10 R8 as register numbers (Xen public/xen.h, 64-bit calling convention). */
const ARGUMENT_REGISTERS = [7, 6, 2, 10, 8];
const RAX = 0;

/** A function that puts the next arguments where the repeated call finds them, or answers false when that is impossible. */
export function proceedWith(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  number: number,
  args: readonly bigint[],
): (next: readonly bigint[]) => boolean {
  return (next) => {
    if (vcpu.code !== undefined || !vcpu.running || vcpu.pv === undefined) return false;
    const cpu = hypervisor.cpuOf(vcpu);
    const called = cpu.gpr(RAX);
    if (called === BigInt(number)) {
      for (const [i, register] of ARGUMENT_REGISTERS.entries()) if (i < args.length && cpu.gpr(register) !== args[i]) return false;
      for (const [i, register] of ARGUMENT_REGISTERS.entries()) {
        const value = next[i];
        if (value !== undefined) cpu.setGpr(register, value);
      }
      return true;
    }
    if (called !== BigInt(Hypercall.multicall)) return false;
    for (const [i, value] of next.entries()) (args as bigint[])[i] = value;
    return true;
  };
}

/**
 * SYSCALL and SYSENTER of a 64-bit paravirtual guest. From its kernel SYSCALL is a hypercall, whatever is around it: RAX
 * decides. From its user mode it enters the kernel at the syscall callback.
 *
 * syscall frame: rcx slot = return address, r11 slot = user flags, then rip, cs 0xe033 (0xe023 from compatibility
 * mode), rflags, rsp, ss 0xe02b.
 * Sources: Xen public/callback.h CALLBACKTYPE_syscall, CALLBACKTYPE_sysenter; SDM 2 SYSCALL (RCX and R11).
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Hypercall } from '../../xen-abi/xen.ts';
import { dispatchHypercall } from '../hypercall/dispatch.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { bounce } from './bounce.ts';
import { Cost, Hardware } from './cost-rows.ts';
import { FLAT_RING3_CS32, FLAT_RING3_CS64, FLAT_RING3_SS32 } from './descriptor.ts';
import { codeMode } from './guest-instruction.ts';
import { isCanonical } from './guest-walk.ts';
import type { Pv } from './pv.ts';
import { deliverTrap } from './deliver-trap.ts';

const RSP = 4;
const RCX = 1;
const R11 = 11;
const SYSCALL_LENGTH = 2n;
const SYSENTER_CS = 3;

export function handleSyscall(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu): void {
  const state = vcpu.pv as PvVcpu;
  const compatible = codeMode(cpu) !== 64;
  cpu.setGpr(RCX, cpu.rip);
  cpu.setGpr(R11, cpu.rflags);
  if (state.kernelMode) {
    const isIret = cpu.gpr(0) === BigInt(Hypercall.iret); // charges its own way back
    dispatchHypercall(pv.hypervisor, vcpu, cpu);
    if (!isIret) cpu.charge(Hardware.sysret);
    // A SYSCALL in the last two bytes of the lower half returns to no address.
    if (!vcpu.domain.shutDown && state.kernelMode && !isCanonical(cpu.rip)) deliverTrap(pv, vcpu, cpu, Vector.GP, 0);
    return;
  }
  const callback = compatible ? state.syscall32Callback : state.syscallCallback;
  if (callback.address === 0n) {
    cpu.rip = BigInt.asUintN(64, cpu.rip - SYSCALL_LENGTH);
    deliverTrap(pv, vcpu, cpu, Vector.UD, undefined);
    cpu.charge(Hardware.iret);
    return;
  }
  cpu.charge(Cost.syscallBounce);
  bounce(pv.tables, pv.hypervisor, vcpu, cpu, callback, {
    name: compatible ? 'syscall32' : 'syscall',
    cs: compatible ? FLAT_RING3_CS32 : FLAT_RING3_CS64,
    ss: FLAT_RING3_SS32,
    clearFlags: Flag.DF,
  });
  cpu.charge(Hardware.sysret);
}

/** The processor has saved nothing but flags: the frame shows rip 0, rsp 0, cs 3. */
export function handleSysenter(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu): void {
  const state = vcpu.pv as PvVcpu;
  const callback = state.sysenterCallback;
  cpu.rip = 0n;
  cpu.setGpr(RSP, 0n);
  cpu.rflags = (cpu.rflags & ~BigInt(Flag.NT)) | BigInt(Flag.IF);
  cpu.charge(Cost.syscallBounce);
  const frame = { cs: SYSENTER_CS, ss: FLAT_RING3_SS32 };
  if (callback.address !== 0n) bounce(pv.tables, pv.hypervisor, vcpu, cpu, callback, { name: 'sysenter', ...frame });
  else {
    const trap = state.traps[Vector.GP] as (typeof state.traps)[number];
    bounce(pv.tables, pv.hypervisor, vcpu, cpu, trap, { name: '#GP', errorCode: 0, ...frame });
  }
  cpu.charge(Hardware.iret);
}

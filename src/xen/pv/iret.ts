/**
 * HYPERVISOR_iret (23): the only way from a 64-bit guest kernel to its user mode, and the end of every handler that
 * masked events. RSP points at rax, r11, rcx, flags, rip, cs, rflags, rsp, ss.
 * A frame that cannot be read, or a return to user mode without a user table, ends the domain. Where the processor would
 * fault on the way back (address not canonical, selectors that cannot be loaded), the guest gets the #GP.
 * Source: Xen public/arch-x86/xen-x86_64.h struct iret_context, VGCF_in_syscall.
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import { Flag, IMPLEMENTED_FLAGS } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import type { HypercallResult } from '../hypercall/table.ts';
import { setUpcallMask } from '../shared-info.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { hasArchitecturalIopl } from './bounce.ts';
import { Cost, Hardware } from './cost-rows.ts';
import { crashGuest } from './crash-report.ts';
import { isCanonical } from './guest-walk.ts';
import type { Pv } from './pv.ts';
import { toggleGuestMode } from './root-tables.ts';
import { loadIretSegments } from './segment-load.ts';
import { deliverTrap } from './deliver-trap.ts';

const FRAME_WORDS = 9;
const VGCF_in_syscall = 0x100n;
const RAX = 0;
const RCX = 1;
const RSP = 4;
const R11 = 11;
const KEPT_FLAGS = BigInt(IMPLEMENTED_FLAGS & ~(Flag.IOPL | Flag.VM | Flag.VIF | Flag.VIP));

export function iret(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu): HypercallResult {
  const state = vcpu.pv as PvVcpu;
  cpu.charge(Cost.iret);
  const bytes = new Uint8Array(FRAME_WORDS * 8);
  if (cpu.readVirtual(cpu.gpr(RSP), bytes, true) !== undefined) {
    crashGuest(pv.hypervisor, vcpu, cpu, `iret frame at 0x${cpu.gpr(RSP).toString(16)} cannot be read`);
    return 'no-result';
  }
  const view = new DataView(bytes.buffer);
  const word = (index: number): bigint => view.getBigUint64(8 * index, true);
  const cs = Number(word(5) & 0xffffn);
  const ss = Number(word(8) & 0xffffn);
  const rflags = word(6);
  if ((cs & 3) === 3) {
    if (state.userTable === 0) {
      crashGuest(pv.hypervisor, vcpu, cpu, 'iret to user mode without a user page table');
      return 'no-result';
    }
    toggleGuestMode(pv.tables, vcpu, cpu);
  }
  cpu.setGpr(RAX, word(0));
  cpu.rip = word(4);
  cpu.setGpr(RSP, word(7));
  cpu.rflags = (rflags & KEPT_FLAGS) | BigInt(Flag.IF | Flag.RESERVED_ONE);
  const inSyscall = (word(3) & VGCF_in_syscall) !== 0n;
  // With the flag the way back is SYSRET, which takes RIP and RFLAGS from these two.
  cpu.setGpr(RCX, inSyscall ? cpu.rip : word(2));
  cpu.setGpr(R11, inSyscall ? cpu.rflags : word(1));
  setUpcallMask(pv.hypervisor, vcpu, (rflags & BigInt(Flag.IF)) === 0n);
  if (hasArchitecturalIopl(vcpu)) state.iopl = Number((rflags >> 12n) & 3n);
  state.nmiBlocked = false;
  state.mceBlocked = false;
  cpu.charge(inSyscall ? Hardware.sysret : Hardware.iret);
  const fault = loadIretSegments(pv, vcpu, cpu, cs | 3, ss | 3);
  if (fault !== undefined) deliverTrap(pv, vcpu, cpu, fault.vector, fault.errorCode);
  else if (!isCanonical(cpu.rip)) deliverTrap(pv, vcpu, cpu, Vector.GP, 0);
  return 'no-result';
}

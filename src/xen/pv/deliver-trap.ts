/**
 * Exceptions on their way to the guest's trap table, from whichever path finds that the guest has to hear of one, and the
 * end of an instruction that the hypervisor carried out.
 * Sources: Xen public/arch-x86/xen.h (struct trap_info), SDM 3A §4.7 (page-fault error code).
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import { Dr6 } from '../../x86/control-registers.ts';
import { Flag } from '../../x86/eflags.ts';
import { Vector, vectorName } from '../../x86/exceptions.ts';
import { writeCr2 } from '../shared-info.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { bounce } from './bounce.ts';
import { Cost } from './cost-rows.ts';
import { crashGuest } from './crash-report.ts';
import type { Pv } from './pv.ts';

const PF_USER = 4;
const PF_RESERVED = 8;

/** Enters the guest's handler of `vector`. False when that ended the domain. */
export function deliverTrap(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, vector: number, errorCode: number | undefined): boolean {
  const state = vcpu.pv as PvVcpu;
  const trap = state.traps[vector];
  if (trap === undefined) return crashGuest(pv.hypervisor, vcpu, cpu, `exception with vector ${vector}`);
  cpu.charge(state.kernelMode ? Cost.kernelFaultBounce : Cost.userFaultBounce);
  return bounce(pv.tables, pv.hypervisor, vcpu, cpu, trap, { name: vectorName(vector), errorCode });
}

/** #PF with the address in CR2 and vcpu_info, and the U bit telling the guest's mode, not the processor's. */
export function deliverPageFault(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, address: bigint, errorCode: number): boolean {
  const state = vcpu.pv as PvVcpu;
  state.cr2 = address;
  cpu.cr2 = address;
  writeCr2(pv.hypervisor, vcpu, address);
  const code = (errorCode & ~(PF_USER | PF_RESERVED)) | (state.kernelMode ? 0 : PF_USER);
  return deliverTrap(pv, vcpu, cpu, Vector.PF, code);
}

/** After an instruction that the hypervisor carried out: RIP behind it, RF cleared, and #DB if the guest single-steps. */
export function finishInstruction(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, length: number): void {
  cpu.rip = BigInt.asUintN(64, cpu.rip + BigInt(length));
  const flags = cpu.rflags;
  cpu.rflags = flags & ~BigInt(Flag.RF);
  if ((flags & BigInt(Flag.TF)) === 0n) return;
  const state = vcpu.pv as PvVcpu;
  state.debug[6] = (state.debug[6] as bigint) | BigInt(Dr6.BS);
  deliverTrap(pv, vcpu, cpu, Vector.DB, undefined);
}

/**
 * Exceptions of a paravirtual guest: which ones the hypervisor deals with itself, and how the rest reaches the guest's
 * trap table. Nothing is ever delivered as #DF.
 * Sources: Xen public/arch-x86/xen.h (struct trap_info), SDM 3A §6.15 (exceptions), §4.7 (page-fault error code).
 */
import type { PlatformCpu, ProcessorEvent } from '../../platform/cpu.ts';
import { Dr6 } from '../../x86/control-registers.ts';
import { Vector } from '../../x86/exceptions.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { editContext } from './context-edit.ts';
import { setTaskSwitched } from './control-registers.ts';
import { Cost } from './cost-rows.ts';
import { crashGuest } from './crash-report.ts';
import { deliverPageFault, deliverTrap } from './deliver-trap.ts';
import { emulatePrivilegedOp } from './emulate-privileged-op.ts';
import { emulateForcedCpuid } from './forced-cpuid.ts';
import type { Pv } from './pv.ts';
import { emulateTableWrite } from './readonly-page-fault.ts';

const PF_PRESENT = 1;
const PF_WRITE = 2;
const PF_USER = 4;
const PF_RESERVED = 8;
const PF_FETCH = 0x10;
const FAST_SYSCALL_VECTOR = 0x80;

/** One exception of the guest that runs on `cpu`. */
export function handleException(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, event: ProcessorEvent): void {
  const { vector } = event;
  if (event.kind === 'software') {
    softwareInterrupt(pv, vcpu, cpu, event);
    return;
  }
  switch (vector) {
    case Vector.PF:
      pageFault(pv, vcpu, cpu, event.faultAddress, event.errorCode ?? 0);
      return;
    case Vector.GP:
      if (event.errorCode === 0 && emulatePrivilegedOp(pv, vcpu, cpu)) return;
      deliverTrap(pv, vcpu, cpu, Vector.GP, event.errorCode ?? 0);
      return;
    case Vector.UD:
      if (!emulateForcedCpuid(pv, vcpu, cpu)) deliverTrap(pv, vcpu, cpu, Vector.UD, undefined);
      return;
    case Vector.NM:
      deviceNotAvailable(pv, vcpu, cpu);
      return;
    case Vector.DB:
      mergeDebugStatus(pv, vcpu);
      deliverTrap(pv, vcpu, cpu, Vector.DB, undefined);
      return;
    default:
      deliverTrap(pv, vcpu, cpu, vector, event.errorCode);
  }
}

function pageFault(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, address: bigint, errorCode: number): void {
  // The processor's own accesses to descriptor tables come with U clear.
  if ((errorCode & PF_USER) === 0) {
    const resolved = pv.descriptors.resolveFault(vcpu, address);
    if (resolved === 'mapped') {
      cpu.charge(Cost.faultFixup);
      return;
    }
    if (resolved !== undefined && 'gdtOffset' in resolved) {
      deliverTrap(pv, vcpu, cpu, Vector.GP, resolved.gdtOffset & 0xfff8);
      return;
    }
    if (resolved !== undefined) {
      deliverPageFault(pv, vcpu, cpu, resolved.ldtAddress, errorCode);
      return;
    }
  }
  const protectionWrite = (errorCode & (PF_PRESENT | PF_WRITE | PF_FETCH | PF_RESERVED)) === (PF_PRESENT | PF_WRITE);
  if (protectionWrite && emulateTableWrite(pv, vcpu, cpu, address)) return;
  deliverPageFault(pv, vcpu, cpu, address, errorCode);
}

/** INT n, INT3, INTO, INT1: RIP is behind the instruction. */
function softwareInterrupt(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, event: ProcessorEvent): void {
  const state = vcpu.pv as PvVcpu;
  const { vector, instructionLength } = event;
  if (vector === Vector.DB) mergeDebugStatus(pv, vcpu);
  // The processor has a gate of its own for these four: the guest's DPL is not looked at.
  const ownGate = vector === Vector.DB || vector === Vector.BP || vector === Vector.OF || vector === FAST_SYSCALL_VECTOR;
  const trap = state.traps[vector];
  const missing = vector === FAST_SYSCALL_VECTOR && trap?.address === 0n;
  const permitted = trap !== undefined && (ownGate || trap.dpl >= (state.kernelMode ? 1 : 3));
  if (permitted && !missing) {
    deliverTrap(pv, vcpu, cpu, vector, undefined);
    return;
  }
  cpu.rip = BigInt.asUintN(64, cpu.rip - BigInt(instructionLength));
  deliverTrap(pv, vcpu, cpu, Vector.GP, vector * 8 + 2);
}

function deviceNotAvailable(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu): void {
  const state = vcpu.pv as PvVcpu;
  if (!state.taskSwitched) {
    crashGuest(pv.hypervisor, vcpu, cpu, '#NM while CR0.TS is clear');
    return;
  }
  setTaskSwitched(vcpu, cpu, false);
  deliverTrap(pv, vcpu, cpu, Vector.NM, undefined);
}

/** The processor's DR6 is added to the guest's and cleared. */
function mergeDebugStatus(pv: Pv, vcpu: Vcpu): void {
  const state = vcpu.pv as PvVcpu;
  editContext(pv.hypervisor, vcpu, (context) => {
    const status = (context.debug[4] as bigint) ^ BigInt(Dr6.RESET);
    state.debug[6] = (state.debug[6] as bigint) | (status & 0xffffn);
    context.debug[4] = BigInt(Dr6.RESET);
  });
}

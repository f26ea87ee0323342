/**
 * Interrupts of a full domain's vCPU: where they come from, which is taken next, and when it can be injected.
 *
 *   sources   the PC's interrupt controllers and local APICs; the event upcall, by vector; host code in ring 0: its APIC
 *   inject    IF set: `pendingInterrupt`, acknowledged now; clear: an interrupt-window exit is asked for
 *
 * Where ring 0 is host code the registers are those of the code that it interrupted, which runs with IF set, and the
 * event upcall is an edge: host code takes it once and need not clear evtchn_upcall_pending.
 * Sources: SDM 3C §26.3 (injection, interrupt window); Xen public/hvm/params.h HVM_PARAM_CALLBACK_IRQ.
 */

import type { PlatformCpu } from '../../platform/cpu.ts';
import { Flag } from '../../x86/eflags.ts';
import { HVM_PARAM_CALLBACK_IRQ, HVM_PARAM_CALLBACK_TYPE_VECTOR } from '../../xen-abi/hvm.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { kick, unblock } from '../scheduler.ts';
import { upcallDeliverable } from '../shared-info.ts';
import type { FullDomain, FullVcpu } from './full-domain.ts';

/** Vector of the timer of host code in ring 0. */
export const timerVector = 0xf0;

/** Something was raised for the vCPU: it wakes up, or looks when it enters the hypervisor next. */
export function interruptRaised(hypervisor: Hypervisor, state: FullVcpu): void {
  unblock(hypervisor, state.vcpu);
  kick(hypervisor, state.vcpu);
}

/** A vector of the local APIC of host code in ring 0. */
export function requestVector(hypervisor: Hypervisor, state: FullVcpu, vector: number): void {
  if (!state.requested.includes(vector)) state.requested.push(vector);
  interruptRaised(hypervisor, state);
}

export function hasInterrupt(hypervisor: Hypervisor, full: FullDomain, state: FullVcpu): boolean {
  if (state.control.pendingInterrupt !== undefined || state.requested.length > 0) return true;
  if (upcallWanted(hypervisor, full, state)) return true;
  return full.devices.interruptPending(state.vcpu.id);
}

/** After something has changed in the PC: vCPUs whose interrupt input is up now wake or look. */
export function devicesChanged(hypervisor: Hypervisor, full: FullDomain): void {
  for (const state of full.vcpus) {
    const { vcpu } = state;
    if (vcpu.initialised && !vcpu.down && full.devices.interruptPending(vcpu.id)) interruptRaised(hypervisor, state);
  }
}

/** The last thing before the guest goes on. */
export function injectInterrupt(hypervisor: Hypervisor, full: FullDomain, state: FullVcpu, cpu: PlatformCpu): void {
  const { control } = state;
  control.interruptWindow = false;
  if (control.pendingInterrupt !== undefined || !hasInterrupt(hypervisor, full, state)) return;
  const hostCode = control.ringZero !== undefined;
  if (!hostCode && (cpu.rflags & BigInt(Flag.IF)) === 0n) {
    control.interruptWindow = true;
    return;
  }
  control.pendingInterrupt = takeInterrupt(hypervisor, full, state);
  if (control.pendingInterrupt === undefined) return;
  for (const observer of hypervisor.observers) observer.delivery?.(state.vcpu, `interrupt ${control.pendingInterrupt}`);
}

/** Undefined: the request went away. */
function takeInterrupt(hypervisor: Hypervisor, full: FullDomain, state: FullVcpu): number | undefined {
  const requested = state.requested.shift();
  if (requested !== undefined) return requested;
  if (upcallWanted(hypervisor, full, state)) {
    state.upcallRaised = true;
    return upcallVector(full, state);
  }
  return full.devices.acknowledge(state.vcpu.id);
}

/** Vector of the event upcall, 0 for none. DEVIATION: upcalls by GSI or PCI INTx are not raised. */
function upcallVector(full: FullDomain, state: FullVcpu): number {
  if (state.upcallVector !== 0) return state.upcallVector;
  const callback = full.params[HVM_PARAM_CALLBACK_IRQ] as bigint;
  return callback >> 56n === HVM_PARAM_CALLBACK_TYPE_VECTOR ? Number(callback & 0xffn) : 0;
}

function upcallWanted(hypervisor: Hypervisor, full: FullDomain, state: FullVcpu): boolean {
  if (upcallVector(full, state) === 0) return false;
  if (!upcallDeliverable(hypervisor, state.vcpu)) {
    state.upcallRaised = false;
    return false;
  }
  return state.control.ringZero === undefined || !state.upcallRaised;
}

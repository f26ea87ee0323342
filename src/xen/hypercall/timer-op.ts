/**
 * HYPERVISOR_set_timer_op (15): one singleshot timer per vCPU, which raises VIRQ_TIMER; it is the same one that
 * VCPUOP_set_singleshot_timer sets.
 * Source: Xen public/xen.h.
 */

import type { Hypervisor } from '../hypervisor.ts';
import { timersChanged } from '../scheduler.ts';
import type { Vcpu } from '../vcpu.ts';
import type { Hypercall } from './table.ts';

/** A time-out this far in the future, or negative, is a guest's overflow: it fires soon instead. */
const farFuture = 1n << 50n;
const soon = 100_000_000n;

export const setTimerOp: Hypercall = {
  number: 15,
  name: 'set_timer_op',
  argumentCount: 1,
  handler(hypervisor, vcpu, args) {
    const timeout =
      vcpu.domain.addressSize === 32 ? BigInt.asUintN(32, args[0] ?? 0n) | (BigInt.asUintN(32, args[1] ?? 0n) << 32n) : (args[0] ?? 0n);
    const signed = BigInt.asIntN(64, timeout);
    if (signed === 0n) {
      setSingleshot(hypervisor, vcpu, undefined);
      return 0n;
    }
    const now = hypervisor.now(hypervisor.cpuOf(vcpu));
    setSingleshot(hypervisor, vcpu, signed < 0n || signed - now > farFuture ? now + soon : signed);
    return 0n;
  },
};

/** A time that has passed fires on the way out. */
export function setSingleshot(hypervisor: Hypervisor, vcpu: Vcpu, time: bigint | undefined): void {
  vcpu.singleshot = time;
  timersChanged(hypervisor, vcpu);
}

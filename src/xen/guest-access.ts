/**
 * Guest memory named by hypercall arguments. As in Xen, a pointer is good when it is canonical and outside the
 * hypervisor's hole, and each access then goes through the guest's own tables with the guest's rights.
 * Host code that plays a domain has the same rule; only its tables are walked in memory, because its cpu may be running
 * another vCPU (host-guest.ts).
 */

import { EFAULT } from '../xen-abi/errno.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { Vcpu } from './vcpu.ts';

/** L4 slots 256..271. */
export const hypervisorStart = 0xffff8000_00000000n;
export const hypervisorEnd = 0xffff8800_00000000n;
const lowerHalfEnd = 0x0000_8000_0000_0000n;
const limit64 = 1n << 64n;

/** Whether `length` bytes at `address` may be touched by a guest at all (addr_ok): canonical, and not in the hole. */
export function guestRangeOk(vcpu: Vcpu, address: bigint, length: bigint): boolean {
  if (vcpu.domain.kind === 'pv' && vcpu.domain.addressSize === 32) {
    return address + length <= BigInt(vcpu.domain.compatHoleStart);
  }
  const end = address + (length > 0n ? length : 1n);
  if (vcpu.domain.p2m !== undefined) return end <= limit64; // no hole: the hypervisor is not in its address space
  if (end <= lowerHalfEnd) return true;
  return address >= hypervisorEnd && end <= limit64;
}

/** Whether an array of `count` elements may be touched (guest_handle_okay). `count` comes from the guest unchecked. */
export function guestArrayOk(vcpu: Vcpu, address: bigint, count: bigint, elementSize: number): boolean {
  return guestRangeOk(vcpu, address, count * BigInt(elementSize));
}

/** Fills `into` from the caller's memory. 0, or -EFAULT with `into` changed in part. */
export function copyFromGuest(hypervisor: Hypervisor, vcpu: Vcpu, address: bigint, into: Uint8Array): number {
  if (into.length === 0) return 0;
  if (!guestRangeOk(vcpu, address, BigInt(into.length))) return -EFAULT;
  return hypervisor.guestMemory(vcpu).readVirtual(address, into, true) === undefined ? 0 : -EFAULT;
}

/** Writes `from` to the caller's memory. 0, or -EFAULT with a first part written. */
export function copyToGuest(hypervisor: Hypervisor, vcpu: Vcpu, address: bigint, from: Uint8Array): number {
  if (from.length === 0) return 0;
  if (!guestRangeOk(vcpu, address, BigInt(from.length))) return -EFAULT;
  return hypervisor.guestMemory(vcpu).writeVirtual(address, from, true) === undefined ? 0 : -EFAULT;
}

/** `length` bytes of the caller's memory, or undefined for -EFAULT. */
export function loadFromGuest(hypervisor: Hypervisor, vcpu: Vcpu, address: bigint, length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  return copyFromGuest(hypervisor, vcpu, address, bytes) === 0 ? bytes : undefined;
}

/**
 * memory_op for domains with guest-physical memory (full domains): extents by guest frame, and frames of the hypervisor
 * that the guest places in its own map (shared_info, grant table).
 * Source: Xen public/memory.h (populate_physmap, decrease_reservation, add_to_physmap, remove_from_physmap).
 */

import { EINVAL, ENOSYS } from '../../xen-abi/errno.ts';
import { XENMAPSPACE_grant_table, XENMAPSPACE_shared_info, xen_add_to_physmap } from '../../xen-abi/hvm.ts';
import { xen_remove_from_physmap } from '../../xen-abi/memory.ts';
import type { Domain } from '../domain.ts';
import { FrameFlag } from '../frame-table.ts';
import { growGrantTable } from '../grant-table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { faultResult, loadStruct, targetDomain } from './arguments.ts';
import { type HypercallResult, result } from './table.ts';

/** Guest frames end where no processor has addresses. */
const guestFrameLimit = 1n << 40n;

/** True for domains whose frames are guest frames. */
export function isTranslated(hypervisor: Hypervisor, domain: Domain): boolean {
  return hypervisor.kind(domain).setPhysmap !== undefined;
}

/** Machine frame that a domain means by `frame`; -1: none. A paravirtual domain names machine frames. */
export function machineFrameOf(domain: Domain, frame: number): number {
  return domain.p2m === undefined ? frame : (domain.p2m[frame] ?? -1);
}

/** Maps `count` new frames of the domain; what was there before goes. */
export function mapExtent(hypervisor: Hypervisor, domain: Domain, guestFrame: bigint, frame: number, count: number): boolean {
  if (guestFrame + BigInt(count) > guestFrameLimit) return false;
  for (let i = 0; i < count; i++) {
    const at = Number(guestFrame) + i;
    dropMapping(hypervisor, domain, at);
    if (!place(hypervisor, domain, at, frame + i)) return false;
    hypervisor.m2p.write(frame + i, BigInt(at));
  }
  return true;
}

/** Takes `count` frames out of the domain's memory. False at the first that it does not have. */
export function unmapExtent(hypervisor: Hypervisor, domain: Domain, guestFrame: bigint, count: number): boolean {
  if (guestFrame + BigInt(count) > guestFrameLimit) return false;
  for (let i = 0; i < count; i++) if (!dropMapping(hypervisor, domain, Number(guestFrame) + i)) return false;
  return true;
}

export function addToPhysmap(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, xen_add_to_physmap);
  if (request === undefined) return faultResult;
  const target = targetDomain(hypervisor, vcpu, request.domid);
  if (typeof target === 'number') return result(target);
  if (!isTranslated(hypervisor, target)) return BigInt(-EINVAL);
  if (request.gpfn >= guestFrameLimit) return BigInt(-EINVAL);
  const frame = sharedFrame(hypervisor, target, request.space, request.idx);
  if (frame < 0) return result(frame);
  const guestFrame = Number(request.gpfn);
  dropMapping(hypervisor, target, guestFrame);
  // A page of the hypervisor has one place in the map.
  const before = target.p2m?.indexOf(frame) ?? -1;
  if (before >= 0) place(hypervisor, target, before, -1);
  return place(hypervisor, target, guestFrame, frame) ? 0n : BigInt(-EINVAL);
}

export function removeFromPhysmap(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, xen_remove_from_physmap);
  if (request === undefined) return faultResult;
  const target = targetDomain(hypervisor, vcpu, request.domid);
  if (typeof target === 'number') return result(target);
  if (!isTranslated(hypervisor, target) || request.gpfn >= guestFrameLimit) return BigInt(-EINVAL);
  return dropMapping(hypervisor, target, Number(request.gpfn)) ? 0n : BigInt(-EINVAL);
}

function sharedFrame(hypervisor: Hypervisor, target: Domain, space: number, index: bigint): number {
  if (space === XENMAPSPACE_shared_info) return index === 0n ? target.sharedInfoFrame : -EINVAL;
  if (space === XENMAPSPACE_grant_table) {
    // Bit 31 asks for a status frame of version 2, which no table has.
    if (index >= BigInt(target.grants.maxFrames) || !growGrantTable(hypervisor, target, Number(index) + 1)) return -EINVAL;
    return target.grants.frames[Number(index)] as number;
  }
  return -ENOSYS;
}

/** Unmaps a guest frame; a frame of the domain's memory leaves it. False when nothing was mapped. */
function dropMapping(hypervisor: Hypervisor, domain: Domain, guestFrame: number): boolean {
  const frame = machineFrameOf(domain, guestFrame);
  if (frame < 0) return false;
  place(hypervisor, domain, guestFrame, -1);
  const { frames } = hypervisor;
  if (frames.owner[frame] === domain.id && !frames.has(frame, FrameFlag.xenHeap)) frames.putAllocation(frame);
  return true;
}

function place(hypervisor: Hypervisor, domain: Domain, guestFrame: number, frame: number): boolean {
  return hypervisor.kind(domain).setPhysmap?.(hypervisor, domain, guestFrame, frame) ?? false;
}

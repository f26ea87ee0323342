/**
 * XENMEM_exchange: a PV guest gives frames and gets as many others back, in larger or smaller runs or below an address
 * limit (for devices, or a top-level table below 4 GiB). Each chunk is all or nothing.
 * Source: Xen public/memory.h struct xen_memory_exchange.
 */

import { EFAULT, EINVAL, ENOMEM, EPERM } from '../../xen-abi/errno.ts';
import { xen_memory_exchange, xen_memory_reservation } from '../../xen-abi/memory.ts';
import type { Domain } from '../domain.ts';
import { assignFrames } from '../domain-memory.ts';
import { FrameFlag } from '../frame-table.ts';
import { guestArrayOk, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { faultResult, loadWord, storeField, storeWord, targetDomain } from './arguments.ts';
import type { HypercallResult } from './table.ts';

const maxOrder = 9;

export function memoryExchange(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  const abi = vcpu.domain.addressSize;
  const bytes = loadFromGuest(hypervisor, vcpu, pointer, xen_memory_exchange.size(abi));
  if (bytes === undefined) return faultResult;
  const exchanged = xen_memory_exchange.read(bytes, abi).nr_exchanged;
  const given = xen_memory_reservation.read(bytes, abi);
  const taken = xen_memory_reservation.read(bytes.subarray(xen_memory_exchange.offset('out', abi)), abi);
  if (given.extent_order > maxOrder || taken.extent_order > maxOrder) return BigInt(-EPERM);
  if (exchanged !== 0n) return BigInt(-EINVAL);
  const given58 = given.nr_extents >> 52n;
  if (given58 !== 0n || taken.nr_extents >> 52n !== 0n) return BigInt(-EINVAL);
  const pages = given.nr_extents << BigInt(given.extent_order);
  if (pages !== taken.nr_extents << BigInt(taken.extent_order)) return BigInt(-EINVAL);
  const word = abi / 8;
  if (!guestArrayOk(vcpu, given.extent_start, given.nr_extents, word) || !guestArrayOk(vcpu, taken.extent_start, taken.nr_extents, word)) {
    return BigInt(-EFAULT);
  }
  const domain = targetDomain(hypervisor, vcpu, given.domid);
  if (typeof domain === 'number') return BigInt(domain);
  if (domain.kind !== 'pv') return BigInt(-EINVAL);

  // A chunk is one extent of the larger order: 2^a given extents for one taken, or one given for 2^b taken.
  const order = Math.max(given.extent_order, taken.extent_order);
  const givenPerChunk = 1 << (order - given.extent_order);
  const takenPerChunk = 1 << (order - taken.extent_order);
  const chunks = given.nr_extents / BigInt(givenPerChunk);
  let outcome = 0;
  let done = 0n;
  for (; done < chunks; done++) {
    const from = given.extent_start + done * BigInt(givenPerChunk * word);
    const to = taken.extent_start + done * BigInt(takenPerChunk * word);
    const guestFrames: bigint[] = [];
    for (let i = 0; i < takenPerChunk; i++) {
      const guestFrame = loadWord(hypervisor, vcpu, to + BigInt(i * word));
      if (guestFrame === undefined) return finish(hypervisor, vcpu, pointer, done * BigInt(givenPerChunk), -EFAULT);
      guestFrames.push(guestFrame);
    }
    const frames = stealExtents(hypervisor, vcpu, domain, from, givenPerChunk, given.extent_order);
    if (typeof frames === 'number') {
      outcome = frames;
      break;
    }
    const fresh = allocateExtents(hypervisor, takenPerChunk, taken.extent_order, taken.mem_flags & 0xff);
    if (fresh === undefined) {
      outcome = -ENOMEM;
      break;
    }
    for (const frame of frames) hypervisor.frames.putAllocation(frame);
    for (const [i, first] of fresh.entries()) {
      assignFrames(hypervisor, domain, first, 1 << taken.extent_order);
      for (let page = 0; page < 1 << taken.extent_order; page++) {
        hypervisor.m2p.write(first + page, (guestFrames[i] as bigint) + BigInt(page));
      }
      if (storeWord(hypervisor, vcpu, to + BigInt(i * word), BigInt(first)) < 0) outcome = -EFAULT;
    }
    if (outcome < 0) {
      done++;
      break;
    }
  }
  return finish(hypervisor, vcpu, pointer, done * BigInt(givenPerChunk), outcome);
}

function finish(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint, exchanged: bigint, outcome: number): HypercallResult {
  const stored = storeField(hypervisor, vcpu, pointer, xen_memory_exchange, 'nr_exchanged', exchanged);
  return BigInt(outcome < 0 ? outcome : stored);
}

/** The frames of a chunk, if the domain owns each of them and nothing refers to it but the domain's allocation. */
function stealExtents(hypervisor: Hypervisor, vcpu: Vcpu, domain: Domain, list: bigint, extents: number, order: number): number[] | number {
  const { frames } = hypervisor;
  const found: number[] = [];
  for (let i = 0; i < extents; i++) {
    const first = loadWord(hypervisor, vcpu, list + BigInt((i * vcpu.domain.addressSize) / 8));
    if (first === undefined) return -EFAULT;
    for (let page = 0; page < 1 << order; page++) {
      const frame = Number(first) + page;
      if (!frames.exists(frame) || frames.owner[frame] !== domain.id || found.includes(frame)) return -EINVAL;
      if (!frames.has(frame, FrameFlag.allocated) || frames.has(frame, FrameFlag.xenHeap)) return -EINVAL;
      if (frames.references[frame] !== 1) return -EINVAL;
      found.push(frame);
    }
  }
  return found;
}

function allocateExtents(hypervisor: Hypervisor, count: number, order: number, bits: number): number[] | undefined {
  const { allocator } = hypervisor;
  const limit = bits === 0 || bits >= 52 ? allocator.frameCount : bits < 12 ? 0 : 2 ** (bits - 12);
  const size = 1 << order;
  const found: number[] = [];
  for (let i = 0; i < count; i++) {
    const first = size === 1 ? allocator.allocate(limit) : allocator.allocateRun(size, size, limit);
    if (first < 0) {
      for (const extent of found) for (let page = 0; page < size; page++) allocator.release(extent + page);
      return undefined;
    }
    found.push(first);
  }
  return found;
}

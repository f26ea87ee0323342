/**
 * HYPERVISOR_memory_op (12): a domain's memory account and the maps of memory. Reservation calls return the number of
 * extents done; a bad pointer or argument shows as a short count, as in Xen. Exchange is in memory-exchange.ts.
 * Source: Xen public/memory.h.
 */

import { EFAULT, EINVAL, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/memory.ts';
import type { Values } from '../../xen-abi/layout.ts';
import { DOMID_SELF } from '../../xen-abi/xen.ts';
import { assignFrames } from '../domain-memory.ts';
import type { Domain } from '../domain.ts';
import { growGrantTable } from '../grant-table.ts';
import { copyToGuest, guestArrayOk, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { m2pVirtualEnd, m2pVirtualStart } from '../machine-to-physical.ts';
import { guestMaxPfn } from '../shared-info.ts';
import type { Vcpu } from '../vcpu.ts';
import { faultResult, loadStruct, loadWord, storeField, storeStruct, storeWord, targetDomain } from './arguments.ts';
import { memoryExchange } from './memory-exchange.ts';
import { addToPhysmap, isTranslated, mapExtent, removeFromPhysmap, unmapExtent } from './physmap.ts';
import { type Hypercall, type HypercallResult, result, subOperation } from './table.ts';

/** Largest extent order for a domain, and for one that builds domains. */
const guestMaxOrder = 9;
const controlMaxOrder = 12;

const command = (args: readonly bigint[]): number => Number((args[0] ?? 0n) & BigInt(abi.MEMOP_CMD_MASK));

export const memoryOp: Hypercall = {
  number: 12,
  name: 'memory_op',
  argumentCount: 2,
  suffix: (args) => subOperation(abi.memoryOpNames)([BigInt(command(args))]),
  handler(hypervisor, vcpu, args) {
    const pointer = args[1] ?? 0n;
    const { domain } = vcpu;
    const startExtent = (args[0] ?? 0n) >> BigInt(abi.MEMOP_EXTENT_SHIFT);
    switch (command(args)) {
      case abi.XENMEM_increase_reservation:
      case abi.XENMEM_decrease_reservation:
      case abi.XENMEM_populate_physmap:
        return reservation(hypervisor, vcpu, command(args), pointer, startExtent);
      case abi.XENMEM_exchange:
        return startExtent === 0n ? memoryExchange(hypervisor, vcpu, pointer) : BigInt(-EINVAL);
      case abi.XENMEM_maximum_ram_page:
        return BigInt(highestFrame(hypervisor));
      case abi.XENMEM_current_reservation:
      case abi.XENMEM_maximum_reservation:
      case abi.XENMEM_maximum_gpfn: {
        const target = domainArgument(hypervisor, vcpu, pointer);
        if (typeof target === 'number') return result(target);
        if (command(args) === abi.XENMEM_current_reservation) return BigInt(target.totalPages);
        if (command(args) === abi.XENMEM_maximum_reservation) return BigInt(target.maxPages);
        return maximumGuestFrame(hypervisor, target);
      }
      case abi.XENMEM_machphys_mapping: {
        const [start, end] = domain.addressSize === 32 ? [BigInt(domain.compatHoleStart), 0xffe00000n] : [m2pVirtualStart, m2pVirtualEnd];
        const mapping = { v_start: start, v_end: end, max_mfn: BigInt(hypervisor.m2p.entryCount - 1) };
        return result(storeStruct(hypervisor, vcpu, pointer, abi.xen_machphys_mapping, mapping));
      }
      case abi.XENMEM_machphys_mfn_list:
        return machphysFrames(hypervisor, vcpu, pointer);
      case abi.XENMEM_add_to_physmap:
        return addToPhysmap(hypervisor, vcpu, pointer);
      case abi.XENMEM_remove_from_physmap:
        return removeFromPhysmap(hypervisor, vcpu, pointer);
      case abi.XENMEM_memory_map:
        if (domain.memoryMap === undefined) return BigInt(-ENOSYS);
        return memoryMap(hypervisor, vcpu, pointer, domain.memoryMap);
      case abi.XENMEM_machine_memory_map:
        if (!domain.privileged) return BigInt(-EPERM);
        return memoryMap(hypervisor, vcpu, pointer, machineMap(hypervisor));
      case abi.XENMEM_set_memory_map:
        return setMemoryMap(hypervisor, vcpu, pointer);
      case abi.XENMEM_claim_pages:
        return claimPages(hypervisor, vcpu, pointer);
      case abi.XENMEM_get_vnumainfo:
        return BigInt(-EOPNOTSUPP);
      case abi.XENMEM_acquire_resource:
        return acquireResource(hypervisor, vcpu, pointer);
      default:
        hypervisor.unknown(domain, 'sub-operation', `memory_op.${command(args)}`);
        return BigInt(-ENOSYS);
    }
  },
};

function reservation(hypervisor: Hypervisor, vcpu: Vcpu, operation: number, pointer: bigint, start: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_memory_reservation);
  if (request === undefined || start >= request.nr_extents) return start;
  const target = targetDomain(hypervisor, vcpu, request.domid);
  const maxOrder = vcpu.domain.privileged ? controlMaxOrder : guestMaxOrder;
  if (typeof target === 'number' || request.extent_order > maxOrder || !validFlags(request.mem_flags)) return start;
  // An array that cannot be indexed within 64 bits is no array (XSA-212).
  if (request.nr_extents >> 58n !== 0n) return start;
  const word = BigInt(vcpu.domain.addressSize / 8);
  const optional = operation === abi.XENMEM_increase_reservation && request.extent_start === 0n;
  if (!optional && !guestArrayOk(vcpu, request.extent_start, request.nr_extents, Number(word))) return start;
  for (let i = start; i < request.nr_extents; i++) {
    const slot = request.extent_start + i * word;
    const done =
      operation === abi.XENMEM_decrease_reservation
        ? releaseExtent(hypervisor, vcpu, target, slot, request)
        : addExtent(hypervisor, vcpu, target, operation, optional ? 0n : slot, request);
    if (!done) return i;
  }
  return request.nr_extents;
}

type Reservation = Values<typeof abi.xen_memory_reservation.fields>;

function addExtent(hypervisor: Hypervisor, vcpu: Vcpu, target: Domain, operation: number, slot: bigint, request: Reservation): boolean {
  const guestFrame = operation === abi.XENMEM_populate_physmap ? loadWord(hypervisor, vcpu, slot) : undefined;
  if (operation === abi.XENMEM_populate_physmap && guestFrame === undefined) return false;
  const translated = isTranslated(hypervisor, target);
  if (translated && guestFrame === undefined) return false;
  const frame = allocateExtent(hypervisor, target, request.extent_order, request.mem_flags & 0xff);
  if (frame < 0) return false;
  // A translated domain names its memory by guest frames, and nothing is told of the machine's.
  if (translated) return mapExtent(hypervisor, target, guestFrame ?? 0n, frame, 1 << request.extent_order);
  if (guestFrame !== undefined) {
    for (let i = 0; i < 1 << request.extent_order; i++) hypervisor.m2p.write(frame + i, guestFrame + BigInt(i));
  }
  return slot === 0n || storeWord(hypervisor, vcpu, slot, BigInt(frame)) === 0;
}

/** Frames of one extent for a domain within its limits; the first of them or -1. `addressBits` 0: anywhere. */
export function allocateExtent(hypervisor: Hypervisor, target: Domain, order: number, addressBits: number): number {
  const count = 1 << order;
  if (target.dying !== 0 || target.totalPages + count > target.maxPages) return -1;
  const claimed = Math.min(target.claimedPages, count);
  if (hypervisor.allocator.free - count < claimedByOthers(hypervisor, target)) return -1;
  const { allocator } = hypervisor;
  const bits = addressBits === 0 ? Number.POSITIVE_INFINITY : addressBits;
  const limit = bits >= 52 ? allocator.frameCount : bits < 12 ? 0 : 2 ** (bits - 12);
  const frame = count === 1 ? allocator.allocate(limit) : allocator.allocateRun(count, count, limit);
  if (frame < 0) return -1;
  target.claimedPages -= claimed;
  assignFrames(hypervisor, target, frame, count);
  return frame;
}

function claimedByOthers(hypervisor: Hypervisor, except: Domain): number {
  let claimed = 0;
  for (const domain of hypervisor.domains.values()) if (domain !== except) claimed += domain.claimedPages;
  return claimed;
}

function releaseExtent(hypervisor: Hypervisor, vcpu: Vcpu, target: Domain, slot: bigint, request: Reservation): boolean {
  const first = loadWord(hypervisor, vcpu, slot);
  if (first === undefined) return false;
  if (isTranslated(hypervisor, target)) return unmapExtent(hypervisor, target, first, 1 << request.extent_order);
  if (first > BigInt(hypervisor.frames.frameCount)) return false;
  const { frames } = hypervisor;
  for (let i = 0; i < 1 << request.extent_order; i++) {
    const frame = Number(first) + i;
    if (!frames.getPage(frame, target.id)) return false;
    frames.putAllocation(frame);
    frames.putPage(frame);
  }
  return true;
}

/** Node numbers that do not exist are refused (XSA-231); there is node 0 only. */
function validFlags(flags: number): boolean {
  const node = (flags >>> 8) & 0xff;
  return node <= 1 && (flags & (abi.XENMEMF_populate_on_demand | abi.XENMEMF_vnode)) === 0;
}

function domainArgument(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): Domain | number {
  const bytes = loadFromGuest(hypervisor, vcpu, pointer, 2);
  if (bytes === undefined) return -EFAULT;
  return targetDomain(hypervisor, vcpu, new DataView(bytes.buffer).getUint16(0, true));
}

function highestFrame(hypervisor: Hypervisor): number {
  let frame = hypervisor.memory.frameCount - 1;
  while (frame > 0 && !hypervisor.memory.isRam(frame)) frame--;
  return frame;
}

/** XENMEM_maximum_gpfn: PV guests tell it in shared_info.arch.max_pfn. */
function maximumGuestFrame(hypervisor: Hypervisor, target: Domain): bigint {
  if (target.p2m !== undefined) return BigInt(target.p2m.findLastIndex((frame) => frame >= 0));
  return guestMaxPfn(hypervisor, target) - 1n;
}

function machphysFrames(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  if (!vcpu.domain.privileged) return BigInt(-EPERM);
  const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_machphys_mfn_list);
  if (request === undefined) return faultResult;
  const framesPerExtent = 512; // 2 MiB of the table
  const extents = Math.min(request.max_extents, Math.ceil(hypervisor.m2p.frameCount / framesPerExtent));
  for (let i = 0; i < extents; i++) {
    const frame = BigInt(hypervisor.m2p.firstFrame + i * framesPerExtent);
    const at = request.extent_start + BigInt((i * vcpu.domain.addressSize) / 8);
    if (storeWord(hypervisor, vcpu, at, frame) < 0) return faultResult;
  }
  return result(storeField(hypervisor, vcpu, pointer, abi.xen_machphys_mfn_list, 'nr_extents', extents));
}

const e820Bytes = abi.e820_entry.size();

/** Copies a map of 20-byte entries, as many as the caller has room for; without a buffer only their number. */
function memoryMap(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint, map: Uint8Array): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_memory_map);
  if (request === undefined) return faultResult;
  const entries = map.length / e820Bytes;
  const count = request.buffer === 0n ? entries : Math.min(entries, request.nr_entries);
  if (request.buffer !== 0n) {
    const copied = copyToGuest(hypervisor, vcpu, request.buffer, map.subarray(0, count * e820Bytes));
    if (copied < 0) return BigInt(copied);
  }
  return result(storeField(hypervisor, vcpu, pointer, abi.xen_memory_map, 'nr_entries', count));
}

/** The platform's memory as e820 entries: RAM, and the holes between as reserved. */
export function machineMap(hypervisor: Hypervisor): Uint8Array {
  const { memory } = hypervisor;
  const entries: Uint8Array[] = [];
  let first = 0;
  for (let frame = 1; frame <= memory.frameCount; frame++) {
    const same = frame < memory.frameCount && memory.isRam(frame) === memory.isRam(first);
    if (same) continue;
    entries.push(
      abi.e820_entry.write({
        addr: BigInt(first) << 12n,
        size: BigInt(frame - first) << 12n,
        type: memory.isRam(first) ? abi.E820_RAM : abi.E820_RESERVED,
      }),
    );
    first = frame;
  }
  const map = new Uint8Array(entries.length * e820Bytes);
  entries.forEach((entry, i) => {
    map.set(entry, i * e820Bytes);
  });
  return map;
}

function setMemoryMap(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_foreign_memory_map);
  if (request === undefined) return faultResult;
  if (request.nr_entries > abi.E820_MAX) return BigInt(-EINVAL);
  const target = targetDomain(hypervisor, vcpu, request.domid);
  if (typeof target === 'number') return result(target);
  if (!vcpu.domain.privileged) return BigInt(-EPERM);
  const map = loadFromGuest(hypervisor, vcpu, request.buffer, request.nr_entries * e820Bytes);
  if (map === undefined) return faultResult;
  target.memoryMap = map;
  return 0n;
}

function claimPages(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  if (!vcpu.domain.privileged) return BigInt(-EPERM);
  const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_memory_reservation);
  if (request === undefined) return faultResult;
  if (request.extent_start !== 0n || request.extent_order !== 0 || request.mem_flags !== 0) return BigInt(-EINVAL);
  const target = request.domid === DOMID_SELF ? vcpu.domain : hypervisor.domains.get(request.domid);
  if (target === undefined) return BigInt(-ESRCH);
  return result(claim(hypervisor, target, request.nr_extents));
}

/** Keeps free frames for a domain that is being built; 0 gives the rest back. */
function claim(hypervisor: Hypervisor, domain: Domain, pages: bigint): number {
  if (pages === 0n) {
    domain.claimedPages = 0;
    return 0;
  }
  if (domain.claimedPages !== 0) return -EINVAL;
  if (pages <= BigInt(domain.totalPages) || pages > BigInt(domain.maxPages)) return -EINVAL;
  const wanted = Number(pages) - domain.totalPages;
  if (wanted > hypervisor.allocator.free - claimedByOthers(hypervisor, domain)) return -ENOMEM;
  domain.claimedPages = wanted;
  return 0;
}

function acquireResource(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_mem_acquire_resource);
  if (request === undefined) return faultResult;
  if (request.pad !== 0) return BigInt(-EINVAL);
  const target = request.domid === DOMID_SELF ? -EINVAL : targetDomain(hypervisor, vcpu, request.domid);
  if (typeof target === 'number') return result(target);
  if (!vcpu.domain.privileged) return BigInt(-EPERM);
  const isShared = request.id === abi.XENMEM_resource_grant_table_id_shared;
  if (request.type !== abi.XENMEM_resource_grant_table) return BigInt(-EOPNOTSUPP);
  if (!isShared) return BigInt(-EINVAL); // status frames are version 2's
  if (request.frame_list === 0n) {
    if (request.nr_frames !== 0) return BigInt(-EINVAL);
    const size = target.grants.maxFrames;
    return result(storeField(hypervisor, vcpu, pointer, abi.xen_mem_acquire_resource, 'nr_frames', size));
  }
  const end = request.frame + BigInt(request.nr_frames);
  if (end > BigInt(target.grants.maxFrames)) return BigInt(-EINVAL);
  if (!growGrantTable(hypervisor, target, Number(end))) return BigInt(-EINVAL);
  for (let i = 0; i < request.nr_frames; i++) {
    const frame = target.grants.frames[Number(request.frame) + i] as number;
    const at = request.frame_list + BigInt((i * vcpu.domain.addressSize) / 8);
    if (storeWord(hypervisor, vcpu, at, BigInt(frame)) < 0) return faultResult;
  }
  return 0n;
}

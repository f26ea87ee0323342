/**
 * Granted frames in a guest's tables. The L1 entry takes over the references that the grant table took, so that an entry
 * of a granted frame is like any other: whoever replaces it gives them back.
 * Source: Xen public/grant_table.h GNTTABOP_map_grant_ref, GNTTABOP_unmap_grant_ref, GNTMAP_*.
 */
import { FrameFlag, PageType } from '../frame-table.ts';
import type { GrantMappingRequest } from '../domain-kind.ts';
import type { Vcpu } from '../vcpu.ts';
import { A, D, FRAME_BYTES, P, RW, US, adjustL1High, adjustL1Low, entryFrame, entryHigh, entryLow } from './guest-entry.ts';
import { type L1Position, findL1Entry } from './guest-walk.ts';
import type { Pv } from './pv.ts';
import { runningVcpus } from './vcpu-mask.ts';

const GNTST_okay = 0;
const GNTST_general_error = -1;
const AVAIL_SHIFT = 9;

/** The entry that the request names, if it is in an L1 table of the caller. */
function entryAt(pv: Pv, vcpu: Vcpu, address: bigint, containsPte: boolean): L1Position | undefined {
  const { frames, memory } = pv.hypervisor;
  let position: L1Position | undefined;
  if (!containsPte) position = findL1Entry(memory, vcpu.pv?.guestTable ?? 0, address);
  else if ((address & 7n) === 0n && address >> 12n < BigInt(frames.frameCount))
    position = { frame: Number(address >> 12n), index: Number((address & 0xfffn) >> 3n) };
  if (position === undefined) return undefined;
  const { frame } = position;
  const usable =
    frames.exists(frame) &&
    frames.owner[frame] === vcpu.domain.id &&
    frames.type[frame] === PageType.l1 &&
    (frames.typeReferences[frame] as number) > 0 &&
    frames.has(frame, FrameFlag.validated);
  return usable ? position : undefined;
}

const machineAddress = (position: L1Position): number => position.frame * FRAME_BYTES + position.index * 8;

function write(pv: Pv, address: number, low: number, high: number): void {
  pv.hypervisor.memory.writeU64(address, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
}

export function mapGrant(pv: Pv, vcpu: Vcpu, request: GrantMappingRequest): number {
  const position = entryAt(pv, vcpu, request.address, request.containsPte);
  if (position === undefined) return GNTST_general_error;
  const { memory } = pv.hypervisor;
  const address = machineAddress(position);
  const oldLow = memory.readU32(address);
  const oldHigh = memory.readU32(address + 4);
  const flags = P | A | D | (request.readonly ? 0 : RW) | (request.application ? US : 0) | ((request.availableBits & 7) << AVAIL_SHIFT);
  const low = entryLow(request.frame, flags);
  const high = entryHigh(request.frame);
  write(pv, address, adjustL1Low(low, high, pv.tables.options.userPagesGlobal), adjustL1High(low, high));
  pv.tables.releaseL1(oldLow, oldHigh, vcpu.domain);
  if ((oldLow & P) !== 0) flushAfter(pv, vcpu, request);
  return GNTST_okay;
}

export function unmapGrant(pv: Pv, vcpu: Vcpu, request: GrantMappingRequest, replacement?: bigint): number {
  const position = entryAt(pv, vcpu, request.address, request.containsPte);
  if (position === undefined) return GNTST_general_error;
  const { memory } = pv.hypervisor;
  const address = machineAddress(position);
  const low = memory.readU32(address);
  const high = memory.readU32(address + 4);
  const same = (low & P) !== 0 && entryFrame(low, high) === request.frame && ((low & RW) === 0) === request.readonly;
  if (!same) return GNTST_general_error;
  if (replacement === undefined) write(pv, address, 0, 0);
  else {
    const from = entryAt(pv, vcpu, replacement, false);
    if (from === undefined || machineAddress(from) === address) return GNTST_general_error;
    const source = machineAddress(from);
    write(pv, address, memory.readU32(source), memory.readU32(source + 4));
    write(pv, source, 0, 0);
    for (const other of runningVcpus(vcpu.domain)) pv.hypervisor.cpuOf(other).invalidatePage(replacement);
  }
  flushAfter(pv, vcpu, request);
  return GNTST_okay;
}

/** By machine address of the entry, nobody knows where it maps. */
function flushAfter(pv: Pv, vcpu: Vcpu, request: GrantMappingRequest): void {
  for (const other of runningVcpus(vcpu.domain)) {
    const cpu = pv.hypervisor.cpuOf(other);
    if (request.containsPte) pv.tables.flush.flush(cpu);
    else cpu.invalidatePage(request.address);
  }
}

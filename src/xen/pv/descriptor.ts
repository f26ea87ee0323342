/**
 * Segment descriptors of paravirtual guests: which ones a guest may have in a GDT or LDT, how they are changed on the
 * way, the page of the GDT that is the hypervisor's, and the segment registers that flat selectors load.
 * Sources: SDM 3A §3.4.5 (segment descriptors), §5.8.3 (call gates), Xen public/arch-x86/xen-x86_64.h (FLAT_*).
 * Left out: the rules of 32-bit guests.
 */
import type { PlatformMemory } from '../../platform/memory.ts';
import type { SegmentState } from '../../platform/cpu.ts';
import { FRAME_BYTES } from './guest-entry.ts';

export const FLAT_RING3_CS32 = 0xe023;
export const FLAT_RING3_SS32 = 0xe02b;
export const FLAT_RING3_CS64 = 0xe033;
/** GDT entries that are the guest's: pages 0..13. */
export const GUEST_GDT_ENTRIES = 7168;

// Second dword.
const TYPE_SHIFT = 8;
const S = 1 << 12;
const DPL_SHIFT = 13;
const DPL = 3 << DPL_SHIFT;
const PRESENT = 1 << 15;
const CALL_GATE = 0xc;

/** Result of {@link acceptDescriptor}: the halves as they go into the table. Reused, read it at once. */
export interface AcceptedDescriptor {
  low: number;
  high: number;
}

/** Checks and changes a descriptor for a 64-bit guest. False when the guest may not have it. */
export function acceptDescriptor(low: number, high: number, out: AcceptedDescriptor): boolean {
  out.low = low >>> 0;
  out.high = high >>> 0;
  if ((high & PRESENT) === 0) return true;
  if ((high & S) !== 0) {
    out.high = (high | DPL) >>> 0;
    return true;
  }
  const type = (high >>> TYPE_SHIFT) & 15;
  if (type === 0) {
    out.high = (high | DPL) >>> 0;
    return true;
  }
  if (type !== CALL_GATE) return false;
  // A call gate: into the guest's code only, and so that every use faults and can be looked at.
  if ((high & 0xff) !== 0) return false;
  const selector = low >>> 16;
  const local = (selector & 4) !== 0;
  if (!local && selector >>> 3 >= GUEST_GDT_ENTRIES && (selector | 3) !== FLAT_RING3_CS64) return false;
  const dpl = (high & DPL) >>> DPL_SHIFT;
  if (dpl === 0) {
    // DPL 0 with RPL 0 in the selector: the form that this rule leaves behind keeps its RPL.
    return true;
  }
  out.low = ((low & ~0x30000) | (dpl << 16)) >>> 0;
  out.high = (high & ~DPL) >>> 0;
  return true;
}

/** Checks all 512 descriptors of a frame that becomes a GDT or LDT page, and writes the changed ones back. */
export function acceptSegdescFrame(memory: PlatformMemory, frame: number): boolean {
  const entries = memory.frameEntries(frame);
  const halves = new Uint32Array(entries.buffer, entries.byteOffset, 1024);
  const accepted: AcceptedDescriptor = { low: 0, high: 0 };
  for (let i = 0; i < 512; i++) {
    const low = halves[2 * i] as number;
    const high = halves[2 * i + 1] as number;
    if (!acceptDescriptor(low, high, accepted)) return false;
    if (accepted.low !== low) memory.writeU32(frame * FRAME_BYTES + 8 * i, accepted.low);
    if (accepted.high !== high) memory.writeU32(frame * FRAME_BYTES + 8 * i + 4, accepted.high);
  }
  return true;
}

const flat = (type: number, dpl: number, flags: number): bigint =>
  0x000f_0000_0000_ffffn | (BigInt(0x90 | type | (dpl << 5)) << 40n) | (BigInt(flags) << 52n);
const CODE = 0xb;
const DATA = 0x3;
const LONG = 0xa; // G, L
const BIG = 0xc; // G, D/B

/** Bytes of page 14 as 64-bit guests see it; all descriptors have the accessed bit, so that no load writes here. */
export function reservedGdtPage(): Uint8Array {
  const page = new Uint8Array(FRAME_BYTES);
  const view = new DataView(page.buffer);
  view.setBigUint64(0x08, flat(CODE, 0, LONG), true);
  view.setBigUint64(0x10, flat(DATA, 0, BIG), true);
  view.setBigUint64(0x20, flat(CODE, 3, BIG), true);
  view.setBigUint64(0x28, flat(DATA, 3, BIG), true);
  view.setBigUint64(0x30, flat(CODE, 3, LONG), true);
  return page;
}

/** Segment registers that the flat selectors load. Fresh objects: a processor may keep them. */
export function flatCode64(): SegmentState {
  return { selector: FLAT_RING3_CS64, base: 0n, limit: 0xffff_ffff, attributes: 0xa0fb };
}

export function flatCode32(): SegmentState {
  return { selector: FLAT_RING3_CS32, base: 0n, limit: 0xffff_ffff, attributes: 0xc0fb };
}

export function flatStack(): SegmentState {
  return { selector: FLAT_RING3_SS32, base: 0n, limit: 0xffff_ffff, attributes: 0xc0f3 };
}

export function nullSegment(selector = 0): SegmentState {
  return { selector, base: 0n, limit: 0, attributes: 0 };
}

/** The register state that a present code or data descriptor loads. */
export function segmentOf(selector: number, low: number, high: number): SegmentState {
  const granular = (high & 0x80_0000) !== 0;
  const limit = (low & 0xffff) | (high & 0xf_0000);
  const base = (((high & 0xff00_0000) | ((high & 0xff) << 16) | (low >>> 16)) >>> 0) >>> 0;
  return {
    selector,
    base: BigInt(base),
    limit: granular ? ((limit << 12) | 0xfff) >>> 0 : limit,
    attributes: (high >>> 8) & 0xf0ff,
  };
}

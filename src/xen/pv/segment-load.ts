/**
 * Segment registers that the hypervisor loads for a guest: CS and SS of an iret, GS of set_segment_base, all of them when
 * a context is set. The flat selectors, which nearly every guest uses, take no look at a table.
 * Sources: SDM 2 IRET (checks of CS and SS), MOV (checks of data segments), SDM 3A §5.5 to §5.8.
 */
import type { PlatformCpu, SegmentState } from '../../platform/cpu.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import type { Vcpu } from '../vcpu.ts';
import {
  FLAT_RING3_CS32,
  FLAT_RING3_CS64,
  FLAT_RING3_SS32,
  flatCode32,
  flatCode64,
  flatStack,
  nullSegment,
  segmentOf,
} from './descriptor.ts';
import type { Pv } from './pv.ts';

// Second dword of a descriptor.
const S = 1 << 12;
const CODE = 1 << 11;
const CONFORMING = 1 << 10;
/** Readable code, writable data. */
const RW = 1 << 9;
const DPL = 3 << 13;
const PRESENT = 1 << 15;
const LONG = 1 << 21;
const BIG = 1 << 22;

export interface SegmentFault {
  readonly vector: number;
  readonly errorCode: number;
}

const fault = (vector: number, selector: number): SegmentFault => ({ vector, errorCode: selector & 0xfffc });
const isFault = (value: SegmentState | SegmentFault): value is SegmentFault => 'vector' in value;

/**
 * Loads CS and SS with RPL 3. On a fault both registers show the selectors asked for, over flat segments, so that the
 * frame of the fault does.
 */
export function loadIretSegments(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, cs: number, ss: number): SegmentFault | undefined {
  const code = codeSegment(pv, vcpu, cs);
  const stack = stackSegment(pv, vcpu, ss);
  cpu.setSegment(Segment.CS, isFault(code) ? { ...flatCode64(), selector: cs } : code);
  cpu.setSegment(Segment.SS, isFault(stack) ? { ...flatStack(), selector: ss } : stack);
  return isFault(code) ? code : isFault(stack) ? stack : undefined;
}

function codeSegment(pv: Pv, vcpu: Vcpu, selector: number): SegmentState | SegmentFault {
  if (selector === FLAT_RING3_CS64) return flatCode64();
  if (selector === FLAT_RING3_CS32) return flatCode32();
  const descriptor = (selector & 0xfffc) === 0 ? undefined : pv.descriptors.read(vcpu, selector);
  if (descriptor === undefined) return fault(Vector.GP, selector);
  const { low, high } = descriptor;
  const dpl = (high & DPL) >> 13;
  if ((high & (S | CODE)) !== (S | CODE) || (high & (LONG | BIG)) === (LONG | BIG)) return fault(Vector.GP, selector);
  if ((high & CONFORMING) === 0 && dpl !== 3) return fault(Vector.GP, selector);
  if ((high & PRESENT) === 0) return fault(Vector.NP, selector);
  return segmentOf(selector, low, high);
}

function stackSegment(pv: Pv, vcpu: Vcpu, selector: number): SegmentState | SegmentFault {
  if (selector === FLAT_RING3_SS32) return flatStack();
  const descriptor = (selector & 0xfffc) === 0 ? undefined : pv.descriptors.read(vcpu, selector);
  if (descriptor === undefined) return fault(Vector.GP, selector);
  const { low, high } = descriptor;
  if ((high & (S | CODE | RW)) !== (S | RW) || (high & DPL) !== DPL) return fault(Vector.GP, selector);
  if ((high & PRESENT) === 0) return fault(Vector.SS, selector);
  return segmentOf(selector, low, high);
}

/** For a context that is set from outside: what cannot be loaded acts as the flat segment. */
export function codeSegmentOrFlat(pv: Pv, vcpu: Vcpu, selector: number): SegmentState {
  const code = codeSegment(pv, vcpu, selector);
  return isFault(code) ? { ...flatCode64(), selector } : code;
}

export function stackSegmentOrFlat(pv: Pv, vcpu: Vcpu, selector: number): SegmentState {
  const stack = stackSegment(pv, vcpu, selector);
  return isFault(stack) ? { ...flatStack(), selector } : stack;
}

/** A data segment register in ring 3; NUL selectors are allowed. undefined: the load would fault. */
export function dataSegment(pv: Pv, vcpu: Vcpu, selector: number): SegmentState | undefined {
  if ((selector & 0xfffc) === 0) return nullSegment(selector);
  if (selector === FLAT_RING3_SS32) return flatStack();
  const descriptor = pv.descriptors.read(vcpu, selector);
  if (descriptor === undefined) return undefined;
  const { low, high } = descriptor;
  if ((high & (S | PRESENT)) !== (S | PRESENT)) return undefined;
  if ((high & (CODE | RW)) === CODE) return undefined; // execute-only
  const conforming = (high & (CODE | CONFORMING)) === (CODE | CONFORMING);
  if (!conforming && (high & DPL) !== DPL) return undefined;
  return segmentOf(selector, low, high);
}

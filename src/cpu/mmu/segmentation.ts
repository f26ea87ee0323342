/**
 * Segment registers and descriptor tables: reading descriptors, loading registers with every check, and the limit and
 * type checks of accesses outside 64-bit mode. A check that fails records the fault and returns false (or undefined).
 * A segment register with a null selector has attributes without P, which makes it unusable.
 * Sources: SDM 3A §3.4 (registers, descriptors), §5.3-5.6 (limit, type and privilege checks), SDM 2 MOV, LDS (operation).
 */
import {
  ACCESSED_BIT,
  Attribute,
  descriptorAttributes,
  parseSegmentDescriptor,
  type SegmentDescriptor,
  Selector,
} from '../../x86/descriptors.ts';
import { Cr0 } from '../../x86/control-registers.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { inProtectedMode, updateMode, updateSegment } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { IMPLICIT, readLinear, writeLinear } from './system-access.ts';

/** A descriptor as it lies in its table. */
export interface RawDescriptor {
  readonly low: number;
  readonly high: number;
  /** Linear address of its first byte. */
  readonly address: bigint;
}

/** RPL and null are not looked at: selectors 0 to 3. */
export function isNull(selector: number): boolean {
  return (selector & 0xfffc) === 0;
}

export function dplOf(high: number): number {
  return (high >>> 13) & 3;
}

/** Error code that names a selector, without its RPL. */
export function selectorCode(selector: number): number {
  return selector & 0xfffc;
}

/**
 * Reads the descriptor of a selector that is not null. `bytes` is 16 for system descriptors of long mode. Outside its
 * table: records `vector` with the selector (and `external`, the EXT bit) and returns undefined.
 */
export function readDescriptor(
  processor: Processor,
  selector: number,
  vector: number = Vector.GP,
  external = 0,
  bytes = 8,
): RawDescriptor | undefined {
  const { state } = processor;
  const local = (selector & Selector.TI) !== 0;
  const index = selector & Selector.INDEX_MASK;
  const limit = state.get32(local ? 'ldtrLimit' : 'gdtrLimit');
  const usable = !local || (state.get32('ldtrAttributes') & Attribute.P) !== 0;
  if (!usable || index + bytes - 1 > limit) {
    processor.faultWithCode(vector, selectorCode(selector) | external);
    return undefined;
  }
  const address = BigInt.asUintN(64, state.get(local ? 'ldtrBase' : 'gdtrBase') + BigInt(index));
  const value = readLinear(processor, address, 8, IMPLICIT);
  if (value === undefined) return undefined;
  return { low: Number(value & 0xffff_ffffn), high: Number(value >> 32n), address };
}

/** As {@link readDescriptor} without recording that the selector is outside its table: for LAR, LSL, VERR and VERW. */
export function peekDescriptor(processor: Processor, selector: number): RawDescriptor | 'outside' | undefined {
  const { state } = processor;
  const local = (selector & Selector.TI) !== 0;
  const limit = state.get32(local ? 'ldtrLimit' : 'gdtrLimit');
  const usable = !local || (state.get32('ldtrAttributes') & Attribute.P) !== 0;
  if (isNull(selector) || !usable || (selector & Selector.INDEX_MASK) + 7 > limit) return 'outside';
  return readDescriptor(processor, selector);
}

/** Sets the accessed bit of a code or data descriptor in its table; false when that faulted. */
export function markAccessed(processor: Processor, descriptor: RawDescriptor): boolean {
  if ((descriptor.high & ACCESSED_BIT) !== 0) return true;
  const high = (descriptor.high | ACCESSED_BIT) >>> 0;
  return writeLinear(processor, descriptor.address + 4n, 4, BigInt(high), IMPLICIT);
}

/** Puts a segment into its register, without checks. The caller updates the mode when CS or SS changes privilege. */
export function setSegmentRegister(processor: Processor, segment: number, selector: number, descriptor: SegmentDescriptor): void {
  const { state } = processor;
  state.set32('segmentSelector', selector & 0xffff, segment);
  state.set('segmentBase', descriptor.base, segment);
  state.set32('segmentLimit', descriptor.limit, segment);
  state.set32('segmentAttributes', descriptor.attributes, segment);
}

export function segmentOf(descriptor: RawDescriptor): SegmentDescriptor {
  return parseSegmentDescriptor(descriptor.low, (descriptor.high | ACCESSED_BIT) >>> 0);
}

/** The unusable segment that a null selector loads. In 64-bit mode a null SS keeps its privilege. */
const UNUSABLE: SegmentDescriptor = { base: 0n, limit: 0, attributes: 0 };

/** Real-address and virtual-8086 mode: base from the selector, limit and rights stay (SDM 3A §20.1.1). */
export function loadSegmentRealMode(processor: Processor, segment: number, selector: number): void {
  processor.state.set32('segmentSelector', selector, segment);
  processor.state.set('segmentBase', BigInt(selector << 4), segment);
}

/** A segment of virtual-8086 mode: 64 KiB from the selector, as data of CPL 3 (SDM 3A §20.2.1). */
export function setVirtual8086Segment(processor: Processor, segment: number, selector: number): void {
  const attributes = Attribute.P | (3 << Attribute.DPL_SHIFT) | Attribute.S | Attribute.READ_WRITE | Attribute.ACCESSED;
  setSegmentRegister(processor, segment, selector, { base: BigInt(selector << 4), limit: 0xffff, attributes });
}

/**
 * MOV and POP to a segment register other than CS, LDS and its kin. False: a fault was recorded and nothing changed.
 * The caller sets the interrupt shadow of a load of SS.
 */
export function loadSegment(processor: Processor, segment: number, selector: number): boolean {
  const { state } = processor;
  if (!inProtectedMode(state)) {
    loadSegmentRealMode(processor, segment, selector);
    return true;
  }
  if (segment === Segment.SS) return loadStackSegment(processor, selector, state.get32('cpl'), Vector.GP);
  if (isNull(selector)) {
    setNull(processor, segment, selector);
    return true;
  }
  const descriptor = readDescriptor(processor, selector);
  if (descriptor === undefined) return false;
  const attributes = descriptorAttributes(descriptor.high);
  const isCode = (attributes & Attribute.CODE) !== 0;
  const readable = !isCode || (attributes & Attribute.READ_WRITE) !== 0;
  const conforming = isCode && (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0;
  const dpl = dplOf(descriptor.high);
  const privileged = !conforming && (dpl < (selector & 3) || dpl < state.get32('cpl'));
  if ((attributes & Attribute.S) === 0 || !readable || privileged) {
    processor.faultWithCode(Vector.GP, selectorCode(selector));
    return false;
  }
  if ((attributes & Attribute.P) === 0) {
    processor.faultWithCode(Vector.NP, selectorCode(selector));
    return false;
  }
  if (!markAccessed(processor, descriptor)) return false;
  setSegmentRegister(processor, segment, selector, segmentOf(descriptor));
  updateSegment(processor, segment);
  return true;
}

/** A null load clears base and limit of FS and GS too, as Intel does, and AMD since Zen 2 (zen3 is the one AMD model). */
export function setNull(processor: Processor, segment: number, selector: number): void {
  setSegmentRegister(processor, segment, selector, UNUSABLE);
  updateSegment(processor, segment);
}

/**
 * Loads SS for code at `cpl`. `vector` is that of a bad selector: #GP for MOV SS and returns, #TS for a stack from the TSS.
 */
export function loadStackSegment(processor: Processor, selector: number, cpl: number, vector: number, external = 0): boolean {
  const descriptor = checkStackSegment(processor, selector, cpl, vector, external);
  if (descriptor === undefined) return false;
  if (descriptor === 'null') {
    setNullStack(processor, selector, cpl);
  } else {
    if (!markAccessed(processor, descriptor)) return false;
    setSegmentRegister(processor, Segment.SS, selector, segmentOf(descriptor));
  }
  updateSegment(processor, Segment.SS);
  return true;
}

/** SS of 64-bit mode after an event or a return: null, with the privilege kept in its rights (SDM 3A §6.14.2). */
export function setNullStack(processor: Processor, selector: number, cpl: number): void {
  setSegmentRegister(processor, Segment.SS, selector, { base: 0n, limit: 0, attributes: cpl << Attribute.DPL_SHIFT });
}

/** The checks of {@link loadStackSegment} without loading; 'null' for a null selector that 64-bit mode allows. */
export function checkStackSegment(
  processor: Processor,
  selector: number,
  cpl: number,
  vector: number,
  external = 0,
): RawDescriptor | 'null' | undefined {
  if (isNull(selector)) {
    if (processor.state.get32('codeMode') === 64 && cpl !== 3 && (selector & 3) === cpl) return 'null';
    processor.faultWithCode(vector, vector === Vector.GP ? 0 : selectorCode(selector) | external);
    return undefined;
  }
  const descriptor = readDescriptor(processor, selector, vector, external);
  if (descriptor === undefined) return undefined;
  const attributes = descriptorAttributes(descriptor.high);
  const writableData = (attributes & (Attribute.S | Attribute.CODE | Attribute.READ_WRITE)) === (Attribute.S | Attribute.READ_WRITE);
  if ((selector & 3) !== cpl || !writableData || dplOf(descriptor.high) !== cpl) {
    processor.faultWithCode(vector, selectorCode(selector) | external);
    return undefined;
  }
  if ((attributes & Attribute.P) === 0) {
    processor.faultWithCode(Vector.SS, selectorCode(selector) | external);
    return undefined;
  }
  return descriptor;
}

/** Loads CS without checks (the caller made them), with the RPL of the new privilege, and updates the mode. */
export function loadCodeSegment(processor: Processor, selector: number, cpl: number, segment: SegmentDescriptor): void {
  setSegmentRegister(processor, Segment.CS, (selector & 0xfffc) | cpl, segment);
  updateMode(processor);
}

/**
 * Limit and type check of an access outside 64-bit mode; engines call it where `segmentCheck` says so. False: #SS(0) for
 * SS, #GP(0) for the others was recorded.
 */
export function checkSegment(processor: Processor, segment: number, offset: number, size: number, write: boolean): boolean {
  const { state } = processor;
  const attributes = state.get32('segmentAttributes', segment);
  const typed = (state.get32('cr0') & Cr0.PE) !== 0;
  if (segmentAllows(attributes, state.get32('segmentLimit', segment), offset, size, write, typed)) return true;
  processor.faultWithCode(segment === Segment.SS ? Vector.SS : Vector.GP, 0);
  return false;
}

/** Real-address mode does not look at the type: `typed` is false. */
function segmentAllows(attributes: number, limit: number, offset: number, size: number, write: boolean, typed: boolean): boolean {
  const last = offset + size - 1;
  if (!typed) return last <= limit;
  if ((attributes & (Attribute.P | Attribute.S)) !== (Attribute.P | Attribute.S)) return false;
  const isCode = (attributes & Attribute.CODE) !== 0;
  const readWrite = (attributes & Attribute.READ_WRITE) !== 0;
  if (write ? isCode || !readWrite : isCode && !readWrite) return false;
  if (!isCode && (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0) {
    const top = (attributes & Attribute.DB) !== 0 ? 0xffff_ffff : 0xffff;
    return offset > limit && last <= top;
  }
  return last <= limit;
}

/** Limit check of an instruction fetch or branch target outside 64-bit mode; #GP(0) is recorded. */
export function checkCodeLimit(processor: Processor, offset: number): boolean {
  if (offset <= processor.state.get32('segmentLimit', Segment.CS)) return true;
  processor.faultWithCode(Vector.GP, 0);
  return false;
}

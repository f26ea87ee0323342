/**
 * Stacks of event delivery and far transfers: pushes to one that is not loaded yet, pops from the current one.
 * Nothing is committed: the caller sets RSP when everything else has succeeded.
 * Sources: SDM 3A §5.8.5 (stack switching), §6.12.1; SDM 1 §6.2 (stack size and address size).
 */
import { Attribute } from '../../x86/descriptors.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { Register } from '../../x86/registers.ts';
import { checkSegment } from '../mmu/segmentation.ts';
import { checkCanonical, probeWrite, privilegeOf, readLinear, writeLinear } from '../mmu/system-access.ts';
import type { Processor } from '../processor.ts';

export interface StackView {
  readonly base: bigint;
  readonly limit: number;
  readonly attributes: number;
  /** Width of the stack pointer: by SS.B, or all of it in 64-bit mode. */
  readonly mask: bigint;
  readonly pointer: bigint;
}

/** The current stack. */
export function stackOf(processor: Processor): StackView {
  const { state } = processor;
  const mask = state.get('stackMask');
  return {
    base: state.get32('codeMode') === 64 ? 0n : state.get('segmentBase', Segment.SS),
    limit: state.get32('segmentLimit', Segment.SS),
    attributes: state.get32('segmentAttributes', Segment.SS),
    mask,
    pointer: state.get('gpr', Register.RSP) & mask,
  };
}

function withinLimit(stack: StackView, offset: bigint, size: number): boolean {
  const first = Number(offset);
  const last = first + size - 1;
  if ((stack.attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0) {
    const top = (stack.attributes & Attribute.DB) !== 0 ? 0xffff_ffff : 0xffff;
    return first > stack.limit && last <= top;
  }
  return last <= stack.limit;
}

/**
 * Pushes words on a stack outside 64-bit mode, first word first, as code at `cpl`. All are checked before one is written.
 * Returns the new pointer, or undefined with a fault recorded (#SS with `errorCode` for the limit).
 */
export function pushAll(
  processor: Processor,
  stack: StackView,
  words: readonly bigint[],
  size: number,
  cpl: number,
  errorCode: number,
): bigint | undefined {
  const who = privilegeOf(cpl);
  const at = (i: number): bigint => (stack.pointer - BigInt((i + 1) * size)) & stack.mask;
  const linear = (i: number): bigint => (stack.base + at(i)) & 0xffff_ffffn;
  for (let i = 0; i < words.length; i++) {
    if (!withinLimit(stack, at(i), size)) {
      processor.faultWithCode(Vector.SS, errorCode);
      return undefined;
    }
    if (!probeWrite(processor, linear(i), size, who)) return undefined;
  }
  for (const [i, word] of words.entries()) {
    if (!writeLinear(processor, linear(i), size, BigInt.asUintN(size * 8, word), who)) return undefined;
  }
  return at(words.length - 1);
}

/** Reads the word `index` words above the top of the current stack, as the current code; undefined: faulted. */
export function peekStack(processor: Processor, index: number, size: number, extra = 0): bigint | undefined {
  const { state } = processor;
  const mask = state.get('stackMask');
  const offset = (state.get('gpr', Register.RSP) + BigInt(index * size + extra)) & mask;
  let linear = offset;
  if (state.get32('codeMode') === 64) {
    if (!checkCanonical(processor, offset, size, true)) return undefined;
  } else {
    if (!checkSegment(processor, Segment.SS, Number(offset), size, false)) return undefined;
    linear = (state.get('segmentBase', Segment.SS) + offset) & 0xffff_ffffn;
  }
  return readLinear(processor, linear, size, privilegeOf(state.get32('cpl')));
}

/**
 * Pushes one word on the current stack as the current code and moves RSP; of the word only `written` bytes are stored.
 * False: a fault was recorded.
 */
export function pushOne(processor: Processor, word: bigint, size: number, written = size): boolean {
  const { state } = processor;
  const mask = state.get('stackMask');
  const pointer = (state.get('gpr', Register.RSP) - BigInt(size)) & mask;
  let linear = pointer;
  if (state.get32('codeMode') === 64) {
    if (!checkCanonical(processor, pointer, written, true)) return false;
  } else {
    if (!checkSegment(processor, Segment.SS, Number(pointer), size, true)) return false;
    linear = (state.get('segmentBase', Segment.SS) + pointer) & 0xffff_ffffn;
  }
  if (!writeLinear(processor, linear, written, word, privilegeOf(state.get32('cpl')))) return false;
  setStackPointer(processor, pointer, mask);
  return true;
}

/** RSP with `pointer` in the part that the stack's size covers: the upper bits stay, but in 64-bit mode there are none. */
export function setStackPointer(processor: Processor, pointer: bigint, mask: bigint): void {
  const { state } = processor;
  const old = state.get('gpr', Register.RSP);
  state.set('gpr', (old & 0xffff_ffff_ffff_ffffn & ~mask) | (pointer & mask), Register.RSP);
}

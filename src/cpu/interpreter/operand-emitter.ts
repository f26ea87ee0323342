/**
 * The part of the emitting instances of the algebra that handlers and compiled regions share: vectors, memory and checks of targets, over what
 * each of them does its own way (where registers are, what a miss of the lookup table leads to).
 */
import { type Operand, Segment } from '../../x86/instruction.ts';
import type { SegmentReference, VectorWord, Width } from '../algebra.ts';
import { LOOKUP_ENTRIES, LOOKUP_ENTRY_BYTES, OFFSET } from '../state.ts';
import { ComputationEmitter, type Condition, STATE, type Word } from './computation-emitter.ts';

const MASK64 = 0xffff_ffff_ffff_ffffn;
const READ_TAG = 0;
const WRITE_TAG = 8;
const ADDEND = 24;

export abstract class OperandEmitter extends ComputationEmitter {
  protected abstract readonly legacy: boolean;

  abstract effectiveAddress(): Word;
  abstract readXmm(operand: Operand, word: VectorWord): Word;
  abstract writeXmm(operand: Operand, word: VectorWord, value: Word): void;
  /** i32 local with the host address of an access, after all checks; does not come back from an access that fails them. */
  protected abstract address(segment: SegmentReference, offset: Word, size: number, write: boolean): number;
  /** Does not come back when the memory operand is not a multiple of its size and has to be. */
  protected abstract checkAligned(offset: Word, size: number, write: boolean): void;
  /** Completes a store to an address that `address` gave. */
  protected abstract commit(at: number): void;

  // --- vectors --------------------------------------------------------------------------------------------------

  read128(operand: Operand, aligned: boolean): [Word, Word] {
    return this.readWords(operand, [0, 1], aligned) as [Word, Word];
  }
  write128(operand: Operand, low: Word, high: Word, aligned: boolean): void {
    this.writeWords(operand, [low, high], aligned);
  }
  read256(operand: Operand, aligned: boolean): [Word, Word, Word, Word] {
    return this.readWords(operand, [0, 1, 2, 3], aligned) as [Word, Word, Word, Word];
  }
  write256(operand: Operand, words: readonly Word[], aligned: boolean): void {
    this.writeWords(operand, words, aligned);
  }
  private readWords(operand: Operand, words: readonly VectorWord[], aligned: boolean): Word[] {
    if (operand.kind !== 'memory') return words.map((word) => this.readXmm(operand, word));
    const at = this.vectorAddress(words.length * 8, aligned, false);
    return words.map((word) => {
      this.body.local_get(at);
      this.body.load('i64.load', word * 8);
      return this.take();
    });
  }
  private writeWords(operand: Operand, words: readonly Word[], aligned: boolean): void {
    if (operand.kind !== 'memory') {
      for (const [n, word] of words.entries()) this.writeXmm(operand, n as VectorWord, word);
      return;
    }
    const at = this.vectorAddress(words.length * 8, aligned, true);
    for (const [n, word] of words.entries()) {
      this.body.local_get(at);
      this.push(word);
      this.body.store('i64.store', n * 8);
    }
    this.commit(at);
  }
  private vectorAddress(size: number, aligned: boolean, write: boolean): number {
    const offset = this.effectiveAddress();
    if (aligned) this.checkAligned(offset, size, write);
    return this.address('operand', offset, size, write);
  }

  // --- memory ---------------------------------------------------------------------------------------------------

  load(width: Width, segment: SegmentReference, offset: Word): Word {
    const at = this.address(segment, offset, width / 8, false);
    this.body.local_get(at);
    this.loadFrom(width);
    this.body.free(at);
    return this.take();
  }
  store(width: Width, segment: SegmentReference, offset: Word, value: Word): void {
    const at = this.address(segment, offset, width / 8, true);
    this.storeAt(width, at, value);
    this.body.free(at);
  }
  probeStore(width: Width, segment: SegmentReference, offset: Word): void {
    this.body.free(this.address(segment, offset, width / 8, true));
  }
  stackMask(): Word {
    return this.legacy ? this.field('stackMask') : this.constant(MASK64);
  }
  /** Loads from the address on the stack. */
  protected loadFrom(width: Width): void {
    if (width === 8) this.body.load('i64.load8_u', 0);
    else if (width === 16) this.body.load('i64.load16_u', 0);
    else if (width === 32) this.body.load('i64.load32_u', 0);
    else this.body.load('i64.load', 0);
  }
  protected storeAt(width: Width, at: number, value: Word): void {
    this.body.local_get(at);
    this.push(value);
    if (width === 8) this.body.store('i64.store8', 0);
    else if (width === 16) this.body.store('i64.store16', 0);
    else if (width === 32) this.body.store('i64.store32', 0);
    else this.body.store('i64.store', 0);
    this.commit(at);
  }

  /** A branch target is not canonical, or over the limit of CS in legacy modes. */
  protected isOutsideCode(target: Word): Condition {
    if (this.legacy) {
      this.body.local_get(STATE);
      this.body.load('i64.load32_u', OFFSET.segmentLimit + Segment.CS * 4);
      return this.ltU(this.take(), target);
    }
    const c16 = this.constant(16);
    return this.ne(this.sar(this.shl(target, c16), c16), target);
  }

  // --- lookup table ---------------------------------------------------------------------------------------------

  /** Pushes the tag of a linear address's entry and the one that it must have; gives the local with the entry. */
  protected pushTags(linear: Word, size: number, write: boolean, pushTable: () => void, pushGeneration: () => void): number {
    const { body } = this;
    const entry = body.local('i32');
    // entry = lookupTable + ((linear >> 12) & (entries - 1)) * entry bytes
    pushTable();
    this.push(linear);
    body.i64_const(12 - Math.log2(LOOKUP_ENTRY_BYTES));
    body.emit('i64.shr_u');
    body.emit('i32.wrap_i64');
    body.i32_const((LOOKUP_ENTRIES - 1) * LOOKUP_ENTRY_BYTES);
    body.emit('i32.and');
    body.emit('i32.add');
    body.local_tee(entry);
    body.load('i64.load', write ? WRITE_TAG : READ_TAG);
    // The page of the last byte: an access that crosses a page never matches.
    this.push(size === 1 ? linear : this.add(linear, this.constant(size - 1)));
    body.i64_const(-4096);
    body.emit('i64.and');
    pushGeneration();
    body.emit('i64.or');
    return entry;
  }
  /** Sets `host` to the host address that an entry gives. */
  protected setHostAddress(host: number, linear: Word, entry: number): void {
    this.push(linear);
    this.body.local_get(entry);
    this.body.load('i64.load', ADDEND);
    this.body.emit('i64.add');
    this.body.emit('i32.wrap_i64');
    this.body.local_set(host);
  }
}

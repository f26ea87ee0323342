/**
 * Free machine frames, as a bitmap. Single frames come from the highest free address down, as Xen's heap gives them
 * (so a domain's machine frames run against its guest frames); `seed` chooses another start, to show that results do
 * not hang on placement. Plain data, saved whole.
 */

import { assert } from '../base/errors.ts';

const bitsPerWord = 32;

export class FrameAllocator {
  readonly frameCount: number;
  /** Bit set: free. */
  readonly bitmap: Uint32Array;
  free = 0;
  /** Word from which the search for a single frame goes down. */
  hint: number;

  constructor(frameCount: number) {
    this.frameCount = frameCount;
    this.bitmap = new Uint32Array(Math.ceil(frameCount / bitsPerWord));
    this.hint = this.bitmap.length - 1;
  }

  isFree(frame: number): boolean {
    return (((this.bitmap[frame >>> 5] ?? 0) >>> (frame & 31)) & 1) === 1;
  }

  release(frame: number): void {
    assert(!this.isFree(frame), () => `frame ${frame} released twice`);
    const word = frame >>> 5;
    this.bitmap[word] = ((this.bitmap[word] as number) | (1 << (frame & 31))) >>> 0;
    this.free++;
    if (word > this.hint) this.hint = word;
  }

  /** The highest free frame below `limit` (exclusive), or -1. */
  allocate(limit = this.frameCount): number {
    if (limit <= 0) return -1;
    const top = (Math.min(limit, this.frameCount) - 1) >>> 5;
    for (let word = Math.min(this.hint, top); word >= 0; word--) {
      let bits = this.bitmap[word] as number;
      if (word === top && limit < (word + 1) * bitsPerWord) bits &= (1 << (limit & 31)) - 1;
      if (bits === 0) continue;
      const frame = word * bitsPerWord + 31 - Math.clz32(bits);
      this.take(frame);
      if (limit >= this.frameCount) this.hint = word;
      return frame;
    }
    return -1;
  }

  /** First of `count` contiguous free frames aligned to `alignment`, below `limit`; the highest such run, or -1. */
  allocateRun(count: number, alignment: number, limit = this.frameCount): number {
    const last = Math.min(limit, this.frameCount) - count;
    for (let first = last - (last % alignment); first >= 0; first -= alignment) {
      if (!this.#allFree(first, count)) continue;
      for (let i = 0; i < count; i++) this.take(first + i);
      return first;
    }
    return -1;
  }

  /** Takes a particular frame out of the free ones. */
  take(frame: number): void {
    assert(this.isFree(frame), () => `frame ${frame} taken but not free`);
    const word = frame >>> 5;
    this.bitmap[word] = ((this.bitmap[word] as number) & ~(1 << (frame & 31))) >>> 0;
    this.free--;
  }

  #allFree(first: number, count: number): boolean {
    for (let i = 0; i < count; i++) if (!this.isFree(first + i)) return false;
    return true;
  }
}

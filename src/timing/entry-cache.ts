/**
 * A set-associative cache of tags with least-recently-used replacement: the form of the modelled TLBs, of the cache of
 * upper paging levels and of the second-stage cache. It answers only whether an entry is there. State is typed arrays;
 * nothing is allocated after construction.
 *
 * A key is a page number in two 32-bit halves; `space` (VPID, stage, level) is part of the tag and not of the index.
 */

import type { Persistent, SaveReader, SaveWriter } from '../base/persist.ts';

const VALID = 1;
const GLOBAL = 2;
const SPACE_SHIFT = 2;

export class EntryCache implements Persistent {
  readonly #name: string;
  readonly #setMask: number;
  readonly #ways: number;
  readonly #low: Int32Array;
  readonly #high: Int32Array;
  /** 0 = empty; else VALID, GLOBAL, space. */
  readonly #tag: Int32Array;
  readonly #used: Float64Array;
  /** Element 0: the clock of `#used`. */
  readonly #clock = new Float64Array(1);

  /** @param sets a power of two; 1 makes it fully associative. */
  constructor(name: string, sets: number, ways: number) {
    this.#name = name;
    this.#setMask = sets - 1;
    this.#ways = ways;
    const size = sets * ways;
    this.#low = new Int32Array(size);
    this.#high = new Int32Array(size);
    this.#tag = new Int32Array(size);
    this.#used = new Float64Array(size);
  }

  /** True when the entry is there, which makes it the most recently used of its set. */
  find(low: number, high: number, space: number): boolean {
    const at = this.#position(low | 0, high | 0, space);
    if (at < 0) return false;
    this.#used[at] = ++this.#clock[0]!;
    return true;
  }

  /** As {@link find}, but changes nothing. */
  holds(low: number, high: number, space: number): boolean {
    return this.#position(low | 0, high | 0, space) >= 0;
  }

  /** Enters a key that is not there, in place of the least recently used one of its set. */
  insert(low: number, high: number, space: number, global: boolean): void {
    const first = (low & this.#setMask) * this.#ways;
    let at = first;
    for (let i = first; i < first + this.#ways; i++) {
      if (this.#tag[i] === 0) {
        at = i;
        break;
      }
      if (this.#used[i]! < this.#used[at]!) at = i;
    }
    this.#low[at] = low;
    this.#high[at] = high;
    this.#tag[at] = VALID | (global ? GLOBAL : 0) | (space << SPACE_SHIFT);
    this.#used[at] = ++this.#clock[0]!;
  }

  drop(low: number, high: number, space: number): void {
    const at = this.#position(low | 0, high | 0, space);
    if (at >= 0) this.#tag[at] = 0;
  }

  /** Drops the entries whose space has the bits `value` under `mask`; global ones too when `alsoGlobal`. */
  dropSpaces(mask: number, value: number, alsoGlobal: boolean): void {
    for (let i = 0; i < this.#tag.length; i++) {
      const tag = this.#tag[i]!;
      if (tag === 0 || ((tag >> SPACE_SHIFT) & mask) !== value) continue;
      if (alsoGlobal || (tag & GLOBAL) === 0) this.#tag[i] = 0;
    }
  }

  dropAll(): void {
    this.#tag.fill(0);
  }

  get occupied(): number {
    let count = 0;
    for (const tag of this.#tag) if (tag !== 0) count += 1;
    return count;
  }

  #position(low: number, high: number, space: number): number {
    const first = (low & this.#setMask) * this.#ways;
    const wanted = VALID | (space << SPACE_SHIFT);
    for (let i = first; i < first + this.#ways; i++) {
      if (this.#low[i] === low && (this.#tag[i]! & ~GLOBAL) === wanted && this.#high[i] === high) return i;
    }
    return -1;
  }

  save(writer: SaveWriter): void {
    writer.section(this.#name, 1, () => {
      for (const array of this.#arrays()) writer.array(array);
    });
  }

  restore(reader: SaveReader): void {
    reader.section(this.#name, 1, () => {
      for (const array of this.#arrays()) reader.array(array);
    });
  }

  #arrays(): ArrayBufferView<ArrayBufferLike>[] {
    return [this.#low, this.#high, this.#tag, this.#used, this.#clock];
  }
}

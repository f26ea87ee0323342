/**
 * How recently a cache line of paging structures was read, by the number of other lines since: a true LRU list of
 * `middleLines` lines with a mark after the first `nearLines`. Stands for where the walker finds the line (L1, L2 or
 * beyond): walks that come back soon are cheap, walks after much other work are dear. Data accesses of guests do not
 * enter it; the two sizes are what walks may keep of the real caches.
 * State is typed arrays: a hash table with chains and a doubly linked list of slots. One look-up, nothing allocated.
 */

import type { Persistent, SaveReader, SaveWriter } from '../base/persist.ts';

/** Result of a read. */
export const Recency = { NEAR: 0, MIDDLE: 1, FAR: 2 } as const;
export type Recency = (typeof Recency)[keyof typeof Recency];

const NONE = -1;
// Scalars in one array, so that they are saved with the rest.
const COUNT = 0;
const HEAD = 1;
const TAIL = 2;
const LAST_NEAR = 3;

export class LineRecency implements Persistent {
  readonly #near: number;
  readonly #capacity: number;
  readonly #low: Int32Array;
  readonly #tag: Int32Array;
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  readonly #isNear: Uint8Array;
  readonly #buckets: Int32Array;
  readonly #chain: Int32Array;
  readonly #scalars = Int32Array.of(0, NONE, NONE, NONE);

  /** @param nearLines fewer than `middleLines`. */
  constructor(nearLines: number, middleLines: number) {
    this.#near = nearLines;
    this.#capacity = middleLines;
    this.#low = new Int32Array(middleLines);
    this.#tag = new Int32Array(middleLines);
    this.#previous = new Int32Array(middleLines).fill(NONE);
    this.#next = new Int32Array(middleLines).fill(NONE);
    this.#isNear = new Uint8Array(middleLines);
    this.#buckets = new Int32Array(4096).fill(NONE);
    this.#chain = new Int32Array(middleLines).fill(NONE);
  }

  /** Reads a line, named by a number and a tag (what kind of structure, whose); it becomes the most recent one. */
  read(low: number, tag: number): Recency {
    low |= 0;
    const scalars = this.#scalars;
    let slot = this.#buckets[this.#bucket(low, tag)]!;
    while (slot !== NONE && (this.#low[slot] !== low || this.#tag[slot] !== tag)) slot = this.#chain[slot]!;
    if (slot === NONE) {
      this.#enter(low, tag);
      return Recency.FAR;
    }
    if (slot === scalars[HEAD]) return Recency.NEAR;
    const wasNear = this.#isNear[slot] === 1;
    if (slot === scalars[LAST_NEAR]) scalars[LAST_NEAR] = this.#previous[slot]!;
    this.#unlink(slot);
    this.#pushFront(slot);
    if (wasNear) return Recency.NEAR;
    this.#demoteLastNear();
    return Recency.MIDDLE;
  }

  clear(): void {
    this.#buckets.fill(NONE);
    this.#scalars.set([0, NONE, NONE, NONE]);
  }

  #enter(low: number, tag: number): void {
    const scalars = this.#scalars;
    let slot: number;
    if (scalars[COUNT]! < this.#capacity) {
      slot = scalars[COUNT]!;
      scalars[COUNT] = slot + 1;
    } else {
      slot = scalars[TAIL]!;
      this.#unlink(slot);
      this.#unchain(slot);
    }
    this.#low[slot] = low;
    this.#tag[slot] = tag;
    const bucket = this.#bucket(low, tag);
    this.#chain[slot] = this.#buckets[bucket]!;
    this.#buckets[bucket] = slot;
    this.#pushFront(slot);
    if (scalars[COUNT]! <= this.#near) {
      // All lines are near while they are few: the mark is the tail.
      scalars[LAST_NEAR] = scalars[TAIL]!;
    } else {
      this.#demoteLastNear();
    }
  }

  #demoteLastNear(): void {
    const last = this.#scalars[LAST_NEAR]!;
    this.#isNear[last] = 0;
    this.#scalars[LAST_NEAR] = this.#previous[last]!;
  }

  #pushFront(slot: number): void {
    const scalars = this.#scalars;
    const head = scalars[HEAD]!;
    this.#previous[slot] = NONE;
    this.#next[slot] = head;
    if (head === NONE) scalars[TAIL] = slot;
    else this.#previous[head] = slot;
    scalars[HEAD] = slot;
    this.#isNear[slot] = 1;
  }

  #unlink(slot: number): void {
    const before = this.#previous[slot]!;
    const after = this.#next[slot]!;
    if (before === NONE) this.#scalars[HEAD] = after;
    else this.#next[before] = after;
    if (after === NONE) this.#scalars[TAIL] = before;
    else this.#previous[after] = before;
  }

  #unchain(slot: number): void {
    const bucket = this.#bucket(this.#low[slot]!, this.#tag[slot]!);
    let at = this.#buckets[bucket]!;
    if (at === slot) {
      this.#buckets[bucket] = this.#chain[slot]!;
      return;
    }
    while (this.#chain[at] !== slot) at = this.#chain[at]!;
    this.#chain[at] = this.#chain[slot]!;
  }

  #bucket(low: number, tag: number): number {
    const mixed = Math.imul(low ^ Math.imul(tag, 0x9e3779b1), 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & 4095;
  }

  save(writer: SaveWriter): void {
    writer.section('line-recency', 1, () => {
      for (const array of this.#arrays()) writer.array(array);
    });
  }

  restore(reader: SaveReader): void {
    reader.section('line-recency', 1, () => {
      for (const array of this.#arrays()) reader.array(array);
    });
  }

  #arrays(): ArrayBufferView<ArrayBufferLike>[] {
    return [this.#scalars, this.#low, this.#tag, this.#previous, this.#next, this.#isNear, this.#buckets, this.#chain];
  }
}

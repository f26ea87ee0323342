/**
 * Where the sectors of a disk are in its log: a sorted list of extents per region of 65536 sectors. An extent is four
 * 32-bit words, so a disk written at random in 4 KiB blocks costs 16 bytes of memory for every 4096 of data, and one
 * written in sequence next to nothing. A copy shares its regions until one side changes them.
 */

import { assert } from '../../base/errors.ts';

export const regionSectors = 65536;

/** Words of an extent: first sector in the region, sectors, segment, sector in the segment. */
const stride = 4;

interface Region {
  words: Uint32Array;
  count: number;
  /** Another map has it too: change a copy. */
  shared: boolean;
}

/** Part of a lookup: `segment` 0 stands for sectors that were never written or were discarded. */
export interface MappedRange {
  first: number;
  count: number;
  segment: number;
  offset: number;
}

export class ExtentMap {
  readonly #regions: Map<number, Region>;
  /** Told how many sectors of a segment have lost their place. */
  readonly #dropped: (segment: number, sectors: number) => void;

  constructor(dropped: (segment: number, sectors: number) => void = () => {}, regions = new Map<number, Region>()) {
    this.#dropped = dropped;
    this.#regions = regions;
  }

  get extentCount(): number {
    let sum = 0;
    for (const { count } of this.#regions.values()) sum += count;
    return sum;
  }

  /** Puts sectors at `offset` of `segment`; segment 0 forgets them. */
  set(first: number, count: number, segment: number, offset: number): void {
    let at = 0;
    while (at < count) {
      const index = Math.floor((first + at) / regionSectors);
      const start = (first + at) % regionSectors;
      const step = Math.min(regionSectors - start, count - at);
      this.#setInRegion(index, start, step, segment, offset + at);
      at += step;
    }
  }

  /** The ranges that cover `count` sectors from `first` on, in order. */
  lookup(first: number, count: number): MappedRange[] {
    const ranges: MappedRange[] = [];
    const end = first + count;
    let at = first;
    const hole = (to: number): void => {
      if (to > at) ranges.push({ first: at, count: to - at, segment: 0, offset: 0 });
      at = to;
    };
    for (let index = Math.floor(first / regionSectors); index * regionSectors < end; index++) {
      const region = this.#regions.get(index);
      if (!region) continue;
      const base = index * regionSectors;
      for (let i = firstEndingAfter(region, Math.max(0, at - base)); i < region.count; i++) {
        const w = i * stride;
        const start = base + region.words[w]!;
        if (start >= end) break;
        hole(Math.max(at, start));
        const to = Math.min(end, start + region.words[w + 1]!);
        ranges.push({ first: at, count: to - at, segment: region.words[w + 2]!, offset: region.words[w + 3]! + (at - start) });
        at = to;
      }
    }
    hole(end);
    return ranges;
  }

  /** A map with the same places; later changes of either do not show in the other. */
  copy(): ExtentMap {
    for (const region of this.#regions.values()) region.shared = true;
    return new ExtentMap(undefined, new Map([...this.#regions].map(([index, region]) => [index, { ...region }])));
  }

  /** The extents of each region as little-endian words, for a checkpoint. */
  *regions(): Generator<{ index: number; words: Uint32Array }> {
    for (const [index, { words, count }] of this.#regions) if (count > 0) yield { index, words: words.subarray(0, count * stride) };
  }

  /** Puts back a region that {@link regions} gave. @returns false when the words cannot be extents of a region. */
  loadRegion(index: number, words: Uint32Array): boolean {
    let end = 0;
    for (let w = 0; w < words.length; w += stride) {
      if (words[w]! < end || words[w + 1]! === 0 || words[w + 2]! === 0) return false;
      end = words[w]! + words[w + 1]!;
    }
    if (end > regionSectors) return false;
    this.#regions.set(index, { words: words.slice(), count: words.length / stride, shared: false });
    return true;
  }

  #setInRegion(index: number, start: number, length: number, segment: number, offset: number): void {
    let region = this.#regions.get(index);
    if (!region) {
      if (segment === 0) return;
      region = { words: new Uint32Array(8 * stride), count: 0, shared: false };
      this.#regions.set(index, region);
    }
    const end = start + length;
    const from = firstEndingAfter(region, start);
    let to = from;
    const kept: number[] = [];
    while (to < region.count && region.words[to * stride]! < end) {
      const w = to * stride;
      const [oldStart, oldLength, oldSegment, oldOffset] = [
        region.words[w]!,
        region.words[w + 1]!,
        region.words[w + 2]!,
        region.words[w + 3]!,
      ];
      const oldEnd = oldStart + oldLength;
      if (oldStart < start) kept.push(oldStart, start - oldStart, oldSegment, oldOffset);
      this.#dropped(oldSegment, Math.min(oldEnd, end) - Math.max(oldStart, start));
      if (segment !== 0 && to === from) kept.push(start, length, segment, offset);
      if (oldEnd > end) kept.push(end, oldEnd - end, oldSegment, oldOffset + end - oldStart);
      to++;
    }
    if (from === to && segment !== 0) kept.push(start, length, segment, offset);
    if (from === to && segment === 0) return;
    this.#replace(region, from, to, kept);
    if (region.count === 0) this.#regions.delete(index);
  }

  /** Replaces the extents from..to-1, and joins the first new one to the extent before it when they continue. */
  #replace(region: Region, from: number, to: number, kept: number[]): void {
    let begin = from;
    if (begin > 0 && kept.length > 0) {
      const w = (begin - 1) * stride;
      const words = region.words;
      const joins = words[w]! + words[w + 1]! === kept[0] && words[w + 2] === kept[2] && words[w + 3]! + words[w + 1]! === kept[3];
      if (joins) {
        begin--;
        kept.splice(0, 4, words[w]!, words[w + 1]! + kept[1]!, kept[2]!, words[w + 3]!);
      }
    }
    const added = kept.length / stride;
    const count = region.count - (to - begin) + added;
    if (region.shared || count * stride > region.words.length) {
      const words = new Uint32Array(Math.max(8, region.count, Math.ceil(count * 1.5)) * stride);
      words.set(region.words.subarray(0, region.count * stride));
      region.words = words;
      region.shared = false;
    }
    region.words.copyWithin((begin + added) * stride, to * stride, region.count * stride);
    region.words.set(kept, begin * stride);
    region.count = count;
    assert(count >= 0, 'an extent map lost count');
  }
}

/** Index of the first extent that ends after `sector`, or the count. */
function firstEndingAfter({ words, count }: Region, sector: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (words[middle * stride]! + words[middle * stride + 1]! > sector) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Reads ranges of committed segments through a bounded cache. What is fetched is whole windows of a segment, so that
 * neighbours come along; a window that several readers want at once is fetched once.
 */

import { sectorBytes } from '../../base/block-store.ts';
import { BackendError } from '../../base/errors.ts';
import type { ObjectStore } from '../object-store.ts';
import { type LineageEntry, lineageOf } from './disk-record.ts';
import { segmentName } from './disk-id.ts';
import { decodeFooter, footerBytes, type SegmentFooter, trailerBytes } from './segment.ts';

export const windowBytes = 128 * 1024;
const windowSectors = windowBytes / sectorBytes;

/** Most footers fit: 1020 entries. */
const footerGuessBytes = 1020 * 16 + trailerBytes;

export class SegmentReader {
  readonly #store: ObjectStore;
  readonly #lineage: () => readonly LineageEntry[];
  readonly #maxWindows: number;
  /** In the order of their last use, oldest first. */
  readonly #windows = new Map<string, Promise<Uint8Array>>();
  fetches = 0;

  /** @param lineage asked at each read, since an opening adds to it. */
  constructor(store: ObjectStore, lineage: () => readonly LineageEntry[], cacheBytes: number) {
    this.#store = store;
    this.#lineage = lineage;
    this.#maxWindows = Math.max(1, Math.floor(cacheBytes / windowBytes));
  }

  get cachedWindows(): number {
    return this.#windows.size;
  }

  nameOf(segment: number): string {
    const { disk, epoch } = lineageOf(this.#lineage(), segment);
    return segmentName(disk, epoch, segment);
  }

  /** Copies sectors of a segment into `into`. @throws {StoreError} NOT_FOUND when the segment has been collected. */
  async read(segment: number, offset: number, into: Uint8Array): Promise<void> {
    const sectors = into.length / sectorBytes;
    const jobs: Promise<void>[] = [];
    for (let at = 0; at < sectors; ) {
      const window = Math.floor((offset + at) / windowSectors);
      const start = (offset + at) % windowSectors;
      const step = Math.min(windowSectors - start, sectors - at);
      const target = into.subarray(at * sectorBytes, (at + step) * sectorBytes);
      jobs.push(
        this.#window(segment, window).then((bytes) => target.set(bytes.subarray(start * sectorBytes, (start + step) * sectorBytes))),
      );
      at += step;
    }
    // All must end before the caller gets its buffer back, failed or not.
    const failed = (await Promise.allSettled(jobs)).find((job) => job.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async footer(segment: number): Promise<SegmentFooter> {
    const name = this.nameOf(segment);
    const { body } = await this.#store.get(name, { range: { suffix: footerGuessBytes } });
    const length = footerBytes(body.subarray(Math.max(0, body.length - trailerBytes)), name);
    if (length <= body.length) return decodeFooter(body.subarray(body.length - length), name);
    const longer = await this.#store.get(name, { range: { suffix: length } });
    return decodeFooter(longer.body, name);
  }

  #window(segment: number, window: number): Promise<Uint8Array> {
    const key = `${segment}/${window}`;
    const known = this.#windows.get(key);
    this.#windows.delete(key);
    const bytes = known ?? this.#fetch(segment, window);
    this.#windows.set(key, bytes);
    if (!known) bytes.catch(() => this.#windows.get(key) === bytes && this.#windows.delete(key));
    if (this.#windows.size > this.#maxWindows) this.#windows.delete(this.#windows.keys().next().value!);
    return bytes;
  }

  async #fetch(segment: number, window: number): Promise<Uint8Array> {
    this.fetches++;
    const first = window * windowBytes;
    const name = this.nameOf(segment);
    const { info, body } = await this.#store.get(name, { range: { first, end: first + windowBytes } });
    if (body.length !== Math.min(windowBytes, info.size - first)) throw new BackendError('CORRUPT', `${name}: a range came back cut`);
    return body;
  }
}

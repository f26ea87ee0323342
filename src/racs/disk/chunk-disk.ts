/**
 * The simple layout, to measure the log against: one object per chunk of the disk, overwritten in place. A small write
 * reads the chunk and puts it back whole, so a 4 KiB write costs two transfers of a chunk; a crash between chunks tears
 * a flush, and nothing fences a second writer. Every write is at the providers when it resolves.
 */

import { type BlockStore, checkBlockRequest, sectorBytes } from '../../base/block-store.ts';
import { ConfigError } from '../../base/errors.ts';
import { isStoreError, type ObjectStore } from '../object-store.ts';

export class ChunkDisk implements BlockStore {
  readonly sectorCount: number;
  readonly readOnly = false;
  readonly #store: ObjectStore;
  readonly #prefix: string;
  readonly #chunkSectors: number;
  /** The last change of each chunk that is not finished. */
  readonly #busy = new Map<number, Promise<unknown>>();

  constructor(store: ObjectStore, options: { prefix: string; sectorCount: number; chunkBytes?: number }) {
    const { prefix, sectorCount, chunkBytes = 1024 * 1024 } = options;
    if (chunkBytes < sectorBytes || chunkBytes % sectorBytes !== 0)
      throw new ConfigError(`a chunk of ${chunkBytes} bytes is not whole sectors`);
    this.#store = store;
    this.#prefix = prefix;
    this.sectorCount = sectorCount;
    this.#chunkSectors = chunkBytes / sectorBytes;
  }

  async read(firstSector: number, into: Uint8Array): Promise<void> {
    checkBlockRequest(this, 'read', firstSector, into.length);
    await this.#each(firstSector, into.length / sectorBytes, async (chunk, start, count, at) => {
      await this.#busy.get(chunk);
      const target = into.subarray(at * sectorBytes, (at + count) * sectorBytes);
      const bytes = await this.#get(chunk, start, count);
      if (bytes) target.set(bytes);
      else target.fill(0);
    });
  }

  async write(firstSector: number, from: Uint8Array): Promise<void> {
    checkBlockRequest(this, 'write', firstSector, from.length);
    await this.#each(firstSector, from.length / sectorBytes, (chunk, start, count, at) =>
      this.#change(chunk, start, count, (bytes) =>
        bytes.set(from.subarray(at * sectorBytes, (at + count) * sectorBytes), start * sectorBytes),
      ),
    );
  }

  async flush(): Promise<void> {
    await Promise.allSettled(this.#busy.values());
  }

  async discard(firstSector: number, sectorCount: number): Promise<void> {
    checkBlockRequest(this, 'discard', firstSector, sectorCount * sectorBytes);
    await this.#each(firstSector, sectorCount, (chunk, start, count) =>
      this.#change(chunk, start, count, (bytes) => void bytes.fill(0, start * sectorBytes, (start + count) * sectorBytes)),
    );
  }

  /** One change of a chunk at a time: it is read, changed and written back, or deleted when only zeros are left. */
  #change(chunk: number, start: number, count: number, change: (bytes: Uint8Array) => void): Promise<void> {
    const before = this.#busy.get(chunk) ?? Promise.resolve();
    const done = before
      .catch(() => {})
      .then(async () => {
        const whole = start === 0 && count === this.#chunkSectors;
        const bytes = (whole ? null : await this.#get(chunk, 0, this.#chunkSectors)) ?? new Uint8Array(this.#chunkSectors * sectorBytes);
        change(bytes);
        if (bytes.every((byte) => byte === 0)) await this.#store.delete(this.#name(chunk));
        else await this.#store.put(this.#name(chunk), bytes);
      });
    const marker = done.catch(() => {}).finally(() => this.#busy.get(chunk) === marker && this.#busy.delete(chunk));
    this.#busy.set(chunk, marker);
    return done;
  }

  async #get(chunk: number, start: number, count: number): Promise<Uint8Array | null> {
    try {
      const { body } = await this.#store.get(this.#name(chunk), {
        range: { first: start * sectorBytes, end: (start + count) * sectorBytes },
      });
      return body;
    } catch (error) {
      if (isStoreError(error, 'NOT_FOUND')) return null;
      throw error;
    }
  }

  async #each(
    first: number,
    count: number,
    work: (chunk: number, start: number, count: number, at: number) => Promise<void>,
  ): Promise<void> {
    const jobs: Promise<void>[] = [];
    for (let at = 0; at < count; ) {
      const chunk = Math.floor((first + at) / this.#chunkSectors);
      const start = (first + at) % this.#chunkSectors;
      const step = Math.min(this.#chunkSectors - start, count - at);
      jobs.push(work(chunk, start, step, at));
      at += step;
    }
    const failed = (await Promise.allSettled(jobs)).find((job) => job.status === 'rejected');
    if (failed) throw failed.reason;
  }

  #name(chunk: number): string {
    return `${this.#prefix}${String(chunk).padStart(10, '0')}`;
  }
}

/**
 * What a disk stands on: an array of sectors behind asynchronous calls, as an array of clouds, a file or memory can
 * offer it. The CPU loop never waits on it; a device fixes the modelled completion time when it issues a request, and
 * the driver awaits the answer before guest time passes that moment.
 *
 * Contract, checked by test/support/block-store-contract.ts:
 * 1. Calls may overlap. A read that starts after a write has resolved sees it; overlapping calls on the same sectors
 *    see either order, whole sectors at a time.
 * 2. A buffer belongs to the store until the call's promise settles, and to the caller afterwards.
 * 3. A write may sit in a cache until `flush`; what was written before a flush began is durable once it resolves.
 * 4. Discarded sectors read as zeros until they are written again.
 * 5. A refused or failed call rejects with a BackendError; a failed write may have stored any part of its sectors.
 */

import { BackendError } from './errors.ts';

/** Bytes in a sector, whatever the medium below uses (Xen public/io/blkif.h counts in these). */
export const sectorBytes = 512;

export interface BlockStore {
  readonly sectorCount: number;
  readonly readOnly: boolean;
  /** Fills `into`, whose length is a multiple of {@link sectorBytes}, from `firstSector` on. */
  read(firstSector: number, into: Uint8Array): Promise<void>;
  /** Stores `from`, whose length is a multiple of {@link sectorBytes}, from `firstSector` on. */
  write(firstSector: number, from: Uint8Array): Promise<void>;
  /** Makes all earlier writes and discards durable. */
  flush(): Promise<void>;
  /** Lets the store forget sectors. */
  discard(firstSector: number, sectorCount: number): Promise<void>;
}

/**
 * Refuses what no store can do; stores call it first.
 * @throws {BackendError} `BAD_LENGTH` unless `byteLength` is whole sectors, `OUT_OF_RANGE` past the end, `READ_ONLY`.
 */
export function checkBlockRequest(store: BlockStore, kind: 'read' | 'write' | 'discard', firstSector: number, byteLength: number): void {
  if (byteLength % sectorBytes !== 0) {
    throw new BackendError('BAD_LENGTH', `${kind} of ${byteLength} bytes is not a multiple of ${sectorBytes}`);
  }
  const count = byteLength / sectorBytes;
  const inRange = Number.isSafeInteger(firstSector) && firstSector >= 0 && count >= 0 && firstSector + count <= store.sectorCount;
  if (!inRange) {
    throw new BackendError('OUT_OF_RANGE', `${kind} of ${count} sectors at ${firstSector}, but the store has ${store.sectorCount}`);
  }
  if (store.readOnly && kind !== 'read') throw new BackendError('READ_ONLY', `${kind} on a read-only store`);
}

/** Sectors in memory, kept sparsely: what was never written costs nothing. Flush has nothing to do. */
export class MemoryBlockStore implements BlockStore {
  readonly sectorCount: number;
  readonly readOnly: boolean;
  /** Present chunks by index; an absent one reads as zeros. */
  readonly #chunks = new Map<number, Uint8Array>();

  constructor(options: { sectorCount: number; readOnly?: boolean }) {
    this.sectorCount = options.sectorCount;
    this.readOnly = options.readOnly ?? false;
  }

  /** A store that holds a copy of `image`, its last sector padded with zeros. */
  static fromImage(image: Uint8Array, options: { readOnly?: boolean } = {}): MemoryBlockStore {
    const store = new MemoryBlockStore({ ...options, sectorCount: Math.ceil(image.length / sectorBytes) });
    store.#put(0, image);
    return store;
  }

  async read(firstSector: number, into: Uint8Array): Promise<void> {
    checkBlockRequest(this, 'read', firstSector, into.length);
    for (const { chunk, offset, at, length } of spans(firstSector * sectorBytes, into.length)) {
      const present = this.#chunks.get(chunk);
      if (present) into.set(present.subarray(offset, offset + length), at);
      else into.fill(0, at, at + length);
    }
  }

  async write(firstSector: number, from: Uint8Array): Promise<void> {
    checkBlockRequest(this, 'write', firstSector, from.length);
    this.#put(firstSector * sectorBytes, from);
  }

  async flush(): Promise<void> {}

  async discard(firstSector: number, sectorCount: number): Promise<void> {
    checkBlockRequest(this, 'discard', firstSector, sectorCount * sectorBytes);
    for (const { chunk, offset, length } of spans(firstSector * sectorBytes, sectorCount * sectorBytes)) {
      if (length === chunkBytes) this.#chunks.delete(chunk);
      else this.#chunks.get(chunk)?.fill(0, offset, offset + length);
    }
  }

  #put(start: number, from: Uint8Array): void {
    for (const { chunk, offset, at, length } of spans(start, from.length)) {
      let present = this.#chunks.get(chunk);
      if (!present) {
        present = new Uint8Array(chunkBytes);
        this.#chunks.set(chunk, present);
      }
      present.set(from.subarray(at, at + length), offset);
    }
  }
}

const chunkBytes = 64 * 1024;

/** Cuts `length` bytes at `start` along chunk borders; `at` counts from the start of the request. */
function* spans(start: number, length: number): Generator<{ chunk: number; offset: number; at: number; length: number }> {
  let at = 0;
  while (at < length) {
    const chunk = Math.floor((start + at) / chunkBytes);
    const offset = (start + at) % chunkBytes;
    const step = Math.min(chunkBytes - offset, length - at);
    yield { chunk, offset, at, length: step };
    at += step;
  }
}

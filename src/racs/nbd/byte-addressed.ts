/**
 * A block store addressed by bytes, since an NBD client may ask for any range. Whole sectors go straight through; a
 * write that begins or ends inside a sector reads it, changes it and writes it back, alone among writes: otherwise it
 * could put back what another write has just replaced next to it. One object per export, shared by its connections.
 */

import { type BlockStore, sectorBytes } from '../../base/block-store.ts';

export class ByteAddressedStore {
  readonly store: BlockStore;
  readonly sizeBytes: number;
  #writers = 0;
  #alone = false;
  #waiting: { alone: boolean; enter: () => void }[] = [];

  constructor(store: BlockStore) {
    this.store = store;
    this.sizeBytes = store.sectorCount * sectorBytes;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    if (isWhole(offset, into.length)) return this.store.read(offset / sectorBytes, into);
    const { first, count, skip } = cover(offset, into.length);
    const sectors = new Uint8Array(count * sectorBytes);
    await this.store.read(first, sectors);
    into.set(sectors.subarray(skip, skip + into.length));
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    if (isWhole(offset, from.length)) return this.#entered(false, () => this.store.write(offset / sectorBytes, from));
    return this.#entered(true, async () => {
      const { first, count, skip } = cover(offset, from.length);
      const sectors = new Uint8Array(count * sectorBytes);
      await this.store.read(first, sectors);
      sectors.set(from, skip);
      await this.store.write(first, sectors);
    });
  }

  /** Makes a range read as zeros; with `allocate` by writing them, otherwise by discarding whole sectors. */
  async zero(offset: number, length: number, options: { allocate: boolean }): Promise<void> {
    if (options.allocate) return this.#writeZeros(offset, length);
    const inner = innerSectors(offset, length);
    if (!inner) return this.#writeZeros(offset, length);
    const start = inner.first * sectorBytes;
    const end = start + inner.count * sectorBytes;
    await this.#writeZeros(offset, start - offset);
    await this.#entered(false, () => this.store.discard(inner.first, inner.count));
    await this.#writeZeros(end, offset + length - end);
  }

  /** Lets the store forget the whole sectors of a range; the rest stays as it is, as TRIM allows. */
  async trim(offset: number, length: number): Promise<void> {
    const inner = innerSectors(offset, length);
    if (inner) await this.#entered(false, () => this.store.discard(inner.first, inner.count));
  }

  flush(): Promise<void> {
    return this.store.flush();
  }

  async #writeZeros(offset: number, length: number): Promise<void> {
    const step = 1024 * 1024;
    for (let at = 0; at < length; at += step) await this.write(offset + at, new Uint8Array(Math.min(step, length - at)));
  }

  async #entered<T>(alone: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#alone || this.#waiting.length > 0 || (alone && this.#writers > 0)) {
      await new Promise<void>((enter) => this.#waiting.push({ alone, enter }));
    } else {
      this.#count(alone);
    }
    try {
      return await work();
    } finally {
      this.#writers--;
      this.#alone = false;
      this.#admit();
    }
  }

  /** In order of arrival, so that nobody starves. */
  #admit(): void {
    for (let next = this.#waiting[0]; next && !this.#alone; next = this.#waiting[0]) {
      if (next.alone && this.#writers > 0) return;
      this.#waiting.shift();
      this.#count(next.alone);
      next.enter();
    }
  }

  #count(alone: boolean): void {
    this.#writers++;
    if (alone) this.#alone = true;
  }
}

function isWhole(offset: number, length: number): boolean {
  return offset % sectorBytes === 0 && length % sectorBytes === 0;
}

/** The sectors that a range touches, and where it begins in them. */
function cover(offset: number, length: number): { first: number; count: number; skip: number } {
  const first = Math.floor(offset / sectorBytes);
  return { first, count: Math.ceil((offset + length) / sectorBytes) - first, skip: offset - first * sectorBytes };
}

/** The sectors that lie wholly in a range. */
function innerSectors(offset: number, length: number): { first: number; count: number } | null {
  const first = Math.ceil(offset / sectorBytes);
  const count = Math.floor((offset + length) / sectorBytes) - first;
  return count > 0 ? { first, count } : null;
}

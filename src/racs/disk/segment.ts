/**
 * A segment: an immutable object with the data of many writes, in their order, and at its end a footer that says where
 * each belongs. Data begins at byte 0, so that a place in a segment is a range of the object.
 *
 *     data      sectors
 *     entry*    u64 first sector of the disk | u32 sectors | u32 sector in the data, or 0xffffffff for a discard
 *     trailer   "PVSG" | u32 version | 16 bytes disk | u32 epoch | u32 number | u32 data sectors | u32 entries
 *               | u32 CRC of entries and trailer before it
 *
 * Little-endian. The footer of the data itself has no checksum: objects of the array are checked share by share.
 */

import { sectorBytes } from '../../base/block-store.ts';
import { BackendError } from '../../base/errors.ts';
import { hexOfBytes } from '../../base/integer.ts';
import { crc32 } from './crc32.ts';
import { bytesOfHex } from './disk-id.ts';

const magic = 0x4753_5650;
const version = 1;
export const entryBytes = 16;
export const trailerBytes = 44;
const discarded = 0xffff_ffff;

/** More entries than this close a segment, so that its footer stays small. */
export const maxSegmentEntries = 16384;

export interface SegmentEntry {
  first: number;
  count: number;
  /** Sector in the data, or null for a discard. */
  offset: number | null;
}

export interface SegmentFooter {
  disk: string;
  epoch: number;
  number: number;
  dataSectors: number;
  entries: SegmentEntry[];
}

/** A segment that is being filled. */
export class SegmentBuilder {
  readonly number: number;
  readonly entries: SegmentEntry[] = [];
  readonly #segmentBytes: number;
  /** Grows as it fills: a flush may seal a segment of a few sectors. Views of a former one stay good. */
  #data: Uint8Array;
  #sectors = 0;

  /** @param expectedBytes how much room to have at first; the last segment's data is a good guess. */
  constructor(number: number, segmentBytes: number, expectedBytes = 0) {
    this.number = number;
    this.#segmentBytes = segmentBytes;
    this.#data = new Uint8Array(Math.min(segmentBytes, Math.max(expectedBytes, 64 * 1024)));
  }

  get dataSectors(): number {
    return this.#sectors;
  }

  get isEmpty(): boolean {
    return this.entries.length === 0;
  }

  /** Sectors that still fit; 0 when it must be sealed. */
  get room(): number {
    return this.entries.length >= maxSegmentEntries ? 0 : this.#segmentBytes / sectorBytes - this.#sectors;
  }

  /** Copies sectors in. @returns their place. */
  write(first: number, from: Uint8Array): number {
    const offset = this.#sectors;
    const count = from.length / sectorBytes;
    this.#reserve((offset + count) * sectorBytes);
    this.#data.set(from, offset * sectorBytes);
    this.#sectors += count;
    const last = this.entries.at(-1);
    const continues =
      last !== undefined && last.offset !== null && last.first + last.count === first && last.offset + last.count === offset;
    if (continues) last.count += count;
    else this.entries.push({ first, count, offset });
    return offset;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#data.length) return;
    const larger = new Uint8Array(Math.min(this.#segmentBytes, Math.max(bytes, 4 * this.#data.length)));
    larger.set(this.#data);
    this.#data = larger;
  }

  discard(first: number, count: number): void {
    this.entries.push({ first, count, offset: null });
  }

  /** Data of sectors, as a view. */
  view(offset: number, count: number): Uint8Array {
    return this.#data.subarray(offset * sectorBytes, (offset + count) * sectorBytes);
  }

  /** The object: data, and a footer. The builder must not change afterwards. */
  async *object(disk: string, epoch: number): AsyncGenerator<Uint8Array> {
    if (this.#sectors > 0) yield this.view(0, this.#sectors);
    yield encodeFooter({ disk, epoch, number: this.number, dataSectors: this.#sectors, entries: this.entries });
  }
}

export function encodeFooter({ disk, epoch, number, dataSectors, entries }: SegmentFooter): Uint8Array {
  const bytes = new Uint8Array(entries.length * entryBytes + trailerBytes);
  const view = new DataView(bytes.buffer);
  entries.forEach(({ first, count, offset }, i) => {
    view.setBigUint64(i * entryBytes, BigInt(first), true);
    view.setUint32(i * entryBytes + 8, count, true);
    view.setUint32(i * entryBytes + 12, offset ?? discarded, true);
  });
  const at = entries.length * entryBytes;
  view.setUint32(at, magic, true);
  view.setUint32(at + 4, version, true);
  bytes.set(bytesOfHex(disk), at + 8);
  [epoch, number, dataSectors, entries.length].forEach((value, i) => {
    view.setUint32(at + 24 + 4 * i, value, true);
  });
  view.setUint32(at + 40, crc32(bytes.subarray(0, at + 40)), true);
  return bytes;
}

/** Length of the footer that ends with this trailer. @throws {BackendError} CORRUPT */
export function footerBytes(trailer: Uint8Array, name: string): number {
  const view = new DataView(trailer.buffer, trailer.byteOffset, trailer.byteLength);
  if (trailer.length < trailerBytes || view.getUint32(0, true) !== magic)
    throw new BackendError('CORRUPT', `${name}: no footer of a segment`);
  if (view.getUint32(4, true) !== version) throw new BackendError('CORRUPT', `${name}: a segment of version ${view.getUint32(4, true)}`);
  return view.getUint32(36, true) * entryBytes + trailerBytes;
}

/** @param bytes exactly the footer. @throws {BackendError} CORRUPT */
export function decodeFooter(bytes: Uint8Array, name: string): SegmentFooter {
  const at = bytes.length - trailerBytes;
  const trailer = bytes.subarray(Math.max(0, at));
  if (footerBytes(trailer, name) !== bytes.length) throw new BackendError('CORRUPT', `${name}: a cut footer`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (crc32(bytes.subarray(0, at + 40)) !== view.getUint32(at + 40, true)) throw new BackendError('CORRUPT', `${name}: a damaged footer`);
  const entries = Array.from({ length: at / entryBytes }, (_, i): SegmentEntry => {
    const offset = view.getUint32(i * entryBytes + 12, true);
    return {
      first: Number(view.getBigUint64(i * entryBytes, true)),
      count: view.getUint32(i * entryBytes + 8, true),
      offset: offset === discarded ? null : offset,
    };
  });
  return {
    disk: hexOfBytes(bytes.subarray(at + 8, at + 24)),
    epoch: view.getUint32(at + 24, true),
    number: view.getUint32(at + 28, true),
    dataSectors: view.getUint32(at + 32, true),
    entries,
  };
}

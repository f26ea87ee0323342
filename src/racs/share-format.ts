/**
 * How a share lies in a provider. An object is cut into parts (one, unless it was uploaded in parts), a part into
 * segments, a segment is coded into n shares, and each share is one object at its provider:
 *
 *     name    d/HASH/ID/SEGMENT.SHARE      HASH of the key, 16 digits; ID of the part; both numbers in decimal
 *     content header | (block | XXH64 of the block)*
 *     header  "RACSHR01" | u32 header bytes | u8 k | u8 n | u8 share | u8 0 | u32 segment | u32 block bytes
 *             | u64 data bytes of the segment | u64 payload bytes of the share | u32 JSON bytes | u32 0 | u64 0
 *             | u64 XXH64 of the header with zeros here | JSON {array, id, key, ...} | zeros to a multiple of 64
 *
 * Little-endian. A block's checksum is seeded by array, part, segment, share and block, so a share of another object,
 * another array or another place never passes for the right one. Blocks are {@link blockBytes} long, the last one shorter; a
 * range is read as whole blocks, without the header. The header is for people, collection and salvage: it says whose
 * share this is when the registers do not.
 */

import { hash64 } from './codec/xxh64.ts';
import { type Chance, StoreError } from './object-store.ts';

export const blockBytes = 65536;
export const tagBytes = 8;
const preludeBytes = 64;
const magic = 'RACSHR01';

/** What is the same in all shares of a part. */
export interface ShareOwner {
  array: string;
  id: string;
  key: string;
  /** The upload that the part belongs to. */
  upload?: string;
  type?: string;
  meta?: Record<string, string>;
}

export interface ShareHeader {
  owner: ShareOwner;
  headerBytes: number;
  k: number;
  n: number;
  share: number;
  segment: number;
  dataBytes: number;
  payloadBytes: number;
}

/** An id: 11 hexadecimal digits of milliseconds, 16 of chance. Ids sort by time. */
export function newId(now: number, chance: Chance): string {
  return Math.floor(now).toString(16).padStart(11, '0') + hex(chance.bytes(8));
}

export const isId = (text: string): boolean => /^[0-9a-f]{27}$/.test(text);

/** The moment in an id, milliseconds since 1970. */
export const timeOfId = (id: string): number => Number.parseInt(id.slice(0, 11), 16);

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function partPrefix(key: string, id: string): string {
  return `d/${hash64(utf8(key), 0n).toString(16).padStart(16, '0')}/${id}/`;
}

export const shareName = (prefix: string, segment: number, share: number): string => `${prefix}${segment}.${share}`;

/** The parts of a share's name, or null for any other name. */
export function parseShareName(name: string): { prefix: string; id: string; segment: number; share: number } | null {
  const match = /^(d\/[0-9a-f]{16}\/([0-9a-f]{27})\/)(\d{1,9})\.(\d{1,2})$/.exec(name);
  return match ? { prefix: match[1]!, id: match[2]!, segment: Number(match[3]), share: Number(match[4]) } : null;
}

/** Seeds of the checksums of a part's blocks. */
export class BlockSeeds {
  readonly #part: bigint;

  constructor(array: string, id: string) {
    this.#part = hash64(utf8(`${array}/${id}`), 0n);
  }

  of(segment: number, share: number, block: number): bigint {
    return BigInt.asUintN(64, this.#part ^ (BigInt(segment) << 26n) ^ (BigInt(share) << 20n) ^ BigInt(block));
  }
}

/** A header to be filled in per share by {@link fillHeader}. */
export function headerTemplate(owner: ShareOwner, k: number, n: number): Uint8Array {
  const json = utf8(JSON.stringify(owner));
  const header = new Uint8Array(Math.ceil((preludeBytes + json.length) / 64) * 64);
  const view = new DataView(header.buffer);
  header.set(utf8(magic));
  view.setUint32(8, header.length, true);
  header.set([k, n], 12);
  view.setUint32(20, blockBytes, true);
  view.setUint32(40, json.length, true);
  header.set(json, preludeBytes);
  return header;
}

export function fillHeader(header: Uint8Array, at: { share: number; segment: number; dataBytes: number; payloadBytes: number }): void {
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  header[14] = at.share;
  view.setUint32(16, at.segment, true);
  view.setBigUint64(24, BigInt(at.dataBytes), true);
  view.setBigUint64(32, BigInt(at.payloadBytes), true);
  view.setBigUint64(56, 0n, true);
  view.setBigUint64(56, hash64(header, 0n), true);
}

/** Bytes that surely hold a header: the key is at most 1 KiB, metadata 8 KiB, JSON may escape. */
export const headerReadBytes = 32768;

/** @throws {StoreError} CORRUPT */
export function parseHeader(bytes: Uint8Array): ShareHeader {
  const bad = (what: string): never => {
    throw new StoreError('CORRUPT', `share header: ${what}`);
  };
  if (bytes.length < preludeBytes || new TextDecoder().decode(bytes.subarray(0, 8)) !== magic) return bad('no magic');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headerBytes = view.getUint32(8, true);
  const jsonBytes = view.getUint32(40, true);
  if (headerBytes > bytes.length || headerBytes % 64 !== 0 || preludeBytes + jsonBytes > headerBytes) return bad('truncated');
  const header = bytes.slice(0, headerBytes);
  const sum = view.getBigUint64(56, true);
  new DataView(header.buffer).setBigUint64(56, 0n, true);
  if (hash64(header, 0n) !== sum) return bad('checksum');
  return {
    owner: JSON.parse(new TextDecoder().decode(header.subarray(preludeBytes, preludeBytes + jsonBytes))) as ShareOwner,
    headerBytes,
    k: header[12]!,
    n: header[13]!,
    share: header[14]!,
    segment: view.getUint32(16, true),
    dataBytes: Number(view.getBigUint64(24, true)),
    payloadBytes: Number(view.getBigUint64(32, true)),
  };
}

export const blockCount = (payloadBytes: number): number => Math.ceil(payloadBytes / blockBytes);

/** Bytes of a share object. */
export const shareObjectBytes = (headerBytes: number, payloadBytes: number): number =>
  headerBytes + payloadBytes + blockCount(payloadBytes) * tagBytes;

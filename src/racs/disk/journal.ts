/**
 * The local journal of a disk: what answers a flush before the segments are at the providers. One numbered file per
 * segment that is being filled; a file goes when its segment is committed. Adapters: a directory (store/file-journal.ts)
 * and, in tests, a simulated one that loses what was not synced.
 *
 * A file is a run of records, little-endian:
 *
 *     u32 "PVJR" | u32 CRC of the rest | u64 sequence | u32 kind | u32 sectors | u64 first sector | data
 *     kind 1 write (data: its sectors), 2 discard (no data), 3 begin (one sector of JSON: disk, epoch)
 *
 * Sequence numbers run on over files, so that a lost tail of one file hides what later files hold: what is recovered is
 * always a prefix of what was written.
 */

import { sectorBytes } from '../../base/block-store.ts';
import { crc32 } from './crc32.ts';

export interface Journal {
  /** Which place this is; the disk's record names it as the owner. */
  readonly id: string;
  /**
   * Takes the place: whoever held it before is refused from now on. Only after that are the files looked at.
   * @returns the numbers of the files that are there, ascending.
   */
  open(): Promise<number[]>;
  /** The bytes of a file as far as they can be read. */
  read(file: number): Promise<Uint8Array>;
  /** Appends in the order of the calls, making the file at first. Pieces belong to the journal until it resolves. */
  append(file: number, pieces: readonly Uint8Array[]): Promise<void>;
  /**
   * Makes what was appended before durable, and then looks whether the place is still ours.
   * @throws {BackendError} FENCED when it is not: the appended may have been missed by the one who took it.
   */
  sync(file: number): Promise<void>;
  remove(file: number): Promise<void>;
  close(): Promise<void>;
}

export type JournalRecord =
  | { kind: 'begin'; sequence: number; disk: string; epoch: number }
  | { kind: 'write'; sequence: number; first: number; data: Uint8Array }
  | { kind: 'discard'; sequence: number; first: number; count: number };

const magic = 0x524a_5650;
const headBytes = 32;
const kinds = { write: 1, discard: 2, begin: 3 } as const;

/** The record as a head and, for a write, the data itself. */
export function encodeRecord(record: JournalRecord): Uint8Array[] {
  const head = new Uint8Array(headBytes);
  const view = new DataView(head.buffer);
  const data = record.kind === 'write' ? record.data : record.kind === 'begin' ? beginData(record.disk, record.epoch) : null;
  view.setUint32(0, magic, true);
  view.setBigUint64(8, BigInt(record.sequence), true);
  view.setUint32(16, kinds[record.kind], true);
  view.setUint32(20, record.kind === 'discard' ? record.count : data!.length / sectorBytes, true);
  view.setBigUint64(24, BigInt(record.kind === 'begin' ? 0 : record.first), true);
  const crc = crc32(head.subarray(8));
  view.setUint32(4, data ? crc32(data, crc) : crc, true);
  return data ? [head, data] : [head];
}

/** The intact records at the beginning of a file; what follows the first damaged or cut one is not looked at. */
export function* decodeRecords(bytes: Uint8Array): Generator<JournalRecord> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + headBytes <= bytes.length) {
    const kind = view.getUint32(at + 16, true);
    const count = view.getUint32(at + 20, true);
    const length = headBytes + (kind === kinds.discard ? 0 : count * sectorBytes);
    if (view.getUint32(at, true) !== magic || at + length > bytes.length) return;
    if (crc32(bytes.subarray(at + 8, at + length)) !== view.getUint32(at + 4, true)) return;
    const sequence = Number(view.getBigUint64(at + 8, true));
    const first = Number(view.getBigUint64(at + 24, true));
    const data = bytes.subarray(at + headBytes, at + length);
    if (kind === kinds.write) yield { kind: 'write', sequence, first, data };
    else if (kind === kinds.discard) yield { kind: 'discard', sequence, first, count };
    else if (kind === kinds.begin) yield { kind: 'begin', sequence, ...parseBegin(data) };
    else return;
    at += length;
  }
}

function beginData(disk: string, epoch: number): Uint8Array {
  const data = new Uint8Array(sectorBytes);
  data.set(new TextEncoder().encode(JSON.stringify({ disk, epoch })));
  return data;
}

function parseBegin(data: Uint8Array): { disk: string; epoch: number } {
  const end = data.indexOf(0);
  return JSON.parse(new TextDecoder().decode(data.subarray(0, end < 0 ? data.length : end))) as { disk: string; epoch: number };
}

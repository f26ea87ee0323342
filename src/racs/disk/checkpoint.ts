/**
 * A checkpoint: the extent map and the table of segments as they were after a segment, so that opening a disk reads
 * this and the footers of what came later.
 *
 *     "PVCP" | u32 version | u32 number of the last segment | u32 segments | u32 regions
 *     segment*  u32 number | u32 data sectors
 *     region*   u32 index | u32 words | u32 word*
 *     u32 CRC of everything before it
 */

import { BackendError } from '../../base/errors.ts';
import { crc32 } from './crc32.ts';
import { ExtentMap } from './extent-map.ts';

const magic = 0x5043_5650;
const version = 1;

export interface Checkpoint {
  number: number;
  /** Data sectors of each segment that is still needed. */
  segments: ReadonlyMap<number, number>;
  map: ExtentMap;
}

/** In pieces of a region, so that a large map is not held twice. */
export async function* encodeCheckpoint({ number, segments, map }: Checkpoint): AsyncGenerator<Uint8Array> {
  const regions = [...map.regions()];
  const head = Uint32Array.of(magic, version, number, segments.size, regions.length, ...[...segments].flat());
  let crc = 0;
  const seal = (words: Uint32Array): Uint8Array => {
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    crc = crc32(bytes, crc);
    return bytes;
  };
  yield seal(head);
  for (const { index, words } of regions) {
    const piece = new Uint32Array(2 + words.length);
    piece.set([index, words.length]);
    piece.set(words, 2);
    yield seal(piece);
  }
  yield new Uint8Array(Uint32Array.of(crc).buffer);
}

/** @param dropped goes to the map. @throws {BackendError} CORRUPT */
export function decodeCheckpoint(bytes: Uint8Array, name: string, dropped?: (segment: number, sectors: number) => void): Checkpoint {
  const fail = (problem: string): never => {
    throw new BackendError('CORRUPT', `${name}: ${problem}`);
  };
  if (bytes.length < 24 || bytes.length % 4 !== 0) fail('not a checkpoint');
  // Words must be aligned; what a store returns may not be.
  const words = new Uint32Array(bytes.slice().buffer);
  if (words[0] !== magic || words[1] !== version) fail('not a checkpoint of a known version');
  if (crc32(bytes.subarray(0, bytes.length - 4)) !== words.at(-1)) fail('a damaged checkpoint');
  const [number, segmentCount, regionCount] = [words[2]!, words[3]!, words[4]!];
  const segments = new Map<number, number>();
  let at = 5;
  for (let i = 0; i < segmentCount; i++, at += 2) segments.set(words[at]!, words[at + 1]!);
  const map = new ExtentMap(dropped);
  for (let i = 0; i < regionCount; i++) {
    const length = words[at + 1] ?? 0;
    if (at + 2 + length > words.length - 1 || !map.loadRegion(words[at]!, words.subarray(at + 2, at + 2 + length)))
      fail('impossible extents');
    at += 2 + length;
  }
  if (at !== words.length - 1) fail('a checkpoint of another length');
  return { number, segments, map };
}

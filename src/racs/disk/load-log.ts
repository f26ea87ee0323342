/**
 * Builds the extent map and the table of segments of a disk from its checkpoint and the footers of later segments.
 */

import { BackendError } from '../../base/errors.ts';
import type { ObjectStore } from '../object-store.ts';
import { decodeCheckpoint } from './checkpoint.ts';
import { checkpointName } from './disk-id.ts';
import type { CheckpointRef } from './disk-record.ts';
import { ExtentMap } from './extent-map.ts';
import type { SegmentFooter } from './segment.ts';
import type { SegmentReader } from './segment-reader.ts';

export interface SegmentUse {
  /** Data sectors, needed or not. */
  total: number;
  /** Sectors that the map points to. */
  live: number;
}

export interface LoadedLog {
  map: ExtentMap;
  segments: Map<number, SegmentUse>;
}

/** Footers that are fetched at a time. */
const parallel = 8;

export async function loadLog(
  store: ObjectStore,
  reader: SegmentReader,
  checkpoint: CheckpointRef | null,
  lastSegment: number,
): Promise<LoadedLog> {
  const segments = new Map<number, SegmentUse>();
  const dropped = (segment: number, sectors: number): void => {
    const use = segments.get(segment);
    if (use) use.live -= sectors;
  };
  let map = new ExtentMap(dropped);
  if (checkpoint) {
    const name = checkpointName(checkpoint.disk, checkpoint.epoch, checkpoint.number);
    const loaded = decodeCheckpoint((await store.get(name)).body, name, dropped);
    map = loaded.map;
    for (const [number, total] of loaded.segments) segments.set(number, { total, live: 0 });
    for (const { words } of map.regions()) {
      for (let w = 0; w < words.length; w += 4) {
        const use = segments.get(words[w + 2]!);
        if (!use) throw new BackendError('CORRUPT', `${name}: points to segment ${words[w + 2]}, which is not in its table`);
        use.live += words[w + 1]!;
      }
    }
  }
  for (let from = (checkpoint?.number ?? 0) + 1; from <= lastSegment; from += parallel) {
    const count = Math.min(parallel, lastSegment - from + 1);
    const footers = await Promise.all(Array.from({ length: count }, (_, i) => reader.footer(from + i)));
    footers.forEach((footer, i) => {
      apply(footer, from + i, map, segments);
    });
  }
  return { map, segments };
}

function apply(footer: SegmentFooter, number: number, map: ExtentMap, segments: Map<number, SegmentUse>): void {
  if (footer.number !== number) throw new BackendError('CORRUPT', `segment ${number} says that it is ${footer.number}`);
  const use = { total: footer.dataSectors, live: 0 };
  segments.set(number, use);
  for (const { first, count, offset } of footer.entries) {
    if (offset !== null) use.live += count;
    map.set(first, count, offset === null ? 0 : number, offset ?? 0);
  }
}

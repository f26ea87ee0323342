/**
 * What the register of a key holds: the current version of the object, or that it is gone. Small and complete: whoever
 * has the manifest can read the object, and a version exists from the moment when its manifest is set.
 *
 * `recent` are the ids of former values, newest first: a writer whose answer was lost finds its own there. `floor` is a
 * moment: no version whose id is from then or before may be committed any more, because collection may have deleted
 * its shares (collector.ts). Neither is ever dropped, hence a delete leaves a manifest that says `gone`.
 */

import { shareBytes } from './codec/codec.ts';
import { isCoding } from './codec/matrix.ts';
import { StoreError } from './object-store.ts';
import { isId } from './share-format.ts';

export interface Part {
  id: string;
  size: number;
  /** Data bytes of each segment but the last. */
  segment: number;
  k: number;
  n: number;
  header: number;
  /** Provider of each share. */
  at: string[];
  /** Shares that may be missing or damaged in some segment: read last, repaired first. */
  lost?: number[];
  etag?: string;
}

export interface Manifest {
  v: 1;
  id: string;
  /** Milliseconds since 1970. */
  time: number;
  gone?: true;
  size: number;
  etag: string;
  type?: string;
  meta?: Record<string, string>;
  parts: Part[];
  floor?: number;
  recent: string[];
}

/** How many former ids a manifest remembers. */
export const keptIds = 20;

export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(manifest));
}

/** @throws {StoreError} CORRUPT */
export function decodeManifest(value: Uint8Array | null): Manifest | null {
  if (value === null) return null;
  try {
    const manifest = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value)) as Manifest;
    const right = manifest.v === 1 && isId(manifest.id) && Array.isArray(manifest.parts) && manifest.parts.every(isPart);
    if (right && Array.isArray(manifest.recent) && manifest.parts.reduce((sum, { size }) => sum + size, 0) === manifest.size)
      return manifest;
  } catch (error) {
    throw new StoreError('CORRUPT', 'a register does not hold a manifest', { cause: error });
  }
  throw new StoreError('CORRUPT', 'a register does not hold a manifest of this version');
}

export function isPart(part: Part): boolean {
  const numbers = [part.size, part.segment, part.header].every((x) => Number.isSafeInteger(x) && x >= 0);
  return isId(part.id) && numbers && part.segment > 0 && isCoding(part) && part.at.length === part.n;
}

/** What `manifest` becomes a former version of: the list for the next one. */
export function recentAfter(manifest: Manifest | null): string[] {
  return manifest ? [manifest.id, ...manifest.recent].slice(0, keptIds) : [];
}

export interface Segment {
  index: number;
  /** In the part. */
  first: number;
  dataBytes: number;
  payloadBytes: number;
}

export function segmentCount({ size, segment }: Part): number {
  return Math.ceil(size / segment);
}

export function segmentOf(part: Part, index: number): Segment {
  const first = index * part.segment;
  const dataBytes = Math.min(part.segment, part.size - first);
  return { index, first, dataBytes, payloadBytes: shareBytes(dataBytes, part.k) };
}

/**
 * Deletes shares that belong to nothing: of writers that died before their commit, of versions replaced or deleted, of
 * parts that were uploaded again or whose upload was given up. Safe beside writers, however slow:
 *
 * 1. A share whose part is younger than the grace (by the time in its id) is left alone.
 * 2. A part that its key's manifest names, or whose upload is open or began to complete within the grace, is left alone.
 * 3. Fence: the key's register is set again, with `floor` at least the part's time. A writer that has not committed the
 *    part yet then fails its compare-and-set, reads the floor and gives up (committer.ts). A key without a register
 *    gets one that says `gone`. The manifest looked at in 2 and the one fenced in 3 are the same, or 2 is done again.
 * 4. Only then its shares are deleted. The register, whose existence is the fence, never is.
 */

import type { RacsArray } from './array.ts';
import { type Manifest, recentAfter } from './manifest.ts';
import { type CallOptions, isStoreError } from './object-store.ts';
import type { Provider } from './provider.ts';
import { headerReadBytes, parseHeader, parseShareName, type ShareOwner, timeOfId } from './share-format.ts';

export interface CollectOptions extends CallOptions {
  /** Parts younger than this are left alone; default one hour. */
  graceMs?: number;
  /** Uploads that were opened longer ago are given up; default seven days. */
  uploadMs?: number;
  onProgress?: (progress: CollectReport) => void;
}

export interface CollectReport {
  /** Share objects looked at. */
  shares: number;
  /** Parts found without an owner, and their share objects deleted. */
  orphans: number;
  deleted: number;
  bytes: number;
  /** Objects under `d/` that are no readable shares of this array; left alone. */
  foreign: number;
  /** Providers that could not be listed. */
  skipped: string[];
}

export async function collect(array: RacsArray, options: CollectOptions = {}): Promise<CollectReport> {
  const { graceMs = 3_600_000, uploadMs = 7 * 86_400_000 } = options;
  const report: CollectReport = { shares: 0, orphans: 0, deleted: 0, bytes: 0, foreign: 0, skipped: [] };
  await giveUpUploads(array, uploadMs);
  /** Decisions by part: the same for all its shares, at all providers. */
  const decided = new Map<string, boolean>();
  for (const provider of array.providers.values()) {
    try {
      for (let startAfter = ''; ; ) {
        const page = await provider.store.list({ prefix: 'd/', startAfter, ...(options.signal && { signal: options.signal }) });
        for (const { key: name, size } of page.entries) {
          startAfter = name;
          report.shares++;
          const share = parseShareName(name);
          if (!share) {
            report.foreign++;
            continue;
          }
          if (timeOfId(share.id) > array.clock.now() - graceMs) continue;
          let orphan = decided.get(share.prefix);
          if (orphan === undefined) {
            const owner = await ownerOf(provider, name, array.id);
            if (!owner || owner.id !== share.id) {
              report.foreign++;
              continue;
            }
            orphan = await fence(array, owner, graceMs);
            decided.set(share.prefix, orphan);
            if (orphan) report.orphans++;
          }
          if (!orphan) continue;
          await provider.store.delete(name);
          report.deleted++;
          report.bytes += size;
          options.onProgress?.(report);
        }
        if (!page.truncated) break;
      }
    } catch (error) {
      if (!isStoreError(error) || !error.retryable) throw error;
      report.skipped.push(provider.id);
    }
  }
  return report;
}

/** Whether the part belongs to nothing; if so, nothing can claim it afterwards. */
async function fence(array: RacsArray, owner: ShareOwner, graceMs: number): Promise<boolean> {
  const time = timeOfId(owner.id);
  const uses = (manifest: Manifest | null): boolean => manifest?.parts.some(({ id }) => id === owner.id) ?? false;
  let floor = time;
  const upload = owner.upload === undefined ? null : await array.uploads.find(owner.key, owner.upload);
  // A part uploaded again stays until the upload ends: a stalled writer may still name it.
  if (upload?.state === 'open') return false;
  if (upload?.object) {
    // Whoever completes the upload commits the object's id: that must be fenced as well.
    floor = Math.max(floor, timeOfId(upload.object.id));
    if (upload.state === 'completing' && floor > array.clock.now() - graceMs) return false;
  }
  let used = false;
  const id = array.newId();
  await array.commit(owner.key, (current) => {
    used = uses(current);
    if (used || (current?.floor ?? -1) >= floor) return null;
    if (current) return { ...current, id, floor, recent: recentAfter(current) };
    return { v: 1, id, time: array.clock.now(), gone: true, size: 0, etag: id, parts: [], floor, recent: recentAfter(current) };
  });
  if (!used && upload?.state === 'completing') await array.uploads.close(upload, 'completing');
  return !used;
}

async function giveUpUploads(array: RacsArray, uploadMs: number): Promise<void> {
  for await (const upload of array.uploads.all()) {
    if (upload.state === 'open' && upload.time < array.clock.now() - uploadMs) await array.uploads.close(upload);
  }
}

async function ownerOf(provider: Provider, name: string, array: string): Promise<ShareOwner | null> {
  try {
    const { body } = await provider.store.get(name, { range: { first: 0, end: headerReadBytes } });
    const { owner } = parseHeader(body);
    return owner.array === array ? owner : null;
  } catch (error) {
    if (isStoreError(error, 'CORRUPT', 'NOT_FOUND')) return null;
    throw error;
  }
}

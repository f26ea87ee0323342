/**
 * Scrub, repair and moves. All go over the manifests in order of keys and can start again after any key; each object is
 * changed by one commit over the very version that was looked at, and left alone when it changed meanwhile.
 *
 * scrub    reads every share and says which are missing or damaged; with `repair`, puts them back from k others.
 * drain    gives the shares of a provider to another, made from k of the others where redundancy allows, so that the
 *          provider itself is not read.
 * migrate  re-codes objects to another (k, n).
 */

import type { RacsArray } from './array.ts';
import { Codec, recode, shareBytes } from './codec/codec.ts';
import type { Coding } from './codec/matrix.ts';
import { type Manifest, type Part, recentAfter, type Segment, segmentCount, segmentOf } from './manifest.ts';
import { type CallOptions, isStoreError, StoreError } from './object-store.ts';
import type { Provider } from './provider.ts';
import { readShare, unpack } from './segment-reader.ts';
import { packShare } from './segment-writer.ts';
import { blockCount, BlockSeeds, headerTemplate, parseHeader, partPrefix, shareName } from './share-format.ts';

export interface WalkOptions extends CallOptions {
  prefix?: string;
  /** Go on after this key. */
  after?: string;
  onProgress?: (key: string, report: WalkReport) => void;
}

export interface WalkReport {
  objects: number;
  shares: number;
  /** Shares found missing or damaged. */
  bad: number;
  /** Shares written anew. */
  written: number;
  /** Objects that changed meanwhile. */
  skipped: number;
  /** Keys with fewer than k good shares in some segment. */
  unreadable: string[];
  /** Bytes read, by provider. */
  read: Record<string, number>;
}

/** Looks at every share; with `repair`, rewrites bad ones in place, or at another provider where their own is gone or fails. */
export function scrub(array: RacsArray, options: WalkOptions & { repair?: boolean } = {}): Promise<WalkReport> {
  return walk(array, options, async (key, manifest, report) => {
    const parts: Part[] = [];
    for (const part of manifest.parts) {
      const bad = new Set<number>();
      for (let index = 0; index < segmentCount(part); index++) {
        const found = await badShares(array, key, part, segmentOf(part, index), report, options.signal);
        if (part.n - found.length < part.k) report.unreadable.push(key);
        for (const share of found) bad.add(share);
      }
      parts.push(options.repair && bad.size > 0 ? await rebuild(array, key, part, bad, [], report, options.signal) : part);
    }
    return parts;
  });
}

/** Moves all shares away from a provider. Reads it only for segments that cannot be had from the others. */
export function drain(array: RacsArray, provider: string, options: WalkOptions = {}): Promise<WalkReport> {
  return walk(array, options, async (key, manifest, report) =>
    Promise.all(
      manifest.parts.map((part) => {
        const moved = new Set(part.at.flatMap((id, share) => (id === provider ? [share] : [])));
        return moved.size === 0 ? part : rebuild(array, key, part, moved, [provider], report, options.signal);
      }),
    ),
  );
}

/** Re-codes all objects that have another code. */
export function migrate(array: RacsArray, to: Coding, options: WalkOptions = {}): Promise<WalkReport> {
  return walk(array, options, async (key, manifest, report) => {
    const parts: Part[] = [];
    for (const part of manifest.parts)
      parts.push(part.k === to.k && part.n === to.n ? part : await recodePart(array, key, manifest, part, to, report));
    return parts;
  });
}

async function walk(
  array: RacsArray,
  options: WalkOptions,
  visit: (key: string, manifest: Manifest, report: WalkReport) => Promise<Part[]>,
): Promise<WalkReport> {
  const report: WalkReport = { objects: 0, shares: 0, bad: 0, written: 0, skipped: 0, unreadable: [], read: {} };
  for await (const { key, manifest } of array.manifests(options.prefix)) {
    if (manifest.gone || (options.after !== undefined && key <= options.after)) continue;
    report.objects++;
    const parts = await visit(key, manifest, report).catch((error: unknown) => {
      if (!isStoreError(error, 'TOO_FEW_SHARES')) throw error;
      report.unreadable.push(key);
      return manifest.parts;
    });
    if (parts.some((part, i) => part !== manifest.parts[i])) {
      const id = array.newId();
      const { manifest: now } = await array.commit(
        key,
        (current) => {
          if (current?.id !== manifest.id) return null;
          return { ...current, id, parts, recent: recentAfter(current) };
        },
        options,
      );
      if (now?.id !== id) report.skipped++;
    }
    options.onProgress?.(key, report);
  }
  report.unreadable = [...new Set(report.unreadable)];
  return report;
}

const allRows = (segment: Segment) => ({ first: 0, end: blockCount(segment.payloadBytes) });

async function fetchShare(
  array: RacsArray,
  key: string,
  part: Part,
  segment: Segment,
  share: number,
  report: WalkReport,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const content = await readShare({ array: array.id, key }, part, segment, share, allRows(segment), array.reader, signal);
  report.read[part.at[share]!] = (report.read[part.at[share]!] ?? 0) + content.length;
  return content;
}

async function badShares(
  array: RacsArray,
  key: string,
  part: Part,
  segment: Segment,
  report: WalkReport,
  signal?: AbortSignal,
): Promise<number[]> {
  const results = await Promise.all(
    part.at.map((_, share) =>
      fetchShare(array, key, part, segment, share, report, signal).then(
        () => null,
        (error: unknown) => {
          if (isStoreError(error, 'ABORTED')) throw error;
          return share;
        },
      ),
    ),
  );
  const bad = results.filter((share) => share !== null);
  report.shares += part.n;
  report.bad += bad.length;
  return bad;
}

/** The part with some shares written anew: at their provider, or at a new one when it is in `leaving` or fails. */
async function rebuild(
  array: RacsArray,
  key: string,
  part: Part,
  shares: ReadonlySet<number>,
  leaving: readonly string[],
  report: WalkReport,
  signal?: AbortSignal,
): Promise<Part> {
  const codec = new Codec(part);
  const header = await loadHeader(array, key, part, leaving);
  const seeds = new BlockSeeds(array.id, part.id);
  const at = [...part.at];
  const settled = new Set<number>();
  for (let index = 0; index < segmentCount(part); index++) {
    const segment = segmentOf(part, index);
    const present = await loadShares(array, key, part, segment, shares, leaving, codec, report, signal);
    codec.reconstruct(present, [...shares]);
    for (const share of shares) {
      const object = packShare(codec, share, index, segment.dataBytes, segment.payloadBytes, header, seeds);
      const name = shareName(partPrefix(key, part.id), index, share);
      for (const provider of homes(array, at, share, leaving, settled.has(share))) {
        try {
          await provider.store.put(name, object, signal ? { signal } : {});
          at[share] = provider.id;
          settled.add(share);
          report.written++;
          break;
        } catch (error) {
          if (!isStoreError(error) || error.code === 'ABORTED') throw error;
        }
      }
      if (!settled.has(share)) throw new StoreError('UNAVAILABLE', `no provider takes share ${share} of ${key}`);
    }
  }
  const { lost, ...rest } = part;
  const stillLost = lost?.filter((share) => !shares.has(share)) ?? [];
  return { ...rest, at, ...(stillLost.length > 0 && { lost: stillLost }) };
}

/** The header that all shares of a part have, from one of them; made up without metadata when none can be read. */
async function loadHeader(array: RacsArray, key: string, part: Part, leaving: readonly string[]): Promise<Uint8Array> {
  for (const [share, id] of part.at.entries()) {
    if (leaving.includes(id)) continue;
    try {
      const name = shareName(partPrefix(key, part.id), 0, share);
      const { body } = await array.providers.get(id)!.store.get(name, { range: { first: 0, end: part.header } });
      if (parseHeader(body).owner.id === part.id) return body;
    } catch {}
  }
  const made = headerTemplate({ array: array.id, id: part.id, key }, part.k, part.n);
  if (made.length > part.header) throw new StoreError('CORRUPT', `${key}: no header can be read`);
  const header = new Uint8Array(part.header);
  header.set(made);
  new DataView(header.buffer).setUint32(8, header.length, true);
  return header;
}

/** k good shares into the codec's slots, from providers that stay where possible. */
async function loadShares(
  array: RacsArray,
  key: string,
  part: Part,
  segment: Segment,
  wanted: ReadonlySet<number>,
  leaving: readonly string[],
  codec: Codec,
  report: WalkReport,
  signal?: AbortSignal,
): Promise<number[]> {
  const rank = (share: number): number => (leaving.includes(part.at[share]!) ? 2 : wanted.has(share) ? 1 : 0);
  const order = part.at.map((_, share) => share).sort((a, b) => rank(a) - rank(b) || a - b);
  const contents = new Map<number, Uint8Array>();
  while (contents.size < part.k && order.length > 0) {
    const batch = order.splice(0, part.k - contents.size);
    const results = await Promise.allSettled(batch.map((share) => fetchShare(array, key, part, segment, share, report, signal)));
    results.forEach((result, i) => {
      if (result.status === 'fulfilled') contents.set(batch[i]!, result.value);
    });
  }
  if (contents.size < part.k) throw new StoreError('TOO_FEW_SHARES', `${key}: ${contents.size} good shares, ${part.k} are needed`);
  codec.layout(segment.payloadBytes);
  for (const [share, content] of contents) unpack(content, codec.slot(share));
  return [...contents.keys()];
}

/** Where a share may go: its provider unless that leaves, then those that hold no other share of the part. */
function homes(array: RacsArray, at: readonly string[], share: number, leaving: readonly string[], settled: boolean): Provider[] {
  const own = array.providers.get(at[share]!);
  if (settled) return own ? [own] : [];
  const free = [...array.providers.values()].filter(({ id, draining }) => !draining && !at.includes(id) && !leaving.includes(id));
  return own && !leaving.includes(own.id) && !own.draining ? [own, ...free] : free;
}

async function recodePart(array: RacsArray, key: string, manifest: Manifest, part: Part, to: Coding, report: WalkReport): Promise<Part> {
  const providers = [...array.providers.values()].filter(({ draining }) => !draining).slice(0, to.n);
  if (providers.length < to.n) throw new StoreError('BAD_REQUEST', `(${to.k}, ${to.n}) needs ${to.n} providers`);
  const id = array.newId();
  const template = headerTemplate({ array: array.id, id, key, ...ownerMetadata(manifest) }, to.k, to.n);
  const seeds = new BlockSeeds(array.id, id);
  const from = new Codec(part);
  const target = new Codec(to);
  for (let index = 0; index < segmentCount(part); index++) {
    const segment = segmentOf(part, index);
    const present = await loadShares(array, key, part, segment, new Set(), [], from, report);
    recode(from, present, target, segment.dataBytes);
    const payloadBytes = shareBytes(segment.dataBytes, to.k);
    const objects = providers.map((_, share) => packShare(target, share, index, segment.dataBytes, payloadBytes, template, seeds));
    await Promise.all(objects.map((object, share) => providers[share]!.store.put(shareName(partPrefix(key, id), index, share), object)));
    report.written += objects.length;
  }
  const etag = part.etag === undefined ? {} : { etag: part.etag };
  return {
    id,
    size: part.size,
    segment: part.segment,
    ...to,
    header: template.length,
    at: providers.map((provider) => provider.id),
    ...etag,
  };
}

function ownerMetadata({ type, meta }: Manifest): { type?: string; meta?: Record<string, string> } {
  return { ...(type !== undefined && { type }), ...(meta && { meta }) };
}

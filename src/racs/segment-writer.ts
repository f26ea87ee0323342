/**
 * Writes a part: cuts a body into segments, codes each and stores its shares. A segment counts as stored when q of its
 * shares are durable; the rest get {@link WriterOptions.stragglerMs} more and are marked as lost otherwise. A share
 * whose provider fails in the first segment moves to a spare provider, if there is one. Memory is bounded by
 * {@link segmentsInFlight} segments.
 */

import { Codec, shareBytes } from './codec/codec.ts';
import type { Coding } from './codec/matrix.ts';
import type { Part } from './manifest.ts';
import { type Clock, isStoreError, type ObjectBody, StoreError } from './object-store.ts';
import type { Provider, ProviderHealth } from './provider.ts';
import {
  blockBytes,
  blockCount,
  BlockSeeds,
  fillHeader,
  headerTemplate,
  partPrefix,
  shareName,
  shareObjectBytes,
  type ShareOwner,
  tagBytes,
} from './share-format.ts';

const segmentsInFlight = 4;

export interface WriterOptions {
  coding: Coding;
  quorum: number;
  segmentBytes: number;
  stragglerMs: number;
  clock: Clock;
  health: ProviderHealth;
  codecs: Codecs;
}

/** One codec per code. */
export class Codecs {
  readonly #codecs = new Map<string, Codec>();

  of({ k, n }: Coding): Codec {
    const name = `${k},${n}`;
    let codec = this.#codecs.get(name);
    if (!codec) {
      codec = new Codec({ k, n });
      this.#codecs.set(name, codec);
    }
    return codec;
  }
}

/** The whole share objects of a segment. */
export function encodeSegment(codec: Codec, data: Uint8Array, segment: number, template: Uint8Array, seeds: BlockSeeds): Uint8Array[] {
  const payloadBytes = shareBytes(data.length, codec.coding.k);
  codec.layout(payloadBytes);
  codec.fillData(data);
  codec.encode();
  return Array.from({ length: codec.coding.n }, (_, share) => packShare(codec, share, segment, data.length, payloadBytes, template, seeds));
}

/** The share object of the slot `share` of a codec. */
export function packShare(
  codec: Codec,
  share: number,
  segment: number,
  dataBytes: number,
  payloadBytes: number,
  template: Uint8Array,
  seeds: BlockSeeds,
): Uint8Array {
  const slot = codec.slot(share);
  const object = new Uint8Array(shareObjectBytes(template.length, payloadBytes));
  const view = new DataView(object.buffer);
  object.set(template);
  fillHeader(object.subarray(0, template.length), { share, segment, dataBytes, payloadBytes });
  let at = template.length;
  for (let block = 0; block < blockCount(payloadBytes); block++) {
    const piece = slot.subarray(block * blockBytes, (block + 1) * blockBytes);
    object.set(piece, at);
    view.setBigUint64(at + piece.length, codec.checksum(share, block * blockBytes, piece.length, seeds.of(segment, share, block)), true);
    at += piece.length + tagBytes;
  }
  return object;
}

/**
 * Stores a body as a part. `providers` are in order of preference: the first n take the shares, others are spares.
 * @throws {StoreError} TOO_FEW_SHARES when fewer than q shares of some segment could be stored; nothing is committed yet
 */
export async function writePart(
  owner: ShareOwner,
  body: ObjectBody,
  providers: readonly Provider[],
  options: WriterOptions,
  signal?: AbortSignal,
): Promise<Part> {
  const { coding, segmentBytes } = options;
  const template = headerTemplate(owner, coding.k, coding.n);
  const seeds = new BlockSeeds(owner.array, owner.id);
  const prefix = partPrefix(owner.key, owner.id);
  const places = providers.slice(0, coding.n);
  const spares = providers.slice(coding.n);
  const lost = new Set<number>();
  const codec = options.codecs.of(coding);
  let size = 0;
  let index = 0;

  const store = async (segment: number, shares: Uint8Array[]): Promise<void> => {
    const put = async (share: number): Promise<void> => {
      for (;;) {
        const place = places[share]!;
        const started = options.clock.now();
        try {
          if (options.health.suspect(place.id) && spares.length > 0 && segment === 0)
            throw new StoreError('UNAVAILABLE', 'failed a moment ago');
          await place.store.put(shareName(prefix, segment, share), shares[share]!, signal ? { signal } : {});
          options.health.succeeded(place.id, options.clock.now() - started);
          return;
        } catch (error) {
          if (isStoreError(error, 'ABORTED')) throw error;
          options.health.failed(place.id);
          const spare = segment === 0 ? spares.shift() : undefined;
          if (!spare) throw error;
          places[share] = spare;
        }
      }
    };
    for (const share of await storeQuorum(
      shares.map((_, share) => put(share)),
      options,
    ))
      lost.add(share);
  };

  const flying = new Set<Promise<void>>();
  let failure: unknown;
  for await (const data of segments(body, segmentBytes)) {
    size += data.length;
    const segment = index++;
    const done = store(segment, encodeSegment(codec, data, segment, template, seeds)).catch((error: unknown) => {
      failure ??= error;
    });
    // The first segment settles where the shares go, when there is a choice.
    if (segment === 0 && spares.length > 0) await done;
    else {
      flying.add(done);
      void done.then(() => flying.delete(done));
      if (flying.size >= segmentsInFlight) await Promise.race(flying);
    }
    if (failure !== undefined) break;
  }
  await Promise.all(flying);
  if (failure !== undefined) throw failure;
  const part: Part = { id: owner.id, size, segment: segmentBytes, ...coding, header: template.length, at: places.map(({ id }) => id) };
  if (lost.size > 0) part.lost = [...lost].sort((a, b) => a - b);
  return part;
}

/** Waits until q of the puts are done, then a little for the others; gives those that were not. */
async function storeQuorum(puts: Promise<void>[], { quorum, stragglerMs, clock }: WriterOptions): Promise<number[]> {
  const open = new Set(puts.map((_, i) => i));
  const failures: unknown[] = [];
  let done = 0;
  let wake = (): void => {};
  puts.forEach((put, i) => {
    put.then(
      () => {
        open.delete(i);
        done++;
        wake();
      },
      (error: unknown) => {
        failures.push(error);
        wake();
      },
    );
  });
  const changed = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  while (done < quorum) {
    const aborted = failures.find((error) => isStoreError(error, 'ABORTED'));
    if (aborted) throw aborted;
    if (failures.length > puts.length - quorum) {
      const why = `stored ${done} of ${puts.length} shares, ${quorum} are needed`;
      throw new StoreError('TOO_FEW_SHARES', why, { cause: failures[0] });
    }
    await changed();
  }
  if (done + failures.length < puts.length) {
    const timer = new AbortController();
    let late = false;
    const limit = clock.sleep(stragglerMs, timer.signal).then(() => {
      late = true;
    });
    while (!late && done + failures.length < puts.length) await Promise.race([changed(), limit]);
    timer.abort();
  }
  return [...open];
}

/** Cuts a body into pieces of exactly `size` bytes, the last one shorter. */
async function* segments(body: ObjectBody, size: number): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) {
    for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
    return;
  }
  let gathered = new Uint8Array(size);
  let used = 0;
  for await (const piece of body) {
    for (let at = 0; at < piece.length; ) {
      const step = Math.min(size - used, piece.length - at);
      gathered.set(piece.subarray(at, at + step), used);
      used += step;
      at += step;
      if (used < size) continue;
      yield gathered;
      gathered = new Uint8Array(size);
      used = 0;
    }
  }
  if (used > 0) yield gathered.subarray(0, used);
}

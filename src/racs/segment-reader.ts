/**
 * Reads bytes of a segment: the data shares that hold them, or any k shares when one of those is slow, missing or
 * damaged. Every block is checked before it is used. A slow answer is hedged: after {@link ReaderOptions.hedge} another
 * share is asked for, and the first k win; what is left is called off.
 */

import type { Codec } from './codec/codec.ts';
import type { Part, Segment } from './manifest.ts';
import { type Clock, isStoreError, StoreError } from './object-store.ts';
import type { Provider, ProviderHealth, ReadPolicy } from './provider.ts';
import { blockBytes, blockCount, BlockSeeds, partPrefix, shareName, tagBytes } from './share-format.ts';
import type { Codecs } from './segment-writer.ts';

export interface ReaderOptions {
  providers: ReadonlyMap<string, Provider>;
  policy: ReadPolicy;
  clock: Clock;
  health: ProviderHealth;
  codecs: Codecs;
  /** When to ask for another share: a factor on the usual latency, and bounds. */
  hedge: { factor: number; minMs: number; maxMs: number };
  /** Called with every share that was missing or damaged. */
  onBadShare?: (share: BadShare) => void;
}

export interface BadShare {
  key: string;
  part: string;
  segment: number;
  share: number;
  provider: string;
  code: string;
}

/** Blocks `first` to before `end` of the shares of a segment. */
interface Rows {
  first: number;
  end: number;
}

/**
 * Bytes `first` to before `end` of a segment, in `into` when it is given.
 * @throws {StoreError} TOO_FEW_SHARES
 */
export async function readSegment(
  owner: { array: string; key: string },
  part: Part,
  segment: Segment,
  first: number,
  end: number,
  options: ReaderOptions,
  signal?: AbortSignal,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const { payloadBytes } = segment;
  const firstShare = Math.floor(first / payloadBytes);
  const endShare = Math.ceil(end / payloadBytes);
  const wanted = Array.from({ length: endShare - firstShare }, (_, i) => firstShare + i);
  const rows: Rows = { first: 0, end: blockCount(payloadBytes) };
  if (wanted.length === 1) {
    rows.first = Math.floor((first - firstShare * payloadBytes) / blockBytes);
    rows.end = blockCount(end - firstShare * payloadBytes);
  }
  const shares = await gather(owner, part, segment, wanted, rows, options, signal);
  const out = into ?? new Uint8Array(end - first);
  const rowBytes = Math.min(payloadBytes, rows.end * blockBytes) - rows.first * blockBytes;
  const direct = wanted.every((share) => shares.has(share));
  const codec = options.codecs.of(part);
  if (!direct) {
    codec.layout(rowBytes);
    for (const [share, content] of shares) unpack(content, codec.slot(share));
    codec.reconstruct([...shares.keys()], wanted);
  }
  for (const share of wanted) {
    const begin = share * payloadBytes + rows.first * blockBytes;
    const from = Math.max(first, begin);
    const to = Math.min(end, begin + rowBytes);
    if (direct) copyPacked(shares.get(share)!, from - begin, out.subarray(from - first, to - first));
    else out.set(codec.slot(share).subarray(from - begin, to - begin), from - first);
  }
  return out;
}

/** Copies blocks without their checksums. */
export function unpack(content: Uint8Array, into: Uint8Array): void {
  for (let at = 0, to = 0; to < into.length; at += blockBytes + tagBytes, to += blockBytes) {
    into.set(content.subarray(at, at + Math.min(blockBytes, into.length - to)), to);
  }
}

function copyPacked(content: Uint8Array, first: number, into: Uint8Array): void {
  for (let done = 0; done < into.length; ) {
    const at = first + done;
    const step = Math.min(blockBytes - (at % blockBytes), into.length - done);
    const begin = Math.floor(at / blockBytes) * (blockBytes + tagBytes) + (at % blockBytes);
    into.set(content.subarray(begin, begin + step), done);
    done += step;
  }
}

/** All of the wanted shares or any k, each checked. */
async function gather(
  owner: { array: string; key: string },
  part: Part,
  segment: Segment,
  wanted: readonly number[],
  rows: Rows,
  options: ReaderOptions,
  signal?: AbortSignal,
): Promise<Map<number, Uint8Array>> {
  const { health, policy, clock } = options;
  const results = new Map<number, Uint8Array>();
  const failed = new Map<number, unknown>();
  const flying = new Set<number>();
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  signal?.addEventListener('abort', onAbort, { once: true });
  let wake = (): void => {};

  const bytes = (rows.end - rows.first) * blockBytes;
  const score = (share: number): number => {
    const provider = options.providers.get(part.at[share]!);
    if (!provider) return 1e12;
    return health.score(provider, policy, bytes) + (part.lost?.includes(share) ? 1e10 : 0);
  };
  // Equal providers: data shares first, since they need no decoding.
  const order = part.at.map((_, share) => share).sort((a, b) => score(a) - score(b) || a - b);
  const preferred = wanted.length < part.k && wanted.every((share) => score(share) < 1e7) ? [...wanted] : order.slice(0, part.k);
  const queue = [...preferred, ...order.filter((share) => !preferred.includes(share))];

  const launch = (): boolean => {
    const share = queue.shift();
    if (share === undefined) return false;
    flying.add(share);
    const started = clock.now();
    readShare(owner, part, segment, share, rows, options, stop.signal).then(
      (content) => {
        flying.delete(share);
        health.succeeded(part.at[share]!, clock.now() - started);
        results.set(share, content);
        wake();
      },
      (error: unknown) => {
        flying.delete(share);
        failed.set(share, error);
        if (!isStoreError(error, 'ABORTED')) {
          health.failed(part.at[share]!);
          const code = error instanceof StoreError ? error.code : 'UNAVAILABLE';
          options.onBadShare?.({ key: owner.key, part: part.id, segment: segment.index, share, provider: part.at[share]!, code });
        }
        wake();
      },
    );
    return true;
  };
  const complete = (): boolean => results.size >= part.k || wanted.every((share) => results.has(share));
  /** Whether what flies can still complete the read. */
  const hopeful = (): boolean => results.size + flying.size >= part.k || wanted.every((share) => results.has(share) || flying.has(share));

  try {
    for (let i = 0; i < preferred.length; i++) launch();
    while (!complete()) {
      if (signal?.aborted) throw new StoreError('ABORTED', 'the caller gave up');
      while (!hopeful() && launch());
      if (!hopeful()) {
        const why = `${owner.key}: ${results.size} good shares of segment ${segment.index}, ${part.k} are needed`;
        throw new StoreError('TOO_FEW_SHARES', why, { cause: [...failed.values()][0] });
      }
      const timer = new AbortController();
      const change = new Promise<boolean>((resolve) => {
        wake = () => resolve(true);
      });
      const usual = Math.max(...[...flying].map((share) => health.latencyMs(part.at[share]!)));
      const hedgeMs = Math.min(options.hedge.maxMs, Math.max(options.hedge.minMs, usual * options.hedge.factor));
      const answered =
        queue.length === 0 ? await change : await Promise.race([change, clock.sleep(hedgeMs, timer.signal).then(() => false)]);
      timer.abort();
      if (!answered) launch();
    }
    return results;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    stop.abort();
  }
}

/** Blocks of one share with their checksums, checked. @throws {StoreError} */
export async function readShare(
  owner: { array: string; key: string },
  part: Part,
  segment: Segment,
  share: number,
  rows: Rows,
  options: Pick<ReaderOptions, 'providers' | 'codecs'>,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const provider = options.providers.get(part.at[share]!);
  if (!provider) throw new StoreError('UNAVAILABLE', `provider ${part.at[share]} is not in the configuration`);
  const first = part.header + rows.first * (blockBytes + tagBytes);
  const payload = Math.min(segment.payloadBytes, rows.end * blockBytes) - rows.first * blockBytes;
  const end = first + payload + (rows.end - rows.first) * tagBytes;
  const name = shareName(partPrefix(owner.key, part.id), segment.index, share);
  const { body } = await provider.store.get(name, { range: { first, end }, ...(signal && { signal }) });
  if (body.length !== end - first)
    throw new StoreError('CORRUPT', `${provider.id}: share ${name} has ${body.length} of ${end - first} bytes`);
  const seeds = new BlockSeeds(owner.array, part.id);
  const codec = options.codecs.of({ k: 1, n: 1 });
  codec.layout(payload);
  unpack(body, codec.slot(0));
  checkBlocks(codec, body, payload, (block) => seeds.of(segment.index, share, rows.first + block), `${provider.id}: share ${name}`);
  return body;
}

function checkBlocks(codec: Codec, content: Uint8Array, payload: number, seed: (block: number) => bigint, what: string): void {
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  for (let block = 0; block * blockBytes < payload; block++) {
    const length = Math.min(blockBytes, payload - block * blockBytes);
    const tag = view.getBigUint64(block * (blockBytes + tagBytes) + length, true);
    if (codec.checksum(0, block * blockBytes, length, seed(block)) !== tag)
      throw new StoreError('CORRUPT', `${what} is damaged in block ${block}`);
  }
}

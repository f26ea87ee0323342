/**
 * The array: an object store over several, each object in n shares of which any k suffice, after RACS (Abu-Libdeh,
 * Princehouse, Weatherspoon, SoCC 2010, §3), with commit registers in place of its locks.
 *
 * put     1. store the shares under a fresh id; 2. at least q are durable; 3. set the manifest in the key's register.
 *         A crash before 3 leaves the old version and orphans; there is no state in between, and no mix of versions.
 * get     read the manifest, then shares of exactly that version. Shares that vanish meanwhile mean a newer version.
 * delete  set a manifest that says so. Shares of replaced versions are deleted after a grace, by us or by collection.
 *
 * q (`writeQuorum`): k means that an acknowledged object may not survive the next loss; n that no put succeeds during
 * an outage unless there are more than n providers. The default is n - 1, or n where n = k + 1, so that an
 * acknowledged object always survives one loss.
 */

import { assert, ConfigError } from '../base/errors.ts';
import { type Logger, silentLogger } from '../base/logger.ts';
import type { ArrayStore, UploadInfo, UploadPart, UploadPartInfo } from './array-store.ts';
import { type Coding, isCoding } from './codec/matrix.ts';
import { commit, type Commit, type NextManifest } from './committer.ts';
import { decodeManifest, type Manifest, type Part, recentAfter, segmentCount, segmentOf } from './manifest.ts';
import {
  type CallOptions,
  type Chance,
  checkKey,
  checkLimit,
  checkSignal,
  type Clock,
  type DeleteOptions,
  type GetOptions,
  type GetResult,
  type GetStream,
  isStoreError,
  type ListOptions,
  type ListResult,
  type ObjectBody,
  type ObjectInfo,
  type PutOptions,
  resolveRange,
  type StoreCapabilities,
  StoreError,
} from './object-store.ts';
import { type Provider, ProviderHealth, type ReadPolicy } from './provider.ts';
import type { CommitRegister } from './register/commit-register.ts';
import { spaceOf } from './register/register-space.ts';
import { type BadShare, readSegment, type ReaderOptions } from './segment-reader.ts';
import { Codecs, writePart, type WriterOptions } from './segment-writer.ts';
import { newId, partPrefix, shareName } from './share-format.ts';
import { Uploads } from './uploads.ts';

export interface ArrayOptions {
  /** Name of the array, in every share. */
  id: string;
  /** At least n, in order of preference for the data shares. */
  providers: readonly Provider[];
  register: CommitRegister;
  coding: Coding;
  clock: Clock;
  chance: Chance;
  /** Default: n - 1, but at least k + 1, at most n. */
  writeQuorum?: number;
  /** Data bytes of a segment; default 4 MiB. */
  segmentBytes?: number;
  /** How long a put waits for shares beyond the quorum; default 1000. */
  stragglerMs?: number;
  /** How long shares of replaced versions stay for readers; default 60 s. */
  graceMs?: number;
  readPolicy?: ReadPolicy;
  /** Default: 3 times the usual latency, 200 to 2000 ms. */
  hedge?: ReaderOptions['hedge'];
  logger?: Logger;
  onBadShare?: (share: BadShare) => void;
}

/** Segments that a reader fetches ahead. */
const readAhead = 4;
/** How often a get starts again because a newer version appeared. */
const maxRestarts = 10;

export class RacsArray implements ArrayStore {
  readonly name: string;
  readonly id: string;
  readonly coding: Coding;
  readonly quorum: number;
  readonly capabilities: StoreCapabilities;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly register: CommitRegister;
  readonly reader: ReaderOptions;
  readonly writer: WriterOptions;
  readonly clock: Clock;
  readonly #objects: CommitRegister;
  readonly #uploads: Uploads;
  readonly #options: ArrayOptions;
  readonly #logger: Logger;
  readonly #graceMs: number;
  /** Parts of replaced versions, oldest first, and when they may go. */
  readonly #replaced: { due: number; key: string; part: Part }[] = [];
  #rotation = 0;
  #deleting: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: ArrayOptions) {
    const { coding, providers, clock } = options;
    const { k, n } = coding;
    if (!isCoding(coding)) throw new ConfigError(`no code (${k}, ${n}): 1 <= k <= n <= 32`);
    const active = providers.filter(({ draining }) => !draining);
    if (active.length < n) throw new ConfigError(`${active.length} providers take shares, but the code (${k}, ${n}) needs ${n}`);
    if (new Set(providers.map(({ id }) => id)).size < providers.length) throw new ConfigError('two providers have the same id');
    this.quorum = options.writeQuorum ?? Math.min(n, Math.max(k + 1, n - 1));
    if (!(this.quorum >= k && this.quorum <= n)) throw new ConfigError(`write quorum ${this.quorum} is not in ${k}..${n}`);
    this.#options = options;
    this.id = options.id;
    this.name = `array ${options.id}`;
    this.coding = { k, n };
    this.clock = clock;
    this.#logger = options.logger ?? silentLogger;
    this.#graceMs = options.graceMs ?? 60_000;
    this.providers = new Map(providers.map((provider) => [provider.id, provider]));
    this.register = options.register;
    this.#objects = spaceOf(options.register, 'o');
    this.capabilities = {
      ...{ conditionalPut: true, rangeRead: true, consistentRead: true, consistentList: true, metadata: true },
      maxObjectBytes: Number.MAX_SAFE_INTEGER,
    };
    const health = new ProviderHealth(clock);
    const codecs = new Codecs();
    const segmentBytes = options.segmentBytes ?? 4 << 20;
    this.writer = {
      coding: this.coding,
      quorum: this.quorum,
      segmentBytes,
      stragglerMs: options.stragglerMs ?? 1000,
      clock,
      health,
      codecs,
    };
    this.reader = {
      ...{ providers: this.providers, policy: options.readPolicy ?? 'fastest', clock, health, codecs },
      hedge: options.hedge ?? { factor: 3, minMs: 200, maxMs: 2000 },
      onBadShare: (share) => {
        this.#logger.warn(`share ${share.share} of ${share.key} at ${share.provider}: ${share.code}`);
        options.onBadShare?.(share);
      },
    };
    this.#uploads = new Uploads(this, spaceOf(options.register, 'u'));
  }

  // ---- objects

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    this.#check(key, options);
    if (options.ifMatch !== undefined || options.ifNoneMatch) checkConditions(key, await this.manifest(key, options), options);
    const part = await this.writePart(key, body, options);
    return this.commitParts(key, part.id, [part], options);
  }

  async get(key: string, options: GetOptions = {}): Promise<GetResult> {
    this.#check(key, options);
    for (let restarts = 0; ; restarts++) {
      const manifest = await this.#matching(key, options);
      try {
        const { first, end } = resolveRange(options.range, manifest.size);
        const body = new Uint8Array(end - first);
        let at = 0;
        for await (const piece of this.readParts(key, manifest.parts, first, end, options.signal, body)) at += piece.length;
        assert(at === body.length, () => `${key}: read ${at} of ${body.length} bytes`);
        return { info: infoOf(key, manifest), first, body };
      } catch (error) {
        // Missing shares of a version that has just been replaced: the newer one is whole.
        if (!isStoreError(error, 'TOO_FEW_SHARES') || restarts >= maxRestarts) throw error;
        if ((await this.manifest(key, options))?.id === manifest.id) throw error;
      }
    }
  }

  async getStream(key: string, options: GetOptions = {}): Promise<GetStream> {
    this.#check(key, options);
    return this.#stream(key, await this.#matching(key, options), options);
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    this.#check(key, options);
    return infoOf(key, await this.#present(key, options));
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<void> {
    this.#check(key, options);
    const id = this.newId();
    await this.commit(
      key,
      (current) => {
        if (options.ifMatch !== undefined) checkConditions(key, current, options);
        if (!current || current.gone) return null;
        const floor = current.floor === undefined ? {} : { floor: current.floor };
        return { v: 1, id, time: this.clock.now(), gone: true, size: 0, etag: id, parts: [], ...floor, recent: recentAfter(current) };
      },
      options,
    );
  }

  async list(options: ListOptions = {}): Promise<ListResult> {
    this.#checkOpen(options);
    const limit = checkLimit(options.limit);
    const entries: ObjectInfo[] = [];
    let startAfter = options.startAfter;
    for (;;) {
      const page = await this.#objects.list({ ...options, ...(startAfter !== undefined && { startAfter }) });
      for (const { name, state } of page.entries) {
        startAfter = name;
        const manifest = decodeManifest(state.value);
        if (!manifest || manifest.gone) continue;
        if (entries.length === limit) return { entries, truncated: true };
        entries.push(infoOf(name, manifest));
      }
      if (!page.truncated) return { entries, truncated: false };
    }
  }

  async copy(from: string, to: string, options: PutOptions & { sourceIfMatch?: string } = {}): Promise<ObjectInfo> {
    const { sourceIfMatch, ...rest } = options;
    const source = await this.getStream(from, sourceIfMatch === undefined ? {} : { ifMatch: sourceIfMatch });
    const { contentType, metadata } = source.info;
    return this.put(to, source.body, { ...(contentType !== undefined && { contentType }), ...(metadata && { metadata }), ...rest });
  }

  // ---- uploads in parts

  createUpload(key: string, options: Pick<PutOptions, 'contentType' | 'metadata' | 'signal'> = {}): Promise<UploadInfo> {
    this.#check(key, options);
    return this.#uploads.create(key, options);
  }

  uploadPart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: ObjectBody,
    options: Pick<PutOptions, 'etag' | 'signal'> = {},
  ): Promise<UploadPartInfo> {
    this.#check(key, options);
    return this.#uploads.put(key, uploadId, partNumber, body, options);
  }

  listParts(key: string, uploadId: string, options: CallOptions & { startAfter?: number; limit?: number } = {}) {
    this.#check(key, options);
    return this.#uploads.listParts(key, uploadId, options);
  }

  listUploads(options: CallOptions & { prefix?: string } = {}): Promise<UploadInfo[]> {
    this.#checkOpen(options);
    return this.#uploads.list(options);
  }

  completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadPart[],
    options: Pick<PutOptions, 'etag' | 'ifMatch' | 'ifNoneMatch' | 'signal'> = {},
  ): Promise<ObjectInfo> {
    this.#check(key, options);
    return this.#uploads.complete(key, uploadId, parts, options);
  }

  abortUpload(key: string, uploadId: string, options: CallOptions = {}): Promise<void> {
    this.#check(key, options);
    return this.#uploads.abort(key, uploadId, options);
  }

  registers(space: string): CommitRegister {
    assert(/^[a-z0-9-]+$/.test(space), `register space ${space}`);
    return spaceOf(this.register, `x/${space}`);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#deleting;
    await Promise.all([...this.providers.values()].map(({ store }) => store.close()));
    await this.register.close();
  }

  // ---- what uploads, collection and repair need

  newId(): string {
    return newId(this.clock.now(), this.#options.chance);
  }

  get uploads(): Uploads {
    return this.#uploads;
  }

  /** The manifest of a key, also one that says `gone`; null when the key was never written. */
  async manifest(key: string, options: CallOptions = {}): Promise<Manifest | null> {
    return decodeManifest((await this.#objects.read(key, options.signal ? { signal: options.signal } : {})).value);
  }

  /** All manifests in order, those that say `gone` included. */
  async *manifests(prefix = ''): AsyncGenerator<{ key: string; manifest: Manifest }> {
    for (let startAfter = ''; ; ) {
      const page = await this.#objects.list({ prefix, startAfter });
      for (const { name, state } of page.entries) {
        startAfter = name;
        const manifest = decodeManifest(state.value);
        if (manifest) yield { key: name, manifest };
      }
      if (!page.truncated) return;
    }
  }

  async commit(key: string, next: NextManifest, options: CallOptions = {}): Promise<Commit> {
    const done = await commit(this.#objects, key, next, { clock: this.clock, ...(options.signal && { signal: options.signal }) });
    const kept = new Set(done.manifest?.parts.map(({ id }) => id));
    for (const part of done.replaced?.parts ?? []) if (!kept.has(part.id)) this.#deleteLater(key, part);
    return done;
  }

  writePart(key: string, body: ObjectBody, options: PutOptions & { upload?: string }): Promise<Part> {
    const { upload, contentType, metadata } = options;
    const active = [...this.providers.values()].filter(({ draining }) => !draining);
    // Rotation spreads parity, and with it reads, over the providers.
    const turn = this.#rotation++ % active.length;
    const order = [...active.slice(turn), ...active.slice(0, turn)];
    const owner = {
      ...{ array: this.id, id: this.newId(), key },
      ...(upload !== undefined && { upload }),
      ...(contentType !== undefined && { type: contentType }),
      ...(metadata && { meta: metadata }),
    };
    return writePart(owner, body, order, this.writer, options.signal);
  }

  async commitParts(key: string, id: string, parts: Part[], options: PutOptions): Promise<ObjectInfo> {
    const etag = options.etag?.() ?? id;
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    const { manifest } = await this.commit(
      key,
      (current) => {
        checkConditions(key, current, options);
        return {
          ...{ v: 1, id, time: this.clock.now(), size, etag },
          ...(options.contentType !== undefined && { type: options.contentType }),
          ...(options.metadata && Object.keys(options.metadata).length > 0 && { meta: options.metadata }),
          parts,
          ...(current?.floor !== undefined && { floor: current.floor }),
          recent: recentAfter(current),
        };
      },
      options,
    );
    return manifest?.id === id
      ? infoOf(key, manifest)
      : { key, size, etag, lastModified: this.clock.now(), metadata: { ...options.metadata } };
  }

  /** Bytes `first` to before `end` of parts laid end to end, a few segments ahead of the reader; in place in `into`. */
  async *readParts(
    key: string,
    parts: readonly Part[],
    first: number,
    end: number,
    signal?: AbortSignal,
    into?: Uint8Array,
  ): AsyncGenerator<Uint8Array> {
    let asked = 0;
    const pieces = this.#pieces(parts, first, end);
    const ahead: Promise<Uint8Array>[] = [];
    const stop = new AbortController();
    const onAbort = (): void => stop.abort();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        while (ahead.length < readAhead) {
          const piece = pieces.next();
          if (piece.done) break;
          const { part, segment, from, to } = piece.value;
          const target = into?.subarray(asked, asked + to - from);
          asked += to - from;
          const read = readSegment({ array: this.id, key }, part, segment, from, to, this.reader, stop.signal, target);
          read.catch(() => {});
          ahead.push(read);
        }
        const next = ahead.shift();
        if (!next) return;
        yield await next;
      }
    } finally {
      stop.abort();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Deletes all shares of a part wherever they may be; what fails stays for collection. */
  async deletePart(key: string, part: Part): Promise<void> {
    const prefix = partPrefix(key, part.id);
    for (let index = 0; index < segmentCount(part); index++) {
      await Promise.all(
        part.at.map(async (id, share) => {
          await this.providers
            .get(id)
            ?.store.delete(shareName(prefix, index, share))
            .catch((error: unknown) => {
              this.#logger.info(`${shareName(prefix, index, share)} at ${id} was not deleted: ${(error as Error).message}`);
            });
        }),
      );
    }
  }

  /** Deletes parts of replaced versions whose time has come, or all of them. */
  deleteReplaced(all = false): Promise<void> {
    this.#deleting = this.#deleting.then(async () => {
      while (this.#replaced[0] && (all || this.#replaced[0].due <= this.clock.now())) {
        const { key, part } = this.#replaced.shift()!;
        await this.deletePart(key, part);
      }
    });
    return this.#deleting;
  }

  #deleteLater(key: string, part: Part): void {
    this.#replaced.push({ due: this.clock.now() + this.#graceMs, key, part });
    if (this.#replaced[0]!.due <= this.clock.now()) void this.deleteReplaced();
  }

  *#pieces(parts: readonly Part[], first: number, end: number) {
    let partFirst = 0;
    for (const part of parts) {
      const low = Math.max(first, partFirst) - partFirst;
      const high = Math.min(end, partFirst + part.size) - partFirst;
      for (let index = Math.floor(low / part.segment); index * part.segment < high; index++) {
        const segment = segmentOf(part, index);
        const from = Math.max(low - segment.first, 0);
        const to = Math.min(high - segment.first, segment.dataBytes);
        if (from < to) yield { part, segment, from, to };
      }
      partFirst += part.size;
    }
  }

  async #matching(key: string, options: GetOptions): Promise<Manifest> {
    const manifest = await this.#present(key, options);
    if (options.ifMatch === undefined || options.ifMatch === manifest.etag) return manifest;
    throw new StoreError('PRECONDITION_FAILED', `${this.name}: ${key} is not the version asked for`);
  }

  #stream(key: string, manifest: Manifest, { range, signal }: GetOptions): GetStream {
    const { first, end } = resolveRange(range, manifest.size);
    return { info: infoOf(key, manifest), first, length: end - first, body: this.readParts(key, manifest.parts, first, end, signal) };
  }

  async #present(key: string, options: CallOptions): Promise<Manifest> {
    const manifest = await this.manifest(key, options);
    if (!manifest || manifest.gone) throw new StoreError('NOT_FOUND', `${this.name}: no object ${key}`);
    return manifest;
  }

  #check(key: string, options: CallOptions): void {
    checkKey(key);
    this.#checkOpen(options);
  }

  #checkOpen(options: CallOptions): void {
    checkSignal(options.signal);
    if (this.#closed) throw new StoreError('UNAVAILABLE', `${this.name}: closed`);
  }
}

function checkConditions(key: string, current: Manifest | null, { ifMatch, ifNoneMatch }: PutOptions): void {
  const present = current && !current.gone ? current : null;
  if (ifNoneMatch && present) throw new StoreError('PRECONDITION_FAILED', `${key} exists`);
  if (ifMatch !== undefined && present?.etag !== ifMatch)
    throw new StoreError('PRECONDITION_FAILED', `${key} is not the version asked for`);
}

export function infoOf(key: string, { size, etag, time, type, meta }: Manifest): ObjectInfo {
  return { key, size, etag, lastModified: time, ...(type !== undefined && { contentType: type }), metadata: { ...meta } };
}

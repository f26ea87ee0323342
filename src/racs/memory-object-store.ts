/**
 * Objects in memory: the reference for the contract of object-store.ts, and a provider for tests. Conditions are
 * atomic because nothing awaits between check and change.
 */

import {
  bodyBytes,
  checkKey,
  checkLimit,
  checkSignal,
  type Clock,
  compareKeys,
  type DeleteOptions,
  type GetOptions,
  type GetResult,
  type GetStream,
  type ListOptions,
  type ListResult,
  type ObjectBody,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  resolveRange,
  type CallOptions,
  type StoreCapabilities,
  StoreError,
  streamOf,
} from './object-store.ts';

export class MemoryObjectStore implements ObjectStore {
  readonly name: string;
  readonly capabilities: StoreCapabilities;
  readonly #objects = new Map<string, { info: ObjectInfo; body: Uint8Array }>();
  readonly #now: () => number;
  #puts = 0;
  #sorted: string[] | null = null;
  #closed = false;

  constructor(options: { name?: string; clock?: Pick<Clock, 'now'>; capabilities?: Partial<StoreCapabilities> } = {}) {
    this.name = options.name ?? 'memory';
    const clock = options.clock;
    this.#now = clock ? () => clock.now() : () => this.#puts;
    this.capabilities = {
      ...{ conditionalPut: true, rangeRead: true, consistentRead: true, consistentList: true, metadata: true },
      maxObjectBytes: 2 ** 31 - 1,
      ...options.capabilities,
    };
  }

  /** Objects held. */
  get size(): number {
    return this.#objects.size;
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    this.#checkOpen(options);
    checkKey(key);
    this.#checkConditions(options.ifMatch ?? options.ifNoneMatch);
    const bytes = await bodyBytes(body, this.capabilities.maxObjectBytes);
    const copy = bytes.slice();
    const former = this.#objects.get(key);
    if (options.ifNoneMatch && former) throw new StoreError('PRECONDITION_FAILED', `${this.name}: ${key} exists`);
    this.#checkMatch(key, options.ifMatch);
    const info: ObjectInfo = { key, size: copy.length, etag: `${++this.#puts}`, lastModified: this.#now() };
    if (this.capabilities.metadata) {
      if (options.contentType !== undefined) info.contentType = options.contentType;
      info.metadata = { ...options.metadata };
    }
    if (!former) this.#sorted = null;
    this.#objects.set(key, { info, body: copy });
    return copyOf(info);
  }

  async get(key: string, options: GetOptions = {}): Promise<GetResult> {
    this.#checkOpen(options);
    const object = this.#find(key);
    this.#checkMatch(key, options.ifMatch);
    const { first, end } = resolveRange(options.range, object.body.length);
    return { info: copyOf(object.info), first, body: object.body.slice(first, end) };
  }

  async getStream(key: string, options: GetOptions = {}): Promise<GetStream> {
    return streamOf(await this.get(key, options));
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    this.#checkOpen(options);
    return copyOf(this.#find(key).info);
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<void> {
    this.#checkOpen(options);
    checkKey(key);
    this.#checkConditions(options.ifMatch);
    this.#checkMatch(key, options.ifMatch);
    if (this.#objects.delete(key)) this.#sorted = null;
  }

  async list(options: ListOptions = {}): Promise<ListResult> {
    this.#checkOpen(options);
    const limit = checkLimit(options.limit);
    const { prefix = '', startAfter = '' } = options;
    this.#sorted ??= [...this.#objects.keys()].sort(compareKeys);
    const entries: ObjectInfo[] = [];
    for (const key of this.#sorted) {
      if (!key.startsWith(prefix) || compareKeys(key, startAfter) <= 0) continue;
      if (entries.length === limit) return { entries, truncated: true };
      entries.push(copyOf(this.#objects.get(key)!.info));
    }
    return { entries, truncated: false };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #find(key: string): { info: ObjectInfo; body: Uint8Array } {
    checkKey(key);
    const object = this.#objects.get(key);
    if (!object) throw new StoreError('NOT_FOUND', `${this.name}: no object ${key}`);
    return object;
  }

  #checkMatch(key: string, etag: string | undefined): void {
    if (etag === undefined || this.#objects.get(key)?.info.etag === etag) return;
    throw new StoreError('PRECONDITION_FAILED', `${this.name}: ${key} is not the version asked for`);
  }

  #checkConditions(condition: string | undefined): void {
    if (condition === undefined || this.capabilities.conditionalPut) return;
    throw new StoreError('UNSUPPORTED', `${this.name}: no conditional writes`);
  }

  #checkOpen(options: CallOptions): void {
    checkSignal(options.signal);
    if (this.#closed) throw new StoreError('UNAVAILABLE', `${this.name}: closed`);
  }
}

function copyOf(info: ObjectInfo): ObjectInfo {
  return info.metadata ? { ...info, metadata: { ...info.metadata } } : { ...info };
}

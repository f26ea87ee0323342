/**
 * The RACS paper's own way, to compare with: one writer or many readers per key, by locks of a service, around a store.
 * Not needed for anything: the array commits by compare-and-set. And not safe alone: a holder that sleeps past its
 * session wakes up without its lock and goes on.
 */

import type {
  CallOptions,
  DeleteOptions,
  GetOptions,
  GetResult,
  GetStream,
  ListOptions,
  ListResult,
  ObjectBody,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  StoreCapabilities,
} from './object-store.ts';

export type Release = () => Promise<void>;

export interface KeyLocks {
  /** Waits until it may read (beside other readers) or write (alone). */
  acquire(key: string, kind: 'read' | 'write', options?: CallOptions): Promise<Release>;
  close(): Promise<void>;
}

export class LockedStore implements ObjectStore {
  readonly #store: ObjectStore;
  readonly #locks: KeyLocks;

  constructor(store: ObjectStore, locks: KeyLocks) {
    this.#store = store;
    this.#locks = locks;
  }

  get name(): string {
    return `locked ${this.#store.name}`;
  }

  get capabilities(): StoreCapabilities {
    return this.#store.capabilities;
  }

  put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    return this.#with(key, 'write', options, () => this.#store.put(key, body, options));
  }

  get(key: string, options: GetOptions = {}): Promise<GetResult> {
    return this.#with(key, 'read', options, () => this.#store.get(key, options));
  }

  /** Holds the lock until the stream has been read or given up. */
  async getStream(key: string, options: GetOptions = {}): Promise<GetStream> {
    const release = await this.#locks.acquire(key, 'read', options);
    try {
      const stream = await this.#store.getStream(key, options);
      async function* body(): AsyncGenerator<Uint8Array> {
        try {
          yield* stream.body;
        } finally {
          await release();
        }
      }
      return { ...stream, body: body() };
    } catch (error) {
      await release();
      throw error;
    }
  }

  head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    return this.#with(key, 'read', options, () => this.#store.head(key, options));
  }

  delete(key: string, options: DeleteOptions = {}): Promise<void> {
    return this.#with(key, 'write', options, () => this.#store.delete(key, options));
  }

  list(options: ListOptions = {}): Promise<ListResult> {
    return this.#store.list(options);
  }

  async close(): Promise<void> {
    await this.#store.close();
    await this.#locks.close();
  }

  async #with<T>(key: string, kind: 'read' | 'write', { signal }: CallOptions, work: () => Promise<T>): Promise<T> {
    const release = await this.#locks.acquire(key, kind, signal ? { signal } : {});
    try {
      return await work();
    } finally {
      await release();
    }
  }
}

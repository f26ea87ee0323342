/**
 * A provider made bearable: every attempt has a time limit, retryable failures are tried again after a pause that
 * doubles and is drawn by chance ("full jitter": Amazon Builders' Library, "Timeouts, retries, and backoff with
 * jitter"), and only so many calls are under way at once. A conditional write whose answer was lost is never repeated:
 * the caller must look what is there.
 */

import {
  type CallOptions,
  type Chance,
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
  type ObjectStore,
  type PutOptions,
  type StoreCapabilities,
  StoreError,
} from './object-store.ts';

export interface Resilience {
  clock: Clock;
  chance: Chance;
  /** For one attempt; default 30 s. */
  timeoutMs?: number;
  /** In all; default 4. */
  attempts?: number;
  /** Pause before the second attempt, at most; default 50. Doubles, up to `maxBackoffMs` (2000). */
  backoffMs?: number;
  maxBackoffMs?: number;
  /** Calls at once; default 32. */
  concurrency?: number;
}

export class ResilientStore implements ObjectStore {
  readonly #inner: ObjectStore;
  readonly #options: Required<Resilience>;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(inner: ObjectStore, options: Resilience) {
    this.#inner = inner;
    this.#options = { timeoutMs: 30_000, attempts: 4, backoffMs: 50, maxBackoffMs: 2000, concurrency: 32, ...options };
  }

  get name(): string {
    return this.#inner.name;
  }

  get capabilities(): StoreCapabilities {
    return this.#inner.capabilities;
  }

  put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    const once = !(body instanceof Uint8Array);
    const conditional = options.ifMatch !== undefined || options.ifNoneMatch !== undefined;
    return this.#call(options, (signal) => this.#inner.put(key, body, { ...options, signal }), { once, conditional, changes: true });
  }

  get(key: string, options: GetOptions = {}): Promise<GetResult> {
    return this.#call(options, (signal) => this.#inner.get(key, { ...options, signal }));
  }

  getStream(key: string, options: GetOptions = {}): Promise<GetStream> {
    // The time limit is for the beginning of the answer; the signal given on is the caller's, for the rest.
    return this.#call(options, () => this.#inner.getStream(key, options));
  }

  head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    return this.#call(options, (signal) => this.#inner.head(key, { ...options, signal }));
  }

  delete(key: string, options: DeleteOptions = {}): Promise<void> {
    const conditional = options.ifMatch !== undefined;
    return this.#call(options, (signal) => this.#inner.delete(key, { ...options, signal }), { conditional, changes: true });
  }

  list(options: ListOptions = {}): Promise<ListResult> {
    return this.#call(options, (signal) => this.#inner.list({ ...options, signal }));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #call<T>(
    { signal }: CallOptions,
    attempt: (signal: AbortSignal) => Promise<T>,
    kind: { once?: boolean; conditional?: boolean; changes?: boolean } = {},
  ): Promise<T> {
    const { attempts, clock, chance, backoffMs, maxBackoffMs } = this.#options;
    let mayHaveHappened = false;
    for (let tries = 1; ; tries++) {
      try {
        return await this.#limited(() => this.#timed(attempt, signal, kind.changes ?? false));
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        mayHaveHappened ||= error.mayHaveHappened;
        const again = error.retryable && !kind.once && !(kind.conditional && mayHaveHappened) && tries < attempts;
        if (!again || signal?.aborted) {
          if (mayHaveHappened && !error.mayHaveHappened) throw new StoreError(error.code, error.message, { cause: error, mayHaveHappened });
          throw error;
        }
        const pause = Math.min(maxBackoffMs, backoffMs * 2 ** (tries - 1)) * chance.fraction();
        await clock.sleep(Math.max(pause, Math.min(error.retryAfterMs ?? 0, maxBackoffMs)), signal);
      }
    }
  }

  async #timed<T>(attempt: (signal: AbortSignal) => Promise<T>, signal: AbortSignal | undefined, changes: boolean): Promise<T> {
    const stop = new AbortController();
    const done = new AbortController();
    const onAbort = (): void => stop.abort();
    if (signal?.aborted) throw new StoreError('ABORTED', 'the caller gave up');
    signal?.addEventListener('abort', onAbort, { once: true });
    const { clock, timeoutMs } = this.#options;
    const limit = clock.sleep(timeoutMs, done.signal).then((): never | Promise<never> => {
      if (done.signal.aborted) return new Promise<never>(() => {});
      stop.abort();
      throw new StoreError('TIMEOUT', `${this.name}: no answer within ${timeoutMs} ms`, { mayHaveHappened: changes });
    });
    limit.catch(() => {});
    try {
      return await Promise.race([attempt(stop.signal), limit]);
    } catch (error) {
      // Our own stop after the limit shows as an abort that the caller did not ask for.
      if (isStoreError(error, 'ABORTED') && !signal?.aborted) {
        throw new StoreError('TIMEOUT', `${this.name}: no answer within ${timeoutMs} ms`, { cause: error, mayHaveHappened: changes });
      }
      throw error;
    } finally {
      done.abort();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async #limited<T>(call: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#options.concurrency) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await call();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}

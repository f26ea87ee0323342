/**
 * A store, and a register, with faults put in front, repeatable from a seed: what the array must survive, for tests and
 * for `--fault` in experiments. Faults can be changed while it runs.
 */

import { nextBelow, nextU32, type RandomState, seedRandom } from '../base/random.ts';
import {
  type CallOptions,
  type Clock,
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
  type StoreCapabilities,
  StoreError,
  streamOf,
} from './object-store.ts';
import type { CommitRegister, RegisterListing, RegisterListOptions, RegisterState, SetResult } from './register/commit-register.ts';

/** Chances in 0..1, each drawn per call. */
export interface Faults {
  /** Every call waits between these many milliseconds. */
  latencyMs?: [number, number];
  /** Fails before the store saw the call. */
  error?: number;
  /** The store did it, and the answer is lost. */
  lostReply?: number;
  throttle?: number;
  /** One bit of what is read is changed. */
  corrupt?: number;
  /** Never answers; only a time limit or the caller's signal ends it. */
  hang?: number;
  /** Everything fails. */
  outage?: boolean;
  /** Asked before each call with a word for it, such as `put d/...`; throws or delays to stage a crash or an order of events. */
  before?: (call: string) => Promise<void> | void;
  /** Likewise after the store has done it, before the answer is given. */
  after?: (call: string) => Promise<void> | void;
}

/** Draws and throws; shared by store and register. */
class FaultSource {
  faults: Faults;
  readonly #name: string;
  readonly #clock: Clock;
  readonly random: RandomState;

  constructor(name: string, faults: Faults, options: { clock: Clock; seed: bigint }) {
    this.#name = name;
    this.faults = faults;
    this.#clock = options.clock;
    this.random = seedRandom(options.seed);
  }

  drawn(chance: number | undefined): boolean {
    return chance !== undefined && chance > 0 && nextU32(this.random) < chance * 2 ** 32;
  }

  async around<T>(call: string, changes: boolean, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const { faults } = this;
    // Drawn in one order whatever happens, so that one fault does not move the others.
    const [error, throttle, hang, lost] = [faults.error, faults.throttle, faults.hang, faults.lostReply].map((chance) =>
      this.drawn(chance),
    );
    const [low, high] = faults.latencyMs ?? [0, 0];
    const latency = high > 0 ? low + nextBelow(this.random, high - low + 1) : 0;
    await faults.before?.(call);
    if (latency > 0) await this.#clock.sleep(latency, signal);
    if (hang) await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }));
    if (signal?.aborted) throw new StoreError('ABORTED', `${this.#name}: the caller gave up`);
    if (faults.outage) throw new StoreError('UNAVAILABLE', `${this.#name}: outage`);
    if (throttle) throw new StoreError('THROTTLED', `${this.#name}: slow down`, { retryAfterMs: 20 });
    if (error) throw new StoreError('UNAVAILABLE', `${this.#name}: staged error`);
    const result = await work();
    await faults.after?.(call);
    if (lost) throw new StoreError('UNAVAILABLE', `${this.#name}: staged loss of the answer`, { mayHaveHappened: changes });
    return result;
  }
}

export class FaultStore implements ObjectStore {
  readonly inner: ObjectStore;
  readonly #source: FaultSource;

  constructor(inner: ObjectStore, options: { clock: Clock; seed: bigint; faults?: Faults }) {
    this.inner = inner;
    this.#source = new FaultSource(inner.name, options.faults ?? {}, options);
  }

  get name(): string {
    return this.inner.name;
  }

  get capabilities(): StoreCapabilities {
    return this.inner.capabilities;
  }

  get faults(): Faults {
    return this.#source.faults;
  }

  set faults(faults: Faults) {
    this.#source.faults = faults;
  }

  put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    return this.#source.around(`put ${key}`, true, options.signal, () => this.inner.put(key, body, options));
  }

  get(key: string, options: GetOptions = {}): Promise<GetResult> {
    return this.#source.around(`get ${key}`, false, options.signal, async () => {
      const result = await this.inner.get(key, options);
      if (this.#source.drawn(this.faults.corrupt) && result.body.length > 0) {
        result.body[nextBelow(this.#source.random, result.body.length)]! ^= 1 << nextBelow(this.#source.random, 8);
      }
      return result;
    });
  }

  async getStream(key: string, options: GetOptions = {}): Promise<GetStream> {
    return streamOf(await this.get(key, options));
  }

  head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    return this.#source.around(`head ${key}`, false, options.signal, () => this.inner.head(key, options));
  }

  delete(key: string, options: DeleteOptions = {}): Promise<void> {
    return this.#source.around(`delete ${key}`, true, options.signal, () => this.inner.delete(key, options));
  }

  list(options: ListOptions = {}): Promise<ListResult> {
    return this.#source.around('list', false, options.signal, () => this.inner.list(options));
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

export class FaultRegister implements CommitRegister {
  readonly inner: CommitRegister;
  readonly #source: FaultSource;

  constructor(inner: CommitRegister, options: { clock: Clock; seed: bigint; faults?: Faults }) {
    this.inner = inner;
    this.#source = new FaultSource(inner.name, options.faults ?? {}, options);
  }

  get name(): string {
    return this.inner.name;
  }

  set faults(faults: Faults) {
    this.#source.faults = faults;
  }

  read(name: string, options: CallOptions = {}): Promise<RegisterState> {
    return this.#source.around(`read ${name}`, false, options.signal, () => this.inner.read(name, options));
  }

  set(name: string, expected: string, value: Uint8Array, options: CallOptions = {}): Promise<SetResult> {
    return this.#source.around(`set ${name}`, true, options.signal, () => this.inner.set(name, expected, value, options));
  }

  list(options: RegisterListOptions = {}): Promise<RegisterListing> {
    return this.#source.around('list', false, options.signal, () => this.inner.list(options));
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

/**
 * Registers as objects of one store with atomic conditional writes: no service beside the stores, but no write while
 * that store is out. Also the register of a single user, over a local directory.
 * An object is 16 bytes of chance and the value: etags of some stores are hashes of the content, and a version must
 * never come back.
 */

import { assert } from '../../base/errors.ts';
import { type CallOptions, type Chance, isStoreError, type ObjectStore, StoreError } from '../object-store.ts';
import {
  absentVersion,
  checkName,
  checkValue,
  type CommitRegister,
  type RegisterListing,
  type RegisterListOptions,
  type RegisterState,
  type SetResult,
} from './commit-register.ts';
import { keyOfName, nameOfKey } from './register-names.ts';

const markBytes = 16;
/** Reads at once for a list. */
const listReads = 16;

export class ConditionalRegister implements CommitRegister {
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #chance: Chance;
  readonly #prefix: string;

  /** The store belongs to the register: `close` closes it, unless `shared`. */
  readonly #shared: boolean;

  constructor(store: ObjectStore, options: { chance: Chance; prefix?: string; shared?: boolean }) {
    assert(store.capabilities.conditionalPut, () => `${store.name} has no conditional writes`);
    this.name = `conditional writes at ${store.name}`;
    this.#store = store;
    this.#chance = options.chance;
    this.#prefix = options.prefix ?? 'r/';
    this.#shared = options.shared ?? false;
  }

  async read(name: string, options: CallOptions = {}): Promise<RegisterState> {
    checkName(name);
    try {
      const { info, body } = await this.#store.get(this.#prefix + keyOfName(name), options);
      if (body.length < markBytes) throw new StoreError('CORRUPT', `${this.name}: register ${name} is cut short`);
      return { version: info.etag, value: body.subarray(markBytes) };
    } catch (error) {
      if (isStoreError(error, 'NOT_FOUND')) return { version: absentVersion, value: null };
      throw error;
    }
  }

  async set(name: string, expected: string, value: Uint8Array, options: CallOptions = {}): Promise<SetResult> {
    checkName(name);
    checkValue(value);
    const body = new Uint8Array(markBytes + value.length);
    body.set(this.#chance.bytes(markBytes));
    body.set(value, markBytes);
    const condition = expected === absentVersion ? { ifNoneMatch: '*' as const } : { ifMatch: expected };
    try {
      const { etag } = await this.#store.put(this.#prefix + keyOfName(name), body, { ...options, ...condition });
      return { done: true, version: etag };
    } catch (error) {
      // A refusal after a lost answer may be of our own repeated write: then the value is ours.
      if (!isStoreError(error, 'PRECONDITION_FAILED')) throw error;
      if (error.mayHaveHappened) throw new StoreError('UNAVAILABLE', error.message, { cause: error, mayHaveHappened: true });
      return { done: false, current: await this.read(name, options) };
    }
  }

  async list(options: RegisterListOptions = {}): Promise<RegisterListing> {
    const { prefix = '', startAfter, limit, signal } = options;
    const page = await this.#store.list({
      prefix: this.#prefix + keyOfName(prefix),
      ...(startAfter && { startAfter: this.#prefix + keyOfName(startAfter) }),
      ...(limit !== undefined && { limit }),
      ...(signal && { signal }),
    });
    const names = page.entries.map(({ key }) => nameOfKey(key.slice(this.#prefix.length)));
    return { entries: await readAll(this, names, options), truncated: page.truncated };
  }

  async close(): Promise<void> {
    if (!this.#shared) await this.#store.close();
  }
}

/** The states of names, a few at a time, without those that are absent. */
export async function readAll(
  register: Pick<CommitRegister, 'read'>,
  names: readonly string[],
  options: CallOptions,
): Promise<RegisterListing['entries']> {
  const states: RegisterState[] = new Array(names.length);
  let next = 0;
  const reader = async (): Promise<void> => {
    while (next < names.length) {
      const i = next++;
      states[i] = await register.read(names[i]!, options.signal ? { signal: options.signal } : {});
    }
  };
  await Promise.all(Array.from({ length: Math.min(listReads, names.length) }, reader));
  return names.flatMap((name, i) => (states[i]!.value === null ? [] : [{ name, state: states[i]! }]));
}

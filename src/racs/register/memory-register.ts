/** Registers in memory: the reference for the contract of commit-register.ts. */

import { checkLimit, checkSignal, compareKeys, type CallOptions, StoreError } from '../object-store.ts';
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

export class MemoryRegister implements CommitRegister {
  readonly name = 'memory';
  readonly #values = new Map<string, RegisterState>();
  #sets = 0;
  #closed = false;

  async read(name: string, options: CallOptions = {}): Promise<RegisterState> {
    this.#check(options);
    checkName(name);
    return this.#current(name);
  }

  async set(name: string, expected: string, value: Uint8Array, options: CallOptions = {}): Promise<SetResult> {
    this.#check(options);
    checkName(name);
    checkValue(value);
    const current = this.#current(name);
    if (current.version !== expected) return { done: false, current };
    const version = `${++this.#sets}`;
    this.#values.set(name, { version, value: value.slice() });
    return { done: true, version };
  }

  async list(options: RegisterListOptions = {}): Promise<RegisterListing> {
    this.#check(options);
    const limit = checkLimit(options.limit);
    const { prefix = '', startAfter = '' } = options;
    const names = [...this.#values.keys()].filter((name) => name.startsWith(prefix) && compareKeys(name, startAfter) > 0).sort(compareKeys);
    const entries = names.slice(0, limit).map((name) => ({ name, state: this.#current(name) }));
    return { entries, truncated: names.length > limit };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #current(name: string): RegisterState {
    const state = this.#values.get(name);
    return state ? { version: state.version, value: state.value!.slice() } : { version: absentVersion, value: null };
  }

  #check(options: CallOptions): void {
    checkSignal(options.signal);
    if (this.#closed) throw new StoreError('UNAVAILABLE', 'register: closed');
  }
}

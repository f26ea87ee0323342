/**
 * Named registers with compare-and-set: what makes a write of the array true at one moment. Implementations stand on
 * ZooKeeper, etcd, conditional writes of one store or of a majority of several, a local file, or memory.
 *
 * Contract, checked by test/support/commit-register-contract.ts:
 * 1. Each name is one linearizable register. A name never written reads as {@link absentVersion} without a value.
 * 2. A version is given out once: a `set` that names an older one never succeeds, however late it arrives.
 * 3. `set` resolves to what is there now when `expected` is not the current version. When it rejects with
 *    `mayHaveHappened`, the set may have been done or may still be: read, look for your own mark in the value, and
 *    repeat the same set with the same `expected` if nothing has changed; only one of the two can succeed.
 * 4. Values are at most {@link maxValueBytes} long. There is no delete: who needs one writes a value that says so.
 * 5. Names obey the rules of object keys, but may be {@link maxNameBytes} long, and are listed in the same order.
 */

import { type CallOptions, StoreError } from '../object-store.ts';

export const absentVersion = '';
/** ZooKeeper's jute.maxbuffer is 1 MiB by default, etcd's request limit 1.5 MiB. */
export const maxValueBytes = 1_000_000;

/** A key, and what its user puts around it. */
export const maxNameBytes = 1200;

export interface RegisterState {
  /** Opaque. */
  version: string;
  /** Null exactly when the version is {@link absentVersion}. */
  value: Uint8Array | null;
}

export type SetResult = { done: true; version: string } | { done: false; current: RegisterState };

export interface RegisterListOptions extends CallOptions {
  prefix?: string;
  startAfter?: string;
  /** 1..1000, default 1000. */
  limit?: number;
}

export interface RegisterListing {
  entries: { name: string; state: RegisterState }[];
  truncated: boolean;
}

export interface CommitRegister {
  /** For messages: `etcd 127.0.0.1:2379`. */
  readonly name: string;
  read(name: string, options?: CallOptions): Promise<RegisterState>;
  set(name: string, expected: string, value: Uint8Array, options?: CallOptions): Promise<SetResult>;
  /** Names that were ever written, each with a state that was current at some moment of the call. */
  list(options?: RegisterListOptions): Promise<RegisterListing>;
  close(): Promise<void>;
}

/** @throws {StoreError} INVALID_KEY */
export function checkName(name: string): void {
  const right = name.length > 0 && name.isWellFormed() && !name.includes('\0') && new TextEncoder().encode(name).length <= maxNameBytes;
  if (!right) throw new StoreError('INVALID_KEY', `register name ${JSON.stringify(name.slice(0, 60))} is not allowed`);
}

/** @throws {StoreError} TOO_LARGE */
export function checkValue(value: Uint8Array): void {
  if (value.length > maxValueBytes)
    throw new StoreError('TOO_LARGE', `register value of ${value.length} bytes, more than ${maxValueBytes}`);
}

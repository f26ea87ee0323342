/**
 * Registers in etcd, through the JSON gateway of its v3 interface: a version is the key's mod_revision, which etcd
 * never gives out twice, and a set is a transaction that compares it. Reads are linearizable (the default).
 * Source: etcd 3.4 documentation, "gRPC gateway"; etcdserverpb/rpc.proto, RangeRequest and TxnRequest.
 */

import { type CallOptions, checkLimit, isStoreError, StoreError } from '../object-store.ts';
import {
  absentVersion,
  checkName,
  checkValue,
  type CommitRegister,
  type RegisterListing,
  type RegisterListOptions,
  type RegisterState,
  type SetResult,
} from '../register/commit-register.ts';
import { HttpClient } from './http-client.ts';

export interface EtcdRegisterOptions {
  /** `http://127.0.0.1:2379`, one per member. */
  endpoints: readonly string[];
  prefix?: string;
  timeoutMs?: number;
}

/** Numbers of 64 bits come as text, and zero does not come at all. */
interface KeyValue {
  key: string;
  value?: string;
  mod_revision?: string;
}

interface RangeResponse {
  kvs?: KeyValue[];
  more?: boolean;
}

interface TxnResponse {
  header: { revision: string };
  succeeded?: boolean;
  responses?: { response_range?: RangeResponse }[];
}

export class EtcdRegister implements CommitRegister {
  readonly name: string;
  readonly #clients: HttpClient[];
  readonly #prefix: string;
  readonly #timeoutMs: number;
  #turn = 0;

  constructor({ endpoints, prefix = 'racs/', timeoutMs = 5000 }: EtcdRegisterOptions) {
    this.name = `etcd ${endpoints.map((endpoint) => new URL(endpoint).host).join()}`;
    this.#clients = endpoints.map((endpoint) => new HttpClient(this.name, endpoint));
    this.#prefix = prefix;
    this.#timeoutMs = timeoutMs;
  }

  async read(name: string, options: CallOptions = {}): Promise<RegisterState> {
    checkName(name);
    const { kvs } = await this.#post<RangeResponse>('range', { key: this.#key(name) }, false, options);
    return stateOf(kvs?.[0]);
  }

  async set(name: string, expected: string, value: Uint8Array, options: CallOptions = {}): Promise<SetResult> {
    checkName(name);
    checkValue(value);
    if (expected !== absentVersion && !/^[1-9]\d*$/.test(expected)) return { done: false, current: await this.read(name, options) };
    const key = this.#key(name);
    const answer = await this.#post<TxnResponse>(
      'txn',
      {
        compare: [{ key, target: 'MOD', result: 'EQUAL', mod_revision: expected || '0' }],
        success: [{ request_put: { key, value: Buffer.from(value).toString('base64') } }],
        failure: [{ request_range: { key } }],
      },
      true,
      options,
    );
    if (answer.succeeded) return { done: true, version: answer.header.revision };
    return { done: false, current: stateOf(answer.responses?.[0]?.response_range?.kvs?.[0]) };
  }

  async list(options: RegisterListOptions = {}): Promise<RegisterListing> {
    const limit = checkLimit(options.limit);
    const prefix = Buffer.from(this.#prefix + (options.prefix ?? ''));
    // After a key comes that key and a zero byte; after a prefix, the prefix with its last byte one higher.
    const after = options.startAfter ? Buffer.from(`${this.#prefix}${options.startAfter}\0`) : prefix;
    const first = Buffer.compare(after, prefix) > 0 ? after : prefix;
    const end = Buffer.from(prefix);
    end[end.length - 1]! += 1;
    const request = { key: first.toString('base64'), range_end: end.toString('base64'), limit };
    const { kvs = [], more = false } = await this.#post<RangeResponse>('range', request, false, options);
    const entries = kvs.map((kv) => ({ name: Buffer.from(kv.key, 'base64').toString().slice(this.#prefix.length), state: stateOf(kv) }));
    return { entries, truncated: more };
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
  }

  #key(name: string): string {
    return Buffer.from(this.#prefix + name).toString('base64');
  }

  /** Asks one member after the other until one answers; a change only while nothing can have happened. */
  async #post<T>(method: string, request: unknown, changes: boolean, { signal }: CallOptions): Promise<T> {
    if (signal?.aborted) throw new StoreError('ABORTED', `${this.name}: the caller gave up`);
    const body = Buffer.from(JSON.stringify(request));
    for (let tries = 1; ; tries++) {
      const client = this.#clients[this.#turn % this.#clients.length]!;
      try {
        return await this.#once<T>(client, method, body, changes, signal);
      } catch (error) {
        const again = isStoreError(error) && error.retryable && !(changes && error.mayHaveHappened) && tries < this.#clients.length;
        this.#turn++;
        if (!again) throw error;
      }
    }
  }

  async #once<T>(client: HttpClient, method: string, body: Uint8Array, changes: boolean, signal: AbortSignal | undefined): Promise<T> {
    const limit = AbortSignal.timeout(this.#timeoutMs);
    const both = signal ? AbortSignal.any([signal, limit]) : limit;
    try {
      const headers = { 'content-type': 'application/json' };
      const response = await client.request({ method: 'POST', path: `/v3/kv/${method}`, headers, body, signal: both });
      const text = await response.text();
      if (response.status !== 200) {
        // Among others: no leader, request timed out. Whether a transaction was applied is open.
        throw new StoreError('UNAVAILABLE', `${this.name}: ${response.status} ${text.slice(0, 120)}`, { mayHaveHappened: changes });
      }
      return JSON.parse(text) as T;
    } catch (error) {
      if (limit.aborted && !signal?.aborted)
        throw new StoreError('TIMEOUT', `${this.name}: no answer`, { cause: error, mayHaveHappened: changes });
      throw error;
    }
  }
}

function stateOf(kv: KeyValue | undefined): RegisterState {
  if (!kv) return { version: absentVersion, value: null };
  return { version: kv.mod_revision ?? '0', value: new Uint8Array(Buffer.from(kv.value ?? '', 'base64')) };
}

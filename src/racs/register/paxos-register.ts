/**
 * Registers over several stores with atomic conditional writes, of which a majority must answer: CASPaxos (Rystsov,
 * "CASPaxos: Replicated State Machines without logs", arXiv 1802.07000, §2.2), one object per register and store as
 * the acceptor's memory, changed by compare-and-swap on its etag, so that the stores need no code of ours.
 *
 * Acceptor: promised ballot, accepted ballot, and the accepted state (version, value).
 * Round with ballot b: 1. a majority promises b and tells what it accepted; 2. the state of the highest accepted
 *   ballot is current; change it, or keep it to read; 3. a majority accepts the result at b: it is chosen.
 * Read: when a majority has accepted the same ballot, its state is chosen and nothing later was chosen before the read
 *   began; a majority that accepted nothing means absent. Otherwise a round that changes nothing settles it.
 * A set that some acceptors took, but no majority, may be finished by somebody else's round. The state remembers former
 *   versions: ours is among them, and the set was done; the one that we set over is, and it was not and never will be;
 *   neither is, and it is reported as unclear.
 */

import { assert } from '../../base/errors.ts';
import {
  type CallOptions,
  type Chance,
  checkLimit,
  type Clock,
  compareKeys,
  isStoreError,
  type ListResult,
  type ObjectStore,
  StoreError,
} from '../object-store.ts';
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
import { readAll } from './conditional-register.ts';
import { keyOfName, nameOfKey } from './register-names.ts';

/** What an acceptor holds. Ballots compare as text: 12 digits, a dot, 16 hexadecimal digits of chance. */
interface Acceptor {
  promised: string;
  accepted: string;
  version: string;
  value: Uint8Array | null;
  /** Versions before this one, newest first. */
  former: string[];
}

type State = Pick<Acceptor, 'version' | 'value' | 'former'>;

interface Stored {
  acceptor: Acceptor;
  /** Null when there is no object yet. */
  etag: string | null;
}

const nothing: Acceptor = { promised: '', accepted: '', version: absentVersion, value: null, former: [] };
const keptVersions = 16;
const maxRounds = 30;
const maxSwaps = 20;

export class PaxosRegister implements CommitRegister {
  readonly name: string;
  readonly #stores: readonly ObjectStore[];
  readonly #majority: number;
  readonly #clock: Clock;
  readonly #chance: Chance;
  readonly #prefix: string;
  #closed = false;

  /** The stores are not closed with the register. */
  constructor(stores: readonly ObjectStore[], options: { clock: Clock; chance: Chance; prefix?: string }) {
    assert(stores.length > 0, 'a register needs stores');
    for (const store of stores) assert(store.capabilities.conditionalPut, () => `${store.name} has no conditional writes`);
    this.name = `majority of ${stores.length} stores`;
    this.#stores = stores;
    this.#majority = Math.floor(stores.length / 2) + 1;
    this.#clock = options.clock;
    this.#chance = options.chance;
    this.#prefix = options.prefix ?? 'q/';
  }

  async read(name: string, options: CallOptions = {}): Promise<RegisterState> {
    this.#check(name);
    const seen = await this.#quorum((store) => this.#load(store, name, options));
    const ballots = seen.map(({ acceptor }) => acceptor.accepted);
    const agreed = ballots.find((ballot) => ballots.filter((other) => other === ballot).length >= this.#majority);
    if (agreed !== undefined) {
      const { version, value } = seen.find(({ acceptor }) => acceptor.accepted === agreed)!.acceptor;
      return { version, value };
    }
    const { state } = await this.#round(name, (current) => current, options);
    return { version: state.version, value: state.value };
  }

  async set(name: string, expected: string, value: Uint8Array, options: CallOptions = {}): Promise<SetResult> {
    this.#check(name);
    checkValue(value);
    const version = this.#hex(8);
    const own = ({ version: former, former: older }: State): State => ({
      ...{ version, value: value.slice() },
      former: [former, ...older].slice(0, keptVersions),
    });
    const change = (current: State): State => (current.version === expected ? own(current) : current);
    const { state, taken } = await this.#round(name, change, options, version);
    if (state.version === version || state.former.includes(version)) return { done: true, version };
    if (taken && !state.former.includes(expected)) {
      throw new StoreError('UNAVAILABLE', `${this.name}: whether ${name} was set is unclear`, { mayHaveHappened: true });
    }
    return { done: false, current: { version: state.version, value: state.value } };
  }

  async list(options: RegisterListOptions = {}): Promise<RegisterListing> {
    this.#checkOpen();
    const limit = checkLimit(options.limit);
    const { prefix = '', startAfter, signal } = options;
    const pages = await this.#quorum((store) =>
      store.list({
        prefix: this.#prefix + keyOfName(prefix),
        ...(startAfter && { startAfter: this.#prefix + keyOfName(startAfter) }),
        ...{ limit, ...(signal && { signal }) },
      }),
    );
    const { keys, truncated } = mergePages(pages, limit);
    const names = keys.map((key) => nameOfKey(key.slice(this.#prefix.length)));
    return { entries: await readAll(this, names, options), truncated };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** Rounds until one is chosen. `taken`: an acceptor took our version, or may have, in a round that was not chosen. */
  async #round(
    name: string,
    change: (current: State) => State,
    options: CallOptions,
    ownVersion?: string,
  ): Promise<{ state: State; taken: boolean }> {
    let taken = false;
    let counter = 0;
    for (let tries = 0; tries < maxRounds; tries++) {
      if (tries > 0) await this.#clock.sleep(2 ** Math.min(tries, 8) * (0.5 + this.#chance.fraction()), options.signal);
      const ballot = `${String(counter + 1).padStart(12, '0')}.${this.#hex(8)}`;
      const prepared = await this.#answers(
        (store) => this.#swap(store, name, (acceptor) => (acceptor.promised < ballot ? { ...acceptor, promised: ballot } : null), options),
        taken,
      );
      counter = Math.max(counter, ...prepared.map(({ after }) => counterOf(after.acceptor.promised)));
      const promises = prepared.filter(({ done }) => done);
      if (promises.length < this.#majority) continue;
      const latest = promises.reduce((best, { after }) => (after.acceptor.accepted > best.accepted ? after.acceptor : best), nothing);
      const next = change({ version: latest.version, value: latest.value, former: latest.former });
      // Nothing was ever accepted by a majority's memory, and there is nothing to write.
      if (next.version === absentVersion) return { state: next, taken };
      const ours = next.version === ownVersion;
      const accepted = await this.#answers((store) => {
        const known = prepared.find((answer) => answer.store === store && answer.done)?.after;
        const accept = (acceptor: Acceptor): Acceptor | null =>
          acceptor.promised <= ballot ? { promised: ballot, accepted: ballot, ...next } : null;
        return this.#swap(store, name, accept, options, known);
      }, taken || ours);
      counter = Math.max(counter, ...accepted.map(({ after }) => counterOf(after.acceptor.promised)));
      if (accepted.filter(({ done }) => done).length >= this.#majority) return { state: next, taken };
      taken ||= ours && (accepted.some(({ done }) => done) || accepted.length < this.#stores.length);
    }
    throw new StoreError('UNAVAILABLE', `${this.name}: ${name} is contended`, { mayHaveHappened: taken });
  }

  /** Answers of all stores, as soon as a majority has said yes or all have spoken. @throws {StoreError} without a majority of answers */
  async #answers(
    call: (store: ObjectStore) => Promise<{ done: boolean; after: Stored }>,
    mayHaveHappened: boolean,
  ): Promise<{ store: ObjectStore; done: boolean; after: Stored }[]> {
    return this.#gather(
      async (store) => ({ store, ...(await call(store)) }),
      ({ done }) => done,
      mayHaveHappened,
    );
  }

  #quorum<T>(call: (store: ObjectStore) => Promise<T>): Promise<T[]> {
    return this.#gather(call, () => true, false);
  }

  async #gather<T>(call: (store: ObjectStore) => Promise<T>, counts: (answer: T) => boolean, mayHaveHappened: boolean): Promise<T[]> {
    const answers: T[] = [];
    const failures: unknown[] = [];
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (answers.filter(counts).length >= this.#majority) resolve([...answers]);
        else if (answers.length + failures.length === this.#stores.length) {
          if (answers.length >= this.#majority) resolve([...answers]);
          else {
            const aborted = failures.find((error) => isStoreError(error, 'ABORTED'));
            const why = `${this.name}: ${answers.length} answered, ${this.#majority} are needed`;
            reject(aborted ?? new StoreError('UNAVAILABLE', why, { cause: failures[0], mayHaveHappened }));
          }
        }
      };
      for (const store of this.#stores) {
        call(store).then(
          (answer) => {
            answers.push(answer);
            look();
          },
          (error: unknown) => {
            failures.push(error);
            look();
          },
        );
      }
    });
  }

  async #load(store: ObjectStore, name: string, options: CallOptions): Promise<Stored> {
    try {
      const { info, body } = await store.get(this.#prefix + keyOfName(name), options.signal ? { signal: options.signal } : {});
      return { acceptor: decodeAcceptor(body), etag: info.etag };
    } catch (error) {
      if (isStoreError(error, 'NOT_FOUND')) return { acceptor: nothing, etag: null };
      throw error;
    }
  }

  /** Changes an acceptor; `change` gives null to leave it, which counts as refused. `known` saves the first read. */
  async #swap(
    store: ObjectStore,
    name: string,
    change: (acceptor: Acceptor) => Acceptor | null,
    options: CallOptions,
    known?: Stored,
  ): Promise<{ done: boolean; after: Stored }> {
    let stored = known ?? (await this.#load(store, name, options));
    for (let swaps = 0; swaps < maxSwaps; swaps++) {
      const acceptor = change(stored.acceptor);
      if (!acceptor) return { done: false, after: stored };
      const condition = stored.etag === null ? { ifNoneMatch: '*' as const } : { ifMatch: stored.etag };
      try {
        const body = encodeAcceptor(acceptor, this.#chance.bytes(16));
        const { etag } = await store.put(this.#prefix + keyOfName(name), body, {
          ...condition,
          ...(options.signal && { signal: options.signal }),
        });
        return { done: true, after: { acceptor, etag } };
      } catch (error) {
        const look = isStoreError(error, 'PRECONDITION_FAILED') || (isStoreError(error) && error.retryable && error.mayHaveHappened);
        if (!look) throw error;
        // Ballots are unique and each is prepared and accepted once per acceptor: what shows our change is our change.
        stored = await this.#load(store, name, options);
        const same = stored.acceptor.promised === acceptor.promised && stored.acceptor.accepted === acceptor.accepted;
        if (same && stored.acceptor.version === acceptor.version) return { done: true, after: stored };
      }
    }
    throw new StoreError('UNAVAILABLE', `${store.name}: register ${name} is contended`);
  }

  #hex(bytes: number): string {
    return Array.from(this.#chance.bytes(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  #check(name: string): void {
    checkName(name);
    this.#checkOpen();
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('UNAVAILABLE', `${this.name}: closed`);
  }
}

const counterOf = (ballot: string): number => Number(ballot.slice(0, 12) || 0);

/** 16 bytes of chance, so that equal states have different etags | u16 length of the head | head in JSON | value. */
function encodeAcceptor({ promised, accepted, version, value, former }: Acceptor, mark: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(JSON.stringify([promised, accepted, version, value === null ? 0 : 1, former]));
  const bytes = new Uint8Array(18 + head.length + (value?.length ?? 0));
  bytes.set(mark);
  new DataView(bytes.buffer).setUint16(16, head.length);
  bytes.set(head, 18);
  if (value) bytes.set(value, 18 + head.length);
  return bytes;
}

function decodeAcceptor(bytes: Uint8Array): Acceptor {
  try {
    const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint16(16);
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(18, 18 + length))) as unknown;
    const [promised, accepted, version, present, former] = head as [string, string, string, number, string[]];
    return { promised, accepted, version, value: present ? bytes.subarray(18 + length) : null, former };
  } catch (error) {
    throw new StoreError('CORRUPT', 'a register object is damaged', { cause: error });
  }
}

/** Keys of several lists, as far as each list that is cut off reaches. */
function mergePages(pages: readonly ListResult[], limit: number): { keys: string[]; truncated: boolean } {
  const horizon = pages.flatMap(({ truncated, entries }) => (truncated ? [entries.at(-1)!.key] : [])).sort(compareKeys)[0];
  const all = [...new Set(pages.flatMap(({ entries }) => entries.map(({ key }) => key)))].sort(compareKeys);
  const known = horizon === undefined ? all : all.filter((key) => compareKeys(key, horizon) <= 0);
  return { keys: known.slice(0, limit), truncated: horizon !== undefined || known.length > limit };
}

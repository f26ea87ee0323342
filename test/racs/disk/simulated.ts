/**
 * A disk's surroundings that can crash: objects and register live on, the journal keeps what was synced and any part of
 * what was not. Every call to the outside goes through `step`, which may end the world at that call, before or after it.
 */

import { MemoryObjectStore } from '../../../src/racs/memory-object-store.ts';
import { type Chance, type Clock, type ObjectStore, StoreError } from '../../../src/racs/object-store.ts';
import { MemoryRegister } from '../../../src/racs/register/memory-register.ts';
import type { CommitRegister } from '../../../src/racs/register/commit-register.ts';
import type { Journal } from '../../../src/racs/disk/journal.ts';
import type { DiskParts } from '../../../src/racs/disk/log-disk.ts';
import { BackendError } from '../../../src/base/errors.ts';
import { fillRandom, seedRandom } from '../../../src/base/random.ts';

export class Crash extends Error {
  override readonly name = 'Crash';
}

/** One life of a process: counts its calls to the outside and ends at the chosen one. */
export class Life {
  calls = 0;
  dead = false;
  /** Resolves some turns after the end: what was under way has had its chance. */
  readonly ended: Promise<void>;
  #end: () => void = () => {};
  readonly dieAt: number;
  readonly afterwards: boolean;

  constructor(dieAt = Number.POSITIVE_INFINITY, afterwards = false) {
    this.dieAt = dieAt;
    this.afterwards = afterwards;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  async step<T>(work: () => Promise<T>): Promise<T> {
    if (this.dead) return never();
    this.calls++;
    const last = this.calls >= this.dieAt;
    if (last) {
      this.dead = true;
      setImmediate(() => setImmediate(this.#end));
    }
    if (last && !this.afterwards) return never();
    const result = await work();
    // What the dead have asked for may still happen; they never hear of it.
    return this.dead ? never() : result;
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => {});
}

export class JournalPlace {
  readonly id = 'place';
  holder = 0;
  files = new Map<number, { bytes: Uint8Array; synced: number; owner: number }>();

  /** A power failure: of what was not synced, each file keeps `share` of its bytes, whole or torn. */
  lose(share: number): void {
    for (const [number, file] of this.files) {
      const kept = file.synced + Math.floor((file.bytes.length - file.synced) * share);
      if (kept === 0) this.files.delete(number);
      else file.bytes = file.bytes.slice(0, kept);
    }
  }

  journal(life: Life): Journal {
    let me = 0;
    return {
      id: this.id,
      open: () =>
        life.step(async () => {
          me = ++this.holder;
          return [...this.files.keys()].sort((a, b) => a - b);
        }),
      read: (file) => life.step(async () => this.files.get(file)!.bytes.slice()),
      append: (file, pieces) => {
        const copies = pieces.map((piece) => piece.slice());
        return life.step(async () => {
          // A former owner's folder is out of reach.
          if (me !== this.holder) throw new BackendError('FENCED', 'another owner');
          const old = this.files.get(file) ?? { bytes: new Uint8Array(0), synced: 0, owner: me };
          this.files.set(file, { ...old, bytes: Uint8Array.from([...old.bytes, ...copies.flatMap((piece) => [...piece])]) });
        });
      },
      sync: (file) =>
        life.step(async () => {
          const found = this.files.get(file);
          if (found) found.synced = found.bytes.length;
          if (me !== this.holder) throw new BackendError('FENCED', 'another owner');
        }),
      remove: (file) =>
        life.step(async () => {
          if (me === this.holder) this.files.delete(file);
        }),
      close: async () => {},
    };
  }
}

export class World {
  readonly store = new MemoryObjectStore();
  readonly register = new MemoryRegister();
  readonly place = new JournalPlace();
  /** Keys that a get or head asked for and did not find. */
  readonly missing: string[] = [];

  parts(life = new Life(), options: { loseReplies?: number } = {}): DiskParts {
    const { store, register, missing } = this;
    let puts = 0;
    const wrapped: ObjectStore = {
      name: store.name,
      capabilities: store.capabilities,
      put: (key, body, o) => life.step(() => store.put(key, body, o)),
      get: (key, o) =>
        life.step(() =>
          store.get(key, o).catch((error) => {
            missing.push(key);
            throw error;
          }),
        ),
      getStream: (key, o) => life.step(() => store.getStream(key, o)),
      head: (key, o) => life.step(() => store.head(key, o)),
      delete: (key, o) => life.step(() => store.delete(key, o)),
      list: (o) => life.step(() => store.list(o)),
      close: async () => {},
    };
    const wrappedRegister: CommitRegister = {
      name: register.name,
      read: (name) => life.step(() => register.read(name)),
      set: (name, expected, value) =>
        life.step(async () => {
          const result = await register.set(name, expected, value);
          if (options.loseReplies && ++puts % options.loseReplies === 0)
            throw new StoreError('TIMEOUT', 'the reply is lost', { mayHaveHappened: true });
          return result;
        }),
      list: (o) => life.step(() => register.list(o)),
      close: async () => {},
    };
    return { store: wrapped, register: wrappedRegister, clock: patientClock, chance: seededChance(7n) };
  }
}

/** Sleeps end at once, in their turn; long ones only by their signal, so that nothing stalls or seals by itself. */
export const patientClock: Clock = {
  now: () => 0,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (ms < 5500) setImmediate(resolve);
      else signal?.addEventListener('abort', () => resolve());
    }),
};

let worlds = 0n;

export function seededChance(seed: bigint): Chance {
  // Disks made in one world must not get one identity: each call draws on.
  const state = seedRandom(seed + 1000n * worlds++);
  const bytes = (count: number): Uint8Array => {
    const result = new Uint8Array(count);
    fillRandom(state, result);
    return result;
  };
  return { fraction: () => bytes(1)[0]! / 256, bytes };
}

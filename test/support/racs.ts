/** Arrays in memory with faults, and a clock that runs on when everybody waits, for tests of the array. */

import { fillRandom, seedRandom } from '../../src/base/random.ts';
import { type ArrayOptions, RacsArray } from '../../src/racs/array.ts';
import { MemoryObjectStore } from '../../src/racs/memory-object-store.ts';
import type { Chance, Clock } from '../../src/racs/object-store.ts';
import { MemoryRegister } from '../../src/racs/register/memory-register.ts';

/** Time that jumps to the next sleeper once all other work of the event loop is done. */
export class TestClock implements Clock {
  #now = 1_700_000_000_000;
  #sleepers: { at: number; wake: () => void }[] = [];
  #pumping = false;

  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper = { at: this.#now + Math.ceil(ms), wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        resolve();
      });
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    // Two turns: promises that were ready, and what they started, come first.
    setImmediate(() =>
      setImmediate(() => {
        this.#pumping = false;
        if (this.#sleepers.length === 0) return;
        const next = Math.min(...this.#sleepers.map(({ at }) => at));
        this.#now = Math.max(this.#now, next);
        const due = this.#sleepers.filter(({ at }) => at <= this.#now);
        this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#now);
        for (const { wake } of due) wake();
        if (this.#sleepers.length > 0) this.#pump();
      }),
    );
  }
}

export function testChance(seed = 1n): Chance {
  const state = seedRandom(seed);
  const bytes = (count: number): Uint8Array => {
    const filled = new Uint8Array(count);
    fillRandom(state, filled);
    return filled;
  };
  return { bytes, fraction: () => bytes(4).reduce((sum, byte) => (sum + byte) / 256, 0) };
}

export interface MemoryArray {
  array: RacsArray;
  stores: MemoryObjectStore[];
  clock: TestClock;
  register: MemoryRegister;
}

export function memoryArray(options: Partial<ArrayOptions> & { providerCount?: number } = {}): MemoryArray {
  const coding = options.coding ?? { k: 2, n: 3 };
  const clock = new TestClock();
  const stores = Array.from({ length: options.providerCount ?? coding.n }, (_, i) => new MemoryObjectStore({ name: `memory ${i}`, clock }));
  const register = new MemoryRegister();
  const providers = stores.map((store, i) => ({ id: `p${i}`, store }));
  const array = new RacsArray({ id: 'test', providers, register, clock, chance: testChance(), ...options, coding });
  return { array, stores, clock, register };
}

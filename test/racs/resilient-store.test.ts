import { describe, expect, it } from 'vitest';
import { FaultStore, type Faults } from '../../src/racs/fault-store.ts';
import { MemoryObjectStore } from '../../src/racs/memory-object-store.ts';
import { probeStore } from '../../src/racs/probe.ts';
import { ResilientStore, type Resilience } from '../../src/racs/resilient-store.ts';
import { itKeepsTheObjectStoreContract } from '../support/object-store-contract.ts';
import { TestClock, testChance } from '../support/racs.ts';

function setUp(faults: Faults, options: Partial<Resilience> = {}) {
  const clock = new TestClock();
  const calls: string[] = [];
  const inner = new MemoryObjectStore();
  const faulty = new FaultStore(inner, { clock, seed: 3n, faults: { ...faults, before: (call) => void calls.push(call) } });
  return { clock, calls, inner, faulty, store: new ResilientStore(faulty, { clock, chance: testChance(), ...options }) };
}

describe('a store with retries', () => {
  itKeepsTheObjectStoreContract(() => setUp({ throttle: 0.1, error: 0.1 }, { attempts: 20 }).store);

  it('tries again what may be tried again, and gives up after so many attempts', async () => {
    const { store, calls } = setUp({ outage: true }, { attempts: 3 });
    await expect(store.get('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(store.put('a', new Uint8Array(1))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(calls).toHaveLength(6);
    const other = setUp({});
    await expect(other.store.get('a')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(other.calls).toHaveLength(1);
  });

  it('never repeats a conditional write whose answer was lost', async () => {
    const { store, calls, inner } = setUp({ lostReply: 1 });
    await expect(store.put('a', new Uint8Array(1), { ifNoneMatch: '*' })).rejects.toMatchObject({ mayHaveHappened: true });
    expect([calls.length, inner.size]).toEqual([1, 1]);
  });

  it('ends an attempt that hangs at its time limit, and tells whether it may have happened', async () => {
    const { store, clock } = setUp({ hang: 1 }, { timeoutMs: 100, attempts: 2 });
    const start = clock.now();
    await expect(store.get('a')).rejects.toMatchObject({ code: 'TIMEOUT', mayHaveHappened: false });
    await expect(store.put('a', new Uint8Array(1))).rejects.toMatchObject({ code: 'TIMEOUT', mayHaveHappened: true });
    expect(clock.now() - start).toBeLessThan(600);
  });

  it('has only so many calls under way', async () => {
    let running = 0;
    let most = 0;
    const { store, faulty } = setUp({}, { concurrency: 3 });
    faulty.faults = {
      latencyMs: [5, 5],
      before: () => {
        most = Math.max(most, ++running);
      },
      after: () => void running--,
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => store.put(`${i}`, new Uint8Array(1))));
    expect(most).toBe(3);
  });
});

describe('faults', () => {
  it('are the same again from the same seed, and others from another', async () => {
    const run = async (seed: bigint): Promise<string> => {
      const clock = new TestClock();
      const store = new FaultStore(new MemoryObjectStore(), {
        clock,
        seed,
        faults: { error: 0.3, lostReply: 0.2, throttle: 0.1, latencyMs: [1, 50] },
      });
      const codes: string[] = [];
      for (let i = 0; i < 40; i++)
        codes.push(
          await store.put(`${i}`, new Uint8Array(1)).then(
            () => 'ok',
            (error: { code: string }) => error.code,
          ),
        );
      return `${codes} ${clock.now()}`;
    };
    expect(await run(1n)).toBe(await run(1n));
    expect(await run(1n)).not.toBe(await run(2n));
  });
});

describe('the probe', () => {
  it('believes a store that does what it says, and leaves nothing behind', async () => {
    const store = new MemoryObjectStore();
    expect(await probeStore(store, { chance: testChance() })).toEqual({ capabilities: store.capabilities, findings: [] });
    expect(store.size).toBe(0);
  });

  it.each<[string, (store: MemoryObjectStore) => Partial<MemoryObjectStore>, string, RegExp]>([
    ['ignores conditions', (store) => ({ put: (key, body) => store.put(key, body) }), 'conditionalPut', /racing conditional writes/],
    [
      'checks, and writes later',
      (store) => ({
        async put(key, body, { ifNoneMatch, ifMatch, ...rest } = {}) {
          const etag = await store.head(key).then(
            (info) => info.etag,
            () => undefined,
          );
          if (ifNoneMatch && etag !== undefined) await store.put(key, body, { ifNoneMatch });
          if (ifMatch !== undefined && etag !== ifMatch) await store.put(key, body, { ifMatch });
          await new Promise((resolve) => setImmediate(resolve));
          return store.put(key, body, rest);
        },
      }),
      'conditionalPut',
      /racing conditional writes/,
    ],
    [
      'refuses every condition',
      (store) => ({ put: (key, body, options) => store.put(key, body, options?.ifNoneMatch || options?.ifMatch ? { ifMatch: 'no' } : {}) }),
      'conditionalPut',
      /no conditional write \(create\) is accepted/,
    ],
    ['does not serve ranges', (store) => ({ get: (key) => store.get(key) }), 'rangeRead', /ranges are not served/],
    ['lists nothing', () => ({ list: async () => ({ entries: [], truncated: false }) }), 'consistentList', /does not see a put/],
  ])('finds out a store that %s', async (_, change, capability, finding) => {
    const inner = new MemoryObjectStore();
    const store = Object.assign(
      { name: 'x', capabilities: inner.capabilities, get: inner.get.bind(inner), put: inner.put.bind(inner), head: inner.head.bind(inner) },
      {
        getStream: inner.getStream.bind(inner),
        delete: inner.delete.bind(inner),
        list: inner.list.bind(inner),
        close: inner.close.bind(inner),
      },
      change(inner),
    );
    const { capabilities, findings } = await probeStore(store, { chance: testChance() });
    expect(capabilities).toEqual({ ...inner.capabilities, [capability]: false });
    expect(findings.join()).toMatch(finding);
  });
});

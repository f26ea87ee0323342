import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RacsArray } from '../../src/racs/array.ts';
import { collect } from '../../src/racs/collector.ts';
import { FaultRegister, FaultStore, type Faults } from '../../src/racs/fault-store.ts';
import { MemoryObjectStore } from '../../src/racs/memory-object-store.ts';
import { isStoreError } from '../../src/racs/object-store.ts';
import type { CommitRegister } from '../../src/racs/register/commit-register.ts';
import { MemoryRegister } from '../../src/racs/register/memory-register.ts';
import { PaxosRegister } from '../../src/racs/register/paxos-register.ts';
import { drain, migrate, scrub } from '../../src/racs/repair.ts';
import { ResilientStore } from '../../src/racs/resilient-store.ts';
import { isLinearizable, type Operation } from '../support/linearizability.ts';
import { TestClock, testChance } from '../support/racs.ts';

const text = (value: string) => new TextEncoder().encode(value);
const plain = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Times as many random runs, for a soak. */
const soak = Number(process.env.RACS_SOAK ?? 1);

/** Stores that outlive the processes which use them. */
class World {
  readonly clock = new TestClock();
  readonly stores: MemoryObjectStore[];
  readonly register = new MemoryRegister();
  #processes = 0;

  constructor(count: number) {
    this.stores = Array.from({ length: count }, (_, i) => new MemoryObjectStore({ name: `m${i}`, clock: this.clock }));
  }

  /** An array as one process has it, with faults of its own in front of stores and register. */
  process(
    options: {
      k?: number;
      n?: number;
      faults?: (i: number) => Faults;
      registerFaults?: Faults;
      paxos?: boolean;
      retry?: boolean;
      segmentBytes?: number;
      graceMs?: number;
    } = {},
  ) {
    const { k = 2, n = 3, faults = () => ({}), clock = this.clock } = { ...options, clock: this.clock };
    const seed = BigInt(++this.#processes);
    const chance = testChance(seed);
    const faulty = this.stores.map((store, i) => new FaultStore(store, { clock, seed: seed * 100n + BigInt(i), faults: faults(i) }));
    const stores = faulty.map((store) => (options.retry === false ? store : new ResilientStore(store, { clock, chance, timeoutMs: 2000 })));
    const inner: CommitRegister = options.paxos ? new PaxosRegister(stores, { clock, chance }) : this.register;
    const register = new FaultRegister(inner, { clock, seed: seed * 1000n, faults: options.registerFaults ?? {} });
    const array = new RacsArray({
      ...{ id: 'test', providers: stores.map((store, i) => ({ id: `p${i}`, store })), register, coding: { k, n }, clock, chance },
      ...{ segmentBytes: options.segmentBytes ?? 100, graceMs: options.graceMs ?? 0 },
    });
    return { array, faulty };
  }

  shareCount(): number {
    return this.stores.reduce((sum, store) => sum + store.size, 0);
  }
}

describe('reads', () => {
  it.each([
    ['an outage', { outage: true }],
    ['corruption', { corrupt: 1 }],
    ['a provider that hangs', { hang: 1 }],
    ['errors half of the time', { error: 0.5 }],
    ['throttling', { throttle: 0.7 }],
  ])('survive %s of as many providers as there are parity shares', async (_, bad) => {
    const world = new World(5);
    const body = Uint8Array.from({ length: 1000 }, (_, i) => i);
    await world.process({ k: 3, n: 5 }).array.put('key', body);
    for (const [a, b] of [
      [0, 1],
      [1, 4],
      [2, 3],
    ]) {
      const { array } = world.process({ k: 3, n: 5, faults: (i) => (i === a || i === b ? bad : {}) });
      expect(Buffer.compare((await array.get('key')).body, body)).toBe(0);
      expect((await array.get('key', { range: { first: 333, end: 444 } })).body).toEqual(body.slice(333, 444));
    }
  });

  it('say that there are too few shares rather than give wrong bytes', async () => {
    const world = new World(3);
    await world.process().array.put('key', text('x'.repeat(500)));
    const { array } = world.process({ faults: (i) => (i < 2 ? { corrupt: 1 } : {}) });
    await expect(array.get('key')).rejects.toMatchObject({ code: 'TOO_FEW_SHARES' });
  });

  it('never take a share for another: of another place, version or object', async () => {
    const world = new World(3);
    const { array } = world.process();
    await array.put('a', text('a'.repeat(150)));
    await array.put('b', text('b'.repeat(150)));
    for (const store of world.stores) {
      const names = (await store.list()).entries.map(({ key }) => key);
      const bodies = await Promise.all(names.map(async (name) => (await store.get(name)).body));
      for (const [i, name] of names.entries()) await store.put(name, bodies[(i + 1) % names.length]!);
    }
    await expect(array.get('a')).rejects.toMatchObject({ code: 'TOO_FEW_SHARES' });
  });

  it('use no more requests than data shares, and hedge only what is slow', async () => {
    const world = new World(3);
    await world.process().array.put('key', text('x'.repeat(80)));
    const calls: string[] = [];
    const { array } = world.process({ faults: (i) => ({ before: (call) => void (call.startsWith('get d/') && calls.push(`${i}`)) }) });
    await array.get('key');
    expect(calls).toHaveLength(1);
    const slow = world.process({ faults: (i) => ({ latencyMs: i === 0 ? [1500, 1500] : [1, 1] }) }).array;
    const before = world.clock.now();
    await slow.get('key');
    expect(world.clock.now() - before).toBeLessThan(1500);
  });
});

describe('writes', () => {
  it('are refused, and leave the old version, when fewer than q shares can be stored', async () => {
    const world = new World(3);
    await world.process().array.put('key', text('old'));
    const { array } = world.process({ faults: (i) => ({ outage: i === 0 }) });
    await expect(array.put('key', text('new'))).rejects.toMatchObject({ code: 'TOO_FEW_SHARES' });
    expect(plain((await array.get('key')).body)).toBe('old');
  });

  it('go to a spare provider during an outage, so that q = n still holds', async () => {
    const world = new World(4);
    const { array } = world.process({ faults: (i) => ({ outage: i === 1 }) });
    for (let i = 0; i < 6; i++) await array.put(`key${i}`, text(`value ${i}`));
    for (let i = 0; i < 6; i++) {
      const part = (await array.manifest(`key${i}`))!.parts[0]!;
      expect([part.at.includes('p1'), part.lost]).toEqual([false, undefined]);
      expect(plain((await array.get(`key${i}`)).body)).toBe(`value ${i}`);
    }
  });

  it('with q < n note the shares that are missing, which scrub then writes', async () => {
    const world = new World(5);
    const { array, faulty } = world.process({ k: 3, n: 5, faults: (i) => ({ outage: i === 2 }) });
    await array.put('key', text('x'.repeat(1000)));
    const lost = (await array.manifest('key'))!.parts[0]!;
    expect(lost.lost).toEqual([lost.at.indexOf('p2')]);
    faulty[2]!.faults = {};
    expect(await scrub(array, { repair: true })).toMatchObject({ bad: 10, written: 10, unreadable: [] });
    expect((await array.manifest('key'))!.parts[0]!.lost).toBeUndefined();
    expect(await scrub(array)).toMatchObject({ bad: 0 });
  });
});

describe('a process that dies', () => {
  const scenario = fc.record({
    what: fc.constantFrom('put', 'delete', 'upload'),
    /** How many calls reach stores and register before the process is gone. */
    calls: fc.nat(24),
    /** The last of them is done, but its answer never comes. */
    done: fc.boolean(),
  });

  it('at any step leaves the old or the new version whole, and collection removes exactly what is left over', async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ what, calls, done }) => {
        const world = new World(3);
        const survivor = world.process();
        await survivor.array.put('key', text(`old${'.'.repeat(250)}`));
        let left = calls;
        const dead = new Promise<never>(() => {});
        const crash: Faults = {
          before: () => (left-- > 0 || (done && left === -1) ? undefined : dead),
          after: () => (done && left <= -1 ? dead : undefined),
        };
        const victim = world.process({ faults: () => crash, registerFaults: crash, retry: false }).array;
        const work = async (): Promise<void> => {
          if (what === 'put') await victim.put('key', text(`new${'.'.repeat(250)}`));
          else if (what === 'delete') await victim.delete('key');
          else {
            const { uploadId } = await victim.createUpload('key');
            const part = await victim.uploadPart('key', uploadId, 1, text(`new${'.'.repeat(250)}`));
            await victim.completeUpload('key', uploadId, [part]);
          }
        };
        let acknowledged = false;
        await Promise.race([work().then(() => (acknowledged = true)), new Promise((resolve) => setTimeout(resolve, 5))]);
        const look = async (): Promise<string | null> =>
          survivor.array.get('key').then(
            ({ body }) => plain(body).slice(0, 3),
            (error: unknown) => {
              if (isStoreError(error, 'NOT_FOUND')) return null;
              throw error;
            },
          );
        const seen = await look();
        const after = what === 'delete' ? null : 'new';
        expect(acknowledged ? [after] : ['old', after]).toContain(seen);
        world.clock.advance(30 * 86_400_000);
        await collect(survivor.array);
        expect(await look()).toBe(seen);
        await survivor.array.put('key', text('last'));
        await survivor.array.deleteReplaced(true);
        world.clock.advance(30 * 86_400_000);
        await collect(survivor.array);
        expect(world.shareCount()).toBe(3);
        expect(plain((await survivor.array.get('key')).body)).toBe('last');
      }),
      { numRuns: 120 * soak },
    );
  });

  it('only slept, and wakes after collection took its shares, is refused', async () => {
    const world = new World(3);
    let wake = (): void => {};
    const asleep = new Promise<void>((resolve) => {
      wake = resolve;
    });
    let reached = (): void => {};
    const atCommit = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const before = (call: string): Promise<void> | undefined => {
      if (!call.startsWith('set o/')) return undefined;
      reached();
      return asleep;
    };
    const sleeper = world.process({ registerFaults: { before } }).array;
    const put = sleeper.put('key', text('sleeper'));
    put.catch(() => {});
    await atCommit;
    world.clock.advance(2 * 3_600_000);
    const other = world.process().array;
    expect(await collect(other)).toMatchObject({ orphans: 1, deleted: 3 });
    wake();
    await expect(put).rejects.toMatchObject({ code: 'UNAVAILABLE', mayHaveHappened: false });
    await expect(other.get('key')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await other.put('key', text('fresh'));
    expect(plain((await other.get('key')).body)).toBe('fresh');
  });
});

describe.each([
  ['a register in memory', false],
  ['a register by a majority of the providers', true],
])('histories of several processes over %s', (_, paxos) => {
  const faults = fc.record({
    error: fc.constantFrom(0, 0.05, 0.2),
    lostReply: fc.constantFrom(0, 0.05, 0.2),
    throttle: fc.constantFrom(0, 0.1),
    corrupt: fc.constantFrom(0, 0.05),
    latencyMs: fc.constantFrom<[number, number]>([0, 0], [0, 30]),
  });
  const action = fc.constantFrom('put', 'put', 'get', 'get', 'delete');
  const plan = fc.record({
    processes: fc.array(fc.record({ faults, actions: fc.array(action, { minLength: 1, maxLength: 5 }) }), { minLength: 2, maxLength: 4 }),
    out: fc.option(fc.nat(3)),
  });

  it('are linearizable whatever fails, and no read is torn', async () => {
    let operations = 0;
    await fc.assert(
      fc.asyncProperty(plan, async ({ processes, out }) => {
        const world = new World(4);
        const history: Operation[] = [];
        let time = 0;
        await Promise.all(
          processes.map(async ({ faults: some, actions }, p) => {
            const registerFaults = { error: some.error, lostReply: some.lostReply, latencyMs: some.latencyMs };
            const { array } = world.process({ faults: (i) => ({ ...some, outage: i === out }), registerFaults, paxos });
            for (const [i, what] of actions.entries()) {
              const value = `${p}.${i}`;
              const operation: Operation = {
                kind: what === 'get' ? 'read' : 'write',
                value: what === 'put' ? value : null,
                begin: ++time,
                end: 0,
              };
              try {
                if (what === 'put') await array.put('key', text(`${value};`.repeat(60)));
                else if (what === 'delete') await array.delete('key');
                else {
                  const read = plain((await array.get('key')).body)
                    .split(';')
                    .slice(0, -1);
                  expect(new Set(read).size).toBe(1);
                  operation.value = read[0]!;
                }
                operation.end = ++time;
                history.push(operation);
              } catch (error) {
                if (!isStoreError(error)) throw error;
                if (what === 'get' && error.code === 'NOT_FOUND') history.push({ ...operation, end: ++time });
                else if (what !== 'get' && error.mayHaveHappened) history.push({ ...operation, end: Number.POSITIVE_INFINITY });
              }
            }
          }),
        );
        operations += history.length;
        expect(isLinearizable(history) || history).toBe(true);
      }),
      { numRuns: 60 * soak },
    );
    expect(operations).toBeGreaterThan(100);
  });

  it('lose no update when 16 writers add to one object under its etag', async () => {
    const world = new World(4);
    const writers = Array.from({ length: 16 }, () => world.process({ paxos, faults: () => ({ latencyMs: [0, 5] }) }).array);
    await writers[0]!.put('key', text(''));
    await Promise.all(
      writers.map(async (array, i) => {
        for (;;) {
          const { info, body } = await array.get('key');
          if (plain(body).includes(`<${i}>`)) return;
          const done = await array.put('key', text(`${plain(body)}<${i}>`), { ifMatch: info.etag }).catch((error: unknown) => {
            if (!isStoreError(error) || !(error.code === 'PRECONDITION_FAILED' || error.retryable)) throw error;
          });
          if (done) return;
        }
      }),
    );
    const marks = plain((await writers[3]!.get('key')).body).match(/<\d+>/g)!;
    expect(marks.sort()).toEqual(Array.from({ length: 16 }, (_, i) => `<${i}>`).sort());
  });
});

describe('moves', () => {
  it('drain a provider without reading from it, and re-code to another code', async () => {
    const world = new World(5);
    const { array } = world.process({ k: 2, n: 3 });
    for (let i = 0; i < 8; i++)
      await array.put(`key${i}`, text(`value ${i}`.repeat(40)), { contentType: 'text/plain', metadata: { i: `${i}` } });
    const report = await drain(array, 'p1');
    expect(report.read.p1).toBeUndefined();
    expect(report.written).toBeGreaterThan(0);
    for await (const { manifest } of array.manifests()) expect(manifest.parts[0]!.at).not.toContain('p1');
    await migrate(array, { k: 3, n: 5 });
    for (let i = 0; i < 8; i++) {
      const { info, body } = await array.get(`key${i}`);
      expect([plain(body), info.contentType, info.metadata]).toEqual([`value ${i}`.repeat(40), 'text/plain', { i: `${i}` }]);
      expect((await array.manifest(`key${i}`))!.parts[0]).toMatchObject({ k: 3, n: 5 });
    }
    expect(await scrub(array)).toMatchObject({ bad: 0, objects: 8 });
  });

  it('put damaged and missing shares back from the others', async () => {
    const world = new World(4);
    const { array } = world.process({ k: 2, n: 4 });
    const body = Uint8Array.from({ length: 950 }, (_, i) => i * 3);
    await array.put('key', body);
    for (const [i, store] of world.stores.entries()) {
      if (i === 1) for (const { key } of (await store.list()).entries) await store.delete(key);
      if (i === 3) for (const { key } of (await store.list()).entries) await store.put(key, text('rubbish'));
    }
    expect(await scrub(array)).toMatchObject({ bad: 20, written: 0 });
    expect(await scrub(array, { repair: true })).toMatchObject({ bad: 20, written: 20 });
    expect(await scrub(array)).toMatchObject({ bad: 0 });
    expect(Buffer.compare((await array.get('key')).body, body)).toBe(0);
  });
});

/**
 * A disk is killed at every call that it makes to the outside, before and after the call has had its effect, and opened
 * again. What is read then must be what some prefix of the writes had left, and the prefix must hold all that a flush
 * had answered. The opening after a crash is killed at every step likewise.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sectorBytes } from '../../../src/base/block-store.ts';
import { DiskCatalog } from '../../../src/racs/disk/disk-catalog.ts';
import { LogDisk, type LogDiskOptions } from '../../../src/racs/disk/log-disk.ts';
import { Life, World } from './simulated.ts';

type Operation =
  | { kind: 'write'; first: number; count: number; byte: number }
  | { kind: 'discard'; first: number; count: number }
  | { kind: 'flush' | 'collect' | 'checkpoint' | 'snapshot' | 'sweep' };

const sectorCount = 24;

interface Outcome {
  /** Sectors after each operation that was begun, the initial zeros first. */
  states: number[][];
  /** States before this one may not come back. */
  durable: number;
}

function optionsFor(world: World, life: Life, journal: boolean): LogDiskOptions {
  return {
    ...{ segmentBytes: 8 * sectorBytes, checkpointEvery: 3, maxPendingSegments: 2, collectAt: 0.4, sealAfterMs: Number.POSITIVE_INFINITY },
    ...(journal ? { journal: world.place.journal(life) } : { takeOver: true }),
  };
}

/** Runs operations one after another until the end or the life's. */
async function live(world: World, life: Life, operations: readonly Operation[], journal: boolean, start: number[]): Promise<Outcome> {
  const outcome: Outcome = { states: [start], durable: 0 };
  const work = (async () => {
    const disk = await LogDisk.open('d', world.parts(life), optionsFor(world, life, journal));
    let snapshots = 0;
    for (const operation of operations) {
      const state = [...outcome.states.at(-1)!];
      if (operation.kind === 'write' || operation.kind === 'discard') {
        state.fill(operation.kind === 'write' ? operation.byte : 0, operation.first, operation.first + operation.count);
        outcome.states.push(state);
      }
      const begun = outcome.states.length - 1;
      if (operation.kind === 'write') await disk.write(operation.first, new Uint8Array(operation.count * sectorBytes).fill(operation.byte));
      else if (operation.kind === 'discard') await disk.discard(operation.first, operation.count);
      else if (operation.kind === 'flush') await disk.flush();
      else if (operation.kind === 'collect') await disk.collect();
      else if (operation.kind === 'sweep') await disk.sweep();
      else if (operation.kind === 'checkpoint') await disk.drain({ checkpoint: true });
      else await disk.snapshot(`s${life.dieAt}-${snapshots++}`);
      if (operation.kind === 'flush' || operation.kind === 'checkpoint' || operation.kind === 'snapshot') outcome.durable = begun;
    }
    await disk.close();
    outcome.durable = outcome.states.length - 1;
  })();
  await Promise.race([work, life.ended]);
  if (life.dead) work.catch(() => {});
  return outcome;
}

async function readAll(world: World, journal: boolean): Promise<number[]> {
  const life = new Life();
  const disk = await LogDisk.open('d', world.parts(life), optionsFor(world, life, journal));
  const bytes = new Uint8Array(sectorCount * sectorBytes);
  await disk.read(0, bytes);
  await disk.close();
  return Array.from({ length: sectorCount }, (_, i) => bytes[i * sectorBytes]!);
}

/** A prefix, or a prefix and some sectors of the write that was under way. */
function isAllowed(found: number[], { states, durable }: Outcome): boolean {
  for (let p = durable; p < states.length; p++) {
    const [before, after] = [states[p]!, states[p + 1] ?? states[p]!];
    if (found.every((byte, i) => byte === before[i] || byte === after[i])) return true;
  }
  return false;
}

async function newWorld(): Promise<World> {
  const world = new World();
  await new DiskCatalog(world.parts()).create('d', sectorCount);
  return world;
}

const zeros = new Array<number>(sectorCount).fill(0);

const script: Operation[] = [
  { kind: 'write', first: 0, count: 5, byte: 1 },
  { kind: 'flush' },
  { kind: 'write', first: 3, count: 12, byte: 2 },
  { kind: 'discard', first: 4, count: 3 },
  { kind: 'flush' },
  { kind: 'write', first: 0, count: 20, byte: 3 },
  { kind: 'snapshot' },
  { kind: 'write', first: 2, count: 8, byte: 4 },
  { kind: 'write', first: 2, count: 8, byte: 5 },
  { kind: 'flush' },
  { kind: 'checkpoint' },
  { kind: 'write', first: 1, count: 4, byte: 6 },
  { kind: 'write', first: 9, count: 9, byte: 7 },
  { kind: 'collect' },
  { kind: 'write', first: 20, count: 4, byte: 8 },
  { kind: 'checkpoint' },
  { kind: 'sweep' },
  { kind: 'write', first: 6, count: 2, byte: 9 },
  { kind: 'flush' },
];

describe.each([
  ['with a journal', true],
  ['without a journal', false],
])('a log disk %s that is killed', (_, journal) => {
  it('at any call comes back with a prefix that holds everything flushed, and so after a kill at any call of its recovery', async () => {
    const whole = new Life();
    const outcome = await live(await newWorld(), whole, script, journal, zeros);
    expect(outcome.durable).toBe(outcome.states.length - 1);
    expect(whole.calls).toBeGreaterThan(40);
    let trials = 0;
    for (let dieAt = 1; dieAt <= whole.calls; dieAt++) {
      for (const afterwards of [false, true]) {
        const share = (dieAt % 3) / 2;
        const world = await newWorld();
        const first = await live(world, new Life(dieAt, afterwards), script, journal, zeros);
        world.place.lose(share);
        // The second life only recovers, and is killed too; the third must find the same.
        const second = new Life(1 + (dieAt % 25), dieAt % 2 === 0);
        await live(world, second, [{ kind: 'flush' }], journal, zeros);
        world.place.lose(1 - share);
        const found = await readAll(world, journal);
        expect(
          isAllowed(found, first),
          `killed ${afterwards ? 'after' : 'at'} call ${dieAt} of ${whole.calls}: ${found} of ${JSON.stringify(first)}`,
        ).toBe(true);
        expect(await readAll(world, journal)).toEqual(found);
        trials++;
      }
    }
    expect(trials).toBe(2 * whole.calls);
  });

  it('at a random call of random operations, again and again, comes back so too', async () => {
    const range = fc
      .tuple(fc.nat(sectorCount - 1), fc.integer({ min: 1, max: 12 }))
      .map(([first, count]) => ({ first, count: Math.min(count, sectorCount - first) }));
    const operation: fc.Arbitrary<Operation> = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.tuple(range, fc.integer({ min: 1, max: 255 })).map(([r, byte]): Operation => ({ kind: 'write', ...r, byte })),
      },
      { weight: 1, arbitrary: range.map((r): Operation => ({ kind: 'discard', ...r })) },
      {
        weight: 3,
        arbitrary: fc.constantFrom('flush', 'collect', 'checkpoint', 'sweep').map((kind): Operation => ({ kind: kind as 'flush' })),
      },
    );
    const lives = fc.array(
      fc.record({
        operations: fc.array(operation, { maxLength: 14 }),
        dieAt: fc.integer({ min: 1, max: 60 }),
        afterwards: fc.boolean(),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      {
        minLength: 1,
        maxLength: 4,
      },
    );
    await fc.assert(
      fc.asyncProperty(lives, async (each) => {
        const world = await newWorld();
        let state = zeros;
        for (const { operations, dieAt, afterwards, share } of each) {
          const outcome = await live(world, new Life(dieAt, afterwards), operations, journal, state);
          world.place.lose(share);
          state = await readAll(world, journal);
          expect(isAllowed(state, outcome)).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('a former owner that wakes up', () => {
  it('gets no flush answered that the new owner does not know of, whenever it is overtaken', async () => {
    for (const journal of [true, false]) {
      for (let overtakeAt = 0; overtakeAt < 12; overtakeAt++) {
        const world = await newWorld();
        const former = await LogDisk.open('d', world.parts(), optionsFor(world, new Life(), journal));
        let answered = 0;
        let overtaken: Promise<LogDisk> | null = null;
        const writing = (async () => {
          for (let byte = 1; byte < 12; byte++) {
            await former.write(0, new Uint8Array(sectorBytes).fill(byte));
            await former.flush();
            answered = byte;
            if (byte === overtakeAt) overtaken = LogDisk.open('d', world.parts(), optionsFor(world, new Life(), journal));
          }
        })();
        await writing.catch((error) => expect(error).toMatchObject({ code: 'FENCED' }));
        const owner = await (overtaken ?? LogDisk.open('d', world.parts(), optionsFor(world, new Life(), journal)));
        const sector = new Uint8Array(sectorBytes);
        await owner.read(0, sector);
        expect(sector[0]).toBeGreaterThanOrEqual(answered);
        await owner.close();
      }
    }
  });
});

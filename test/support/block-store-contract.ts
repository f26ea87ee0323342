/**
 * What every BlockStore must do (src/base/block-store.ts). A test file calls {@link itKeepsTheBlockStoreContract} once
 * per kind of store; `create` gives an empty, writable store with exactly `sectorCount` sectors.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type BlockStore, sectorBytes } from '../../src/base/block-store.ts';

type Step =
  | { kind: 'write'; first: number; count: number; seed: number }
  | { kind: 'discard'; first: number; count: number }
  | { kind: 'flush' };

export function itKeepsTheBlockStoreContract(create: (sectorCount: number) => BlockStore | Promise<BlockStore>): void {
  const read = async (store: BlockStore, first: number, count: number): Promise<Uint8Array> => {
    const into = new Uint8Array(count * sectorBytes).fill(0xee);
    await store.read(first, into);
    return into;
  };

  it('says its size and reads as zeros at first', async () => {
    const store = await create(10);
    expect([store.sectorCount, store.readOnly]).toEqual([10, false]);
    expect(await read(store, 0, 10)).toEqual(new Uint8Array(10 * sectorBytes));
  });

  it('reads back what was written, and takes the buffer only until the promise resolves', async () => {
    const store = await create(10);
    const buffer = new Uint8Array(sectorBytes).fill(7);
    await store.write(9, buffer);
    buffer.fill(8);
    expect(await read(store, 9, 1)).toEqual(new Uint8Array(sectorBytes).fill(7));
  });

  it('accepts requests for no sectors, at the end too', async () => {
    const store = await create(10);
    await store.write(10, new Uint8Array(0));
    await store.read(10, new Uint8Array(0));
    await store.discard(10, 0);
  });

  it.each([
    ['read past the end', 'OUT_OF_RANGE', (s: BlockStore) => s.read(9, new Uint8Array(2 * sectorBytes))],
    ['read before the start', 'OUT_OF_RANGE', (s: BlockStore) => s.read(-1, new Uint8Array(sectorBytes))],
    ['read between sectors', 'OUT_OF_RANGE', (s: BlockStore) => s.read(0.5, new Uint8Array(sectorBytes))],
    ['write past the end', 'OUT_OF_RANGE', (s: BlockStore) => s.write(10, new Uint8Array(sectorBytes))],
    ['discard past the end', 'OUT_OF_RANGE', (s: BlockStore) => s.discard(0, 11)],
    ['discard of a negative count', 'OUT_OF_RANGE', (s: BlockStore) => s.discard(1, -1)],
    ['read of part of a sector', 'BAD_LENGTH', (s: BlockStore) => s.read(0, new Uint8Array(100))],
    ['write of part of a sector', 'BAD_LENGTH', (s: BlockStore) => s.write(0, new Uint8Array(513))],
  ])('refuses a %s with %s and stays whole', async (_, code, request) => {
    const store = await create(10);
    await store.write(0, new Uint8Array(10 * sectorBytes).fill(1));
    await expect(request(store)).rejects.toMatchObject({ name: 'BackendError', code });
    expect(await read(store, 0, 10)).toEqual(new Uint8Array(10 * sectorBytes).fill(1));
  });

  it('agrees with a flat array after any sequence of writes, discards and flushes', async () => {
    const sectorCount = 300;
    const range = fc
      .integer({ min: 0, max: sectorCount })
      .chain((first) => fc.record({ first: fc.constant(first), count: fc.integer({ min: 0, max: Math.min(sectorCount - first, 160) }) }));
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.tuple(range, fc.integer({ min: 1, max: 255 })).map(([r, seed]) => ({ kind: 'write' as const, ...r, seed })),
      range.map((r) => ({ kind: 'discard' as const, ...r })),
      fc.constant({ kind: 'flush' as const }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const store = await create(sectorCount);
        const model = new Uint8Array(sectorCount * sectorBytes);
        for (const s of steps) {
          if (s.kind === 'flush') await store.flush();
          else if (s.kind === 'discard') {
            await store.discard(s.first, s.count);
            model.fill(0, s.first * sectorBytes, (s.first + s.count) * sectorBytes);
          } else {
            const data = Uint8Array.from({ length: s.count * sectorBytes }, (_, i) => s.seed + (i >> 9));
            await store.write(s.first, data);
            model.set(data, s.first * sectorBytes);
          }
        }
        expect(Buffer.compare(await read(store, 0, sectorCount), model)).toBe(0);
      }),
      { numRuns: 30 },
    );
  });
}

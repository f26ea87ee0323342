import { describe, expect, it } from 'vitest';
import { MemoryBlockStore, sectorBytes } from '../../src/base/block-store.ts';
import { itKeepsTheBlockStoreContract } from '../support/block-store-contract.ts';

describe('MemoryBlockStore', () => {
  itKeepsTheBlockStoreContract((sectorCount) => new MemoryBlockStore({ sectorCount }));

  it('holds a copy of an image and pads its last sector with zeros', async () => {
    const image = new Uint8Array(sectorBytes + 3).fill(5);
    const store = MemoryBlockStore.fromImage(image);
    image.fill(6);
    const into = new Uint8Array(2 * sectorBytes);
    await store.read(0, into);
    expect([store.sectorCount, into[sectorBytes + 2], into[sectorBytes + 3]]).toEqual([2, 5, 0]);
  });

  it('refuses writes and discards when it is read-only', async () => {
    const store = MemoryBlockStore.fromImage(new Uint8Array(sectorBytes), { readOnly: true });
    await expect(store.write(0, new Uint8Array(sectorBytes))).rejects.toMatchObject({ code: 'READ_ONLY' });
    await expect(store.discard(0, 1)).rejects.toMatchObject({ code: 'READ_ONLY' });
  });

  it('offers sectors far beyond what memory could hold', async () => {
    const store = new MemoryBlockStore({ sectorCount: 2 ** 40 });
    const data = new Uint8Array(sectorBytes).fill(9);
    await store.write(2 ** 40 - 1, data);
    const into = new Uint8Array(sectorBytes);
    await store.read(2 ** 40 - 1, into);
    expect(into).toEqual(data);
  });
});

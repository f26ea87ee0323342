import { describe, expect, it } from 'vitest';
import { sectorBytes } from '../../../src/base/block-store.ts';
import { ChunkDisk } from '../../../src/racs/disk/chunk-disk.ts';
import { DiskCatalog } from '../../../src/racs/disk/disk-catalog.ts';
import { LogDisk, type LogDiskOptions } from '../../../src/racs/disk/log-disk.ts';
import { windowBytes } from '../../../src/racs/disk/segment-reader.ts';
import { MemoryObjectStore } from '../../../src/racs/memory-object-store.ts';
import { StoreError } from '../../../src/racs/object-store.ts';
import { itKeepsTheBlockStoreContract } from '../../support/block-store-contract.ts';
import { Life, patientClock, seededChance, World } from './simulated.ts';

const small: LogDiskOptions = { segmentBytes: 16 * sectorBytes, checkpointEvery: 4, sealAfterMs: Number.POSITIVE_INFINITY };

async function make(world: World, sectorCount: number, options: LogDiskOptions = {}): Promise<LogDisk> {
  await new DiskCatalog(world.parts()).create('d', sectorCount);
  return LogDisk.open('d', world.parts(), options);
}

function filled(sectors: number, byte: number): Uint8Array {
  return new Uint8Array(sectors * sectorBytes).fill(byte);
}

async function sectorsOf(store: { read(first: number, into: Uint8Array): Promise<void> }, first: number, count: number): Promise<number[]> {
  const bytes = new Uint8Array(count * sectorBytes);
  await store.read(first, bytes);
  return Array.from({ length: count }, (_, i) => bytes[i * sectorBytes]!);
}

describe('a log disk with a journal', () => {
  itKeepsTheBlockStoreContract((sectorCount) => {
    const world = new World();
    return make(world, sectorCount, { ...small, journal: world.place.journal(new Life()) });
  });
});

describe('a log disk without a journal', () => {
  itKeepsTheBlockStoreContract((sectorCount) => make(new World(), sectorCount, small));
});

describe('a chunk disk', () => {
  itKeepsTheBlockStoreContract(
    (sectorCount) => new ChunkDisk(new MemoryObjectStore(), { prefix: 'c/', sectorCount, chunkBytes: 8 * sectorBytes }),
  );

  it('keeps what concurrent writers put into one chunk', async () => {
    const disk = new ChunkDisk(new MemoryObjectStore(), { prefix: 'c/', sectorCount: 64, chunkBytes: 32 * sectorBytes });
    await Promise.all(Array.from({ length: 64 }, (_, i) => disk.write(i, filled(1, i + 1))));
    expect(await sectorsOf(disk, 0, 64)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1));
  });
});

describe('closing and opening a log disk', () => {
  it('keeps everything, with one checkpoint and no journal file left behind', async () => {
    const world = new World();
    const disk = await make(world, 256, { ...small, journal: world.place.journal(new Life()) });
    for (let i = 0; i < 100; i++) await disk.write((i * 37) % 250, filled(3, i + 1));
    await disk.discard(10, 20);
    const before = await sectorsOf(disk, 0, 256);
    await disk.close();
    expect(world.place.files.size).toBe(0);
    const { entries } = await world.store.list({ prefix: 'disks/' });
    expect(entries.filter(({ key }) => key.includes('/checkpoints/'))).toHaveLength(1);
    const again = await LogDisk.open('d', world.parts(), small);
    expect(await sectorsOf(again, 0, 256)).toEqual(before);
    await expect(disk.read(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('refuses a disk that is not there, and one that another owner has not closed', async () => {
    const world = new World();
    await expect(LogDisk.open('d', world.parts())).rejects.toThrow('there is no disk d');
    await make(world, 8);
    await expect(LogDisk.open('d', world.parts())).rejects.toMatchObject({ code: 'IN_USE' });
    await LogDisk.open('d', world.parts(), { takeOver: true });
  });
});

describe('fencing', () => {
  it('refuses every flush of a former owner from the moment that another has opened the disk', async () => {
    const world = new World();
    const former = await make(world, 64, small);
    await former.write(0, filled(1, 1));
    await former.flush();
    const owner = await LogDisk.open('d', world.parts(), { ...small, takeOver: true });
    await former.write(0, filled(1, 2));
    await expect(former.flush()).rejects.toMatchObject({ code: 'FENCED' });
    await expect(former.write(0, filled(1, 3))).rejects.toMatchObject({ code: 'FENCED' });
    expect(await sectorsOf(owner, 0, 1)).toEqual([1]);
    await owner.write(0, filled(1, 4));
    await owner.close();
    expect(await sectorsOf(await LogDisk.open('d', world.parts(), small), 0, 1)).toEqual([4]);
  });

  it('refuses a flush to a journal that another process has taken, and that one has all that was answered before', async () => {
    const world = new World();
    const former = await make(world, 64, { ...small, journal: world.place.journal(new Life()) });
    await former.write(0, filled(1, 1));
    await former.flush();
    await former.write(1, filled(1, 2));
    const owner = await LogDisk.open('d', world.parts(), { ...small, journal: world.place.journal(new Life()) });
    await expect(former.flush()).rejects.toMatchObject({ code: 'FENCED' });
    expect((await sectorsOf(owner, 0, 1))[0]).toBe(1);
  });

  it('lets a former owner delete nothing that the new one needs', async () => {
    const world = new World();
    const former = await make(world, 64, { ...small, collectAt: 1 });
    for (let i = 0; i < 40; i++) await former.write(i, filled(4, i + 1));
    await former.drain({ checkpoint: true });
    const owner = await LogDisk.open('d', world.parts(), { ...small, takeOver: true });
    for (let i = 0; i < 30; i++) await owner.write(i, filled(4, i + 101));
    await owner.drain({ checkpoint: true });
    const expected = await sectorsOf(owner, 0, 64);
    await former.sweep();
    await former.collect().catch(() => {});
    await former.sweep().catch((error) => expect(error).toMatchObject({ code: 'FENCED' }));
    await owner.close();
    expect(await sectorsOf(await LogDisk.open('d', world.parts(), small), 0, 64)).toEqual(expected);
  });
});

describe('collection', () => {
  it('gives space back and changes nothing that is read', async () => {
    const world = new World();
    const disk = await make(world, 256, { ...small, collectAt: 1 });
    for (let i = 0; i < 400; i++) await disk.write((i * 7) % 64, filled(2, (i % 250) + 1));
    for (let i = 64; i < 256; i += 4) await disk.write(i, filled(1, i % 250));
    await disk.drain({ checkpoint: true });
    const before = await sectorsOf(disk, 0, 256);
    const { totalSectors, liveSectors } = disk.statistics;
    while ((await disk.collect()) > 0) await disk.drain({ checkpoint: true });
    const after = disk.statistics;
    expect(after.liveSectors).toBe(liveSectors);
    expect(after.totalSectors).toBeLessThan(totalSectors);
    expect(after.totalSectors / after.liveSectors).toBeLessThan(1.4);
    expect(await sectorsOf(disk, 0, 256)).toEqual(before);
    const stored = (await world.store.list({ prefix: 'disks/' })).entries.filter(({ key }) => key.includes('/segments/'));
    expect(stored).toHaveLength(after.segments);
    await disk.close();
    expect(await sectorsOf(await LogDisk.open('d', world.parts(), small), 0, 256)).toEqual(before);
  });

  it('starts by itself when most of the data is garbage, so that a disk overwritten for ever stays bounded', async () => {
    const world = new World();
    const disk = await make(world, 64, { ...small, collectAt: 0.5 });
    for (let i = 0; i < 3000; i++) await disk.write((i * 13) % 60, filled(4, (i % 250) + 1));
    await disk.drain({ checkpoint: true });
    expect(disk.statistics.totalSectors).toBeLessThan(64 * 8);
    expect(world.store.size).toBeLessThan(64);
  });

  it('does not bring back what was overwritten while it moved it', async () => {
    const world = new World();
    const disk = await make(world, 64, { ...small, collectAt: 1 });
    for (let i = 0; i < 32; i++) await disk.write(i, filled(1, 1));
    for (let i = 0; i < 32; i += 2) await disk.write(i, filled(1, 2));
    await disk.drain();
    const collecting = disk.collect();
    for (let i = 1; i < 32; i += 2) {
      await disk.write(i, filled(1, 3));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await collecting;
    const expected = Array.from({ length: 32 }, (_, i) => (i % 2 === 0 ? 2 : 3));
    expect(await sectorsOf(disk, 0, 32)).toEqual(expected);
    await disk.close();
    expect(await sectorsOf(await LogDisk.open('d', world.parts(), small), 0, 32)).toEqual(expected);
  });

  it('sweeps what a crash left, and only that', async () => {
    const world = new World();
    const disk = await make(world, 64, small);
    for (let i = 0; i < 60; i++) await disk.write(i, filled(2, i + 1));
    await disk.drain({ checkpoint: true });
    const { id } = disk.record;
    await world.store.put(`disks/${id}/segments/0000000001-0000000000`, filled(1, 1));
    await world.store.put(`disks/${id}/checkpoints/0000000001-0000000001`, filled(1, 1));
    await world.store.put(`disks/${id}/segments/0000009999-0000000001`, filled(1, 1)); // may be under way
    const expected = await sectorsOf(disk, 0, 64);
    expect(await disk.sweep()).toBe(2);
    expect(await sectorsOf(disk, 0, 64)).toEqual(expected);
    await disk.close();
    expect(await sectorsOf(await LogDisk.open('d', world.parts(), small), 0, 64)).toEqual(expected);
  });
});

describe('snapshots and clones', () => {
  it('stay as they were while the disk changes, is collected and swept', async () => {
    const world = new World();
    const catalog = new DiskCatalog(world.parts());
    const disk = await make(world, 64, { ...small, collectAt: 0.3 });
    await disk.write(0, filled(40, 1));
    await disk.snapshot('one');
    for (let i = 0; i < 300; i++) await disk.write(i % 50, filled(3, 2));
    await disk.drain({ checkpoint: true });
    await disk.collect();
    await disk.drain({ checkpoint: true });
    await disk.sweep();
    const snapshot = await catalog.openSnapshot('d', 'one');
    expect(await sectorsOf(snapshot, 0, 41)).toEqual([...new Array(40).fill(1), 0]);
    await expect(snapshot.write(0, filled(1, 1))).rejects.toMatchObject({ code: 'READ_ONLY' });

    await catalog.clone('d', 'one', 'c');
    const clone = await LogDisk.open('c', world.parts(), { ...small, collectAt: 0.3 });
    await clone.write(5, filled(1, 9));
    await clone.drain({ checkpoint: true });
    await clone.collect();
    await clone.sweep();
    await clone.close();
    const again = await LogDisk.open('c', world.parts(), small);
    expect(await sectorsOf(again, 4, 3)).toEqual([1, 9, 1]);
    await again.close();
    expect(await sectorsOf(await catalog.openSnapshot('d', 'one'), 4, 3)).toEqual([1, 1, 1]);
    await disk.close();
    expect(await sectorsOf(await LogDisk.open('d', world.parts(), small), 4, 3)).toEqual([2, 2, 2]);
  });

  it('hold their parents until they are gone', async () => {
    const world = new World();
    const catalog = new DiskCatalog(world.parts());
    const disk = await make(world, 64, small);
    await disk.write(0, filled(40, 1));
    await disk.snapshot('one');
    await expect(disk.snapshot('one')).rejects.toThrow('already');
    await disk.close();
    await catalog.clone('d', 'one', 'c');
    await expect(catalog.clone('d', 'two', 'e')).rejects.toThrow('no snapshot two');
    await expect(catalog.clone('d', 'one', 'c')).rejects.toThrow('already');
    await expect(catalog.remove('d')).rejects.toThrow('has snapshots: one');
    await expect(catalog.removeSnapshot('d', 'one')).rejects.toThrow('has clones: c');
    await catalog.remove('c');
    await catalog.removeSnapshot('d', 'one');
    await catalog.remove('d');
    expect(await catalog.names()).toEqual([]);
    expect(world.store.size).toBe(0);
    await catalog.create('d', 8);
    expect(await sectorsOf(await LogDisk.open('d', world.parts(), small), 0, 8)).toEqual(new Array(8).fill(0));
  });
});

describe('when the providers fail', () => {
  it('a disk with a journal still answers flushes, holds writers back at its bound, and goes on when they return', async () => {
    const world = new World();
    const parts = world.parts();
    let down = false;
    const store = Object.create(parts.store) as typeof parts.store;
    store.put = async (...args) => {
      if (down) throw new StoreError('UNAVAILABLE', 'outage');
      return parts.store.put(...args);
    };
    await new DiskCatalog(parts).create('d', 256);
    const disk = await LogDisk.open(
      'd',
      { ...parts, store },
      { ...small, maxPendingSegments: 3, journal: world.place.journal(new Life()) },
    );
    down = true;
    let written = 0;
    const writing = (async () => {
      for (let i = 0; i < 256; i++) {
        await disk.write(i, filled(1, i % 250));
        written++;
      }
    })();
    await disk.flush();
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(written).toBe(4 * 16); // three sealed segments and the open one
    down = false;
    await writing;
    await disk.flush();
    expect(await sectorsOf(disk, 0, 250)).toEqual(Array.from({ length: 250 }, (_, i) => i));
  });

  it('refuses a flush to the providers after the stall time, and keeps the data', async () => {
    const world = new World();
    const parts = world.parts();
    let down = true;
    const store = Object.create(parts.store) as typeof parts.store;
    store.put = async (...args) => {
      if (down) throw new StoreError('UNAVAILABLE', 'outage');
      return parts.store.put(...args);
    };
    await new DiskCatalog(parts).create('d', 64);
    const notices: string[] = [];
    const disk = await LogDisk.open('d', { ...parts, store }, { ...small, stallMs: 1000, onNotice: (text) => notices.push(text) });
    await disk.write(0, filled(1, 1));
    await expect(disk.flush()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    down = false;
    for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
    await disk.flush();
    await disk.close();
    expect(await sectorsOf(await LogDisk.open('d', parts, small), 0, 1)).toEqual([1]);
  });

  it('decides a commit whose reply was lost by its mark', async () => {
    const world = new World();
    await new DiskCatalog(world.parts()).create('d', 64);
    const disk = await LogDisk.open('d', world.parts(new Life(), { loseReplies: 2 }), small);
    for (let i = 0; i < 60; i++) {
      await disk.write(i, filled(1, i + 1));
      await disk.flush();
    }
    await disk.close();
    expect(await sectorsOf(await LogDisk.open('d', world.parts(), small), 0, 60)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
  });
});

describe('memory', () => {
  it('for what was read is bounded by the cache, and neighbours come with one fetch', async () => {
    const world = new World();
    await new DiskCatalog(world.parts()).create('d', 65536);
    const disk = await LogDisk.open('d', world.parts(), {
      segmentBytes: 1024 * 1024,
      cacheBytes: 4 * windowBytes,
      sealAfterMs: Number.POSITIVE_INFINITY,
    });
    await disk.write(0, new Uint8Array(8 * 1024 * 1024).fill(3));
    await disk.drain();
    const before = disk.statistics.fetches;
    for (let i = 0; i < 256; i++) await disk.read(i, new Uint8Array(512));
    expect(disk.statistics.fetches).toBe(before + 1);
    for (let i = 0; i < 16384; i += 64) await disk.read(i, new Uint8Array(512));
    expect(disk.statistics.cachedWindows).toBe(4);
  });
});

describe('the idle timer', () => {
  it('stores an open segment that has grown old', async () => {
    const world = new World();
    let ring = (): void => {};
    const sleep = (): Promise<void> =>
      new Promise((resolve) => {
        ring = resolve;
      });
    const clock = { now: () => 0, sleep };
    await new DiskCatalog(world.parts()).create('d', 64);
    const disk = await LogDisk.open('d', { ...world.parts(), clock, chance: seededChance(1n) }, { ...small, sealAfterMs: 5 });
    await disk.write(0, filled(1, 1));
    expect(world.store.size).toBe(0);
    ring();
    for (let i = 0; i < 20; i++) await patientClock.sleep(1);
    expect(world.store.size).toBe(1);
  });
});

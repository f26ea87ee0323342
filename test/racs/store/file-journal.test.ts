import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sectorBytes } from '../../../src/base/block-store.ts';
import { DiskCatalog } from '../../../src/racs/disk/disk-catalog.ts';
import { LogDisk, type LogDiskOptions } from '../../../src/racs/disk/log-disk.ts';
import { MemoryObjectStore } from '../../../src/racs/memory-object-store.ts';
import { MemoryRegister } from '../../../src/racs/register/memory-register.ts';
import { FileJournal } from '../../../src/racs/store/file-journal.ts';
import { systemChance, systemClock } from '../../../src/racs/store/system.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'journal-'));
});
afterEach(() => rm(directory, { recursive: true }));

const text = (value: string) => new TextEncoder().encode(value);

describe('a journal of files', () => {
  it('gives back what was appended, in the order of the calls, to the next holder', async () => {
    const first = await FileJournal.at(directory);
    expect(await first.open()).toEqual([]);
    await Promise.all(Array.from({ length: 50 }, (_, i) => first.append(1 + (i % 2), [text(`${i},`), text(';')])));
    await first.sync(1);
    await first.sync(2);
    const next = await FileJournal.at(directory);
    expect(next.id).toBe(first.id);
    expect(await next.open()).toEqual([1, 2]);
    const odd = Array.from({ length: 25 }, (_, i) => `${2 * i},;`).join('');
    expect(new TextDecoder().decode(await next.read(1))).toBe(odd);
    await next.remove(1);
    await next.remove(2);
    expect(await next.open()).toEqual([]);
    await next.close();
    await first.close();
  });

  it('refuses a sync of a former holder, and lets it make no more files', async () => {
    const former = await FileJournal.at(directory);
    await former.open();
    await former.append(1, [text('a')]);
    await former.sync(1);
    const holder = await FileJournal.at(directory);
    await holder.open();
    await former.append(1, [text('b')]);
    await expect(former.sync(1)).rejects.toMatchObject({ code: 'FENCED' });
    await expect(former.append(2, [text('c')])).rejects.toMatchObject({ code: 'JOURNAL' });
    await holder.append(2, [text('d')]);
    await former.remove(2);
    await holder.sync(2);
    expect(new TextDecoder().decode(await holder.read(2))).toBe('d');
    await holder.close();
    await former.close();
  });

  it('has an identity of its own in each place', async () => {
    const [one, two] = [await FileJournal.at(join(directory, 'one')), await FileJournal.at(join(directory, 'two'))];
    expect(one.id).not.toBe(two.id);
  });

  it('says in one line when its place cannot be had', async () => {
    await expect(FileJournal.at('/dev/null/journal')).rejects.toMatchObject({ code: 'JOURNAL' });
  });

  it('recovers a disk that was abandoned, also from a file whose end is torn', async () => {
    const parts = { store: new MemoryObjectStore(), register: new MemoryRegister(), clock: systemClock, chance: systemChance };
    const open = async () => {
      const options: LogDiskOptions = {
        segmentBytes: 64 * sectorBytes,
        sealAfterMs: Number.POSITIVE_INFINITY,
        journal: await FileJournal.at(directory),
      };
      return LogDisk.open('d', parts, options);
    };
    await new DiskCatalog(parts).create('d', 256);
    const disk = await open();
    for (let i = 0; i < 200; i++) await disk.write(i, new Uint8Array(sectorBytes).fill(i + 1));
    await disk.flush();
    await disk.write(200, new Uint8Array(sectorBytes).fill(250));
    await disk.abandon();
    for (const name of await readdir(directory)) {
      if (!name.startsWith('files-')) continue;
      const last = (await readdir(join(directory, name))).sort().at(-1)!;
      const path = join(directory, name, last);
      const { size } = await (await import('node:fs/promises')).stat(path);
      await truncate(path, size - 100);
    }
    const again = await open();
    const bytes = new Uint8Array(200 * sectorBytes);
    await again.read(0, bytes);
    expect(Array.from({ length: 200 }, (_, i) => bytes[i * sectorBytes])).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    const torn = new Uint8Array(sectorBytes);
    await again.read(200, torn);
    expect(torn).toEqual(new Uint8Array(sectorBytes));
    await again.close();
  });
});

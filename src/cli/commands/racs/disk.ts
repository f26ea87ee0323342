/**
 * `paravane racs disk ACTION`: disks of an array, while nobody serves them.
 *
 *     create NAME --size 10G         ls                     rm NAME
 *     snapshot NAME SNAPSHOT         clone NAME SNAPSHOT NEW        rm-snapshot NAME SNAPSHOT
 *     collect NAME                   moves live data together and deletes what nothing needs
 */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { sectorBytes } from '../../../base/block-store.ts';
import { ConfigError } from '../../../base/errors.ts';
import type { RacsArray } from '../../../racs/array.ts';
import { DiskCatalog } from '../../../racs/disk/disk-catalog.ts';
import { type DiskParts, LogDisk } from '../../../racs/disk/log-disk.ts';
import { FileJournal } from '../../../racs/store/file-journal.ts';
import { systemChance, systemClock } from '../../../racs/store/system.ts';
import { printText } from '../../print.ts';
import { formatBytes } from '../../progress.ts';
import { configOption, manyNames, notice, withArray } from './with-array.ts';

const actions = ['create', 'ls', 'rm', 'snapshot', 'rm-snapshot', 'clone', 'collect'] as const;

export function builder(y: Argv): Argv {
  return manyNames(configOption(y))
    .positional('action', { choices: actions, demandOption: true, describe: 'what to do' })
    .positional('names', { type: 'string', array: true, default: [], describe: 'disk, snapshot, clone' })
    .option('size', { type: 'string', describe: 'of a new disk: bytes, or with K, M, G, T' })
    .option('journal', { type: 'string', describe: 'directory of the journal of the disk, when it was served with one' })
    .option('take-over', { type: 'boolean', default: false, describe: 'although another owner has not closed it' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const names = (argv.names as unknown[]).map(String);
  const [disk, snapshot, clone] = names;
  const wanted = { create: 1, ls: 0, rm: 1, snapshot: 2, 'rm-snapshot': 2, clone: 3, collect: 1 }[argv.action as (typeof actions)[number]];
  if (names.length !== wanted) throw new ConfigError(`disk ${argv.action} takes ${wanted} names, not ${names.length}`);
  return withArray(argv, async (array) => {
    const catalog = new DiskCatalog(diskParts(array));
    switch (argv.action as (typeof actions)[number]) {
      case 'create':
        await catalog.create(disk!, parseSize(argv.size) / sectorBytes);
        return 0;
      case 'ls':
        for (const name of await catalog.names()) await printDisk(catalog, name);
        return 0;
      case 'rm':
        await catalog.remove(disk!, { force: argv.takeOver === true });
        return 0;
      case 'rm-snapshot':
        await catalog.removeSnapshot(disk!, snapshot!);
        return 0;
      case 'clone':
        await catalog.clone(disk!, snapshot!, clone!);
        return 0;
      case 'snapshot':
        return withDisk(array, disk!, argv, (open) => open.snapshot(snapshot!));
      case 'collect':
        return withDisk(array, disk!, argv, async (open) => {
          let moved = 0;
          for (let step = await open.collect(); step > 0; step = await open.collect()) {
            moved += step;
            await open.drain({ checkpoint: true });
          }
          await open.drain({ checkpoint: true });
          const swept = await open.sweep();
          printText(`${formatBytes(moved)} moved, ${swept} stray objects deleted`);
        });
    }
  });
}

/** A disk's surroundings in an array. */
export function diskParts(array: RacsArray): DiskParts {
  return { store: array, register: array.registers('disk'), clock: systemClock, chance: systemChance };
}

async function withDisk(array: RacsArray, name: string, argv: ArgumentsCamelCase, work: (disk: LogDisk) => Promise<void>): Promise<number> {
  const journal = argv.journal === undefined ? undefined : await FileJournal.at(String(argv.journal));
  const disk = await LogDisk.open(name, diskParts(array), {
    takeOver: argv.takeOver === true,
    onNotice: notice,
    ...(journal && { journal }),
  });
  try {
    await work(disk);
  } finally {
    await disk.close();
  }
  return 0;
}

async function printDisk(catalog: DiskCatalog, name: string): Promise<void> {
  const { sectorCount, owner, epoch, snapshots } = await catalog.describe(name);
  const state = owner.clean ? 'closed' : `open since epoch ${epoch}`;
  const points = snapshots.map((each) => (each.clones.length > 0 ? `${each.name} (clones: ${each.clones.join(', ')})` : each.name));
  printText(`${name}  ${formatBytes(sectorCount * sectorBytes)}  ${state}${points.length > 0 ? `  snapshots: ${points.join(', ')}` : ''}`);
}

function parseSize(value: unknown): number {
  const match = /^(\d+)([KMGT]?)$/i.exec(value === undefined ? '' : String(value));
  const bytes = match ? Number(match[1]) * 1024 ** ' KMGT'.indexOf(match[2]!.toUpperCase() || ' ') : 0;
  if (bytes === 0 || bytes % sectorBytes !== 0)
    throw new ConfigError(`--size ${value ?? ''}: bytes in whole sectors of ${sectorBytes}, such as 10G`);
  return bytes;
}

/**
 * `paravane racs nbd DISK...`: serves disks of an array to NBD clients until SIGINT or SIGTERM, and then stores and
 * closes them.
 *
 * Durability: with --journal DIR a flush is answered when the directory has it, and the providers follow; what a crash
 * leaves there is recovered when the disk is opened with the same directory. With --remote a flush is answered when the
 * providers have it, and nothing local matters. One of the two must be chosen.
 */

import { join } from 'node:path';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../../base/errors.ts';
import type { RacsArray } from '../../../racs/array.ts';
import { DiskCatalog } from '../../../racs/disk/disk-catalog.ts';
import { LogDisk } from '../../../racs/disk/log-disk.ts';
import { ByteAddressedStore } from '../../../racs/nbd/byte-addressed.ts';
import type { NbdExport } from '../../../racs/nbd/session.ts';
import { FileJournal } from '../../../racs/store/file-journal.ts';
import { type NbdAddress, serveNbd } from '../../../racs/store/nbd-server.ts';
import { describeError } from '../../../base/errors.ts';
import { diskParts } from './disk.ts';
import { configOption, manyNames, notice, untilStopped, withArray } from './with-array.ts';

const MiB = 1024 * 1024;

export function builder(y: Argv): Argv {
  return manyNames(configOption(y))
    .positional('disks', { type: 'string', array: true, demandOption: true, describe: 'disks, or DISK@SNAPSHOT to read' })
    .option('journal', { type: 'string', describe: 'directory whose files answer flushes' })
    .option('remote', { type: 'boolean', describe: 'answer flushes when the providers have it' })
    .conflicts('journal', 'remote')
    .option('host', { type: 'string', default: '127.0.0.1', describe: 'address to listen on; the protocol has no passwords' })
    .option('port', { type: 'number', default: 10809, describe: 'port, 0 for a free one' })
    .option('unix', { type: 'string', describe: 'listen on this socket instead' })
    .option('take-over', { type: 'boolean', default: false, describe: 'although another owner has not closed a disk' })
    .option('cache', { type: 'number', default: 64, describe: 'MiB of cache a disk' })
    .option('segment', { type: 'number', default: 4, describe: 'MiB of a segment' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const names = (argv.disks as unknown[]).map(String);
  if (argv.journal === undefined && !argv.remote && names.some((name) => !name.includes('@'))) {
    throw new ConfigError('--journal DIR or --remote must say what a flush means');
  }
  return withArray(argv, async (array) => {
    const open: LogDisk[] = [];
    try {
      const exports: NbdExport[] = [];
      for (const name of names) exports.push(await openExport(array, name, argv, open));
      const address: NbdAddress =
        argv.unix === undefined ? { host: String(argv.host), port: Number(argv.port) } : { path: String(argv.unix) };
      const server = await serveNbd(exports, address, { onError: (error) => notice(describeError(error)) });
      notice(
        `serving ${names.join(', ')} on ${'path' in server.address ? server.address.path : `${server.address.host}:${server.address.port}`}`,
      );
      await untilStopped();
      await server.close();
    } finally {
      for (const disk of open) await disk.close();
    }
    return 0;
  });
}

async function openExport(array: RacsArray, name: string, argv: ArgumentsCamelCase, open: LogDisk[]): Promise<NbdExport> {
  const parts = diskParts(array);
  const [diskName, snapshot] = name.split('@') as [string, string?];
  const cacheBytes = Number(argv.cache) * MiB;
  if (snapshot !== undefined) {
    const store = await new DiskCatalog(parts).openSnapshot(diskName, snapshot, { cacheBytes });
    return { name, description: `snapshot ${snapshot} of ${diskName}`, disk: new ByteAddressedStore(store) };
  }
  const journal = argv.journal === undefined ? undefined : await FileJournal.at(join(String(argv.journal), diskName));
  const disk = await LogDisk.open(diskName, parts, {
    ...(journal && { journal }),
    ...{ takeOver: argv.takeOver === true, cacheBytes, segmentBytes: Number(argv.segment) * MiB, onNotice: notice },
  });
  open.push(disk);
  return { name, description: `disk ${diskName} of array ${array.id}`, disk: new ByteAddressedStore(disk) };
}

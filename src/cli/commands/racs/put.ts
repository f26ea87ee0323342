/** `paravane racs put FILE KEY`: stores a file, or standard input for `-`. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../../base/errors.ts';
import { showProgress } from '../../progress.ts';
import { configOption, withArray } from './with-array.ts';

export function builder(y: Argv): Argv {
  return configOption(y)
    .positional('file', { type: 'string', demandOption: true, describe: 'file to store, - for standard input' })
    .positional('key', { type: 'string', demandOption: true, describe: 'name of the object' })
    .option('content-type', { type: 'string', describe: 'kept with the object' })
    .option('if-absent', { type: 'boolean', default: false, describe: 'fail when the object exists' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const path = String(argv.file);
  const total = path === '-' ? undefined : await sizeOf(path);
  const progress = showProgress(String(argv.key));
  async function* body(): AsyncGenerator<Uint8Array> {
    let done = 0;
    for await (const piece of path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 1024 * 1024 })) {
      yield piece as Uint8Array;
      done += (piece as Uint8Array).length;
      progress.update(done, total);
    }
  }
  try {
    return await withArray(argv, async (array) => {
      await array.put(String(argv.key), body(), {
        ...(argv.contentType !== undefined && { contentType: String(argv.contentType) }),
        ...(argv.ifAbsent === true && { ifNoneMatch: '*' }),
      });
      return 0;
    });
  } finally {
    progress.end();
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw new ConfigError(`${path} is a directory`);
    return found.size;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
}

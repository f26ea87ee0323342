/**
 * `paravane racs get KEY [FILE]`: fetches an object into a file, or to standard output. A file appears under its name
 * only when it is whole; an interrupted fetch leaves FILE.partial, and the next one goes on from there when the object
 * is still the same.
 */

import { createHash } from 'node:crypto';
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../../base/errors.ts';
import type { RacsArray } from '../../../racs/array.ts';
import { showProgress } from '../../progress.ts';
import { configOption, withArray } from './with-array.ts';

export function builder(y: Argv): Argv {
  return configOption(y)
    .positional('key', { type: 'string', demandOption: true, describe: 'name of the object' })
    .positional('file', { type: 'string', default: '-', describe: 'where to, - for standard output' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const [key, path] = [String(argv.key), String(argv.file)];
  return withArray(argv, (array) => (path === '-' ? toOutput(array, key) : toFile(array, key, path)));
}

async function toOutput(array: RacsArray, key: string): Promise<number> {
  const { body } = await array.getStream(key);
  for await (const piece of body) {
    if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
  return 0;
}

async function toFile(array: RacsArray, key: string, path: string): Promise<number> {
  const [partial, mark] = [`${path}.partial`, `${path}.partial.version`];
  const info = await array.head(key);
  const version = createHash('sha256')
    .update(JSON.stringify([array.id, key, info.etag, info.lastModified, info.size]))
    .digest('hex');
  const begun = await readFile(mark, 'utf8').catch(() => '');
  let done =
    begun === version
      ? await stat(partial).then(
          ({ size }) => Math.min(size, info.size),
          () => 0,
        )
      : 0;
  const progress = showProgress(key);
  try {
    const file = await open(partial, done > 0 ? 'r+' : 'w').catch((error: NodeJS.ErrnoException) => {
      throw new ConfigError(`${partial}: cannot be written (${error.code ?? 'error'})`);
    });
    try {
      await writeFile(mark, version);
      if (done < info.size) {
        const { body } = await array.getStream(key, { ifMatch: info.etag, ...(done > 0 && { range: { first: done } }) });
        for await (const piece of body) {
          await file.write(piece, 0, piece.length, done);
          done += piece.length;
          progress.update(done, info.size);
        }
      }
      await file.truncate(info.size);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
    await rm(mark, { force: true });
    return 0;
  } finally {
    progress.end();
  }
}

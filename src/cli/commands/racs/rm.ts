/** `paravane racs rm KEY...`: deletes objects, or with --recursive all whose names begin so. */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../../base/errors.ts';
import { showProgress } from '../../progress.ts';
import { configOption, manyNames, withArray } from './with-array.ts';

const disksPrefix = 'disks/';

export function builder(y: Argv): Argv {
  return manyNames(configOption(y))
    .positional('keys', { type: 'string', array: true, demandOption: true, describe: 'names' })
    .option('recursive', { alias: 'r', type: 'boolean', default: false, describe: 'names are prefixes' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const names = (argv.keys as unknown[]).map(String);
  for (const name of names) {
    const touchesDisks = name.startsWith(disksPrefix) || (argv.recursive === true && disksPrefix.startsWith(name));
    if (touchesDisks) throw new ConfigError(`${name || '""'} holds segments of disks; "paravane racs disk rm" removes a disk`);
  }
  const progress = showProgress('deleting', String);
  try {
    return await withArray(argv, async (array) => {
      let done = 0;
      for (const name of names) {
        if (!argv.recursive) {
          await array.head(name);
          await array.delete(name);
          progress.update(++done);
          continue;
        }
        for (let startAfter = ''; ; ) {
          const { entries, truncated } = await array.list({ prefix: name, startAfter });
          for (const { key } of entries) {
            await array.delete(key);
            progress.update(++done);
          }
          if (!truncated) break;
          startAfter = entries.at(-1)!.key;
        }
      }
      return 0;
    });
  } finally {
    progress.end();
  }
}

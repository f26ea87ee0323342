/** `paravane racs migrate K N`: sets the array's code in the configuration and re-codes every object that has another. */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { migrate } from '../../../racs/repair.ts';
import { readArrayConfig } from '../../../racs/store/array-config.ts';
import { adoptConfig } from './edit-config.ts';
import { runWalk, walkOptions } from './walk.ts';
import { reportingFailures } from './with-array.ts';

export function builder(y: Argv): Argv {
  return walkOptions(y)
    .positional('k', { type: 'number', demandOption: true, describe: 'shares that suffice' })
    .positional('n', { type: 'number', demandOption: true, describe: 'shares in all' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const [path, k, n] = [String(argv.config), Number(argv.k), Number(argv.n)];
  return reportingFailures(async () => {
    const { writeQuorum, ...config } = await readArrayConfig(path);
    // A quorum that was chosen for another code says nothing about this one.
    const same = config.k === k && config.n === n && writeQuorum !== undefined;
    const array = await adoptConfig(path, { ...config, k, n, ...(same && { writeQuorum }) });
    try {
      return await runWalk(array, argv, `migrate ${k},${n}`, (options) => migrate(array, { k, n }, options));
    } finally {
      await array.close();
    }
  });
}

/** `paravane racs collect`: deletes shares that belong to nothing, after writers that died and versions that were replaced. */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../../base/errors.ts';
import { collect } from '../../../racs/collector.ts';
import { printText } from '../../print.ts';
import { formatBytes, showProgress } from '../../progress.ts';
import { configOption, failed, withArray } from './with-array.ts';

export function builder(y: Argv): Argv {
  return configOption(y)
    .option('grace', { type: 'number', default: 3600, describe: 'leave shares alone that are younger, in seconds' })
    .option('uploads', { type: 'number', default: 7, describe: 'give up uploads in parts that are older, in days' })
    .option('json', { type: 'boolean', default: false, describe: 'print the report as JSON' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const [grace, uploads] = [Number(argv.grace), Number(argv.uploads)];
  if (!(grace >= 0) || !(uploads >= 0)) throw new ConfigError('--grace and --uploads are times, not negative');
  const progress = showProgress('collect', (shares) => `${Math.round(shares)} shares`);
  return withArray(argv, async (array) => {
    const report = await collect(array, {
      graceMs: grace * 1000,
      uploadMs: uploads * 86_400_000,
      onProgress: ({ shares }) => progress.update(shares),
    }).finally(() => progress.end());
    const { shares, orphans, deleted, bytes, foreign, skipped } = report;
    if (argv.json) printText(JSON.stringify(report, null, 2));
    else {
      printText(`${shares} shares looked at; ${orphans} parts without an owner, ${deleted} shares deleted, ${formatBytes(bytes)}`);
      if (foreign > 0) printText(`${foreign} objects are no shares of this array and were left alone`);
      if (skipped.length > 0) printText(`could not be listed: ${skipped.join(', ')}`);
    }
    return skipped.length > 0 ? failed : 0;
  });
}

/**
 * `paravane racs status`: whether each provider answers, and how long a small read takes; what the array can bear.
 * Exit status 1 when a put would not succeed now.
 */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { describeError } from '../../../base/errors.ts';
import { printText } from '../../print.ts';
import { configOption, failed, withArray } from './with-array.ts';

export function builder(y: Argv): Argv {
  return configOption(y).option('json', { type: 'boolean', default: false, describe: 'print JSON' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  return withArray(argv, async (array) => {
    const providers = await Promise.all(
      [...array.providers.values()].map(async ({ id, store, draining }) => {
        const started = performance.now();
        const problem = await store.head('racs.json').then(
          () => null,
          (error: unknown) => describeError(error),
        );
        return { id, store: store.name, draining: draining ?? false, milliseconds: Math.round(performance.now() - started), problem };
      }),
    );
    const taking = providers.filter(({ problem, draining }) => problem === null && !draining).length;
    const { k, n } = array.coding;
    const writable = taking >= array.quorum;
    if (argv.json) printText(JSON.stringify({ array: array.id, k, n, quorum: array.quorum, writable, providers }, null, 2));
    else {
      printText(`array ${array.id}: (${k}, ${n}), a put needs ${array.quorum} shares, a get ${k}`);
      for (const { id, store, milliseconds, problem, draining } of providers) {
        printText(`${id}  ${problem ?? `answers in ${milliseconds} ms`}${draining ? ', draining' : ''}  (${store})`);
      }
      printText(writable ? `${taking - array.quorum} more may fail before puts do` : `only ${taking} providers take shares: puts fail`);
    }
    return writable ? 0 : failed;
  });
}

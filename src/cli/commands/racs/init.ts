/** `paravane racs init`: makes what an array's configuration names and is not there: directories, buckets, markers. */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { printText } from '../../print.ts';
import { configOption, withArray } from './with-array.ts';

export function builder(y: Argv): Argv {
  return configOption(y);
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  return withArray(
    argv,
    async (array) => {
      const { k, n } = array.coding;
      printText(`array ${array.id}: (${k}, ${n}) over ${[...array.providers.keys()].join(', ')}; a put needs ${array.quorum} shares`);
      return 0;
    },
    { init: true },
  );
}

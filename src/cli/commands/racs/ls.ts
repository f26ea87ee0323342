/** `paravane racs ls [PREFIX]`: objects in the order of their names; segments of disks only when PREFIX asks for them. */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { printText } from '../../print.ts';
import { configOption, withArray } from './with-array.ts';

const disksPrefix = 'disks/';

export function builder(y: Argv): Argv {
  return configOption(y)
    .positional('prefix', { type: 'string', default: '', describe: 'only names that begin so' })
    .option('json', { type: 'boolean', default: false, describe: 'print one JSON object a line' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  return withArray(argv, async (array) => {
    for (let startAfter = ''; ; ) {
      const { entries, truncated } = await array.list({ prefix: String(argv.prefix), startAfter });
      for (const info of entries) {
        if (info.key.startsWith(disksPrefix) && !String(argv.prefix).startsWith(disksPrefix)) continue;
        const { key, size, lastModified } = info;
        printText(
          argv.json ? JSON.stringify(info) : `${new Date(lastModified).toISOString()}  ${String(size).padStart(14)}  ${printable(key)}`,
        );
      }
      if (!truncated) return 0;
      startAfter = entries.at(-1)!.key;
    }
  });
}

/** A name must not move the cursor or colour the terminal. */
function printable(key: string): string {
  return key.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

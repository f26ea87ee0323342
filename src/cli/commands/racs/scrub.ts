/** `paravane racs scrub`: reads every share and says which are missing or damaged. Exit status 1 when an object is lost. */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { scrub } from '../../../racs/repair.ts';
import { runWalk, walkOptions } from './walk.ts';
import { withArray } from './with-array.ts';

export function builder(y: Argv): Argv {
  return walkOptions(y);
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  return withArray(argv, (array) => runWalk(array, argv, 'scrub', (options) => scrub(array, options)));
}

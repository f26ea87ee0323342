/** `paravane racs repair`: as scrub, and puts missing and damaged shares back from the others. */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { scrub } from '../../../racs/repair.ts';
import { runWalk, walkOptions } from './walk.ts';
import { withArray } from './with-array.ts';

export function builder(y: Argv): Argv {
  return walkOptions(y);
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  return withArray(argv, (array) => runWalk(array, argv, 'repair', (options) => scrub(array, { ...options, repair: true })));
}

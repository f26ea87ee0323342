/**
 * What the commands of `paravane racs` share: the option that names the configuration, and an array that is open for the
 * length of one piece of work. Failures of stores become one line and status 1; secrets are in no message.
 */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { BackendError, describeError } from '../../../base/errors.ts';
import { type Logger, silentLogger } from '../../../base/logger.ts';
import type { RacsArray } from '../../../racs/array.ts';
import { openArray, readArrayConfig } from '../../../racs/store/array-config.ts';

export const failed = 1;

export function configOption(y: Argv): Argv {
  return y.option('config', {
    alias: 'c',
    type: 'string',
    default: process.env['RACS_CONFIG'] ?? 'racs.json',
    describe: 'configuration of the array; secrets are in the environment or in files that it names',
  });
}

/** For commands with any number of names: without this, the last one would hide the others. */
export function manyNames(y: Argv): Argv {
  return y.parserConfiguration({ 'duplicate-arguments-array': true });
}

export async function withArray(
  argv: ArgumentsCamelCase,
  work: (array: RacsArray) => Promise<number>,
  options: { init?: boolean } = {},
): Promise<number> {
  return reportingFailures(async () => {
    const array = await openArray(await readArrayConfig(String(argv.config)), { logger: stderrLogger, ...options });
    try {
      return await work(array);
    } finally {
      await array.close();
    }
  });
}

/** A BackendError is the outside's failure, not a bug: one line, status 1. */
export async function reportingFailures(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    process.stderr.write(`paravane: ${describeError(error)}\n`);
    return failed;
  }
}

/** Warnings, for the operator. */
export const stderrLogger: Logger = { ...silentLogger, warn: notice };

export function notice(text: string): void {
  process.stderr.write(`paravane: ${text}\n`);
}

/** Resolves at SIGINT or SIGTERM. */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

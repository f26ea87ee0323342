/**
 * Reads the command line and runs one command. Each command is a module in `commands/`, loaded only when it is chosen,
 * so that `--help` and a wrong option cost nothing. A command module exports `builder` (its options, for yargs) and
 * `handler`, which resolves to the exit status.
 * Exit status: what the command says; 2 for bad usage or input, after one line on stderr that begins with `paravane:`.
 */

import { readFileSync } from 'node:fs';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { ConfigError, describeError } from '../base/errors.ts';
import { type CommandEntry, commands, type SingleCommand } from './commands/index.ts';

/** Bad usage or input: unknown options, unreadable files, malformed images, contradictory options. */
const badUsage = 2;

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever reads has seen enough (`| head`).
  if (error.code === 'EPIPE') process.exit();
  throw error;
});
process.exitCode = await main(hideBin(process.argv));

async function main(args: string[]): Promise<number> {
  let status = 0;
  const parser = yargs(args)
    .scriptName('paravane')
    .usage('$0 <command> [options]')
    .version(packageVersion())
    .strict()
    .demandCommand(1, 'a command is needed; --help lists them')
    .recommendCommands()
    .help()
    .exitProcess(false)
    .parserConfiguration({ 'duplicate-arguments-array': false })
    .check(numbersAreNumbers, true)
    .fail((message, error) => {
      throw error ?? new ConfigError(message);
    });
  declare(parser, commands, async (entry, argv) => {
    status = await (await entry.load()).handler(argv);
  });
  try {
    await parser.parseAsync();
    return status;
  } catch (error) {
    if (!isUsageError(error)) throw error;
    process.stderr.write(`paravane: ${describeError(error)}\n`);
    return badUsage;
  }
}

/** Tells yargs of commands, groups of commands included; `run` is given the one that was chosen. */
function declare(
  parser: Argv,
  entries: readonly CommandEntry[],
  run: (entry: SingleCommand, argv: ArgumentsCamelCase) => Promise<void>,
): void {
  for (const entry of entries) {
    const { command, describe } = entry;
    if ('commands' in entry) {
      parser.command(command, describe, (y) => {
        declare(y, entry.commands, run);
        return y.demandCommand(1, `${command} needs a command; --help lists them`).recommendCommands();
      });
    } else {
      parser.command({
        command,
        describe,
        builder: async (y: Argv) => (await entry.load()).builder(y),
        handler: (argv) => run(entry, argv),
      });
    }
  }
}

/** yargs turns `--memory lots` into NaN; no command wants one. */
function numbersAreNumbers(argv: Record<string, unknown>): true {
  for (const [name, value] of Object.entries(argv)) {
    if (Number.isNaN(value)) throw new ConfigError(`--${name} needs a number`);
  }
  return true;
}

/** Ours, or one that the option parser throws past its own `fail` hook (a missing value, for one). */
function isUsageError(error: unknown): boolean {
  return error instanceof ConfigError || (error instanceof Error && error.name === 'YError');
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

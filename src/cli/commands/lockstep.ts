/**
 * `paravane lockstep IMAGE`: one stack on two engines side by side. Status 0 when they agree to the end (or to the limit),
 * 1 when they differ: the first instruction that they execute differently is printed with what differs after it.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../base/errors.ts';
import type { EngineName } from '../../machine/bare-machine.ts';
import { buildStack } from '../../stacks/build-stack.ts';
import { lockstep, type LockstepResult } from '../../stacks/lockstep/lockstep.ts';
import { STACK_NAMES, type StackName } from '../../stacks/stack.ts';
import { printText } from '../print.ts';

const ENGINES: readonly string[] = ['reference', 'interpreter', 'jit'];
const PROGRESS_MILLISECONDS = 5_000;
const DIFFERENCES_SHOWN = 40;

export function builder(y: Argv): Argv {
  return y
    .positional('image', { type: 'string', demandOption: true, describe: 'kernel image: multiboot, or ELF with Xen notes for PV' })
    .option('on', { choices: STACK_NAMES, default: 'baseline', describe: 'what the guest runs on' })
    .option('memory', { type: 'number', default: 64, describe: 'memory of the guest in MiB' })
    .option('append', { type: 'string', default: '', describe: 'command line of the guest' })
    .option('engines', { type: 'string', default: 'reference,interpreter', describe: 'the two engines' })
    .option('every', { type: 'number', default: 1_000_000, describe: 'instructions between two comparisons' })
    .option('max-instructions', { type: 'number', describe: 'stop after so many instructions' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const engines = String(argv.engines).split(',');
  if (engines.length !== 2 || !engines.every((name) => ENGINES.includes(name)))
    throw new ConfigError(`--engines ${argv.engines}: two of ${ENGINES.join(', ')} are expected`);
  const every = positive('--every', argv.every);
  const limit = argv.maxInstructions === undefined ? undefined : positive('--max-instructions', argv.maxInstructions);
  const memoryMiB = Number(positive('--memory', argv.memory));
  const path = String(argv.image);
  const image = readImage(path);
  let reported = performance.now();
  const result = lockstep({
    every,
    ...(limit !== undefined && { maxInstructions: limit }),
    build: (which, wrap) =>
      buildStack({
        stack: argv.on as StackName,
        image,
        imageName: basename(path),
        commandLine: String(argv.append),
        memoryMiB,
        engine: engines[which] as EngineName,
        wrapEngine: wrap,
        console: () => {},
      }),
    progress: (instructions) => {
      if (performance.now() - reported < PROGRESS_MILLISECONDS) return;
      reported = performance.now();
      process.stderr.write(`${instructions} instructions agree\n`);
    },
  });
  for (const line of report(result, engines)) printText(line);
  return result.agreed ? 0 : 1;
}

function report(result: LockstepResult, engines: readonly string[]): string[] {
  const names = engines.join(' and ');
  if (result.agreed) return [`${names} agree: ${result.instructions} instructions, ${result.end.reason}`];
  const { instructions, instruction, differences } = result;
  const where =
    instruction === undefined
      ? `${names} differ some time after ${instructions} instructions`
      : `${names} differ after ${instructions} instructions, on cpu ${instruction.cpu} in`;
  const lines = [where];
  if (instruction !== undefined) lines.push(`  ${instruction.address.toString(16)}  ${instruction.bytes}  ${instruction.text}`);
  for (const { name, first, second } of differences.slice(0, DIFFERENCES_SHOWN)) lines.push(`  ${name}: ${first}, ${second}`);
  if (differences.length > DIFFERENCES_SHOWN) lines.push(`  and ${differences.length - DIFFERENCES_SHOWN} more`);
  return lines;
}

function positive(name: string, value: unknown): bigint {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number <= 0) throw new ConfigError(`${name} ${value}: a positive whole number is expected`);
  return BigInt(number);
}

function readImage(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
}

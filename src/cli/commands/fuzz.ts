/**
 * `paravane fuzz`: generated programs of user code on the engines and on the host's own processor, compared. Prints the
 * seed, how often each opcode row was executed, programs a second, and every program that differs, made small. The last
 * line is `N passed, M failed`; the status is 1 when any failed or, where --row-count asks for it, when a row was reached
 * less often.
 */
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../base/errors.ts';
import { Campaign, type Failure, type Oracle } from '../../stacks/fuzz/campaign.ts';
import { programListing } from '../../stacks/fuzz/listing.ts';
import { shrinkProgram } from '../../stacks/fuzz/shrink.ts';
import { HostProcessor, hostProcessorMissing } from '../host-processor.ts';

const BATCH = 200;
const PROGRESS_MILLISECONDS = 10_000;
const RAREST_SHOWN = 10;
const LINES_SHOWN = 12;

export function builder(y: Argv): Argv {
  return y
    .option('programs', { type: 'number', default: 10_000, describe: 'programs to run' })
    .option('seconds', { type: 'number', describe: 'stop after so many seconds, when not all programs have run by then' })
    .option('seed', { type: 'number', describe: 'seed of the programs; by the clock without this' })
    .option('first', { type: 'number', default: 0, describe: 'number of the first program, to repeat one' })
    .option('against', { choices: ['host', 'engines', 'all'] as const, default: 'all', describe: 'what is compared' })
    .option('rows', { type: 'string', describe: 'only instructions whose mnemonic matches this expression' })
    .option('row-count', { type: 'number', default: 0, describe: 'how often each opcode row must be executed at least' })
    .option('show', { type: 'number', default: 5, describe: 'failures to print' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const count = natural('--programs', argv.programs);
  const seed = argv.seed === undefined ? Date.now() % 2 ** 32 : natural('--seed', argv.seed);
  const first = natural('--first', argv.first);
  const against = argv.against as 'host' | 'engines' | 'all';
  const rows = argv.rows === undefined ? undefined : expression(String(argv.rows));
  const host = openHost(against);
  const campaign = new Campaign({ seed, engines: against !== 'host', ...(rows && { rows }), ...(host && { oracle: host }) });
  process.stdout.write(`seed ${seed}, ${count} programs from ${first}, ${host === undefined ? 'engines only' : `against ${against}`}\n`);
  try {
    const result = await runAll(campaign, first, count, argv.seconds === undefined ? undefined : Number(argv.seconds), Number(argv.show));
    const enough = against === 'host' || printRows(campaign, Number(argv.rowCount));
    process.stdout.write(`${Math.round(result.done / result.seconds)} programs a second\n`);
    process.stdout.write(`${result.done - result.failed} passed, ${result.failed} failed\n`);
    return result.failed === 0 && enough ? 0 : 1;
  } finally {
    host?.close();
  }
}

async function runAll(campaign: Campaign, first: number, count: number, limit: number | undefined, show: number) {
  const started = performance.now();
  let reported = started;
  let done = 0;
  let failed = 0;
  while (done < count && !(limit !== undefined && performance.now() - started > limit * 1000)) {
    const size = Math.min(BATCH, count - done);
    const failures = await campaign.run(first + done, size);
    for (const failure of failures) if (failed++ < show) await printFailure(campaign, failure);
    done += size;
    if (performance.now() - reported > PROGRESS_MILLISECONDS) {
      reported = performance.now();
      process.stderr.write(`${done} programs, ${failed} failed\n`);
    }
  }
  return { done, failed, seconds: (performance.now() - started) / 1000 };
}

async function printFailure(campaign: Campaign, failure: Failure): Promise<void> {
  const small = await shrinkProgram(failure.program, async (candidate) => {
    const [found] = await campaign.compare([candidate]);
    return found !== undefined && found.between === failure.between;
  });
  const [found] = await campaign.compare([small]);
  const { between, lines } = found ?? failure;
  process.stdout.write(`program ${failure.number} (--first ${failure.number} --programs 1) differs, ${between}:\n`);
  for (const line of lines.slice(0, LINES_SHOWN)) process.stdout.write(`  ${line}\n`);
  for (const line of programListing(small, campaign.model)) process.stdout.write(`    ${line}\n`);
}

/** The rarest rows, and whether all were executed often enough. */
function printRows(campaign: Campaign, wanted: number): boolean {
  const counts = campaign.generator.rows
    .map(({ row }) => ({ row, count: campaign.counting.counts[row.id] as number }))
    .sort((a, b) => a.count - b.count);
  const rare = counts.filter(({ count }) => count < wanted);
  const shown = counts.slice(0, Math.max(RAREST_SHOWN, rare.length));
  process.stdout.write(`${counts.length} opcode rows, each executed at least ${counts[0]?.count ?? 0} times; the rarest:\n`);
  for (const { row, count } of shown) process.stdout.write(`  ${count} times ${row.opcode} (${row.mnemonic} ${row.operands.join(', ')})\n`);
  return rare.length === 0;
}

function openHost(against: 'host' | 'engines' | 'all'): (HostProcessor & Oracle) | undefined {
  if (against === 'engines') return undefined;
  const missing = hostProcessorMissing();
  if (missing === undefined) return new HostProcessor();
  if (against === 'host') throw new ConfigError(`no host processor to compare with: ${missing}`);
  process.stderr.write(`no host processor to compare with: ${missing}\n`);
  return undefined;
}

function natural(name: string, value: unknown): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw new ConfigError(`${name} ${value}: a whole number is expected`);
  return number;
}

function expression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new ConfigError(`--rows ${text}: not a regular expression`);
  }
}

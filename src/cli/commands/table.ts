/**
 * `paravane table`: the nested microbenchmark table, measured by running one guest in six stacks, beside what was
 * published. Exit status 0 when every stack ran, whether or not the cells agree: the verdicts are printed.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../base/errors.ts';
import { findAblation } from '../../report/ablations.ts';
import { renderExplanation, renderParameters, renderPredictions, renderTable, renderVerdicts } from '../../report/render-table.ts';
import { type TableReport, tableReport } from '../../report/table-report.ts';
import { cellsOf, type GuestRow, ROW_NAMES, type StackMeasurement } from '../../stacks/measure.ts';
import { fitted } from '../../timing/fitted.ts';
import { eurosys2012, lecture2012, parseStack, type Stack, stacks } from '../../timing/published.ts';
import type { EngineName } from '../../machine/bare-machine.ts';
import { measureStacks } from '../measure-stacks.ts';
import { printLine, printText } from '../print.ts';

const TABLE_ROWS: readonly GuestRow[] = ['double-div', 'null-call', 'fork-proc'];
const HELD_OUT_ROWS: readonly GuestRow[] = ['page-fault', 'ctx-2p0k'];
/** Processor and hypervisors that the table is about. */
const PROFILE = 'westmere-x5670';

export function builder(y: Argv): Argv {
  return y
    .option('json', { type: 'boolean', default: false, describe: 'print one JSON object instead of text' })
    .option('explain', { type: 'boolean', default: false, describe: 'break each cell down into its parts' })
    .option('held-out', { type: 'boolean', default: false, describe: 'also run the rows that no fit has seen' })
    .option('engine', { choices: ['reference', 'interpreter', 'jit'], default: 'interpreter', describe: 'execution engine' })
    .option('repetitions', { type: 'number', default: 5, describe: 'repetitions of each row' })
    .option('iterations', { type: 'number', default: 3, describe: 'scale of the iteration counts' })
    .option('published', {
      choices: ['lecture', 'eurosys'],
      default: 'lecture',
      describe: 'table to compare with; the held-out rows are only in eurosys',
    })
    .option('only', { type: 'string', describe: 'rows and stacks, comma-separated: "fork proc,pv/kvm"' })
    .option('ablate', { type: 'string', describe: 'change one thing: a name from the list in README.md' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const repetitions = count('--repetitions', Number(argv.repetitions));
  const iterations = count('--iterations', Number(argv.iterations));
  const only = selection(argv.only === undefined ? '' : String(argv.only), argv.heldOut === true);
  const ablation = argv.ablate === undefined ? undefined : findAblation(String(argv.ablate));
  const started = performance.now();
  const progress = process.stderr.isTTY && argv.json !== true;
  const measurements = await measureStacks(
    only.stacks.map((stack) => ({
      stack,
      rows: only.rows,
      repetitions,
      iterations,
      engine: argv.engine as EngineName,
      ...(ablation && { settings: ablation.settings }),
    })),
    (finished) => {
      if (progress)
        process.stderr.write(`\r${finished} of ${only.stacks.length} stacks${finished === only.stacks.length ? '\r\x1b[K' : ''}`);
    },
  );
  const hostSeconds = (performance.now() - started) / 1000;
  const published = argv.published === 'eurosys' ? eurosys2012 : lecture2012;
  const report = tableReport({
    cells: measurements.flatMap(cellsOf),
    fitted,
    published,
    brief: argv.explain !== true && argv.json !== true,
  });
  if (argv.json === true) printText(jsonOf(report, measurements, hostSeconds, ablation?.name));
  else {
    if (ablation !== undefined)
      printText(
        `ablation ${ablation.name}: ${ablation.changes}${ablation.anchor === undefined ? '' : ` (published: ${ablation.anchor})`}\n`,
      );
    print(report, argv.explain === true);
    const instructions = measurements.reduce((sum, { instructions }) => sum + instructions, 0n);
    printText(`${instructions.toLocaleString('en-US')} guest instructions in ${hostSeconds.toFixed(1)} s`);
  }
  return 0;
}

function print(report: TableReport, explain: boolean): void {
  for (const line of renderTable(report)) printLine(line);
  printText('');
  for (const line of renderPredictions(report)) printLine(line);
  printText('');
  for (const line of renderParameters(report)) printLine(line);
  printText('');
  for (const line of renderVerdicts(report, explain)) printLine(line);
  if (!explain) return;
  for (const cell of report.cells) {
    printText('');
    for (const line of renderExplanation(cell)) printLine(line);
  }
}

function jsonOf(report: TableReport, measurements: readonly StackMeasurement[], hostSeconds: number, ablation: string | undefined): string {
  const hashes = measurements.map(({ stateHash }) => stateHash);
  const version = (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
  const value = {
    ...report,
    ...(ablation === undefined ? {} : { ablation }),
    instructions: measurements.reduce((sum, { instructions }) => sum + Number(instructions), 0),
    cycles: measurements.reduce((sum, { cycles }) => sum + Number(cycles), 0),
    hostSeconds,
    stateHash: createHash('sha256').update(hashes.join('\n')).digest('hex'),
    stacks: measurements.map(({ stack, instructions, cycles, stateHash, countLines }) => ({
      stack,
      instructions: Number(instructions),
      cycles: Number(cycles),
      stateHash,
      counts: countLines,
    })),
    profile: PROFILE,
    version,
  };
  return JSON.stringify(value, null, 2);
}

function count(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1 || value > 1000)
    throw new ConfigError(`${name} ${value}: a whole number from 1 to 1000 is expected`);
  return value;
}

/** Rows and stacks by `--only`: what is not restricted is all of the table. */
function selection(text: string, heldOut: boolean): { rows: readonly GuestRow[]; stacks: readonly Stack[] } {
  const rows: GuestRow[] = [];
  const columns: Stack[] = [];
  const rowNames = Object.entries(ROW_NAMES) as [GuestRow, string][];
  for (const word of text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')) {
    const row = rowNames.find(([name, title]) => word === name || word === title);
    if (row !== undefined) rows.push(row[0]);
    else columns.push(parseStack(word));
  }
  const allRows = heldOut ? [...TABLE_ROWS, ...HELD_OUT_ROWS] : TABLE_ROWS;
  return { rows: rows.length > 0 ? rows : allRows, stacks: columns.length > 0 ? columns : stacks };
}

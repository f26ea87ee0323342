/**
 * `paravane fit`: solves the five fitted parameters from the published single-layer cells and writes them to
 * src/timing/fitted.ts. It never looks at a nested column: those are refused before anything runs.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../base/errors.ts';
import { cellsOf, type GuestRow, ROW_NAMES } from '../../stacks/measure.ts';
import { cyclesPerOperation, factorSlopes } from '../../timing/decomposition.ts';
import { runFit } from '../../timing/fit.ts';
import { findPlan, fitPlans } from '../../timing/fit-plan.ts';
import { renderFittedFile } from '../../timing/fitted-file.ts';
import { priorValues } from '../../timing/parameters.ts';
import { measureStacks } from '../measure-stacks.ts';
import { printText } from '../print.ts';

const FITTED_FILE = fileURLToPath(new URL('../../timing/fitted.ts', import.meta.url));
const REPETITIONS = 5;
const ITERATIONS = 3;

export function builder(y: Argv): Argv {
  return y
    .option('columns', { type: 'string', default: 'baseline,pv,kvm,hvm', describe: 'columns that the fit may look at, comma-separated' })
    .option('plan', {
      type: 'string',
      default: 'lecture',
      describe: `what is solved from what: ${fitPlans.map(({ name }) => name).join(', ')}`,
    })
    .option('write', { type: 'boolean', default: true, describe: 'write src/timing/fitted.ts; --no-write prints only' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const columns = String(argv.columns)
    .split(',')
    .map((name) => name.trim());
  const file = await runFit({
    plan: findPlan(String(argv.plan)),
    columns,
    start: priorValues,
    report: (line) => process.stderr.write(`${line}\n`),
    measure: async ({ row, stack }, parameters) => {
      const guestRow = (Object.entries(ROW_NAMES) as [GuestRow, string][]).find(([, title]) => title === row)?.[0];
      if (guestRow === undefined) throw new ConfigError(`fit: the guest has no row ${row}`);
      const [measurement] = await measureStacks([
        { stack, rows: [guestRow], repetitions: REPETITIONS, iterations: ITERATIONS, parameters, withHash: false },
      ]);
      const [cell] = cellsOf(measurement);
      return { cycles: cyclesPerOperation(cell), slopes: factorSlopes(cell) };
    },
  });
  if (argv.write === true) writeFileSync(FITTED_FILE, renderFittedFile(file));
  for (const [name, value] of Object.entries(file.values)) printText(`${name} = ${Number(value.toPrecision(6))}`);
  for (const residual of file.residuals) {
    printText(
      `${residual.row} on ${residual.stack}: ${residual.measured.toPrecision(4)} against ${residual.published} (${residual.ratio.toFixed(3)})`,
    );
  }
  for (const warning of file.warnings) printText(`warning: ${warning}`);
  return 0;
}

/**
 * The result of a fit as data, and as the text of fitted.ts, which `npm run -s fit` writes and which is committed.
 */

import type { GuestSlopes } from './decomposition.ts';
import { parameterNames, type ParameterName, type ParameterValues } from './parameters.ts';
import type { Row, Stack } from './published.ts';

export interface FitResidual {
  readonly parameter: ParameterName;
  readonly row: Row;
  readonly stack: Stack;
  /** Id of the published table. */
  readonly table: string;
  /** In the unit of the row. */
  readonly published: number;
  readonly measured: number;
  readonly ratio: number;
}

export interface FittedFile {
  /** Name of the plan; `none` before the first fit. */
  readonly plan: string;
  /** Columns that were looked at. */
  readonly columns: readonly Stack[];
  readonly values: ParameterValues;
  /** Parameters that the plan solved; the others keep their prior values. */
  readonly fittedNames: readonly ParameterName[];
  /** What an instruction of stand-in work costs a row, as the fit found it: for the sensitivities. */
  readonly guestSlopes: GuestSlopes;
  readonly residuals: readonly FitResidual[];
  readonly warnings: readonly string[];
}

// Not at the start of a line, where it would be an import of this file.
const fileImport = "import type { FittedFile } from './fitted-file.ts';";

/** The text of src/timing/fitted.ts. */
export function renderFittedFile(file: FittedFile): string {
  const quoted = (text: string) => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
  const list = (items: readonly string[]) => `[${items.join(', ')}]`;
  const digits = (value: number, count: number) => Number(value.toPrecision(count));
  // One item a line, as the formatter writes lists that do not fit one line.
  const block = (items: readonly string[]) => (items.length === 0 ? '[]' : `[\n${items.map((item) => `    ${item},\n`).join('')}  ]`);
  const record = (items: readonly string[]) => (items.length === 0 ? '{}' : `{\n${items.map((item) => `    ${item},\n`).join('')}  }`);
  const slope = (slopes: { k_sys: number; k_fork: number }) => `{ k_sys: ${digits(slopes.k_sys, 5)}, k_fork: ${digits(slopes.k_fork, 5)} }`;
  const residual = (r: FitResidual) =>
    `{\n      parameter: ${quoted(r.parameter)},\n      row: ${quoted(r.row)},\n      stack: ${quoted(r.stack)},\n      table: ${quoted(r.table)},\n` +
    `      published: ${r.published},\n      measured: ${digits(r.measured, 5)},\n      ratio: ${digits(r.ratio, 5)},\n    }`;
  return `/**
 * Values of the fitted parameters. Written by \`npm run -s fit -- --write\`; not edited by hand.
 */

${fileImport}

export const fitted: FittedFile = {
  plan: ${quoted(file.plan)},
  columns: ${list(file.columns.map(quoted))},
  values: { ${parameterNames.map((name) => `${name}: ${digits(file.values[name], 6)}`).join(', ')} },
  fittedNames: ${list(file.fittedNames.map(quoted))},
  guestSlopes: ${record(Object.entries(file.guestSlopes).map(([row, slopes]) => `${quoted(row)}: ${slope(slopes)}`))},
  residuals: ${block(file.residuals.map(residual))},
  warnings: ${block(file.warnings.map(quoted))},
};
`;
}

/**
 * The nested microbenchmark table as one plain object: measured beside published, the class of each cell, increments
 * over PV, the null models, intervals, verdicts and parameters. A pure function of the cells that were run; printing is
 * render-table.ts, JSON is the object itself.
 * Source: timing model, "Report".
 */

import { ConfigError } from '../base/errors.ts';
import { cyclesPerOperation, type MeasuredCell } from '../timing/decomposition.ts';
import { cellKey, findPlan, type FitPlan } from '../timing/fit-plan.ts';
import type { FittedFile } from '../timing/fitted-file.ts';
import type { Part } from '../timing/ledger.ts';
import { clockGhz, type Parameter, parameters, type ParameterValues } from '../timing/parameters.ts';
import {
  inRowUnit,
  lecture2012,
  nestedStacks,
  publishedValue,
  type PublishedTable,
  type Row,
  type Stack,
  type TableRow,
  tableRows,
  type Unit,
  unitOf,
} from '../timing/published.ts';
import { acceptance, type Verdict } from './acceptance.ts';
import { type NullPrediction, nullPredictions } from './null-models.ts';
import { type Sensitivity, sensitivityOf } from './sensitivity.ts';

/**
 * `sourced`: no fitted number enters; `fitted`: a parameter was solved from it; `checked`: single layer, not used by the
 * fit; `predicted`: two layers.
 */
export type CellKind = 'sourced' | 'fitted' | 'checked' | 'predicted';

export interface Increment {
  readonly measured: number;
  readonly published: number;
  /** undefined where the published increment is zero. */
  readonly ratio: number | undefined;
}

export interface ReportCell {
  readonly row: Row;
  readonly stack: Stack;
  readonly unit: Unit;
  readonly kind: CellKind;
  readonly measured: number;
  /** undefined where nothing was published for it. */
  readonly published: number | undefined;
  readonly ratio: number | undefined;
  /** The same after dividing the published cell by its own column's clock, as double div tells it: a diagnostic. */
  readonly ratioAtColumnClock: number | undefined;
  readonly overPv: Increment | undefined;
  readonly nullModels: readonly NullPrediction[] | undefined;
  readonly sensitivity: Sensitivity | undefined;
  readonly operations: number;
  /** All operations together; the parts sum to it exactly. */
  readonly twelfths: number;
  readonly parts: readonly Part[];
}

export interface ReportParameter extends Parameter {
  readonly value: number;
  readonly fitted: boolean;
  readonly inRange: boolean;
}

export interface TableReport {
  readonly published: PublishedTable['id'];
  readonly clockGhz: number;
  readonly cells: readonly ReportCell[];
  readonly parameters: readonly ReportParameter[];
  readonly warnings: readonly string[];
  readonly verdicts: readonly Verdict[];
}

export interface ReportInput {
  readonly cells: readonly MeasuredCell[];
  readonly fitted: FittedFile;
  /** Parameters of the run; default those of the fit. */
  readonly values?: ParameterValues;
  readonly published?: PublishedTable;
  /** Leaves the sensitivities out. */
  readonly brief?: boolean;
}

/** @throws {ConfigError} when a cell is given twice. */
export function tableReport(input: ReportInput): TableReport {
  const { cells, fitted } = input;
  const published = input.published ?? lecture2012;
  const values = input.values ?? fitted.values;
  const plan = fitted.plan === 'none' ? undefined : findPlan(fitted.plan);
  const byKey = new Map(cells.map((cell) => [cellKey(cell), cell]));
  if (byKey.size !== cells.length) throw new ConfigError('report: a cell was given twice');
  const valueAt = (row: Row, stack: Stack): number | undefined => {
    const cell = byKey.get(cellKey({ row, stack }));
    return cell === undefined ? undefined : inRowUnit(row, cyclesPerOperation(cell));
  };
  const fittedCells = fitted.residuals.map(cellKey);
  return {
    published: published.id,
    clockGhz,
    cells: cells.map((cell) => reportCell(cell, { published, valueAt, fittedCells, plan, input, values })),
    parameters: parameters.map((parameter) => {
      const value = values[parameter.name];
      const inRange = value >= parameter.range[0] && value <= parameter.range[1];
      return { ...parameter, value, fitted: fitted.fittedNames.includes(parameter.name), inRange };
    }),
    warnings: fitted.warnings,
    verdicts: published.id === 'lecture2012' ? acceptance((row: TableRow, stack) => valueAt(row, stack), fittedCells) : [],
  };
}

export function kindOf(row: Row, stack: Stack, fittedCells: readonly string[]): CellKind {
  if (row === 'double div') return 'sourced';
  if (nestedStacks.includes(stack)) return 'predicted';
  return fittedCells.includes(cellKey({ row, stack })) ? 'fitted' : 'checked';
}

interface Context {
  readonly published: PublishedTable;
  readonly valueAt: (row: Row, stack: Stack) => number | undefined;
  readonly fittedCells: readonly string[];
  readonly plan: FitPlan | undefined;
  readonly input: ReportInput;
  readonly values: ParameterValues;
}

function reportCell(cell: MeasuredCell, context: Context): ReportCell {
  const { row, stack } = cell;
  const { published: table, plan } = context;
  const measured = inRowUnit(row, cyclesPerOperation(cell));
  const published = publishedValue(table, row, stack);
  const kind = kindOf(row, stack, context.fittedCells);
  const sensitivity =
    kind === 'predicted' && plan !== undefined && context.input.brief !== true
      ? sensitivityOf({ cell, cells: context.input.cells, plan, parameters: context.values, guestSlopes: context.input.fitted.guestSlopes })
      : undefined;
  return {
    row,
    stack,
    unit: unitOf(row),
    kind,
    measured,
    published,
    ratio: published === undefined ? undefined : measured / published,
    ratioAtColumnClock: published === undefined ? undefined : atColumnClock(table, stack, measured / published),
    overPv: nestedStacks.includes(stack) ? increment(context, row, stack, measured) : undefined,
    nullModels: nullPredictions(row, stack, table),
    sensitivity,
    operations: cell.operations,
    twelfths: cell.twelfths,
    parts: cell.parts,
  };
}

/** Cycles of one DIVSD: what double div says about a column's clock. */
const divsdCycles = 22;

function atColumnClock(table: PublishedTable, stack: Stack, ratio: number): number | undefined {
  const doubleDiv = publishedValue(table, 'double div', stack);
  if (doubleDiv === undefined) return undefined;
  const columnGhz = divsdCycles / doubleDiv;
  return (ratio * clockGhz) / columnGhz;
}

function increment({ published: table, valueAt }: Context, row: Row, stack: Stack, measured: number): Increment | undefined {
  const pv = valueAt(row, 'pv');
  const [nestedPublished, pvPublished] = [publishedValue(table, row, stack), publishedValue(table, row, 'pv')];
  if (pv === undefined || nestedPublished === undefined || pvPublished === undefined) return undefined;
  const published = nestedPublished - pvPublished;
  // Published values have two or three digits: a difference below half a digit is none.
  return { measured: measured - pv, published, ratio: Math.abs(published) < 1e-9 ? undefined : (measured - pv) / published };
}

/** The rows that were run, table rows first. */
export function rowsOf(report: TableReport): Row[] {
  const rows = [...new Set(report.cells.map(({ row }) => row))];
  const rank = (row: Row) => (tableRows as readonly Row[]).indexOf(row) + 1 || tableRows.length + 1;
  return rows.sort((a, b) => rank(a) - rank(b));
}

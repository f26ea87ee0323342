/**
 * How far a predicted cell moves when one input moves through its range: the tornado. Each time the fitted parameters
 * are solved again from the single-layer cells under the changed cost, as a real fit would be, so that what those cells
 * pin down does not count as uncertainty. All from the counts of one run.
 *
 * Not in here, because counts change with them, so that they need runs (ablations.ts): the stand-in's footprint, page
 * tables per process, sizes of the modelled caches, second-stage leaf size.
 */

import { costRows, type CostOverrides } from '../timing/cost-model.ts';
import { countsByRow, cyclesPerOperation, type GuestSlopes, linearCell, type MeasuredCell } from '../timing/decomposition.ts';
import { cellKey, cellsOf, type FitPlan } from '../timing/fit-plan.ts';
import type { ParameterValues } from '../timing/parameters.ts';
import { inRowUnit } from '../timing/published.ts';
import { type LinearCell, predictCycles, solveParameters } from '../timing/solve.ts';

export interface SensitivityEntry {
  readonly input: string;
  readonly class: 'sourced' | 'assumed' | 'fitted factor';
  /** Of the input, in its own unit. */
  readonly range: readonly [number, number];
  /** The cell's value at both ends of the range, in the unit of its row. */
  readonly atLow: number;
  readonly atHigh: number;
  readonly source: string;
}

export interface Sensitivity {
  /** Largest effect first; without those that do not move the cell. */
  readonly entries: readonly SensitivityEntry[];
  /** Lowest and highest value that any single input gives. */
  readonly oneAtATime: readonly [number, number];
  /** All inputs taken as independent: root of the sum of squares to each side. */
  readonly combined: readonly [number, number];
}

interface Variation {
  readonly input: string;
  readonly class: SensitivityEntry['class'];
  readonly range: readonly [number, number];
  readonly source: string;
  readonly at: (end: 0 | 1) => { rows: CostOverrides; instructions: number };
}

/** Parts of one assumption that move together: Xen 3.1's tables without a preemption check per entry. */
const tableSet = ['xen.validate_l2', 'xen.validate_l3', 'xen.free_l2', 'xen.free_l3'];

/** Every input with a range: rows one by one, the table set as one, and instructions as one. */
export function variations(): Variation[] {
  const rows = costRows.filter(({ name, group, range }) => {
    if (group === 'instruction' || group === 'time' || range[0] === range[1]) return false;
    return !tableSet.includes(name);
  });
  const set = costRows.filter(({ name }) => tableSet.includes(name));
  return [
    ...rows.map(
      (row): Variation => ({
        input: row.name,
        class: row.class,
        range: row.range,
        source: row.source,
        at: (end) => ({ rows: { [row.name]: row.range[end] }, instructions: 1 }),
      }),
    ),
    {
      input: 'validation and release of L2 and L3 tables',
      class: 'assumed',
      range: [0, 1],
      source: 'Xen 3.1 has no preemption check per entry: 7,000 and 5,000 instructions (0) instead of the counted ones (1)',
      at: (end) => ({ rows: Object.fromEntries(set.map((row) => [row.name, row.range[end]])), instructions: 1 }),
    },
    {
      input: 'cost of instructions',
      class: 'sourced',
      range: [0.8, 1.5],
      source: 'AGNER: throughput against latency, all classes together, as a factor',
      at: (end) => ({ rows: {}, instructions: end === 0 ? 0.8 : 1.5 }),
    },
  ];
}

export interface SensitivityInput {
  readonly cell: MeasuredCell;
  /** All measured cells; those of the plan must be there. */
  readonly cells: readonly MeasuredCell[];
  readonly plan: FitPlan;
  /** Parameters of the run. */
  readonly parameters: ParameterValues;
  readonly guestSlopes: GuestSlopes;
}

/** Undefined when a cell of the plan was not measured, or the guest's slopes are not known: nothing can be solved again. */
export function sensitivityOf(input: SensitivityInput): Sensitivity | undefined {
  const { cell, cells, plan, parameters, guestSlopes } = input;
  const wanted = cellsOf(plan);
  const measured = new Map(cells.map((each) => [cellKey(each), each]));
  if (!wanted.every((id) => measured.has(cellKey(id)) && guestSlopes[id.row] !== undefined)) return undefined;
  const valueUnder = (change: { rows: CostOverrides; instructions: number }): number => {
    const linear = new Map<string, LinearCell>(
      wanted.map((id) => [cellKey(id), linearCell(measured.get(cellKey(id))!, parameters, guestSlopes, change)]),
    );
    const solved = solveParameters(plan, linear, parameters);
    return inRowUnit(cell.row, predictCycles(linearCell(cell, parameters, guestSlopes, change), solved));
  };
  const unchanged = valueUnder({ rows: {}, instructions: 1 });
  const value = inRowUnit(cell.row, cyclesPerOperation(cell));
  const touched = new Set(
    [cell, ...wanted.map((id) => measured.get(cellKey(id))!)].flatMap((each) => [...countsByRow(each).keys()].map(({ name }) => name)),
  );
  const entries = variations()
    .filter(({ input: name }) => touched.has(name) || !costRows.some((row) => row.name === name))
    .map((variation): SensitivityEntry => {
      // Differences from the solution under unchanged costs: the run itself may miss its targets by a little.
      const moved = ([0, 1] as const).map((end) => value + valueUnder(variation.at(end)) - unchanged);
      return {
        input: variation.input,
        class: variation.class,
        range: variation.range,
        atLow: moved[0]!,
        atHigh: moved[1]!,
        source: variation.source,
      };
    })
    .filter(({ atLow, atHigh }) => Math.max(Math.abs(atLow - value), Math.abs(atHigh - value)) > 1e-6 * value)
    .sort((a, b) => swing(b) - swing(a));
  const ends = entries.flatMap(({ atLow, atHigh }) => [atLow, atHigh]);
  const below = entries.map(({ atLow, atHigh }) => Math.min(0, Math.min(atLow, atHigh) - value));
  const above = entries.map(({ atLow, atHigh }) => Math.max(0, Math.max(atLow, atHigh) - value));
  return {
    entries,
    oneAtATime: [Math.min(value, ...ends), Math.max(value, ...ends)],
    combined: [value - Math.hypot(...below), value + Math.hypot(...above)],
  };
}

const swing = ({ atLow, atHigh }: SensitivityEntry): number => Math.abs(atHigh - atLow);

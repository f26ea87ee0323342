/**
 * The fit: measures the single-layer cells of a plan, solves the linear system, and measures again to confirm, since the
 * number of timer ticks in a cell depends on its time. The measurement is injected: it runs the guest.
 * It never sees a nested column; fit-plan.ts refuses them.
 */

import type { GuestSlopes } from './decomposition.ts';
import type { FittedFile, FitResidual } from './fitted-file.ts';
import { cellKey, cellsOf, type CellId, type FitPlan, restrictPlan, targetValue } from './fit-plan.ts';
import { parameterNames, parameters, type ParameterName, type ParameterValues } from './parameters.ts';
import { inRowUnit } from './published.ts';
import { type LinearCell, solveParameters } from './solve.ts';

/** What one run of a cell says, per iteration of its benchmark. */
export interface Measurement {
  readonly cycles: number;
  /**
   * Change of `cycles` per unit of a parameter, where the run can tell (counts of rows with a factor, of stand-in
   * instructions). What is left out is found by a second run.
   */
  readonly slopes: Partial<Record<ParameterName, number>>;
}

export type Measure = (cell: CellId, values: ParameterValues) => Measurement | Promise<Measurement>;

export interface FitOptions {
  readonly plan: FitPlan;
  /** Names of the columns that the fit may look at. */
  readonly columns: readonly string[];
  readonly start: ParameterValues;
  readonly measure: Measure;
  /** Told about each step, for progress. */
  readonly report?: (line: string) => void;
}

/** Rounds of measuring and solving at most; two are the rule. */
const mostRounds = 5;
/** A fitted cell that is this close to its target is met: half a step of the guest's stand-in is .4 % of a null call. */
const tolerance = 0.005;
/** Beyond this a fitted cell is reported. */
const acceptedResidual = 0.02;

/** @throws {ConfigError} for nested or unknown columns. */
export async function runFit(options: FitOptions): Promise<FittedFile> {
  const wanted = restrictPlan(options.plan, options.columns);
  const cells = cellsOf(wanted);
  let values = options.start;
  let measured = await measureAll(options, wanted, cells, values);
  const { plan, warnings } = withoutIdleTargets(wanted, measured);
  for (let round = 1; round <= mostRounds; round++) {
    values = wholeGuestArguments(solveParameters(plan, measured, values));
    options.report?.(`round ${round}: ${parameterNames.map((name) => `${name} ${Number(values[name].toPrecision(4))}`).join(', ')}`);
    measured = await measureAll(options, plan, cells, values);
    if (worstExactResidual(plan, measured) < tolerance) break;
  }
  const residuals = residualsOf(plan, measured);
  return {
    plan: plan.name,
    columns: [...new Set(cells.map(({ stack }) => stack))],
    values,
    fittedNames: plan.solves.map(({ parameter }) => parameter),
    guestSlopes: guestSlopesOf(cells, measured),
    residuals,
    warnings: [...warnings, ...warningsOf(plan, values, residuals)],
  };
}

/** Takes out targets that their parameter does not move: such a cell tells nothing of it, which is a finding to print. */
function withoutIdleTargets(plan: FitPlan, measured: ReadonlyMap<string, LinearCell>): { plan: FitPlan; warnings: string[] } {
  const warnings: string[] = [];
  const solves = plan.solves.map(({ parameter, targets }) => ({
    parameter,
    targets: targets.filter((target) => {
      const moves = measured.get(cellKey(target))!.slopes[parameter] > 0;
      if (!moves) warnings.push(`${parameter} has no effect on ${cellKey(target)}: nothing of what it scales was counted there`);
      return moves;
    }),
  }));
  return { plan: { ...plan, solves: solves.filter(({ targets }) => targets.length > 0) }, warnings };
}

async function measureAll(
  options: FitOptions,
  plan: FitPlan,
  cells: readonly CellId[],
  values: ParameterValues,
): Promise<Map<string, LinearCell>> {
  const measured = new Map<string, LinearCell>();
  for (const cell of cells) {
    const at = await options.measure(cell, values);
    const slopes: Record<ParameterName, number> = { k_sys: 0, k_fork: 0, k_entry: 0, k_mmu: 0, k_ept: 0 };
    for (const { parameter } of plan.solves) {
      slopes[parameter] = at.slopes[parameter] ?? (await secant(options.measure, cell, values, parameter, at.cycles));
    }
    measured.set(cellKey(cell), { cycles: at.cycles, at: values, slopes });
  }
  return measured;
}

async function secant(measure: Measure, cell: CellId, values: ParameterValues, parameter: ParameterName, cycles: number): Promise<number> {
  // Far enough that a guest which rounds its argument still shows the slope.
  const step = Math.max(values[parameter] * 0.2, parameters.find(({ name }) => name === parameter)!.prior * 0.3);
  const moved = wholeGuestArguments({ ...values, [parameter]: values[parameter] + step });
  const second = await measure(cell, moved);
  return (second.cycles - cycles) / (moved[parameter] - values[parameter]);
}

/** Guest parameters are instruction counts on a command line, in the steps that the guest can do. */
export function wholeGuestArguments(values: ParameterValues): ParameterValues {
  const whole: Record<ParameterName, number> = { ...values };
  for (const { name, quantum } of parameters) if (quantum !== undefined) whole[name] = Math.round(values[name] / quantum) * quantum;
  return whole;
}

/** The stand-in's instructions are the same in every stack, so the first column that has a row speaks for all. */
function guestSlopesOf(cells: readonly CellId[], measured: ReadonlyMap<string, LinearCell>): GuestSlopes {
  const slopes: { -readonly [K in keyof GuestSlopes]: GuestSlopes[K] } = {};
  for (const cell of cells) {
    const { k_sys, k_fork } = measured.get(cellKey(cell))!.slopes;
    slopes[cell.row] ??= { k_sys, k_fork };
  }
  return slopes;
}

function residualsOf(plan: FitPlan, measured: ReadonlyMap<string, LinearCell>): FitResidual[] {
  return plan.solves.flatMap(({ parameter, targets }) =>
    targets.map((target) => {
      const published = targetValue(target);
      const value = inRowUnit(target.row, measured.get(cellKey(target))!.cycles);
      return {
        parameter,
        row: target.row,
        stack: target.stack,
        table: target.table.id,
        published,
        measured: value,
        ratio: value / published,
      };
    }),
  );
}

function worstExactResidual(plan: FitPlan, measured: ReadonlyMap<string, LinearCell>): number {
  const exact = new Set(plan.solves.filter(({ targets }) => targets.length === 1).map(({ parameter }) => parameter));
  return Math.max(0, ...residualsOf(plan, measured).flatMap((r) => (exact.has(r.parameter) ? [Math.abs(r.ratio - 1)] : [])));
}

function warningsOf(plan: FitPlan, values: ParameterValues, residuals: readonly FitResidual[]): string[] {
  const warnings: string[] = [];
  for (const { name, range, bounds, prior, rangeSource } of parameters) {
    const value = values[name];
    const solved = plan.solves.find(({ parameter }) => parameter === name);
    if (solved === undefined) {
      warnings.push(
        `${name} is not fitted: no column that may be used tells it; ${value} is ${value === prior ? 'its prior value' : 'kept'}`,
      );
    } else if (value === bounds[0] || value === bounds[1]) {
      warnings.push(`${name} stopped at its bound ${value}: its cells cannot be met`);
    } else if (value < range[0] || value > range[1]) {
      warnings.push(`${name} = ${Number(value.toPrecision(4))} is outside its expected range ${range[0]} to ${range[1]} (${rangeSource})`);
    }
    if (solved?.targets.length !== 1) continue;
    const residual = residuals.find(({ parameter }) => parameter === name)!;
    if (Math.abs(residual.ratio - 1) > acceptedResidual) {
      warnings.push(`${cellKey(residual)} was fitted and is off by ${((residual.ratio - 1) * 100).toFixed(1)} %`);
    }
  }
  return warnings;
}

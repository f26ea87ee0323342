/**
 * The arithmetic of the fit: cells whose time is linear in the parameters, and targets for them, to parameter values.
 * Pure. One target is met exactly; several are met in the sense of least squares of log(time / target). Parameters are
 * solved in the order of the plan, again and again until none moves: with the plan's triangular order that is one round,
 * and a little coupling (a timer tick) takes two or three.
 */

import { ConfigError } from '../base/errors.ts';
import { cellKey, type FitPlan, targetValue } from './fit-plan.ts';
import { parameterNames, parameters, type ParameterName, type ParameterValues } from './parameters.ts';
import { cyclesOf } from './published.ts';

/** A cell's time as it was measured, and how it changes: cycles per unit of each parameter, there. */
export interface LinearCell {
  readonly cycles: number;
  /** The parameters of the measurement. */
  readonly at: ParameterValues;
  readonly slopes: ParameterValues;
}

/** Cycles of a cell at other parameter values. */
export function predictCycles(cell: LinearCell, values: ParameterValues): number {
  return parameterNames.reduce((sum, name) => sum + cell.slopes[name] * (values[name] - cell.at[name]), cell.cycles);
}

const sweeps = 200;
const smallestStep = 1e-12;

/**
 * Values of the parameters that the plan solves, within their bounds; others stay as in `start`.
 * @param cells by {@link cellKey}; every target of the plan must be there.
 * @throws {ConfigError} when a parameter has no effect on its cells, so that nothing can be solved.
 */
export function solveParameters(plan: FitPlan, cells: ReadonlyMap<string, LinearCell>, start: ParameterValues): ParameterValues {
  const values: Record<ParameterName, number> = { ...start };
  for (let sweep = 0; sweep < sweeps; sweep++) {
    let moved = 0;
    for (const { parameter, targets } of plan.solves) {
      const lines = targets.map((target) => {
        const cell = cells.get(cellKey(target));
        if (cell === undefined) throw new ConfigError(`fit: ${cellKey(target)} was not measured`);
        const slope = cell.slopes[parameter];
        if (!(slope > 0)) throw new ConfigError(`fit: ${parameter} has no effect on ${cellKey(target)}`);
        return {
          constant: predictCycles(cell, values) - slope * values[parameter],
          slope,
          target: cyclesOf(target.row, targetValue(target)),
        };
      });
      const bounds = parameters.find(({ name }) => name === parameter)!.bounds;
      const next = Math.min(bounds[1], Math.max(bounds[0], solveLines(lines, bounds)));
      moved = Math.max(moved, Math.abs(next - values[parameter]) / Math.max(1e-9, Math.abs(next)));
      values[parameter] = next;
    }
    if (moved < smallestStep) break;
  }
  return values;
}

interface Line {
  readonly constant: number;
  readonly slope: number;
  readonly target: number;
}

function solveLines(lines: readonly Line[], [low, high]: readonly [number, number]): number {
  const [only] = lines;
  if (lines.length === 1) return (only!.target - only!.constant) / only!.slope;
  // The derivative of the sum of squared logarithms, halved, in the parameter.
  const derivative = (k: number): number =>
    lines.reduce((sum, { constant, slope, target }) => {
      const time = Math.max(constant + slope * k, Number.MIN_VALUE);
      return sum + (Math.log(time / target) * slope) / time;
    }, 0);
  // The minimum lies between the points where single targets are met, so the derivative changes its sign there.
  const exact = lines.map(({ constant, slope, target }) => (target - constant) / slope);
  let a = Math.max(low, Math.min(...exact));
  let b = Math.min(high, Math.max(...exact));
  if (a >= b) return a;
  for (let i = 0; i < 200 && b - a > 1e-14 * Math.abs(b); i++) {
    const middle = (a + b) / 2;
    if (derivative(middle) > 0) b = middle;
    else a = middle;
  }
  return (a + b) / 2;
}

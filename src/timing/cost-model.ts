/**
 * The cost table: every row of instruction-costs.ts, hardware-costs.ts and hypervisor-costs.ts under its name, with the
 * fitted factors applied, in whole twelfths of a cycle. Nothing in it depends on a column, a cell or a nesting depth.
 * Rows have a dense number, the index of the ledger's counters; the order of the files is the order of the numbers.
 */

import { assert, ConfigError } from '../base/errors.ts';
import { type CostRow, twelfthsPerCycle } from './cost-row.ts';
import { hardwareCosts } from './hardware-costs.ts';
import { hypervisorCosts } from './hypervisor-costs.ts';
import { instructionCosts } from './instruction-costs.ts';
import type { CostModel } from './model.ts';
import type { ParameterValues } from './parameters.ts';

export const costRows: readonly CostRow[] = [...instructionCosts, ...hardwareCosts, ...hypervisorCosts];

/** Other values for rows by name, in the row's own unit (cycles or instructions): ablations and sensitivity. */
export type CostOverrides = Readonly<Record<string, number>>;

/** Cost of a row in twelfths, rounded to a whole number. */
export function rowTwelfths(row: CostRow, parameters: ParameterValues, value = row.value): number {
  const factor = row.factor === undefined ? 1 : parameters[row.factor];
  return Math.round(value * factor * twelfthsPerCycle);
}

export class CostTable implements CostModel {
  readonly rows = costRows;
  readonly parameters: ParameterValues;
  /** Twelfths of a cycle by row number. */
  readonly twelfths: Float64Array;
  readonly #numbers: ReadonlyMap<string, number>;

  /** @throws {ConfigError} when an override names no row, or no cost. */
  constructor(parameters: ParameterValues, overrides: CostOverrides = {}) {
    this.parameters = parameters;
    this.#numbers = new Map(costRows.map((row, number) => [row.name, number]));
    assert(this.#numbers.size === costRows.length, 'two cost rows have one name');
    for (const [name, value] of Object.entries(overrides)) {
      if (!this.#numbers.has(name)) throw new ConfigError(`no cost row is named ${name}`);
      if (!(value >= 0)) throw new ConfigError(`cost row ${name}: ${value} is not a cost`);
    }
    this.twelfths = Float64Array.from(costRows, (row) => rowTwelfths(row, parameters, overrides[row.name] ?? row.value));
  }

  cost(event: string): number {
    return this.twelfths[this.number(event)]!;
  }

  /** Row number of a name; an unknown name is our own bug. */
  number(event: string): number {
    const number = this.#numbers.get(event);
    assert(number !== undefined, () => `no cost row is named ${event}`);
    return number;
  }
}

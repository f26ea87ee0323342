/**
 * A measured cell as a linear function of costs and parameters: its parts are counts, so that other costs give another
 * time without running the guest again. What this cannot see is that time itself changes counts (timer ticks); the fit
 * confirms by a run, the sensitivities are small enough.
 */

import { costRows, type CostOverrides, rowTwelfths } from './cost-model.ts';
import { type CostRow, twelfthsPerCycle } from './cost-row.ts';
import type { Part } from './ledger.ts';
import type { ParameterName, ParameterValues } from './parameters.ts';
import type { Row, Stack } from './published.ts';
import type { LinearCell } from './solve.ts';

/** One cell as it was run. */
export interface MeasuredCell {
  readonly row: Row;
  readonly stack: Stack;
  /** Operations in `twelfths`. */
  readonly operations: number;
  /** Time of all operations, in twelfths of a cycle. */
  readonly twelfths: number;
  /** Sum to `twelfths` exactly. */
  readonly parts: readonly Part[];
}

/** Cycles per instruction of stand-in work that a guest parameter adds to one operation of a row. */
export type GuestSlopes = Readonly<Partial<Record<Row, Readonly<Record<'k_sys' | 'k_fork', number>>>>>;

export const cyclesPerOperation = (cell: Pick<MeasuredCell, 'twelfths' | 'operations'>): number =>
  cell.twelfths / cell.operations / twelfthsPerCycle;

const rowsByName: ReadonlyMap<string, CostRow> = new Map(costRows.map((row) => [row.name, row]));

/** Events of each cost row in all layers of a cell, per operation. Instructions and misses are no rows. */
export function countsByRow(cell: Pick<MeasuredCell, 'parts' | 'operations'>): Map<CostRow, number> {
  const counts = new Map<CostRow, number>();
  for (const part of cell.parts) {
    const row = rowsByName.get(part.name);
    if (row !== undefined) counts.set(row, (counts.get(row) ?? 0) + part.count / cell.operations);
  }
  return counts;
}

/** Change of a cell's cycles per unit of the cost model's parameters, from its counts: for the fit. */
export function factorSlopes(
  cell: Pick<MeasuredCell, 'parts' | 'operations'>,
  overrides: CostOverrides = {},
): Partial<Record<ParameterName, number>> {
  const slopes = { k_entry: 0, k_mmu: 0, k_ept: 0 };
  for (const [row, count] of countsByRow(cell)) {
    if (row.factor !== undefined) slopes[row.factor] += count * (overrides[row.name] ?? row.value);
  }
  return slopes;
}

export interface CostChange {
  /** Other values of rows. */
  readonly rows: CostOverrides;
  /** Factor on everything that instructions cost; 1 = as measured. */
  readonly instructions: number;
}

/** The cell under changed costs, linear in all five parameters around those of the run. */
export function linearCell(cell: MeasuredCell, at: ParameterValues, guestSlopes: GuestSlopes, change: CostChange): LinearCell {
  let cycles = cyclesPerOperation(cell);
  for (const [row, count] of countsByRow(cell)) {
    const value = change.rows[row.name];
    if (value !== undefined) cycles += (count * (rowTwelfths(row, at, value) - rowTwelfths(row, at))) / twelfthsPerCycle;
  }
  const instructions = cell.parts.filter(({ kind }) => kind === 'instructions').reduce((sum, part) => sum + part.twelfths, 0);
  cycles += ((change.instructions - 1) * instructions) / cell.operations / twelfthsPerCycle;
  const guest = guestSlopes[cell.row] ?? { k_sys: 0, k_fork: 0 };
  const factors = factorSlopes(cell, change.rows);
  return {
    cycles,
    at,
    slopes: {
      k_sys: guest.k_sys * change.instructions,
      k_fork: guest.k_fork * change.instructions,
      k_entry: factors.k_entry ?? 0,
      k_mmu: factors.k_mmu ?? 0,
      k_ept: factors.k_ept ?? 0,
    },
  };
}

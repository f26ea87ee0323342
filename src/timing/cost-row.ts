/**
 * One row of the cost table, and short ways to write one. A cost is in cycles, kept in whole twelfths of a cycle; a row
 * whose cost is fitted is an instruction count times a factor of parameters.ts.
 *
 * Class: `sourced` has a figure in a document for this core or a neighbour; `assumed` has none, its value is by analogy
 * or general knowledge, and its range says how far it may be off; `fitted factor` is counted instructions times k.
 */

import type { ParameterName } from './parameters.ts';

export const twelfthsPerCycle = 12;

export type CostClass = 'sourced' | 'assumed' | 'fitted factor';

/** What kind of part a row makes in a breakdown. */
export type CostGroup = 'instruction' | 'walk' | 'hardware' | 'hypervisor' | 'exit' | 'time';

export interface CostRow {
  readonly name: string;
  readonly group: CostGroup;
  readonly class: CostClass;
  /** Cycles, or instructions where `factor` is there. */
  readonly value: number;
  /** Lowest and highest plausible `value`, in the same unit; the value is inside. */
  readonly range: readonly [number, number];
  readonly factor: Extract<ParameterName, 'k_entry' | 'k_mmu' | 'k_ept'> | undefined;
  readonly source: string;
}

type Range = readonly [number, number];

export function sourced(group: CostGroup, name: string, value: number, range: Range, source: string): CostRow {
  return { name, group, class: 'sourced', value, range, factor: undefined, source };
}

export function assumed(group: CostGroup, name: string, value: number, range: Range, source: string): CostRow {
  return { name, group, class: 'assumed', value, range, factor: undefined, source };
}

/** Instructions counted in Xen; the count itself is exact for the version it was counted in. */
export function counted(factor: 'k_entry' | 'k_mmu', name: string, instructions: number, source: string, range?: Range): CostRow {
  return {
    name,
    group: 'hypervisor',
    class: 'fitted factor',
    value: instructions,
    range: range ?? [instructions, instructions],
    factor,
    source,
  };
}

/** A hypervisor path that nobody has counted: an instruction number by analogy, charged like the counted ones. */
export function estimated(factor: 'k_entry' | 'k_mmu', name: string, instructions: number, range: Range, source: string): CostRow {
  return { name, group: 'hypervisor', class: 'assumed', value: instructions, range, factor, source };
}

/**
 * Which published cells each fitted parameter is solved from. A plan is data; the columns that it may use are an argument,
 * and nested columns are refused here, before anything is measured. Alternative plans are the checks with held-out
 * columns and rows (timing model: what earns trust).
 * Sources: timing model, "Fitting: five numbers from six of the twelve single-layer cells".
 */

import { ConfigError } from '../base/errors.ts';
import type { ParameterName } from './parameters.ts';
import {
  eurosys2012,
  lecture2012,
  nestedStacks,
  parseStack,
  type PublishedTable,
  publishedValue,
  type Row,
  type Stack,
} from './published.ts';

export interface CellId {
  readonly row: Row;
  readonly stack: Stack;
}

/** A cell that a parameter is solved from, and the cycles that it shall take. */
export interface FitTarget extends CellId {
  readonly table: PublishedTable;
}

export interface FitPlan {
  readonly name: string;
  readonly description: string;
  /** In the order of solving. Several targets of one parameter: least squares of the logarithms. */
  readonly solves: readonly { readonly parameter: ParameterName; readonly targets: readonly FitTarget[] }[];
}

const from = (table: PublishedTable, row: Row, ...stacks: Stack[]): FitTarget[] => stacks.map((stack) => ({ table, row, stack }));

function planOf(name: string, description: string, table: PublishedTable, mmu: FitTarget[], ept: Stack[]): FitPlan {
  return {
    name,
    description,
    solves: [
      { parameter: 'k_sys', targets: from(table, 'null call', 'baseline') },
      { parameter: 'k_fork', targets: from(table, 'fork proc', 'baseline') },
      { parameter: 'k_entry', targets: from(table, 'null call', 'pv') },
      { parameter: 'k_mmu', targets: mmu },
      { parameter: 'k_ept', targets: from(table, 'fork proc', ...ept) },
    ],
  };
}

const lecturePv = from(lecture2012, 'fork proc', 'pv');

export const fitPlans: readonly FitPlan[] = [
  planOf('lecture', "six single-layer cells of the lecture's table: the plan of the table", lecture2012, lecturePv, ['kvm', 'hvm']),
  planOf('ept-from-kvm', 'k_ept from KVM alone; HVM is held out', lecture2012, lecturePv, ['kvm']),
  planOf('ept-from-hvm', 'k_ept from HVM alone; KVM is held out', lecture2012, lecturePv, ['hvm']),
  planOf(
    'mmu-from-page-fault',
    'k_mmu from the page-fault row of EuroSys instead of fork',
    lecture2012,
    from(eurosys2012, 'page fault', 'pv'),
    ['kvm', 'hvm'],
  ),
  planOf('eurosys', 'the single-layer columns of EuroSys', eurosys2012, from(eurosys2012, 'fork proc', 'pv'), ['hvm']),
];

/** @throws {ConfigError} when no plan has the name. */
export function findPlan(name: string): FitPlan {
  const plan = fitPlans.find((p) => p.name === name);
  if (plan === undefined) throw new ConfigError(`no fit plan is named ${name}; there are ${fitPlans.map((p) => p.name).join(', ')}`);
  return plan;
}

/** Columns by name; the check that no fit sees a nested cell. @throws {ConfigError} for a nested or unknown one. */
export function parseFitColumns(names: readonly string[]): Stack[] {
  const columns = names.map(parseStack);
  const nested = columns.find((stack) => nestedStacks.includes(stack));
  if (nested !== undefined) throw new ConfigError(`the fit may not look at ${nested}: nested columns are predicted`);
  return columns;
}

/** The part of a plan that the columns allow; a parameter without a target left is not solved. */
export function restrictPlan(plan: FitPlan, columns: readonly string[]): FitPlan {
  const allowed = parseFitColumns(columns);
  return {
    ...plan,
    solves: plan.solves
      .map(({ parameter, targets }) => ({ parameter, targets: targets.filter(({ stack }) => allowed.includes(stack)) }))
      .filter(({ targets }) => targets.length > 0),
  };
}

/** The published value of a target, in the unit of its row. */
export function targetValue(target: FitTarget): number {
  const value = publishedValue(target.table, target.row, target.stack);
  if (value === undefined) throw new ConfigError(`${target.table.id} has no ${target.row} on ${target.stack}`);
  return value;
}

/** Every cell that a plan reads, once. */
export function cellsOf(plan: FitPlan): CellId[] {
  const cells = new Map<string, CellId>();
  for (const { targets } of plan.solves) for (const { row, stack } of targets) cells.set(cellKey({ row, stack }), { row, stack });
  return [...cells.values()];
}

export const cellKey = ({ row, stack }: CellId): string => `${row} on ${stack}`;

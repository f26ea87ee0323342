/**
 * What was promised of the table, as checks on its cells: bounds by row, the nested null call near PV, increments within
 * a factor of two, and the order of the columns. A check whose cells were not run has no verdict.
 * Source: timing model, "Expected accuracy and acceptance".
 */

import { lecture2012, nestedStacks, publishedValue, type Stack, stacks, type TableRow, tableRows } from '../timing/published.ts';

export interface Verdict {
  readonly check: string;
  readonly bound: string;
  /** undefined: the cells were not run. */
  readonly holds: boolean | undefined;
  readonly detail: string;
}

/** Value of a cell in the unit of its row; undefined when it was not run. */
export type CellValue = (row: TableRow, stack: Stack) => number | undefined;

const forkOrder: readonly Stack[] = ['baseline', 'hvm', 'kvm', 'pv', 'pv/hvm', 'pv/kvm'];

export function acceptance(value: CellValue, fittedCells: readonly string[]): Verdict[] {
  return [
    ...tableRows.flatMap((row) => stacks.map((stack) => cellVerdict(value, row, stack, fittedCells))),
    ...nestedStacks.map((stack) => nestedNullCall(value, stack)),
    ...nestedStacks.map((stack) => forkIncrement(value, stack)),
    order(value),
  ];
}

/** How far a cell may be from the published one, as a fraction. */
export function boundOf(row: TableRow, stack: Stack, fitted: boolean): number {
  if (row === 'double div') return 0.07;
  // KVM and HVM share one parameter, so neither is met exactly.
  if (fitted && stack !== 'kvm' && stack !== 'hvm') return 0.02;
  return row === 'null call' ? 0.1 : 0.15;
}

function cellVerdict(value: CellValue, row: TableRow, stack: Stack, fittedCells: readonly string[]): Verdict {
  const bound = boundOf(row, stack, fittedCells.includes(`${row} on ${stack}`));
  const measured = value(row, stack);
  const check = `${row} on ${stack}`;
  const text = `within ${Math.round(bound * 100)} %`;
  if (measured === undefined) return unknown(check, text);
  const error = measured / publishedValue(lecture2012, row, stack)! - 1;
  return { check, bound: text, holds: Math.abs(error) <= bound, detail: percent(error) };
}

function nestedNullCall(value: CellValue, stack: Stack): Verdict {
  const [pv, nested] = [value('null call', 'pv'), value('null call', stack)];
  const check = `null call on ${stack} against PV`;
  const bound = 'within .03 us';
  if (pv === undefined || nested === undefined) return unknown(check, bound);
  const difference = nested - pv;
  return {
    check,
    bound,
    holds: Math.abs(difference) <= 0.03,
    detail: `${difference < 0 ? '-' : '+'}${Math.abs(difference).toFixed(3)} us`,
  };
}

function forkIncrement(value: CellValue, stack: Stack): Verdict {
  const [pv, nested] = [value('fork proc', 'pv'), value('fork proc', stack)];
  const check = `fork proc: ${stack} over PV`;
  const bound = 'within a factor of 2';
  if (pv === undefined || nested === undefined) return unknown(check, bound);
  const published = publishedValue(lecture2012, 'fork proc', stack)! - publishedValue(lecture2012, 'fork proc', 'pv')!;
  const ratio = (nested - pv) / published;
  return {
    check,
    bound,
    holds: ratio >= 0.5 && ratio <= 2,
    detail: `+${(nested - pv).toFixed(1)} us, published +${published} us: ${ratio.toFixed(2)}`,
  };
}

function order(value: CellValue): Verdict {
  const check = 'order of fork proc';
  const bound = forkOrder.join(' < ');
  const values = forkOrder.map((stack) => value('fork proc', stack));
  if (values.includes(undefined)) return unknown(check, bound);
  const known = values as number[];
  const broken = forkOrder.findIndex((_, i) => i > 0 && known[i]! <= known[i - 1]!);
  return {
    check,
    bound,
    holds: broken < 0,
    detail: broken < 0 ? 'as published' : `${forkOrder[broken]} is not above ${forkOrder[broken - 1]}`,
  };
}

const unknown = (check: string, bound: string): Verdict => ({ check, bound, holds: undefined, detail: 'not run' });
const percent = (error: number): string => `${error < 0 ? '-' : '+'}${Math.abs(error * 100).toFixed(1)} %`;

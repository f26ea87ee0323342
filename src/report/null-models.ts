/**
 * Three formulas that predict a nested cell from single-layer cells without any emulator. They stand beside every
 * prediction, since a tolerance that they pass proves nothing.
 * Source: timing model, "Report".
 */

import { lecture2012, nestedStacks, publishedValue, type PublishedTable, type Stack } from '../timing/published.ts';

export const nullModelNames = ['nested = PV', 'PV + (full - native)', 'PV x full / native'] as const;

export interface NullPrediction {
  readonly name: (typeof nullModelNames)[number];
  readonly value: number;
  /** value / published. */
  readonly ratio: number;
}

/** The full domain's column below a nested one. */
export function fullStackBelow(stack: Stack): Stack {
  return stack === 'pv/kvm' ? 'kvm' : 'hvm';
}

/** From the published single-layer cells; undefined where a cell is not published, or the stack is not nested. */
export function nullPredictions(row: string, stack: Stack, table: PublishedTable = lecture2012): NullPrediction[] | undefined {
  if (!nestedStacks.includes(stack)) return undefined;
  const [native, pv, full, nested] = [
    publishedValue(table, row, 'baseline'),
    publishedValue(table, row, 'pv'),
    publishedValue(table, row, fullStackBelow(stack)),
    publishedValue(table, row, stack),
  ];
  if (native === undefined || pv === undefined || full === undefined || nested === undefined) return undefined;
  const values = [pv, pv + full - native, (pv * full) / native];
  return nullModelNames.map((name, i) => ({ name, value: values[i]!, ratio: values[i]! / nested }));
}

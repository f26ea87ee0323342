/**
 * What was published, as data: the lecture's table, and Table 1 of the Xen-Blanket paper. Nothing computes with the nested
 * columns but the report, which prints them; fit-plan.ts refuses them.
 *
 * Sources: Weatherspoon, "Unshackle the Cloud", Cornell CS 5412 guest lecture, 2012 (the table to reproduce);
 * Williams, Jamjoom, Weatherspoon, "The Xen-Blanket", EuroSys 2012, Table 1 (lmbench).
 */

import { ConfigError } from '../base/errors.ts';
import { clockGhz } from './parameters.ts';

export const stacks = ['baseline', 'pv', 'kvm', 'pv/kvm', 'hvm', 'pv/hvm'] as const;
export type Stack = (typeof stacks)[number];
/** Two hypervisors: predicted, never fitted. */
export const nestedStacks: readonly Stack[] = ['pv/kvm', 'pv/hvm'];

export const tableRows = ['double div', 'null call', 'fork proc'] as const;
export type TableRow = (typeof tableRows)[number];
/** Rows that run too, and take no part in any fit of the table. */
export const heldOutRows = ['page fault', '2p/0K'] as const;
export type Row = TableRow | (typeof heldOutRows)[number];

export type Unit = 'ns' | 'us';
export const unitOf = (row: string): Unit => (row === 'double div' ? 'ns' : 'us');

export interface PublishedColumn {
  readonly id: string;
  /** The stack here that it is compared with. */
  readonly stack: Stack;
  /** Row name to value in {@link unitOf} units. */
  readonly values: Readonly<Record<string, number>>;
}

export interface PublishedTable {
  readonly id: 'lecture2012' | 'eurosys2012';
  readonly source: string;
  readonly columns: readonly PublishedColumn[];
}

const column = (id: string, stack: Stack, values: Readonly<Record<string, number>>): PublishedColumn => ({ id, stack, values });
const lectureColumn = (id: string, stack: Stack, doubleDiv: number, nullCall: number, fork: number): PublishedColumn =>
  column(`lecture2012.${id}`, stack, { 'double div': doubleDiv, 'null call': nullCall, 'fork proc': fork });

export const lecture2012: PublishedTable = {
  id: 'lecture2012',
  source: 'Weatherspoon, "Unshackle the Cloud", Cornell CS 5412 guest lecture, 2012, Nested Microbenchmark',
  columns: [
    lectureColumn('baseline', 'baseline', 7.19, 0.19, 65),
    lectureColumn('pv', 'pv', 7.55, 0.37, 250),
    lectureColumn('kvm', 'kvm', 7.41, 0.2, 87),
    lectureColumn('pv_on_kvm', 'pv/kvm', 7.35, 0.38, 337),
    lectureColumn('hvm', 'hvm', 7.61, 0.21, 79),
    lectureColumn('pv_on_hvm', 'pv/hvm', 7.57, 0.37, 280),
  ],
};

/** Row, then native, HVM, PV, Xen-Blanket, in microseconds. */
const eurosysRows: readonly (readonly [string, number, number, number, number])[] = [
  ['null call', 0.19, 0.21, 0.36, 0.36],
  ['null I/O', 0.23, 0.26, 0.41, 0.41],
  ['stat', 0.85, 1.01, 1.19, 1.18],
  ['open/close', 1.33, 1.43, 1.84, 1.86],
  ['slct TCP', 2.43, 2.79, 2.8, 2.86],
  ['sig inst', 0.25, 0.39, 0.54, 0.53],
  ['sig hndl', 0.9, 0.79, 0.94, 0.94],
  ['fork proc', 67, 86, 220, 258],
  ['exec proc', 217, 260, 517, 633],
  ['sh proc', 831, 1046, 1507, 1749],
  ['2p/0K', 0.4, 0.55, 2.85, 3.07],
  ['2p/16K', 0.44, 0.57, 3.03, 3.46],
  ['2p/64K', 0.45, 0.66, 3.18, 3.46],
  ['8p/16K', 0.74, 0.85, 3.6, 4.0],
  ['8p/64K', 1.37, 1.18, 4.14, 4.53],
  ['16p/16K', 1.05, 1.1, 3.8, 4.14],
  ['16p/64K', 1.4, 1.22, 4.08, 4.47],
  ['0K file create', 4.61, 4.56, 4.99, 4.97],
  ['0K file delete', 3.03, 3.18, 3.19, 3.14],
  ['10K file create', 14.4, 18.1, 19.9, 28.8],
  ['10K file delete', 6.17, 6.02, 6.01, 6.08],
  ['mmap latency', 425, 820, 1692, 1729],
  ['prot fault', 0.3, 0.28, 0.38, 0.4],
  ['page fault', 0.56, 0.99, 2.0, 2.1],
];

const eurosysColumn = (id: string, stack: Stack, index: 1 | 2 | 3 | 4): PublishedColumn =>
  column(`eurosys2012.${id}`, stack, Object.fromEntries(eurosysRows.map((row) => [row[0], row[index]])));

export const eurosys2012: PublishedTable = {
  id: 'eurosys2012',
  source: 'Williams, Jamjoom, Weatherspoon, "The Xen-Blanket", EuroSys 2012, Table 1',
  columns: [
    eurosysColumn('native', 'baseline', 1),
    eurosysColumn('hvm', 'hvm', 2),
    eurosysColumn('pv', 'pv', 3),
    eurosysColumn('blanket', 'pv/hvm', 4),
  ],
};

export const publishedTables: readonly PublishedTable[] = [lecture2012, eurosys2012];

/** The published value of a cell, or undefined where the table has none. */
export function publishedValue(table: PublishedTable, row: string, stack: Stack): number | undefined {
  return table.columns.find((c) => c.stack === stack)?.values[row];
}

/** A value in its row's unit as cycles of the one clock. */
export function cyclesOf(row: string, value: number): number {
  return value * (unitOf(row) === 'ns' ? 1 : 1000) * clockGhz;
}

/** Cycles as a value in the row's unit. */
export function inRowUnit(row: string, cycles: number): number {
  return cycles / clockGhz / (unitOf(row) === 'ns' ? 1 : 1000);
}

/** @throws {ConfigError} when the text names no stack. */
export function parseStack(text: string): Stack {
  const found = stacks.find((stack) => stack === text);
  if (found === undefined) throw new ConfigError(`no column is named ${text}; there are ${stacks.join(', ')}`);
  return found;
}

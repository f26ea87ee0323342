/**
 * What happened to an archive, month by month, and the text file that says so:
 *
 *     # anything after a number sign is a comment
 *     initial_gb,0
 *     initial_objects,0
 *     month,in_gb,out_gb,puts,gets,deleted_gb,deletes
 *     2008-01,1200,2100,31000,88000,0,0
 *
 * The two `initial` lines may be left out (0), and so may the last two columns (0).
 */

import { ConfigError } from '../../base/errors.ts';

export interface TraceMonth {
  month: string;
  inGB: number;
  outGB: number;
  puts: number;
  gets: number;
  deletedGB: number;
  deletes: number;
}

export interface Trace {
  /** What the numbers are and what is assumed, one sentence per line. */
  notes: readonly string[];
  initialGB: number;
  initialObjects: number;
  months: readonly TraceMonth[];
}

const columns = ['month', 'in_gb', 'out_gb', 'puts', 'gets', 'deleted_gb', 'deletes'];

/** @throws {ConfigError} naming the line. */
export function parseTrace(text: string): Trace {
  const initial = { initial_gb: 0, initial_objects: 0 };
  const months: TraceMonth[] = [];
  let header: string[] | null = null;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*/, '').trim();
    if (line === '') continue;
    const fail = (problem: string): never => {
      throw new ConfigError(`trace line ${index + 1}: ${problem}`);
    };
    const cells = line.split(',').map((cell) => cell.trim());
    const key = cells[0]!;
    if (key === 'initial_gb' || key === 'initial_objects') initial[key] = amount(cells[1], key, fail);
    else if (key === 'month') header = readHeader(cells, fail);
    else if (!header) fail('a line of column names (month,in_gb,...) must come before the months');
    else months.push(readMonth(header, cells, fail));
  }
  if (months.length === 0) throw new ConfigError('the trace has no months');
  const trace = { notes: [], initialGB: initial.initial_gb, initialObjects: initial.initial_objects, months };
  checkDeletes(trace);
  return trace;
}

function readHeader(cells: string[], fail: (problem: string) => never): string[] {
  for (const cell of cells) if (!columns.includes(cell)) fail(`unknown column ${cell}; known are ${columns.join(', ')}`);
  for (const needed of columns.slice(0, 5)) if (!cells.includes(needed)) fail(`the column ${needed} is missing`);
  return cells;
}

function readMonth(header: string[], cells: string[], fail: (problem: string) => never): TraceMonth {
  if (cells.length !== header.length) fail(`${header.length} values expected, found ${cells.length}`);
  const value = (name: string): number => (header.includes(name) ? amount(cells[header.indexOf(name)], name, fail) : 0);
  return {
    month: cells[header.indexOf('month')]!,
    inGB: value('in_gb'),
    outGB: value('out_gb'),
    puts: value('puts'),
    gets: value('gets'),
    deletedGB: value('deleted_gb'),
    deletes: value('deletes'),
  };
}

function amount(text: string | undefined, name: string, fail: (problem: string) => never): number {
  const value = text === undefined || text === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) && value >= 0 ? value : fail(`${name} must be a number that is not negative, not "${text ?? ''}"`);
}

function checkDeletes(trace: Trace): void {
  let stored = trace.initialGB;
  for (const month of trace.months) {
    stored += month.inGB - month.deletedGB;
    if (stored < -1e-9) throw new ConfigError(`trace month ${month.month}: more is deleted than was ever stored`);
  }
}

/**
 * Runs the benchmark guest in a stack and turns what it printed into measurements. The guest reads its own time (RDTSC in
 * user mode) around each repetition and prints both values; at each RDTSC the processor's ledger is copied, so that a
 * repetition's cycles come with their parts, which sum to it exactly. Nothing is computed other than by running the guest.
 */
import { BackendError } from '../base/errors.ts';
import type { MeasuredCell } from '../timing/decomposition.ts';
import { fitted } from '../timing/fitted.ts';
import { differenceOf, type LedgerCounts, type Part } from '../timing/ledger.ts';
import { buildStack } from './build-stack.ts';
import type { StackOptions } from './stack.ts';

/** Rows by the names that the guest's command line and console use. */
export const ROW_NAMES = {
  'double-div': 'double div',
  'null-call': 'null call',
  'fork-proc': 'fork proc',
  'page-fault': 'page fault',
  'ctx-2p0k': '2p/0K',
} as const;
export type GuestRow = keyof typeof ROW_NAMES;

export interface Repetition {
  readonly row: GuestRow;
  readonly repetition: number;
  /** Operations timed. */
  readonly operations: number;
  /** Twelfths of a cycle of all operations, the method's own overhead taken off. */
  readonly twelfths: number;
  /** Parts of `twelfths`, summing to it. */
  readonly parts: readonly Part[];
}

export interface StackMeasurement {
  readonly stack: StackOptions['stack'];
  readonly repetitions: readonly Repetition[];
  /** The guest's own counts, as printed: lines COUNT, PERITER and TICKS. */
  readonly countLines: readonly string[];
  readonly console: string;
  readonly instructions: bigint;
  readonly cycles: bigint;
  readonly stateHash: string;
}

export interface MeasureOptions extends Omit<StackOptions, 'console' | 'commandLine'> {
  readonly rows: readonly GuestRow[];
  readonly repetitions: number;
  /** Scale of the iteration counts. Default 1. */
  readonly iterations?: number;
  readonly withHash?: boolean;
}

/** Enough for the guest to scatter its pages far beyond what second-stage caches hold. */
const MEMORY_MIB = 256;
/** A guest that loops for ever is stopped here. */
const MAX_INSTRUCTIONS = 4_000_000_000n;

export function measureStack(options: MeasureOptions): StackMeasurement {
  let text = '';
  const decoder = new TextDecoder('latin1');
  const parameters = options.parameters ?? fitted.values;
  const words = [
    `rows=${options.rows.join(',')}`,
    `reps=${options.repetitions}`,
    `iters=${options.iterations ?? 1}`,
    `kfork=${Math.round(parameters.k_fork)}`,
    `ksys=${Math.round(parameters.k_sys)}`,
  ];
  words.push(...(options.settings?.guestArguments ?? []));
  const stack = buildStack({
    memoryMiB: MEMORY_MIB,
    ...options,
    commandLine: words.join(' '),
    console: (bytes) => {
      text += decoder.decode(bytes);
    },
  });
  const { guestProcessor: processor, ledger } = stack;
  const snapshots = new Map<bigint, LedgerCounts>();
  processor.onTimestamp = (value) => {
    snapshots.set(value, ledger.snapshot(processor.state.get('cycles'), processor.state.get('instructions')));
  };
  const end = stack.run(MAX_INSTRUCTIONS);
  if (end.reason !== 'power-off') {
    const why = end.reason === 'crash' ? `crashed: ${end.report}` : end.reason;
    throw new BackendError(
      'GUEST_FAILED',
      `${options.stack}: the benchmark guest did not finish (${why}); its console ends: ${text.slice(-300)}`,
    );
  }
  const lines = text.split(/\r?\n/);
  return {
    stack: options.stack,
    repetitions: lines
      .filter((line) => line.startsWith('ROW '))
      .map((line) => repetitionOf(line, snapshots, (counts) => ledger.parts(counts))),
    countLines: lines.filter((line) => /^(COUNT|PERITER|TICKS) /.test(line)),
    console: text,
    instructions: stack.instructions,
    cycles: processor.cycles,
    stateHash: options.withHash === false ? '' : stack.stateHash(),
  };
}

/** The cells of a stack: all repetitions of a row together, since timer ticks fall into some of them only. */
export function cellsOf(measurement: StackMeasurement): MeasuredCell[] {
  const byRow = Map.groupBy(measurement.repetitions, ({ row }) => row);
  return [...byRow].map(([row, repetitions]) => ({
    row: ROW_NAMES[row],
    stack: measurement.stack,
    operations: sumOf(repetitions.map(({ operations }) => operations)),
    twelfths: sumOf(repetitions.map(({ twelfths }) => twelfths)),
    parts: sumOfParts(repetitions.flatMap(({ parts }) => parts)),
  }));
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

function sumOfParts(parts: readonly Part[]): Part[] {
  const sums = new Map<string, Part>();
  for (const part of parts) {
    const key = `${part.layer} ${part.kind} ${part.name}`;
    const before = sums.get(key);
    const count = part.count + (before?.count ?? 0);
    sums.set(key, { ...part, count, twelfths: part.twelfths + (before?.twelfths ?? 0) });
  }
  return [...sums.values()];
}

function repetitionOf(line: string, snapshots: ReadonlyMap<bigint, LedgerCounts>, partsOf: (counts: LedgerCounts) => Part[]): Repetition {
  const [, row, ...fields] = line.split(' ');
  const values = new Map(fields.map((field) => field.split('=') as [string, string]));
  const between = (from: string, to: string): LedgerCounts => differenceOf(snapshotAt(values.get(from)), snapshotAt(values.get(to)));
  const snapshotAt = (value: string | undefined): LedgerCounts => {
    const counts = value === undefined ? undefined : snapshots.get(BigInt(value));
    if (counts === undefined) throw new BackendError('GUEST_OUTPUT', `no time stamp ${value} was read, though the guest printed: ${line}`);
    return counts;
  };
  let counts = between('t0', 't1');
  if (values.has('o0')) counts = differenceOf(between('o0', 'o1'), counts);
  if (!(row in ROW_NAMES)) throw new BackendError('GUEST_OUTPUT', `unknown row in: ${line}`);
  return {
    row: row as GuestRow,
    repetition: Number(values.get('rep')),
    operations: Number(values.get('ops')),
    twelfths: counts.time,
    parts: partsOf(counts),
  };
}

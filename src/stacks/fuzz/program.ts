/**
 * A generated program: units of instructions, laid out one after the other from {@link CODE_START}, with the state that
 * it begins from. A unit is one instruction of a row with what prepares it (addresses in registers, words on the stack)
 * and what repairs the stack pointer after it; branches go to the beginning of a later unit.
 *
 * The program's end is an int3, like every byte that is not code. Beside the bytes, layout gives for every instruction the
 * flags that are undefined where it stands, so that a run that ends anywhere can be compared with a host processor.
 */
import { STATUS_FLAGS } from '../../x86/eflags.ts';
import type { Piece } from './encode-row.ts';
import type { FlagEffects } from './flag-effects.ts';

export const CODE_START = 0x10000;
export const CODE_BYTES = 0x1000;
export const STACK_TOP = 0x31000;
/** Bytes around a page boundary that hold random data; the rest of the data and of the stack begins as zero. */
export const DATA_WINDOW = { start: 0x20e00, length: 0x400 } as const;
export const STACK_WINDOW = { start: 0x30f00, length: 0x200 } as const;

export interface Unit {
  readonly rowId: number;
  readonly pieces: readonly Piece[];
  /** Position of the row's instruction among the pieces. */
  readonly main: number;
  readonly effects: FlagEffects;
  /** Branches: units ahead, 1 is the next one. */
  readonly ahead: number;
}

/** How a result that differs between makers of processors is compared with the host; only a program's last unit has one. */
export type Approximation = 'x87-transcendental' | 'estimate' | 'partial-remainder' | 'repeated-comparison';

export interface InitialState {
  readonly gpr: BigUint64Array;
  rflags: number;
  mxcsr: number;
  fpuControl: number;
  fpuStatus: number;
  fpuTag: number;
  readonly xmm: BigUint64Array;
  /** Bits 255:128 of the vector registers. */
  readonly ymmHigh: BigUint64Array;
  /** Physical registers: significand, then sign and exponent. */
  readonly st: BigUint64Array;
  readonly data: Uint8Array;
  readonly stack: Uint8Array;
}

export interface Program {
  readonly mode: 64 | 32;
  readonly units: readonly Unit[];
  readonly initial: InitialState;
  readonly approximation: Approximation | undefined;
  /** False when it has rows that mean something else outside this machine (CPUID, RDTSC, SIDT and the like). */
  readonly comparableWithHost: boolean;
}

export interface Layout {
  readonly code: Uint8Array;
  /** Address of each unit, and of the end. */
  readonly unitStarts: readonly number[];
  /** Address of each instruction to the mask of what is undefined when the program ends there. */
  readonly undefinedAt: ReadonlyMap<number, number>;
  /** A flag is read while it is undefined. */
  readonly consumesUndefined: boolean;
}

/** x87 condition codes stand 16 bits above their place in the status word, beside the status flags. */
export const X87_CONDITIONS_SHIFT = 16;

export function layOut(program: Program): Layout {
  const { units } = program;
  const unitStarts: number[] = [];
  let at = CODE_START;
  for (const unit of units) {
    unitStarts.push(at);
    for (const { bytes } of unit.pieces) at += bytes.length;
  }
  unitStarts.push(at);
  const code = new Uint8Array(at - CODE_START);
  at = CODE_START;
  units.forEach((unit, n) => {
    for (const piece of unit.pieces) {
      place(code, at, piece, targetOf(unit, n, unitStarts, at));
      at += piece.bytes.length;
    }
  });
  return { code, unitStarts, ...undefinedFlags(program, unitStarts) };
}

/** A short branch that would go too far goes to the next unit. */
function targetOf(unit: Unit, n: number, unitStarts: readonly number[], at: number): number {
  return unitStarts[reachable(unit, n, unitStarts, at)] as number;
}

function reachable(unit: Unit, n: number, unitStarts: readonly number[], at: number): number {
  const wanted = Math.min(n + unit.ahead, unitStarts.length - 1);
  const short = unit.pieces.some(({ fixups }) => fixups.some(({ kind }) => kind === 'branch8'));
  const next = Math.min(n + 1, unitStarts.length - 1);
  return short && (unitStarts[wanted] as number) - at > 120 ? next : wanted;
}

function place(code: Uint8Array, at: number, { bytes, fixups }: Piece, target: number): void {
  const start = at - CODE_START;
  code.set(bytes, start);
  const view = new DataView(code.buffer);
  const end = at + bytes.length;
  for (const fixup of fixups) {
    const field = start + fixup.at;
    if (fixup.kind === 'rip') view.setInt32(field, fixup.address - end, true);
    else if (fixup.kind === 'branch8') view.setInt8(field, target - end);
    else if (fixup.kind === 'branch32') view.setInt32(field, target - end, true);
    else view.setUint32(field, target, true);
  }
}

function undefinedFlags(
  { units, approximation }: Program,
  unitStarts: readonly number[],
): Pick<Layout, 'undefinedAt' | 'consumesUndefined'> {
  const undefinedAt = new Map<number, number>();
  /** What branches bring to the beginning of a unit. */
  const brought = new Array<number>(units.length + 1).fill(0);
  let consumesUndefined = false;
  let mask = 0;
  units.forEach((unit, n) => {
    mask |= brought[n] as number;
    const { reads, defines, undefines } = unit.effects;
    if ((reads & mask) !== 0) consumesUndefined = true;
    let at = unitStarts[n] as number;
    const after = (mask & ~defines) | undefines;
    unit.pieces.forEach(({ bytes }, position) => {
      // A comparison that is interrupted by a fault leaves the flags of an element, and processors differ in which.
      const partial = position === unit.main && approximation === 'repeated-comparison' ? STATUS_FLAGS : 0;
      undefinedAt.set(at, position <= unit.main ? mask | undefines | partial : after);
      at += bytes.length;
      if (position === unit.main && unit.ahead > 0) {
        const target = reachable(unit, n, unitStarts, at - bytes.length);
        brought[target] = (brought[target] as number) | after;
      }
    });
    mask = after;
  });
  undefinedAt.set(unitStarts.at(-1) as number, mask | (brought.at(-1) as number));
  return { undefinedAt, consumesUndefined };
}

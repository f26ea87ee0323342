/**
 * Where a program ended, in one form for every engine and for a host processor, and how two of them are compared.
 *
 * Registers are 64-bit words in one array:
 *   0-15 general registers, 16 RIP, 17 RFLAGS, 18 vector (-1: none), 19 error code, 20 CR2 of a page fault, 21 MXCSR,
 *   22 x87 control, 23 status, 24 tags, 25-56 XMM (low half first), 57-72 x87 registers (physical; significand, then sign
 *   and exponent), 73-104 bits 255:128 of the vector registers (low half first)
 * Memory is what changed: pairs of address and doubleword, ascending.
 * Sources: test/vectors/README.md (what is compared and what not), SDM 2 RCPPS and RSQRTPS (error of estimates).
 */
import { generalRegisterName } from '../../x86/registers.ts';
import type { Approximation } from './program.ts';
import { X87_CONDITIONS_SHIFT } from './program.ts';

export const WORD = {
  GPR: 0,
  RIP: 16,
  RFLAGS: 17,
  VECTOR: 18,
  ERROR: 19,
  CR2: 20,
  MXCSR: 21,
  FPU_CONTROL: 22,
  FPU_STATUS: 23,
  FPU_TAG: 24,
  XMM: 25,
  ST: 57,
  YMM: 73,
  COUNT: 105,
} as const;

export interface FinalState {
  readonly words: BigUint64Array;
  /** Address, doubleword, address, doubleword, ... */
  readonly memory: readonly number[];
}

/** What a comparison with a host leaves out. */
export interface Leniency {
  /** Mask of program.ts: status flags, and x87 condition codes 16 bits above their place. */
  readonly undefined: number;
  readonly approximation: Approximation | undefined;
}

const RESUME_FLAG = 0x10000n;
/** P of a page fault's error code. */
const ERROR_PRESENT = 1n;
const PAGES_BESIDE_THE_HOLE = [0x7_ffff_ffffn, 0xffff_8000_0000_0n];
/** With the summary of unmasked exceptions. */
const X87_UNDERFLOW_AND_PRECISION = 0x80b0n;
const X87_C1_C2 = 0x600n;
/** Units in the last place between two correct transcendental results. */
const TRANSCENDENTAL_ULP = 2n;
const RELATIVE_ERROR_OF_ESTIMATES = 3 * 2 ** -12;
const INTEGER_BIT_CLEAR = (1n << 63n) - 1n;
const SMALLEST_NORMAL = 0x80_0000;
const MASK_64 = (1n << 64n) - 1n;

/** What differs, a line each: `name first, second`. */
export function differences(first: FinalState, second: FinalState, leniency?: Leniency): string[] {
  const found: string[] = [];
  for (let n = 0; n < WORD.COUNT; n++) {
    const a = first.words[n] as bigint;
    const b = second.words[n] as bigint;
    if (a === b || (leniency !== undefined && excused(n, a, b, first, second, leniency))) continue;
    found.push(`${wordName(n)} ${a.toString(16)}, ${b.toString(16)}`);
  }
  compareMemory(first.memory, second.memory, found);
  return found;
}

function excused(n: number, a: bigint, b: bigint, first: FinalState, second: FinalState, leniency: Leniency): boolean {
  const { approximation } = leniency;
  if (n === WORD.RFLAGS) return ((a ^ b) & ~(BigInt(leniency.undefined & 0xffff) | RESUME_FLAG)) === 0n;
  if (n === WORD.ERROR) return (a ^ b) === ERROR_PRESENT && besideTheHole(first.words[WORD.CR2] as bigint);
  const x87 = approximation === 'x87-transcendental' || approximation === 'partial-remainder';
  if (n === WORD.FPU_STATUS) {
    let mask = BigInt(leniency.undefined >>> X87_CONDITIONS_SHIFT);
    if (x87) mask |= X87_UNDERFLOW_AND_PRECISION | X87_C1_C2;
    return ((a ^ b) & ~mask) === 0n;
  }
  if (n >= WORD.YMM) return approximation === 'estimate' && closeSingles(a, b);
  if (n >= WORD.ST && x87) {
    if (approximation === 'partial-remainder') return incomplete(first) && incomplete(second);
    const at = n - ((n - WORD.ST) & 1);
    // Without the integer bit, so that neighbours are one apart also where the exponent changes.
    const value = ({ words }: FinalState): bigint => ((words[at + 1] as bigint) << 63n) | ((words[at] as bigint) & INTEGER_BIT_CLEAR);
    const distance = value(first) - value(second);
    return (distance < 0n ? -distance : distance) <= TRANSCENDENTAL_ULP;
  }
  if (n >= WORD.XMM && n < WORD.ST && approximation === 'estimate') return closeSingles(a, b);
  return false;
}

/**
 * One of the two pages beside the non-canonical addresses, for which gathers and masked moves of the AMD host were seen to
 * report a present page though user code has none there.
 */
function besideTheHole(address: bigint): boolean {
  return PAGES_BESIDE_THE_HOLE.includes(address >> 12n);
}

/** C2: FPREM has to go on. */
function incomplete({ words }: FinalState): boolean {
  return ((words[WORD.FPU_STATUS] as bigint) & 0x400n) !== 0n;
}

function closeSingles(a: bigint, b: bigint): boolean {
  const view = new DataView(new ArrayBuffer(16));
  view.setBigUint64(0, a & MASK_64);
  view.setBigUint64(8, b & MASK_64);
  for (const at of [0, 4]) {
    if (view.getUint32(at) === view.getUint32(at + 8)) continue;
    const value = view.getFloat32(at + 8);
    // Tiny estimates are flushed to zero: an error decides whether the smallest normal number is one.
    const [x, y] = [view.getUint32(at), view.getUint32(at + 8)];
    if (Math.max(x & 0x7fff_ffff, y & 0x7fff_ffff) <= SMALLEST_NORMAL && x >>> 31 === y >>> 31) continue;
    if (!(Math.abs(view.getFloat32(at) - value) <= RELATIVE_ERROR_OF_ESTIMATES * Math.abs(value))) return false;
  }
  return true;
}

function compareMemory(a: readonly number[], b: readonly number[], found: string[]): void {
  let i = 0;
  let j = 0;
  const line = (address: number, left: string, right: string): void => {
    found.push(`memory ${address.toString(16)} ${left}, ${right}`);
  };
  while (i < a.length || j < b.length) {
    const left = a[i] ?? Number.POSITIVE_INFINITY;
    const right = b[j] ?? Number.POSITIVE_INFINITY;
    if (left === right) {
      if (a[i + 1] !== b[j + 1]) line(left, (a[i + 1] as number).toString(16), (b[j + 1] as number).toString(16));
      i += 2;
      j += 2;
    } else if (left < right) {
      line(left, (a[i + 1] as number).toString(16), 'unchanged');
      i += 2;
    } else {
      line(right, 'unchanged', (b[j + 1] as number).toString(16));
      j += 2;
    }
  }
}

function wordName(n: number): string {
  if (n < WORD.RIP) return generalRegisterName(n, 64);
  if (n >= WORD.YMM) return `ymm${(n - WORD.YMM) >> 1} ${(n - WORD.YMM) & 1 ? 'bits 255:192' : 'bits 191:128'}`;
  if (n >= WORD.ST) return `x87 r${(n - WORD.ST) >> 1} ${(n - WORD.ST) & 1 ? 'exponent' : 'significand'}`;
  if (n >= WORD.XMM) return `xmm${(n - WORD.XMM) >> 1} ${(n - WORD.XMM) & 1 ? 'high' : 'low'}`;
  return ['rip', 'rflags', 'vector', 'error code', 'cr2', 'mxcsr', 'x87 control', 'x87 status', 'x87 tags'][n - WORD.RIP] as string;
}

/**
 * What all SSE instructions have in common: whether they may execute at all, raising exceptions by MXCSR, scalar and
 * vector operands. Sources: SDM 1 §11.5 (exceptions), SDM 2A §2.4 Tables 2-18 to 2-24 (exception conditions), SDM 3A §2.5.
 */
import type { Operand } from '../../x86/instruction.ts';
import type { Algebra, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { Mxcsr, MxcsrFlag } from '../float/binary-format.ts';
import { softFloat } from '../float/soft-float.ts';

const INVALID_OPCODE = 6;
const DEVICE_NOT_AVAILABLE = 7;
const SIMD_FLOATING_POINT = 19;
const CR0_EM = 4;
const CR0_TS = 8;
const CR4_OSFXSR = 0x200;
const CR4_OSXMMEXCPT = 0x400;

export type Vector<V> = [low: V, high: V];
export type Define = Parameters<Family>[0];

/** #UD with CR0.EM or without CR4.OSFXSR, then #NM with CR0.TS. */
export function checkSse<V, B>(k: Algebra<V, B>): void {
  const cr0 = k.and(k.field('cr0'), k.constant(CR0_EM | CR0_TS));
  const cr4 = k.and(k.not(k.field('cr4')), k.constant(CR4_OSFXSR));
  faultUnavailable(k, k.or(k.and(cr0, k.constant(CR0_EM)), cr4), k.and(cr0, k.constant(CR0_TS)));
}

/** #UD when there is a bit in the first word, else #NM when there is one in the second. */
export function faultUnavailable<V, B>(k: Algebra<V, B>, undefinedOpcode: V, notAvailable: V): void {
  const zero = k.constant(0);
  k.when(k.ne(k.or(undefinedOpcode, notAvailable), zero), () => {
    k.when(k.ne(undefinedOpcode, zero), () => k.fault(INVALID_OPCODE));
    k.fault(DEVICE_NOT_AVAILABLE);
  });
}

/** A `define` whose bodies begin with {@link checkSse}. */
export const sseDefine =
  (define: Define): Define =>
  (mnemonics, body) =>
    define(mnemonics, (k, i) => {
      checkSse(k);
      body(k, i);
    });

/**
 * Sets flags in MXCSR, and faults when one of them is not masked. Conditions found before the computation (IE, DE, ZE)
 * end the instruction before the others are looked for, in all elements (SDM 1 §11.5.3).
 */
export function raise<V, B>(k: Algebra<V, B>, mxcsr: V, flags: V): void {
  const zero = k.constant(0);
  const unmasked = k.and(flags, k.not(k.shr(mxcsr, k.constant(7))));
  k.when(k.ne(unmasked, zero), () => {
    const before = k.constant(MxcsrFlag.IE | MxcsrFlag.DE | MxcsrFlag.ZE);
    const early = k.ne(k.and(unmasked, before), zero);
    k.setField('mxcsr', 0, k.or(mxcsr, k.select(early, k.and(flags, before), flags)));
    const delivered = k.ne(k.and(k.field('cr4'), k.constant(CR4_OSXMMEXCPT)), zero);
    k.when(
      delivered,
      () => k.fault(SIMD_FLOATING_POINT),
      () => k.fault(INVALID_OPCODE),
    );
  });
  k.setField('mxcsr', 0, k.or(mxcsr, flags));
}

/** Rounding is to nearest, as WebAssembly's is. */
export function roundsToNearest<V, B>(k: Algebra<V, B>, mxcsr: V): B {
  return k.eq(k.and(mxcsr, k.constant(Mxcsr.RC)), k.constant(0));
}

/** An inexact result raises nothing that MXCSR does not hold already: PE is set and masked. */
export function inexactIsFree<V, B>(k: Algebra<V, B>, mxcsr: V): B {
  const precision = k.constant(MxcsrFlag.PE | (MxcsrFlag.PE << 7));
  return k.eq(k.and(mxcsr, precision), precision);
}

export type ElementWidth = 32 | 64;

/** One element of a floating-point operation: what it comes to when `fast` holds, and the routine of soft-float.ts for when not. */
export interface Element<V, B> {
  readonly fast: B;
  readonly value: V;
  readonly exact: string;
  readonly a: V;
  readonly b: V;
  /** Addend of a fused multiplication. */
  readonly c?: V;
  /** Goes to bits 63:32 of the routine's MXCSR argument. */
  readonly control?: V;
}

/** Computes all elements, raises their exceptions together, then commits. */
export function compute<V, B>(k: Algebra<V, B>, mxcsr: V, elements: Element<V, B>[], commit: (values: V[]) => void): void {
  const fast = elements.map((element) => element.fast).reduce((all, one) => k.both(all, one));
  k.when(
    fast,
    () => commit(elements.map(({ value }) => value)),
    () => {
      const results = elements.map(({ exact, a, b, c, control }) => {
        const environment = control === undefined ? mxcsr : k.or(mxcsr, k.shl(control, k.constant(32)));
        return c === undefined ? k.call(softFloat(exact), a, b, environment) : k.call(softFloat(exact), a, b, c, environment);
      });
      const flags = results.map(([, raised]) => raised).reduce((all, one) => k.or(all, one));
      raise(k, mxcsr, flags);
      commit(results.map(([value]) => value));
    },
  );
}

export function readScalar<V, B>(k: Algebra<V, B>, operand: Operand, width: ElementWidth): V {
  return operand.kind === 'xmm' ? k.zext(width, k.readXmm(operand, 0)) : k.read(operand);
}

/** Elements of a vector, lowest first, zero-extended. */
export function elementsOf<V, B>(k: Algebra<V, B>, width: Width, vector: Vector<V>): V[] {
  const elements: V[] = [];
  for (const half of vector) {
    for (let at = 0; at < 64; at += width) elements.push(k.zext(width, k.shr(half, k.constant(at))));
  }
  return elements;
}

/** A vector of elements, whose bits above the width are ignored. */
export function vectorOf<V, B>(k: Algebra<V, B>, width: Width, elements: readonly V[]): Vector<V> {
  const half = 64 / width;
  const join = (from: number): V =>
    elements
      .slice(from, from + half)
      .map((element, n) => k.shl(n === half - 1 ? element : k.zext(width, element), k.constant(n * width)))
      .reduce((all, one) => k.or(all, one));
  return [join(0), join(half)];
}

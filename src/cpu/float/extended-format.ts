/**
 * Double extended precision, the format of x87 registers, as subroutines: classes of encodings, taking numbers apart,
 * packing, and what becomes of NaNs. A register is two words: significand, then sign (bit 15) and exponent.
 * Sources: SDM 1 §4.2.2 (format), §8.2.2 Table 8-3 (unsupported encodings), §4.8.3.5 Table 4-7 (results with NaNs).
 */
import type { Computation } from '../algebra.ts';
import { subroutine } from '../subroutine.ts';
import { inexactFlags, rounded, roundToFormat, X87Flag } from './rounding.ts';

export const BIAS = 16383;
export const LOWEST_EXPONENT = 1 - BIAS;
export const EXPONENT_MASK = 0x7fff;
export const INTEGER_BIT = 1n << 63n;
export const QUIET_BIT = 1n << 62n;
/** The QNaN of masked invalid operations. */
export const INDEFINITE = { significand: INTEGER_BIT | QUIET_BIT, signExponent: 0xffff } as const;

/** Ordered so that everything from QUIET on is no number. */
export const NumberClass = { ZERO: 0, NORMAL: 1, DENORMAL: 2, INFINITE: 3, QUIET: 4, SIGNALING: 5, UNSUPPORTED: 6 } as const;

/** Bit of the control argument of an operation: an operand was denormal before it was converted to this format. */
export const DENORMAL_SOURCE = 0x10000;

export type Result<V> = [significand: V, signExponent: V, flags: V];

export const exponentOf = <V, B>(k: Computation<V, B>, signExponent: V): V => k.and(signExponent, k.constant(EXPONENT_MASK));
export const signOf = <V, B>(k: Computation<V, B>, signExponent: V): V => k.and(k.shr(signExponent, k.constant(15)), k.constant(1));

/** Normal numbers, which need no other test. */
export function isNormal<V, B>(k: Computation<V, B>, significand: V, signExponent: V): B {
  const exponent = k.sub(exponentOf(k, signExponent), k.constant(1));
  return k.both(k.ltS(significand, k.constant(0)), k.ltU(exponent, k.constant(EXPONENT_MASK - 1)));
}

/** A {@link NumberClass}; pseudo-denormals are denormals. */
export const classify = subroutine('f80.classify', 2, 1, (k, significand, signExponent) => {
  const zero = k.constant(0);
  const exponent = exponentOf(k, signExponent);
  const integerBit = k.ltS(significand, zero);
  const fraction = k.shl(significand, k.constant(1));
  const c = (name: keyof typeof NumberClass) => k.constant(NumberClass[name]);
  const quiet = k.ltS(fraction, zero);
  const notFinite = k.select(k.eq(fraction, zero), c('INFINITE'), k.select(quiet, c('QUIET'), c('SIGNALING')));
  const withBit = k.select(k.eq(exponent, k.constant(EXPONENT_MASK)), notFinite, c('NORMAL'));
  const small = k.select(k.eq(significand, zero), c('ZERO'), c('DENORMAL'));
  return [k.select(k.eq(exponent, zero), small, k.select(integerBit, withBit, c('UNSUPPORTED')))];
});

/** Of a finite number that is not zero: significand with its top bit set, and exponent. */
export const normalize = subroutine('f80.normalize', 2, 2, (k, significand, signExponent) => {
  const exponent = exponentOf(k, signExponent);
  const places = k.clz(significand);
  const stored = k.select(k.eq(exponent, k.constant(0)), k.constant(1), exponent);
  return [k.shl(significand, places), k.sub(k.sub(stored, k.constant(BIAS)), places)];
});

/** (sign, exponent, high, low, bits dropped, control) -> register and flags. */
const packTo = subroutine('f80.packTo', 6, 3, (k, sign, exponent, high, low, dropped, control) => {
  const lowest = k.constant(LOWEST_EXPONENT);
  const [significand, scale, flags] = k.call(roundToFormat, sign, exponent, high, low, dropped, lowest, k.constant(BIAS), control);
  const biased = k.select(k.ltS(significand, k.constant(0)), k.add(scale, k.constant(BIAS)), k.constant(0));
  return [significand, k.or(k.shl(sign, k.constant(15)), biased), flags];
});

/**
 * Rounds to the precision of PC (control bits 9:8): register and flags. In line, for routines that end with it: results
 * in the range of normal numbers, whatever the masks are, need nothing else.
 */
export function pack<V, B>(k: Computation<V, B>, sign: V, exponent: V, high: V, low: V, control: V): Result<V> {
  const zero = k.constant(0);
  const precision = k.and(control, k.constant(0x300));
  const double = k.select(k.eq(precision, k.constant(0x200)), k.constant(11), zero);
  const dropped = k.select(k.eq(precision, zero), k.constant(40), double);
  const [nearby, up, inexact] = rounded(k, sign, high, low, dropped, control);
  const carried = k.eq(nearby, zero);
  const biased = k.add(k.add(exponent, k.constant(BIAS)), k.word(carried));
  const result = resultVariable(k);
  k.when(
    k.ltU(k.sub(biased, k.constant(1)), k.constant(EXPONENT_MASK - 1)),
    () => {
      const significand = k.select(carried, k.constant(INTEGER_BIT), nearby);
      result.set([significand, k.or(k.shl(sign, k.constant(15)), biased), inexactFlags(k, up, inexact)]);
    },
    () => result.set(k.call(packTo, sign, exponent, high, low, dropped, control)),
  );
  return result.get();
}

/** As {@link pack}, to all 64 bits whatever PC says. */
export const packFull = subroutine('f80.packFull', 5, 3, (k, sign, exponent, high, low, control) =>
  k.call(packTo, sign, exponent, high, low, k.constant(0), control),
);

/** Result of an operation on two operands of which one is no number. */
export const propagate = subroutine('f80.propagate', 4, 3, (k, aSignificand, aSign, bSignificand, bSign) => {
  const [a] = k.call(classify, aSignificand, aSign);
  const [b] = k.call(classify, bSignificand, bSign);
  const is = (x: typeof a, name: keyof typeof NumberClass) => k.eq(x, k.constant(NumberClass[name]));
  const aIsNaN = k.negate(k.ltU(a, k.constant(NumberClass.QUIET)));
  const bIsNaN = k.negate(k.ltU(b, k.constant(NumberClass.QUIET)));
  const unsupported = k.either(is(a, 'UNSUPPORTED'), is(b, 'UNSUPPORTED'));
  const signaling = k.either(is(a, 'SIGNALING'), is(b, 'SIGNALING'));
  // Two NaNs: the larger significand, and of equal ones the positive.
  const quieted = (x: typeof a) => k.or(x, k.constant(QUIET_BIT));
  const x = aSignificand;
  const y = bSignificand;
  const smaller = k.either(k.ltU(x, y), k.both(k.eq(x, y), k.ltU(bSign, aSign)));
  const second = k.both(bIsNaN, k.either(k.negate(aIsNaN), smaller));
  const significand = quieted(k.select(second, bSignificand, aSignificand));
  const sign = k.select(second, bSign, aSign);
  const flags = k.word(k.either(unsupported, signaling));
  return [
    k.select(unsupported, k.constant(INDEFINITE.significand), significand),
    k.select(unsupported, k.constant(INDEFINITE.signExponent), sign),
    k.mul(flags, k.constant(X87Flag.IE)),
  ];
});

/** The result of a masked invalid operation. */
export function invalid<V, B>(k: Computation<V, B>): Result<V> {
  return [k.constant(INDEFINITE.significand), k.constant(INDEFINITE.signExponent), k.constant(X87Flag.IE)];
}

/** A variable for a whole result. */
export function resultVariable<V, B>(k: Computation<V, B>): { get(): Result<V>; set(result: readonly V[]): void } {
  const parts = [0, 0, 0].map((initial) => k.variable(k.constant(initial)));
  return {
    get: () => parts.map((part) => part.get()) as Result<V>,
    set: (result) => {
      for (const [n, part] of parts.entries()) part.set(result[n]);
    },
  };
}

/**
 * Conversions between double extended precision and the other operand formats of the x87 unit, as subroutines: binary32,
 * binary64, integers, packed decimal.
 * Sources: SDM 1 §4.2.2, §8.1.7 (data types), §8.3.3 (data transfer), SDM 2A FIST, FBLD, FBSTP; SDM 1 Table 8-10 (masked
 * responses to invalid operations).
 */
import type { Computation } from '../algebra.ts';
import { subroutine } from '../subroutine.ts';
import {
  BIAS,
  classify,
  DENORMAL_SOURCE,
  EXPONENT_MASK,
  exponentOf,
  INDEFINITE,
  INTEGER_BIT,
  normalize,
  NumberClass,
  QUIET_BIT,
  type Result,
  resultVariable,
  signOf,
} from './extended-format.ts';
import { inexactFlags, rounded, roundSignificand, roundToFormat, X87Flag } from './rounding.ts';
import { DOUBLE, type ShortFormat, SINGLE } from './short-format.ts';
import { shiftRightJam } from './wide.ts';

/** bits -> register, and {@link DENORMAL_SOURCE} or 0. Exact; NaNs keep being signaling. */
function widening({ width, fractionBits, bias }: ShortFormat) {
  return subroutine(`f80.fromF${width}`, 1, 3, (k, bits) => {
    const zero = k.constant(0);
    const all = k.constant(2 * bias + 1);
    const exponent = k.and(k.shr(bits, k.constant(fractionBits)), all);
    const fraction = k.shr(k.shl(bits, k.constant(64 - fractionBits)), k.constant(1));
    const sign = k.and(k.shr(bits, k.constant(width - 16)), k.constant(0x8000));
    const special = k.select(k.eq(exponent, all), k.constant(EXPONENT_MASK), k.add(exponent, k.constant(BIAS - bias)));
    const significand = k.variable(k.or(fraction, k.constant(INTEGER_BIT)));
    const scale = k.variable(special);
    const denormal = k.variable(zero);
    k.when(k.eq(exponent, zero), () => {
      const places = k.clz(fraction);
      const isZero = k.eq(fraction, zero);
      significand.set(k.select(isZero, zero, k.shl(fraction, places)));
      scale.set(k.select(isZero, zero, k.sub(k.constant(BIAS - bias + 1), places)));
      denormal.set(k.select(isZero, zero, k.constant(DENORMAL_SOURCE)));
    });
    return [significand.get(), k.or(sign, scale.get()), denormal.get()];
  });
}
export const fromSingle = widening(SINGLE);
export const fromDouble = widening(DOUBLE);

/** As {@link fromSingle} and {@link fromDouble}, normal numbers in line. */
export function widen<V, B>(k: Computation<V, B>, format: ShortFormat, bits: V): Result<V> {
  const { width, fractionBits, bias } = format;
  const exponent = k.and(k.shr(bits, k.constant(fractionBits)), k.constant(2 * bias + 1));
  const result = resultVariable(k);
  k.when(
    k.ltU(k.sub(exponent, k.constant(1)), k.constant(2 * bias)),
    () => {
      const fraction = k.shr(k.shl(bits, k.constant(64 - fractionBits)), k.constant(1));
      const sign = k.and(k.shr(bits, k.constant(width - 16)), k.constant(0x8000));
      const scale = k.add(exponent, k.constant(BIAS - bias));
      result.set([k.or(fraction, k.constant(INTEGER_BIT)), k.or(sign, scale), k.constant(0)]);
    },
    () => result.set(k.call(width === 32 ? fromSingle : fromDouble, bits)),
  );
  return result.get();
}

/** Signed word -> register. */
export const fromInteger = subroutine('f80.fromInteger', 1, 2, (k, word) => {
  const zero = k.constant(0);
  const negative = k.ltS(word, zero);
  const magnitude = k.select(negative, k.sub(zero, word), word);
  const places = k.clz(magnitude);
  const exponent = k.select(k.eq(magnitude, zero), zero, k.sub(k.constant(BIAS + 63), places));
  return [k.shl(magnitude, places), k.or(k.shl(k.word(negative), k.constant(15)), exponent)];
});

/** What loading a number does besides: quiets a signaling NaN. (register, denormal source) -> register, flags. */
export const loaded = subroutine('f80.loaded', 3, 3, (k, significand, signExponent, denormal) => {
  const [kind] = k.call(classify, significand, signExponent);
  const signaling = k.eq(kind, k.constant(NumberClass.SIGNALING));
  const quiet = k.select(signaling, k.constant(QUIET_BIT), k.constant(0));
  const flags = k.select(signaling, k.constant(X87Flag.IE), k.constant(0));
  const denormalFlag = k.select(k.eq(denormal, k.constant(0)), k.constant(0), k.constant(X87Flag.DE));
  return [k.or(significand, quiet), signExponent, k.or(flags, denormalFlag)];
});

/** (register, control) -> bits, flags. */
function narrowing({ width, fractionBits, bias }: ShortFormat) {
  return subroutine(`f80.toF${width}`, 3, 2, (k, significand, signExponent, control) => {
    const zero = k.constant(0);
    const exponentAt = k.constant(fractionBits);
    const signBit = k.shl(signOf(k, signExponent), k.constant(width - 1));
    const infinity = k.shl(k.constant(2 * bias + 1), exponentAt);
    const fractionOf = (word: typeof zero) => k.shr(k.shl(word, k.constant(1)), k.constant(64 - fractionBits));
    const bits = k.variable(signBit);
    const flags = k.variable(zero);
    const [kind] = k.call(classify, significand, signExponent);
    const is = (name: keyof typeof NumberClass) => k.eq(kind, k.constant(NumberClass[name]));
    k.when(
      k.either(is('NORMAL'), is('DENORMAL')),
      () => {
        const [m, e] = k.call(normalize, significand, signExponent);
        const sign = signOf(k, signExponent);
        const dropped = k.constant(63 - fractionBits);
        const [nearby, scale, raised] = k.call(roundToFormat, sign, e, m, zero, dropped, k.constant(1 - bias), k.constant(bias), control);
        const biased = k.select(k.ltS(nearby, zero), k.add(scale, k.constant(bias)), zero);
        bits.set(k.or(signBit, k.or(k.shl(biased, exponentAt), fractionOf(nearby))));
        flags.set(raised);
      },
      () =>
        k.when(k.ne(kind, k.constant(NumberClass.ZERO)), () => {
          const quieted = k.select(is('INFINITE'), significand, k.or(significand, k.constant(QUIET_BIT)));
          const kept = k.or(signBit, k.or(infinity, fractionOf(quieted)));
          const indefinite = (1n << BigInt(width - 1)) | (BigInt(2 * bias + 1) << BigInt(fractionBits)) | (1n << BigInt(fractionBits - 1));
          bits.set(k.select(is('UNSUPPORTED'), k.constant(indefinite), kept));
          const isInvalid = k.either(is('SIGNALING'), is('UNSUPPORTED'));
          flags.set(k.select(isInvalid, k.constant(X87Flag.IE), zero));
        }),
    );
    return [k.zext(width, bits.get()), flags.get()];
  });
}
export const toSingle = narrowing(SINGLE);
export const toDouble = narrowing(DOUBLE);

/** As {@link toSingle} and {@link toDouble}, numbers that are normal in both formats in line. */
export function narrow<V, B>(k: Computation<V, B>, format: ShortFormat, significand: V, signExponent: V, control: V): [V, V] {
  const { width, fractionBits, bias } = format;
  const zero = k.constant(0);
  const exponent = k.sub(exponentOf(k, signExponent), k.constant(BIAS - bias));
  // The highest binade left out: rounding could lead out of it.
  const normal = k.both(k.ltS(significand, zero), k.ltU(k.sub(exponent, k.constant(1)), k.constant(2 * bias - 1)));
  const bits = k.variable(zero);
  const flags = k.variable(zero);
  k.when(
    normal,
    () => {
      const sign = signOf(k, signExponent);
      const [nearby, up, inexact] = rounded(k, sign, significand, zero, k.constant(63 - fractionBits), control);
      const carry = k.word(k.eq(nearby, zero));
      const fraction = k.shr(k.shl(nearby, k.constant(1)), k.constant(64 - fractionBits));
      const magnitude = k.or(k.shl(k.add(exponent, carry), k.constant(fractionBits)), fraction);
      bits.set(k.or(k.shl(sign, k.constant(width - 1)), magnitude));
      flags.set(inexactFlags(k, up, inexact));
    },
    () => {
      const [slow, raised] = k.call(width === 32 ? toSingle : toDouble, significand, signExponent, control);
      bits.set(slow);
      flags.set(raised);
    },
  );
  return [bits.get(), flags.get()];
}

/**
 * (register, control) -> magnitude of the number rounded to an integer, 1 if there is none below 2^64, flags (PE, C1).
 * The magnitude of what is no number or too large means nothing.
 */
export const toMagnitude = subroutine('f80.toMagnitude', 3, 3, (k, significand, signExponent, control) => {
  const zero = k.constant(0);
  const exponent = exponentOf(k, signExponent);
  const places = k.sub(k.constant(BIAS + 63), exponent);
  const unnormal = k.both(k.ne(exponent, zero), k.negate(k.ltS(significand, zero)));
  const none = k.either(k.ltS(places, zero), unnormal);
  const magnitude = k.variable(zero);
  const flags = k.variable(zero);
  k.when(k.negate(none), () => {
    const [high, low] = k.call(shiftRightJam, significand, zero, places);
    const [nearby, up, inexact] = k.call(roundSignificand, signOf(k, signExponent), high, low, zero, control);
    magnitude.set(nearby);
    flags.set(inexactFlags(k, up, inexact));
  });
  return [magnitude.get(), k.word(none), flags.get()];
});

/** (register, control, 2^(bits - 1)) -> integer as a word, flags; the lowest integer when it does not fit. */
export const toInteger = subroutine('f80.toInteger', 4, 2, (k, significand, signExponent, control, lowest) => {
  const zero = k.constant(0);
  const [magnitude, none, flags] = k.call(toMagnitude, significand, signExponent, control);
  const sign = signOf(k, signExponent);
  const negative = k.ne(sign, zero);
  const limit = k.sub(k.add(lowest, sign), k.constant(1));
  const invalid = k.either(k.ne(none, zero), k.ltU(limit, magnitude));
  const value = k.select(negative, k.sub(zero, magnitude), magnitude);
  return [k.select(invalid, lowest, value), k.select(invalid, k.constant(X87Flag.IE), flags)];
});

/** (register, control) -> register rounded to an integer, flags. */
export const roundToInteger = subroutine('f80.roundToInteger', 3, 3, (k, significand, signExponent, control) => {
  const zero = k.constant(0);
  const result = resultVariable(k);
  result.set([significand, signExponent, zero]);
  const [kind] = k.call(classify, significand, signExponent);
  const is = (name: keyof typeof NumberClass) => k.eq(kind, k.constant(NumberClass[name]));
  const whole = k.ltU(k.constant(BIAS + 62), exponentOf(k, signExponent));
  k.when(
    k.both(k.either(is('NORMAL'), is('DENORMAL')), k.negate(whole)),
    () => {
      const [magnitude, , flags] = k.call(toMagnitude, significand, signExponent, control);
      const places = k.clz(magnitude);
      const exponent = k.select(k.eq(magnitude, zero), zero, k.sub(k.constant(BIAS + 63), places));
      const sign = k.and(signExponent, k.constant(0x8000));
      const denormal = k.select(is('DENORMAL'), k.constant(X87Flag.DE), zero);
      result.set([k.shl(magnitude, places), k.or(sign, exponent), k.or(flags, denormal)]);
    },
    () => {
      k.when(is('SIGNALING'), () => result.set([k.or(significand, k.constant(QUIET_BIT)), signExponent, k.constant(X87Flag.IE)]));
      k.when(is('UNSUPPORTED'), () => {
        result.set([k.constant(INDEFINITE.significand), k.constant(INDEFINITE.signExponent), k.constant(X87Flag.IE)]);
      });
    },
  );
  return result.get();
});

/** `count` decimal digits of a packed word, from the most significant nibble down, behind `before`. */
function appendDigits<V, B>(k: Computation<V, B>, packed: V, count: number, before: V): V {
  const value = k.variable(before);
  const rest = k.variable(packed);
  k.times(k.constant(count), () => {
    const word = rest.get();
    value.set(k.add(k.mul(value.get(), k.constant(10)), k.shr(word, k.constant(60))));
    rest.set(k.shl(word, k.constant(4)));
  });
  return value.get();
}

/** (low 64 bits, upper 16) of a packed decimal -> register. */
export const fromDecimal = subroutine('f80.fromDecimal', 2, 2, (k, low, high) => {
  const value = appendDigits(k, low, 16, appendDigits(k, k.shl(high, k.constant(56)), 2, k.constant(0)));
  const [significand, exponent] = k.call(fromInteger, value);
  return [significand, k.or(exponent, k.and(high, k.constant(0x8000)))];
});

const DECIMAL_LIMIT = 10n ** 18n;
/** Packed decimal indefinite: low 64 bits, upper 16. */
export const DECIMAL_INDEFINITE = { low: 0xc000_0000_0000_0000n, high: 0xffff } as const;

/** (register, control) -> low 64 bits, upper 16, flags. */
export const toDecimal = subroutine('f80.toDecimal', 3, 3, (k, significand, signExponent, control) => {
  const zero = k.constant(0);
  const [magnitude, none, flags] = k.call(toMagnitude, significand, signExponent, control);
  const fits = k.both(k.eq(none, zero), k.ltU(magnitude, k.constant(DECIMAL_LIMIT)));
  const result = resultVariable(k);
  k.when(
    fits,
    () => {
      const rest = k.variable(magnitude);
      const nextDigit = (): typeof zero => {
        const word = rest.get();
        const quotient = k.divU(word, k.constant(10));
        rest.set(quotient);
        return k.sub(word, k.mul(quotient, k.constant(10)));
      };
      const packed = k.variable(zero);
      k.times(k.constant(16), () => {
        packed.set(k.or(k.shr(packed.get(), k.constant(4)), k.shl(nextDigit(), k.constant(60))));
      });
      const high = k.or(nextDigit(), k.shl(nextDigit(), k.constant(4)));
      result.set([packed.get(), k.or(high, k.and(signExponent, k.constant(0x8000))), flags]);
    },
    () => result.set([k.constant(DECIMAL_INDEFINITE.low), k.constant(DECIMAL_INDEFINITE.high), k.constant(X87Flag.IE)]),
  );
  return result.get();
});

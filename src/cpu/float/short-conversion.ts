/**
 * Conversions of SSE between integers and the two formats, and rounding to an integer in the format, as subroutines
 * `(a, b, MXCSR) -> (bits, flags)`; b is not looked at. Sources: SDM 1 §11.4.1.6, §4.8.4, SDM 2 (CVTSD2SI, CVTSD2SS, ROUNDSD).
 */
import type { Computation } from '../algebra.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
import { Mxcsr, MxcsrFlag } from './binary-format.ts';
import { roundSignificand } from './rounding.ts';
import {
  type Apart,
  apart,
  controlOf,
  infinityBits,
  isClass,
  isNumber,
  quietBit,
  SHORT_ROUTINES,
  shortResult,
  signBit,
} from './short-format.ts';
import { shiftRightJam } from './wide.ts';

const TOWARD_ZERO = 0xc00;

/** Magnitude rounded to an integer, for exponents below 64, and whether that is inexact. */
function rounded<V, B>(k: Computation<V, B>, { sign, exponent, significand }: Apart<V>, control: V): [magnitude: V, inexact: V] {
  const zero = k.constant(0);
  const [high, low] = k.call(shiftRightJam, significand, zero, k.sub(k.constant(63), exponent));
  const [magnitude, , inexact] = k.call(roundSignificand, sign, high, low, zero, control);
  return [magnitude, inexact];
}

export function conversions(width: 32 | 64): Readonly<Record<string, Subroutine>> {
  const shared = SHORT_ROUTINES[width];
  const other = SHORT_ROUTINES[width === 64 ? 32 : 64];
  const name = `f${width}`;

  /** From a signed word. */
  const fromInteger = subroutine(`${name}.from.i64`, 3, 2, (k, word, _b, mxcsr) => {
    const zero = k.constant(0);
    const result = shortResult(k);
    const negative = k.ltS(word, zero);
    const magnitude = k.select(negative, k.sub(zero, word), word);
    const places = k.clz(magnitude);
    k.when(k.ne(word, zero), () => {
      const exponent = k.sub(k.constant(63), places);
      result.set(k.call(shared.pack, k.word(negative), exponent, k.shl(magnitude, places), zero, mxcsr));
    });
    return result.get();
  });

  /** To a signed integer, zero-extended; NaNs and what does not fit give the integer indefinite. */
  const toInteger = (to: 32 | 64, truncate: boolean): Subroutine =>
    subroutine(`${name}.${truncate ? 'trunc' : 'to'}.i${to}`, 3, 2, (k, bits, _b, mxcsr) => {
      const zero = k.constant(0);
      const result = shortResult(k);
      const a = apart(k, shared, bits, mxcsr);
      const lowest = k.constant(1n << BigInt(to - 1));
      result.set([lowest, k.constant(MxcsrFlag.IE)]);
      k.when(isClass(k, a, 'ZERO'), () => result.set([zero, zero]));
      const finite = k.either(isClass(k, a, 'NORMAL'), isClass(k, a, 'DENORMAL'));
      k.when(k.both(finite, k.ltS(a.exponent, k.constant(64))), () => {
        const control = controlOf(k, mxcsr);
        const [magnitude, inexact] = rounded(k, a, truncate ? k.or(control, k.constant(TOWARD_ZERO)) : control);
        const limit = k.sub(k.add(lowest, a.sign), k.constant(1));
        k.when(k.negate(k.ltU(limit, magnitude)), () => {
          const value = k.select(k.eq(a.sign, zero), magnitude, k.sub(zero, magnitude));
          result.set([k.zext(to, value), k.mul(inexact, k.constant(MxcsrFlag.PE))]);
        });
      });
      return result.get();
    });

  const toOther = subroutine(`${name}.convert`, 3, 2, (k, bits, _b, mxcsr) => {
    const zero = k.constant(0);
    const result = shortResult(k);
    const a = apart(k, shared, bits, mxcsr);
    const to = other.format;
    const signAt = k.shl(a.sign, k.constant(to.width - 1));
    k.when(
      isNumber(k, a),
      () => {
        const special = k.select(isClass(k, a, 'INFINITE'), k.constant(infinityBits(to)), zero);
        result.set([k.or(signAt, special), zero]);
        k.when(k.either(isClass(k, a, 'NORMAL'), isClass(k, a, 'DENORMAL')), () => {
          const [packed, flags] = k.call(other.pack, a.sign, a.exponent, a.significand, zero, mxcsr);
          const denormal = k.select(isClass(k, a, 'DENORMAL'), k.constant(MxcsrFlag.DE), zero);
          result.set([packed, k.or(flags, denormal)]);
        });
      },
      () => {
        // The payload keeps its upper bits.
        const fraction = k.shl(bits, k.constant(64 - shared.format.fractionBits));
        const payload = k.shr(fraction, k.constant(64 - to.fractionBits));
        const nan = k.or(k.or(signAt, payload), k.constant(infinityBits(to) | quietBit(to)));
        result.set([nan, k.select(isClass(k, a, 'SIGNALING'), k.constant(MxcsrFlag.IE), zero)]);
      },
    );
    return result.get();
  });

  /** Bits 63:32 of the MXCSR argument: ROUNDSD's immediate (bit 2: by MXCSR, bit 3: inexact results raise nothing). */
  const toIntegral = subroutine(`${name}.round`, 3, 2, (k, bits, _b, environment) => {
    const zero = k.constant(0);
    const immediate = k.shr(environment, k.constant(32));
    const a = apart(k, shared, bits, environment);
    const result = shortResult(k);
    result.set([a.bits, zero]);
    k.when(k.negate(isNumber(k, a)), () => {
      const flags = k.select(isClass(k, a, 'SIGNALING'), k.constant(MxcsrFlag.IE), zero);
      result.set([k.or(bits, k.constant(quietBit(shared.format))), flags]);
    });
    const finite = k.either(isClass(k, a, 'NORMAL'), isClass(k, a, 'DENORMAL'));
    k.when(k.both(finite, k.ltS(a.exponent, k.constant(shared.format.fractionBits))), () => {
      const own = k.shl(k.and(immediate, k.constant(3)), k.constant(10));
      const byMxcsr = k.ne(k.and(immediate, k.constant(4)), zero);
      const [magnitude, inexact] = rounded(k, a, k.select(byMxcsr, controlOf(k, environment), own));
      const quiet = k.ne(k.and(immediate, k.constant(8)), zero);
      const flags = k.select(quiet, zero, k.mul(inexact, k.constant(MxcsrFlag.PE)));
      const places = k.clz(magnitude);
      const nearest = k.constant(Mxcsr.MASKS);
      const exponent = k.sub(k.constant(63), places);
      k.when(
        k.eq(magnitude, zero),
        () => result.set([k.and(bits, k.constant(signBit(shared.format))), flags]),
        () => {
          const [value] = k.call(shared.pack, a.sign, exponent, k.shl(magnitude, places), zero, nearest);
          result.set([value, flags]);
        },
      );
    });
    return result.get();
  });

  return {
    'from.i64': fromInteger,
    'to.i32': toInteger(32, false),
    'to.i64': toInteger(64, false),
    'trunc.i32': toInteger(32, true),
    'trunc.i64': toInteger(64, true),
    convert: toOther,
    round: toIntegral,
  };
}

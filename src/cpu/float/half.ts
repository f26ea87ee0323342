/**
 * Conversions between binary16 and binary32, as subroutines `(bits, b, MXCSR) -> (bits, flags)`; b is not looked at. To
 * binary32 every number is exact and denormals are ordinary, whatever DAZ says; to binary16 FZ does not count. Bits 34:32 of
 * the MXCSR argument are VCVTPS2PH's immediate (bit 2: rounding by MXCSR).
 * Sources: SDM 1 §14.4.1 (half precision), SDM 2C VCVTPH2PS, VCVTPS2PH.
 */
import { subroutine } from '../subroutine.ts';
import { MxcsrFlag } from './binary-format.ts';
import { roundToFormat } from './rounding.ts';
import { apart, controlOf, isClass, isNumber, SHORT_ROUTINES, shortResult } from './short-format.ts';

const FRACTION_BITS = 10;
const BIAS = 15;
const INFINITE = 0x7c00;
const QUIET = 0x200;
const ROUNDING = 0xc00;
const FLAGS = 0x3f;

export const halfToSingle = subroutine('f16.to.f32', 3, 2, (k, bits) => {
  const zero = k.constant(0);
  const magnitude = k.and(bits, k.constant(0x7fff));
  const sign = k.shl(k.and(bits, k.constant(0x8000)), k.constant(16));
  const result = shortResult(k);
  const rebias = k.constant((127 - BIAS) << 23);
  result.set([k.or(sign, k.add(k.shl(magnitude, k.constant(13)), rebias)), zero]);
  k.when(k.ltU(magnitude, k.constant(1 << FRACTION_BITS)), () => {
    // Zero, or fraction * 2^-24 with its highest bit moved to the implied place.
    const places = k.clz(magnitude);
    const fraction = k.and(k.shl(magnitude, k.sub(places, k.constant(40))), k.constant(0x7f_ffff));
    const exponent = k.shl(k.sub(k.constant(127 - 24 + 63), places), k.constant(23));
    result.set([k.or(sign, k.select(k.eq(magnitude, zero), zero, k.or(exponent, fraction))), zero]);
  });
  k.when(k.negate(k.ltU(magnitude, k.constant(INFINITE))), () => {
    const fraction = k.shl(k.and(magnitude, k.constant(0x3ff)), k.constant(13));
    const isNan = k.ne(fraction, zero);
    const quiet = k.select(isNan, k.constant(1 << 22), zero);
    const signaling = k.both(isNan, k.eq(k.and(magnitude, k.constant(QUIET)), zero));
    const encoded = k.or(k.or(sign, k.constant(0x7f80_0000)), k.or(fraction, quiet));
    result.set([encoded, k.select(signaling, k.constant(MxcsrFlag.IE), zero)]);
  });
  return result.get();
});

export const singleToHalf = subroutine('f32.to.f16', 3, 2, (k, bits, _b, environment) => {
  const zero = k.constant(0);
  const result = shortResult(k);
  const a = apart(k, SHORT_ROUTINES[32], bits, environment);
  const sign = k.shl(a.sign, k.constant(15));
  const immediate = k.shr(environment, k.constant(32));
  const given = controlOf(k, environment);
  const own = k.or(k.and(given, k.constant(FLAGS)), k.shl(k.and(immediate, k.constant(3)), k.constant(10)));
  const control = k.select(k.eq(k.and(immediate, k.constant(4)), zero), own, k.and(given, k.constant(FLAGS | ROUNDING)));
  k.when(
    isNumber(k, a),
    () => {
      result.set([k.or(sign, k.select(isClass(k, a, 'INFINITE'), k.constant(INFINITE), zero)), zero]);
      k.when(k.either(isClass(k, a, 'NORMAL'), isClass(k, a, 'DENORMAL')), () => {
        const dropped = k.constant(63 - FRACTION_BITS);
        const [nearby, scale, raised] = k.call(
          roundToFormat,
          a.sign,
          a.exponent,
          a.significand,
          zero,
          dropped,
          k.constant(1 - BIAS),
          k.constant(BIAS),
          control,
        );
        const biased = k.select(k.ltS(nearby, zero), k.add(scale, k.constant(BIAS)), zero);
        const fraction = k.shr(k.shl(nearby, k.constant(1)), k.constant(64 - FRACTION_BITS));
        const packed = k.and(k.or(k.shl(biased, k.constant(FRACTION_BITS)), fraction), k.constant(0x7fff));
        const denormal = k.select(isClass(k, a, 'DENORMAL'), k.constant(MxcsrFlag.DE), zero);
        result.set([k.or(sign, packed), k.or(k.and(raised, k.constant(FLAGS)), denormal)]);
      });
    },
    () => {
      // The payload keeps its upper bits.
      const payload = k.and(k.shr(bits, k.constant(13)), k.constant(0x3ff));
      const nan = k.or(k.or(sign, payload), k.constant(INFINITE | QUIET));
      result.set([nan, k.select(isClass(k, a, 'SIGNALING'), k.constant(MxcsrFlag.IE), zero)]);
    },
  );
  return result.get();
});

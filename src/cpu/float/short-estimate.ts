/**
 * RCPSS and RSQRTSS as subroutines `bits -> bits`: estimates with a relative error below 1.5 * 2^-12, which raise nothing.
 * Every processor has its own tables; here the estimate is the value in binary64, rounded to the format.
 * Source: SDM 2B RCPPS, RSQRTPS (special values: denormal operands count as zeros, tiny results become zeros).
 */
import type { Computation } from '../algebra.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
import { Mxcsr } from './binary-format.ts';
import { type Apart, apart, indefiniteBits, infinityBits, isClass, isNumber, quietBit, SHORT_ROUTINES, SINGLE } from './short-format.ts';

const ONE = 0x3ff0_0000_0000_0000n;
const SIGN = 0x8000_0000n;
const LOWEST_NORMAL = 0x0080_0000n;

function estimate(name: string, ofNormal: <V, B>(k: Computation<V, B>, a: Apart<V>, wide: V) => V): Subroutine {
  return subroutine(`f32.${name}`, 1, 1, (k, bits) => {
    const a = apart(k, SHORT_ROUTINES[32], bits, k.constant(Mxcsr.DAZ));
    const sign = k.and(bits, k.constant(SIGN));
    const result = k.variable(k.or(bits, k.constant(quietBit(SINGLE))));
    k.when(isNumber(k, a), () => {
      const infinite = k.or(sign, k.constant(infinityBits(SINGLE)));
      const special = k.select(isClass(k, a, 'ZERO'), infinite, sign);
      result.set(
        k.choose(
          isClass(k, a, 'NORMAL'),
          () => ofNormal(k, a, k.f32ToF64(bits)),
          () => special,
        ),
      );
    });
    return [result.get()];
  });
}

export const reciprocal = estimate('rcp', (k, a, wide) => {
  const quotient = k.f64ToF32(k.f64('div', k.constant(ONE), wide));
  const tiny = k.ltU(k.and(quotient, k.constant(SIGN - 1n)), k.constant(LOWEST_NORMAL));
  return k.select(tiny, k.and(a.bits, k.constant(SIGN)), quotient);
});

const reciprocalRootOfPositive = estimate('rsqrtOfPositive', (k, _a, wide) => k.f64ToF32(k.f64('div', k.constant(ONE), k.f64sqrt(wide))));

/** Of a negative number, infinity included, indefinite. */
export const reciprocalRoot = subroutine('f32.rsqrt', 1, 1, (k, bits) => {
  const a = apart(k, SHORT_ROUTINES[32], bits, k.constant(Mxcsr.DAZ));
  const negative = k.both(k.both(isNumber(k, a), k.negate(isClass(k, a, 'ZERO'))), k.ne(a.sign, k.constant(0)));
  return [
    k.choose(
      negative,
      () => k.constant(indefiniteBits(SINGLE)),
      () => k.call(reciprocalRootOfPositive, bits)[0],
    ),
  ];
});

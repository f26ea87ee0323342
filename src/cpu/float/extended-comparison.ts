/**
 * Comparing and examining numbers in double extended precision, as subroutines; answers are condition codes at their
 * places in the status word. Sources: SDM 1 §8.1.3.2, §8.3.6; SDM 2A FCOM (Table 3-21), FXAM (Table 3-46).
 */
import type { Computation } from '../algebra.ts';
import { subroutine } from '../subroutine.ts';
import { classify, DENORMAL_SOURCE, exponentOf, NumberClass, signOf } from './extended-format.ts';
import { X87Flag } from './rounding.ts';

export const C0 = 0x100;
export const C1 = 0x200;
export const C2 = 0x400;
export const C3 = 0x4000;
export const UNORDERED = C0 | C2 | C3;

/** (a, b, DENORMAL_SOURCE or 0, 1 when quiet NaNs are no exception) -> C3, C2 and C0; flags. */
export const compare = subroutine('f80.compare', 6, 2, (k, a, aSign, b, bSign, denormalSource, quiet) => {
  const zero = k.constant(0);
  const codes = k.variable(k.constant(UNORDERED));
  const flags = k.variable(zero);
  const [aClass] = k.call(classify, a, aSign);
  const [bClass] = k.call(classify, b, bSign);
  const oneOf = (name: keyof typeof NumberClass) =>
    k.either(k.eq(aClass, k.constant(NumberClass[name])), k.eq(bClass, k.constant(NumberClass[name])));
  const notNumber = k.constant(NumberClass.QUIET);
  k.when(
    k.both(k.ltU(aClass, notNumber), k.ltU(bClass, notNumber)),
    () => {
      const denormal = k.either(oneOf('DENORMAL'), k.ne(k.and(denormalSource, k.constant(DENORMAL_SOURCE)), zero));
      flags.set(k.select(denormal, k.constant(X87Flag.DE), zero));
      const x = magnitude(k, aSign);
      const y = magnitude(k, bSign);
      const same = k.both(k.eq(x, y), k.eq(a, b));
      const below = k.either(k.ltU(x, y), k.both(k.eq(x, y), k.ltU(a, b)));
      const aNegative = signOf(k, aSign);
      const signsDiffer = k.ne(aNegative, signOf(k, bSign));
      const bothZero = k.eq(k.or(a, b), zero);
      const equal = k.either(bothZero, k.both(same, k.negate(signsDiffer)));
      // Of two negative numbers the one of larger magnitude is less.
      const negative = k.ne(aNegative, zero);
      const sameSignLess = k.select(negative, k.word(k.negate(below)), k.word(below));
      const less = k.select(signsDiffer, aNegative, sameSignLess);
      codes.set(k.select(equal, k.constant(C3), k.mul(less, k.constant(C0))));
    },
    () => {
      const invalid = k.either(k.eq(quiet, zero), k.either(oneOf('SIGNALING'), oneOf('UNSUPPORTED')));
      flags.set(k.select(invalid, k.constant(X87Flag.IE), zero));
    },
  );
  return [codes.get(), flags.get()];
});

/** Exponent that orders magnitudes together with the significand: denormals have that of the lowest normal numbers. */
function magnitude<V, B>(k: Computation<V, B>, signExponent: V): V {
  const exponent = exponentOf(k, signExponent);
  return k.select(k.eq(exponent, k.constant(0)), k.constant(1), exponent);
}

/** (register, 1 when empty) -> C3 to C0. */
export const examine = subroutine('f80.examine', 3, 1, (k, significand, signExponent, empty) => {
  const [kind] = k.call(classify, significand, signExponent);
  const codes: Readonly<Record<keyof typeof NumberClass, number>> = {
    UNSUPPORTED: 0,
    QUIET: C0,
    SIGNALING: C0,
    NORMAL: C2,
    INFINITE: C2 | C0,
    ZERO: C3,
    DENORMAL: C3 | C2,
  };
  const code = Object.entries(codes).reduce(
    (found, [name, bits]) => k.select(k.eq(kind, k.constant(NumberClass[name as keyof typeof NumberClass])), k.constant(bits), found),
    k.constant(0),
  );
  const sign = k.mul(signOf(k, signExponent), k.constant(C1));
  return [k.or(sign, k.select(k.eq(empty, k.constant(0)), code, k.constant(C3 | C0)))];
});

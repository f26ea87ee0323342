/**
 * Partial remainders, scaling and taking apart in double extended precision, as subroutines.
 * Sources: SDM 2A FPREM, FPREM1, FSCALE, FXTRACT (operations and tables of results).
 */
import { subroutine } from '../subroutine.ts';
import { C0, C1, C2, C3 } from './extended-comparison.ts';
import { fromInteger, toMagnitude } from './extended-conversion.ts';
import {
  BIAS,
  classify,
  INTEGER_BIT,
  invalid,
  normalize,
  NumberClass,
  packFull,
  propagate,
  resultVariable,
  signOf,
} from './extended-format.ts';
import { X87Flag } from './rounding.ts';

/** Exponents that reach from the lowest to beyond the highest number, and the other way. */
const FAR = 1n << 16n;
const TOWARD_ZERO = 0xc00;
/** Instead of condition codes: an operand is not a number, or the operation invalid. */
export const NO_QUOTIENT = 0x10000;

/**
 * Remainder of two normalized significands: (a, b, steps) -> remainder, low bits of the quotient: a * 2^steps by b.
 */
const longDivision = subroutine('f80.longDivision', 3, 2, (k, a, b, steps) => {
  const one = k.constant(1);
  const zero = k.constant(0);
  const first = k.negate(k.ltU(a, b));
  const rest = k.variable(k.sub(a, k.select(first, b, zero)));
  const quotient = k.variable(k.word(first));
  k.times(steps, () => {
    const r = rest.get();
    const doubled = k.shl(r, one);
    // The bit that the shift loses means that the doubled remainder is larger.
    const fits = k.either(k.ltS(r, zero), k.negate(k.ltU(doubled, b)));
    rest.set(k.sub(doubled, k.select(fits, b, zero)));
    quotient.set(k.or(k.shl(quotient.get(), one), k.word(fits)));
  });
  return [rest.get(), quotient.get()];
});

/** (sign, exponent, significand of both, 1 for the nearest quotient, control) -> register, flags, condition codes. */
const finiteRemainder = subroutine('f80.finiteRemainder', 7, 4, (k, sign, aExponent, a, bExponent, b, nearest, control) => {
  const zero = k.constant(0);
  const one = k.constant(1);
  const distance = k.sub(aExponent, bExponent);
  const rest = k.variable(a);
  const restSign = k.variable(sign);
  const exponent = k.variable(aExponent);
  const codes = k.variable(zero);
  const toNearest = k.ne(nearest, zero);
  k.when(
    k.ltS(distance, zero),
    () => {
      // |a| < |b|: the quotient is 0, or 1 when it is to be the nearest and a is more than half of b.
      const above = k.both(k.eq(distance, k.constant(-1)), k.ltU(b, a));
      k.when(k.both(toNearest, above), () => {
        rest.set(k.sub(k.shl(b, one), a));
        restSign.set(k.xor(sign, one));
        codes.set(k.constant(C1));
      });
    },
    () =>
      k.when(
        k.ltU(distance, k.constant(64)),
        () => {
          const [r, q] = k.call(longDivision, a, b, distance);
          const quotient = k.variable(q);
          rest.set(r);
          exponent.set(bExponent);
          const other = k.sub(b, r);
          const up = k.either(k.ltU(other, r), k.both(k.eq(other, r), k.ne(k.and(q, one), zero)));
          k.when(k.both(toNearest, up), () => {
            rest.set(other);
            restSign.set(k.xor(sign, one));
            quotient.set(k.add(q, one));
          });
          const bit = (n: number, code: number) => k.mul(k.and(k.shr(quotient.get(), k.constant(n)), one), k.constant(code));
          codes.set(k.or(k.or(bit(0, C1), bit(1, C3)), bit(2, C0)));
        },
        () => {
          // Too far apart for one step: between 32 and 63 bits of the quotient, whole ones.
          const bits = k.or(k.and(distance, k.constant(31)), k.constant(32));
          const [r] = k.call(longDivision, a, b, bits);
          rest.set(r);
          exponent.set(k.add(bExponent, k.sub(distance, bits)));
          codes.set(k.constant(C2));
        },
      ),
  );
  const result = resultVariable(k);
  const r = rest.get();
  k.when(
    k.eq(r, zero),
    () => result.set([zero, k.shl(sign, k.constant(15)), zero]),
    () => {
      const places = k.clz(r);
      result.set(k.call(packFull, restSign.get(), k.sub(exponent.get(), places), k.shl(r, places), zero, control));
    },
  );
  return [...result.get(), codes.get()];
});

/** (a, b, 1 for the nearest quotient, control) -> register, flags, condition codes or {@link NO_QUOTIENT}. */
export const remainder = subroutine('f80.remainder', 6, 4, (k, a, aSign, b, bSign, nearest, control) => {
  const zero = k.constant(0);
  const result = resultVariable(k);
  const codes = k.variable(k.constant(NO_QUOTIENT));
  const [aClass] = k.call(classify, a, aSign);
  const [bClass] = k.call(classify, b, bSign);
  const is = (x: typeof a, name: keyof typeof NumberClass) => k.eq(x, k.constant(NumberClass[name]));
  const notNumber = k.constant(NumberClass.QUIET);
  const denormal = k.select(k.either(is(aClass, 'DENORMAL'), is(bClass, 'DENORMAL')), k.constant(X87Flag.DE), zero);
  k.when(
    k.both(k.ltU(aClass, notNumber), k.ltU(bClass, notNumber)),
    () =>
      k.when(
        k.either(is(aClass, 'INFINITE'), is(bClass, 'ZERO')),
        () => result.set(invalid(k)),
        () =>
          k.when(
            k.either(is(aClass, 'ZERO'), is(bClass, 'INFINITE')),
            () => {
              result.set([a, aSign, denormal]);
              codes.set(zero);
            },
            () => {
              const [am, ae] = k.call(normalize, a, aSign);
              const [bm, be] = k.call(normalize, b, bSign);
              const [m, s, flags, found] = k.call(finiteRemainder, signOf(k, aSign), ae, am, be, bm, nearest, control);
              result.set([m, s, k.or(flags, denormal)]);
              codes.set(found);
            },
          ),
      ),
    () => result.set(k.call(propagate, a, aSign, b, bSign)),
  );
  return [...result.get(), codes.get()];
});

/** (a, b, control): a * 2^trunc(b). */
export const scale = subroutine('f80.scale', 5, 3, (k, a, aSign, b, bSign, control) => {
  const zero = k.constant(0);
  const result = resultVariable(k);
  const [aClass] = k.call(classify, a, aSign);
  const [bClass] = k.call(classify, b, bSign);
  const is = (x: typeof a, name: keyof typeof NumberClass) => k.eq(x, k.constant(NumberClass[name]));
  const notNumber = k.constant(NumberClass.QUIET);
  const denormal = k.select(k.either(is(aClass, 'DENORMAL'), is(bClass, 'DENORMAL')), k.constant(X87Flag.DE), zero);
  const sign = k.and(aSign, k.constant(0x8000));
  const down = k.ne(signOf(k, bSign), zero);
  k.when(
    k.both(k.ltU(aClass, notNumber), k.ltU(bClass, notNumber)),
    () =>
      k.when(
        is(bClass, 'INFINITE'),
        () => {
          const undefinedProduct = k.select(down, k.word(is(aClass, 'INFINITE')), k.word(is(aClass, 'ZERO')));
          k.when(
            k.ne(undefinedProduct, zero),
            () => result.set(invalid(k)),
            () => {
              const infinite = k.or(sign, k.constant(0x7fff));
              result.set([k.select(down, zero, k.constant(INTEGER_BIT)), k.select(down, sign, infinite), denormal]);
            },
          );
        },
        () =>
          k.when(
            k.either(is(aClass, 'ZERO'), is(aClass, 'INFINITE')),
            () => result.set([a, aSign, denormal]),
            () => {
              const [m, e] = k.call(normalize, a, aSign);
              const [magnitude, none] = k.call(toMagnitude, b, bSign, k.or(control, k.constant(TOWARD_ZERO)));
              const far = k.either(k.ne(none, zero), k.ltU(k.constant(FAR), magnitude));
              const distance = k.select(far, k.constant(FAR), magnitude);
              const exponent = k.select(down, k.sub(e, distance), k.add(e, distance));
              const [s, se, flags] = k.call(packFull, signOf(k, aSign), exponent, m, zero, control);
              result.set([s, se, k.or(flags, denormal)]);
            },
          ),
      ),
    () => result.set(k.call(propagate, a, aSign, b, bSign)),
  );
  return result.get();
});

/** register -> significand as a number from 1 to 2, exponent as a number, flags. */
export const extract = subroutine('f80.extract', 2, 5, (k, a, aSign) => {
  const zero = k.constant(0);
  const [kind] = k.call(classify, a, aSign);
  const is = (name: keyof typeof NumberClass) => k.eq(kind, k.constant(NumberClass[name]));
  const significand = resultVariable(k);
  const exponent = [k.variable(a), k.variable(aSign)] as const;
  const setExponent = (m: typeof a, s: typeof a): void => {
    exponent[0].set(m);
    exponent[1].set(s);
  };
  k.when(
    k.negate(k.ltU(kind, k.constant(NumberClass.QUIET))),
    () => {
      significand.set(k.call(propagate, a, aSign, a, aSign));
      const [m, s] = significand.get();
      setExponent(m, s);
    },
    () =>
      k.when(
        is('ZERO'),
        () => {
          significand.set([a, aSign, k.constant(X87Flag.ZE)]);
          setExponent(k.constant(INTEGER_BIT), k.constant(0xffff));
        },
        () =>
          k.when(
            is('INFINITE'),
            () => {
              significand.set([a, aSign, zero]);
              setExponent(k.constant(INTEGER_BIT), k.constant(0x7fff));
            },
            () => {
              const [m, e] = k.call(normalize, a, aSign);
              const flags = k.select(is('DENORMAL'), k.constant(X87Flag.DE), zero);
              significand.set([m, k.or(k.and(aSign, k.constant(0x8000)), k.constant(BIAS)), flags]);
              const [em, es] = k.call(fromInteger, e);
              setExponent(em, es);
            },
          ),
      ),
  );
  const [m, s, flags] = significand.get();
  return [m, s, exponent[0].get(), exponent[1].get(), flags];
});

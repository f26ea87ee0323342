/**
 * Addition, subtraction, multiplication, division and square root in double extended precision, as subroutines
 * `(a, b, control) -> (register, flags)`, a and b being two words each. Flags are those of the masked response to IE, DE
 * and ZE (the caller drops the result when one of these is unmasked) and of either response to OE and UE.
 * Sources: SDM 1 §8.3.5 (basic arithmetic), §8.5 (exceptions and their priorities), SDM 2A FADD, FDIV, FMUL, FSQRT
 * (tables of results).
 */
import type { Computation } from '../algebra.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
import { type Exact, exactProduct, exactQuotient, exactRoot, exactSum, type Normalized } from './exact.ts';
import {
  classify,
  DENORMAL_SOURCE,
  exponentOf,
  BIAS,
  INTEGER_BIT,
  invalid,
  isNormal,
  normalize,
  NumberClass,
  pack,
  propagate,
  type Result,
  resultVariable,
  signOf,
} from './extended-format.ts';
import { RoundingControl, X87Flag } from './rounding.ts';

const INFINITE_EXPONENT = 0x7fff;

/** Sign word for zero that a sum cancels to. */
function cancelled<V, B>(k: Computation<V, B>, control: V): Result<V> {
  const down = k.eq(k.and(control, k.constant(0xc00)), k.constant(RoundingControl.DOWN << 10));
  return [k.constant(0), k.shl(k.word(down), k.constant(15)), k.constant(0)];
}

/** Rounds what an operation came to. */
const packed = <V, B>(k: Computation<V, B>, { sign, exponent, high, low }: Exact<V>, control: V): Result<V> =>
  pack(k, sign, exponent, high, low, control);

/** Numbers taken apart, as two arguments of a subroutine are. */
const parts = <V>(sign: V, exponent: V, significand: V): Normalized<V> => ({ sign, exponent, significand });

/** (sign, exponent, significand of each, control). */
const sum = subroutine('f80.sum', 7, 3, (k, aSign, aExponent, a, bSign, bExponent, b, control) => {
  const exact = exactSum(k, parts(aSign, aExponent, a), parts(bSign, bExponent, b));
  const result = resultVariable(k);
  k.when(
    k.eq(exact.high, k.constant(0)),
    () => result.set(cancelled(k, control)),
    () => result.set(packed(k, exact, control)),
  );
  return result.get();
});
const product = subroutine('f80.product', 7, 3, (k, aSign, aExponent, a, bSign, bExponent, b, control) =>
  packed(k, exactProduct(k, parts(aSign, aExponent, a), parts(bSign, bExponent, b)), control),
);
const quotient = subroutine('f80.quotient', 7, 3, (k, aSign, aExponent, a, bSign, bExponent, b, control) =>
  packed(k, exactQuotient(k, parts(aSign, aExponent, a), parts(bSign, bExponent, b)), control),
);

type Words<V> = { readonly significand: V; readonly signExponent: V };
type Classes<V, B> = { readonly a: V; readonly b: V; is(x: V, name: keyof typeof NumberClass): B };

interface BinaryOperation {
  /** Two numbers that are neither zero nor infinite. */
  compute<V, B>(k: Computation<V, B>, a: Normalized<V>, b: Normalized<V>, control: V): V[];
  /** At least one zero or infinity, and no NaN: sets the result, or calls `compute`. */
  special<V, B>(
    k: Computation<V, B>,
    a: Words<V>,
    b: Words<V>,
    classes: Classes<V, B>,
    control: V,
    set: (result: readonly V[]) => void,
  ): void;
}

function binary(name: string, { compute, special }: BinaryOperation): Subroutine {
  const slow = subroutine(`${name}.slow`, 5, 3, (k, aSignificand, aSign, bSignificand, bSign, control) => {
    const result = resultVariable(k);
    const [a] = k.call(classify, aSignificand, aSign);
    const [b] = k.call(classify, bSignificand, bSign);
    const is = (x: typeof a, c: keyof typeof NumberClass) => k.eq(x, k.constant(NumberClass[c]));
    const notNumber = k.constant(NumberClass.QUIET);
    k.when(
      k.both(k.ltU(a, notNumber), k.ltU(b, notNumber)),
      () => {
        const oneOf = (c: keyof typeof NumberClass) => k.either(is(a, c), is(b, c));
        k.when(
          k.either(oneOf('ZERO'), oneOf('INFINITE')),
          () => {
            const x = { significand: aSignificand, signExponent: aSign };
            const y = { significand: bSignificand, signExponent: bSign };
            special(k, x, y, { a, b, is }, control, result.set);
          },
          () => {
            const [am, ae] = k.call(normalize, aSignificand, aSign);
            const [bm, be] = k.call(normalize, bSignificand, bSign);
            const x = { sign: signOf(k, aSign), exponent: ae, significand: am };
            const y = { sign: signOf(k, bSign), exponent: be, significand: bm };
            result.set(compute(k, x, y, control));
          },
        );
        const [significand, signExponent, flags] = result.get();
        const source = k.ne(k.and(control, k.constant(DENORMAL_SOURCE)), k.constant(0));
        const byZero = k.ne(k.and(flags, k.constant(X87Flag.ZE)), k.constant(0));
        // A zero divisor is found first.
        const denormal = k.both(k.either(oneOf('DENORMAL'), source), k.negate(byZero));
        result.set([significand, signExponent, k.or(flags, k.select(denormal, k.constant(X87Flag.DE), k.constant(0)))]);
      },
      () => result.set(k.call(propagate, aSignificand, aSign, bSignificand, bSign)),
    );
    return result.get();
  });
  return subroutine(name, 5, 3, (k, aSignificand, aSign, bSignificand, bSign, control) => {
    const result = resultVariable(k);
    const normal = k.both(isNormal(k, aSignificand, aSign), isNormal(k, bSignificand, bSign));
    const plain = k.both(normal, k.eq(k.and(control, k.constant(DENORMAL_SOURCE)), k.constant(0)));
    const exponent = (word: typeof aSign) => k.sub(exponentOf(k, word), k.constant(BIAS));
    k.when(
      plain,
      () => {
        const a = { sign: signOf(k, aSign), exponent: exponent(aSign), significand: aSignificand };
        const b = { sign: signOf(k, bSign), exponent: exponent(bSign), significand: bSignificand };
        result.set(compute(k, a, b, control));
      },
      () => result.set(k.call(slow, aSignificand, aSign, bSignificand, bSign, control)),
    );
    return result.get();
  });
}

const signBit = <V, B>(k: Computation<V, B>, a: Words<V>, b: Words<V>): V =>
  k.and(k.xor(a.signExponent, b.signExponent), k.constant(0x8000));
const zeroOf = <V, B>(k: Computation<V, B>, sign: V): Result<V> => [k.constant(0), sign, k.constant(0)];
const infinityOf = <V, B>(k: Computation<V, B>, sign: V, flags = 0): Result<V> => [
  k.constant(INTEGER_BIT),
  k.or(sign, k.constant(INFINITE_EXPONENT)),
  k.constant(flags),
];

function addition(name: string, subtracts: boolean): Subroutine {
  const flip = subtracts ? 1 : 0;
  return binary(name, {
    compute: (k, a, b, control) =>
      k.call(sum, a.sign, a.exponent, a.significand, k.xor(b.sign, k.constant(flip)), b.exponent, b.significand, control),
    special: (k, a, bGiven, { a: aClass, b: bClass, is }, control, set) => {
      const b = { significand: bGiven.significand, signExponent: k.xor(bGiven.signExponent, k.constant(flip << 15)) };
      const same = k.eq(signBit(k, a, b), k.constant(0));
      const aIs = (c: keyof typeof NumberClass) => is(aClass, c);
      const bIs = (c: keyof typeof NumberClass) => is(bClass, c);
      const zero = k.constant(0);
      k.when(
        k.either(aIs('INFINITE'), bIs('INFINITE')),
        () =>
          k.when(
            k.both(k.both(aIs('INFINITE'), bIs('INFINITE')), k.negate(same)),
            () => set(invalid(k)),
            () => set([k.constant(INTEGER_BIT), k.select(aIs('INFINITE'), a.signExponent, b.signExponent), zero]),
          ),
        () =>
          k.when(
            k.both(aIs('ZERO'), bIs('ZERO')),
            () =>
              k.when(
                same,
                () => set([zero, a.signExponent, zero]),
                () => set(cancelled(k, control)),
              ),
            () => {
              // The other operand, rounded to the precision in effect.
              const significand = k.or(a.significand, b.significand);
              const sign = k.select(aIs('ZERO'), b.signExponent, a.signExponent);
              const [m, e] = k.call(normalize, significand, sign);
              set(pack(k, signOf(k, sign), e, m, zero, control));
            },
          ),
      );
    },
  });
}

export const add = addition('f80.add', false);
export const subtract = addition('f80.subtract', true);

export const multiply = binary('f80.multiply', {
  compute: (k, a, b, control) => k.call(product, a.sign, a.exponent, a.significand, b.sign, b.exponent, b.significand, control),
  special: (k, a, b, { a: aClass, b: bClass, is }, _control, set) => {
    const zero = k.either(is(aClass, 'ZERO'), is(bClass, 'ZERO'));
    const infinite = k.either(is(aClass, 'INFINITE'), is(bClass, 'INFINITE'));
    k.when(
      k.both(zero, infinite),
      () => set(invalid(k)),
      () =>
        k.when(
          zero,
          () => set(zeroOf(k, signBit(k, a, b))),
          () => set(infinityOf(k, signBit(k, a, b))),
        ),
    );
  },
});

export const divide = binary('f80.divide', {
  compute: (k, a, b, control) => k.call(quotient, a.sign, a.exponent, a.significand, b.sign, b.exponent, b.significand, control),
  special: (k, a, b, { a: aClass, b: bClass, is }, _control, set) => {
    const sign = signBit(k, a, b);
    k.when(
      k.eq(aClass, bClass),
      () => set(invalid(k)),
      () =>
        k.when(
          is(bClass, 'ZERO'),
          () => {
            const infinite = is(aClass, 'INFINITE');
            set([k.constant(INTEGER_BIT), infinityOf(k, sign)[1], k.select(infinite, k.constant(0), k.constant(X87Flag.ZE))]);
          },
          () =>
            k.when(
              is(aClass, 'INFINITE'),
              () => set(infinityOf(k, sign)),
              () => set(zeroOf(k, sign)),
            ),
        ),
    );
  },
});

/** (a, control). */
export const squareRoot = subroutine('f80.squareRoot', 3, 3, (k, significand, signExponent, control) => {
  const zero = k.constant(0);
  const result = resultVariable(k);
  const [kind] = k.call(classify, significand, signExponent);
  const is = (name: keyof typeof NumberClass) => k.eq(kind, k.constant(NumberClass[name]));
  k.when(
    k.negate(k.ltU(kind, k.constant(NumberClass.QUIET))),
    () => result.set(k.call(propagate, significand, signExponent, significand, signExponent)),
    () => {
      const negative = k.ne(signOf(k, signExponent), zero);
      k.when(
        k.either(is('ZERO'), k.both(is('INFINITE'), k.negate(negative))),
        () => result.set([significand, signExponent, zero]),
        () =>
          k.when(
            negative,
            () => result.set(invalid(k)),
            () => {
              const [m, e] = k.call(normalize, significand, signExponent);
              const [s, se, flags] = packed(k, exactRoot(k, parts(zero, e, m)), control);
              result.set([s, se, k.or(flags, k.select(is('DENORMAL'), k.constant(X87Flag.DE), zero))]);
            },
          ),
      );
    },
  );
  return result.get();
});

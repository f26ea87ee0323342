/**
 * Addition, subtraction, multiplication, division and square root in double extended precision, as subroutines
 * `(a, b, control) -> (register, flags)`, a and b being two words each. Flags are those of the masked response to IE, DE
 * and ZE (the caller drops the result when one of these is unmasked) and of either response to OE and UE.
 * Sources: SDM 1 §8.3.5 (basic arithmetic), §8.5 (exceptions and their priorities), SDM 2A FADD, FDIV, FMUL, FSQRT
 * (tables of results).
 */
import type { Computation } from '../algebra.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
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
import { divideWide, multiplyWide, normalizeWide, shiftRightJam, squareRootWide } from './wide.ts';

const TOP_BIT = 1n << 63n;
const INFINITE_EXPONENT = 0x7fff;

/** Sign word for zero that a sum cancels to. */
function cancelled<V, B>(k: Computation<V, B>, control: V): Result<V> {
  const down = k.eq(k.and(control, k.constant(0xc00)), k.constant(RoundingControl.DOWN << 10));
  return [k.constant(0), k.shl(k.word(down), k.constant(15)), k.constant(0)];
}

/** (sign, exponent, significand of each, control): both normalized. */
const sum = subroutine('f80.sum', 7, 3, (k, aSign, aExponent, aSignificand, bSign, bExponent, bSignificand, control) => {
  const zero = k.constant(0);
  const one = k.constant(1);
  const sameExponent = k.eq(aExponent, bExponent);
  const swap = k.either(k.ltS(aExponent, bExponent), k.both(sameExponent, k.ltU(aSignificand, bSignificand)));
  const sign = k.select(swap, bSign, aSign);
  const exponent = k.select(swap, bExponent, aExponent);
  const large = k.select(swap, bSignificand, aSignificand);
  const small = k.select(swap, aSignificand, bSignificand);
  const distance = k.sub(exponent, k.select(swap, aExponent, bExponent));
  const high = k.variable(zero);
  const low = k.variable(zero);
  const scale = k.variable(exponent);
  k.when(
    k.ltU(distance, k.constant(64)),
    () => {
      high.set(k.shr(small, distance));
      low.set(k.shl(k.shl(small, one), k.sub(k.constant(63), distance)));
    },
    () => {
      const [h, l] = k.call(shiftRightJam, small, zero, distance);
      high.set(h);
      low.set(l);
    },
  );
  const h = high.get();
  const l = low.get();
  k.when(
    k.eq(aSign, bSign),
    () => {
      const total = k.add(large, h);
      high.set(total);
      k.when(k.ltU(total, large), () => {
        high.set(k.or(k.shr(total, one), k.constant(TOP_BIT)));
        low.set(k.or(k.or(k.shl(total, k.constant(63)), k.shr(l, one)), k.and(l, one)));
        scale.set(k.add(exponent, one));
      });
    },
    () => {
      const difference = k.sub(k.sub(large, h), k.word(k.ne(l, zero)));
      high.set(difference);
      low.set(k.sub(zero, l));
      k.when(k.negate(k.ltS(difference, zero)), () => {
        k.when(k.ne(k.or(difference, l), zero), () => {
          const [nh, nl, places] = k.call(normalizeWide, difference, k.sub(zero, l));
          high.set(nh);
          low.set(nl);
          scale.set(k.sub(exponent, places));
        });
      });
    },
  );
  const result = resultVariable(k);
  k.when(
    k.eq(high.get(), zero),
    () => result.set(cancelled(k, control)),
    () => result.set(pack(k, sign, scale.get(), high.get(), low.get(), control)),
  );
  return result.get();
});

/** (sign, exponent of a + exponent of b, significands, control). */
const product = subroutine('f80.product', 5, 3, (k, sign, exponent, a, b, control) => {
  const [high, low] = k.call(multiplyWide, a, b);
  const top = k.shr(high, k.constant(63));
  const places = k.xor(top, k.constant(1));
  const h = k.or(k.shl(high, places), k.and(k.shr(low, k.constant(63)), places));
  return pack(k, sign, k.add(exponent, top), h, k.shl(low, places), control);
});

/** (sign, exponent of a - exponent of b, significands, control). */
const quotient = subroutine('f80.quotient', 5, 3, (k, sign, exponent, a, b, control) => {
  const zero = k.constant(0);
  const one = k.constant(1);
  // a / b is in (1/2, 2): the dividend is a or a / 2, so that the quotient has its top bit set.
  const less = k.word(k.ltU(a, b));
  const halved = k.xor(less, one);
  const dividendLow = k.shl(k.and(a, halved), k.constant(63));
  const [q, rest] = k.call(divideWide, k.shr(a, halved), dividendLow, b);
  // The remainder against half of the divisor.
  const other = k.sub(b, rest);
  const above = k.select(k.ltU(rest, other), zero, k.constant(TOP_BIT));
  const sticky = k.word(k.both(k.ne(rest, zero), k.ne(rest, other)));
  return pack(k, sign, k.sub(exponent, less), q, k.select(k.eq(rest, zero), zero, k.or(above, sticky)), control);
});

type Words<V> = { readonly significand: V; readonly signExponent: V };
type Normalized<V> = { readonly sign: V; readonly exponent: V; readonly significand: V };
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
  compute: (k, a, b, control) =>
    k.call(product, k.xor(a.sign, b.sign), k.add(a.exponent, b.exponent), a.significand, b.significand, control),
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
  compute: (k, a, b, control) =>
    k.call(quotient, k.xor(a.sign, b.sign), k.sub(a.exponent, b.exponent), a.significand, b.significand, control),
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
              // Radicand with an even exponent: m or m / 2, and its root with the top bit set.
              const even = k.word(k.eq(k.and(e, k.constant(1)), zero));
              const low = k.shl(k.and(m, even), k.constant(63));
              const [root, rest] = k.call(squareRootWide, k.shr(m, even), low);
              const [s, se, flags] = pack(k, zero, k.sar(e, k.constant(1)), root, rest, control);
              result.set([s, se, k.or(flags, k.select(is('DENORMAL'), k.constant(X87Flag.DE), zero))]);
            },
          ),
      );
    },
  );
  return result.get();
});

/**
 * Transcendental functions of numbers in double extended precision, as subroutines: special operands here, everything
 * else in transcendental.ts. Results are rounded by RC to 64 bits, whatever PC says.
 * Sources: SDM 2A F2XM1 (Table 3-16), FCOS, FPATAN (Table 3-30), FPTAN, FSIN, FYL2X (Table 3-48), FYL2XP1 (Table 3-49).
 */
import type { Computation } from '../algebra.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
import {
  classify,
  INTEGER_BIT,
  invalid,
  normalize,
  NumberClass,
  packFull,
  propagate,
  type Result,
  resultVariable,
  signOf,
} from './extended-format.ts';
import { X87Flag } from './rounding.ts';
import { OPERAND_LAYOUT, RESULT_LAYOUT } from './transcendental.ts';

const ONE_EXPONENT = 0x3fff;
const INFINITE_EXPONENT = 0x7fff;
/** pi to 128 bits, and three quarters of it. */
const PI = [0xc90f_daa2_2168_c234n, 0xc4c6_628b_80dc_1cd1n] as const;
const THREE_QUARTERS_PI = [0x96cb_e3f9_990e_91a7n, 0x9394_c9e8_a0a5_159dn] as const;

/** Two numbers, neither zero nor infinite, and control: the host function `name` of them, rounded. */
function finite(name: string): Subroutine {
  return subroutine(`f80.${name}.finite`, 5, 3, (k, a, aSign, b, bSign, control) => {
    const [am, ae] = k.call(normalize, a, aSign);
    const [bm, be] = k.call(normalize, b, bSign);
    const biased = (e: typeof a) => k.add(e, k.constant(OPERAND_LAYOUT.bias));
    const exponents = k.or(biased(ae), k.shl(biased(be), k.constant(OPERAND_LAYOUT.secondExponent)));
    const aNegative = k.shl(signOf(k, aSign), k.constant(OPERAND_LAYOUT.firstSign));
    const bNegative = k.shl(signOf(k, bSign), k.constant(OPERAND_LAYOUT.secondSign));
    const word = k.or(exponents, k.or(aNegative, bNegative));
    const high = k.host(`${name}.high`, am, bm, word);
    const rest = k.host(`${name}.rest`, am, bm, word);
    const stored = k.shr(k.shl(rest, k.constant(1)), k.constant(RESULT_LAYOUT.exponent + 1));
    const exponent = k.sub(stored, k.constant(RESULT_LAYOUT.bias));
    const low = k.shl(rest, k.constant(64 - RESULT_LAYOUT.exponent));
    // The sticky bit moved up, and nothing below it.
    return k.call(packFull, k.shr(rest, k.constant(RESULT_LAYOUT.sign)), exponent, high, low, control);
  });
}

type Set<V> = (result: readonly V[]) => void;
type Is<B> = (name: keyof typeof NumberClass) => B;

const ofSign = <V, B>(k: Computation<V, B>, sign: V, exponent: number): V => k.or(sign, k.constant(exponent));
const signBits = <V, B>(k: Computation<V, B>, signExponent: V): V => k.and(signExponent, k.constant(0x8000));
const infinity = <V, B>(k: Computation<V, B>, sign: V, flags = 0): Result<V> => [
  k.constant(INTEGER_BIT),
  ofSign(k, sign, INFINITE_EXPONENT),
  k.constant(flags),
];
const zeroOf = <V, B>(k: Computation<V, B>, sign: V): Result<V> => [k.constant(0), sign, k.constant(0)];

/** (a, control) of a function whose special cases for zero and infinity are `special`. */
function unary(
  name: string,
  special: <V, B>(k: Computation<V, B>, is: Is<B>, a: V, aSign: V, set: Set<V>) => void,
  finiteResult: <V, B>(k: Computation<V, B>, a: V, aSign: V, control: V, set: Set<V>) => void,
): Subroutine {
  return subroutine(`f80.${name}`, 3, 3, (k, a, aSign, control) => {
    const result = resultVariable(k);
    const [kind] = k.call(classify, a, aSign);
    const is = (c: keyof typeof NumberClass) => k.eq(kind, k.constant(NumberClass[c]));
    k.when(
      k.ltU(kind, k.constant(NumberClass.QUIET)),
      () =>
        k.when(
          k.either(is('ZERO'), is('INFINITE')),
          () => special(k, is, a, aSign, result.set),
          () => {
            finiteResult(k, a, aSign, control, result.set);
            const [m, s, flags] = result.get();
            result.set([m, s, k.or(flags, k.select(is('DENORMAL'), k.constant(X87Flag.DE), k.constant(0)))]);
          },
        ),
      () => result.set(k.call(propagate, a, aSign, a, aSign)),
    );
    return result.get();
  });
}

/** Sine, cosine and tangent: infinity is invalid. The caller has seen to it that |a| < 2^63 or a is special. */
function trigonometric(name: string, atZero: <V, B>(k: Computation<V, B>, aSign: V) => Result<V>): Subroutine {
  const body = finite(name);
  return unary(
    name,
    (k, is, _a, aSign, set) =>
      k.when(
        is('ZERO'),
        () => set(atZero(k, aSign)),
        () => set(invalid(k)),
      ),
    (k, a, aSign, control, set) => set(k.call(body, a, aSign, a, aSign, control)),
  );
}
export const sine = trigonometric('sine', (k, aSign) => zeroOf(k, aSign));
export const tangent = trigonometric('tangent', (k, aSign) => zeroOf(k, aSign));
export const cosine = trigonometric('cosine', (k) => [k.constant(INTEGER_BIT), k.constant(ONE_EXPONENT), k.constant(0)]);

const exponentialFinite = finite('exponential');
/** 2^a - 1; what is not from -1 to 1 stays as it is. */
export const exponential = unary(
  'exponential',
  (k, is, a, aSign, set) => {
    const minusOne = k.both(is('INFINITE'), k.ne(signOf(k, aSign), k.constant(0)));
    k.when(
      minusOne,
      () => set([k.constant(INTEGER_BIT), k.constant(0x8000 | ONE_EXPONENT), k.constant(0)]),
      () => set([a, aSign, k.constant(0)]),
    );
  },
  (k, a, aSign, control, set) => {
    const exponent = k.and(aSign, k.constant(0x7fff));
    const one = k.both(k.eq(exponent, k.constant(ONE_EXPONENT)), k.eq(a, k.constant(INTEGER_BIT)));
    k.when(
      k.either(one, k.ltU(exponent, k.constant(ONE_EXPONENT))),
      () => set(k.call(exponentialFinite, a, aSign, a, aSign, control)),
      () => set([a, aSign, k.constant(X87Flag.PE)]),
    );
  },
);

/** (x, y, control) of a function whose cases with a zero or an infinity are `special`. */
function binary(
  name: string,
  special: <V, B>(k: Computation<V, B>, x: Special<V, B>, y: Special<V, B>, control: V, set: Set<V>) => void,
  finiteResult: <V, B>(k: Computation<V, B>, x: readonly [V, V], y: readonly [V, V], control: V, set: Set<V>) => void,
): Subroutine {
  return subroutine(`f80.${name}`, 5, 3, (k, x, xSign, y, ySign, control) => {
    const result = resultVariable(k);
    const [xClass] = k.call(classify, x, xSign);
    const [yClass] = k.call(classify, y, ySign);
    const isOf = (kind: typeof x) => (c: keyof typeof NumberClass) => k.eq(kind, k.constant(NumberClass[c]));
    const xIs = isOf(xClass);
    const yIs = isOf(yClass);
    const notNumber = k.constant(NumberClass.QUIET);
    const oneIs = (c: keyof typeof NumberClass) => k.either(xIs(c), yIs(c));
    k.when(
      k.both(k.ltU(xClass, notNumber), k.ltU(yClass, notNumber)),
      () => {
        const negative = (sign: typeof x) => k.ne(signOf(k, sign), k.constant(0));
        k.when(
          k.either(oneIs('ZERO'), oneIs('INFINITE')),
          () =>
            special(
              k,
              { is: xIs, value: x, sign: xSign, negative: negative(xSign) },
              { is: yIs, value: y, sign: ySign, negative: negative(ySign) },
              control,
              result.set,
            ),
          () => finiteResult(k, [x, xSign], [y, ySign], control, result.set),
        );
        const [m, s, flags] = result.get();
        const early = k.ne(k.and(flags, k.constant(X87Flag.IE | X87Flag.ZE)), k.constant(0));
        const denormal = k.both(oneIs('DENORMAL'), k.negate(early));
        result.set([m, s, k.or(flags, k.select(denormal, k.constant(X87Flag.DE), k.constant(0)))]);
      },
      () => result.set(k.call(propagate, x, xSign, y, ySign)),
    );
    return result.get();
  });
}
interface Special<V, B> {
  readonly is: Is<B>;
  readonly value: V;
  readonly sign: V;
  readonly negative: B;
}

const angleFinite = finite('angle');
/** The angle of (x, y). */
export const angle = binary(
  'angle',
  (k, x, y, control, set) => {
    const sign = signOf(k, y.sign);
    const constant = (exponent: number, [high, low]: readonly [bigint, bigint]): void =>
      set(k.call(packFull, sign, k.constant(exponent), k.constant(high), k.constant(low), control));
    k.when(
      k.both(x.is('INFINITE'), y.is('INFINITE')),
      () =>
        k.when(
          x.negative,
          () => constant(1, THREE_QUARTERS_PI),
          () => constant(-1, PI),
        ),
      () =>
        k.when(
          k.either(y.is('ZERO'), x.is('INFINITE')),
          () =>
            k.when(
              x.negative,
              () => constant(1, PI),
              () => set(zeroOf(k, signBits(k, y.sign))),
            ),
          () => constant(0, PI),
        ),
    );
  },
  (k, x, y, control, set) => set(k.call(angleFinite, ...x, ...y, control)),
);

/** |x| < 1, for numbers that are not zero. */
const belowOne = <V, B>(k: Computation<V, B>, signExponent: V): B =>
  k.ltU(k.and(signExponent, k.constant(0x7fff)), k.constant(ONE_EXPONENT));
const isOne = <V, B>(k: Computation<V, B>, value: V, signExponent: V): B =>
  k.both(k.eq(value, k.constant(INTEGER_BIT)), k.eq(k.and(signExponent, k.constant(0x7fff)), k.constant(ONE_EXPONENT)));

const logarithmFinite = finite('logarithmTimes');
/** y * log2(x). */
export const logarithmTimes = binary(
  'logarithmTimes',
  (k, x, y, _control, set) => {
    const ySign = signBits(k, y.sign);
    const opposite = k.xor(ySign, k.constant(0x8000));
    k.when(
      x.is('ZERO'),
      () =>
        // Minus infinity times y.
        k.when(
          y.is('ZERO'),
          () => set(invalid(k)),
          () => {
            const flags = k.select(y.is('INFINITE'), k.constant(0), k.constant(X87Flag.ZE));
            set([k.constant(INTEGER_BIT), ofSign(k, opposite, INFINITE_EXPONENT), flags]);
          },
        ),
      () =>
        k.when(
          x.negative,
          () => set(invalid(k)),
          () =>
            k.when(
              x.is('INFINITE'),
              () =>
                k.when(
                  y.is('ZERO'),
                  () => set(invalid(k)),
                  () => set(infinity(k, ySign)),
                ),
              () => {
                const sign = k.select(belowOne(k, x.sign), opposite, ySign);
                k.when(
                  y.is('ZERO'),
                  () => set(zeroOf(k, sign)),
                  () =>
                    k.when(
                      isOne(k, x.value, x.sign),
                      () => set(invalid(k)),
                      () => set(infinity(k, sign)),
                    ),
                );
              },
            ),
        ),
    );
  },
  (k, [x, xSign], [y, ySign], control, set) =>
    k.when(
      k.ne(signOf(k, xSign), k.constant(0)),
      () => set(invalid(k)),
      () =>
        k.when(
          isOne(k, x, xSign),
          () => set(zeroOf(k, signBits(k, ySign))),
          () => set(k.call(logarithmFinite, x, xSign, y, ySign, control)),
        ),
    ),
);

const logarithmOfSumFinite = finite('logarithmOfSumTimes');
/** y * log2(x + 1); x for x <= -1, where there is no logarithm. */
export const logarithmOfSumTimes = binary(
  'logarithmOfSumTimes',
  (k, x, y, _control, set) => {
    const sign = signBits(k, k.xor(x.sign, y.sign));
    k.when(
      x.is('INFINITE'),
      () =>
        k.when(
          k.either(x.negative, y.is('ZERO')),
          () => set(invalid(k)),
          () => set(infinity(k, sign)),
        ),
      () =>
        k.when(
          y.is('INFINITE'),
          () =>
            k.when(
              x.is('ZERO'),
              () => set(invalid(k)),
              () => set(infinity(k, sign)),
            ),
          () => set(zeroOf(k, sign)),
        ),
    );
  },
  (k, [x, xSign], [y, ySign], control, set) =>
    k.when(
      k.both(k.ne(signOf(k, xSign), k.constant(0)), k.negate(belowOne(k, xSign))),
      () => set([x, xSign, k.constant(X87Flag.PE)]),
      () => set(k.call(logarithmOfSumFinite, x, xSign, y, ySign, control)),
    ),
);

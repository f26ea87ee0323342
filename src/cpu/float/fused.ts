/**
 * Fused multiplication and addition in binary32 and binary64, rounded once, as subroutines
 * `(a, b, c, MXCSR) -> (bits, flags)`: a * b + c. Bits 33:32 of the MXCSR argument negate the product and the addend.
 * A NaN among the operands is the result, the first in the order a, b, c; an invalid product of zero and infinity does not
 * count then.
 * Sources: SDM 1 §14.5.2 (FMA and NaNs), §4.9, §11.5.2 (exceptions).
 */
import type { Computation } from '../algebra.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
import { Mxcsr, MxcsrFlag } from './binary-format.ts';
import { type Exact, exactProduct, type Normalized } from './exact.ts';
import {
  type Apart,
  apart,
  indefiniteBits,
  infinityBits,
  isClass,
  isNumber,
  quietBit,
  SHORT_ROUTINES,
  shortResult,
} from './short-format.ts';
import { normalizeWide, shiftRightJam } from './wide.ts';

export const FusedControl = { NEGATE_PRODUCT: 1, NEGATE_ADDEND: 2 } as const;

const TOP_BIT = 1n << 63n;

/** The sum of a product, of at most 106 bits, and a number; high = 0: nothing is left. */
function sumWithProduct<V, B>(k: Computation<V, B>, product: Exact<V>, addend: Normalized<V>): Exact<V> {
  const zero = k.constant(0);
  const one = k.constant(1);
  const c = { sign: addend.sign, exponent: addend.exponent, high: addend.significand, low: zero };
  const sameHigh = k.both(k.eq(product.exponent, c.exponent), k.ltU(product.high, c.high));
  const swap = k.either(k.ltS(product.exponent, c.exponent), sameHigh);
  const pick = (part: keyof Exact<V>, first: B) => k.select(first, c[part], product[part]);
  const [sign, exponent, high, low] = (['sign', 'exponent', 'high', 'low'] as const).map((part) => pick(part, swap));
  const isProduct = k.negate(swap);
  const distance = k.sub(exponent, pick('exponent', isProduct));
  const [h, l] = k.call(shiftRightJam, pick('high', isProduct), pick('low', isProduct), distance);
  const resultHigh = k.variable(zero);
  const resultLow = k.variable(zero);
  const resultExponent = k.variable(exponent);
  k.when(
    k.eq(product.sign, c.sign),
    () => {
      const lowSum = k.add(low, l);
      const carry = k.word(k.ltU(lowSum, low));
      const partial = k.add(high, h);
      const total = k.add(partial, carry);
      resultHigh.set(total);
      resultLow.set(lowSum);
      k.when(k.either(k.ltU(partial, high), k.ltU(total, partial)), () => {
        resultHigh.set(k.or(k.shr(total, one), k.constant(TOP_BIT)));
        resultLow.set(k.or(k.or(k.shl(total, k.constant(63)), k.shr(lowSum, one)), k.and(lowSum, one)));
        resultExponent.set(k.add(exponent, one));
      });
    },
    () => {
      // With equal high words the lower ones may leave a negative difference: only when the product is the larger one.
      const difference = k.sub(k.sub(high, h), k.word(k.ltU(low, l)));
      const rest = k.sub(low, l);
      resultHigh.set(difference);
      resultLow.set(rest);
      k.when(k.ne(k.or(difference, rest), zero), () => {
        const [nh, nl, places] = k.call(normalizeWide, difference, rest);
        resultHigh.set(nh);
        resultLow.set(nl);
        resultExponent.set(k.sub(exponent, places));
      });
    },
  );
  return { sign, exponent: resultExponent.get(), high: resultHigh.get(), low: resultLow.get() };
}

/** The NaN that an operation with NaN operands gives. */
function propagated<V, B>(k: Computation<V, B>, width: 32 | 64, operands: readonly Apart<V>[]): V[] {
  const quiet = k.constant(quietBit(SHORT_ROUTINES[width].format));
  const [a, b, c] = operands;
  const bits = k.select(isNumber(k, a), k.select(isNumber(k, b), c.bits, b.bits), a.bits);
  const signaling = operands.map((operand) => isClass(k, operand, 'SIGNALING')).reduce((all, one) => k.either(all, one));
  return [k.or(bits, quiet), k.select(signaling, k.constant(MxcsrFlag.IE), k.constant(0))];
}

export function fusedMultiplyAdd(width: 32 | 64): Subroutine {
  const shared = SHORT_ROUTINES[width];
  return subroutine(`f${width}.fma`, 4, 2, (k, aBits, bBits, cBits, environment) => {
    const zero = k.constant(0);
    const one = k.constant(1);
    const control = k.shr(environment, k.constant(32));
    const a = apart(k, shared, aBits, environment);
    const b = apart(k, shared, bBits, environment);
    const given = apart(k, shared, cBits, environment);
    const productSign = k.xor(k.xor(a.sign, b.sign), k.and(control, one));
    const c = { ...given, sign: k.xor(given.sign, k.and(k.shr(control, one), one)) };
    const result = shortResult(k);
    const either = (kind: 'ZERO' | 'INFINITE' | 'DENORMAL') => k.either(isClass(k, a, kind), isClass(k, b, kind));
    const infinite = either('INFINITE');
    const noProduct = either('ZERO');
    const noAddend = isClass(k, c, 'ZERO');
    const infiniteAddend = isClass(k, c, 'INFINITE');
    const differ = k.ne(productSign, c.sign);
    const signed = (sign: typeof zero, magnitude: bigint) => k.or(k.shl(sign, k.constant(width - 1)), k.constant(magnitude));
    const down = k.word(k.eq(k.and(environment, k.constant(Mxcsr.RC)), k.constant(0x2000)));
    const pack = ({ sign, exponent, high, low }: Exact<typeof zero>) =>
      result.set(k.call(shared.pack, sign, exponent, high, low, environment));

    const finite = (): void => {
      k.when(
        noProduct,
        () =>
          k.when(
            noAddend,
            () => result.set([signed(k.select(differ, down, c.sign), 0n), zero]),
            () => pack({ sign: c.sign, exponent: c.exponent, high: c.significand, low: zero }),
          ),
        () => {
          const product = { ...exactProduct(k, a, b), sign: productSign };
          k.when(
            noAddend,
            () => pack(product),
            () => {
              const sum = sumWithProduct(k, product, c);
              k.when(
                k.eq(k.or(sum.high, sum.low), zero),
                () => result.set([signed(down, 0n), zero]),
                () => pack(sum),
              );
            },
          );
        },
      );
    };
    const numbers = (): void => {
      const invalid = k.both(infinite, k.either(noProduct, k.both(infiniteAddend, differ)));
      k.when(
        invalid,
        () => result.set([k.constant(indefiniteBits(shared.format)), k.constant(MxcsrFlag.IE)]),
        () => {
          const sign = k.select(infinite, productSign, c.sign);
          k.when(k.either(infinite, infiniteAddend), () => result.set([signed(sign, infinityBits(shared.format)), zero]), finite);
          const [bits, flags] = result.get();
          const denormal = k.either(either('DENORMAL'), isClass(k, c, 'DENORMAL'));
          result.set([bits, k.or(flags, k.select(denormal, k.constant(MxcsrFlag.DE), zero))]);
        },
      );
    };
    k.when(k.both(k.both(isNumber(k, a), isNumber(k, b)), isNumber(k, c)), numbers, () => result.set(propagated(k, width, [a, b, given])));
    return result.get();
  });
}

/**
 * Sum, product, quotient and root of numbers with normalized significands, before rounding: exponent and 128 bits, the
 * last of which stands for everything beyond. In line, for the routines of all formats.
 */
import type { Computation } from '../algebra.ts';
import { divideWide, multiplyWide, normalizeWide, shiftRightJam, squareRootWide } from './wide.ts';

const TOP_BIT = 1n << 63n;

/** The top bit of the significand is set. */
export interface Normalized<V> {
  readonly sign: V;
  readonly exponent: V;
  readonly significand: V;
}
/** (-1)^sign * high:low / 2^127 * 2^exponent, the top bit of high set. */
export interface Exact<V> {
  readonly sign: V;
  readonly exponent: V;
  readonly high: V;
  readonly low: V;
}

/** high = 0: nothing is left. */
export function exactSum<V, B>(k: Computation<V, B>, a: Normalized<V>, b: Normalized<V>): Exact<V> {
  const zero = k.constant(0);
  const one = k.constant(1);
  const sameExponent = k.eq(a.exponent, b.exponent);
  const swap = k.either(k.ltS(a.exponent, b.exponent), k.both(sameExponent, k.ltU(a.significand, b.significand)));
  const sign = k.select(swap, b.sign, a.sign);
  const exponent = k.select(swap, b.exponent, a.exponent);
  const large = k.select(swap, b.significand, a.significand);
  const small = k.select(swap, a.significand, b.significand);
  const distance = k.sub(exponent, k.select(swap, a.exponent, b.exponent));
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
    k.eq(a.sign, b.sign),
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
  return { sign, exponent: scale.get(), high: high.get(), low: low.get() };
}

export function exactProduct<V, B>(k: Computation<V, B>, a: Normalized<V>, b: Normalized<V>): Exact<V> {
  const [high, low] = k.call(multiplyWide, a.significand, b.significand);
  const top = k.shr(high, k.constant(63));
  const places = k.xor(top, k.constant(1));
  const h = k.or(k.shl(high, places), k.and(k.shr(low, k.constant(63)), places));
  const exponent = k.add(k.add(a.exponent, b.exponent), top);
  return { sign: k.xor(a.sign, b.sign), exponent, high: h, low: k.shl(low, places) };
}

export function exactQuotient<V, B>(k: Computation<V, B>, a: Normalized<V>, b: Normalized<V>): Exact<V> {
  const zero = k.constant(0);
  const one = k.constant(1);
  // a / b is in (1/2, 2): the dividend is a or a / 2, so that the quotient has its top bit set.
  const less = k.word(k.ltU(a.significand, b.significand));
  const halved = k.xor(less, one);
  const dividendLow = k.shl(k.and(a.significand, halved), k.constant(63));
  const [high, rest] = k.call(divideWide, k.shr(a.significand, halved), dividendLow, b.significand);
  // The remainder against half of the divisor.
  const other = k.sub(b.significand, rest);
  const above = k.select(k.ltU(rest, other), zero, k.constant(TOP_BIT));
  const sticky = k.word(k.both(k.ne(rest, zero), k.ne(rest, other)));
  const low = k.select(k.eq(rest, zero), zero, k.or(above, sticky));
  return { sign: k.xor(a.sign, b.sign), exponent: k.sub(k.sub(a.exponent, b.exponent), less), high, low };
}

/** Of a positive number. */
export function exactRoot<V, B>(k: Computation<V, B>, { exponent, significand }: Normalized<V>): Exact<V> {
  const zero = k.constant(0);
  // Radicand with an even exponent: the significand or half of it, and its root with the top bit set.
  const even = k.word(k.eq(k.and(exponent, k.constant(1)), zero));
  const below = k.shl(k.and(significand, even), k.constant(63));
  const [high, low] = k.call(squareRootWide, k.shr(significand, even), below);
  return { sign: zero, exponent: k.sar(exponent, k.constant(1)), high, low };
}

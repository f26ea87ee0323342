/**
 * Arithmetic on pairs of words, high word first, as subroutines: WebAssembly has no 64x64 to 128 bit multiplication and
 * no 128 by 64 bit division, so both are made of 32-bit halves.
 * Source: Knuth, The Art of Computer Programming 2, §4.3.1 (algorithms M and D); Zimmermann, Karatsuba Square Root (1999).
 */
import type { Computation } from '../algebra.ts';
import { subroutine } from '../subroutine.ts';

const LOW_HALF = 0xffff_ffffn;
const TOP_BIT = 1n << 63n;

/** a * b. */
export const multiplyWide = subroutine('wide.multiply', 2, 2, (k, a, b) => {
  const low = (word: typeof a) => k.and(word, k.constant(LOW_HALF));
  const high = (word: typeof a) => k.shr(word, k.constant(32));
  const cross = k.mul(low(a), high(b));
  const middle = k.add(k.add(high(k.mul(low(a), low(b))), low(cross)), k.mul(high(a), low(b)));
  return [k.add(k.add(k.mul(high(a), high(b)), high(cross)), high(middle)), k.mul(a, b)];
});

/** One 32-bit digit of a quotient: `high * 2^32 + next` by a divisor with its top bit set; the remainder stays below it. */
function quotientDigit<V, B>(k: Computation<V, B>, high: V, next: V, divisor: V): [digit: V, remainder: V] {
  const c32 = k.constant(32);
  const divisorHigh = k.shr(divisor, c32);
  const divisorLow = k.and(divisor, k.constant(LOW_HALF));
  const estimate = k.divU(high, divisorHigh);
  const digit = k.variable(estimate);
  const rest = k.variable(k.sub(high, k.mul(estimate, divisorHigh)));
  // At most two too large.
  for (let step = 0; step < 2; step++) {
    const q = digit.get();
    const r = rest.get();
    const tooLarge = k.either(k.ne(k.shr(q, c32), k.constant(0)), k.ltU(k.or(k.shl(r, c32), next), k.mul(q, divisorLow)));
    k.when(k.both(k.eq(k.shr(r, c32), k.constant(0)), tooLarge), () => {
      digit.set(k.sub(q, k.constant(1)));
      rest.set(k.add(r, divisorHigh));
    });
  }
  const q = digit.get();
  return [q, k.sub(k.or(k.shl(high, c32), next), k.mul(q, divisor))];
}

/** Quotient and remainder of high:low by a divisor with its top bit set; high < divisor. */
export const divideWide = subroutine('wide.divide', 3, 2, (k, high, low, divisor) => {
  const c32 = k.constant(32);
  const [q1, r1] = quotientDigit(k, high, k.shr(low, c32), divisor);
  const [q0, r0] = quotientDigit(k, r1, k.and(low, k.constant(LOW_HALF)), divisor);
  return [k.or(k.shl(q1, c32), q0), r0];
});

/** high:low shifted right, the lowest bit standing for everything that was shifted out. */
export const shiftRightJam = subroutine('wide.shiftRightJam', 3, 2, (k, high, low, count) => {
  const zero = k.constant(0);
  const c64 = k.constant(64);
  const upper = k.variable(zero);
  const lower = k.variable(zero);
  // x << (64 - n) for n in 0..63: two steps, so that n = 0 gives nothing.
  const out = (word: typeof high, n: typeof high) => k.shl(k.shl(word, k.constant(1)), k.sub(k.constant(63), n));
  k.when(
    k.ltU(count, c64),
    () => {
      upper.set(k.shr(high, count));
      const lost = k.word(k.ne(out(low, count), zero));
      lower.set(k.or(k.or(out(high, count), k.shr(low, count)), lost));
    },
    () => {
      const n = k.sub(count, c64);
      k.when(
        k.ltU(n, c64),
        () => lower.set(k.or(k.shr(high, n), k.word(k.ne(k.or(out(high, n), low), zero)))),
        () => lower.set(k.word(k.ne(k.or(high, low), zero))),
      );
    },
  );
  return [upper.get(), lower.get()];
});

/** Shifts high:low left until its top bit is set; also the number of places. high:low is not zero. */
export const normalizeWide = subroutine('wide.normalize', 2, 3, (k, high, low) => {
  const empty = k.eq(high, k.constant(0));
  const h = k.select(empty, low, high);
  const l = k.select(empty, k.constant(0), low);
  const n = k.clz(h);
  const fromBelow = k.shr(k.shr(l, k.constant(1)), k.sub(k.constant(63), n));
  const places = k.add(n, k.shl(k.word(empty), k.constant(6)));
  return [k.or(k.shl(h, n), fromBelow), k.shl(l, n), places];
});

/**
 * Square root of high:low, high >= 2^62: its integer part, and what is left as a word that compares with 2^63 as the
 * fraction does with 1/2: 0 exact, 1 below, 2^63 + 1 above (it is never 1/2).
 */
export const squareRootWide = subroutine('wide.squareRoot', 2, 2, (k, high, low) => {
  const zero = k.constant(0);
  const one = k.constant(1);
  const c32 = k.constant(32);
  // Root of the high word: from binary64, wrong by at most one.
  const halfRoot = k.f64sqrt(k.f64FromInteger(k.shr(high, k.constant(2))));
  const estimate = k.f64ToInteger(k.f64('add', halfRoot, halfRoot), true);
  const capped = k.select(k.ltU(estimate, k.constant(LOW_HALF)), estimate, k.constant(LOW_HALF));
  const notAbove = k.sub(capped, k.word(k.ltU(high, k.mul(capped, capped))));
  const next = k.add(notAbove, one);
  const more = k.both(k.ne(notAbove, k.constant(LOW_HALF)), k.negate(k.ltU(high, k.mul(next, next))));
  const top = k.add(notAbove, k.word(more));
  // The low half: (rest * 2^32 + upper half of low) / (2 top), which may need 65 bits: divide the half of it.
  const rest = k.sub(high, k.mul(top, top));
  const lowHigh = k.shr(low, c32);
  const q = k.divU(k.or(k.shl(rest, k.constant(31)), k.shr(lowHigh, one)), top);
  const u = k.sub(k.or(k.shl(rest, c32), lowHigh), k.shl(k.mul(q, top), one));
  const root = k.variable(k.add(k.shl(top, c32), q));
  // Remainder u * 2^32 + lower half of low - q^2, in two words.
  const minuend = k.or(k.shl(u, c32), k.and(low, k.constant(LOW_HALF)));
  const square = k.mul(q, q);
  const remainderLow = k.variable(k.sub(minuend, square));
  const borrow = k.word(k.ltU(minuend, square));
  const remainderHigh = k.variable(k.sub(k.sub(k.shr(u, c32), k.shr(q, c32)), borrow));
  k.when(k.ltS(remainderHigh.get(), zero), () => {
    const s = k.sub(root.get(), one);
    root.set(s);
    // + 2 s + 1
    const before = remainderLow.get();
    const sum = k.add(before, k.or(k.shl(s, one), one));
    remainderLow.set(sum);
    remainderHigh.set(k.add(k.add(remainderHigh.get(), k.shr(s, k.constant(63))), k.word(k.ltU(sum, before))));
  });
  const low64 = remainderLow.get();
  const any = k.word(k.ne(k.or(low64, remainderHigh.get()), zero));
  const above = k.either(k.ne(remainderHigh.get(), zero), k.ltU(root.get(), low64));
  return [root.get(), k.or(any, k.select(above, k.constant(TOP_BIT), zero))];
});

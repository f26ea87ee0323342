/** Conversions of SSE and SSE2 without MMX registers (SDM 1 §5.5.1.6, §5.6.1.6). */
import type { Algebra, Definition, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { INFINITE, magnitude, notDenormal, ordinary, safelyNormal } from './sse-arithmetic.ts';
import { compute, type Element, type ElementWidth, inexactIsFree, readScalar, roundsToNearest } from './sse-state.ts';
import { lowElements, readElements, rolesOf, vectorDefine, writeElements, writeLowest } from './vector-operands.ts';

/** WebAssembly's rounding is the right one and raises nothing new. */
function freeToRound<V, B>(k: Algebra<V, B>, mxcsr: V): B {
  return k.both(roundsToNearest(k, mxcsr), inexactIsFree(k, mxcsr));
}

/** A signed word to a float: exact when it is small, else when an inexact result is free. */
export function fromInteger<V, B>(k: Algebra<V, B>, to: ElementWidth, mxcsr: V, word: V): Element<V, B> {
  const bound = to === 64 ? 1n << 53n : 1n << 24n;
  const small = k.ltU(k.add(word, k.constant(bound)), k.constant(bound * 2n));
  const value = to === 64 ? k.f64FromInteger(word) : k.f32FromInteger(word);
  return { fast: k.either(small, freeToRound(k, mxcsr)), value, exact: `f${to}.from.i64`, a: word, b: word };
}

/** A float to a signed integer of `to` bits, zero-extended. */
export function toInteger<V, B>(k: Algebra<V, B>, from: ElementWidth, to: ElementWidth, truncate: boolean, mxcsr: V, a: V): Element<V, B> {
  const wide = from === 64 ? a : k.f32ToF64(a);
  const word = k.f64ToInteger(wide, truncate);
  // Below 2^(to - 2): rounding cannot lead out of range.
  const bound = k.constant(BigInt(1023 + to - 2) << 53n);
  const fits = k.ltU(magnitude(k, 64, wide), bound);
  const isInteger = k.eq(k.f64FromInteger(word), wide);
  const fast = k.both(fits, k.either(isInteger, freeToRound(k, mxcsr)));
  return { fast, value: k.zext(to, word), exact: `f${from}.${truncate ? 'trunc' : 'to'}.i${to}`, a, b: a };
}

function toOtherFormat<V, B>(k: Algebra<V, B>, from: ElementWidth, mxcsr: V, a: V): Element<V, B> {
  const exact = `f${from}.convert`;
  const m = magnitude(k, from, a);
  if (from === 32) return { fast: ordinary(k, 32, m), value: k.f32ToF64(a), exact, a, b: a };
  const value = k.f64ToF32(a);
  const zero = k.eq(m, k.constant(0));
  const silent = k.either(freeToRound(k, mxcsr), k.eq(k.f32ToF64(value), a));
  const rounds = k.both(silent, safelyNormal(k, 32, magnitude(k, 32, value)));
  const infinite = k.eq(m, k.constant(INFINITE[64]));
  const fast = k.both(notDenormal(k, 64, m), k.either(k.either(zero, infinite), rounds));
  return { fast, value, exact, a, b: a };
}

type Convert = <V, B>(k: Algebra<V, B>, mxcsr: V, a: V) => Element<V, B>;

/** Elements of `from` bits to as many of `to` bits; the rest of the destination is cleared. */
function packed(from: ElementWidth, to: ElementWidth, convert: Convert): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    const given = from < to ? lowElements(k, i, source, from, destination.width / to) : readElements(k, i, source, from);
    const mxcsr = k.field('mxcsr');
    const elements = given.map((a) => convert(k, mxcsr, a));
    compute(k, mxcsr, elements, (values) => {
      const filled = [...values];
      while (filled.length < 128 / to) filled.push(k.constant(0));
      writeElements(k, i, destination, to, filled);
    });
  };
}

export const sseConversion: Family = (plain) => {
  const define = vectorDefine(plain);
  for (const [suffix, width] of [
    ['SS', 32],
    ['SD', 64],
  ] as const) {
    define(`CVTSI2${suffix}`, (k, i) => {
      const { second } = rolesOf(i);
      const word = k.sext(second.width as Width, k.read(second));
      const mxcsr = k.field('mxcsr');
      compute(k, mxcsr, [fromInteger(k, width, mxcsr, word)], ([value]) => writeLowest(k, i, width, value));
    });
    for (const truncate of [false, true]) {
      define(`CVT${truncate ? 'T' : ''}${suffix}2SI`, (k, i) => {
        const [destination, source] = i.operands;
        const a = readScalar(k, source, width);
        const mxcsr = k.field('mxcsr');
        const one = toInteger(k, width, destination.width as ElementWidth, truncate, mxcsr, a);
        compute(k, mxcsr, [one], ([value]) => k.write(destination, value));
      });
    }
  }
  define('CVTSS2SD', (k, i) => {
    const mxcsr = k.field('mxcsr');
    const one = toOtherFormat(k, 32, mxcsr, readScalar(k, rolesOf(i).second, 32));
    compute(k, mxcsr, [one], ([value]) => writeLowest(k, i, 64, value));
  });
  define('CVTSD2SS', (k, i) => {
    const mxcsr = k.field('mxcsr');
    const one = toOtherFormat(k, 64, mxcsr, readScalar(k, rolesOf(i).second, 64));
    compute(k, mxcsr, [one], ([value]) => writeLowest(k, i, 32, value));
  });

  define(
    'CVTPS2PD',
    packed(32, 64, (k, mxcsr, a) => toOtherFormat(k, 32, mxcsr, a)),
  );
  define(
    'CVTPD2PS',
    packed(64, 32, (k, mxcsr, a) => toOtherFormat(k, 64, mxcsr, a)),
  );
  define(
    'CVTDQ2PS',
    packed(32, 32, (k, mxcsr, a) => fromInteger(k, 32, mxcsr, k.sext(32, a))),
  );
  define(
    'CVTDQ2PD',
    packed(32, 64, (k, mxcsr, a) => fromInteger(k, 64, mxcsr, k.sext(32, a))),
  );
  define(
    'CVTPS2DQ',
    packed(32, 32, (k, mxcsr, a) => toInteger(k, 32, 32, false, mxcsr, a)),
  );
  define(
    'CVTTPS2DQ',
    packed(32, 32, (k, mxcsr, a) => toInteger(k, 32, 32, true, mxcsr, a)),
  );
  define(
    'CVTPD2DQ',
    packed(64, 32, (k, mxcsr, a) => toInteger(k, 64, 32, false, mxcsr, a)),
  );
  define(
    'CVTTPD2DQ',
    packed(64, 32, (k, mxcsr, a) => toInteger(k, 64, 32, true, mxcsr, a)),
  );
};

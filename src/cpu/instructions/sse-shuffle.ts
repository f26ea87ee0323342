/**
 * Shuffles, unpacks, packs, blends and byte shifts of vectors (SDM 1 §5.5.1.5, §5.6.1.5, §5.6.3, §5.7.5, §5.8.5, §5.10).
 * Orders that come from the immediate are run-time values: the interpreter shares a handler among all immediates.
 */
import type { Algebra, Definition, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { elementsOf, type Vector, vectorOf } from './sse-state.ts';
import { lanewise, lanewiseUnary, lowElements, readLanes, rolesOf, vectorDefine, writeElements, writeLanes } from './vector-operands.ts';

/** 32-bit element `order` bits 2n+1:2n of a vector. */
export function chosenDoubleword<V, B>(k: Algebra<V, B>, [low, high]: Vector<V>, order: V, n: number): V {
  const index = k.shr(order, k.constant(2 * n));
  const half = k.select(k.eq(k.and(index, k.constant(2)), k.constant(0)), low, high);
  return k.zext(32, k.shr(half, k.shl(k.and(index, k.constant(1)), k.constant(5))));
}

/** The four words of one half in the order of the immediate. */
function orderedWords<V, B>(k: Algebra<V, B>, half: V): V {
  const order = k.immediate();
  const words = [0, 1, 2, 3].map((n) => {
    const index = k.and(k.shr(order, k.constant(2 * n)), k.constant(3));
    return k.shl(k.zext(16, k.shr(half, k.shl(index, k.constant(4)))), k.constant(16 * n));
  });
  return words.reduce((all, one) => k.or(all, one));
}

function interleave(width: Width, high: boolean): Definition {
  return lanewise((k, a, b) => {
    if (width === 64) return high ? [a[1], b[1]] : [a[0], b[0]];
    const half = high ? 1 : 0;
    const x = elementsOf(k, width, [a[half], a[half]]);
    const y = elementsOf(k, width, [b[half], b[half]]);
    const count = 64 / width;
    return vectorOf(
      k,
      width,
      Array.from({ length: count * 2 }, (_, n) => (n % 2 === 0 ? x : y)[n >> 1]),
    );
  });
}

/** a:b (b is lower) shifted right by a number of bytes, 32 and more giving zero. */
function concatenationShifted<V, B>(k: Algebra<V, B>, upper: Vector<V>, lower: Vector<V>, bytes: V): Vector<V> {
  const zero = k.constant(0);
  const words = [...lower, ...upper];
  const skip = k.shr(bytes, k.constant(3));
  const bits = k.and(k.shl(bytes, k.constant(3)), k.constant(63));
  const word = (index: number): V =>
    words.reduce((found, candidate, n) => (n < index ? found : k.select(k.eq(skip, k.constant(n - index)), candidate, found)), zero);
  const shifted = (index: number): V => {
    // The part of the next word, shifted in two steps so that 0 bits take nothing.
    const next = k.shl(k.shl(word(index + 1), k.constant(1)), k.sub(k.constant(63), bits));
    return k.or(k.shr(word(index), bits), next);
  };
  return [shifted(0), shifted(1)];
}

/** Elements of the second source where the immediate's bit is set; words have bits for one lane, which hold for both. */
export function blendByImmediate(width: Width): Definition {
  return lanewise((k, a, b, lane) => {
    const x = elementsOf(k, width, a);
    const y = elementsOf(k, width, b);
    const first = width === 16 ? 0 : (lane * 128) / width;
    const chosen = x.map((element, n) => {
      const bit = k.and(k.shr(k.immediate(), k.constant(n + first)), k.constant(1));
      return k.select(k.eq(bit, k.constant(0)), element, y[n]);
    });
    return vectorOf(k, width, chosen);
  });
}

/** Elements of the second source where the element of the mask, XMM0 or a fourth operand, has its top bit set. */
function blendByMask(width: Width): Definition {
  return (k, i) => {
    const { destination, first, second } = rolesOf(i);
    const y = readLanes(k, i, second);
    const x = readLanes(k, i, first);
    const mask: Vector<(typeof x)[0][0]>[] = i.row.vex ? readLanes(k, i, i.operands[3]) : [[k.field('xmm', 0), k.field('xmm', 1)]];
    const top = k.constant(1n << BigInt(width - 1));
    const lanes = x.map((lane, l) => {
      const control = elementsOf(k, width, mask[l]);
      const other = elementsOf(k, width, y[l]);
      return vectorOf(
        k,
        width,
        elementsOf(k, width, lane).map((element, n) => k.select(k.ltU(control[n], top), element, other[n])),
      );
    });
    writeLanes(k, i, destination, lanes);
  };
}

export const sseShuffle: Family = (plain) => {
  const define = vectorDefine(plain);
  define(
    'PSHUFD',
    lanewiseUnary((k, source) =>
      vectorOf(
        k,
        32,
        [0, 1, 2, 3].map((n) => chosenDoubleword(k, source, k.immediate(), n)),
      ),
    ),
  );
  define(
    'PSHUFLW',
    lanewiseUnary((k, [low, high]) => [orderedWords(k, low), high]),
  );
  define(
    'PSHUFHW',
    lanewiseUnary((k, [low, high]) => [low, orderedWords(k, high)]),
  );
  define(
    'SHUFPS',
    lanewise((k, a, b) =>
      vectorOf(
        k,
        32,
        [0, 1, 2, 3].map((n) => chosenDoubleword(k, n < 2 ? a : b, k.immediate(), n)),
      ),
    ),
  );
  define(
    'SHUFPD',
    lanewise((k, a, b, lane) => {
      const pick = ([low, high]: typeof a, bit: number) =>
        k.select(k.eq(k.and(k.shr(k.immediate(), k.constant(bit + 2 * lane)), k.constant(1)), k.constant(0)), low, high);
      return [pick(a, 0), pick(b, 1)];
    }),
  );
  define(
    'PSHUFB',
    lanewise((k, a, b) => {
      // Bits 6:4 of a control byte mean nothing; bit 7 clears, which an index beyond 15 does too.
      const used = k.constant(0x8f8f_8f8f_8f8f_8f8fn);
      return k.simd('i8x16.swizzle', a, [k.and(b[0], used), k.and(b[1], used)]);
    }),
  );

  define('PUNPCKLBW', interleave(8, false));
  define('PUNPCKLWD', interleave(16, false));
  define('PUNPCKLDQ UNPCKLPS', interleave(32, false));
  define('PUNPCKLQDQ UNPCKLPD', interleave(64, false));
  define('PUNPCKHBW', interleave(8, true));
  define('PUNPCKHWD', interleave(16, true));
  define('PUNPCKHDQ UNPCKHPS', interleave(32, true));
  define('PUNPCKHQDQ UNPCKHPD', interleave(64, true));
  define(
    'PACKSSWB',
    lanewise((k, a, b) => k.simd('i8x16.narrow_i16x8_s', a, b)),
  );
  define(
    'PACKUSWB',
    lanewise((k, a, b) => k.simd('i8x16.narrow_i16x8_u', a, b)),
  );
  define(
    'PACKSSDW',
    lanewise((k, a, b) => k.simd('i16x8.narrow_i32x4_s', a, b)),
  );
  define(
    'PACKUSDW',
    lanewise((k, a, b) => k.simd('i16x8.narrow_i32x4_u', a, b)),
  );

  define(
    'PALIGNR',
    lanewise((k, a, b) => concatenationShifted(k, a, b, k.and(k.immediate(), k.constant(255)))),
  );
  define('PSRLDQ', (k, i) => {
    const { destination, first } = rolesOf(i);
    const zero = k.constant(0);
    const count = k.and(k.immediate(), k.constant(255));
    writeLanes(
      k,
      i,
      destination,
      readLanes(k, i, first).map((lane) => concatenationShifted(k, [zero, zero], lane, count)),
    );
  });
  define('PSLLDQ', (k, i) => {
    const { destination, first } = rolesOf(i);
    const zero = k.constant(0);
    const count = k.and(k.immediate(), k.constant(255));
    const bytes = k.select(k.ltU(k.constant(16), count), k.constant(16), count);
    writeLanes(
      k,
      i,
      destination,
      readLanes(k, i, first).map((lane) => concatenationShifted(k, lane, [zero, zero], k.sub(k.constant(16), bytes))),
    );
  });

  define('PBLENDW', blendByImmediate(16));
  define('BLENDPS', blendByImmediate(32));
  define('BLENDPD', blendByImmediate(64));
  define('PBLENDVB', blendByMask(8));
  define('BLENDVPS', blendByMask(32));
  define('BLENDVPD', blendByMask(64));

  for (const [name, from, to] of [
    ['BW', 8, 16],
    ['BD', 8, 32],
    ['BQ', 8, 64],
    ['WD', 16, 32],
    ['WQ', 16, 64],
    ['DQ', 32, 64],
  ] as const) {
    for (const signed of [true, false]) {
      define(`PMOV${signed ? 'S' : 'Z'}X${name}`, (k, i) => {
        const [destination, source] = i.operands;
        const elements = lowElements(k, i, source, from, destination.width / to);
        writeElements(k, i, destination, to, signed ? elements.map((a) => k.sext(from, a)) : elements);
      });
    }
  }
};

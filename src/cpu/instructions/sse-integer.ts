/**
 * Packed integer arithmetic, comparisons and shifts of SSE2 (SDM 1 §5.6.3) and its successors (§5.8, §5.10, §5.11).
 * What WebAssembly has lane by lane is one vector operation of the algebra; the rest is made of words.
 */
import type { Algebra, Definition, SimdOperation, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { elementsOf, type Vector, vectorOf } from './sse-state.ts';
import { lanewise, lanewiseUnary, readLanes, rolesOf, vectorDefine, writeLanes } from './vector-operands.ts';

// biome-ignore format: a table reads better in columns of its own.
export const DIRECT: readonly (readonly [string, SimdOperation])[] = [
  ['PADDB', 'i8x16.add'], ['PADDW', 'i16x8.add'], ['PADDD', 'i32x4.add'], ['PADDQ', 'i64x2.add'],
  ['PSUBB', 'i8x16.sub'], ['PSUBW', 'i16x8.sub'], ['PSUBD', 'i32x4.sub'], ['PSUBQ', 'i64x2.sub'],
  ['PADDSB', 'i8x16.add_sat_s'], ['PADDSW', 'i16x8.add_sat_s'], ['PADDUSB', 'i8x16.add_sat_u'], ['PADDUSW', 'i16x8.add_sat_u'],
  ['PSUBSB', 'i8x16.sub_sat_s'], ['PSUBSW', 'i16x8.sub_sat_s'], ['PSUBUSB', 'i8x16.sub_sat_u'], ['PSUBUSW', 'i16x8.sub_sat_u'],
  ['PMINSB', 'i8x16.min_s'], ['PMINSW', 'i16x8.min_s'], ['PMINSD', 'i32x4.min_s'],
  ['PMINUB', 'i8x16.min_u'], ['PMINUW', 'i16x8.min_u'], ['PMINUD', 'i32x4.min_u'],
  ['PMAXSB', 'i8x16.max_s'], ['PMAXSW', 'i16x8.max_s'], ['PMAXSD', 'i32x4.max_s'],
  ['PMAXUB', 'i8x16.max_u'], ['PMAXUW', 'i16x8.max_u'], ['PMAXUD', 'i32x4.max_u'],
  ['PAVGB', 'i8x16.avgr_u'], ['PAVGW', 'i16x8.avgr_u'],
  ['PCMPEQB', 'i8x16.eq'], ['PCMPEQW', 'i16x8.eq'], ['PCMPEQD', 'i32x4.eq'], ['PCMPEQQ', 'i64x2.eq'],
  ['PCMPGTB', 'i8x16.gt_s'], ['PCMPGTW', 'i16x8.gt_s'], ['PCMPGTD', 'i32x4.gt_s'], ['PCMPGTQ', 'i64x2.gt_s'],
  ['PMULLW', 'i16x8.mul'], ['PMULLD', 'i32x4.mul'], ['PMADDWD', 'i32x4.dot_i16x8_s'],
];

const ONES = { 16: 0x0001_0001_0001_0001n, 32: 0x0000_0001_0000_0001n, 64: 1n } as const;

/** Element by element with words; elements are zero-extended, and only the low bits of results count. */
function byElement(width: Width, f: <V, B>(k: Algebra<V, B>, a: V, b: V) => V): Definition {
  return lanewise((k, a, b) => {
    const y = elementsOf(k, width, b);
    return vectorOf(
      k,
      width,
      elementsOf(k, width, a).map((x, n) => f(k, x, y[n])),
    );
  });
}

/** Body that shifts lanes by one count: a byte immediate, or the low quadword of a vector of 128 bits. */
function shift(f: <V, B>(k: Algebra<V, B>, count: V) => (lane: Vector<V>) => Vector<V>): Definition {
  return (k, i) => {
    const { destination, first, second } = rolesOf(i);
    const count = second.kind === 'immediate' ? k.and(k.immediate(), k.constant(0xff)) : k.read128(second, !i.row.vex)[0];
    writeLanes(k, i, destination, readLanes(k, i, first).map(f(k, count)));
  };
}

/** Logical shifts move both halves as words and cut off what came from the neighbour. */
function shiftLogical(width: 16 | 32 | 64, left: boolean): Definition {
  return shift((k, count) => {
    const all = k.constant((1n << BigInt(width)) - 1n);
    const moved = k.zext(width, left ? k.shl(all, count) : k.shr(all, count));
    const kept = k.select(k.ltU(count, k.constant(width)), k.mul(moved, k.constant(ONES[width])), k.constant(0));
    const shifted = (half: typeof count) => k.and(left ? k.shl(half, count) : k.shr(half, count), kept);
    return ([low, high]) => [shifted(low), shifted(high)];
  });
}

function shiftArithmetic(width: 16 | 32): Definition {
  return shift((k, given) => {
    const most = k.constant(width - 1);
    const count = k.select(k.ltU(given, most), given, most);
    return (lane) =>
      vectorOf(
        k,
        width,
        elementsOf(k, width, lane).map((a) => k.sar(k.sext(width, a), count)),
      );
  });
}

/** Bits 31:16 of eight 32-bit products. */
export function highWords<V, B>(k: Algebra<V, B>, low: Vector<V>, high: Vector<V>): Vector<V> {
  const words = [...elementsOf(k, 32, low), ...elementsOf(k, 32, high)];
  return vectorOf(
    k,
    16,
    words.map((product) => k.shr(product, k.constant(16))),
  );
}

/** Sum of the eight bytes of a word. */
export function byteSum<V, B>(k: Algebra<V, B>, word: V): V {
  const even = k.constant(0x00ff_00ff_00ff_00ffn);
  const pairs = k.add(k.and(word, even), k.and(k.shr(word, k.constant(8)), even));
  return k.shr(k.mul(pairs, k.constant(ONES[16])), k.constant(48));
}

export function saturated<V, B>(k: Algebra<V, B>, value: V): V {
  const low = k.constant(-0x8000);
  const high = k.constant(0x7fff);
  return k.select(k.ltS(value, low), low, k.select(k.ltS(high, value), high, value));
}

/** PSIGN: a with the sign of b, zero for zero. */
export function withSign<V, B>(k: Algebra<V, B>, width: Width, a: V, b: V): V {
  const zero = k.constant(0);
  const signed = k.sext(width, b);
  const negated = k.select(k.ltS(signed, zero), k.sub(zero, a), a);
  return k.select(k.eq(b, zero), zero, negated);
}

/** PMADDUBSW of one word: unsigned bytes of a, signed bytes of b. */
export function multiplyAddBytes<V, B>(k: Algebra<V, B>, a: V, b: V): V {
  const c8 = k.constant(8);
  const low = k.mul(k.zext(8, a), k.sext(8, b));
  const high = k.mul(k.shr(a, c8), k.sext(8, k.shr(b, c8)));
  return saturated(k, k.add(low, high));
}

/** PMULHRSW of one word. */
export function multiplyHighRounded<V, B>(k: Algebra<V, B>, a: V, b: V): V {
  const product = k.mul(k.sext(16, a), k.sext(16, b));
  return k.shr(k.add(k.shr(product, k.constant(14)), k.constant(1)), k.constant(1));
}

/** PHADDW and its kin: neighbours of the destination, then of the source. */
function horizontal(width: 16 | 32, subtract: boolean, saturate: boolean): Definition {
  return lanewise((k, a, b) => {
    const both = [...elementsOf(k, width, a), ...elementsOf(k, width, b)].map((x) => k.sext(width, x));
    const results: (typeof a)[0][] = [];
    for (let n = 0; n < both.length; n += 2) {
      const value = subtract ? k.sub(both[n], both[n + 1]) : k.add(both[n], both[n + 1]);
      results.push(saturate ? saturated(k, value) : value);
    }
    return vectorOf(k, width, results);
  });
}

export const sseInteger: Family = (plain) => {
  const define = vectorDefine(plain);
  for (const [mnemonic, operation] of DIRECT)
    define(
      mnemonic,
      lanewise((k, a, b) => k.simd(operation, a, b)),
    );

  define(
    'PMULHW',
    lanewise((k, a, b) => highWords(k, k.simd('i32x4.extmul_low_i16x8_s', a, b), k.simd('i32x4.extmul_high_i16x8_s', a, b))),
  );
  define(
    'PMULHUW',
    lanewise((k, a, b) => highWords(k, k.simd('i32x4.extmul_low_i16x8_u', a, b), k.simd('i32x4.extmul_high_i16x8_u', a, b))),
  );
  define(
    'PMULUDQ',
    byElement(64, (k, a, b) => k.mul(k.zext(32, a), k.zext(32, b))),
  );
  define(
    'PMULDQ',
    byElement(64, (k, a, b) => k.mul(k.sext(32, a), k.sext(32, b))),
  );
  define(
    'PSADBW',
    lanewise((k, a, b) => {
      const over = k.simd('i8x16.sub_sat_u', a, b);
      const under = k.simd('i8x16.sub_sat_u', b, a);
      return [byteSum(k, k.or(over[0], under[0])), byteSum(k, k.or(over[1], under[1]))];
    }),
  );

  for (const [suffix, width] of [
    ['W', 16],
    ['D', 32],
    ['Q', 64],
  ] as const) {
    define(`PSLL${suffix}`, shiftLogical(width, true));
    define(`PSRL${suffix}`, shiftLogical(width, false));
  }
  define('PSRAW', shiftArithmetic(16));
  define('PSRAD', shiftArithmetic(32));

  // SSSE3.
  for (const [suffix, width] of [
    ['B', 8],
    ['W', 16],
    ['D', 32],
  ] as const) {
    define(
      `PABS${suffix}`,
      lanewiseUnary((k, source) => {
        const zero = k.constant(0);
        const negative = k.simd(`i${width}x${128 / width}.sub` as SimdOperation, [zero, zero], source);
        // The lowest number is its own negative; as unsigned it is the smaller of neither.
        return k.simd(`i${width}x${128 / width}.min_u` as SimdOperation, source, negative);
      }),
    );
    define(
      `PSIGN${suffix}`,
      byElement(width, (k, a, b) => withSign(k, width, a, b)),
    );
  }
  define('PHADDW', horizontal(16, false, false));
  define('PHADDD', horizontal(32, false, false));
  define('PHADDSW', horizontal(16, false, true));
  define('PHSUBW', horizontal(16, true, false));
  define('PHSUBD', horizontal(32, true, false));
  define('PHSUBSW', horizontal(16, true, true));
  define(
    'PMADDUBSW',
    byElement(16, (k, a, b) => multiplyAddBytes(k, a, b)),
  );
  define(
    'PMULHRSW',
    byElement(16, (k, a, b) => multiplyHighRounded(k, a, b)),
  );

  // SSE4.1.
  define(
    'PHMINPOSUW',
    lanewiseUnary((k, source) => {
      // Value in the high part and position in the low part: the smallest is the first smallest.
      const keyed = elementsOf(k, 16, source).map((a, n) => k.or(k.shl(a, k.constant(16)), k.constant(n)));
      const least = keyed.reduce((best, one) => k.select(k.ltU(one, best), one, best));
      const position = k.shl(k.zext(16, least), k.constant(16));
      return [k.or(k.shr(least, k.constant(16)), position), k.constant(0)];
    }),
  );
  define(
    'MPSADBW',
    lanewise((k, a, b, lane) => {
      // Immediate: bit 2 chooses where the destination's bytes begin, bits 1:0 which four bytes of the source are compared;
      // bits 5:3 for the upper lane.
      const control = k.shr(k.immediate(), k.constant(3 * lane));
      const late = k.ne(k.and(control, k.constant(4)), k.constant(0));
      const bytes = elementsOf(k, 8, a);
      const window = Array.from({ length: 11 }, (_, n) => k.select(late, bytes[n + 4], bytes[n]));
      const half = k.select(k.ne(k.and(control, k.constant(2)), k.constant(0)), b[1], b[0]);
      const block = k.shr(half, k.shl(k.and(control, k.constant(1)), k.constant(5)));
      const four = elementsOf(k, 8, [block, block]).slice(0, 4);
      const distance = (x: typeof block, y: typeof block) => k.select(k.ltU(x, y), k.sub(y, x), k.sub(x, y));
      const sums = Array.from({ length: 8 }, (_, n) =>
        four.map((byte, at) => distance(window[n + at], byte)).reduce((sum, one) => k.add(sum, one)),
      );
      return vectorOf(k, 16, sums);
    }),
  );
};

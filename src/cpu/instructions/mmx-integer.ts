/**
 * Packed integer instructions of MMX (SDM 1 §5.4.2-5.4.6) and their successors with MMX registers (§5.5.2, §5.6.3, §5.8).
 * What works element by element is the low half of the vector operation of the same name.
 */
import type { Algebra, Definition, SimdOperation, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { joined, enterMmx, mmxDefine, partsOf, wordOperation } from './mmx-state.ts';
import { byteSum, DIRECT, highWords, multiplyAddBytes, multiplyHighRounded, saturated, withSign } from './sse-integer.ts';

/** Mnemonics of the table that exist with MMX registers. */
// biome-ignore format: a table reads better in columns of its own.
const WITH_MMX: ReadonlySet<string> = new Set([
  'PADDB', 'PADDW', 'PADDD', 'PADDQ', 'PSUBB', 'PSUBW', 'PSUBD', 'PSUBQ', 'PADDSB', 'PADDSW', 'PADDUSB', 'PADDUSW',
  'PSUBSB', 'PSUBSW', 'PSUBUSB', 'PSUBUSW', 'PMINSW', 'PMINUB', 'PMAXSW', 'PMAXUB', 'PAVGB', 'PAVGW',
  'PCMPEQB', 'PCMPEQW', 'PCMPEQD', 'PCMPGTB', 'PCMPGTW', 'PCMPGTD', 'PMULLW', 'PMADDWD',
]);

const ONES = { 16: 0x0001_0001_0001_0001n, 32: 0x0000_0001_0000_0001n, 64: 1n } as const;

function lowHalf<V, B>(k: Algebra<V, B>, operation: SimdOperation, a: V, b: V): V {
  const zero = k.constant(0);
  return k.simd(operation, [a, zero], [b, zero])[0];
}

function byElement(width: Width, f: <V, B>(k: Algebra<V, B>, a: V, b: V) => V): Definition {
  return wordOperation((k, a, b) => {
    const y = partsOf(k, width, b);
    return joined(
      k,
      width,
      partsOf(k, width, a).map((x, n) => f(k, x, y[n])),
    );
  });
}

/** A count in the immediate is one byte; `read` widens it as if it were signed. */
function count<V, B>(k: Algebra<V, B>, operand: Parameters<Algebra<V, B>['read']>[0]): V {
  return operand.kind === 'immediate' ? k.and(k.immediate(), k.constant(0xff)) : k.read(operand);
}

function shiftLogical(width: 16 | 32 | 64, left: boolean): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    const by = count(k, source);
    const all = k.constant((1n << BigInt(width)) - 1n);
    const moved = k.zext(width, left ? k.shl(all, by) : k.shr(all, by));
    const kept = k.select(k.ltU(by, k.constant(width)), k.mul(moved, k.constant(ONES[width])), k.constant(0));
    const word = k.read(destination);
    enterMmx(k);
    k.write(destination, k.and(left ? k.shl(word, by) : k.shr(word, by), kept));
  };
}

function shiftArithmetic(width: 16 | 32): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    const given = count(k, source);
    const most = k.constant(width - 1);
    const by = k.select(k.ltU(given, most), given, most);
    const parts = partsOf(k, width, k.read(destination));
    enterMmx(k);
    k.write(
      destination,
      joined(
        k,
        width,
        parts.map((part) => k.sar(k.sext(width, part), by)),
      ),
    );
  };
}

/** Eight elements of both operands, narrowed: the low half of narrowing one vector. */
const pack = (operation: SimdOperation): Definition =>
  wordOperation((k, a, b) => {
    const zero = k.constant(0);
    return k.simd(operation, [a, b], [zero, zero])[0];
  });

const interleave = (width: 8 | 16 | 32, high: boolean): Definition =>
  wordOperation((k, a, b) => {
    const half = 32 / width;
    const from = high ? half : 0;
    const x = partsOf(k, width, a);
    const y = partsOf(k, width, b);
    const order = Array.from({ length: half * 2 }, (_, n) => (n % 2 === 0 ? x : y)[from + (n >> 1)]);
    return joined(k, width, order);
  });

/** PHADDW and its kin: neighbours of the destination, then of the source. */
const horizontal = (width: 16 | 32, subtract: boolean, saturate: boolean): Definition =>
  wordOperation((k, a, b) => {
    const parts = [...partsOf(k, width, a), ...partsOf(k, width, b)].map((part) => k.sext(width, part));
    const pairs = Array.from({ length: parts.length / 2 }, (_, n) => [parts[2 * n], parts[2 * n + 1]]);
    const results = pairs.map(([x, y]) => (subtract ? k.sub(x, y) : k.add(x, y)));
    return joined(k, width, saturate ? results.map((sum) => saturated(k, sum)) : results);
  });

export const mmxInteger: Family = (plain) => {
  const define = mmxDefine(plain);
  for (const [mnemonic, operation] of DIRECT) {
    if (!WITH_MMX.has(mnemonic)) continue;
    define(
      mnemonic,
      wordOperation((k, a, b) => lowHalf(k, operation, a, b)),
    );
  }
  define(
    'PAND',
    wordOperation((k, a, b) => k.and(a, b)),
  );
  define(
    'PANDN',
    wordOperation((k, a, b) => k.and(k.not(a), b)),
  );
  define(
    'POR',
    wordOperation((k, a, b) => k.or(a, b)),
  );
  define(
    'PXOR',
    wordOperation((k, a, b) => k.xor(a, b)),
  );
  for (const [mnemonic, operation] of [
    ['PMULHW', 'i32x4.extmul_low_i16x8_s'],
    ['PMULHUW', 'i32x4.extmul_low_i16x8_u'],
  ] as const) {
    define(
      mnemonic,
      wordOperation((k, a, b) => {
        const zero = k.constant(0);
        return highWords(k, k.simd(operation, [a, zero], [b, zero]), [zero, zero])[0];
      }),
    );
  }
  define(
    'PMULUDQ',
    wordOperation((k, a, b) => k.mul(k.zext(32, a), k.zext(32, b))),
  );
  define(
    'PSADBW',
    wordOperation((k, a, b) => byteSum(k, k.or(lowHalf(k, 'i8x16.sub_sat_u', a, b), lowHalf(k, 'i8x16.sub_sat_u', b, a)))),
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
  define('PACKSSWB', pack('i8x16.narrow_i16x8_s'));
  define('PACKUSWB', pack('i8x16.narrow_i16x8_u'));
  define('PACKSSDW', pack('i16x8.narrow_i32x4_s'));
  for (const [suffix, width] of [
    ['BW', 8],
    ['WD', 16],
    ['DQ', 32],
  ] as const) {
    define(`PUNPCKL${suffix}`, interleave(width, false));
    define(`PUNPCKH${suffix}`, interleave(width, true));
  }

  // SSSE3.
  for (const [suffix, width] of [
    ['B', 8],
    ['W', 16],
    ['D', 32],
  ] as const) {
    define(
      `PABS${suffix}`,
      byElement(width, (k, _, b) => withSign(k, width, b, b)),
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
};

/**
 * What AVX and AVX2 add for whole vectors (SDM 1 §14.1.1, §14.6): broadcasts, inserts and extracts of lanes, permutations,
 * tests of signs, clearing of registers.
 */
import type { Algebra, Definition, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { CF, STATUS_FLAGS, ZF } from '../flags.ts';
import { blendByImmediate, chosenDoubleword } from './sse-shuffle.ts';
import { elementsOf, type Vector, vectorOf } from './sse-state.ts';
import { avxDefine, lanewise, lanewiseUnary, lowElements, readElements, readLanes, writeElements, writeLanes } from './vector-operands.ts';

function broadcast(width: Width): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    const [value] = lowElements(k, i, source, width, 1);
    writeElements(k, i, destination, width, new Array(destination.width / width).fill(value));
  };
}

/** The bit `at` of the immediate is set. */
function immediateBit<V, B>(k: Algebra<V, B>, at: number): B {
  return k.ne(k.and(k.immediate(), k.constant(1 << at)), k.constant(0));
}

function selectLane<V, B>(k: Algebra<V, B>, condition: B, whenTrue: Vector<V>, whenFalse: Vector<V>): Vector<V> {
  return [k.select(condition, whenTrue[0], whenFalse[0]), k.select(condition, whenTrue[1], whenFalse[1])];
}

/** One of several words, a power of two, by the low bits of an index. */
function wordAt<V, B>(k: Algebra<V, B>, words: readonly V[], index: V): V {
  let rest = [...words];
  for (let bit = 1; rest.length > 1; bit <<= 1) {
    const odd = k.ne(k.and(index, k.constant(bit)), k.constant(0));
    rest = Array.from({ length: rest.length / 2 }, (_, n) => k.select(odd, rest[2 * n + 1], rest[2 * n]));
  }
  return rest[0];
}

/** VPERM2F128: each lane is one of four, or zero. */
const permuteLanes: Definition = (k, i) => {
  const a = readLanes(k, i, i.operands[1]);
  const b = readLanes(k, i, i.operands[2]);
  const zero = k.constant(0);
  const lane = (at: number) => {
    const source = selectLane(
      k,
      immediateBit(k, at + 1),
      selectLane(k, immediateBit(k, at), b[1], b[0]),
      selectLane(k, immediateBit(k, at), a[1], a[0]),
    );
    return selectLane(k, immediateBit(k, at + 3), [zero, zero], source);
  };
  writeLanes(k, i, i.operands[0], [lane(0), lane(4)]);
};

const insertLane: Definition = (k, i) => {
  const [destination, first, second] = i.operands;
  const [inserted] = readLanes(k, i, second);
  const [lower, upper] = readLanes(k, i, first);
  const high = immediateBit(k, 0);
  writeLanes(k, i, destination, [selectLane(k, high, lower, inserted), selectLane(k, high, inserted, upper)]);
};

const extractLane: Definition = (k, i) => {
  const [destination, source] = i.operands;
  const [lower, upper] = readLanes(k, i, source);
  const lane = selectLane(k, immediateBit(k, 0), upper, lower);
  if (destination.kind === 'memory') k.write128(destination, lane[0], lane[1], false);
  else writeLanes(k, i, destination, [lane]);
};

/** Doublewords by indices in a vector or, within lanes, in the immediate. */
const permuteSingles: Definition = (k, i) => {
  const within: Definition =
    i.operands[2].kind === 'immediate'
      ? lanewiseUnary((k, source) =>
          vectorOf(
            k,
            32,
            [0, 1, 2, 3].map((n) => chosenDoubleword(k, source, k.immediate(), n)),
          ),
        )
      : lanewise((k, source, control) =>
          vectorOf(
            k,
            32,
            elementsOf(k, 32, control).map((index) => chosenDoubleword(k, source, index, 0)),
          ),
        );
  within(k, i);
};

const permuteDoubles: Definition = (k, i) => {
  const within: Definition =
    i.operands[2].kind === 'immediate'
      ? lanewiseUnary((k, source, lane) => {
          const pick = (n: number) => wordAt(k, source, k.shr(k.immediate(), k.constant(2 * lane + n)));
          return [pick(0), pick(1)];
        })
      : lanewise((k, source, control) => {
          const pick = (index: (typeof control)[0]) => wordAt(k, source, k.shr(index, k.constant(1)));
          return [pick(control[0]), pick(control[1])];
        });
  within(k, i);
};

const permuteDoublewords: Definition = (k, i) => {
  const words = readLanes(k, i, i.operands[2]).flat();
  const elements = readElements(k, i, i.operands[1], 32).map((index) => {
    const word = wordAt(k, words, k.shr(index, k.constant(1)));
    return k.zext(32, k.shr(word, k.shl(k.and(index, k.constant(1)), k.constant(5))));
  });
  writeElements(k, i, i.operands[0], 32, elements);
};

const permuteQuadwords: Definition = (k, i) => {
  const words = readLanes(k, i, i.operands[1]).flat();
  const chosen = words.map((_, n) => wordAt(k, words, k.shr(k.immediate(), k.constant(2 * n))));
  writeElements(k, i, i.operands[0], 64, chosen);
};

function testSigns(signs: bigint): Definition {
  return (k, i) => {
    const b = readLanes(k, i, i.operands[1]).flat();
    const a = readLanes(k, i, i.operands[0]).flat();
    const zero = k.constant(0);
    const any = (words: typeof a) =>
      k.and(
        words.reduce((all, word) => k.or(all, word)),
        k.constant(signs),
      );
    const both = any(a.map((word, n) => k.and(word, b[n])));
    const without = any(a.map((word, n) => k.and(k.not(word), b[n])));
    const zf = k.select(k.eq(both, zero), k.constant(ZF), zero);
    k.setFlags(STATUS_FLAGS, k.or(zf, k.select(k.eq(without, zero), k.constant(CF), zero)));
  };
}

/** Code outside 64-bit mode reaches eight registers only. */
function clearRegisters(fields: readonly ('xmm' | 'ymmHigh')[]): Definition {
  return (k, i) => {
    const words = i.mode === 64 ? 32 : 16;
    for (const field of fields) for (let n = 0; n < words; n++) k.setField(field, n, k.constant(0));
  };
}

/** VPSLLVD and its kin: each element by a count of its own, of which all bits count. */
function shiftByElements(width: 32 | 64, kind: 'left' | 'right' | 'arithmetic'): Definition {
  return lanewise((k, a, counts) => {
    const count = elementsOf(k, width, counts);
    const most = k.constant(width - 1);
    const shifted = elementsOf(k, width, a).map((x, n) => {
      const inRange = k.ltU(count[n], k.constant(width));
      if (kind === 'arithmetic') return k.sar(k.sext(width, x), k.select(inRange, count[n], most));
      return k.select(inRange, kind === 'left' ? k.shl(x, count[n]) : k.shr(x, count[n]), k.constant(0));
    });
    return vectorOf(k, width, shifted);
  });
}

export const avxLanes: Family = (plain) => {
  const define = avxDefine(plain);
  define('VBROADCASTSS VPBROADCASTD', broadcast(32));
  define('VBROADCASTSD VPBROADCASTQ', broadcast(64));
  define('VPBROADCASTB', broadcast(8));
  define('VPBROADCASTW', broadcast(16));
  define('VBROADCASTF128 VBROADCASTI128', (k, i) => {
    const [lane] = readLanes(k, i, i.operands[1]);
    writeLanes(k, i, i.operands[0], [lane, lane]);
  });
  define('VINSERTF128 VINSERTI128', insertLane);
  define('VEXTRACTF128 VEXTRACTI128', extractLane);
  define('VPERM2F128 VPERM2I128', permuteLanes);
  define('VPERMILPS', permuteSingles);
  define('VPERMILPD', permuteDoubles);
  define('VPERMD VPERMPS', permuteDoublewords);
  define('VPERMQ VPERMPD', permuteQuadwords);
  define('VPBLENDD', blendByImmediate(32));
  define('VTESTPS', testSigns(0x8000_0000_8000_0000n));
  define('VTESTPD', testSigns(1n << 63n));
  define('VZEROUPPER', clearRegisters(['ymmHigh']));
  define('VZEROALL', clearRegisters(['xmm', 'ymmHigh']));
  for (const [suffix, width] of [
    ['D', 32],
    ['Q', 64],
  ] as const) {
    define(`VPSLLV${suffix}`, shiftByElements(width, 'left'));
    define(`VPSRLV${suffix}`, shiftByElements(width, 'right'));
  }
  define('VPSRAVD', shiftByElements(32, 'arithmetic'));
};

/**
 * Moves of SSE and SSE2 (SDM 1 §5.5.1.1, §5.6.1.1, §5.6.3, §5.6.4), their successors up to SSE4.1, and inserts and
 * extracts. Non-temporal forms are ordinary stores.
 */
import type { Algebra, Definition, Facts, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { elementsOf, sseDefine, type Vector, vectorOf } from './sse-state.ts';
import {
  clearUpper,
  lanewiseUnary,
  readElements,
  readLanes,
  readLow,
  rolesOf,
  vectorDefine,
  writeLanes,
  writeLowest,
} from './vector-operands.ts';

const GENERAL_PROTECTION = 13;

function moveVector(aligned: boolean): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    const lanes = readLanes(k, i, source, aligned);
    if (destination.kind !== 'memory') writeLanes(k, i, destination, lanes);
    else if (lanes.length === 1) k.write128(destination, ...lanes[0], aligned);
    else k.write256(destination, lanes.flat(), aligned);
  };
}

/** MOVSS and MOVSD: a load clears the rest of the register, a move between registers keeps it. */
function moveScalar(width: 32 | 64): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    if (source.kind === 'memory') writeLanes(k, i, destination, [[k.read(source), k.constant(0)]]);
    else if (destination.kind === 'memory') k.write(destination, k.zext(width, k.readXmm(source, 0)));
    else writeLowest(k, i, width, k.zext(width, k.readXmm(rolesOf(i).second, 0)));
  };
}

/** Replaces one half of the first source. */
function writeHalf<V, B>(k: Algebra<V, B>, i: Facts, half: 0 | 1, value: V): void {
  const { destination, first } = rolesOf(i);
  if (i.row.vex) k.writeXmm(destination, half === 0 ? 1 : 0, k.readXmm(first, half === 0 ? 1 : 0));
  k.writeXmm(destination, half, value);
  clearUpper(k, i, destination);
}

/** One half of a register to or from memory. */
function moveHalf(half: 0 | 1): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    if (destination.kind === 'memory') k.write(destination, k.readXmm(source, half));
    else writeHalf(k, i, half, k.read(rolesOf(i).second));
  };
}

/** The top bits of bytes, gathered into the low byte by a multiplication. */
function byteSigns<V, B>(k: Algebra<V, B>, word: V): V {
  const signs = k.and(k.shr(word, k.constant(7)), k.constant(0x0101_0101_0101_0101n));
  return k.shr(k.mul(signs, k.constant(0x0102_0408_1020_4080n)), k.constant(56));
}

/** Element chosen by the immediate. */
function extracted<V, B>(k: Algebra<V, B>, width: Width, [low, high]: Vector<V>): V {
  const count = 64 / width;
  const index = k.and(k.immediate(), k.constant(count * 2 - 1));
  const half = k.select(k.ltU(index, k.constant(count)), low, high);
  return k.zext(width, k.shr(half, k.mul(index, k.constant(width))));
}

function inserted<V, B>(k: Algebra<V, B>, width: Width, [low, high]: Vector<V>, value: V): Vector<V> {
  const count = 64 / width;
  const index = k.and(k.immediate(), k.constant(count * 2 - 1));
  const at = k.mul(index, k.constant(width));
  const mask = k.not(k.shl(k.constant((1n << BigInt(width)) - 1n), at));
  const moved = k.shl(k.zext(width, value), at);
  const inLow = k.ltU(index, k.constant(count));
  const replaced = (half: V): V => k.or(k.and(half, mask), moved);
  return [k.select(inLow, replaced(low), low), k.select(inLow, high, replaced(high))];
}

function extract(width: Width): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    k.write(destination, extracted(k, width, k.read128(source, true)));
  };
}

function insert(width: Width): Definition {
  return (k, i) => {
    const { destination, first, second } = rolesOf(i);
    const value = k.read(second);
    writeLanes(k, i, destination, [inserted(k, width, k.read128(first, true), value)]);
  };
}

export const sseDataTransfer: Family = (plain) => {
  const define = vectorDefine(plain);
  const legacy = sseDefine(plain);
  define('MOVAPS MOVAPD MOVDQA MOVNTPS MOVNTPD MOVNTDQ MOVNTDQA', moveVector(true));
  define('MOVUPS MOVUPD MOVDQU LDDQU', moveVector(false));
  define('MOVSS', moveScalar(32));
  define('MOVSD', moveScalar(64));
  legacy('MOVNTSS', moveScalar(32));
  legacy('MOVNTSD', moveScalar(64));
  define('MOVLPS MOVLPD', moveHalf(0));
  define('MOVHPS MOVHPD', moveHalf(1));
  define('MOVHLPS', (k, i) => writeHalf(k, i, 0, k.readXmm(rolesOf(i).second, 1)));
  define('MOVLHPS', (k, i) => writeHalf(k, i, 1, k.readXmm(rolesOf(i).second, 0)));
  define('MOVD MOVQ', (k, i) => {
    const [destination, source] = i.operands;
    const value = source.kind === 'xmm' ? k.readXmm(source, 0) : k.read(source);
    if (destination.kind === 'xmm') writeLanes(k, i, destination, [[value, k.constant(0)]]);
    else k.write(destination, k.zext(destination.width as Width, value));
  });
  define('MOVMSKPS', (k, i) => {
    const signs = readElements(k, i, i.operands[1], 32).map((a, n) => k.shl(k.shr(a, k.constant(31)), k.constant(n)));
    k.write(
      i.operands[0],
      signs.reduce((all, one) => k.or(all, one)),
    );
  });
  define('MOVMSKPD', (k, i) => {
    const signs = readElements(k, i, i.operands[1], 64).map((a, n) => k.shl(k.shr(a, k.constant(63)), k.constant(n)));
    k.write(
      i.operands[0],
      signs.reduce((all, one) => k.or(all, one)),
    );
  });
  define('PMOVMSKB', (k, i) => {
    const signs = readElements(k, i, i.operands[1], 64).map((word, n) => k.shl(byteSigns(k, word), k.constant(8 * n)));
    k.write(
      i.operands[0],
      signs.reduce((all, one) => k.or(all, one)),
    );
  });
  define('MASKMOVDQU', (k, i) => {
    const address = k.effectiveAddress();
    const mask = k.constant((1n << BigInt(i.addressSize)) - 1n);
    const bytes = elementsOf(k, 8, k.read128(i.operands[0], true));
    const chosen = elementsOf(k, 8, k.read128(i.operands[1], true)).map((byte) => k.ltU(k.constant(0x7f), byte));
    const at = (n: number): typeof address => k.and(k.add(address, k.constant(n)), mask);
    for (const [n, condition] of chosen.entries()) k.when(condition, () => k.probeStore(8, 'operand', at(n)));
    for (const [n, condition] of chosen.entries()) k.when(condition, () => k.store(8, 'operand', at(n), bytes[n]));
  });

  define('PEXTRB', extract(8));
  define('PEXTRW', extract(16));
  define('PEXTRD EXTRACTPS', extract(32));
  define('PEXTRQ', extract(64));
  define('PINSRB', insert(8));
  define('PINSRW', insert(16));
  define('PINSRD', insert(32));
  define('PINSRQ', insert(64));
  define('INSERTPS', (k, i) => {
    // Immediate: bits 7:6 source element (of a register), 5:4 destination element, 3:0 elements to clear.
    const { destination, first, second: source } = rolesOf(i);
    const control = k.immediate();
    const field = (at: number, mask: number): typeof control => k.and(k.shr(control, k.constant(at)), k.constant(mask));
    let value: typeof control;
    if (source.kind === 'xmm') {
      const index = field(6, 3);
      const half = k.select(k.ltU(index, k.constant(2)), k.readXmm(source, 0), k.readXmm(source, 1));
      value = k.zext(32, k.shr(half, k.shl(index, k.constant(5))));
    } else value = k.read(source);
    const target = field(4, 3);
    const elements = elementsOf(k, 32, k.read128(first, true)).map((old, n) => {
      const merged = k.select(k.eq(target, k.constant(n)), value, old);
      return k.select(k.eq(field(n, 1), k.constant(0)), merged, k.constant(0));
    });
    writeLanes(k, i, destination, [vectorOf(k, 32, elements)]);
  });

  define('MOVDDUP', (k, i) => {
    const [destination, source] = i.operands;
    const low = destination.width === 256 ? readLanes(k, i, source).map(([word]) => word) : readLow(k, i, source, 64);
    writeLanes(
      k,
      i,
      destination,
      low.map((word) => [word, word]),
    );
  });
  define(
    'MOVSLDUP',
    lanewiseUnary((k, source) => {
      const [a, , b] = elementsOf(k, 32, source);
      return vectorOf(k, 32, [a, a, b, b]);
    }),
  );
  define(
    'MOVSHDUP',
    lanewiseUnary((k, source) => {
      const [, a, , b] = elementsOf(k, 32, source);
      return vectorOf(k, 32, [a, a, b, b]);
    }),
  );

  // MXCSR as data. Bits that the processor does not have raise #GP (SDM 2A LDMXCSR).
  define('LDMXCSR', (k, i) => {
    const value = k.read(i.operands[0]);
    const reserved = k.not(k.field('mxcsrMask'));
    k.when(k.ne(k.and(value, reserved), k.constant(0)), () => k.fault(GENERAL_PROTECTION, 0));
    k.setField('mxcsr', 0, value);
  });
  define('STMXCSR', (k, i) => k.write(i.operands[0], k.field('mxcsr')));
};

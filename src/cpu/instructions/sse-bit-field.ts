/**
 * Bit fields of SSE4A, AMD's own: EXTRQ and INSERTQ. Length and index are 6 bits each, a length of zero means 64. The upper
 * half of the result is undefined, and so is a field that reaches over bit 63; both are here what Zen processors do.
 * Source: AMD APM 4 (EXTRQ, INSERTQ).
 */
import type { Algebra, Facts } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { sseDefine } from './sse-state.ts';

/** The low `length` bits. */
function fieldMask<V, B>(k: Algebra<V, B>, length: V): V {
  const bits = k.and(length, k.constant(63));
  // Shifts take their count modulo 64, so that a length of 64 shifts by nothing.
  return k.shr(k.constant(-1), k.sub(k.constant(0), bits));
}

/** Length and index, from the immediates or from a word of the last operand. */
function lengthAndIndex<V, B>(k: Algebra<V, B>, i: Facts, half: 0 | 1): [length: V, index: V] {
  const byImmediate = i.operands.length > 2;
  const word = byImmediate ? k.constant(0) : k.readXmm(i.operands[1], half);
  const length = byImmediate ? k.immediate() : word;
  const index = byImmediate ? k.immediate2() : k.shr(word, k.constant(8));
  return [length, k.and(index, k.constant(63))];
}

export const sseBitField: Family = (plain) => {
  const define = sseDefine(plain);
  define('EXTRQ', (k, i) => {
    const [length, index] = lengthAndIndex(k, i, 0);
    const value = k.and(k.shr(k.readXmm(i.operands[0], 0), index), fieldMask(k, length));
    k.writeXmm(i.operands[0], 0, value);
    k.writeXmm(i.operands[0], 1, k.constant(0));
  });
  define('INSERTQ', (k, i) => {
    const [length, index] = lengthAndIndex(k, i, 1);
    const mask = fieldMask(k, length);
    const inserted = k.shl(k.and(k.readXmm(i.operands[1], 0), mask), index);
    const kept = k.and(k.readXmm(i.operands[0], 0), k.not(k.shl(mask, index)));
    k.writeXmm(i.operands[0], 0, k.or(kept, inserted));
    k.writeXmm(i.operands[0], 1, k.constant(0));
  });
};

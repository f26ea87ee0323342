/**
 * Basic arithmetic of the x87 unit (SDM 1 §8.3.5): FADD, FSUB, FMUL, FDIV with their reversed, popping and integer forms,
 * and what works on ST(0) alone: FSQRT, FRNDINT, FABS, FCHS.
 */
import type { Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { add, divide, multiply, squareRoot, subtract } from '../float/extended-arithmetic.ts';
import { roundToInteger } from '../float/extended-conversion.ts';
import { resultVariable } from '../float/extended-format.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
import {
  commit,
  fromMemory,
  MEMORY_FORMATS,
  type MemoryFormat,
  raise,
  readStack,
  stackRegister,
  stackUnderflow,
  writeStack,
  x87Define,
} from './x87-state.ts';

/** (i of a, i of b, i of the destination, registers to pop). */
function onRegisters(name: string, operation: Subroutine): Subroutine {
  return subroutine(`x87.${name}`, 4, 0, (k, aIndex, bIndex, to, pops) => {
    const [a, aSign, aEmpty] = stackRegister(k, aIndex);
    const [b, bSign, bEmpty] = stackRegister(k, bIndex);
    const result = resultVariable(k);
    k.when(
      k.ne(k.or(aEmpty, bEmpty), k.constant(0)),
      () => result.set(stackUnderflow(k)),
      () => result.set(k.call(operation, a, aSign, b, bSign, k.field('fpuControl'))),
    );
    commit(k, result.get(), to, pops);
    return [];
  });
}

/** (memory operand: bits, or an integer as a word; 1 when it is the first operand): with ST(0). */
function withMemory(name: string, operation: Subroutine, format: MemoryFormat): Subroutine {
  return subroutine(`x87.${name}.${format}`, 2, 0, (k, bits, reversed) => {
    const zero = k.constant(0);
    const [m, mSign, denormal] = fromMemory(k, format, bits);
    const [s, sSign, empty] = stackRegister(k, zero);
    const result = resultVariable(k);
    k.when(
      k.ne(empty, zero),
      () => result.set(stackUnderflow(k)),
      () => {
        const swap = k.ne(reversed, zero);
        const first = [k.select(swap, m, s), k.select(swap, mSign, sSign)];
        const second = [k.select(swap, s, m), k.select(swap, sSign, mSign)];
        result.set(k.call(operation, ...first, ...second, k.or(k.field('fpuControl'), denormal)));
      },
    );
    commit(k, result.get(), zero, zero);
    return [];
  });
}

/** An operation on ST(0) and the control word. */
function onTop(name: string, operation: Subroutine): Subroutine {
  return subroutine(`x87.${name}`, 0, 0, (k) => {
    const zero = k.constant(0);
    const [a, aSign, empty] = k.call(readStack, zero);
    const result = resultVariable(k);
    k.when(
      k.ne(empty, zero),
      () => result.set(stackUnderflow(k)),
      () => result.set(k.call(operation, a, aSign, k.field('fpuControl'))),
    );
    commit(k, result.get(), zero, zero);
    return [];
  });
}

const OPERATIONS = [
  ['ADD', add, false],
  ['SUB', subtract, true],
  ['MUL', multiply, false],
  ['DIV', divide, true],
] as const;

export const x87Arithmetic: Family = (plain) => {
  const define = x87Define(plain);
  for (const [name, operation, hasReverse] of OPERATIONS) {
    const registers = onRegisters(name, operation);
    const [single, double, integer] = MEMORY_FORMATS.map((format) => withMemory(name, operation, format));
    for (const reversed of hasReverse ? [false, true] : [false]) {
      const mnemonic = `${name}${reversed ? 'R' : ''}`;
      define(`F${mnemonic} F${mnemonic}P`, (k, i) => {
        const [to, from] = i.operands;
        if (to.kind === 'memory') {
          k.call(to.width === 32 ? single : double, k.read(to), k.constant(reversed ? 1 : 0));
          return;
        }
        // The first operand is the destination, the second for reversed forms.
        const [a, b] = (reversed ? [from, to] : [to, from]).map((operand) => k.stackIndex(operand));
        const pops = k.constant(i.row.mnemonic.endsWith('P') ? 1 : 0);
        k.call(registers, a, b, k.stackIndex(to), pops);
      });
      define(`FI${mnemonic}`, (k, i) => {
        const [operand] = i.operands;
        k.call(integer, k.sext(operand.width as Width, k.read(operand)), k.constant(reversed ? 1 : 0));
      });
    }
  }
  for (const [mnemonic, operation] of [
    ['FSQRT', squareRoot],
    ['FRNDINT', roundToInteger],
  ] as const) {
    const body = onTop(mnemonic, operation);
    define(mnemonic, (k) => void k.call(body));
  }

  // (mask that is kept, bits that are flipped) of the sign: no number is invalid here.
  const setSign = subroutine('x87.setSign', 2, 0, (k, kept, flipped) => {
    const zero = k.constant(0);
    const [significand, signExponent, empty] = k.call(readStack, zero);
    const result = resultVariable(k);
    k.when(
      k.ne(empty, zero),
      () => result.set(stackUnderflow(k)),
      () => result.set([significand, k.xor(k.and(signExponent, kept), flipped), zero]),
    );
    const [m, s, flags] = result.get();
    const [ended] = k.call(raise, flags);
    k.when(k.eq(ended, zero), () => void k.call(writeStack, zero, m, s));
    return [];
  });
  define('FABS', (k) => void k.call(setSign, k.constant(0x7fff), k.constant(0)));
  define('FCHS', (k) => void k.call(setSign, k.constant(0xffff), k.constant(0x8000)));
};

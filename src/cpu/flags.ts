/**
 * Status flags as formulas over the algebra: bits of the named operations, and the condition codes.
 * Every engine that does not defer flags uses these; a deferring one (interpreter/deferred-flags.ts) must agree with them.
 * Sources: SDM 1 §3.4.3.1, SDM 2A appendix B.1.4.7 (condition test field).
 */
import type { Algebra, FlagOperation, Width } from './algebra.ts';

export const CF = 0x1n;
export const PF = 0x4n;
export const AF = 0x10n;
export const ZF = 0x40n;
export const SF = 0x80n;
export const OF = 0x800n;
export const DF = 0x400n;
export const STATUS_FLAGS = CF | PF | AF | ZF | SF | OF;

/** What {@link Algebra.shiftFlags} replaces. */
export const SHIFT_FLAGS = CF | OF | ZF | SF | PF;

export function flagMask(operation: FlagOperation): bigint {
  return operation === 'inc' || operation === 'dec' ? STATUS_FLAGS & ~CF : STATUS_FLAGS;
}

/** ZF, SF and PF of a result, as RFLAGS bits. */
export function resultFlags<V, B>(k: Algebra<V, B>, width: Width, result: V): V {
  const one = k.constant(1);
  const zero = k.shl(k.word(k.eq(result, k.constant(0))), k.constant(6));
  const sign = k.and(k.shr(result, k.constant(width - 8)), k.constant(0x80));
  const odd = k.and(k.popcnt(k.and(result, k.constant(0xff))), one);
  const parity = k.shl(k.xor(odd, one), k.constant(2));
  return k.or(k.or(zero, sign), parity);
}

/** CF in bit 0 and OF in bit 11 from words that hold 0 or 1. */
export const carryAndOverflow = <V, B>(k: Algebra<V, B>, carry: V, overflow: V): V => k.or(carry, k.shl(overflow, k.constant(11)));

/** Bit `width - 1` of a word, moved to bit `to`. */
function topBit<V, B>(k: Algebra<V, B>, width: Width, word: V, to: number): V {
  const from = width - 1;
  const moved = from >= to ? k.shr(word, k.constant(from - to)) : k.shl(word, k.constant(to - from));
  return k.and(moved, k.constant(1n << BigInt(to)));
}

/** The bits of {@link flagMask} after an operation: a and b are its operands, r its result, all zero-extended. */
export function flagBits<V, B>(k: Algebra<V, B>, operation: FlagOperation, width: Width, a: V, b: V, r: V): V {
  const result = resultFlags(k, width, r);
  if (operation === 'logic') return result;
  const auxiliary = k.and(k.xor(k.xor(a, b), r), k.constant(AF));
  const adds = operation === 'add' || operation === 'adc' || operation === 'inc';
  // Overflow: both operands differ from the result in sign (addition); operands differ and the result differs from a.
  const overflowWord = adds ? k.and(k.xor(a, r), k.xor(b, r)) : k.and(k.xor(a, b), k.xor(a, r));
  const bits = k.or(k.or(result, auxiliary), topBit(k, width, overflowWord, 11));
  switch (operation) {
    case 'inc':
    case 'dec':
      return bits;
    case 'add':
      return k.or(bits, k.word(k.ltU(r, a)));
    case 'sub':
      return k.or(bits, k.word(k.ltU(a, b)));
    case 'adc': {
      // Carry out of the top bit: (a & b) | ((a | b) & ~r).
      const carries = k.or(k.and(a, b), k.and(k.or(a, b), k.not(r)));
      return k.or(bits, topBit(k, width, carries, 0));
    }
    case 'sbb': {
      const borrows = k.or(k.and(k.not(a), b), k.and(k.or(k.not(a), b), r));
      return k.or(bits, topBit(k, width, borrows, 0));
    }
  }
}

/** Condition code `code` (0..15) from a word with RFLAGS bits. */
export function conditionOf<V, B>(k: Algebra<V, B>, code: number, flags: V): B {
  const zero = k.constant(0);
  const any = (mask: bigint): B => k.ne(k.and(flags, k.constant(mask)), zero);
  const less = (): B => k.ne(k.and(k.xor(k.shr(flags, k.constant(4)), flags), k.constant(SF)), zero);
  const test = (): B => {
    switch (code >> 1) {
      case 0:
        return any(OF);
      case 1:
        return any(CF);
      case 2:
        return any(ZF);
      case 3:
        return any(CF | ZF);
      case 4:
        return any(SF);
      case 5:
        return any(PF);
      case 6:
        return less();
      default:
        return k.either(less(), any(ZF));
    }
  };
  const condition = test();
  return (code & 1) === 1 ? k.negate(condition) : condition;
}

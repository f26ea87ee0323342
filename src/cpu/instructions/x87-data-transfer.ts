/**
 * Data transfer and stack management of the x87 unit (SDM 1 §8.3.3, §8.3.4, §8.3.11): loads and stores of all formats,
 * constants, exchanges, conditional moves, FFREE.
 */
import type { Algebra, Definition } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { DECIMAL_INDEFINITE, fromDecimal, loaded, narrow, toDecimal, toInteger, widen } from '../float/extended-conversion.ts';
import { INDEFINITE, resultVariable } from '../float/extended-format.ts';
import { X87Flag } from '../float/rounding.ts';
import { DOUBLE, type ShortFormat, SINGLE } from '../float/short-format.ts';
import { subroutine } from '../subroutine.ts';
import {
  commit,
  moveTop,
  pop,
  push,
  pushed,
  raise,
  raised,
  raiseKeepingC1,
  raiseStoring,
  readMemory,
  readStack,
  setRegister,
  setStatus,
  stackRegister,
  stackUnderflow,
  writeStack,
  x87Define,
} from './x87-state.ts';

const UNDERFLOW = X87Flag.IE | X87Flag.SF;
const TRUNCATE = 0xc00;

/** Significand cut off at 64 bits, sign and exponent, and 1 when the next bit is set. */
const CONSTANTS = [
  ['FLD1', 0x8000_0000_0000_0000n, 0x3fff, 0, true],
  ['FLDL2T', 0xd49a_784b_cd1b_8afen, 0x4000, 0, false],
  ['FLDL2E', 0xb8aa_3b29_5c17_f0bbn, 0x3fff, 1, false],
  ['FLDPI', 0xc90f_daa2_2168_c234n, 0x4000, 1, false],
  ['FLDLG2', 0x9a20_9a84_fbcf_f798n, 0x3ffd, 1, false],
  ['FLDLN2', 0xb172_17f7_d1cf_79abn, 0x3ffe, 1, false],
  ['FLDZ', 0n, 0, 0, true],
] as const;

/** (significand cut off, sign and exponent, the next bit): pushes an irrational constant, rounded by RC. */
const pushConstant = subroutine('x87.pushConstant', 3, 0, (k, significand, signExponent, nextBit) => {
  const rounding = k.and(k.field('fpuControl'), k.constant(0xc00));
  const upward = k.word(k.eq(rounding, k.constant(0x800)));
  const up = k.select(k.eq(rounding, k.constant(0)), nextBit, upward);
  k.call(push, k.add(significand, up), signExponent, k.constant(0));
  return [];
});

/** (bits): pushes a number in short format. */
const pushFloat = (format: ShortFormat) =>
  subroutine(`x87.pushF${format.width}`, 1, 0, (k, bits) => {
    const [significand, signExponent, denormal] = widen(k, format, bits);
    const special = k.eq(k.and(signExponent, k.constant(0x7fff)), k.constant(0x7fff));
    k.when(
      k.either(special, k.ne(denormal, k.constant(0))),
      () => void k.call(push, ...k.call(loaded, significand, signExponent, denormal)),
      () => pushed(k, significand, signExponent, k.constant(0)),
    );
    return [];
  });
const pushSingle = pushFloat(SINGLE);
const pushDouble = pushFloat(DOUBLE);

/** (i): pushes a copy of ST(i). */
const pushCopy = subroutine('x87.pushCopy', 1, 0, (k, i) => {
  const [significand, signExponent, empty] = stackRegister(k, i);
  const isEmpty = k.ne(empty, k.constant(0));
  const m = k.select(isEmpty, k.constant(INDEFINITE.significand), significand);
  const s = k.select(isEmpty, k.constant(INDEFINITE.signExponent), signExponent);
  pushed(k, m, s, k.select(isEmpty, k.constant(UNDERFLOW), k.constant(0)));
  return [];
});

/** (i, registers to pop): stores ST(0) in ST(i). */
const copyTo = subroutine('x87.copyTo', 2, 0, (k, i, pops) => {
  const [significand, signExponent, empty] = stackRegister(k, k.constant(0));
  const isEmpty = k.ne(empty, k.constant(0));
  const m = k.select(isEmpty, k.constant(INDEFINITE.significand), significand);
  const s = k.select(isEmpty, k.constant(INDEFINITE.signExponent), signExponent);
  commit(k, [m, s, k.select(isEmpty, k.constant(UNDERFLOW), k.constant(0))], i, pops);
  return [];
});

/** (i): FSTP that raises nothing: an empty ST(0) leaves ST(i) as it is. The manuals do not list it. */
const copyUnchecked = subroutine('x87.copyUnchecked', 1, 0, (k, i) => {
  const zero = k.constant(0);
  const [significand, signExponent, empty] = k.call(readStack, zero);
  k.when(k.eq(empty, zero), () => void k.call(writeStack, i, significand, signExponent));
  setStatus(k, X87Flag.C1, zero);
  k.call(pop, k.constant(1));
  return [];
});

/** -> bits, 1 when nothing is to be stored. */
const storing = (format: ShortFormat, indefinite: bigint) =>
  subroutine(`x87.storeF${format.width}`, 0, 2, (k) => {
    const [significand, signExponent, empty] = stackRegister(k, k.constant(0));
    const bits = k.variable(k.constant(indefinite));
    const flags = k.variable(k.constant(UNDERFLOW));
    k.when(k.eq(empty, k.constant(0)), () => {
      const [converted, raised] = narrow(k, format, significand, signExponent, k.field('fpuControl'));
      bits.set(converted);
      flags.set(raised);
    });
    return [bits.get(), raised(k, raiseStoring, flags.get())];
  });
const storeSingle = storing(SINGLE, 0xffc0_0000n);
const storeDouble = storing(DOUBLE, 0xfff8_0000_0000_0000n);

/** (RC bits to set, lowest integer of the format) -> integer as a word, 1 when nothing is to be stored. */
const storeInteger = subroutine('x87.storeInteger', 2, 2, (k, rounding, lowest) => {
  const [significand, signExponent, empty] = k.call(readStack, k.constant(0));
  const value = k.variable(lowest);
  const flags = k.variable(k.constant(UNDERFLOW));
  k.when(k.eq(empty, k.constant(0)), () => {
    const control = k.or(k.field('fpuControl'), rounding);
    const [converted, raised] = k.call(toInteger, significand, signExponent, control, lowest);
    value.set(converted);
    flags.set(raised);
  });
  return [value.get(), ...k.call(raise, flags.get())];
});

/** -> low 64 bits, upper 16, 1 when nothing is to be stored. */
const storeDecimal = subroutine('x87.storeDecimal', 0, 3, (k) => {
  const [significand, signExponent, empty] = k.call(readStack, k.constant(0));
  const result = resultVariable(k);
  result.set([k.constant(DECIMAL_INDEFINITE.low), k.constant(DECIMAL_INDEFINITE.high), k.constant(UNDERFLOW)]);
  k.when(k.eq(empty, k.constant(0)), () => {
    result.set(k.call(toDecimal, significand, signExponent, k.field('fpuControl')));
  });
  const [low, high, flags] = result.get();
  return [low, high, ...k.call(raise, flags)];
});

/** -> register, 1 when nothing is to be stored. */
const storeExtended = subroutine('x87.storeF80', 0, 3, (k) => {
  const [significand, signExponent, empty] = k.call(readStack, k.constant(0));
  const result = resultVariable(k);
  k.when(
    k.eq(empty, k.constant(0)),
    () => result.set([significand, signExponent, k.constant(0)]),
    () => result.set(stackUnderflow(k)),
  );
  const [m, s, flags] = result.get();
  return [m, s, ...k.call(raise, flags)];
});

/** (i): exchanges ST(0) and ST(i). */
const exchange = subroutine('x87.exchange', 1, 0, (k, i) => {
  const zero = k.constant(0);
  const [a, aSign, aEmpty] = stackRegister(k, zero);
  const [b, bSign, bEmpty] = stackRegister(k, i);
  const ended = raised(k, raise, k.select(k.eq(k.or(aEmpty, bEmpty), zero), zero, k.constant(UNDERFLOW)));
  k.when(k.eq(ended, zero), () => {
    const fill = (empty: typeof a, significand: typeof a, signExponent: typeof a) => [
      k.select(k.ne(empty, zero), k.constant(INDEFINITE.significand), significand),
      k.select(k.ne(empty, zero), k.constant(INDEFINITE.signExponent), signExponent),
    ];
    const [first, second] = [fill(aEmpty, a, aSign), fill(bEmpty, b, bSign)];
    setRegister(k, i, first[0], first[1]);
    setRegister(k, zero, second[0], second[1]);
  });
  return [];
});

/** (i, condition): moves ST(i) to ST(0). */
const conditionalMove = subroutine('x87.conditionalMove', 2, 0, (k, i, condition) => {
  const zero = k.constant(0);
  const [a, aSign, aEmpty] = k.call(readStack, zero);
  const [b, bSign, bEmpty] = k.call(readStack, i);
  const result = resultVariable(k);
  k.when(
    k.eq(k.or(aEmpty, bEmpty), zero),
    () => {
      const moves = k.ne(condition, zero);
      result.set([k.select(moves, b, a), k.select(moves, bSign, aSign), zero]);
    },
    () => result.set(stackUnderflow(k)),
  );
  const [m, s, flags] = result.get();
  const [ended] = k.call(raiseKeepingC1, flags);
  k.when(k.eq(ended, zero), () => void k.call(writeStack, zero, m, s));
  return [];
});

/** (i, registers to pop). */
const free = subroutine('x87.free', 2, 0, (k, i, pops) => {
  const register = k.and(k.add(k.shr(k.field('fpuStatus'), k.constant(11)), i), k.constant(7));
  k.setField('fpuTag', 0, k.and(k.field('fpuTag'), k.not(k.shl(k.constant(1), register))));
  k.when(k.ne(pops, k.constant(0)), () => void k.call(pop, pops));
  return [];
});

/** An 80-bit memory operand: its low 64 bits and the rest. */
function read80<V, B>(k: Algebra<V, B>): [V, V] {
  const at = k.effectiveAddress();
  return [k.load(64, 'operand', at), k.load(16, 'operand', k.add(at, k.constant(8)))];
}

/** Stores what `value` gives in a memory operand of 80 bits and pops, unless the last word is 1. */
const store80 =
  (value: typeof storeExtended): Definition =>
  (k) => {
    const at = k.effectiveAddress();
    const upper = k.add(at, k.constant(8));
    k.probeStore(64, 'operand', at);
    k.probeStore(16, 'operand', upper);
    const [low, high, ended] = k.call(value);
    k.when(k.eq(ended, k.constant(0)), () => {
      k.store(64, 'operand', at, low);
      k.store(16, 'operand', upper, high);
      k.call(pop, k.constant(1));
    });
  };

/** Stores a number of up to 64 bits, and pops for mnemonics in P. */
const storeShort =
  (value: <V, B>(k: Algebra<V, B>, width: number) => V[], pops: boolean): Definition =>
  (k, i) => {
    const width = i.operands[0].width as 16 | 32 | 64;
    const at = k.effectiveAddress();
    k.probeStore(width, 'operand', at);
    const [bits, ended] = value(k, width);
    k.when(k.eq(ended, k.constant(0)), () => {
      k.store(width, 'operand', at, bits);
      if (pops) k.call(pop, k.constant(1));
    });
  };

// biome-ignore format: a table reads better in columns of its own.
const CONDITIONAL_MOVES = [
  ['FCMOVB', 2], ['FCMOVNB', 3], ['FCMOVE', 4], ['FCMOVNE', 5],
  ['FCMOVBE', 6], ['FCMOVNBE', 7], ['FCMOVU', 10], ['FCMOVNU', 11],
] as const;

export const x87DataTransfer: Family = (plain) => {
  const define = x87Define(plain);
  define('FLD', (k, i) => {
    const [operand] = i.operands;
    if (operand.kind === 'x87') k.call(pushCopy, k.stackIndex(operand));
    else if (operand.width === 80) k.call(push, ...read80(k), k.constant(0));
    else k.call(operand.width === 32 ? pushSingle : pushDouble, k.read(operand));
  });
  define('FILD', (k, i) => void k.call(push, ...readMemory(k, i.operands[0], true)));
  define('FBLD', (k) => void k.call(push, ...k.call(fromDecimal, ...read80(k)), k.constant(0)));
  for (const [mnemonic, significand, signExponent, nextBit, exact] of CONSTANTS) {
    define(mnemonic, (k) => {
      if (exact) k.call(push, k.constant(significand), k.constant(signExponent), k.constant(0));
      else k.call(pushConstant, k.constant(significand), k.constant(signExponent), k.constant(nextBit));
    });
  }

  const float = (pops: boolean): Definition => {
    const short = storeShort((k, width) => k.call(width === 32 ? storeSingle : storeDouble), pops);
    const extended = store80(storeExtended);
    return (k, i) => {
      const [operand] = i.operands;
      if (operand.kind === 'x87') k.call(copyTo, k.stackIndex(operand), k.constant(pops ? 1 : 0));
      else if (operand.width === 80) extended(k, i);
      else short(k, i);
    };
  };
  define('FST', float(false));
  define('FSTP', float(true));
  define('FSTPNCE', (k, i) => void k.call(copyUnchecked, k.stackIndex(i.operands[0])));
  const integer = (rounding: number, pops: boolean): Definition =>
    storeShort((k, width) => k.call(storeInteger, k.constant(rounding), k.constant(1n << BigInt(width - 1))), pops);
  define('FIST', integer(0, false));
  define('FISTP', integer(0, true));
  define('FISTTP', integer(TRUNCATE, true));
  define('FBSTP', store80(storeDecimal));

  define('FXCH', (k, i) => void k.call(exchange, k.stackIndex(i.operands[0])));
  for (const [mnemonic, code] of CONDITIONAL_MOVES) {
    define(mnemonic, (k, i) => void k.call(conditionalMove, k.stackIndex(i.operands[1]), k.word(k.condition(code))));
  }
  define('FFREE', (k, i) => void k.call(free, k.stackIndex(i.operands[0]), k.constant(0)));
  define('FFREEP', (k, i) => void k.call(free, k.stackIndex(i.operands[0]), k.constant(1)));
  const rotate =
    (by: number): Definition =>
    (k) => {
      moveTop(k, by);
      setStatus(k, X87Flag.C1, k.constant(0));
    };
  define('FINCSTP', rotate(1));
  define('FDECSTP', rotate(-1));
  define('FNOP', () => {});
};

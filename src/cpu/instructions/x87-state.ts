/**
 * What all x87 instructions have in common: whether they may execute, the register stack, raising exceptions.
 * Registers are reached through TOP; the tag word holds one bit a physical register, 1 = not empty.
 * Sources: SDM 1 §8.1.2-8.1.7, §8.4-8.7; SDM 3A §2.5 (CR0.MP, EM, TS, NE), §13.4.
 */
import type { Operand } from '../../x86/instruction.ts';
import type { Algebra, Computation } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { fromDouble, fromInteger, fromSingle, widen } from '../float/extended-conversion.ts';
import { INDEFINITE, type Result } from '../float/extended-format.ts';
import { X87Flag } from '../float/rounding.ts';
import { DOUBLE, SINGLE } from '../float/short-format.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';

const DEVICE_NOT_AVAILABLE = 7;
const FLOATING_POINT_ERROR = 16;
const CR0_EM = 4;
const CR0_TS = 8;
const CR0_NE = 0x20;

/** Exception summary and busy, set together (SDM 1 §8.1.3.3). */
export const PENDING = 0x8080;
export const CONDITION_CODES = { C0: 0x100, C1: 0x200, C2: 0x400, C3: 0x4000 } as const;
const TOP_SHIFT = 11;
const TOP = 7 << TOP_SHIFT;
const EXCEPTIONS = 0x3f;
/** Found before anything is computed: unmasked, they end the instruction. */
const BEFORE = X87Flag.IE | X87Flag.DE | X87Flag.ZE;

export type Define = Parameters<Family>[0];

/** #NM with CR0.EM or CR0.TS. */
export function checkAvailable<V, B>(k: Algebra<V, B>): void {
  const off = k.and(k.field('cr0'), k.constant(CR0_EM | CR0_TS));
  k.when(k.ne(off, k.constant(0)), () => k.fault(DEVICE_NOT_AVAILABLE));
}

/**
 * #MF for a pending unmasked exception.
 * DEVIATION: with CR0.NE clear a PC raises IRQ 13; here execution goes on, as under IGNNE#.
 */
export function checkPending<V, B>(k: Algebra<V, B>): void {
  const zero = k.constant(0);
  k.when(k.ne(k.and(k.field('fpuStatus'), k.constant(0x80)), zero), () => {
    k.when(k.ne(k.and(k.field('cr0'), k.constant(CR0_NE)), zero), () => k.fault(FLOATING_POINT_ERROR));
  });
}

/** A `define` for waiting instructions. */
export const x87Define =
  (define: Define): Define =>
  (mnemonics, body) =>
    define(mnemonics, (k, i) => {
      checkAvailable(k);
      checkPending(k);
      body(k, i);
    });

/** Index of the physical register of ST(i). */
function physical<V, B>(k: Computation<V, B>, i: V): V {
  return k.and(k.add(k.shr(k.field('fpuStatus'), k.constant(TOP_SHIFT)), i), k.constant(7));
}
const bitOf = <V, B>(k: Computation<V, B>, register: V): V => k.shl(k.constant(1), register);

/** Register ST(i), and 1 when it is empty. In line, for routines of frequent instructions. */
export function stackRegister<V, B>(k: Computation<V, B>, i: V): [significand: V, signExponent: V, empty: V] {
  const register = physical(k, i);
  const at = k.shl(register, k.constant(1));
  const valid = k.and(k.shr(k.field('fpuTag'), register), k.constant(1));
  return [k.element('st', at), k.element('st', k.or(at, k.constant(1))), k.xor(valid, k.constant(1))];
}

/** i, as {@link stackRegister}. */
export const readStack = subroutine('x87.read', 1, 3, (k, i) => stackRegister(k, i));

/** ST(i) becomes a value, not empty. */
export function setRegister<V, B>(k: Computation<V, B>, i: V, significand: V, signExponent: V): void {
  const register = physical(k, i);
  const at = k.shl(register, k.constant(1));
  k.setElement('st', at, significand);
  k.setElement('st', k.or(at, k.constant(1)), signExponent);
  k.setField('fpuTag', 0, k.or(k.field('fpuTag'), bitOf(k, register)));
}

/** (i, register), as {@link setRegister}. */
export const writeStack = subroutine('x87.write', 3, 0, (k, i, significand, signExponent) => {
  setRegister(k, i, significand, signExponent);
  return [];
});

/** Moves TOP by a number of registers. */
export function moveTop<V, B>(k: Computation<V, B>, by: number): void {
  const status = k.field('fpuStatus');
  const top = k.constant(7 << TOP_SHIFT);
  const moved = k.and(k.add(status, k.constant(by << TOP_SHIFT)), top);
  k.setField('fpuStatus', 0, k.or(k.and(status, k.not(top)), moved));
}

/** ST(0) becomes empty, and TOP the next register; as often as the argument says. */
export const pop = subroutine('x87.pop', 1, 0, (k, count) => {
  k.times(count, () => {
    const register = physical(k, k.constant(0));
    k.setField('fpuTag', 0, k.and(k.field('fpuTag'), k.not(bitOf(k, register))));
    moveTop(k, 1);
  });
  return [];
});

/** Replaces bits of the status word. */
export function setStatus<V, B>(k: Computation<V, B>, mask: number, bits: V): void {
  k.setField('fpuStatus', 0, k.or(k.and(k.field('fpuStatus'), k.constant(~BigInt(mask))), bits));
}

/**
 * Records exceptions (with C1, and SF of a stack fault) in the status word. 1: one that is found before computing is not
 * masked, so nothing else changes.
 */
export const raise = subroutine('x87.raise', 1, 1, (k, flags) => {
  const zero = k.constant(0);
  const unmasked = k.and(k.and(flags, k.not(k.field('fpuControl'))), k.constant(EXCEPTIONS));
  const early = k.ne(k.and(unmasked, k.constant(BEFORE)), zero);
  const stackFault = k.ne(k.and(flags, k.constant(X87Flag.SF)), zero);
  const kept = k.select(stackFault, k.constant(BEFORE | X87Flag.SF | X87Flag.C1), k.constant(BEFORE));
  const pending = k.select(k.ne(unmasked, zero), k.constant(PENDING), zero);
  setStatus(k, X87Flag.C1, k.or(pending, k.select(early, k.and(flags, kept), flags)));
  return [k.word(early)];
});

/** As {@link raise} for the instructions that leave C1 as it is, except on a stack fault. */
export const raiseKeepingC1 = subroutine('x87.raiseKeepingC1', 1, 1, (k, flags) => {
  const stackFault = k.ne(k.and(flags, k.constant(X87Flag.SF)), k.constant(0));
  const c1 = k.select(stackFault, k.constant(0), k.and(k.field('fpuStatus'), k.constant(X87Flag.C1)));
  const [early] = k.call(raise, flags);
  k.setField('fpuStatus', 0, k.or(k.field('fpuStatus'), c1));
  return [early];
});

/** As {@link raise} for a result that goes to memory, which unmasked overflow and underflow keep from it too. */
export const raiseStoring = subroutine('x87.raiseStoring', 1, 1, (k, flags) => {
  const unmasked = k.and(k.and(flags, k.not(k.field('fpuControl'))), k.constant(X87Flag.OE | X87Flag.UE));
  const kept = k.ne(unmasked, k.constant(0));
  // Nothing was rounded then.
  const [early] = k.call(raise, k.select(kept, k.and(flags, k.constant(~BigInt(X87Flag.PE | X87Flag.C1))), flags));
  return [k.or(early, k.word(kept))];
});

/** What a subroutine of the kind of {@link raise} says of flags; in line when there are none. */
export function raised<V, B>(k: Computation<V, B>, how: Subroutine, flags: V): V {
  return k.choose(
    k.eq(flags, k.constant(0)),
    () => {
      setStatus(k, X87Flag.C1, k.constant(0));
      return k.constant(0);
    },
    () => k.call(how, flags)[0],
  );
}

/** (flags, i, register, registers to pop): the end of an operation whose result goes to ST(i). */
export const finish = subroutine('x87.finish', 5, 0, (k, flags, i, significand, signExponent, pops) => {
  const [ended] = k.call(raise, flags);
  k.when(k.eq(ended, k.constant(0)), () => {
    k.call(writeStack, i, significand, signExponent);
    k.call(pop, pops);
  });
  return [];
});

/** As {@link finish} with at most one register to pop. In line: what raises no unmasked exception needs nothing else. */
export function commit<V, B>(k: Computation<V, B>, [significand, signExponent, flags]: Result<V>, i: V, pops: V): void {
  const c7 = k.constant(7);
  const unmasked = k.and(k.and(flags, k.not(k.field('fpuControl'))), k.constant(EXCEPTIONS));
  k.when(
    k.eq(unmasked, k.constant(0)),
    () => {
      const status = k.field('fpuStatus');
      const top = k.and(k.shr(status, k.constant(TOP_SHIFT)), c7);
      const register = k.and(k.add(top, i), c7);
      const at = k.shl(register, k.constant(1));
      k.setElement('st', at, significand);
      k.setElement('st', k.or(at, k.constant(1)), signExponent);
      const filled = k.or(k.field('fpuTag'), bitOf(k, register));
      k.setField('fpuTag', 0, k.and(filled, k.not(k.shl(pops, top))));
      const moved = k.shl(k.and(k.add(top, pops), c7), k.constant(TOP_SHIFT));
      k.setField('fpuStatus', 0, k.or(k.and(status, k.constant(~BigInt(TOP | X87Flag.C1))), k.or(moved, flags)));
    },
    () => void k.call(finish, flags, i, significand, signExponent, pops),
  );
}

/** The masked response to an empty register. */
export function stackUnderflow<V, B>(k: Computation<V, B>): Result<V> {
  return [k.constant(INDEFINITE.significand), k.constant(INDEFINITE.signExponent), k.constant(X87Flag.IE | X87Flag.SF)];
}

/** The register that a push would write is not empty. */
export function isFull<V, B>(k: Computation<V, B>): B {
  return k.ne(k.and(k.field('fpuTag'), bitOf(k, physical(k, k.constant(7)))), k.constant(0));
}

/** (register, flags): decrements TOP and stores there; on a register that is not empty, stack overflow. */
const pushRaising = subroutine('x87.pushRaising', 3, 0, (k, significand, signExponent, flags) => {
  const zero = k.constant(0);
  const full = isFull(k);
  const overflow = k.constant(X87Flag.IE | X87Flag.SF | X87Flag.C1);
  // FLD of an empty register with no room for its copy is an underflow.
  const underflow = k.ne(k.and(flags, k.constant(X87Flag.SF)), zero);
  const [ended] = k.call(raise, k.select(k.both(full, k.negate(underflow)), overflow, flags));
  // A denormal is pushed all the same when its exception is unmasked: an operand in memory has been converted by then.
  const onlyDenormal = k.both(k.negate(full), k.eq(flags, k.constant(X87Flag.DE)));
  k.when(k.either(k.eq(ended, zero), onlyDenormal), () => {
    moveTop(k, -1);
    const m = k.select(full, k.constant(INDEFINITE.significand), significand);
    k.call(writeStack, zero, m, k.select(full, k.constant(INDEFINITE.signExponent), signExponent));
  });
  return [];
});

/** As {@link push}, in line: an empty register to push to, and nothing to raise. */
export function pushed<V, B>(k: Computation<V, B>, significand: V, signExponent: V, flags: V): void {
  const c7 = k.constant(7);
  const status = k.field('fpuStatus');
  const tag = k.field('fpuTag');
  const register = k.and(k.add(k.shr(status, k.constant(TOP_SHIFT)), c7), c7);
  const bit = bitOf(k, register);
  k.when(
    k.eq(k.or(flags, k.and(tag, bit)), k.constant(0)),
    () => {
      const at = k.shl(register, k.constant(1));
      k.setElement('st', at, significand);
      k.setElement('st', k.or(at, k.constant(1)), signExponent);
      k.setField('fpuTag', 0, k.or(tag, bit));
      const moved = k.shl(register, k.constant(TOP_SHIFT));
      k.setField('fpuStatus', 0, k.or(k.and(status, k.constant(~BigInt(TOP | X87Flag.C1))), moved));
    },
    () => void k.call(pushRaising, significand, signExponent, flags),
  );
}

/** (register, flags): pushes a value; on a register that is not empty, stack overflow. */
export const push = subroutine('x87.push', 3, 0, (k, significand, signExponent, flags) => {
  pushed(k, significand, signExponent, flags);
  return [];
});

/** Operands in memory that are converted, besides register images and decimals. */
export const MEMORY_FORMATS = ['f32', 'f64', 'integer'] as const;
export type MemoryFormat = (typeof MEMORY_FORMATS)[number];

/** Bits of a memory operand, or an integer as a word, as a register; DENORMAL_SOURCE or 0. */
export function fromMemory<V, B>(k: Computation<V, B>, format: MemoryFormat, bits: V): V[] {
  if (format === 'integer') return [...k.call(fromInteger, bits), k.constant(0)];
  return widen(k, format === 'f32' ? SINGLE : DOUBLE, bits);
}

/** A memory operand as a register, with DENORMAL_SOURCE or 0: integer when the mnemonic says so (FI...). */
export function readMemory<V, B>(k: Algebra<V, B>, operand: Operand, integer: boolean): V[] {
  const bits = k.read(operand);
  if (integer) return fromMemory(k, 'integer', k.sext(operand.width as 16 | 32 | 64, bits));
  return k.call(operand.width === 32 ? fromSingle : fromDouble, bits);
}

/**
 * The small algebra that instruction definitions are written over. A definition is a function `(k, i) => void`; `k` is
 * an instance of this interface: the reference evaluator computes with bigints, the interpreter and the JIT emit
 * WebAssembly. So each instruction's meaning is written once.
 *
 * Rules for definitions (they make every instance precise):
 * 1. Branch on run-time values only through `k.when`, `k.choose`, `k.select`; JavaScript `if` only on the static facts `i`.
 * 2. Everything that can fault comes before anything that is committed (registers, flags, memory, RIP).
 *    `k.modify` checks for writing, so a later `k.write` to the same operand cannot fault.
 * 3. Flags of ordinary results are named (`k.flags('add', ...)`), not computed, so that an engine may defer or drop them.
 *
 * Values V are 64-bit words; an operand of width w is held zero-extended. Conditions are B.
 */
import type { Instruction, Operand } from '../x86/instruction.ts';

export type Width = 8 | 16 | 32 | 64;

/** Operations whose flags have a name; the formulas are in flags.ts. */
export type FlagOperation =
  | 'add' // a + b = r
  | 'adc' // a + b + CF = r
  | 'sub' // a - b = r (cmp, neg, sbb with its borrow in r)
  | 'sbb'
  | 'logic' // r; CF = OF = 0, AF = 0
  | 'inc' // r = a + 1, CF kept
  | 'dec';

/** Segment of an access: a fixed register, or the one in effect for the instruction's memory operand. */
export type SegmentReference = 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'operand';

/** Word of a vector register, low first. */
export type VectorWord = 0 | 1 | 2 | 3;

/** Operations on two vectors that both instances have. */
export type SimdOperation =
  | `i8x16.${'add' | 'sub' | 'add_sat_s' | 'add_sat_u' | 'sub_sat_s' | 'sub_sat_u' | 'min_s' | 'min_u' | 'max_s' | 'max_u'}`
  | `i8x16.${'avgr_u' | 'eq' | 'gt_s' | 'narrow_i16x8_s' | 'narrow_i16x8_u' | 'swizzle'}`
  | `i16x8.${'add' | 'sub' | 'add_sat_s' | 'add_sat_u' | 'sub_sat_s' | 'sub_sat_u' | 'min_s' | 'min_u' | 'max_s' | 'max_u'}`
  | `i16x8.${'avgr_u' | 'eq' | 'gt_s' | 'mul' | 'narrow_i32x4_s' | 'narrow_i32x4_u'}`
  | `i32x4.${'add' | 'sub' | 'min_s' | 'min_u' | 'max_s' | 'max_u' | 'eq' | 'gt_s' | 'mul' | 'dot_i16x8_s'}`
  | `i32x4.extmul_${'low' | 'high'}_i16x8_${'s' | 'u'}`
  | `i64x2.${'add' | 'sub' | 'eq' | 'gt_s'}`;

/** Pure functions of host code for what WebAssembly has no short form of; bodies in host-functions.ts. */
export type HostFunction = string;

/** A word that changes: what local control flow assigns. */
export interface Variable<V> {
  get(): V;
  set(value: V): void;
}

/** The part that does not depend on an instruction: what subroutines (subroutine.ts) are written over. */
export interface Computation<V, B> {
  // Words.
  constant(value: bigint | number): V;
  add(a: V, b: V): V;
  sub(a: V, b: V): V;
  mul(a: V, b: V): V;
  /** Unsigned quotient and remainder; b must not be zero. */
  divU(a: V, b: V): V;
  remU(a: V, b: V): V;
  /** Signed, truncating; b must not be zero, and not -2^63 / -1. */
  divS(a: V, b: V): V;
  remS(a: V, b: V): V;
  and(a: V, b: V): V;
  or(a: V, b: V): V;
  xor(a: V, b: V): V;
  not(a: V): V;
  /** Shifts take the count modulo 64. */
  shl(a: V, count: V): V;
  shr(a: V, count: V): V;
  sar(a: V, count: V): V;
  /** Low `width` bits, zero- or sign-extended to 64. */
  zext(width: Width, a: V): V;
  sext(width: Width, a: V): V;
  popcnt(a: V): V;
  /** 64 for zero. */
  clz(a: V): V;
  ctz(a: V): V;

  // Conditions.
  eq(a: V, b: V): B;
  ne(a: V, b: V): B;
  ltU(a: V, b: V): B;
  ltS(a: V, b: V): B;
  both(a: B, b: B): B;
  either(a: B, b: B): B;
  negate(a: B): B;
  /** 1 or 0. */
  word(a: B): V;
  select(condition: B, whenTrue: V, whenFalse: V): V;
  /** As select, but only the chosen side is evaluated. */
  choose(condition: B, whenTrue: () => V, whenFalse: () => V): V;
  when(condition: B, then: () => void, otherwise?: () => void): void;

  // IEEE 754 on bit patterns, round to nearest even, no flags: NaN results need not be x86's (definitions guard them).
  f64(operation: 'add' | 'sub' | 'mul' | 'div', a: V, b: V): V;
  f64sqrt(a: V): V;
  f64ltOrEq(a: V, b: V): { less: B; equal: B; unordered: B };
  f32(operation: 'add' | 'sub' | 'mul' | 'div', a: V, b: V): V;
  f32sqrt(a: V): V;
  f32ToF64(a: V): V;
  f64ToF32(a: V): V;
  /** From a signed word, rounded to nearest. */
  f64FromInteger(a: V): V;
  f32FromInteger(a: V): V;
  /** To a signed word, truncating or to nearest even; what does not fit saturates and NaN gives 0. */
  f64ToInteger(a: V, truncate: boolean): V;
  /** Two words as one vector: lanes, operations and saturation as the WebAssembly instruction of this name. */
  simd(operation: SimdOperation, a: readonly [V, V], b: readonly [V, V]): [V, V];
  host(name: HostFunction, ...args: V[]): V;

  // Subroutines and local control flow.
  /** Runs a subroutine; as many results as it declares. */
  call(subroutine: Subroutine, ...args: V[]): V[];
  variable(initial: V): Variable<V>;
  /** Runs `step` a number of times that is known before the first (unsigned). */
  times(count: V, step: () => void): void;

  // Processor state.
  /** A processor field of state.ts of 64 bits, e.g. 'gsBase'. */
  field(name: string, index?: number): V;
  setField(name: string, index: number, value: V): void;
  /** One word of a field that has several; the definition sees to it that the index is in range. */
  element(name: string, index: V): V;
  setElement(name: string, index: V, value: V): void;
}

export type SubroutineBody = <V, B>(k: Computation<V, B>, ...args: V[]) => V[];

/** A function on words, shared by all instructions that call it; made by subroutine.ts. */
export interface Subroutine {
  /** Unique among all subroutines: engines key their code by it. */
  readonly name: string;
  readonly parameters: number;
  readonly results: number;
  readonly body: SubroutineBody;
}

export interface Algebra<V, B> extends Computation<V, B> {
  // Registers: 0..15 in encoding order.
  register(index: number): V;
  /** Writes with the width's rule: 8 and 16 keep the rest, 32 clears the upper half. */
  setRegister(index: number, width: Width, value: V): void;

  // Operands of the instruction at hand.
  /**
   * Value of a register, memory, MMX or immediate operand, zero-extended from its width; immediates to the width of the
   * first operand.
   */
  read(operand: Operand): V;
  /** As read, for an operand that will be written: a memory operand is checked for writing first. */
  modify(operand: Operand): V;
  /** Writing an MMX register fills sign and exponent of the x87 register that it is part of (SDM 1 §9.5.1). */
  write(operand: Operand, value: V): void;
  /** Effective address of the memory operand, without segment base, in address size. */
  effectiveAddress(): V;
  immediate(): V;
  immediate2(): V;
  /** i of an ST(i) operand. */
  stackIndex(operand: Operand): V;
  /** One word of a vector register operand, low first; 2 and 3 are the upper half of the ymm register, also of an xmm operand. */
  readXmm(operand: Operand, word: VectorWord): V;
  writeXmm(operand: Operand, word: VectorWord, value: V): void;
  /** 128-bit operands (xmm registers or memory), halves low first. */
  read128(operand: Operand, aligned: boolean): [low: V, high: V];
  write128(operand: Operand, low: V, high: V, aligned: boolean): void;
  /** 256-bit operands (ymm registers or memory), words low first; aligned to 32 bytes. */
  read256(operand: Operand, aligned: boolean): [V, V, V, V];
  write256(operand: Operand, words: readonly V[], aligned: boolean): void;

  // Memory other than the operand: stack and strings. `offset` is a full word; the instance applies segment base and checks.
  load(width: Width, segment: SegmentReference, offset: V): V;
  store(width: Width, segment: SegmentReference, offset: V, value: V): void;
  /** Faults as a store would, and does nothing else. */
  probeStore(width: Width, segment: SegmentReference, offset: V): void;
  /** Linear address of a near stack or string offset is formed with this mask: by SS.B, or by address size. */
  stackMask(): V;

  // Flags.
  flags(operation: FlagOperation, width: Width, a: V, b: V, result: V): void;
  /** CF and OF from words of 0 or 1, and ZF, SF and PF of a result; AF is kept. */
  shiftFlags(width: Width, result: V, carry: V, overflow: V): void;
  /** Replaces the bits of `mask` in RFLAGS by those of `bits`. */
  setFlags(mask: bigint, bits: V): void;
  /** RFLAGS as PUSHF would store it, all 64 bits. */
  readFlags(): V;
  flag(name: 'CF' | 'PF' | 'AF' | 'ZF' | 'SF' | 'OF' | 'DF'): B;
  /** Condition code 0..15 as in Jcc (SDM 2A appendix B.1.4.7). */
  condition(code: number): B;

  // Control.
  /** Address of the next instruction. */
  nextRip(): V;
  /** Faults (#GP) when `target`, already in operand size, is not canonical or over the limit of CS. */
  checkTarget(target: V): void;
  /** Sets RIP to a checked target and charges a taken branch. */
  jump(target: V): void;
  fault(vector: number, errorCode?: number): void;
  /** Adds cycles (twelfths) of a cost that depends on run-time values. */
  charge(event: string): void;
  /**
   * Runs `element` once, or while (E)CX counts down under a repeat prefix. `element` returns a condition that ends
   * the repetition early (REPE/REPNE CMPS and SCAS) or undefined. Stops between elements when the deadline is reached.
   */
  repeat(element: () => B | undefined): void;
}

/** Static facts of an instruction form: everything that is known when code for it is made. */
export type Facts = Instruction;

export type Definition = <V, B>(k: Algebra<V, B>, i: Facts) => void;

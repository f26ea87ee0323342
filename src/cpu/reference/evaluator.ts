/**
 * The reference instance of the algebra: computes one instruction with bigints, directly on the processor's state.
 * Readable before fast; every other engine is compared with it.
 */
import { type MemoryOperand, NO_REGISTER, type Operand, RIP_REGISTER, Segment } from '../../x86/instruction.ts';
import type { Algebra, Facts, FlagOperation, SegmentReference, SimdOperation, Variable, VectorWord, Width } from '../algebra.ts';
import { AF, CF, carryAndOverflow, conditionOf, DF, flagBits, flagMask, OF, PF, resultFlags, SF, SHIFT_FLAGS, ZF } from '../flags.ts';
import { BINARY32, BINARY64 } from '../float/binary-format.ts';
import { fromInteger, toInteger } from '../float/conversion.ts';
import { HOST_FUNCTIONS } from '../host-functions.ts';
import { MISALIGNED_MASK, obeysMisalignedMode } from '../misaligned-mode.ts';
import type { Processor } from '../processor.ts';
import { type FieldName, OFFSET } from '../state.ts';
import type { Subroutine } from '../subroutine.ts';
import { MemoryAccess } from './memory-access.ts';
import { evaluateSimd } from './simd.ts';

const MASK64 = 0xffff_ffff_ffff_ffffn;
const MASK: Readonly<Record<number, bigint>> = { 8: 0xffn, 16: 0xffffn, 32: 0xffff_ffffn, 64: MASK64 };
const FLAG_BITS = { CF, PF, AF, ZF, SF, OF, DF } as const;
const RCX = 1;
const MMX_SIGN_AND_EXPONENT = 0xffffn;
/** MXCSR with all exceptions masked. */
const ROUND_TO_NEAREST = 0x1f80;

/** Thrown to leave a definition at a fault that is already recorded in the state. One object: no stack is captured. */
export const FAULT = Object.freeze({ fault: true });

export class Evaluator implements Algebra<bigint, boolean> {
  private readonly memory = new MemoryAccess();
  private readonly float = new DataView(new ArrayBuffer(8));
  private processor!: Processor;
  private instruction!: Facts;
  /** True when a repeated string instruction stopped between two elements. */
  stoppedBetweenElements = false;
  /** Host address of the operand that `modify` checked for writing; 0 = none. */
  private modified = 0;

  /** Sets what the next definition works on. RIP already points behind the instruction. */
  begin(processor: Processor, instruction: Facts): void {
    this.processor = processor;
    this.instruction = instruction;
    this.modified = 0;
    this.stoppedBetweenElements = false;
    this.memory.attach(processor);
  }

  constant(value: bigint | number): bigint {
    return BigInt.asUintN(64, BigInt(value));
  }
  add(a: bigint, b: bigint): bigint {
    return (a + b) & MASK64;
  }
  sub(a: bigint, b: bigint): bigint {
    return (a - b) & MASK64;
  }
  mul(a: bigint, b: bigint): bigint {
    return (a * b) & MASK64;
  }
  divU(a: bigint, b: bigint): bigint {
    return a / b;
  }
  remU(a: bigint, b: bigint): bigint {
    return a % b;
  }
  divS(a: bigint, b: bigint): bigint {
    return BigInt.asUintN(64, BigInt.asIntN(64, a) / BigInt.asIntN(64, b));
  }
  remS(a: bigint, b: bigint): bigint {
    return BigInt.asUintN(64, BigInt.asIntN(64, a) % BigInt.asIntN(64, b));
  }
  and(a: bigint, b: bigint): bigint {
    return a & b;
  }
  or(a: bigint, b: bigint): bigint {
    return a | b;
  }
  xor(a: bigint, b: bigint): bigint {
    return a ^ b;
  }
  not(a: bigint): bigint {
    return a ^ MASK64;
  }
  shl(a: bigint, count: bigint): bigint {
    return (a << (count & 63n)) & MASK64;
  }
  shr(a: bigint, count: bigint): bigint {
    return a >> (count & 63n);
  }
  sar(a: bigint, count: bigint): bigint {
    return BigInt.asUintN(64, BigInt.asIntN(64, a) >> (count & 63n));
  }
  zext(width: Width, a: bigint): bigint {
    return a & MASK[width];
  }
  sext(width: Width, a: bigint): bigint {
    return BigInt.asUintN(64, BigInt.asIntN(width, a));
  }
  popcnt(a: bigint): bigint {
    let count = 0n;
    for (let rest = a; rest !== 0n; rest &= rest - 1n) count++;
    return count;
  }
  clz(a: bigint): bigint {
    return 64n - (a === 0n ? 0n : BigInt(a.toString(2).length));
  }
  ctz(a: bigint): bigint {
    return a === 0n ? 64n : BigInt((a & -a).toString(2).length - 1);
  }

  eq(a: bigint, b: bigint): boolean {
    return a === b;
  }
  ne(a: bigint, b: bigint): boolean {
    return a !== b;
  }
  ltU(a: bigint, b: bigint): boolean {
    return a < b;
  }
  ltS(a: bigint, b: bigint): boolean {
    return BigInt.asIntN(64, a) < BigInt.asIntN(64, b);
  }
  both(a: boolean, b: boolean): boolean {
    return a && b;
  }
  either(a: boolean, b: boolean): boolean {
    return a || b;
  }
  negate(a: boolean): boolean {
    return !a;
  }
  word(a: boolean): bigint {
    return a ? 1n : 0n;
  }
  select(condition: boolean, whenTrue: bigint, whenFalse: bigint): bigint {
    return condition ? whenTrue : whenFalse;
  }
  choose(condition: boolean, whenTrue: () => bigint, whenFalse: () => bigint): bigint {
    return condition ? whenTrue() : whenFalse();
  }
  when(condition: boolean, then: () => void, otherwise?: () => void): void {
    if (condition) then();
    else otherwise?.();
  }

  private toF64(bits: bigint): number {
    this.float.setBigUint64(0, bits);
    return this.float.getFloat64(0);
  }
  private fromF64(value: number): bigint {
    this.float.setFloat64(0, value);
    return this.float.getBigUint64(0);
  }
  f64(operation: 'add' | 'sub' | 'mul' | 'div', a: bigint, b: bigint): bigint {
    return this.fromF64(arithmetic(operation, this.toF64(a), this.toF64(b)));
  }
  f64sqrt(a: bigint): bigint {
    return this.fromF64(Math.sqrt(this.toF64(a)));
  }
  f64ltOrEq(a: bigint, b: bigint): { less: boolean; equal: boolean; unordered: boolean } {
    const x = this.toF64(a);
    const y = this.toF64(b);
    return { less: x < y, equal: x === y, unordered: Number.isNaN(x) || Number.isNaN(y) };
  }
  private toF32(bits: bigint): number {
    this.float.setUint32(0, Number(bits & 0xffff_ffffn));
    return this.float.getFloat32(0);
  }
  private fromF32(value: number): bigint {
    this.float.setFloat32(0, value);
    return BigInt(this.float.getUint32(0));
  }
  f32(operation: 'add' | 'sub' | 'mul' | 'div', a: bigint, b: bigint): bigint {
    // One operation on single values rounded from double is exactly the single operation (double has enough bits).
    return this.fromF32(arithmetic(operation, this.toF32(a), this.toF32(b)));
  }
  f32sqrt(a: bigint): bigint {
    return this.fromF32(Math.sqrt(this.toF32(a)));
  }
  f32ToF64(a: bigint): bigint {
    return this.fromF64(this.toF32(a));
  }
  f64ToF32(a: bigint): bigint {
    return this.fromF32(this.toF64(a));
  }
  f64FromInteger(a: bigint): bigint {
    return this.fromF64(Number(BigInt.asIntN(64, a)));
  }
  f32FromInteger(a: bigint): bigint {
    return fromInteger(BINARY32, a, ROUND_TO_NEAREST).bits;
  }
  f64ToInteger(a: bigint, truncate: boolean): bigint {
    const value = this.toF64(a);
    if (Number.isNaN(value)) return 0n;
    if (value >= 2 ** 63) return 0x7fff_ffff_ffff_ffffn;
    if (value < -(2 ** 63)) return 1n << 63n;
    return toInteger(BINARY64, a, 64, truncate, ROUND_TO_NEAREST).bits;
  }
  simd(operation: SimdOperation, a: readonly [bigint, bigint], b: readonly [bigint, bigint]): [bigint, bigint] {
    return evaluateSimd(operation, a, b);
  }
  host(name: string, ...args: bigint[]): bigint {
    return HOST_FUNCTIONS[name](args[0] ?? 0n, args[1] ?? 0n, args[2] ?? 0n);
  }
  call(subroutine: Subroutine, ...args: bigint[]): bigint[] {
    const results = subroutine.body<bigint, boolean>(this, ...args);
    if (args.length !== subroutine.parameters || results.length !== subroutine.results) {
      throw new Error(`${subroutine.name} has ${subroutine.parameters} parameters and ${subroutine.results} results`);
    }
    return results;
  }
  variable(initial: bigint): Variable<bigint> {
    let value = initial;
    return {
      get: () => value,
      set: (assigned) => {
        value = assigned;
      },
    };
  }
  times(count: bigint, step: () => void): void {
    for (let left = count; left !== 0n; left--) step();
  }

  register(index: number): bigint {
    return this.processor.state.get('gpr', index);
  }
  setRegister(index: number, width: Width, value: bigint): void {
    const old = this.register(index);
    const merged = width >= 32 ? value & MASK[width] : (old & ~MASK[width]) | (value & MASK[width]);
    this.processor.state.set('gpr', merged, index);
  }
  field(name: string, index = 0): bigint {
    return this.processor.state.get(name as FieldName, index);
  }
  setField(name: string, index: number, value: bigint): void {
    this.processor.state.set(name as FieldName, value, index);
  }
  element(name: string, index: bigint): bigint {
    return this.field(name, Number(index));
  }
  setElement(name: string, index: bigint, value: bigint): void {
    this.setField(name, Number(index), value);
  }

  read(operand: Operand): bigint {
    const width = operand.width as Width;
    switch (operand.kind) {
      case 'register':
        return (this.register(operand.index) >> (operand.high ? 8n : 0n)) & MASK[width];
      case 'memory':
        return this.load(width, 'operand', this.effectiveAddress());
      case 'mmx':
        return this.field('st', operand.index * 2);
      default:
        return this.instruction.immediate & MASK[this.instruction.operands[0].width];
    }
  }
  modify(operand: Operand): bigint {
    if (operand.kind !== 'memory') return this.read(operand);
    const size = operand.width / 8;
    const linear = this.linear('operand', this.effectiveAddress(), size, true);
    this.modified = this.guard(this.memory.storeAddress(linear, size, this.onStack()));
    // A store through the scratch operand: the old value is not there.
    const from = this.memory.isPending(this.modified) ? this.guard(this.memory.loadAddress(linear, size, this.onStack())) : this.modified;
    return this.memory.read(from, size);
  }
  write(operand: Operand, value: bigint): void {
    const width = operand.width as Width;
    if (operand.kind === 'register') {
      if (operand.high) {
        const rest = this.register(operand.index) & ~0xff00n;
        this.processor.state.set('gpr', rest | ((value & 0xffn) << 8n), operand.index);
      } else this.setRegister(operand.index, width, value);
    } else if (operand.kind === 'mmx') {
      this.setField('st', operand.index * 2, value);
      this.setField('st', operand.index * 2 + 1, MMX_SIGN_AND_EXPONENT);
    } else if (this.modified !== 0) {
      this.memory.write(this.modified, width / 8, value);
      this.memory.commit(this.modified);
    } else this.store(width, 'operand', this.effectiveAddress(), value);
  }
  effectiveAddress(): bigint {
    const memory = this.instruction.memory as MemoryOperand;
    let address = memory.displacement;
    if (memory.base === RIP_REGISTER) address += this.processor.state.get('rip');
    else if (memory.base !== NO_REGISTER) address += this.register(memory.base);
    if (memory.index !== NO_REGISTER) address += this.register(memory.index) << BigInt(memory.scale);
    return address & MASK[this.instruction.addressSize];
  }
  immediate(): bigint {
    return BigInt.asUintN(64, this.instruction.immediate);
  }
  immediate2(): bigint {
    return BigInt(this.instruction.immediate2);
  }
  stackIndex(operand: Operand): bigint {
    return BigInt(operand.index);
  }
  readXmm(operand: Operand, word: VectorWord): bigint {
    return this.field(word < 2 ? 'xmm' : 'ymmHigh', operand.index * 2 + (word & 1));
  }
  writeXmm(operand: Operand, word: VectorWord, value: bigint): void {
    this.setField(word < 2 ? 'xmm' : 'ymmHigh', operand.index * 2 + (word & 1), value);
  }
  read128(operand: Operand, aligned: boolean): [bigint, bigint] {
    return this.readWords(operand, [0, 1], aligned) as [bigint, bigint];
  }
  write128(operand: Operand, low: bigint, high: bigint, aligned: boolean): void {
    this.writeWords(operand, [low, high], aligned);
  }
  read256(operand: Operand, aligned: boolean): [bigint, bigint, bigint, bigint] {
    return this.readWords(operand, [0, 1, 2, 3], aligned) as [bigint, bigint, bigint, bigint];
  }
  write256(operand: Operand, words: readonly bigint[], aligned: boolean): void {
    this.writeWords(operand, words, aligned);
  }
  private readWords(operand: Operand, words: readonly VectorWord[], aligned: boolean): bigint[] {
    if (operand.kind !== 'memory') return words.map((word) => this.readXmm(operand, word));
    const size = words.length * 8;
    const address = this.effectiveAddress();
    const passes = obeysMisalignedMode(this.instruction) && (this.field('mxcsr') & MISALIGNED_MASK) !== 0n;
    if (aligned && !passes) this.checkAligned(address, size);
    const at = this.guard(this.memory.loadAddress(this.linear('operand', address, size, false), size, this.onStack()));
    return words.map((word) => this.memory.read(at + word * 8, 8));
  }
  private writeWords(operand: Operand, words: readonly bigint[], aligned: boolean): void {
    if (operand.kind !== 'memory') {
      for (const [n, word] of words.entries()) this.writeXmm(operand, n as VectorWord, word);
      return;
    }
    const size = words.length * 8;
    const address = this.effectiveAddress();
    if (aligned) this.checkAligned(address, size);
    const at = this.guard(this.memory.storeAddress(this.linear('operand', address, size, true), size, this.onStack()));
    for (const [n, word] of words.entries()) this.memory.write(at + n * 8, 8, word);
    this.memory.commit(at);
  }

  load(width: Width, segment: SegmentReference, offset: bigint): bigint {
    const size = width / 8;
    const linear = this.linear(segment, offset, size, false);
    return this.memory.read(this.guard(this.memory.loadAddress(linear, size, this.onStack(segment))), size);
  }
  store(width: Width, segment: SegmentReference, offset: bigint, value: bigint): void {
    const size = width / 8;
    const linear = this.linear(segment, offset, size, true);
    const at = this.guard(this.memory.storeAddress(linear, size, this.onStack(segment)));
    this.memory.write(at, size, value);
    this.memory.commit(at);
  }
  probeStore(width: Width, segment: SegmentReference, offset: bigint): void {
    const size = width / 8;
    this.guard(this.memory.storeAddress(this.linear(segment, offset, size, true), size, this.onStack(segment)));
  }
  stackMask(): bigint {
    return this.field('stackMask');
  }

  flags(operation: FlagOperation, width: Width, a: bigint, b: bigint, result: bigint): void {
    this.setFlags(flagMask(operation), flagBits(this, operation, width, a, b, result));
  }
  shiftFlags(width: Width, result: bigint, carry: bigint, overflow: bigint): void {
    this.setFlags(SHIFT_FLAGS, resultFlags(this, width, result) | carryAndOverflow(this, carry, overflow));
  }
  setFlags(mask: bigint, bits: bigint): void {
    const state = this.processor.state;
    state.set('rflags', (state.get('rflags') & ~mask) | (bits & mask));
  }
  readFlags(): bigint {
    return this.processor.state.get('rflags');
  }
  flag(name: 'CF' | 'PF' | 'AF' | 'ZF' | 'SF' | 'OF' | 'DF'): boolean {
    return (this.readFlags() & FLAG_BITS[name]) !== 0n;
  }
  condition(code: number): boolean {
    return conditionOf(this, code, this.readFlags());
  }

  nextRip(): bigint {
    return this.processor.state.get('rip');
  }
  checkTarget(target: bigint): void {
    const { state } = this.processor;
    const fits =
      this.instruction.mode === 64
        ? BigInt.asUintN(64, BigInt.asIntN(48, target)) === target
        : target <= BigInt(state.get32('segmentLimit', Segment.CS));
    if (!fits) this.fault(13, 0);
  }
  jump(target: bigint): void {
    this.processor.state.set('rip', target);
    this.charge('taken_branch');
  }
  fault(vector: number, errorCode?: number): never {
    const { state } = this.processor;
    state.set32('faultVector', vector);
    state.set32('faultErrorCode', errorCode ?? 0);
    state.set32('faultHasErrorCode', errorCode === undefined ? 0 : 1);
    throw FAULT;
  }
  charge(event: string): void {
    const { state, costs } = this.processor;
    state.set('cycles', state.get('cycles') + BigInt(costs.cost(event)));
  }
  repeat(element: () => boolean | undefined): void {
    if (this.instruction.repeat === '') {
      element();
      return;
    }
    const { state } = this.processor;
    const width = this.instruction.addressSize;
    const event = `string_element_${this.instruction.operands[0].width}`;
    // Going on after a stop between elements is not a new start.
    if (state.get('repeatActive') === 0n) this.charge('string_startup');
    state.set('repeatActive', 0n);
    while (this.zext(width, this.register(RCX)) !== 0n) {
      const ends = element();
      this.setRegister(RCX, width, this.zext(width, this.register(RCX) - 1n));
      this.charge(event);
      if (ends === true) return;
      if (this.zext(width, this.register(RCX)) !== 0n && state.i64[OFFSET.cycles >> 3] >= state.i64[OFFSET.deadline >> 3]) {
        state.set('repeatActive', 1n);
        this.stoppedBetweenElements = true;
        return;
      }
    }
  }

  /** Linear address of an access: segment base, wrapping, and the checks of legacy segments. */
  private linear(segment: SegmentReference, offset: bigint, size: number, write: boolean): bigint {
    const index = segment === 'operand' ? (this.instruction.memory as MemoryOperand).segment : Segment[segment];
    const { state } = this.processor;
    if (this.instruction.mode === 64) {
      return index >= Segment.FS ? this.add(offset, state.get('segmentBase', index)) : offset;
    }
    if (!this.memory.checkSegment(index, offset, size, write)) throw FAULT;
    return (offset + state.get('segmentBase', index)) & MASK[32];
  }
  private onStack(segment: SegmentReference = 'operand'): boolean {
    return segment === 'operand' ? this.instruction.memory?.segment === Segment.SS : segment === 'SS';
  }
  private guard(address: number): number {
    if (address === 0) throw FAULT;
    return address;
  }
  private checkAligned(offset: bigint, size: number): void {
    const memory = this.instruction.memory as MemoryOperand;
    const base = this.instruction.mode === 64 && memory.segment < Segment.FS ? 0n : this.field('segmentBase', memory.segment);
    if (((offset + base) & BigInt(size - 1)) !== 0n) this.fault(13, 0);
  }
}

function arithmetic(operation: 'add' | 'sub' | 'mul' | 'div', a: number, b: number): number {
  switch (operation) {
    case 'add':
      return a + b;
    case 'sub':
      return a - b;
    case 'mul':
      return a * b;
    case 'div':
      return a / b;
  }
}

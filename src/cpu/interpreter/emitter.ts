/**
 * The emitting instance of the algebra: writes WebAssembly for one instruction. computation-emitter.ts has what does not
 * depend on it. Registers, displacements and immediates come from the record of the instruction ({@link RECORD}), so
 * that one handler serves all instructions of a form.
 *
 * A handler is `(state: i32, record: i32, time: i64) -> i32`: it accounts for its instruction in `time`, and every path
 * through it ends with a tail call, of the next record's handler or of a way out (loop.ts). One that ends with `fault`
 * has committed nothing.
 *
 * Long because the class implements the whole algebra, one short method an operation.
 */
import type { Operand } from '../../x86/instruction.ts';
import { NO_REGISTER, Segment } from '../../x86/instruction.ts';
import type { FunctionBody, Label } from '../../wasm/function-body.ts';
import { MISALIGNED_MASK, obeysMisalignedMode } from '../misaligned-mode.ts';
import type { Algebra, Facts, FlagOperation, SegmentReference, VectorWord, Width } from '../algebra.ts';
import { CF, DF, OF, STATUS_FLAGS } from '../flags.ts';
import { type FieldName, OFFSET } from '../state.ts';
import { type ComputationImports, type Condition, STATE, type Word } from './computation-emitter.ts';
import { OperandEmitter } from './operand-emitter.ts';
import { DeferredFlags } from './deferred-flags.ts';
import { dispatch, pushRip, type RunFunction } from './chain.ts';
import { hasFixedImmediate, hasFlatSegment, isRegisterOperand, RECORD, VECTOR_WORDS } from './record.ts';

/** Indices of what handlers call. */
export interface HandlerImports extends ComputationImports {
  /** Where code goes on when it is part of a larger function; else by tail calls. */
  readonly inside?: {
    /** With the next record in its parameter. */
    readonly next: Label;
    /** With RIP in the local. */
    readonly lookup: Label;
    readonly rip: number;
  };
  /** Type index of handlers. */
  readonly handlerType: number;
  /** What the loop module offers. */
  readonly run: Readonly<Record<RunFunction, number>>;
  /** (state, segment, size, write) -> 0 when a fault is recorded; the offset is in `slowAddress`. */
  readonly checkSegment: number;
  /** Cost in twelfths, known when code is made. */
  cost(event: string): number;
}

const RECORD_POINTER = 1;
const TIME = 2;
const RCX = 1;
const MMX_SIGN_AND_EXPONENT = 0xffff;
const GENERAL_PROTECTION = 13;

export class Emitter extends OperandEmitter implements Algebra<Word, Condition> {
  private readonly imports: HandlerImports;
  private readonly i: Facts;
  protected readonly legacy: boolean;
  private readonly deferred = new DeferredFlags(this);
  /** i32 local with the host address that `modify` checked, or -1. */
  private modified = -1;
  /** Number of the register operand -> index into RECORD.registers. */
  private readonly registerSlots = new Map<Operand, number>();

  constructor(body: FunctionBody, imports: HandlerImports, instruction: Facts) {
    super(body, imports);
    this.imports = imports;
    this.i = instruction;
    this.legacy = instruction.mode !== 64;
    let slot = 0;
    for (const operand of instruction.operands) {
      if (isRegisterOperand(operand)) this.registerSlots.set(operand, slot++);
    }
  }

  /** Begins the handler: accounts for an instruction that costs so many twelfths. */
  beginHandler(twelfths: number): void {
    this.advance((BigInt(twelfths) << 32n) + 1n);
  }
  /** Ends the handler: everything went well, and the next instruction follows. */
  finishHandler(): void {
    this.body.local_get(RECORD_POINTER);
    this.body.load('i32.load', RECORD.next);
    this.goTo();
  }
  private advance(time: bigint): void {
    this.body.local_get(TIME);
    this.body.i64_const(time);
    this.body.emit('i64.add');
    this.body.local_set(TIME);
  }
  /** Goes to the record on the stack, or stops before it when time has come. */
  private goTo(): void {
    const { body } = this;
    body.local_set(RECORD_POINTER);
    if (this.imports.inside !== undefined) {
      body.br(this.imports.inside.next);
      return;
    }
    body.local_get(TIME);
    body.i64_const(0);
    body.emit('i64.ge_s');
    body.hint(false);
    body.if();
    this.leave('stop');
    body.end();
    dispatch(body, this.imports.handlerType, RECORD_POINTER, TIME);
  }
  private leave(way: 'stop' | 'fault' | 'repeat'): void {
    this.body.local_get(STATE);
    this.body.local_get(RECORD_POINTER);
    this.body.local_get(TIME);
    this.body.return_call(this.imports.run[way]);
  }

  // --- registers ------------------------------------------------------------------------------------------------

  register(index: number): Word {
    return this.field('gpr', index);
  }
  setRegister(index: number, width: Width, value: Word): void {
    this.body.local_get(STATE);
    this.storeRegister(width, value, OFFSET.gpr + index * 8);
  }
  /** Stores a register by the width's rule; the address (less `offset`) is on the stack. */
  private storeRegister(width: Width, value: Word, offset: number): void {
    this.push(width === 32 ? this.zext(32, value) : value);
    if (width === 8) this.body.store('i64.store8', offset);
    else if (width === 16) this.body.store('i64.store16', offset);
    else this.body.store('i64.store', offset);
  }
  // --- operands -------------------------------------------------------------------------------------------------

  /** Pushes the address of a register operand's storage. */
  private pushRegisterAddress(operand: Operand): void {
    this.body.local_get(STATE);
    this.body.local_get(RECORD_POINTER);
    this.body.load('i32.load16_u', RECORD.registers[this.registerSlots.get(operand) as number]);
    this.body.emit('i32.add');
  }
  read(operand: Operand): Word {
    const width = operand.width as Width;
    switch (operand.kind) {
      case 'register':
        this.pushRegisterAddress(operand);
        this.loadFrom(width);
        return this.take();
      case 'mmx':
        this.pushRegisterAddress(operand);
        this.loadFrom(64);
        return this.take();
      case 'memory':
        return this.load(width, 'operand', this.effectiveAddress());
      default:
        return this.zext(this.i.operands[0].width as Width, this.immediate());
    }
  }
  modify(operand: Operand): Word {
    if (operand.kind !== 'memory') return this.read(operand);
    const width = operand.width as Width;
    const { body } = this;
    this.modified = this.address('operand', this.effectiveAddress(), width / 8, true);
    const from = body.local('i32');
    body.local_get(this.modified);
    body.local_tee(from);
    this.pushStoreScratch();
    body.emit('i32.eq');
    body.hint(false);
    body.if();
    // The store will go through the scratch operand, which does not hold the old value.
    this.slowAccess('slowLoad', 'operand', width / 8, from, () => {
      body.local_get(STATE);
      body.load('i64.load', OFFSET.slowAddress);
    });
    body.end();
    body.local_get(from);
    this.loadFrom(width);
    body.free(from);
    return this.take();
  }
  private pushStoreScratch(): void {
    this.body.local_get(STATE);
    this.body.i32_const(OFFSET.storeScratch);
    this.body.emit('i32.add');
  }
  write(operand: Operand, value: Word): void {
    const width = operand.width as Width;
    if (operand.kind === 'register') {
      this.pushRegisterAddress(operand);
      this.storeRegister(width, value, 0);
    } else if (operand.kind === 'mmx') {
      this.pushRegisterAddress(operand);
      this.storeRegister(64, value, 0);
      this.pushRegisterAddress(operand);
      this.storeRegister(64, this.constant(MMX_SIGN_AND_EXPONENT), 8);
    } else if (this.modified >= 0) this.storeAt(width, this.modified, value);
    else this.store(width, 'operand', this.effectiveAddress(), value);
  }
  effectiveAddress(): Word {
    const { body } = this;
    const { memory, addressSize } = this.i;
    const register = (at: number): void => {
      body.local_get(STATE);
      body.local_get(RECORD_POINTER);
      body.load('i32.load16_u', at);
      body.emit('i32.add');
      body.load('i64.load', 0);
    };
    body.local_get(RECORD_POINTER);
    body.load('i64.load', RECORD.displacement);
    if (memory?.base !== NO_REGISTER) {
      register(RECORD.base);
      body.emit('i64.add');
    }
    if (memory?.index !== NO_REGISTER) {
      register(RECORD.index);
      if (memory?.scale !== 0) {
        body.local_get(RECORD_POINTER);
        body.load('i64.load16_u', RECORD.scale);
        body.emit('i64.shl');
      }
      body.emit('i64.add');
    }
    return this.zext(addressSize, this.take());
  }
  immediate(): Word {
    if (hasFixedImmediate(this.i)) return this.constant(this.i.immediate);
    this.body.local_get(RECORD_POINTER);
    this.body.load('i64.load', RECORD.immediate);
    return this.take();
  }
  immediate2(): Word {
    this.body.local_get(RECORD_POINTER);
    this.body.load('i64.load32_u', RECORD.immediate2);
    return this.take();
  }
  stackIndex(operand: Operand): Word {
    this.body.local_get(RECORD_POINTER);
    this.body.load('i64.load16_u', RECORD.registers[this.registerSlots.get(operand) as number]);
    return this.take();
  }
  readXmm(operand: Operand, word: VectorWord): Word {
    this.pushRegisterAddress(operand);
    this.body.load('i64.load', VECTOR_WORDS[word]);
    return this.take();
  }
  writeXmm(operand: Operand, word: VectorWord, value: Word): void {
    this.pushRegisterAddress(operand);
    this.push(value);
    this.body.store('i64.store', VECTOR_WORDS[word]);
  }
  /** MXCSR.MM, looked at when the operand is not aligned, lets some reads pass. */
  protected checkAligned(offset: Word, size: number, write: boolean): void {
    const unlessMasked = !write && obeysMisalignedMode(this.i);
    const linear = this.add(offset, this.segmentBase('operand'));
    const refuse = (): void => this.fault(GENERAL_PROTECTION, 0);
    this.when(this.ne(this.and(linear, this.constant(size - 1)), this.constant(0)), () => {
      if (!unlessMasked) refuse();
      else this.when(this.eq(this.and(this.field('mxcsr'), this.constant(MISALIGNED_MASK)), this.constant(0)), refuse);
    });
  }

  // --- memory ---------------------------------------------------------------------------------------------------

  /** A store that went to the scratch operand is sent to its destination. */
  protected commit(at: number): void {
    this.body.local_get(at);
    this.pushStoreScratch();
    this.body.emit('i32.eq');
    this.body.hint(false);
    this.body.if();
    this.body.local_get(STATE);
    this.body.local_get(RECORD_POINTER);
    this.body.local_get(TIME);
    this.body.call(this.imports.run.commitStore);
    this.body.local_set(TIME);
    this.body.end();
  }
  private segmentBase(segment: SegmentReference): Word {
    if (segment === 'operand') {
      if (hasFlatSegment(this.i)) return this.constant(0);
      this.body.local_get(STATE);
      this.body.local_get(RECORD_POINTER);
      this.body.load('i32.load16_u', RECORD.segmentBase);
      this.body.emit('i32.add');
      this.body.load('i64.load', 0);
      return this.take();
    }
    if (!this.legacy && Segment[segment] < Segment.FS) return this.constant(0);
    return this.field('segmentBase', Segment[segment]);
  }
  /** Pushes 1 when an access goes through SS (its faults are #SS), else 0. */
  private pushIsStack(segment: SegmentReference): void {
    if (segment !== 'operand') {
      this.body.i32_const(segment === 'SS' ? 1 : 0);
      return;
    }
    this.body.local_get(RECORD_POINTER);
    this.body.load('i32.load16_u', RECORD.segment);
    this.body.i32_const(Segment.SS);
    this.body.emit('i32.eq');
  }
  /** i32 local with the host address of an access, after all checks; leaves the handler on a fault. */
  protected address(segment: SegmentReference, offset: Word, size: number, write: boolean): number {
    const { body } = this;
    if (this.legacy) this.checkLegacySegment(segment, offset, size, write);
    let linear = this.add(offset, this.segmentBase(segment));
    if (this.legacy) linear = this.zext(32, linear);
    const host = body.local('i32');
    const pushTable = (): void => {
      body.local_get(STATE);
      body.load('i32.load', OFFSET.lookupTable);
    };
    const pushGeneration = (): void => {
      body.local_get(STATE);
      body.load('i64.load', OFFSET.tlbGeneration);
    };
    const entry = this.pushTags(linear, size, write, pushTable, pushGeneration);
    body.emit('i64.eq');
    body.hint(true);
    body.if();
    this.setHostAddress(host, linear, entry);
    body.else();
    this.slowAccess(write ? 'slowStore' : 'slowLoad', segment, size, host, () => this.push(linear));
    body.end();
    body.free(entry);
    return host;
  }
  /** Sets `host` to where host code says that the operand is to be read or written; leaves the handler on a fault. */
  private slowAccess(kind: 'slowLoad' | 'slowStore', segment: SegmentReference, size: number, host: number, pushLinear: () => void): void {
    const { body } = this;
    body.local_get(STATE);
    body.local_get(RECORD_POINTER);
    body.local_get(TIME);
    pushLinear();
    body.i32_const(size);
    this.pushIsStack(segment);
    body.call(this.imports.run[kind]);
    body.local_set(TIME);
    body.local_tee(host);
    body.emit('i32.eqz');
    body.if();
    this.leave('fault');
    body.end();
  }
  private checkLegacySegment(segment: SegmentReference, offset: Word, size: number, write: boolean): void {
    const { body } = this;
    const pushSegment = (): void => {
      if (segment === 'operand') {
        body.local_get(RECORD_POINTER);
        body.load('i32.load16_u', RECORD.segment);
      } else body.i32_const(Segment[segment]);
    };
    body.local_get(STATE);
    pushSegment();
    body.emit('i32.add');
    body.load('i32.load8_u', OFFSET.segmentCheck);
    body.if();
    body.local_get(STATE);
    this.push(offset);
    body.store('i64.store', OFFSET.slowAddress);
    body.local_get(STATE);
    pushSegment();
    body.i32_const(size);
    body.i32_const(write ? 1 : 0);
    body.call(this.imports.checkSegment);
    body.emit('i32.eqz');
    body.if();
    this.leave('fault');
    body.end();
    body.end();
  }

  // --- flags ----------------------------------------------------------------------------------------------------

  flags(operation: FlagOperation, width: Width, a: Word, b: Word, result: Word): void {
    this.deferred.set(operation, width, a, b, result);
  }
  shiftFlags(width: Width, result: Word, carry: Word, overflow: Word): void {
    this.deferred.setShift(width, result, carry, overflow);
  }
  setFlags(mask: bigint, bits: Word): void {
    const others = mask & ~STATUS_FLAGS;
    if (others !== 0n) {
      const kept = this.and(this.field('rflags'), this.constant(~others));
      this.setField('rflags', 0, this.or(kept, this.and(bits, this.constant(others))));
    }
    const status = mask & STATUS_FLAGS;
    if (status === 0n) return;
    if (status === (CF | OF)) this.deferred.setCarryAndOverflow(bits);
    else if (status === CF) this.deferred.setCarry(bits);
    else if (status === STATUS_FLAGS) this.writeStatusFlags(bits);
    else this.writeStatusFlags(this.or(this.and(this.readFlags(), this.constant(~status)), this.and(bits, this.constant(status))));
  }
  private writeStatusFlags(bits: Word): void {
    this.body.local_get(STATE);
    this.push(bits);
    this.body.call(this.imports.run.writeFlags);
  }
  readFlags(): Word {
    this.body.local_get(STATE);
    this.body.call(this.imports.run.readFlags);
    return this.take();
  }
  flag(name: 'CF' | 'PF' | 'AF' | 'ZF' | 'SF' | 'OF' | 'DF'): Condition {
    if (name === 'DF') return this.ne(this.and(this.field('rflags'), this.constant(DF)), this.constant(0));
    return this.deferred[name]();
  }
  condition(code: number): Condition {
    return this.deferred.condition(code);
  }

  // --- control --------------------------------------------------------------------------------------------------

  nextRip(): Word {
    pushRip(this.body, RECORD.end);
    return this.take();
  }
  /** The record names the target when it is in the same page: always, never or perhaps canonical like this instruction. */
  private get hasRecordedTarget(): boolean {
    return !this.legacy && this.i.operands[0]?.kind === 'relative';
  }
  private pushRecordedTarget(): void {
    this.body.local_get(RECORD_POINTER);
    this.body.load('i32.load', RECORD.target);
  }
  checkTarget(target: Word): void {
    this.pushCondition(this.isOutsideCode(target));
    this.body.hint(false);
    this.body.if();
    this.fault(GENERAL_PROTECTION, 0);
    this.body.end();
  }
  jump(target: Word): void {
    const { body } = this;
    this.charge('taken_branch');
    if (this.hasRecordedTarget) {
      this.pushRecordedTarget();
      body.hint(true);
      body.if();
      this.pushRecordedTarget();
      this.goTo();
      body.end();
    }
    const { inside, run } = this.imports;
    if (inside !== undefined && !this.legacy) {
      this.push(target);
      body.local_set(inside.rip);
      body.br(inside.lookup);
      return;
    }
    body.local_get(STATE);
    this.push(target);
    body.local_get(TIME);
    body.return_call(run.lookup);
  }
  fault(vector: number, errorCode?: number): void {
    const set = (name: FieldName, value: number): void => {
      this.body.local_get(STATE);
      this.body.i32_const(value);
      this.body.store('i32.store', OFFSET[name]);
    };
    set('faultVector', vector);
    set('faultErrorCode', errorCode ?? 0);
    set('faultHasErrorCode', errorCode === undefined ? 0 : 1);
    this.leave('fault');
  }
  charge(event: string): void {
    this.advance(BigInt(this.imports.cost(event)) << 32n);
  }
  repeat(element: () => Condition | undefined): void {
    if (this.i.repeat === '') {
      element();
      return;
    }
    const { body } = this;
    const width = this.i.addressSize as Width;
    // Going on after a stop between elements is not a new start.
    this.when(this.eq(this.field('repeatActive'), this.constant(0)), () => this.charge('string_startup'));
    this.setField('repeatActive', 0, this.constant(0));
    const event = `string_element_${this.i.operands[0].width}`;
    const exit = body.block();
    const again = body.loop();
    this.pushCondition(this.eq(this.zext(width, this.register(RCX)), this.constant(0)));
    body.br_if(exit);
    const ends = element();
    const count = this.zext(width, this.sub(this.register(RCX), this.constant(1)));
    this.setRegister(RCX, width, count);
    this.charge(event);
    if (ends !== undefined) {
      this.pushCondition(ends);
      body.br_if(exit);
    }
    this.pushCondition(this.eq(count, this.constant(0)));
    body.br_if(exit);
    body.local_get(TIME);
    body.i64_const(0);
    body.emit('i64.lt_s');
    body.br_if(again);
    body.local_get(STATE);
    body.local_get(TIME);
    body.call(this.imports.run.continues);
    body.br_if(again);
    this.setField('repeatActive', 0, this.constant(1));
    this.leave('repeat');
    body.end();
    body.end();
  }
}

/**
 * The JIT's instance of the algebra: writes the WebAssembly of a whole region from the same definitions as the
 * interpreter's handlers. Guest registers are locals; status flags are kept as the words that they follow from and
 * become bits only where somebody looks; cycles and instructions are added up when the code is made.
 *
 * Whatever cannot be done here in line (a miss of the lookup table, a fault, a deadline that may fall into the next
 * block) leaves the region before the instruction has done anything: registers and flags go back to the state, and the
 * interpreter's handler of that instruction takes over.
 *
 * Flags between blocks: `result` (sign-extended; gives ZF, SF, PF unless `zspInBits`), `carry` (0 or 1), `auxiliary` (a
 * word whose bit 4 is AF), `overflow` (a word whose bit 11 is OF), `bits` (the rest of RFLAGS). Within a block the last
 * flag operation is `pending`: its operands are known, so conditions compare them directly.
 *
 * Long because the class implements the instruction's part of the algebra, one short method an operation.
 */
import { type ComputationImports, type Condition, STATE, type Word } from '../cpu/interpreter/computation-emitter.ts';
import { OperandEmitter } from '../cpu/interpreter/operand-emitter.ts';
import { RECORD, registerOffset, VECTOR_WORDS } from '../cpu/interpreter/record.ts';
import type { Algebra, FlagOperation, SegmentReference, VectorWord, Width } from '../cpu/algebra.ts';
import { AF, CF, DF, OF, PF, SF, STATUS_FLAGS, ZF } from '../cpu/flags.ts';
import { OFFSET } from '../cpu/state.ts';
import { type Instruction, type MemoryOperand, NO_REGISTER, type Operand, RIP_REGISTER, Segment } from '../x86/instruction.ts';
import type { FunctionBody, Label } from '../wasm/function-body.ts';
import type { Block, PlacedInstruction, Region } from './region.ts';
import { targetOf } from './discover-regions.ts';

/** Locals that every region has, by what they hold. */
export interface RegionLocals {
  readonly time: number;
  readonly codePage: number;
  readonly lookupTable: number;
  readonly generation: number;
  readonly fetchTable: number;
  readonly blockIndex: number;
  readonly registers: readonly number[];
  readonly bits: number;
  readonly zspInBits: number;
  readonly result: number;
  readonly carry: number;
  readonly auxiliary: number;
  readonly overflow: number;
  /** Where to go on outside: a record and the slot that it is for (-1: the record's handler), or an address for the search. */
  readonly exitRecord: number;
  readonly exitSlot: number;
  readonly exitRip: number;
  /** All of the above. */
  readonly all: readonly number[];
}

export interface RegionLabels {
  /** Leaves to `exitRecord`. */
  readonly exit: Label;
  /** Leaves to the search for `exitRip`. */
  readonly search: Label;
  /** Goes to block `blockIndex`. */
  readonly again: Label;
}

export interface RegionContext {
  readonly region: Region;
  readonly locals: RegionLocals;
  readonly labels: RegionLabels;
  /** Slot of this region in the function table. */
  readonly slot: number;
  readonly legacy: boolean;
  /** Record of a place in the page that is not in the region; 0 when there is none. */
  recordAt(offset: number): number;
  /** Cost in twelfths, known when code is made. */
  cost(event: string): number;
}

interface PendingFlags {
  readonly operation: FlagOperation | 'shift';
  readonly width: Width;
  readonly a: Word;
  readonly b: Word;
  readonly result: Word;
}

const MASK64 = 0xffff_ffff_ffff_ffffn;
const ZSP = ZF | SF | PF;
const PAGE_SIZE = 4096;
/** Condition codes that are one flag. */
const CONDITION_OF_FLAG = { OF: 0, ZF: 4, SF: 8, PF: 10 } as const;
const HIGH = 32n;
/** Exit slot that stands for whatever handler the record has by then. */
const OWN_HANDLER = -1;

/** Time word of instructions that cost `twelfths` and are `count` in number (interpreter/loop.ts). */
export const timeWord = (twelfths: number, count: number): bigint => (BigInt(twelfths) << HIGH) + BigInt(count);

/** Cost of all instructions of a block but the last: how far a deadline must be off for the block to run whole. */
export function worstCase(block: Block): number {
  return block.instructions.slice(0, -1).reduce((sum, { cost }) => sum + cost, 0);
}

export class RegionEmitter extends OperandEmitter implements Algebra<Word, Condition> {
  private readonly context: RegionContext;
  private readonly locals: RegionLocals;
  protected readonly legacy: boolean;
  private block!: Block;
  private placed!: PlacedInstruction;
  private i!: Instruction;
  /** Labels of the blocks that lie ahead, by block. */
  private ahead: readonly (Label | undefined)[] = [];
  private pending: PendingFlags | undefined;
  /** Time of this block's instructions before the present one, and what it has charged itself. */
  private spent = 0n;
  private charged = 0n;
  private modified = -1;
  /** Control does not come back here: the code so far has jumped away. */
  private terminated = false;
  readonly writtenRegisters = new Set<number>();
  flagsWritten = false;

  constructor(body: FunctionBody, imports: ComputationImports, context: RegionContext) {
    super(body, imports);
    this.context = context;
    this.locals = context.locals;
    this.legacy = context.legacy;
  }

  // --- blocks and instructions ----------------------------------------------------------------------------------

  /** `ahead[n]` is the label of block n, for blocks that come later in the code. */
  beginBlock(block: Block, ahead: readonly (Label | undefined)[]): void {
    this.block = block;
    this.ahead = ahead;
    this.pending = undefined;
    this.spent = 0n;
    this.terminated = false;
  }
  beginInstruction(placed: PlacedInstruction, form: Instruction): void {
    this.placed = placed;
    this.i = form;
    this.charged = 0n;
    this.modified = -1;
  }
  /** Accounts for the instruction; true when control goes on behind it. */
  endInstruction(): boolean {
    if (this.terminated) return false;
    this.spent += timeWord(this.placed.cost, 1) + this.charged;
    this.charged = 0n;
    this.releaseLocals();
    return true;
  }
  /** The block ends without a jump: the next one follows, or an instruction that the interpreter does. */
  endBlock(): void {
    if (this.terminated) return;
    this.edge(this.block.end, 0n);
  }
  /** The block's next instruction is one for the interpreter. */
  leaveToInterpreter(placed: PlacedInstruction): void {
    this.placed = placed;
    this.leaveHere();
    this.terminated = true;
  }

  private releaseLocals(): void {
    const kept = [...this.locals.all];
    if (this.pending !== undefined) {
      for (const word of [this.pending.a, this.pending.b, this.pending.result]) if ('local' in word) kept.push(word.local);
    }
    this.body.freeAll(kept);
  }

  private addTime(time: bigint): void {
    if (time === 0n) return;
    this.body.local_get(this.locals.time);
    this.body.i64_const(time);
    this.body.emit('i64.add');
    this.body.local_set(this.locals.time);
  }

  /** Leaves before the present instruction: nothing of it has happened. */
  private leaveHere(): void {
    this.emitSync(this.pending);
    this.addTime(this.spent);
    this.leaveAt(this.placed.record, this.placed.slot);
  }
  private leaveAt(record: number, slot: number): void {
    const { body, locals } = this;
    body.i32_const(record);
    body.local_set(locals.exitRecord);
    body.i32_const(slot);
    body.local_set(locals.exitSlot);
    body.br(this.context.labels.exit);
  }

  /** Goes to a place in the page, with `time` still to be added. */
  private edge(offset: number, time: bigint): void {
    const { body, locals } = this;
    this.emitSync(this.pending);
    this.addTime(this.spent + time);
    const target = this.context.region.blockAt.get(offset);
    if (target === undefined) {
      const record = offset < PAGE_SIZE ? this.context.recordAt(offset) : 0;
      if (record !== 0) {
        this.leaveAt(record, OWN_HANDLER);
        return;
      }
      this.pushRipAt(offset);
      body.local_set(locals.exitRip);
      body.br(this.context.labels.search);
      return;
    }
    const first = target.instructions[0];
    body.local_get(locals.time);
    const worst = BigInt(worstCase(target)) << HIGH;
    if (worst !== 0n) {
      body.i64_const(worst);
      body.emit('i64.add');
    }
    body.i64_const(0);
    body.emit('i64.ge_s');
    body.hint(false);
    body.if();
    this.leaveAt(first.record, first.slot);
    body.end();
    this.goTo(target);
  }
  private goTo(target: Block): void {
    const { body } = this;
    const label = this.ahead[target.index];
    if (label !== undefined) {
      // The next block in order follows by itself.
      if (target.index !== this.block.index + 1 || this.nesting > 0) body.br(label);
      return;
    }
    body.i32_const(target.index);
    body.local_set(this.locals.blockIndex);
    body.br(this.context.labels.again);
  }
  /** Open `when`s of the present instruction. */
  private nesting = 0;

  private pushRipAt(offset: number): void {
    this.body.local_get(this.locals.codePage);
    this.body.i64_const(offset);
    this.body.emit('i64.add');
    if (this.legacy) {
      this.body.i64_const(0xffff_ffff);
      this.body.emit('i64.and');
    }
  }

  // --- control --------------------------------------------------------------------------------------------------

  nextRip(): Word {
    this.pushRipAt(this.placed.offset + this.i.length);
    return this.take();
  }
  checkTarget(target: Word): void {
    // A place in the same page is as canonical as this one.
    if (!this.legacy && this.isRelative && targetOf(this.placed) !== undefined) return;
    this.leaveWhen(this.isOutsideCode(target));
  }
  jump(target: Word): void {
    const { body, locals } = this;
    const time = timeWord(this.placed.cost, 1) + this.charged + timeWord(this.context.cost('taken_branch'), 0);
    const offset = this.isRelative ? targetOf(this.placed) : undefined;
    if (offset !== undefined) {
      this.edge(offset, time);
      this.terminated = true;
      return;
    }
    this.emitSync(this.pending);
    this.addTime(this.spent + time);
    this.push(target);
    body.local_set(locals.exitRip);
    if (!this.isRelative) this.stayInRegion();
    body.br(this.context.labels.search);
    this.terminated = true;
  }
  /** A computed target that is a block of this region is reached without leaving. */
  private stayInRegion(): void {
    const { body, locals } = this;
    const offset = body.local('i64');
    const record = body.local('i32');
    const out = body.block();
    body.local_get(locals.exitRip);
    body.local_get(locals.codePage);
    body.emit('i64.sub');
    body.local_tee(offset);
    body.i64_const(PAGE_SIZE);
    body.emit('i64.ge_u');
    body.br_if(out);
    body.local_get(locals.fetchTable);
    body.local_get(offset);
    body.emit('i32.wrap_i64');
    body.i32_const(2);
    body.emit('i32.shl');
    body.emit('i32.add');
    body.load('i32.load', 0);
    body.local_tee(record);
    body.emit('i32.eqz');
    body.br_if(out);
    body.local_get(record);
    body.load('i32.load', RECORD.handler);
    body.i32_const(this.context.slot);
    body.emit('i32.ne');
    body.br_if(out);
    body.local_get(locals.time);
    body.local_get(record);
    body.load('i64.load32_u', RECORD.worst);
    body.i64_const(32);
    body.emit('i64.shl');
    body.emit('i64.add');
    body.i64_const(0);
    body.emit('i64.ge_s');
    body.br_if(out);
    body.local_get(record);
    body.load('i32.load16_u', RECORD.entry);
    body.local_set(locals.blockIndex);
    body.br(this.context.labels.again);
    body.end();
    body.free(offset);
    body.free(record);
  }
  private get isRelative(): boolean {
    return this.i.operands[0]?.kind === 'relative';
  }
  fault(): void {
    this.leaveHere();
    this.terminated = true;
  }
  private leaveWhen(condition: Condition): void {
    if ('known' in condition) {
      if (condition.known) this.fault();
      return;
    }
    this.pushCondition(condition);
    this.body.hint(false);
    this.body.if();
    this.leaveHere();
    this.body.end();
  }
  charge(event: string): void {
    this.charged += timeWord(this.context.cost(event), 0);
  }
  repeat(element: () => Condition | undefined): void {
    // Only without a repeat prefix; the others are the interpreter's.
    element();
  }

  override when(condition: Condition, then: () => void, otherwise?: () => void): void {
    if ('known' in condition) {
      if (condition.known) then();
      else otherwise?.();
      return;
    }
    if (otherwise !== undefined) this.sync();
    const { pending, charged } = this;
    this.nesting++;
    this.pushCondition(condition);
    this.body.if();
    const thenChanged = this.arm(then, pending, charged);
    const thenTerminated = this.terminated;
    this.terminated = false;
    let elseChanged = false;
    let elseTerminated = false;
    if (otherwise !== undefined) {
      this.body.else();
      elseChanged = this.arm(otherwise, pending, charged);
      elseTerminated = this.terminated;
      this.terminated = false;
    } else if (thenChanged && !thenTerminated && pending !== undefined) {
      this.body.else();
      this.emitSync(pending);
    }
    this.body.end();
    this.nesting--;
    this.terminated = thenTerminated && elseTerminated;
    if ((thenChanged && !thenTerminated) || (elseChanged && !elseTerminated)) this.pending = undefined;
  }
  /** One arm of a `when`; true when it changed the flags. Compile-time state is as before afterwards. */
  private arm(emit: () => void, pending: PendingFlags | undefined, charged: bigint): boolean {
    this.flagsChanged = false;
    emit();
    const changed = this.flagsChanged;
    if (!this.terminated) {
      if (this.charged !== charged) this.addTime(this.charged - charged);
      if (changed) this.emitSync(this.pending);
    }
    this.pending = pending;
    this.charged = charged;
    this.flagsChanged = changed;
    return changed;
  }
  private flagsChanged = false;

  // --- flags ----------------------------------------------------------------------------------------------------

  flags(operation: FlagOperation, width: Width, a: Word, b: Word, result: Word): void {
    // INC and DEC keep CF: what it was must be known by then.
    if ((operation === 'inc' || operation === 'dec') && this.pending !== undefined)
      this.setLocal(this.locals.carry, this.carryOf(this.pending));
    this.setPending({ operation, width, a, b, result });
  }
  shiftFlags(width: Width, result: Word, carry: Word, overflow: Word): void {
    if (this.pending !== undefined) this.setLocal(this.locals.auxiliary, this.auxiliaryOf(this.pending));
    this.setPending({ operation: 'shift', width, a: carry, b: overflow, result });
  }
  private setPending(pending: PendingFlags): void {
    this.pending = pending;
    this.flagsChanged = true;
    this.flagsWritten = true;
  }

  private carryOf({ operation, width, a, b, result }: PendingFlags): Word {
    switch (operation) {
      case 'add':
        return this.word(this.ltU(result, a));
      case 'sub':
        return this.word(this.ltU(a, b));
      case 'adc':
        return this.topBit(this.or(this.and(a, b), this.and(this.or(a, b), this.not(result))), width, 0);
      case 'sbb':
        return this.topBit(this.or(this.and(this.not(a), b), this.and(this.or(this.not(a), b), result)), width, 0);
      case 'logic':
        return this.constant(0);
      case 'shift':
        return a;
      case 'inc':
      case 'dec':
        return { local: this.locals.carry };
    }
  }
  private auxiliaryOf({ operation, a, b, result }: PendingFlags): Word {
    if (operation === 'logic') return this.constant(0);
    if (operation === 'shift') return { local: this.locals.auxiliary };
    return this.xor(this.xor(a, b), result);
  }
  /** A word whose bit 11 is OF. */
  private overflowOf({ operation, width, a, b, result }: PendingFlags): Word {
    switch (operation) {
      case 'logic':
        return this.constant(0);
      case 'shift':
        return this.shl(b, this.constant(11));
      case 'add':
      case 'adc':
      case 'inc':
        return this.topBit(this.and(this.xor(a, result), this.xor(b, result)), width, 11);
      default:
        return this.topBit(this.and(this.xor(a, b), this.xor(a, result)), width, 11);
    }
  }
  private topBit(word: Word, width: Width, to: number): Word {
    const from = width - 1;
    const moved = from >= to ? this.shr(word, this.constant(from - to)) : this.shl(word, this.constant(to - from));
    return this.and(moved, this.constant(1n << BigInt(to)));
  }
  private setLocal(local: number, value: Word): void {
    this.push(value);
    this.body.local_set(local);
  }

  /** Brings the locals up to date with `pending`, for code that does not know it. */
  private emitSync(pending: PendingFlags | undefined): void {
    if (pending === undefined) return;
    const { locals } = this;
    const carry = this.carryOf(pending);
    const auxiliary = this.auxiliaryOf(pending);
    const overflow = this.overflowOf(pending);
    this.setLocal(locals.result, this.sext(pending.width, pending.result));
    this.body.i32_const(0);
    this.body.local_set(locals.zspInBits);
    if (pending.operation !== 'inc' && pending.operation !== 'dec') this.setLocal(locals.carry, carry);
    if (pending.operation !== 'shift') this.setLocal(locals.auxiliary, auxiliary);
    this.setLocal(locals.overflow, overflow);
  }
  private sync(): void {
    this.emitSync(this.pending);
    this.pending = undefined;
  }

  /** ZF, SF and PF as bits, from the locals. */
  private zspBits(): Word {
    const { locals } = this;
    const fromBits = this.and({ local: locals.bits }, this.constant(ZSP));
    const result: Word = { local: locals.result };
    const zero = this.shl(this.word(this.eq(result, this.constant(0))), this.constant(6));
    const sign = this.and(this.shr(result, this.constant(56)), this.constant(SF));
    const one = this.constant(1);
    const odd = this.and(this.popcnt(this.and(result, this.constant(0xff))), one);
    const parity = this.shl(this.xor(odd, one), this.constant(2));
    return this.select({ local: locals.zspInBits }, fromBits, this.or(this.or(zero, sign), parity));
  }
  /** RFLAGS from the locals. */
  private allBits(): Word {
    const { locals } = this;
    const rest = this.and({ local: locals.bits }, this.constant(~STATUS_FLAGS & MASK64));
    const auxiliary = this.and({ local: locals.auxiliary }, this.constant(AF));
    const overflow = this.and({ local: locals.overflow }, this.constant(OF));
    return this.or(this.or(this.or(rest, this.zspBits()), this.or(auxiliary, overflow)), { local: locals.carry });
  }
  /** Brings RFLAGS back from the locals, for the way out; `writeFlags` is the index of the function of loop.ts. */
  storeFlags(writeFlags: number): void {
    const flags = this.allBits();
    this.setField('rflags', 0, flags);
    this.body.local_get(STATE);
    this.push(flags);
    this.body.call(writeFlags);
  }
  readFlags(): Word {
    this.sync();
    return this.allBits();
  }
  setFlags(mask: bigint, bits: Word): void {
    const { locals } = this;
    this.sync();
    this.flagsChanged = true;
    this.flagsWritten = true;
    const zsp = mask & ZSP;
    const direct = (mask & ~STATUS_FLAGS) | zsp;
    if (direct !== 0n) {
      const before =
        zsp === 0n || zsp === ZSP
          ? { local: locals.bits }
          : this.or(this.and({ local: locals.bits }, this.constant(~ZSP & MASK64)), this.zspBits());
      this.setLocal(locals.bits, this.or(this.and(before, this.constant(~direct & MASK64)), this.and(bits, this.constant(direct))));
      if (zsp !== 0n) {
        this.body.i32_const(1);
        this.body.local_set(locals.zspInBits);
      }
    }
    if ((mask & CF) !== 0n) this.setLocal(locals.carry, this.and(bits, this.constant(CF)));
    if ((mask & AF) !== 0n) this.setLocal(locals.auxiliary, bits);
    if ((mask & OF) !== 0n) this.setLocal(locals.overflow, bits);
  }
  flag(name: 'CF' | 'PF' | 'AF' | 'ZF' | 'SF' | 'OF' | 'DF'): Condition {
    const zero = this.constant(0);
    if (name === 'DF') return this.ne(this.and({ local: this.locals.bits }, this.constant(DF)), zero);
    if (name === 'CF') return this.ne(this.pending === undefined ? { local: this.locals.carry } : this.carryOf(this.pending), zero);
    if (name === 'AF') {
      const auxiliary = this.pending === undefined ? { local: this.locals.auxiliary } : this.auxiliaryOf(this.pending);
      return this.ne(this.and(auxiliary, this.constant(AF)), zero);
    }
    return this.condition(CONDITION_OF_FLAG[name]);
  }
  condition(code: number): Condition {
    const condition = this.pending === undefined ? this.conditionOfLocals(code >> 1) : this.conditionOfPending(code >> 1, this.pending);
    return (code & 1) === 1 ? this.negate(condition) : condition;
  }
  private conditionOfPending(kind: number, pending: PendingFlags): Condition {
    const { operation, width, a, b, result } = pending;
    const zero = this.constant(0);
    const signed = (word: Word): Word => this.sext(width, word);
    const overflow = (): Condition => this.ne(this.and(this.overflowOf(pending), this.constant(OF)), zero);
    const less = (): Condition => {
      if (operation === 'sub') return this.ltS(signed(a), signed(b));
      const sign = this.ltS(signed(result), zero);
      if (operation === 'logic') return sign;
      return this.differ(sign, overflow());
    };
    const equal = (): Condition => (operation === 'sub' ? this.eq(a, b) : this.eq(result, zero));
    const below = (): Condition => {
      if (operation === 'sub') return this.ltU(a, b);
      return this.ne(this.carryOf(pending), zero);
    };
    switch (kind) {
      case 0:
        return overflow();
      case 1:
        return below();
      case 2:
        return equal();
      case 3:
        return operation === 'sub' ? this.negate(this.ltU(b, a)) : this.either(below(), equal());
      case 4:
        return this.ltS(signed(result), zero);
      case 5:
        return this.even(result);
      case 6:
        return less();
      default:
        return operation === 'sub' ? this.negate(this.ltS(signed(b), signed(a))) : this.either(less(), equal());
    }
  }
  private conditionOfLocals(kind: number): Condition {
    const { locals } = this;
    const zero = this.constant(0);
    const carry = (): Condition => this.ne({ local: locals.carry }, zero);
    const overflow = (): Condition => this.ne(this.and({ local: locals.overflow }, this.constant(OF)), zero);
    const zsp = (mask: bigint, fromResult: Condition): Condition => {
      const fromBits = this.ne(this.and({ local: locals.bits }, this.constant(mask)), zero);
      return this.selectCondition({ local: locals.zspInBits }, fromBits, fromResult);
    };
    const equal = (): Condition => zsp(ZF, this.eq({ local: locals.result }, zero));
    const sign = (): Condition => zsp(SF, this.ltS({ local: locals.result }, zero));
    switch (kind) {
      case 0:
        return overflow();
      case 1:
        return carry();
      case 2:
        return equal();
      case 3:
        return this.either(carry(), equal());
      case 4:
        return sign();
      case 5:
        return zsp(PF, this.even({ local: locals.result }));
      case 6:
        return this.differ(sign(), overflow());
      default:
        return this.either(this.differ(sign(), overflow()), equal());
    }
  }
  private even(result: Word): Condition {
    return this.eq(this.and(this.popcnt(this.and(result, this.constant(0xff))), this.constant(1)), this.constant(0));
  }
  private differ(a: Condition, b: Condition): Condition {
    if ('known' in a) return a.known ? this.negate(b) : b;
    if ('known' in b) return b.known ? this.negate(a) : a;
    this.pushCondition(a);
    this.pushCondition(b);
    this.body.emit('i32.xor');
    return this.takeCondition();
  }
  private selectCondition(condition: Condition, whenTrue: Condition, whenFalse: Condition): Condition {
    this.pushCondition(whenTrue);
    this.pushCondition(whenFalse);
    this.pushCondition(condition);
    this.body.select();
    return this.takeCondition();
  }

  // --- registers and operands -----------------------------------------------------------------------------------

  register(index: number): Word {
    // A copy: the local may change while the word is still in use.
    this.body.local_get(this.locals.registers[index]);
    return this.take();
  }
  setRegister(index: number, width: Width, value: Word): void {
    this.writtenRegisters.add(index);
    const local = this.locals.registers[index];
    if (width >= 32) {
      this.setLocal(local, this.zext(width, value));
      return;
    }
    const mask = (1n << BigInt(width)) - 1n;
    const kept = this.and({ local }, this.constant(~mask & MASK64));
    this.setLocal(local, this.or(kept, this.and(value, this.constant(mask))));
  }
  read(operand: Operand): Word {
    const width = operand.width as Width;
    switch (operand.kind) {
      case 'register': {
        const whole = this.register(operand.index);
        return this.zext(width, operand.high ? this.shr(whole, this.constant(8)) : whole);
      }
      case 'memory':
        return this.load(width, 'operand', this.effectiveAddress());
      default:
        return this.zext(this.i.operands[0].width as Width, this.immediate());
    }
  }
  modify(operand: Operand): Word {
    if (operand.kind !== 'memory') return this.read(operand);
    const width = operand.width as Width;
    this.modified = this.address('operand', this.effectiveAddress(), width / 8, true);
    this.body.local_get(this.modified);
    this.loadFrom(width);
    return this.take();
  }
  write(operand: Operand, value: Word): void {
    const width = operand.width as Width;
    if (operand.kind === 'register') {
      if (!operand.high) {
        this.setRegister(operand.index, width, value);
        return;
      }
      this.writtenRegisters.add(operand.index);
      const local = this.locals.registers[operand.index];
      const kept = this.and({ local }, this.constant(~0xff00n & MASK64));
      this.setLocal(local, this.or(kept, this.shl(this.and(value, this.constant(0xff)), this.constant(8))));
    } else if (this.modified >= 0) this.storeAt(width, this.modified, value);
    else this.store(width, 'operand', this.effectiveAddress(), value);
  }
  effectiveAddress(): Word {
    const memory = this.i.memory as MemoryOperand;
    let address: Word = this.constant(memory.displacement);
    if (memory.base === RIP_REGISTER) {
      this.pushRipAt(this.placed.offset + this.i.length);
      address = this.add(this.take(), address);
    } else if (memory.base !== NO_REGISTER) address = this.add(this.register(memory.base), address);
    if (memory.index !== NO_REGISTER) {
      address = this.add(this.shl(this.register(memory.index), this.constant(memory.scale)), address);
    }
    return this.zext(this.i.addressSize, address);
  }
  immediate(): Word {
    return this.constant(this.i.immediate);
  }
  immediate2(): Word {
    return this.constant(this.i.immediate2);
  }
  stackIndex(): Word {
    throw new Error('x87 instructions are not compiled');
  }
  readXmm(operand: Operand, word: VectorWord): Word {
    this.body.local_get(STATE);
    this.body.load('i64.load', registerOffset(operand) + VECTOR_WORDS[word]);
    return this.take();
  }
  writeXmm(operand: Operand, word: VectorWord, value: Word): void {
    this.body.local_get(STATE);
    this.push(value);
    this.body.store('i64.store', registerOffset(operand) + VECTOR_WORDS[word]);
  }
  /** What MXCSR.MM lets pass is the interpreter's too. */
  protected checkAligned(offset: Word, size: number): void {
    const linear = this.add(offset, this.segmentBase('operand'));
    this.leaveWhen(this.ne(this.and(linear, this.constant(size - 1)), this.constant(0)));
  }

  // --- memory ---------------------------------------------------------------------------------------------------

  /** A store that has to go elsewhere has left the region before. */
  protected commit(): void {}
  private segmentIndex(segment: SegmentReference): number {
    return segment === 'operand' ? (this.i.memory as MemoryOperand).segment : Segment[segment];
  }
  private segmentBase(segment: SegmentReference): Word {
    const index = this.segmentIndex(segment);
    return !this.legacy && index < Segment.FS ? this.constant(0) : this.field('segmentBase', index);
  }
  /** i32 local with the host address of an access; a miss leaves the region. */
  protected address(segment: SegmentReference, offset: Word, size: number, write: boolean): number {
    const { body, locals } = this;
    if (this.legacy) {
      body.local_get(STATE);
      body.load('i32.load8_u', OFFSET.segmentCheck + this.segmentIndex(segment));
      this.leaveWhen(this.takeCondition());
    }
    let linear = this.add(offset, this.segmentBase(segment));
    if (this.legacy) linear = this.zext(32, linear);
    const entry = this.pushTags(
      linear,
      size,
      write,
      () => body.local_get(locals.lookupTable),
      () => body.local_get(locals.generation),
    );
    body.emit('i64.ne');
    body.hint(false);
    body.if();
    this.leaveHere();
    body.end();
    const host = body.local('i32');
    this.setHostAddress(host, linear, entry);
    body.free(entry);
    return host;
  }

  override field(name: string, index = 0): Word {
    if (name === 'gpr') return this.register(index);
    return super.field(name, index);
  }
  override setField(name: string, index: number, value: Word): void {
    if (name === 'gpr') this.setRegister(index, 64, value);
    else super.setField(name, index, value);
  }
}

/**
 * The part of the emitting instance of the algebra that instructions and subroutines share: words, conditions,
 * floating point and processor fields. Values are locals or constants; every operation on constants is folded.
 *
 * Long because it implements most of the algebra, one short method an operation.
 */
import type { FunctionBody } from '../../wasm/function-body.ts';
import type { Computation, SimdOperation, Variable, Width } from '../algebra.ts';
import { type FieldName, OFFSET } from '../state.ts';
import type { Subroutine } from '../subroutine.ts';

/** A 64-bit word: a constant or a local. */
export type Word = { readonly constant: bigint } | { readonly local: number };
/** A condition: known, or an i32 local. */
export type Condition = { readonly known: boolean } | { readonly local: number };

/** Function indices of what computations call. */
export interface ComputationImports {
  /** Index of a host function by name; (i64, i64, i64) -> i64. */
  hostFunction(name: string): number;
  /** Index of a subroutine; (state i32, i64...) -> (i64...). */
  subroutine(subroutine: Subroutine): number;
}

const MASK64 = 0xffff_ffff_ffff_ffffn;
/** Every function's first parameter: the processor's base. */
export const STATE = 0;

const isConstant = (word: Word): word is { constant: bigint } => 'constant' in word;

export class ComputationEmitter implements Computation<Word, Condition> {
  protected readonly body: FunctionBody;
  private readonly calls: ComputationImports;

  constructor(body: FunctionBody, calls: ComputationImports) {
    this.body = body;
    this.calls = calls;
  }

  /** Ends a subroutine. */
  finish(results: readonly Word[]): void {
    for (const result of results) this.push(result);
  }

  // --- plumbing -------------------------------------------------------------------------------------------------

  protected push(word: Word): void {
    if ('constant' in word) this.body.i64_const(word.constant);
    else this.body.local_get(word.local);
  }
  protected pushCondition(condition: Condition): void {
    if ('known' in condition) this.body.i32_const(condition.known ? 1 : 0);
    else this.body.local_get(condition.local);
  }
  protected take(): Word {
    const local = this.body.local('i64');
    this.body.local_set(local);
    return { local };
  }
  protected takeCondition(): Condition {
    const local = this.body.local('i32');
    this.body.local_set(local);
    return { local };
  }
  protected binary(name: 'add' | 'sub' | 'mul' | 'and' | 'or' | 'xor', a: Word, b: Word, fold: (a: bigint, b: bigint) => bigint): Word {
    if (isConstant(a) && isConstant(b)) return this.constant(fold(a.constant, b.constant));
    if (isConstant(b)) {
      if (b.constant === 0n && name !== 'mul' && name !== 'and') return a;
      if (b.constant === MASK64 && name === 'and') return a;
    }
    this.push(a);
    this.push(b);
    this.body.emit(`i64.${name}`);
    return this.take();
  }
  protected compare(name: 'eq' | 'ne' | 'lt_u' | 'lt_s', a: Word, b: Word, fold: (a: bigint, b: bigint) => boolean): Condition {
    if (isConstant(a) && isConstant(b)) return { known: fold(a.constant, b.constant) };
    this.push(a);
    this.push(b);
    this.body.emit(`i64.${name}`);
    return this.takeCondition();
  }

  // --- words ----------------------------------------------------------------------------------------------------

  constant(value: bigint | number): Word {
    return { constant: BigInt.asUintN(64, BigInt(value)) };
  }
  add(a: Word, b: Word): Word {
    return this.binary('add', a, b, (x, y) => x + y);
  }
  sub(a: Word, b: Word): Word {
    return this.binary('sub', a, b, (x, y) => x - y);
  }
  mul(a: Word, b: Word): Word {
    return this.binary('mul', a, b, (x, y) => x * y);
  }
  and(a: Word, b: Word): Word {
    return this.binary('and', a, b, (x, y) => x & y);
  }
  or(a: Word, b: Word): Word {
    return this.binary('or', a, b, (x, y) => x | y);
  }
  xor(a: Word, b: Word): Word {
    return this.binary('xor', a, b, (x, y) => x ^ y);
  }
  not(a: Word): Word {
    return this.xor(a, this.constant(MASK64));
  }
  protected divide(name: 'div_u' | 'rem_u' | 'div_s' | 'rem_s', a: Word, b: Word): Word {
    this.push(a);
    this.push(b);
    this.body.emit(`i64.${name}`);
    return this.take();
  }
  divU(a: Word, b: Word): Word {
    return this.divide('div_u', a, b);
  }
  remU(a: Word, b: Word): Word {
    return this.divide('rem_u', a, b);
  }
  divS(a: Word, b: Word): Word {
    return this.divide('div_s', a, b);
  }
  remS(a: Word, b: Word): Word {
    return this.divide('rem_s', a, b);
  }
  protected shift(name: 'shl' | 'shr_u' | 'shr_s', a: Word, count: Word, fold: (a: bigint, count: bigint) => bigint): Word {
    if (isConstant(a) && isConstant(count)) return this.constant(fold(a.constant, count.constant & 63n));
    if (isConstant(count) && (count.constant & 63n) === 0n) return a;
    this.push(a);
    this.push(count);
    this.body.emit(`i64.${name}`);
    return this.take();
  }
  shl(a: Word, count: Word): Word {
    return this.shift('shl', a, count, (x, n) => x << n);
  }
  shr(a: Word, count: Word): Word {
    return this.shift('shr_u', a, count, (x, n) => x >> n);
  }
  sar(a: Word, count: Word): Word {
    return this.shift('shr_s', a, count, (x, n) => BigInt.asIntN(64, x) >> n);
  }
  zext(width: Width, a: Word): Word {
    return width === 64 ? a : this.and(a, this.constant((1n << BigInt(width)) - 1n));
  }
  sext(width: Width, a: Word): Word {
    if (width === 64) return a;
    if (isConstant(a)) return this.constant(BigInt.asIntN(width, a.constant));
    this.push(a);
    this.body.emit(`i64.extend${width}_s`);
    return this.take();
  }
  protected unary(name: 'popcnt' | 'clz' | 'ctz', a: Word): Word {
    this.push(a);
    this.body.emit(`i64.${name}`);
    return this.take();
  }
  popcnt(a: Word): Word {
    return this.unary('popcnt', a);
  }
  clz(a: Word): Word {
    return this.unary('clz', a);
  }
  ctz(a: Word): Word {
    return this.unary('ctz', a);
  }

  // --- conditions -----------------------------------------------------------------------------------------------

  eq(a: Word, b: Word): Condition {
    return this.compare('eq', a, b, (x, y) => x === y);
  }
  ne(a: Word, b: Word): Condition {
    return this.compare('ne', a, b, (x, y) => x !== y);
  }
  ltU(a: Word, b: Word): Condition {
    return this.compare('lt_u', a, b, (x, y) => x < y);
  }
  ltS(a: Word, b: Word): Condition {
    return this.compare('lt_s', a, b, (x, y) => BigInt.asIntN(64, x) < BigInt.asIntN(64, y));
  }
  both(a: Condition, b: Condition): Condition {
    if ('known' in a) return a.known ? b : a;
    if ('known' in b) return b.known ? a : b;
    this.pushCondition(a);
    this.pushCondition(b);
    this.body.emit('i32.and');
    return this.takeCondition();
  }
  either(a: Condition, b: Condition): Condition {
    if ('known' in a) return a.known ? a : b;
    if ('known' in b) return b.known ? b : a;
    this.pushCondition(a);
    this.pushCondition(b);
    this.body.emit('i32.or');
    return this.takeCondition();
  }
  negate(a: Condition): Condition {
    if ('known' in a) return { known: !a.known };
    this.pushCondition(a);
    this.body.emit('i32.eqz');
    return this.takeCondition();
  }
  word(a: Condition): Word {
    if ('known' in a) return this.constant(a.known ? 1 : 0);
    this.pushCondition(a);
    this.body.emit('i64.extend_i32_u');
    return this.take();
  }
  select(condition: Condition, whenTrue: Word, whenFalse: Word): Word {
    if ('known' in condition) return condition.known ? whenTrue : whenFalse;
    this.push(whenTrue);
    this.push(whenFalse);
    this.pushCondition(condition);
    this.body.select();
    return this.take();
  }
  choose(condition: Condition, whenTrue: () => Word, whenFalse: () => Word): Word {
    if ('known' in condition) return condition.known ? whenTrue() : whenFalse();
    const result = this.body.local('i64');
    this.when(
      condition,
      () => {
        this.push(whenTrue());
        this.body.local_set(result);
      },
      () => {
        this.push(whenFalse());
        this.body.local_set(result);
      },
    );
    return { local: result };
  }
  when(condition: Condition, then: () => void, otherwise?: () => void): void {
    if ('known' in condition) {
      if (condition.known) then();
      else otherwise?.();
      return;
    }
    this.pushCondition(condition);
    this.body.if();
    then();
    if (otherwise !== undefined) {
      this.body.else();
      otherwise();
    }
    this.body.end();
  }

  // --- floating point -------------------------------------------------------------------------------------------

  f64(operation: 'add' | 'sub' | 'mul' | 'div', a: Word, b: Word): Word {
    this.push(a);
    this.body.emit('f64.reinterpret_i64');
    this.push(b);
    this.body.emit('f64.reinterpret_i64');
    this.body.emit(`f64.${operation}`);
    this.body.emit('i64.reinterpret_f64');
    return this.take();
  }
  f64sqrt(a: Word): Word {
    this.push(a);
    this.body.emit('f64.reinterpret_i64');
    this.body.emit('f64.sqrt');
    this.body.emit('i64.reinterpret_f64');
    return this.take();
  }
  f64ltOrEq(a: Word, b: Word): { less: Condition; equal: Condition; unordered: Condition } {
    const test = (name: 'f64.lt' | 'f64.eq' | 'f64.ne', x: Word, y: Word): Condition => {
      this.push(x);
      this.body.emit('f64.reinterpret_i64');
      this.push(y);
      this.body.emit('f64.reinterpret_i64');
      this.body.emit(name);
      return this.takeCondition();
    };
    const unordered = this.either(test('f64.ne', a, a), test('f64.ne', b, b));
    return { less: test('f64.lt', a, b), equal: test('f64.eq', a, b), unordered };
  }
  f32(operation: 'add' | 'sub' | 'mul' | 'div', a: Word, b: Word): Word {
    for (const word of [a, b]) {
      this.push(word);
      this.body.emit('i32.wrap_i64');
      this.body.emit('f32.reinterpret_i32');
    }
    this.body.emit(`f32.${operation}`);
    this.body.emit('i32.reinterpret_f32');
    this.body.emit('i64.extend_i32_u');
    return this.take();
  }
  f32sqrt(a: Word): Word {
    this.push(a);
    this.body.emit('i32.wrap_i64');
    this.body.emit('f32.reinterpret_i32');
    this.body.emit('f32.sqrt');
    return this.takeF32();
  }
  f32ToF64(a: Word): Word {
    this.push(a);
    this.body.emit('i32.wrap_i64');
    this.body.emit('f32.reinterpret_i32');
    this.body.emit('f64.promote_f32');
    this.body.emit('i64.reinterpret_f64');
    return this.take();
  }
  f64ToF32(a: Word): Word {
    this.push(a);
    this.body.emit('f64.reinterpret_i64');
    this.body.emit('f32.demote_f64');
    return this.takeF32();
  }
  protected takeF32(): Word {
    this.body.emit('i32.reinterpret_f32');
    this.body.emit('i64.extend_i32_u');
    return this.take();
  }
  f64FromInteger(a: Word): Word {
    this.push(a);
    this.body.emit('f64.convert_i64_s');
    this.body.emit('i64.reinterpret_f64');
    return this.take();
  }
  f32FromInteger(a: Word): Word {
    this.push(a);
    this.body.emit('f32.convert_i64_s');
    return this.takeF32();
  }
  f64ToInteger(a: Word, truncate: boolean): Word {
    this.push(a);
    this.body.emit('f64.reinterpret_i64');
    if (!truncate) this.body.emit('f64.nearest');
    this.body.emit('i64.trunc_sat_f64_s');
    return this.take();
  }
  simd(operation: SimdOperation, a: readonly [Word, Word], b: readonly [Word, Word]): [Word, Word] {
    for (const [low, high] of [a, b]) {
      this.push(low);
      this.body.emit('i64x2.splat');
      this.push(high);
      this.body.emit_lane('i64x2.replace_lane', 1);
    }
    this.body.emit(operation);
    const vector = this.body.local('v128');
    this.body.local_tee(vector);
    this.body.emit_lane('i64x2.extract_lane', 0);
    const low = this.take();
    this.body.local_get(vector);
    this.body.emit_lane('i64x2.extract_lane', 1);
    this.body.free(vector);
    return [low, this.take()];
  }
  host(name: string, ...args: Word[]): Word {
    for (let n = 0; n < 3; n++) this.push(args[n] ?? this.constant(0));
    this.body.call(this.calls.hostFunction(name));
    return this.take();
  }

  // --- subroutines and loops --------------------------------------------------------------------------------------

  call(subroutine: Subroutine, ...args: Word[]): Word[] {
    const { body } = this;
    body.local_get(STATE);
    for (const arg of args) this.push(arg);
    body.call(this.calls.subroutine(subroutine));
    const results = Array.from({ length: subroutine.results }, () => body.local('i64'));
    for (const local of [...results].reverse()) body.local_set(local);
    return results.map((local) => ({ local }));
  }
  variable(initial: Word): Variable<Word> {
    const { body } = this;
    const local = body.local('i64');
    const set = (value: Word): void => {
      this.push(value);
      body.local_set(local);
    };
    set(initial);
    return {
      // A copy: later assignments do not change a value that was read before.
      get: () => {
        body.local_get(local);
        return this.take();
      },
      set,
    };
  }
  times(count: Word, step: () => void): void {
    const { body } = this;
    const left = body.local('i64');
    this.push(count);
    body.local_set(left);
    const exit = body.block();
    const again = body.loop();
    body.local_get(left);
    body.emit('i64.eqz');
    body.br_if(exit);
    step();
    body.local_get(left);
    body.i64_const(1);
    body.emit('i64.sub');
    body.local_set(left);
    body.br(again);
    body.end();
    body.end();
  }

  // --- fields -----------------------------------------------------------------------------------------------------

  field(name: string, index = 0): Word {
    this.body.local_get(STATE);
    this.body.load('i64.load', OFFSET[name as FieldName] + index * 8);
    return this.take();
  }
  setField(name: string, index: number, value: Word): void {
    this.body.local_get(STATE);
    this.push(value);
    this.body.store('i64.store', OFFSET[name as FieldName] + index * 8);
  }
  element(name: string, index: Word): Word {
    this.pushElementAddress(index);
    this.body.load('i64.load', OFFSET[name as FieldName]);
    return this.take();
  }
  setElement(name: string, index: Word, value: Word): void {
    this.pushElementAddress(index);
    this.push(value);
    this.body.store('i64.store', OFFSET[name as FieldName]);
  }
  private pushElementAddress(index: Word): void {
    this.body.local_get(STATE);
    this.push(index);
    this.body.emit('i32.wrap_i64');
    this.body.i32_const(3);
    this.body.emit('i32.shl');
    this.body.emit('i32.add');
  }
}

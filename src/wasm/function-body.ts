/**
 * Writes the code of one function. Methods carry the specification's names with `_` for `.` (`local_get`, `br_if`); instructions without
 * immediates go through `emit('i64.add')`, memory accesses through `load` and `store`.
 *
 * A body is reused: `reset(parameters)`, write, then `ModuleBuilder.code(index, body)` copies the bytes out. No method on the way
 * allocates, apart from growth. Locals are allocated by type and can be given back, so that a long function needs few of them; a local
 * taken from the pool holds what its last user left. Blocks return a label, and branches take that label instead of a relative depth.
 *
 *   const exit = body.block()
 *   body.local_get(0); body.emit('i64.eqz'); body.br_if(exit)
 *   body.end()
 */

import { ByteBuffer } from './byte-buffer.ts';
import {
  constants,
  indexed,
  laneAccess,
  lanes,
  loads,
  plain,
  stores,
  structured,
  type LaneAccessName,
  type LaneName,
  type LoadName,
  type PlainName,
  type StoreName,
} from './opcodes.ts';
import { emptyBlockCode, valueTypeCodes, type BlockType, type ReferenceType, type ValueType } from './types.ts';

/** A block that branches can name: its nesting depth, 0 for the function itself. */
export type Label = number;

/** What is known about the branch at an offset of the code (branch hinting proposal, `metadata.code.branch_hint`). */
export interface BranchHint {
  readonly offset: number;
  readonly likely: boolean;
}

export class FunctionBody {
  readonly #code: ByteBuffer;
  readonly #localTypes: ValueType[] = [];
  readonly #localIsFree: boolean[] = [];
  readonly #freeLocals: Record<ValueType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [], funcref: [], externref: [] };
  readonly #openBlocks: number[] = [];
  readonly #hints: BranchHint[] = [];
  #parameterCount = 0;

  constructor(parameters: readonly ValueType[] = [], capacity = 4096) {
    this.#code = new ByteBuffer(capacity);
    this.reset(parameters);
  }

  /** Starts a new function whose first locals are its parameters. */
  reset(parameters: readonly ValueType[]): void {
    this.#code.clear();
    this.#openBlocks.length = 0;
    this.#hints.length = 0;
    this.#localTypes.length = 0;
    this.#localIsFree.length = 0;
    for (const type in this.#freeLocals) this.#freeLocals[type as ValueType].length = 0;
    for (let index = 0; index < parameters.length; index++) {
      this.#localTypes.push(parameters[index] as ValueType);
      this.#localIsFree.push(false);
    }
    this.#parameterCount = parameters.length;
  }

  /** Bytes of code so far. */
  get size(): number {
    return this.#code.length;
  }

  /** The code so far, without the final `end`; a copy, for `disassembleCode`. */
  codeBytes(): Uint8Array<ArrayBuffer> {
    return this.#code.toUint8Array();
  }

  /** Label of the function: a branch to it returns. */
  get functionLabel(): Label {
    return 0;
  }

  // ---- locals

  /** A local of the type, reused from those freed where possible. Not zeroed. */
  local(type: ValueType): number {
    const reused = this.#freeLocals[type].pop();
    if (reused !== undefined) {
      this.#localIsFree[reused] = false;
      return reused;
    }
    this.#localIsFree.push(false);
    return this.#localTypes.push(type) - 1;
  }

  /** Gives a local back; its index may come again from `local`. */
  free(local: number): void {
    const type = this.#localTypes[local];
    if (type === undefined || local < this.#parameterCount || this.#localIsFree[local])
      throw new Error(`local ${local} is not an allocated local`);
    this.#localIsFree[local] = true;
    this.#freeLocals[type].push(local);
  }

  /** Gives all locals back but the parameters and these. */
  freeAll(kept: readonly number[] = []): void {
    for (let local = this.#parameterCount; local < this.#localTypes.length; local++) {
      if (!this.#localIsFree[local] && !kept.includes(local)) this.free(local);
    }
  }

  // ---- control

  block(type: BlockType = 'empty'): Label {
    return this.#open(structured.block, type);
  }

  loop(type: BlockType = 'empty'): Label {
    return this.#open(structured.loop, type);
  }

  if(type: BlockType = 'empty'): Label {
    return this.#open(structured.if, type);
  }

  else(): void {
    if (this.#openBlocks.at(-1) !== structured.if) throw new Error('else outside an if');
    this.#openBlocks[this.#openBlocks.length - 1] = structured.else;
    this.#code.u8(structured.else);
  }

  end(): void {
    if (this.#openBlocks.pop() === undefined) throw new Error('end without a block');
    this.#code.u8(structured.end);
  }

  /** Says of the `if` or `br_if` that is written next whether its condition is likely to hold. */
  hint(likely: boolean): void {
    this.#hints.push({ offset: this.#code.length, likely });
  }

  br(label: Label): void {
    this.#code.u8(indexed.br[0]);
    this.#label(label);
  }

  br_if(label: Label): void {
    this.#code.u8(indexed.br_if[0]);
    this.#label(label);
  }

  br_table(labels: ArrayLike<Label>, defaultLabel: Label): void {
    this.#code.u8(structured.br_table);
    this.#code.u32(labels.length);
    for (let index = 0; index < labels.length; index++) this.#label(labels[index] as Label);
    this.#label(defaultLabel);
  }

  return(): void {
    this.#code.u8(structured.return);
  }

  call(func: number): void {
    this.#index(indexed.call[0], func);
  }

  return_call(func: number): void {
    this.#index(indexed.return_call[0], func);
  }

  call_indirect(type: number, table = 0): void {
    this.#index(indexed.call_indirect[0], type);
    this.#code.u32(table);
  }

  return_call_indirect(type: number, table = 0): void {
    this.#index(indexed.return_call_indirect[0], type);
    this.#code.u32(table);
  }

  // ---- variables, parametric and reference instructions

  local_get(local: number): void {
    this.#index(indexed['local.get'][0], local);
  }

  local_set(local: number): void {
    this.#index(indexed['local.set'][0], local);
  }

  local_tee(local: number): void {
    this.#index(indexed['local.tee'][0], local);
  }

  global_get(global: number): void {
    this.#index(indexed['global.get'][0], global);
  }

  global_set(global: number): void {
    this.#index(indexed['global.set'][0], global);
  }

  /** A type is needed for references only. */
  select(type?: ValueType): void {
    if (type === undefined) {
      this.#code.u8(structured.select);
    } else {
      this.#code.u8(structured['select t']);
      this.#code.u8(1);
      this.#code.u8(valueTypeCodes[type]);
    }
  }

  ref_null(type: ReferenceType): void {
    this.#code.u8(structured['ref.null']);
    this.#code.u8(valueTypeCodes[type]);
  }

  /** The function must also occur in an element segment or an export (§3.4.10, declared references). */
  ref_func(func: number): void {
    this.#index(indexed['ref.func'][0], func);
  }

  // ---- constants

  i32_const(value: number): void {
    this.#code.u8(constants['i32.const']);
    this.#code.s32(value);
  }

  /** A bigint is taken modulo 2**64; a number must be a safe integer. */
  i64_const(value: bigint | number): void {
    this.#code.u8(constants['i64.const']);
    this.#code.s64(value);
  }

  /** `i64.const` of `high * 2**32 + (low >>> 0)`. */
  i64_const_halves(low: number, high: number): void {
    this.#code.u8(constants['i64.const']);
    this.#code.s64Halves(low, high);
  }

  /** NaNs may lose their payload on the way through a JavaScript number: use `f32_const_bits` for them. */
  f32_const(value: number): void {
    this.#code.u8(constants['f32.const']);
    this.#code.f32(value);
  }

  f32_const_bits(bits: number): void {
    this.#code.u8(constants['f32.const']);
    this.#code.word32(bits);
  }

  /** NaNs may lose their payload on the way through a JavaScript number: use `f64_const_bits` for them. */
  f64_const(value: number): void {
    this.#code.u8(constants['f64.const']);
    this.#code.f64(value);
  }

  f64_const_bits(bits: bigint): void {
    this.#code.u8(constants['f64.const']);
    this.#code.word64(bits);
  }

  /** Four lanes of 32 bits, lowest first. */
  v128_const_i32x4(lane0: number, lane1: number, lane2: number, lane3: number): void {
    this.#opcode(constants['v128.const']);
    this.#code.word32(lane0);
    this.#code.word32(lane1);
    this.#code.word32(lane2);
    this.#code.word32(lane3);
  }

  v128_const_i64x2(low: bigint, high: bigint): void {
    this.#opcode(constants['v128.const']);
    this.#code.word64(low);
    this.#code.word64(high);
  }

  // ---- everything without immediates

  emit(name: PlainName): void {
    this.#opcode(plain[name]);
  }

  // ---- memory

  /** `alignment` is a log2 and only a hint: the default is the natural one, also where the address may be unaligned. */
  load(name: LoadName, offset = 0, alignment: number = loads[name][1], memory = 0): void {
    this.#opcode(loads[name][0]);
    this.#memoryArgument(offset, alignment, memory);
  }

  store(name: StoreName, offset = 0, alignment: number = stores[name][1], memory = 0): void {
    this.#opcode(stores[name][0]);
    this.#memoryArgument(offset, alignment, memory);
  }

  /** `v128.load8_lane` and its kin. */
  access_lane(name: LaneAccessName, lane: number, offset = 0, alignment: number = laneAccess[name][1], memory = 0): void {
    this.#opcode(laneAccess[name][0]);
    this.#memoryArgument(offset, alignment, memory);
    this.#code.u8(lane);
  }

  memory_size(memory = 0): void {
    this.#index(indexed['memory.size'][0], memory);
  }

  memory_grow(memory = 0): void {
    this.#index(indexed['memory.grow'][0], memory);
  }

  memory_fill(memory = 0): void {
    this.#index(indexed['memory.fill'][0], memory);
  }

  memory_copy(destination = 0, source = 0): void {
    this.#index(indexed['memory.copy'][0], destination);
    this.#code.u32(source);
  }

  memory_init(data: number, memory = 0): void {
    this.#index(indexed['memory.init'][0], data);
    this.#code.u32(memory);
  }

  data_drop(data: number): void {
    this.#index(indexed['data.drop'][0], data);
  }

  // ---- tables

  table_get(table = 0): void {
    this.#index(indexed['table.get'][0], table);
  }

  table_set(table = 0): void {
    this.#index(indexed['table.set'][0], table);
  }

  table_size(table = 0): void {
    this.#index(indexed['table.size'][0], table);
  }

  table_grow(table = 0): void {
    this.#index(indexed['table.grow'][0], table);
  }

  table_fill(table = 0): void {
    this.#index(indexed['table.fill'][0], table);
  }

  table_copy(destination = 0, source = 0): void {
    this.#index(indexed['table.copy'][0], destination);
    this.#code.u32(source);
  }

  table_init(elem: number, table = 0): void {
    this.#index(indexed['table.init'][0], elem);
    this.#code.u32(table);
  }

  elem_drop(elem: number): void {
    this.#index(indexed['elem.drop'][0], elem);
  }

  // ---- SIMD with lanes

  /** `i32x4.extract_lane`, `i8x16.replace_lane` and their kin. */
  emit_lane(name: LaneName, lane: number): void {
    this.#opcode(lanes[name]);
    this.#code.u8(lane);
  }

  /** Lanes 0 to 15 come from the first operand, 16 to 31 from the second. */
  i8x16_shuffle(laneIndices: ArrayLike<number>): void {
    if (laneIndices.length !== 16) throw new RangeError(`a shuffle has 16 lanes, not ${laneIndices.length}`);
    this.#opcode(structured['i8x16.shuffle']);
    for (let index = 0; index < 16; index++) this.#code.u8(laneIndices[index] as number);
  }

  // ---- for ModuleBuilder

  /**
   * Appends the code entry: size, locals in runs of one type, instructions, final `end` (§5.5.13). Returns the branch
   * hints, their offsets counted from the locals.
   */
  writeEntry(target: ByteBuffer): BranchHint[] {
    if (this.#openBlocks.length > 0) throw new Error(`${this.#openBlocks.length} blocks left open`);
    const size = target.placeholder();
    const start = target.length;
    this.#writeLocals(target);
    const locals = target.length - start;
    target.append(this.#code.bytes, 0, this.#code.length);
    target.u8(structured.end);
    target.patchSize(size);
    return this.#hints.map(({ offset, likely }) => ({ offset: offset + locals, likely }));
  }

  #writeLocals(target: ByteBuffer): void {
    const types = this.#localTypes;
    let runs = 0;
    for (let index = this.#parameterCount; index < types.length; index++)
      if (index === this.#parameterCount || types[index] !== types[index - 1]) runs++;
    target.u32(runs);
    for (let start = this.#parameterCount; start < types.length; ) {
      let end = start + 1;
      while (end < types.length && types[end] === types[start]) end++;
      target.u32(end - start);
      target.u8(valueTypeCodes[types[start] as ValueType]);
      start = end;
    }
  }

  #opcode(opcode: number): void {
    if (opcode < 0x100) {
      this.#code.u8(opcode);
    } else {
      this.#code.u8(opcode >> 8);
      this.#code.u32(opcode & 0xff);
    }
  }

  #index(opcode: number, index: number): void {
    this.#opcode(opcode);
    this.#code.u32(index);
  }

  #open(opcode: number, type: BlockType): Label {
    this.#code.u8(opcode);
    if (typeof type === 'number') this.#code.s64(type);
    else this.#code.u8(type === 'empty' ? emptyBlockCode : valueTypeCodes[type]);
    return this.#openBlocks.push(opcode);
  }

  #label(label: Label): void {
    const depth = this.#openBlocks.length;
    if (!(label >= 0 && label <= depth)) throw new Error(`label ${label} is not open at depth ${depth}`);
    this.#code.u32(depth - label);
  }

  /** Bit 6 of the alignment announces a memory index (§5.4.6, multiple memories). */
  #memoryArgument(offset: number, alignment: number, memory: number): void {
    if (memory === 0) {
      this.#code.u32(alignment);
    } else {
      this.#code.u32(alignment | 0x40);
      this.#code.u32(memory);
    }
    this.#code.u64(offset);
  }
}

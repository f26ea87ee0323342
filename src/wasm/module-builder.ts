/**
 * Collects a module and writes its binary form (core specification §5.5). Indices are those of the specification: imports come first in
 * each index space, so all imports of a kind precede its definitions (checked). Function types are deduplicated.
 *
 *   const type = module.type(['i64'], ['i64'])
 *   const func = module.func(type)
 *   body.reset(['i64']); body.local_get(0)
 *   module.code(func, body)
 *   module.exportFunction('identity', func)
 *   new WebAssembly.Module(module.build())
 *
 * Code goes into one buffer as it comes; `reset()` empties the builder for the next module and keeps the storage.
 */

import { ByteBuffer } from './byte-buffer.ts';
import type { BranchHint, FunctionBody } from './function-body.ts';
import { constants, structured } from './opcodes.ts';
import {
  externalKinds,
  functionTypeCode,
  sectionIds,
  valueTypeCodes,
  type AddressType,
  type ExternalKind,
  type GlobalType,
  type Limits,
  type MemoryType,
  type TableType,
  type ValueType,
} from './types.ts';

/** A section under construction: its entries and their count. */
class Section {
  readonly entries: ByteBuffer;
  count = 0;

  constructor(capacity = 256) {
    this.entries = new ByteBuffer(capacity);
  }

  /** Counts an entry and returns the buffer for its bytes. */
  add(): ByteBuffer {
    this.count++;
    return this.entries;
  }

  clear(): void {
    this.entries.clear();
    this.count = 0;
  }
}

export class ModuleBuilder {
  readonly #output = new ByteBuffer(16384);
  readonly #types = new Section();
  readonly #imports = new Section();
  readonly #functions = new Section();
  readonly #tables = new Section();
  readonly #memories = new Section();
  readonly #globals = new Section();
  readonly #exports = new Section();
  readonly #elements = new Section();
  readonly #data = new Section();
  readonly #functionNames = new Map<number, string>();
  readonly #branchHints = new Map<number, readonly BranchHint[]>();
  readonly #code = new ByteBuffer(16384);
  readonly #typeIndices = new Map<string, number>();
  readonly #importCounts = { func: 0, table: 0, memory: 0, global: 0 };
  readonly #tableAddressTypes: AddressType[] = [];
  readonly #memoryAddressTypes: AddressType[] = [];
  /** Where each function's entry lies in #code; -1 until it is written. */
  readonly #codeStarts: number[] = [];
  readonly #codeEnds: number[] = [];

  /** Forgets everything but keeps the storage. */
  reset(): void {
    this.#types.clear();
    this.#imports.clear();
    this.#functions.clear();
    this.#tables.clear();
    this.#memories.clear();
    this.#globals.clear();
    this.#exports.clear();
    this.#elements.clear();
    this.#data.clear();
    this.#functionNames.clear();
    this.#branchHints.clear();
    this.#code.clear();
    this.#typeIndices.clear();
    for (const kind in this.#importCounts) this.#importCounts[kind as ExternalKind] = 0;
    this.#tableAddressTypes.length = 0;
    this.#memoryAddressTypes.length = 0;
    this.#codeStarts.length = 0;
    this.#codeEnds.length = 0;
  }

  /** Index of the function type; the same type gives the same index. */
  type(parameters: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${parameters.join(' ')}>${results.join(' ')}`;
    const known = this.#typeIndices.get(key);
    if (known !== undefined) return known;
    const entry = this.#types.add();
    entry.u8(functionTypeCode);
    writeTypes(entry, parameters);
    writeTypes(entry, results);
    const index = this.#types.count - 1;
    this.#typeIndices.set(key, index);
    return index;
  }

  // ---- imports

  importFunction(module: string, name: string, type: number): number {
    this.#checkType(type);
    const entry = this.#import(module, name, 'func', this.#functions);
    entry.u32(type);
    return this.#importCounts.func++;
  }

  importTable(module: string, name: string, type: TableType): number {
    writeTableType(this.#import(module, name, 'table', this.#tables), type);
    this.#tableAddressTypes.push(type.addressType ?? 'i32');
    return this.#importCounts.table++;
  }

  importMemory(module: string, name: string, type: MemoryType): number {
    writeLimits(this.#import(module, name, 'memory', this.#memories), type, type.shared);
    this.#memoryAddressTypes.push(type.addressType ?? 'i32');
    return this.#importCounts.memory++;
  }

  importGlobal(module: string, name: string, type: GlobalType): number {
    writeGlobalType(this.#import(module, name, 'global', this.#globals), type);
    return this.#importCounts.global++;
  }

  // ---- definitions

  /** Declares a function, so that calls can name it before its code exists. */
  func(type: number): number {
    this.#checkType(type);
    this.#functions.add().u32(type);
    this.#codeStarts.push(-1);
    this.#codeEnds.push(-1);
    return this.#importCounts.func + this.#functions.count - 1;
  }

  /** Copies the body in as the code of a declared function; in any order, once each. The body is then free for reuse. */
  code(func: number, body: FunctionBody): void {
    const index = func - this.#importCounts.func;
    if (this.#codeStarts[index] !== -1) throw new Error(`function ${func} is not a declared function without code`);
    const start = this.#code.length;
    const hints = body.writeEntry(this.#code);
    if (hints.length > 0) this.#branchHints.set(func, hints);
    this.#codeStarts[index] = start;
    this.#codeEnds[index] = this.#code.length;
  }

  table(type: TableType): number {
    writeTableType(this.#tables.add(), type);
    return this.#tableAddressTypes.push(type.addressType ?? 'i32') - 1;
  }

  memory(type: MemoryType): number {
    writeLimits(this.#memories.add(), type, type.shared);
    return this.#memoryAddressTypes.push(type.addressType ?? 'i32') - 1;
  }

  /** A global starts with a constant; a reference starts as null. */
  global(type: GlobalType, initial: number | bigint = 0): number {
    const entry = this.#globals.add();
    writeGlobalType(entry, type);
    writeConstant(entry, type.type, initial);
    return this.#importCounts.global + this.#globals.count - 1;
  }

  /** An active element segment: the functions fill the table from `offset` on instantiation. Returns its index. */
  element(table: number, offset: number, functions: readonly number[]): number {
    const entry = this.#elements.add();
    entry.u32(table === 0 ? 0 : 2);
    if (table !== 0) entry.u32(table);
    writeConstant(entry, this.#tableAddressTypes[table] ?? 'i32', offset);
    if (table !== 0) entry.u8(0);
    entry.u32(functions.length);
    for (const func of functions) entry.u32(func);
    return this.#elements.count - 1;
  }

  /** A data segment: active at an offset of memory 0, or passive (for `memory.init`) when the offset is absent. Returns its index. */
  data(bytes: Uint8Array, offset?: number): number {
    const entry = this.#data.add();
    entry.u32(offset === undefined ? 1 : 0);
    if (offset !== undefined) writeConstant(entry, this.#memoryAddressTypes[0] ?? 'i32', offset);
    entry.u32(bytes.length);
    entry.append(bytes, 0, bytes.length);
    return this.#data.count - 1;
  }

  export(name: string, kind: ExternalKind, index: number): void {
    const entry = this.#exports.add();
    entry.name(name);
    entry.u8(externalKinds[kind]);
    entry.u32(index);
  }

  exportFunction(name: string, func: number): void {
    this.export(name, 'func', func);
  }

  /** A name for profilers, stack traces and the disassembler (custom section "name", appendix). */
  nameFunction(func: number, name: string): void {
    this.#functionNames.set(func, name);
  }

  /** The binary module, in an array of its own. */
  build(): Uint8Array<ArrayBuffer> {
    const missing = this.#codeStarts.indexOf(-1);
    if (missing >= 0) throw new Error(`function ${missing + this.#importCounts.func} has no code`);
    const output = this.#output;
    output.clear();
    output.word32(0x6d736100); // "\0asm"
    output.word32(1);
    this.#writeSection(sectionIds.type, this.#types);
    this.#writeSection(sectionIds.import, this.#imports);
    this.#writeSection(sectionIds.function, this.#functions);
    this.#writeSection(sectionIds.table, this.#tables);
    this.#writeSection(sectionIds.memory, this.#memories);
    this.#writeSection(sectionIds.global, this.#globals);
    this.#writeSection(sectionIds.export, this.#exports);
    this.#writeSection(sectionIds.element, this.#elements);
    if (this.#data.count > 0) {
      output.u8(sectionIds.dataCount);
      const size = output.placeholder();
      output.u32(this.#data.count);
      output.patchSize(size);
    }
    if (this.#branchHints.size > 0) this.#writeBranchHints();
    this.#writeCode();
    this.#writeSection(sectionIds.data, this.#data);
    if (this.#functionNames.size > 0) this.#writeNames();
    return output.toUint8Array();
  }

  #checkType(type: number): void {
    if (!(type >= 0 && type < this.#types.count)) throw new Error(`no function type ${type}`);
  }

  #import(module: string, name: string, kind: ExternalKind, definitions: Section): ByteBuffer {
    if (definitions.count > 0) throw new Error(`import "${module}" "${name}" comes after the definition of a ${kind}`);
    const entry = this.#imports.add();
    entry.name(module);
    entry.name(name);
    entry.u8(externalKinds[kind]);
    return entry;
  }

  #writeSection(id: number, section: Section): void {
    if (section.count === 0) return;
    const output = this.#output;
    output.u8(id);
    const size = output.placeholder();
    output.u32(section.count);
    output.append(section.entries.bytes, 0, section.entries.length);
    output.patchSize(size);
  }

  #writeCode(): void {
    const count = this.#codeStarts.length;
    if (count === 0) return;
    const output = this.#output;
    output.u8(sectionIds.code);
    const size = output.placeholder();
    output.u32(count);
    for (let index = 0; index < count; ) {
      // Entries that lie in index order are copied together: usually all of them.
      const start = this.#codeStarts[index] as number;
      let end = this.#codeEnds[index++] as number;
      while (index < count && this.#codeStarts[index] === end) end = this.#codeEnds[index++] as number;
      output.append(this.#code.bytes, start, end);
    }
    output.patchSize(size);
  }

  /** Custom section of the branch hinting proposal; it must precede the code section. */
  #writeBranchHints(): void {
    const output = this.#output;
    output.u8(sectionIds.custom);
    const size = output.placeholder();
    output.name('metadata.code.branch_hint');
    output.u32(this.#branchHints.size);
    for (const [func, hints] of [...this.#branchHints].sort((a, b) => a[0] - b[0])) {
      output.u32(func);
      output.u32(hints.length);
      for (const { offset, likely } of hints) {
        output.u32(offset);
        output.u32(1);
        output.u8(likely ? 1 : 0);
      }
    }
    output.patchSize(size);
  }

  #writeNames(): void {
    const output = this.#output;
    output.u8(sectionIds.custom);
    const size = output.placeholder();
    output.name('name');
    output.u8(1); // function names
    const subsection = output.placeholder();
    output.u32(this.#functionNames.size);
    for (const [func, name] of [...this.#functionNames].sort((a, b) => a[0] - b[0])) {
      output.u32(func);
      output.name(name);
    }
    output.patchSize(subsection);
    output.patchSize(size);
  }
}

function writeTypes(target: ByteBuffer, types: readonly ValueType[]): void {
  target.u32(types.length);
  for (const type of types) target.u8(valueTypeCodes[type]);
}

/** Flags: bit 0 a maximum follows, bit 1 shared, bit 2 64-bit addresses (§5.3.11). */
function writeLimits(target: ByteBuffer, limits: Limits, shared = false): void {
  target.u8((limits.maximum === undefined ? 0 : 1) | (shared ? 2 : 0) | (limits.addressType === 'i64' ? 4 : 0));
  target.u64(limits.minimum);
  if (limits.maximum !== undefined) target.u64(limits.maximum);
}

function writeTableType(target: ByteBuffer, type: TableType): void {
  target.u8(valueTypeCodes[type.elementType ?? 'funcref']);
  writeLimits(target, type);
}

function writeGlobalType(target: ByteBuffer, type: GlobalType): void {
  target.u8(valueTypeCodes[type.type]);
  target.u8(type.mutable ? 1 : 0);
}

/** A constant expression (§5.4.10). */
function writeConstant(target: ByteBuffer, type: ValueType, value: number | bigint): void {
  switch (type) {
    case 'i32':
      target.u8(constants['i32.const']);
      target.s32(Number(value));
      break;
    case 'i64':
      target.u8(constants['i64.const']);
      target.s64(value);
      break;
    case 'f32':
      target.u8(constants['f32.const']);
      target.f32(Number(value));
      break;
    case 'f64':
      target.u8(constants['f64.const']);
      target.f64(Number(value));
      break;
    case 'v128':
      target.u8(constants['v128.const'] >> 8);
      target.u32(constants['v128.const'] & 0xff);
      target.word64(BigInt(value));
      target.word64(BigInt(value) >> 64n);
      break;
    case 'funcref':
    case 'externref':
      target.u8(structured['ref.null']);
      target.u8(valueTypeCodes[type]);
      break;
  }
  target.u8(structured.end);
}

/**
 * Instructions as text in the notation of the text format (core specification §6.5), one line each, blocks indented. Reads the same tables
 * as the emitter, so it knows every opcode that the emitter can write and refuses others with their position.
 */

import { ByteReader } from './byte-reader.ts';
import { constants, indexed, laneAccess, lanes, loads, plain, stores, structured } from './opcodes.ts';
import { emptyBlockCode, valueTypeCodes } from './types.ts';

type Operands = (reader: ByteReader) => string;

interface Instruction {
  readonly name: string;
  readonly operands: Operands;
}

const instructions: ReadonlyMap<number, Instruction> = tabulate();

/** The lines of an instruction sequence; `indent` is the nesting of the first line. Ends with the bytes or after the `end` of the function. */
export function disassembleCode(bytes: Uint8Array, start = 0, end = bytes.length, indent = 0): string[] {
  const reader = new ByteReader(bytes, start, end);
  const lines: string[] = [];
  let depth = 0;
  while (!reader.atEnd) {
    const { opcode, text } = readInstruction(reader);
    if (opcode === structured.end && depth === 0) break;
    if (opcode === structured.end || opcode === structured.else) depth--;
    lines.push('  '.repeat(Math.max(indent + depth, 0)) + text);
    if (opcode === structured.block || opcode === structured.loop || opcode === structured.if || opcode === structured.else) depth++;
  }
  return lines;
}

/** The next instruction and its opcode. */
export function readInstruction(reader: ByteReader): { opcode: number; text: string } {
  const position = reader.position;
  const first = reader.u8();
  const opcode = first === 0xfc || first === 0xfd ? (first << 8) | reader.u32() : first;
  const instruction = instructions.get(opcode);
  if (instruction === undefined) throw new Error(`unknown opcode 0x${opcode.toString(16)} at ${position}`);
  const operands = instruction.operands(reader);
  return { opcode, text: operands === '' ? instruction.name : `${instruction.name} ${operands}` };
}

export function valueTypeName(code: number): string {
  for (const [name, known] of Object.entries(valueTypeCodes)) if (known === code) return name;
  throw new Error(`unknown value type 0x${code.toString(16)}`);
}

function tabulate(): Map<number, Instruction> {
  const table = new Map<number, Instruction>();
  const add = (name: string, opcode: number, operands: Operands): void => {
    if (table.has(opcode)) throw new Error(`two instructions with opcode 0x${opcode.toString(16)}: ${name}`);
    table.set(opcode, { name, operands });
  };
  for (const [name, opcode] of Object.entries(plain)) add(name, opcode, none);
  for (const [name, opcode] of Object.entries(lanes)) add(name, opcode, (reader) => `${reader.u8()}`);
  for (const [name, [opcode, alignment]] of [...Object.entries(loads), ...Object.entries(stores)])
    add(name, opcode, (reader) => memoryArgument(reader, alignment));
  for (const [name, [opcode, alignment]] of Object.entries(laneAccess))
    add(name, opcode, (reader) => words(memoryArgument(reader, alignment), `${reader.u8()}`));
  for (const [name, [opcode, ...spaces]] of Object.entries(indexed)) add(name, opcode, indices(spaces));

  add('i32.const', constants['i32.const'], (reader) => `${reader.s32()}`);
  add('i64.const', constants['i64.const'], (reader) => `${reader.s64()}`);
  add('f32.const', constants['f32.const'], f32Text);
  add('f64.const', constants['f64.const'], f64Text);
  add('v128.const', constants['v128.const'], v128Text);

  add('block', structured.block, blockType);
  add('loop', structured.loop, blockType);
  add('if', structured.if, blockType);
  add('else', structured.else, none);
  add('end', structured.end, none);
  add('return', structured.return, none);
  add('br_table', structured.br_table, (reader) => list(reader.u32() + 1, () => reader.u32()));
  add('select', structured.select, none);
  add('select', structured['select t'], (reader) => `(result ${list(reader.u32(), () => valueTypeName(reader.u8()))})`);
  add('ref.null', structured['ref.null'], (reader) => valueTypeName(reader.u8()).replace('ref', ''));
  add('i8x16.shuffle', structured['i8x16.shuffle'], (reader) => list(16, () => reader.u8()));
  return table;
}

function none(): string {
  return '';
}

function list(count: number, item: () => number | string): string {
  return Array.from({ length: count }, item).join(' ');
}

function words(...parts: string[]): string {
  return parts.filter((part) => part !== '').join(' ');
}

/**
 * Memory and table 0 are not written. The text puts the table before the type, and the memory or table before the segment, both the other
 * way round than the bytes (§6.5.6, §6.5.7).
 */
function indices(spaces: readonly string[]): Operands {
  return (reader) => {
    const values = spaces.map(() => reader.u32());
    const defaults = spaces.map((space, position) => (space === 'memory' || space === 'table') && values[position] === 0);
    if (spaces.length === 2 && spaces[0] === spaces[1]) return defaults.every(Boolean) ? '' : values.join(' ');
    const parts = values.map((value, position) => {
      if (defaults[position]) return '';
      return spaces[position] === 'type' ? `(type ${value})` : `${value}`;
    });
    return words(...parts.reverse());
  };
}

function memoryArgument(reader: ByteReader, naturalAlignment: number): string {
  const flags = reader.u32();
  const memory = (flags & 0x40) === 0 ? 0 : reader.u32();
  const alignment = flags & 0x3f;
  const offset = reader.u64();
  return words(
    memory === 0 ? '' : `${memory}`,
    offset === 0n ? '' : `offset=${offset}`,
    alignment === naturalAlignment ? '' : `align=${2 ** alignment}`,
  );
}

function blockType(reader: ByteReader): string {
  const type = reader.s64();
  if (type >= 0n) return `(type ${type})`;
  const code = Number(type) & 0x7f;
  return code === emptyBlockCode ? '' : `(result ${valueTypeName(code)})`;
}

function f32Text(reader: ByteReader): string {
  const bits = reader.word32();
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits);
  return floatText(view.getFloat32(0), bits >>> 31 === 1, BigInt(bits & 0x7fffff));
}

function f64Text(reader: ByteReader): string {
  const bits = reader.word64();
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return floatText(view.getFloat64(0), bits >> 63n === 1n, bits & 0xfffffffffffffn);
}

function floatText(value: number, negative: boolean, payload: bigint): string {
  const sign = negative ? '-' : '';
  if (Number.isNaN(value)) return `${sign}nan:0x${payload.toString(16)}`;
  return sign + (Math.abs(value) === Number.POSITIVE_INFINITY ? 'inf' : `${Math.abs(value)}`);
}

function v128Text(reader: ByteReader): string {
  return `i32x4 ${list(4, () => `0x${reader.word32().toString(16).padStart(8, '0')}`)}`;
}

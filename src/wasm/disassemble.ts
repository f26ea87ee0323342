/**
 * A binary module as text in the notation of the text format (core specification §6), to look at generated code: every section that
 * ModuleBuilder writes, each definition with its index in a comment. Function names come from the "name" section.
 */

import { ByteReader } from './byte-reader.ts';
import { disassembleCode, readInstruction, valueTypeName } from './disassemble-code.ts';
import { externalKinds, functionTypeCode, sectionIds } from './types.ts';

/** What has been read so far: counts that give definitions their indices, and lines by section. */
class Listing {
  readonly lines: string[] = [];
  readonly types: string[] = [];
  readonly functionTypes: number[] = [];
  readonly functionNames = new Map<number, string>();
  readonly counts = { func: 0, table: 0, memory: 0, global: 0, elem: 0, data: 0 };

  line(text: string): void {
    this.lines.push(`  ${text}`);
  }
}

/** The whole module; throws on what ModuleBuilder would not write. */
export function disassemble(module: Uint8Array): string {
  const reader = new ByteReader(module);
  if (reader.word32() !== 0x6d736100 || reader.word32() !== 1) throw new Error('not a WebAssembly module of version 1');
  const listing = new Listing();
  readNames(module, listing);
  while (!reader.atEnd) {
    const id = reader.u8();
    const size = reader.u32();
    const section = new ByteReader(module, reader.position, reader.position + size);
    if (id !== sectionIds.custom) readSection(id, section, listing);
    reader.position += size;
  }
  return ['(module', ...listing.lines, ')', ''].join('\n');
}

function readSection(id: number, reader: ByteReader, listing: Listing): void {
  if (id === sectionIds.dataCount) return;
  const read = sectionReaders.get(id);
  if (read === undefined) throw new Error(`unknown section ${id}`);
  for (let count = reader.u32(); count > 0; count--) read(reader, listing);
}

const sectionReaders: ReadonlyMap<number, (reader: ByteReader, listing: Listing) => void> = new Map([
  [sectionIds.type, readType],
  [sectionIds.import, readImport],
  [sectionIds.function, readFunction],
  [sectionIds.table, readTable],
  [sectionIds.memory, readMemory],
  [sectionIds.global, readGlobal],
  [sectionIds.export, readExport],
  [sectionIds.element, readElement],
  [sectionIds.code, readCode],
  [sectionIds.data, readData],
]);

function readType(reader: ByteReader, listing: Listing): void {
  if (reader.u8() !== functionTypeCode) throw new Error('not a function type');
  const parameters = valueTypes(reader);
  const results = valueTypes(reader);
  const text = (parameters === '' ? '' : ` (param ${parameters})`) + (results === '' ? '' : ` (result ${results})`);
  listing.line(`(type (;${listing.types.length};) (func${text}))`);
  listing.types.push(text);
}

function readImport(reader: ByteReader, listing: Listing): void {
  const names = `${quote(reader.name())} ${quote(reader.name())}`;
  const kind = reader.u8();
  const { counts } = listing;
  switch (kind) {
    case externalKinds.func:
      listing.line(`(import ${names} (func (;${counts.func++};) (type ${reader.u32()})))`);
      break;
    case externalKinds.table:
      listing.line(`(import ${names} (table (;${counts.table++};) ${tableType(reader)}))`);
      break;
    case externalKinds.memory:
      listing.line(`(import ${names} (memory (;${counts.memory++};) ${limits(reader)}))`);
      break;
    case externalKinds.global:
      listing.line(`(import ${names} (global (;${counts.global++};) ${globalType(reader)}))`);
      break;
    default:
      throw new Error(`unknown kind of import ${kind}`);
  }
}

function readFunction(reader: ByteReader, listing: Listing): void {
  listing.functionTypes.push(reader.u32());
}

function readTable(reader: ByteReader, listing: Listing): void {
  listing.line(`(table (;${listing.counts.table++};) ${tableType(reader)})`);
}

function readMemory(reader: ByteReader, listing: Listing): void {
  listing.line(`(memory (;${listing.counts.memory++};) ${limits(reader)})`);
}

function readGlobal(reader: ByteReader, listing: Listing): void {
  listing.line(`(global (;${listing.counts.global++};) ${globalType(reader)} ${constant(reader)})`);
}

function readExport(reader: ByteReader, listing: Listing): void {
  const name = quote(reader.name());
  const code = reader.u8();
  const kind = Object.entries(externalKinds).find(([, known]) => known === code)?.[0];
  if (kind === undefined) throw new Error(`unknown kind of export ${code}`);
  listing.line(`(export ${name} (${kind} ${reader.u32()}))`);
}

function readElement(reader: ByteReader, listing: Listing): void {
  const flags = reader.u32();
  if (flags !== 0 && flags !== 2) throw new Error(`unknown element segment ${flags}`);
  const table = flags === 0 ? '' : `(table ${reader.u32()}) `;
  const offset = constant(reader);
  if (flags === 2) reader.u8();
  const functions = Array.from({ length: reader.u32() }, () => ` ${reader.u32()}`).join('');
  listing.line(`(elem (;${listing.counts.elem++};) ${table}${offset} func${functions})`);
}

function readCode(reader: ByteReader, listing: Listing): void {
  const size = reader.u32();
  const end = reader.position + size;
  const type = listing.functionTypes.shift() as number;
  const index = listing.counts.func++;
  const name = listing.functionNames.get(index);
  const comment = name === undefined ? '' : ` ;; ${JSON.stringify(name)}`;
  listing.line(`(func (;${index};) (type ${type})${listing.types[type]}${comment}`);
  for (let runs = reader.u32(); runs > 0; runs--) {
    const count = reader.u32();
    listing.line(`  (local${` ${valueTypeName(reader.u8())}`.repeat(count)})`);
  }
  listing.lines.push(...disassembleCode(reader.bytes, reader.position, end, 2));
  listing.line(')');
  reader.position = end;
}

function readData(reader: ByteReader, listing: Listing): void {
  const flags = reader.u32();
  if (flags > 1) throw new Error(`unknown data segment ${flags}`);
  const offset = flags === 0 ? `${constant(reader)} ` : '';
  const bytes = Array.from({ length: reader.u32() }, () => `\\${reader.u8().toString(16).padStart(2, '0')}`);
  listing.line(`(data (;${listing.counts.data++};) ${offset}"${bytes.join('')}")`);
}

/** Function names from the custom section "name", which stands at the end of the module. */
function readNames(module: Uint8Array, listing: Listing): void {
  const reader = new ByteReader(module, 8);
  while (!reader.atEnd) {
    const id = reader.u8();
    const size = reader.u32();
    const section = new ByteReader(module, reader.position, reader.position + size);
    reader.position += size;
    if (id !== sectionIds.custom || section.name() !== 'name') continue;
    while (!section.atEnd) {
      const subsection = section.u8();
      const end = section.u32() + section.position;
      if (subsection === 1) for (let count = section.u32(); count > 0; count--) listing.functionNames.set(section.u32(), section.name());
      section.position = end;
    }
  }
}

function valueTypes(reader: ByteReader): string {
  return Array.from({ length: reader.u32() }, () => valueTypeName(reader.u8())).join(' ');
}

function limits(reader: ByteReader): string {
  const flags = reader.u8();
  const address = (flags & 4) === 0 ? '' : 'i64 ';
  const minimum = reader.u64();
  const maximum = (flags & 1) === 0 ? '' : ` ${reader.u64()}`;
  return `${address}${minimum}${maximum}${(flags & 2) === 0 ? '' : ' shared'}`;
}

function tableType(reader: ByteReader): string {
  const element = valueTypeName(reader.u8());
  return `${limits(reader)} ${element}`;
}

function globalType(reader: ByteReader): string {
  const type = valueTypeName(reader.u8());
  return reader.u8() === 1 ? `(mut ${type})` : type;
}

/** A constant expression, folded; its `end` is read. */
function constant(reader: ByteReader): string {
  const { text } = readInstruction(reader);
  readInstruction(reader);
  return `(${text})`;
}

function quote(name: string): string {
  return `"${name.replace(/["\\\p{Cc}]/gu, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`)}"`;
}

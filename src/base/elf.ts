/**
 * ELF files as the loaders need them: header, segments, sections, notes, symbols; 32- and 64-bit, little-endian.
 * Pure: bytes to plain data, nothing is loaded. Every offset of the file is checked before it is followed; whatever is
 * wrong is a {@link ConfigError} of one line. Data of segments and sections are views into the file, not copies.
 * Sources: System V ABI, "Object Files" (ELF header, Sections, Program Header, Note Section, Symbol Table).
 * Left out: relocations, dynamic linking, files with extended numbering (PN_XNUM, SHN_XINDEX).
 */

import { ConfigError } from './errors.ts';

export const PT_LOAD = 1;
export const PT_NOTE = 4;
export const SHT_SYMTAB = 2;
export const SHT_STRTAB = 3;
export const SHT_NOTE = 7;
export const SHT_NOBITS = 8;
export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;
export const ET_EXEC = 2;
export const ET_DYN = 3;
export const EM_386 = 3;
export const EM_X86_64 = 62;

export interface ElfSegment {
  readonly type: number;
  readonly flags: number;
  readonly virtual: bigint;
  readonly physical: bigint;
  /** Bytes to place at the address; the rest up to `memoryBytes` is zero. */
  readonly data: Uint8Array;
  readonly memoryBytes: bigint;
  readonly fileOffset: number;
}

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly address: bigint;
  /** Empty for SHT_NOBITS. */
  readonly data: Uint8Array;
  readonly sizeBytes: bigint;
  /** Index of the section that this one refers to (the string table of a symbol table). */
  readonly link: number;
}

export interface ElfNote {
  readonly owner: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
}

export interface ElfSymbol {
  readonly name: string;
  readonly address: bigint;
  readonly sizeBytes: bigint;
  /** STT_*: 1 object, 2 function. */
  readonly type: number;
}

export interface ElfImage {
  readonly bits: 32 | 64;
  readonly type: number;
  readonly machine: number;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly sections: readonly ElfSection[];
}

/** Where the fields of the two classes are; a `long` is 4 or 8 bytes. */
const layouts = {
  32: {
    header: { bytes: 52, entry: 24, programOffset: 28, sectionOffset: 32, counts: 42 },
    segment: { bytes: 32, type: 0, offset: 4, virtual: 8, physical: 12, fileBytes: 16, memoryBytes: 20, flags: 24 },
    section: { bytes: 40, name: 0, type: 4, address: 12, offset: 16, size: 20, link: 24 },
    symbol: { bytes: 16, name: 0, value: 4, size: 8, info: 12 },
  },
  64: {
    header: { bytes: 64, entry: 24, programOffset: 32, sectionOffset: 40, counts: 54 },
    segment: { bytes: 56, type: 0, offset: 8, virtual: 16, physical: 24, fileBytes: 32, memoryBytes: 40, flags: 4 },
    section: { bytes: 64, name: 0, type: 4, address: 16, offset: 24, size: 32, link: 40 },
    symbol: { bytes: 24, name: 0, value: 8, size: 16, info: 4 },
  },
} as const;

/** True when the bytes begin as an ELF file does. */
export function isElf(file: Uint8Array): boolean {
  return file.length >= 4 && file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;
}

/**
 * Reads headers and tables.
 * @param file kept: segment and section data are views of it.
 * @throws {ConfigError} when it is not a little-endian ELF file, or points outside itself.
 */
export function parseElf(file: Uint8Array): ElfImage {
  if (!isElf(file)) throw new ConfigError('not an ELF file (no 7f 45 4c 46 at the start)');
  if (file.length < 16) throw bad('the identification is cut');
  const bits = file[4] === 1 ? 32 : file[4] === 2 ? 64 : undefined;
  if (bits === undefined) throw bad(`class ${file[4]} is neither 32 nor 64 bits`);
  if (file[5] !== 1) throw bad('not little-endian');
  const layout = layouts[bits];
  if (file.length < layout.header.bytes) throw bad('the header is cut');
  const read = new Reader(file, bits);
  const { counts } = layout.header;
  const segments = table(read, read.long(layout.header.programOffset), read.u16(counts), read.u16(counts + 2), layout.segment.bytes, {
    name: 'program header',
    row: (at) => segmentAt(read, at),
  });
  const headers = table(read, read.long(layout.header.sectionOffset), read.u16(counts + 4), read.u16(counts + 6), layout.section.bytes, {
    name: 'section header',
    row: (at) => sectionAt(read, at),
  });
  const names = headers[read.u16(counts + 8)]?.data ?? new Uint8Array(0);
  const sections = headers.map(({ nameOffset, ...section }) => ({ name: text(names, nameOffset), ...section }));
  return { bits, type: read.u16(16), machine: read.u16(18), entry: read.long(layout.header.entry), segments, sections };
}

/** Notes of all PT_NOTE segments. Segments at file offset 0 are skipped, as Xen's loader does (some linkers leave empty ones there). */
export function notesOfSegments(image: ElfImage): ElfNote[] {
  return image.segments.filter(({ type, fileOffset }) => type === PT_NOTE && fileOffset !== 0).flatMap(({ data }) => parseNotes(data));
}

/** Notes of all SHT_NOTE sections. */
export function notesOfSections(image: ElfImage): ElfNote[] {
  return image.sections.filter(({ type }) => type === SHT_NOTE).flatMap(({ data }) => parseNotes(data));
}

/** namesz, descsz, type, then owner and descriptor, each padded to 4 bytes. The owner comes without its NUL. */
export function parseNotes(data: Uint8Array): ElfNote[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const notes: ElfNote[] = [];
  let at = 0;
  while (at + 12 <= data.length) {
    const ownerBytes = view.getUint32(at, true);
    const descriptorBytes = view.getUint32(at + 4, true);
    const type = view.getUint32(at + 8, true);
    const descriptorAt = at + 12 + padded(ownerBytes);
    if (descriptorAt + descriptorBytes > data.length) throw bad(`a note of type ${type} reaches behind its section`);
    notes.push({
      owner: text(data.subarray(at + 12, at + 12 + ownerBytes), 0),
      type,
      descriptor: data.subarray(descriptorAt, descriptorAt + descriptorBytes),
    });
    at = descriptorAt + padded(descriptorBytes);
  }
  return notes;
}

/** Named symbols of the symbol tables, in the file's order; empty for stripped files. */
export function symbolsOf(image: ElfImage): ElfSymbol[] {
  const layout = layouts[image.bits].symbol;
  const symbols: ElfSymbol[] = [];
  for (const section of image.sections) {
    if (section.type !== SHT_SYMTAB) continue;
    const names = image.sections[section.link]?.data ?? new Uint8Array(0);
    const read = new Reader(section.data, image.bits);
    for (let at = 0; at + layout.bytes <= section.data.length; at += layout.bytes) {
      const name = text(names, read.u32(at + layout.name));
      if (name === '') continue;
      const type = (section.data[at + layout.info] as number) & 0xf;
      symbols.push({ name, address: read.long(at + layout.value), sizeBytes: read.long(at + layout.size), type });
    }
  }
  return symbols;
}

/** NUL-terminated Latin-1 text from `at` on; empty when `at` is outside. */
export function text(bytes: Uint8Array, at: number): string {
  let result = '';
  for (let i = at; i < bytes.length && bytes[i] !== 0; i++) result += String.fromCharCode(bytes[i] as number);
  return result;
}

class Reader {
  readonly file: Uint8Array;
  readonly bits: 32 | 64;
  readonly #view: DataView;

  constructor(file: Uint8Array, bits: 32 | 64) {
    this.file = file;
    this.bits = bits;
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  }

  u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  long(at: number): bigint {
    return this.bits === 64 ? this.#view.getBigUint64(at, true) : BigInt(this.#view.getUint32(at, true));
  }

  /** @throws {ConfigError} when [offset, offset + length) is not inside the file. */
  slice(offset: bigint, length: bigint, what: string): Uint8Array {
    if (offset + length > BigInt(this.file.length)) {
      throw bad(`${what} at 0x${offset.toString(16)} with 0x${length.toString(16)} bytes reaches behind the end of the file`);
    }
    return this.file.subarray(Number(offset), Number(offset + length));
  }
}

function table<T>(
  read: Reader,
  offset: bigint,
  rowBytes: number,
  count: number,
  leastBytes: number,
  options: { name: string; row: (at: number) => T },
): T[] {
  if (count === 0 || offset === 0n) return [];
  if (rowBytes < leastBytes) throw bad(`a ${options.name} has ${rowBytes} bytes instead of ${leastBytes}`);
  read.slice(offset, BigInt(rowBytes * count), `${options.name} table`);
  return Array.from({ length: count }, (_, i) => options.row(Number(offset) + i * rowBytes));
}

function segmentAt(read: Reader, at: number): ElfSegment {
  const layout = layouts[read.bits].segment;
  const offset = read.long(at + layout.offset);
  const fileBytes = read.long(at + layout.fileBytes);
  const memoryBytes = read.long(at + layout.memoryBytes);
  const type = read.u32(at + layout.type);
  const virtual = read.long(at + layout.virtual);
  const physical = read.long(at + layout.physical);
  const loaded = type === PT_LOAD;
  const top = 1n << BigInt(read.bits);
  if (loaded && fileBytes > memoryBytes) throw bad(`a segment at 0x${virtual.toString(16)} is larger in the file than in memory`);
  if (loaded && (virtual + memoryBytes > top || physical + memoryBytes > top)) throw bad('a segment wraps around the address space');
  // Only what is read later must be there: loaders read PT_LOAD and PT_NOTE.
  const data = loaded || type === PT_NOTE ? read.slice(offset, fileBytes, 'a segment') : new Uint8Array(0);
  return {
    type,
    flags: read.u32(at + layout.flags),
    virtual,
    physical,
    data,
    memoryBytes,
    fileOffset: data.length > 0 ? Number(offset) : 0,
  };
}

function sectionAt(read: Reader, at: number): Omit<ElfSection, 'name'> & { nameOffset: number } {
  const layout = layouts[read.bits].section;
  const type = read.u32(at + layout.type);
  const sizeBytes = read.long(at + layout.size);
  const inFile = type !== SHT_NOBITS && type !== 0;
  return {
    nameOffset: read.u32(at + layout.name),
    type,
    address: read.long(at + layout.address),
    data: inFile ? read.slice(read.long(at + layout.offset), sizeBytes, 'a section') : new Uint8Array(0),
    sizeBytes,
    link: read.u32(at + layout.link),
  };
}

const padded = (bytes: number): number => Math.ceil(bytes / 4) * 4;

function bad(problem: string): ConfigError {
  return new ConfigError(`bad ELF file: ${problem}`);
}

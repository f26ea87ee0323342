/**
 * The save stream: how state becomes bytes and comes back. Snapshots, migration, replay and the state hash all read
 * the same stream, so a component writes `save` and `restore` once and gets every one of them.
 *
 * Layout, little-endian, no padding:
 *
 *     stream    "PVNS" | u16 format version | section* | 03
 *     section   01 | string name | u16 section version | field* | 02
 *     string    u32 byte length | UTF-8
 *     bytes     u32 byte length | bytes
 *     plain     u8 tag | payload (see persist-plain.ts)
 *
 * Fields carry no type: reader and writer agree by the section's version. Sections nest; both ends are checked, so a
 * reader that takes too much or too little is found at once. The stream has no length up front: it can be hashed
 * while it is written. `saveStream` and `restoreStream` at the end are the usual way in.
 */

import { assert, ConfigError } from './errors.ts';
import { readPlain, writePlain } from './persist-plain.ts';
import { Sha256 } from './sha256.ts';

/** A component with state. `restore` puts saved state into an object built with the same live handles and options. */
export interface Persistent {
  save(writer: SaveWriter): void;
  restore(reader: SaveReader): void;
}

/** Takes the stream piece by piece; a piece is valid only during the call. */
export type SaveSink = (piece: Uint8Array) => void;

const magic = Uint8Array.of(0x50, 0x56, 0x4e, 0x53);
const formatVersion = 1;
const sectionBegin = 1;
const sectionEnd = 2;
const streamEnd = 3;

/** Small fields gather in a buffer of this size; larger ones go to the sink as they are. */
const bufferBytes = 16 * 1024;

export class SaveWriter {
  readonly #sink: SaveSink;
  readonly #buffer = new Uint8Array(bufferBytes);
  readonly #view = new DataView(this.#buffer.buffer);
  #used = 0;
  #open: string[] = [];

  constructor(sink: SaveSink) {
    this.#sink = sink;
    this.raw(magic);
    this.u16(formatVersion);
  }

  /** Writes a section; `body` writes its fields. `version` goes up whenever the fields change. */
  section(name: string, version: number, body: () => void): void {
    this.u8(sectionBegin);
    this.string(name);
    this.u16(version);
    this.#open.push(name);
    body();
    assert(this.#open.pop() === name, () => `section ${name} is not the innermost one`);
    this.u8(sectionEnd);
  }

  u8(value: number): void {
    assert(isUnsigned(value, 0x100), () => this.#bad('u8', value));
    this.#view.setUint8(this.#take(1), value);
  }

  bool(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  u16(value: number): void {
    assert(isUnsigned(value, 0x1_0000), () => this.#bad('u16', value));
    this.#view.setUint16(this.#take(2), value, true);
  }

  u32(value: number): void {
    assert(isUnsigned(value, 0x1_0000_0000), () => this.#bad('u32', value));
    this.#view.setUint32(this.#take(4), value, true);
  }

  u64(value: bigint): void {
    assert(value >= 0n && value < 1n << 64n, () => this.#bad('u64', value));
    this.#view.setBigUint64(this.#take(8), value, true);
  }

  /** A whole number in 0..2^53-1, such as a cycle count or a byte address kept as a number. */
  safeInteger(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, () => this.#bad('safe integer', value));
    this.u64(BigInt(value));
  }

  /** Any double, bit for bit. */
  f64(value: number): void {
    this.#view.setFloat64(this.#take(8), value, true);
  }

  string(text: string): void {
    this.bytes(new TextEncoder().encode(text));
  }

  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** Bytes without a length, where the reader knows it. */
  raw(bytes: Uint8Array): void {
    if (bytes.length <= bufferBytes) {
      this.#buffer.set(bytes, this.#take(bytes.length));
    } else {
      this.#drain();
      this.#sink(bytes);
    }
  }

  /** The elements of any typed array, as their bytes in memory (hosts are little-endian). */
  array(array: ArrayBufferView<ArrayBufferLike>): void {
    this.bytes(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }

  /**
   * A value made of plain data (null, booleans, numbers, bigints up to 64 bits, text, typed arrays, lists, records, Map,
   * Set), in one canonical form. The easy way for records that are not large.
   */
  plain(value: unknown): void {
    writePlain(this, value);
  }

  /** A count, then each item as `each` writes it. */
  list<T>(items: ReadonlyArray<T>, each: (item: T, index: number) => void): void {
    this.u32(items.length);
    items.forEach(each);
  }

  /** Ends the stream and hands everything to the sink. */
  finish(): void {
    assert(this.#open.length === 0, () => `stream ends inside section ${this.#open.join('/')}`);
    this.u8(streamEnd);
    this.#drain();
  }

  #take(length: number): number {
    if (this.#used + length > bufferBytes) this.#drain();
    const at = this.#used;
    this.#used += length;
    return at;
  }

  #drain(): void {
    if (this.#used > 0) this.#sink(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }

  #bad(type: string, value: unknown): string {
    return `${this.#open.join('/')}: ${String(value)} is not a ${type}`;
  }
}

/** Reads what {@link SaveWriter} wrote. Anything else, a cut or damaged stream included, is a ConfigError. */
export class SaveReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #open: string[] = [];

  /** @param bytes the whole stream; kept, and not changed. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < magic.length || magic.some((byte, i) => byte !== bytes[i])) {
      throw new ConfigError('saved state: not a save stream (no PVNS at the start)');
    }
    this.#at = magic.length;
    const version = this.u16();
    if (version !== formatVersion) this.fail(`format version ${version}, but only ${formatVersion} is known`);
  }

  /**
   * Reads the section that must come next; `body` reads its fields.
   * @param newest the newest section version that the caller knows; `body` is told the one in the stream.
   */
  section<T>(name: string, newest: number, body: (version: number) => T): T {
    this.#expect(sectionBegin, `section ${name}`);
    const found = this.string();
    if (found !== name) this.fail(`section ${name} expected, found ${found}`);
    const version = this.u16();
    if (version > newest) this.fail(`section ${name} has version ${version}, but only ${newest} is known`);
    this.#open.push(name);
    const result = body(version);
    this.#expect(sectionEnd, `the end of section ${name}`);
    this.#open.pop();
    return result;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1) this.fail(`${value} is not a truth value`);
    return value === 1;
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  safeInteger(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.fail(`${value} is not a safe integer`);
    return Number(value);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  string(): string {
    const bytes = this.bytes();
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return this.fail('text that is not UTF-8');
    }
  }

  /** A view into the stream, not a copy. */
  bytes(): Uint8Array {
    return this.raw(this.u32());
  }

  /** `length` bytes as a view into the stream. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Fills a typed array whose byte length must be the one that was saved. */
  array(into: ArrayBufferView<ArrayBufferLike>): void {
    const bytes = this.bytes();
    if (bytes.length !== into.byteLength) this.fail(`${into.byteLength} bytes expected, found ${bytes.length}`);
    new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
  }

  /** The caller says what it expects; the shape inside is not checked. */
  plain<T>(): T {
    return readPlain(this) as T;
  }

  list<T>(each: (index: number) => T): T[] {
    const count = this.u32();
    // An item takes at least one byte, so a damaged count cannot ask for more memory than the stream has.
    if (count > this.#bytes.length - this.#at) this.fail(`a list of ${count} items is longer than the stream`);
    return Array.from({ length: count }, (_, index) => each(index));
  }

  /** Checks that the stream ends here. */
  finish(): void {
    this.#expect(streamEnd, 'the end of the stream');
    if (this.#at !== this.#bytes.length) this.fail(`${this.#bytes.length - this.#at} bytes after the end`);
  }

  /** @throws {ConfigError} saying where in the stream. */
  fail(problem: string): never {
    const where = this.#open.length > 0 ? ` in ${this.#open.join('/')}` : '';
    throw new ConfigError(`saved state: at byte ${this.#at}${where}: ${problem}`);
  }

  #expect(tag: number, what: string): void {
    const found = this.u8();
    if (found !== tag) this.fail(`${what} expected, found tag ${found}`);
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) this.fail(`the stream is cut: ${length} bytes needed, ${this.#bytes.length - at} left`);
    this.#at = at + length;
    return at;
  }
}

function isUnsigned(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < limit;
}

/** The stream of `save` in one piece. */
export function saveStream(save: (writer: SaveWriter) => void): Uint8Array {
  const pieces: Uint8Array[] = [];
  const writer = new SaveWriter((piece) => pieces.push(piece.slice()));
  save(writer);
  writer.finish();
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Reads a stream to its end. */
export function restoreStream<T>(bytes: Uint8Array, restore: (reader: SaveReader) => T): T {
  const reader = new SaveReader(bytes);
  const result = restore(reader);
  reader.finish();
  return result;
}

/** SHA-256 of the stream of `save`, in hexadecimal; the stream is never held in memory. */
export function hashStream(save: (writer: SaveWriter) => void): string {
  const hash = new Sha256();
  const writer = new SaveWriter((piece) => hash.update(piece));
  save(writer);
  writer.finish();
  return hash.digestHex();
}

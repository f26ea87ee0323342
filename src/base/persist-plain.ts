/**
 * Plain data in the save stream, in one canonical form: equal values give equal bytes, so they may be hashed.
 * A tag, then the payload: whole numbers as i64 (other numbers as f64), bigints of up to 64 bits, text, typed arrays and
 * lists with their length, records with their keys sorted, Map and Set in their own order, which is part of their state.
 * Undefined members of a record are left out, so `{ a: undefined }` and `{}` are the same record here.
 * Functions, class instances, cycles and wider bigints are our own bug (InvariantError).
 */

import { assert } from './errors.ts';

/** What {@link writePlain} needs of a stream. */
export interface PlainSink {
  u8(value: number): void;
  u32(value: number): void;
  u64(value: bigint): void;
  f64(value: number): void;
  string(text: string): void;
  array(array: ArrayBufferView<ArrayBufferLike>): void;
}

/** What {@link readPlain} needs of a stream. */
export interface PlainSource {
  u8(): number;
  u32(): number;
  u64(): bigint;
  f64(): number;
  string(): string;
  bytes(): Uint8Array;
  fail(problem: string): never;
}

const tag = {
  null: 0,
  false: 1,
  true: 2,
  integer: 3,
  double: 4,
  unsignedBigint: 5,
  negativeBigint: 6,
  string: 7,
  list: 8,
  record: 9,
  map: 10,
  set: 11,
  typedArray: 12,
  undefined: 13,
} as const;

/** In the order of their numbers in the stream; new ones go to the end. */
const typedArrayKinds = [
  Uint8Array,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigUint64Array,
  BigInt64Array,
  Uint8ClampedArray,
] as const;

/** Deeper nesting than any state has; a cycle ends here instead of in a stack overflow. */
const deepest = 200;

export function writePlain(sink: PlainSink, value: unknown, depth = 0): void {
  assert(depth < deepest, 'plain data nests too deeply, or in a circle');
  switch (typeof value) {
    case 'undefined':
      return sink.u8(tag.undefined);
    case 'boolean':
      return sink.u8(value ? tag.true : tag.false);
    case 'number':
      return writeNumber(sink, value);
    case 'bigint':
      return writeBigint(sink, value);
    case 'string':
      sink.u8(tag.string);
      return sink.string(value);
    case 'object':
      return value === null ? sink.u8(tag.null) : writeObject(sink, value, depth + 1);
    default:
      assert(false, `a ${typeof value} is not plain data`);
  }
}

function writeNumber(sink: PlainSink, value: number): void {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    sink.u8(tag.integer);
    sink.u64(BigInt.asUintN(64, BigInt(value)));
  } else {
    sink.u8(tag.double);
    sink.f64(value);
  }
}

function writeBigint(sink: PlainSink, value: bigint): void {
  assert(value >= -(1n << 63n) && value < 1n << 64n, () => `${value} has more than 64 bits`);
  sink.u8(value < 0n ? tag.negativeBigint : tag.unsignedBigint);
  sink.u64(BigInt.asUintN(64, value));
}

function writeObject(sink: PlainSink, value: object, depth: number): void {
  if (Array.isArray(value)) {
    sink.u8(tag.list);
    sink.u32(value.length);
    for (const item of value) writePlain(sink, item, depth);
  } else if (value instanceof Map) {
    sink.u8(tag.map);
    sink.u32(value.size);
    for (const [key, item] of value) {
      writePlain(sink, key, depth);
      writePlain(sink, item, depth);
    }
  } else if (value instanceof Set) {
    sink.u8(tag.set);
    sink.u32(value.size);
    for (const item of value) writePlain(sink, item, depth);
  } else if (ArrayBuffer.isView(value)) {
    const kind = typedArrayKinds.findIndex((typedArray) => value instanceof typedArray);
    assert(kind >= 0, () => `a ${value.constructor.name} is not plain data`);
    sink.u8(tag.typedArray);
    sink.u8(kind);
    sink.array(value);
  } else {
    writeRecord(sink, value, depth);
  }
}

function writeRecord(sink: PlainSink, value: object, depth: number): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  assert(prototype === Object.prototype || prototype === null, () => `a ${value.constructor?.name} is not plain data`);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  sink.u8(tag.record);
  sink.u32(members.length);
  for (const [key, member] of members) {
    sink.string(key);
    writePlain(sink, member, depth);
  }
}

export function readPlain(source: PlainSource, depth = 0): unknown {
  if (depth >= deepest) source.fail('plain data nests too deeply');
  const item = () => readPlain(source, depth + 1);
  const found = source.u8();
  switch (found) {
    case tag.null:
      return null;
    case tag.false:
      return false;
    case tag.true:
      return true;
    case tag.undefined:
      return undefined;
    case tag.integer:
      return Number(BigInt.asIntN(64, source.u64()));
    case tag.double:
      return source.f64();
    case tag.unsignedBigint:
      return source.u64();
    case tag.negativeBigint:
      return BigInt.asIntN(64, source.u64());
    case tag.string:
      return source.string();
    case tag.list:
      return repeat(source.u32(), item);
    case tag.record:
      return readRecord(source, item);
    case tag.map:
      return new Map(repeat(source.u32(), () => [item(), item()] as const));
    case tag.set:
      return new Set(repeat(source.u32(), item));
    case tag.typedArray:
      return readTypedArray(source);
    default:
      return source.fail(`${found} is not a tag of plain data`);
  }
}

/** One at a time, so that a damaged count meets the end of the stream before it fills memory. */
function repeat<T>(count: number, read: () => T): T[] {
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(read());
  return items;
}

function readRecord(source: PlainSource, item: () => unknown): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (let left = source.u32(); left > 0; left--) {
    const key = source.string();
    if (key === '__proto__') source.fail('a record with a member __proto__');
    record[key] = item();
  }
  return record;
}

function readTypedArray(source: PlainSource): unknown {
  const number = source.u8();
  const kind = typedArrayKinds[number];
  if (kind === undefined) return source.fail(`${number} is not a kind of typed array`);
  const bytes = source.bytes();
  if (bytes.length % kind.BYTES_PER_ELEMENT !== 0) source.fail(`${bytes.length} bytes are not whole elements`);
  // A copy of its own buffer: the stream's bytes need not be aligned, and are not the reader's to keep.
  return new kind(bytes.slice().buffer);
}

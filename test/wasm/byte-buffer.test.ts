import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteBuffer } from '../../src/wasm/byte-buffer.ts';
import { ByteReader } from '../../src/wasm/byte-reader.ts';

function written(write: (buffer: ByteBuffer) => void): number[] {
  const buffer = new ByteBuffer(0);
  write(buffer);
  return [...buffer.toUint8Array()];
}

/** Signed LEB128 straight from the definition in §5.2.2, on bigints. */
function signedLeb(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    const byte = Number(rest & 0x7fn);
    if (rest >= -0x40n && rest < 0x40n) return [...bytes, byte];
    bytes.push(byte | 0x80);
  }
}

function unsignedLeb(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    const byte = Number(rest & 0x7fn);
    if (rest < 0x80n) return [...bytes, byte];
    bytes.push(byte | 0x80);
  }
}

/** Values around the places where an encoding gets longer, and any other. */
function nearPowers(bits: number, signed: boolean): fc.Arbitrary<bigint> {
  const minimum = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const maximum = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
  const near = fc
    .tuple(fc.integer({ min: 0, max: bits }), fc.integer({ min: -2, max: 2 }), fc.boolean())
    .map(([power, delta, negative]) => (negative && signed ? -1n : 1n) * (1n << BigInt(power)) + BigInt(delta))
    .filter((value) => value >= minimum && value <= maximum);
  return fc.oneof(near, fc.bigInt({ min: minimum, max: maximum }));
}

describe('LEB128', () => {
  test('the examples of the encodings are as known', () => {
    expect(written((b) => b.u32(624485))).toEqual([0xe5, 0x8e, 0x26]);
    expect(written((b) => b.s32(-123456))).toEqual([0xc0, 0xbb, 0x78]);
    expect(written((b) => b.s64(-123456n))).toEqual([0xc0, 0xbb, 0x78]);
    expect(written((b) => b.s32(64))).toEqual([0xc0, 0]);
    expect(written((b) => b.s32(-64))).toEqual([0x40]);
    expect(written((b) => b.u32(-1))).toEqual([0xff, 0xff, 0xff, 0xff, 0x0f]);
    expect(written((b) => b.s64(-(1n << 63n)))).toEqual([...Array(9).fill(0x80), 0x7f]);
    expect(written((b) => b.s64((1n << 63n) - 1n))).toEqual([...Array(9).fill(0xff), 0]);
  });

  test('u32 is the shortest encoding and reads back', () => {
    fc.assert(
      fc.property(nearPowers(32, false), (value) => {
        const bytes = written((b) => b.u32(Number(value)));
        expect(bytes).toEqual(unsignedLeb(value));
        expect(new ByteReader(Uint8Array.from(bytes)).u32()).toBe(Number(value));
      }),
    );
  });

  test('s32 is the shortest encoding and reads back', () => {
    fc.assert(
      fc.property(nearPowers(32, true), (value) => {
        const bytes = written((b) => b.s32(Number(value)));
        expect(bytes).toEqual(signedLeb(value));
        expect(new ByteReader(Uint8Array.from(bytes)).s32()).toBe(Number(value));
      }),
    );
  });

  test('s64 from a bigint and from halves is the shortest encoding and reads back', () => {
    fc.assert(
      fc.property(nearPowers(64, true), (value) => {
        const bytes = written((b) => b.s64(value));
        expect(bytes).toEqual(signedLeb(value));
        expect(written((b) => b.s64Halves(Number(value & 0xffffffffn), Number(value >> 32n)))).toEqual(bytes);
        expect(written((b) => b.s64(BigInt.asUintN(64, value)))).toEqual(bytes);
        expect(new ByteReader(Uint8Array.from(bytes)).s64()).toBe(value);
      }),
    );
  });

  test('s64 and u64 from a safe number are those of the same bigint', () => {
    fc.assert(
      fc.property(nearPowers(54, true), (value) => {
        fc.pre(Number.isSafeInteger(Number(value)));
        expect(written((b) => b.s64(Number(value)))).toEqual(signedLeb(value));
        if (value >= 0n) expect(written((b) => b.u64(Number(value)))).toEqual(unsignedLeb(value));
      }),
    );
  });

  test('numbers that are no safe integers are refused', () => {
    for (const value of [2 ** 53, -(2 ** 53), 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new ByteBuffer().s64(value)).toThrow(RangeError);
      expect(() => new ByteBuffer().u64(value)).toThrow(RangeError);
    }
    expect(() => new ByteBuffer().u64(-1)).toThrow(RangeError);
  });
});

describe('ByteBuffer', () => {
  test('growth keeps what was written, and clear keeps the storage', () => {
    const buffer = new ByteBuffer(16);
    for (let value = 0; value < 1000; value++) buffer.u8(value & 0xff);
    expect([...buffer.toUint8Array()]).toEqual(Array.from({ length: 1000 }, (_, value) => value & 0xff));
    const storage = buffer.bytes;
    buffer.clear();
    buffer.u8(7);
    expect(buffer.bytes).toBe(storage);
    expect([...buffer.toUint8Array()]).toEqual([7]);
  });

  test('a patched size is a padded LEB128 of the bytes after it', () => {
    fc.assert(
      fc.property(nearPowers(32, false), fc.integer({ min: 0, max: 300 }), (value, count) => {
        const buffer = new ByteBuffer(0);
        const size = buffer.placeholder();
        const patched = buffer.placeholder();
        for (let index = 0; index < count; index++) buffer.u8(0xaa);
        buffer.patchU32(patched, Number(value));
        buffer.patchSize(size);
        const reader = new ByteReader(buffer.toUint8Array());
        expect(reader.u32()).toBe(count + 5);
        expect(reader.position).toBe(5);
        expect(reader.u32()).toBe(Number(value));
        expect(reader.position).toBe(10);
      }),
    );
  });

  test('appended bytes are the source bytes, in short and long runs', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(400), (source, at) => {
        const start = Math.min(at, source.length);
        expect(written((b) => b.append(source, start, source.length))).toEqual([...source.slice(start)]);
      }),
    );
  });

  test('names are UTF-8 after their length in bytes', () => {
    expect(written((b) => b.name('aé'))).toEqual([3, 0x61, 0xc3, 0xa9]);
  });

  test('words and floats are little-endian', () => {
    expect(written((b) => b.word32(0x81828384))).toEqual([0x84, 0x83, 0x82, 0x81]);
    expect(written((b) => b.word64(-2n))).toEqual([0xfe, ...Array(7).fill(0xff)]);
    expect(written((b) => b.f64(1))).toEqual([0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    expect(written((b) => b.f32(-2))).toEqual([0, 0, 0, 0xc0]);
  });

  test('reading past the end and overlong integers are refused', () => {
    expect(() => new ByteReader(Uint8Array.of(1, 2)).word32()).toThrow(RangeError);
    expect(() => new ByteReader(new Uint8Array(12).fill(0x80)).u32()).toThrow(RangeError);
  });
});

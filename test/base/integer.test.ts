import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  alignDown,
  alignUp,
  hex32,
  hex64,
  hexOfBytes,
  high32,
  isPowerOfTwo,
  join64,
  low32,
  signExtend64,
  toSigned64,
} from '../../src/base/integer.ts';

const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

describe('64-bit helpers', () => {
  it('join what low32 and high32 take apart', () => {
    fc.assert(fc.property(u64, (v) => join64(low32(v), high32(v)) === v && join64(low32(v) | 0, high32(v) | 0) === v));
  });

  it.each([
    [0x80n, 8, 0xffff_ffff_ffff_ff80n],
    [0x7fn, 8, 0x7fn],
    [0x1_8000n, 16, 0xffff_ffff_ffff_8000n],
    [0xffff_ffffn, 32, 0xffff_ffff_ffff_ffffn],
    [1n << 63n, 64, 1n << 63n],
  ])('sign-extend %s from %s bits to %s', (value, bits, expected) => {
    expect(signExtend64(value, bits)).toBe(expected);
  });

  it("read and print the sign as two's complement", () => {
    expect([toSigned64((1n << 64n) - 2n), hex64(-2n), hex64(0x1fn), hex32(-1), hex32(5, 2), hexOfBytes(Uint8Array.of(0, 255))]).toEqual([
      -2n,
      'fffffffffffffffe',
      '000000000000001f',
      'ffffffff',
      '05',
      '00ff',
    ]);
  });

  it('align above 4 GiB too', () => {
    expect([alignDown(2 ** 33 + 5, 4096), alignUp(2 ** 33 + 5, 4096), alignUp(4096, 4096)]).toEqual([2 ** 33, 2 ** 33 + 4096, 4096]);
  });

  it('know the powers of two', () => {
    expect([0, 1, 2, 3, 2 ** 40, 2 ** 40 + 1, 0.5].map(isPowerOfTwo)).toEqual([false, true, true, false, true, false, false]);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fillRandom, seedRandom } from '../../../src/base/random.ts';
import { Codec, recode, shareBytes } from '../../../src/racs/codec/codec.ts';
import { multiply } from '../../../src/racs/codec/galois.ts';
import { parityRows } from '../../../src/racs/codec/matrix.ts';
import { hash64 } from '../../../src/racs/codec/xxh64.ts';

const range = (first: number, end: number) => Array.from({ length: end - first }, (_, i) => first + i);

function randomBytes(length: number, seed = 1n): Uint8Array {
  const bytes = new Uint8Array(length);
  fillRandom(seedRandom(seed), bytes);
  return bytes;
}

function encoded(k: number, n: number, data: Uint8Array): { codec: Codec; shares: Uint8Array[] } {
  const codec = new Codec({ k, n });
  codec.layout(shareBytes(data.length, k));
  codec.fillData(data);
  codec.encode();
  return { codec, shares: range(0, n).map((share) => codec.slot(share).slice()) };
}

/** Field elements of a share by the definition in kernel.ts: bit p of element (t, b) of a group is bit b of byte t of plane p. */
function elements(share: Uint8Array): number[] {
  return range(0, share.length / 128).flatMap((group) =>
    range(0, 16).flatMap((t) =>
      range(0, 8).map((b) => range(0, 8).reduce((value, p) => value | (((share[group * 128 + p * 16 + t]! >> b) & 1) << p), 0)),
    ),
  );
}

describe('the codec', () => {
  it.each([
    [2, 3],
    [3, 4],
    [5, 7],
    [9, 12],
    [4, 8],
    [1, 3],
    [7, 7],
    [16, 32],
  ])('(%i, %i) computes the sums of the matrix in the field', (k, n) => {
    const { shares } = encoded(k, n, randomBytes(k * 256 - 5));
    const data = shares.slice(0, k).map(elements);
    parityRows({ k, n }).forEach((row, r) => {
      const sum = data[0]!.map((_, at) => row.reduce((acc, c, i) => acc ^ multiply(c, data[i]![at]!), 0));
      expect(elements(shares[k + r]!)).toEqual(sum);
    });
  });

  it('reconstructs any wanted shares from any k or more, for any code', () => {
    const scenario = fc.integer({ min: 1, max: 14 }).chain((n) =>
      fc.record({
        n: fc.constant(n),
        k: fc.integer({ min: 1, max: n }),
        bytes: fc.integer({ min: 0, max: 5000 }),
        order: fc.shuffledSubarray(range(0, n), { minLength: n, maxLength: n }),
        extra: fc.nat(3),
        wanted: fc.subarray(range(0, n)),
      }),
    );
    fc.assert(
      fc.property(scenario, ({ k, n, bytes, order, extra, wanted }) => {
        const data = randomBytes(bytes, BigInt(bytes));
        const { codec, shares } = encoded(k, n, data);
        const present = order.slice(0, k + extra);
        for (let i = 0; i < n; i++) codec.slot(i).fill(0xaa);
        for (const i of present) codec.slot(i).set(shares[i]!);
        codec.reconstruct(present, wanted);
        for (const i of [...present, ...wanted]) expect(Buffer.compare(codec.slot(i), shares[i]!)).toBe(0);
        codec.reconstruct(present, range(0, k));
        const out = new Uint8Array(bytes);
        codec.copyData(out);
        expect(Buffer.compare(out, data)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  it('refuses fewer than k shares', () => {
    const { codec } = encoded(3, 5, randomBytes(1000));
    expect(() => codec.reconstruct([0, 4, 4], [1])).toThrow('2 shares cannot');
  });

  it('finds a single changed bit anywhere by verify and by checksum', () => {
    const { codec } = encoded(4, 7, randomBytes(4 * 512));
    expect(codec.verify()).toBe(true);
    fc.assert(
      fc.property(fc.nat(6), fc.nat(511), fc.nat(7), (share, at, bit) => {
        const sum = codec.checksum(share, 0, 512, 5n);
        codec.slot(share)[at]! ^= 1 << bit;
        expect([codec.verify(), codec.checksum(share, 0, 512, 5n) === sum]).toEqual([false, false]);
        codec.slot(share)[at]! ^= 1 << bit;
        expect(codec.verify()).toBe(true);
      }),
    );
  });

  it.each([
    [3, 5, 3, 7],
    [3, 5, 3, 4],
    [3, 4, 3, 6],
    [2, 3, 5, 7],
    [9, 12, 4, 6],
    [4, 8, 4, 9],
  ])('re-codes (%i, %i) to (%i, %i) from k shares', (k, n, k2, n2) => {
    const data = randomBytes(10_000);
    const { codec, shares } = encoded(k, n, data);
    const present = range(n - k, n);
    for (let i = 0; i < n; i++) if (!present.includes(i)) codec.slot(i).fill(0);
    const to = new Codec({ k: k2, n: n2 });
    recode(codec, present, to, data.length);
    const expected = encoded(k2, n2, data).shares;
    expect(range(0, n2).map((i) => Buffer.compare(to.slot(i), expected[i]!))).toEqual(range(0, n2).map(() => 0));
    expect(shares).toHaveLength(n);
  });
});

describe('XXH64', () => {
  it.each([
    ['', 0n, 0xef46db3751d8e999n],
    ['a', 0n, 0xd24ec4f1a98c6e5bn],
    ['abc', 0n, 0x44bc2cf5ad770999n],
    ['xxhash', 20141025n, 0xb559b98d844e0635n],
    ['0123456789abcdef0123456789abcdef', 0n, 0x642a94958e71e6c5n],
  ])('of %j with seed %i is the published value', (text, seed, expected) => {
    expect(hash64(new TextEncoder().encode(text), seed)).toBe(expected);
  });

  it('is the same in WebAssembly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (lines, seed) => {
        const codec = new Codec({ k: 1, n: 1 });
        const data = randomBytes(lines * 128, seed);
        codec.layout(data.length);
        codec.fillData(data);
        expect(codec.checksum(0, 32, data.length - 32, seed)).toBe(hash64(data.subarray(32), seed));
      }),
      { numRuns: 30 },
    );
  });
});

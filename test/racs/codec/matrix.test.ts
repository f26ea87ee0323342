import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inverse, logarithm, multiply, powerOfTwo } from '../../../src/racs/codec/galois.ts';
import { codeRow, type Coding, invert, multiplyMatrices, parityRows } from '../../../src/racs/codec/matrix.ts';

/** Multiplication by the definition: shift, add, reduce. */
function slowMultiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 0; bit < 8; bit++) if ((b >> bit) & 1) product ^= a << bit;
  for (let bit = 14; bit >= 8; bit--) if ((product >> bit) & 1) product ^= 0x11d << (bit - 8);
  return product;
}

describe('GF(2^8)', () => {
  it('multiplies every pair as polynomials modulo 0x11d', () => {
    for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) if (multiply(a, b) !== slowMultiply(a, b)) throw new Error(`${a} * ${b}`);
  });

  it('has inverses and logarithms of all but zero', () => {
    for (let a = 1; a < 256; a++) expect([multiply(a, inverse(a)), powerOfTwo(logarithm(a))]).toEqual([1, a]);
    expect(() => inverse(0)).toThrow(RangeError);
  });
});

const coding = fc.integer({ min: 1, max: 32 }).chain((n) => fc.record({ k: fc.integer({ min: 1, max: n }), n: fc.constant(n) }));

function* subsets(n: number, k: number, from = 0): Generator<number[]> {
  if (k === 0) yield [];
  else for (let i = from; i <= n - k; i++) for (const rest of subsets(n, k - 1, i + 1)) yield [i, ...rest];
}

const isInvertible = (code: Coding, shares: number[]) => invert(shares.map((share) => codeRow(code, share))) !== null;

describe('the matrix of the code', () => {
  it.each([
    [1, 1],
    [1, 4],
    [2, 3],
    [3, 4],
    [5, 7],
    [4, 8],
    [9, 12],
    [6, 12],
    [10, 14],
  ])('(%i, %i) gives the data back from every k shares', (k, n) => {
    for (const shares of subsets(n, k)) if (!isInvertible({ k, n }, shares)) throw new Error(`shares ${shares} are dependent`);
  });

  it('of any size gives the data back from k shares drawn by chance', () => {
    fc.assert(
      fc.property(coding, fc.infiniteStream(fc.nat()), (code, draws) => {
        const left = Array.from({ length: code.n }, (_, i) => i);
        const shares = Array.from({ length: code.k }, () => left.splice(draws.next().value! % left.length, 1)[0]!);
        expect(isInvertible(code, shares)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('has XOR as its first parity row', () => {
    fc.assert(fc.property(coding, (code) => (parityRows(code)[0] ?? []).every((c) => c === 1)));
  });

  it('is inverted so that the product is one', () => {
    const code = { k: 6, n: 12 };
    const rows = [1, 7, 3, 9, 11, 6].map((share) => codeRow(code, share));
    expect(multiplyMatrices(rows, invert(rows)!)).toEqual(rows.map((_, r) => rows.map((_, i) => (i === r ? 1 : 0))));
    expect(
      invert([
        [1, 1],
        [1, 1],
      ]),
    ).toBeNull();
  });
});

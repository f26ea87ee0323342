/**
 * The routines of SSE in WebAssembly against two other sources: the evaluator, and the exact functions in bigints
 * (float/arithmetic.ts, float/conversion.ts), which were written apart from them.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exactFunctions } from '../../../src/cpu/float/exact-functions.ts';
import { softFloat } from '../../../src/cpu/float/soft-float.ts';
import { emitted, evaluated } from '../support/subroutines.ts';

const exact = exactFunctions();
const reference = evaluated();
const wasm = emitted();
const UNDERFLOW_OR_OVERFLOW = 0x18n;

/** Encodings with exponents at the edges and few or many significant bits. */
function encodings(width: number): fc.Arbitrary<bigint> {
  const fraction = width === 64 ? 52 : 23;
  const top = width === 64 ? 2047 : 255;
  const middle = top >> 1;
  const edges = [0, 1, 2, middle - fraction - 1, middle - 1, middle, middle + 1, middle + fraction, middle + 31, middle + 63, top - 1, top];
  const exponent = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: top }));
  const significand = fc
    .tuple(fc.bigInt({ min: 0n, max: (1n << BigInt(fraction)) - 1n }), fc.integer({ min: 0, max: fraction }))
    .map(([bits, zeros]) => (bits >> BigInt(zeros)) << BigInt(zeros));
  return fc
    .tuple(fc.boolean(), exponent, significand)
    .map(([sign, e, f]) => (BigInt(sign ? 1 : 0) << BigInt(width - 1)) | (BigInt(e) << BigInt(fraction)) | f);
}
const words = fc
  .tuple(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.integer({ min: 0, max: 63 }))
  .map(([word, shift]) => BigInt.asUintN(64, BigInt.asIntN(64, word) >> BigInt(shift)));
/** All of MXCSR but the flags. */
const mxcsr = fc.integer({ min: 0, max: 0x3ff }).map((bits) => BigInt(bits << 6));
const OPERATIONS = 'add sub mul div sqrt min max compare round convert from.i64 to.i32 to.i64 trunc.i32 trunc.i64'.split(' ');

describe.each([32, 64])('routines of binary%i', (width) => {
  it.each(OPERATIONS)('%s gives the bits and flags of the exact function, on both instances of the algebra', (operation) => {
    const name = `f${width}.${operation}`;
    const operand = operation === 'from.i64' ? words : encodings(width);
    fc.assert(
      fc.property(operand, operand, mxcsr, fc.integer({ min: 0, max: 15 }), (a, b, control, high) => {
        const environment = operation === 'compare' || operation === 'round' ? control | (BigInt(high) << 32n) : control;
        const expected = [exact[name](a, b, environment), exact[`${name}.flags`](a, b, environment)];
        const actual = wasm(softFloat(name), a, b, environment);
        expect(reference(softFloat(name), a, b, environment)).toEqual(actual);
        expect(actual[1]).toBe(expected[1]);
        // What is rounded for a handler of underflow or overflow goes nowhere.
        const unmasked = expected[1] & ~(control >> 7n) & UNDERFLOW_OR_OVERFLOW;
        if (unmasked === 0n) expect(actual[0]).toBe(expected[0]);
      }),
      { numRuns: 300 },
    );
  });
});

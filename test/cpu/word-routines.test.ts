import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Subroutine } from '../../src/cpu/subroutine.ts';
import { crc32c, depositBits, divideDouble, divideDoubleSigned, extractBits } from '../../src/cpu/word-routines.ts';
import { emitted, evaluated } from './support/subroutines.ts';

const instances = [evaluated(), emitted()];
/** The result of a routine, the same on both instances of the algebra. */
function run(routine: Subroutine, ...args: bigint[]): bigint[] {
  const [reference, wasm] = instances.map((instance) => instance(routine, ...args));
  expect(wasm).toEqual(reference);
  return wasm;
}

/** Few and many significant bits. */
const words = fc
  .tuple(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.integer({ min: 0, max: 63 }))
  .map(([word, shift]) => BigInt.asUintN(64, BigInt.asIntN(64, word) >> BigInt(shift)));
const signed = (word: bigint): bigint => BigInt.asIntN(64, word);

describe('routines on words', () => {
  it('divide 128 bits by 64', () => {
    fc.assert(
      fc.property(words, words, words, (a, low, divisor) => {
        fc.pre(divisor !== 0n);
        const high = a % divisor;
        expect(run(divideDouble, high, low, divisor)).toEqual([((high << 64n) | low) / divisor]);
      }),
    );
  });

  it('divide signed 128 bits by 64, and say when the quotient does not fit', () => {
    fc.assert(
      fc.property(words, words, words, (high, low, divisor) => {
        fc.pre(divisor !== 0n);
        const quotient = ((signed(high) << 64n) | low) / signed(divisor);
        const fits = BigInt.asIntN(64, quotient) === quotient;
        const [value, overflow] = run(divideDoubleSigned, high, low, divisor);
        expect(overflow).toBe(fits ? 0n : 1n);
        if (fits) expect(signed(value)).toBe(quotient);
      }),
      { numRuns: 500 },
    );
  });

  it('scatter bits to a mask and gather them again', () => {
    fc.assert(
      fc.property(words, words, (word, mask) => {
        const places = [...mask.toString(2)].reverse().flatMap((digit, n) => (digit === '1' ? [BigInt(n)] : []));
        const scattered = places.reduce((all, place, n) => all | (((word >> BigInt(n)) & 1n) << place), 0n);
        const gathered = places.reduce((all, place, n) => all | (((word >> place) & 1n) << BigInt(n)), 0n);
        expect(run(depositBits, word, mask)).toEqual([scattered]);
        expect(run(extractBits, word, mask)).toEqual([gathered]);
      }),
    );
  });

  it('CRC-32C of the digits 1 to 9 is the check value of the algorithm, in whatever pieces', () => {
    const first = run(crc32c, 0xffff_ffffn, 0x3837_3635_3433_3231n, 64n)[0];
    expect(run(crc32c, first, 0x39n, 8n)[0] ^ 0xffff_ffffn).toBe(0xe306_9283n);
    const bytes = [...'123456789'].reduce((crc, digit) => run(crc32c, crc, BigInt(digit.charCodeAt(0)), 8n)[0], 0xffff_ffffn);
    expect(bytes ^ 0xffff_ffffn).toBe(0xe306_9283n);
  });
});

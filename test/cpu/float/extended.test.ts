/**
 * Soft floating point in double extended precision. Its arithmetic is compared with exact fractions; the WebAssembly of
 * every routine with the evaluator. Silicon is asked in the vectors (families x87_*).
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { add, divide, multiply, squareRoot, subtract } from '../../../src/cpu/float/extended-arithmetic.ts';
import { compare, examine } from '../../../src/cpu/float/extended-comparison.ts';
import {
  fromDecimal,
  fromDouble,
  fromInteger,
  fromSingle,
  roundToInteger,
  toDecimal,
  toDouble,
  toInteger,
  toSingle,
} from '../../../src/cpu/float/extended-conversion.ts';
import { extract, remainder, scale } from '../../../src/cpu/float/extended-remainder.ts';
import {
  angle,
  cosine,
  exponential,
  logarithmOfSumTimes,
  logarithmTimes,
  sine,
  tangent,
} from '../../../src/cpu/float/extended-transcendental.ts';
import { divideWide, multiplyWide, shiftRightJam, squareRootWide } from '../../../src/cpu/float/wide.ts';
import type { Subroutine } from '../../../src/cpu/subroutine.ts';
import { type Fraction, fractionOf, moderateNumbers, type Register, registers, roundFraction } from '../support/extended-numbers.ts';
import { emitted, evaluated } from '../support/subroutines.ts';

const reference = evaluated();
const wasm = emitted();

const PRECISION = [
  [0x000, 24],
  [0x200, 53],
  [0x300, 64],
] as const;
/** Control words: rounding, precision, all exceptions masked. */
const rounding = fc.integer({ min: 0, max: 3 });
const precision = fc.constantFrom(...PRECISION);
const words = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

const common = (a: Fraction, b: Fraction): [bigint, bigint, number] => {
  const scale = Math.min(a.scale, b.scale);
  return [a.numerator << BigInt(a.scale - scale), b.numerator << BigInt(b.scale - scale), scale];
};
const OPERATIONS: readonly (readonly [string, Subroutine, (a: Fraction, b: Fraction) => Fraction])[] = [
  [
    'addition',
    add,
    (a, b) => {
      const [x, y, scale] = common(a, b);
      return { numerator: x + y, denominator: 1n, scale };
    },
  ],
  [
    'subtraction',
    subtract,
    (a, b) => {
      const [x, y, scale] = common(a, b);
      return { numerator: x - y, denominator: 1n, scale };
    },
  ],
  ['multiplication', multiply, (a, b) => ({ numerator: a.numerator * b.numerator, denominator: 1n, scale: a.scale + b.scale })],
  [
    'division',
    divide,
    (a, b) => {
      const sign = b.numerator < 0n ? -1n : 1n;
      return { numerator: sign * a.numerator, denominator: sign * b.numerator, scale: a.scale - b.scale };
    },
  ],
];

describe('arithmetic in double extended precision', () => {
  it.each(OPERATIONS)('%s is the exact result, rounded once in every mode and precision', (_, subroutine, exact) => {
    fc.assert(
      fc.property(moderateNumbers(), moderateNumbers(), rounding, precision, (a, b, rc, [pc, bits]) => {
        const fraction = exact(fractionOf(a), fractionOf(b));
        fc.pre(fraction.numerator !== 0n);
        const control = BigInt(pc | (rc << 10) | 0x3f);
        expect(wasm(subroutine, ...a, ...b, control)).toEqual(roundFraction(fraction, bits, rc));
      }),
      { numRuns: 400 },
    );
  });

  it('a square root is at most half a unit from the exact one, and exact only without PE', () => {
    fc.assert(
      fc.property(moderateNumbers(), ([significand, signExponent]) => {
        const positive: Register = [significand, signExponent & 0x7fffn];
        const [root, exponent, flags] = wasm(squareRoot, ...positive, 0x33fn);
        const radicand = fractionOf(positive);
        const half = fractionOf([root, exponent]);
        // (2r - 1)^2 <= 4x <= (2r + 1)^2 in units of the root's last place.
        const shift = BigInt(radicand.scale - 2 * half.scale + 2);
        const target = radicand.numerator << shift;
        expect((2n * root - 1n) ** 2n <= target && target <= (2n * root + 1n) ** 2n).toBe(true);
        expect((flags & 0x20n) === 0n).toBe(4n * root ** 2n === target);
      }),
      { numRuns: 400 },
    );
  });

  it('a remainder is what long division of integers leaves', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 1n << 62n }), fc.bigInt({ min: 1n, max: 1n << 62n }), (a, b) => {
        const x = wasm(fromInteger, a);
        const y = wasm(fromInteger, b);
        const [significand, exponent, , codes] = wasm(remainder, ...x, ...y, 0n, 0x37fn);
        expect([significand, exponent]).toEqual(wasm(fromInteger, a % b));
        const quotient = a / b;
        const bits = (codes & 0x200n ? 1n : 0n) | (codes & 0x4000n ? 2n : 0n) | (codes & 0x100n ? 4n : 0n);
        expect(bits).toBe(quotient & 7n);
      }),
    );
  });
});

describe('conversions', () => {
  const view = new DataView(new ArrayBuffer(8));
  it('binary64 to double extended and back is the same number', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (value) => {
        view.setFloat64(0, value);
        const [significand, signExponent] = wasm(fromDouble, view.getBigUint64(0));
        expect(wasm(toDouble, significand, signExponent, 0x37fn)).toEqual([view.getBigUint64(0), 0n]);
      }),
    );
  });

  it('rounding to binary32 is the host’s', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (value) => {
        view.setFloat64(0, value);
        const [significand, signExponent] = wasm(fromDouble, view.getBigUint64(0));
        view.setFloat32(0, value);
        expect(wasm(toSingle, significand, signExponent, 0x37fn)[0]).toBe(BigInt(view.getUint32(0)));
      }),
    );
  });

  it('integers and packed decimals come back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }), (value) => {
        const register = wasm(fromInteger, value);
        expect(wasm(toInteger, ...register, 0x37fn, 1n << 63n)).toEqual([BigInt.asUintN(64, value), 0n]);
        const [low, high] = wasm(toDecimal, ...register, 0x37fn);
        const digits = BigInt(`0x${(value < 0n ? -value : value).toString()}`);
        expect((BigInt.asUintN(15, high) << 64n) | low).toBe(digits);
        expect(wasm(fromDecimal, low, high)).toEqual(register);
      }),
    );
  });
});

describe('transcendental functions', () => {
  const view = new DataView(new ArrayBuffer(8));
  const register = (value: number): bigint[] => {
    view.setFloat64(0, value);
    return wasm(fromDouble, view.getBigUint64(0)).slice(0, 2);
  };
  const value = ([significand, signExponent]: bigint[]): number => {
    view.setBigUint64(0, wasm(toDouble, significand, signExponent, 0x37fn)[0]);
    return view.getFloat64(0);
  };
  const close = (actual: number, expected: number): void => {
    expect(Math.abs(actual - expected)).toBeLessThanOrEqual(Math.abs(expected) * 2 ** -50);
  };
  const small = fc.double({ min: -0.7, max: 0.7, noNaN: true });
  const positive = fc.double({ min: 1e-6, max: 1e6, noNaN: true });

  it.each([
    ['sine', sine, Math.sin],
    ['cosine', cosine, Math.cos],
    ['tangent', tangent, Math.tan],
    ['exponential', exponential, (x: number) => Math.expm1(x * Math.LN2)],
  ] as const)('%s is as near to the host’s as double precision shows', (_, subroutine, host) => {
    fc.assert(
      fc.property(small, (x) => close(value(wasm(subroutine, ...register(x), 0x37fn)), host(x))),
      { numRuns: 60 },
    );
  });

  it('angles and logarithms are as near to the host’s', () => {
    fc.assert(
      fc.property(positive, positive, (x, y) => {
        close(value(wasm(angle, ...register(-x), ...register(y), 0x37fn)), Math.atan2(y, -x));
        if (Math.abs(x - 1) > 0.1) close(value(wasm(logarithmTimes, ...register(x), ...register(y), 0x37fn)), y * Math.log2(x));
        close(value(wasm(logarithmOfSumTimes, ...register(x / 1e7), ...register(y), 0x37fn)), (y * Math.log1p(x / 1e7)) / Math.LN2);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the code of a routine does what the evaluator does', () => {
  const control = fc.integer({ min: 0, max: 0xfff }).map(BigInt);
  const unary: readonly Subroutine[] = [squareRoot, roundToInteger, toSingle, toDouble, toDecimal];
  const binary: readonly Subroutine[] = [add, subtract, multiply, divide, scale];
  const agree = (subroutine: Subroutine, ...args: bigint[]): void => {
    expect(wasm(subroutine, ...args)).toEqual(reference(subroutine, ...args));
  };

  it.each(unary.map((subroutine) => [subroutine.name, subroutine] as const))('%s', (_, subroutine) => {
    fc.assert(fc.property(registers(), control, (a, cw) => agree(subroutine, ...a, cw)));
  });
  it.each(binary.map((subroutine) => [subroutine.name, subroutine] as const))('%s', (_, subroutine) => {
    fc.assert(fc.property(registers(), registers(), control, (a, b, cw) => agree(subroutine, ...a, ...b, cw)));
  });
  it('comparisons, remainders, parts, integers', () => {
    fc.assert(
      fc.property(registers(), registers(), control, fc.boolean(), (a, b, cw, flag) => {
        const bit = flag ? 1n : 0n;
        agree(compare, ...a, ...b, 0n, bit);
        agree(remainder, ...a, ...b, bit, cw);
        agree(extract, ...a);
        agree(examine, ...a, bit);
        agree(toInteger, ...a, cw, 1n << 31n);
      }),
    );
  });
  it('conversions from other formats and arithmetic of two words', () => {
    fc.assert(
      fc.property(words, words, fc.integer({ min: 0, max: 140 }), (a, b, count) => {
        for (const subroutine of [fromSingle, fromDouble, fromInteger]) agree(subroutine, a);
        const product = wasm(multiplyWide, a, b);
        expect((product[0] << 64n) | product[1]).toBe(a * b);
        agree(shiftRightJam, a, b, BigInt(count));
        const divisor = b | (1n << 63n);
        const dividend = ((a % divisor) << 64n) | b;
        expect(wasm(divideWide, dividend >> 64n, b, divisor)).toEqual([dividend / divisor, dividend % divisor]);
        const radicand = ((a | (1n << 62n)) << 64n) | b;
        const [root, rest] = wasm(squareRootWide, radicand >> 64n, b);
        expect(root ** 2n <= radicand && radicand < (root + 1n) ** 2n).toBe(true);
        expect(rest === 0n).toBe(root ** 2n === radicand);
        expect(rest > 1n << 63n).toBe(radicand > root ** 2n + root);
      }),
    );
  });
});

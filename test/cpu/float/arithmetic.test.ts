import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { add, divide, multiply, squareRoot, subtract } from '../../../src/cpu/float/arithmetic.ts';
import { BINARY32, BINARY64, type BinaryFormat, MxcsrFlag } from '../../../src/cpu/float/binary-format.ts';
import { fromInteger, toFormat, toInteger } from '../../../src/cpu/float/conversion.ts';

/** All exceptions masked, with a rounding control. */
const mxcsr = (rounding: number): number => 0x1f80 | (rounding << 13);
const NEAREST = mxcsr(0);
const DOWN = mxcsr(1);
const UP = mxcsr(2);

const view = new DataView(new ArrayBuffer(8));
function bits(format: BinaryFormat, value: number): bigint {
  if (format.width === 64) view.setFloat64(0, value);
  else view.setFloat32(0, value);
  return format.width === 64 ? view.getBigUint64(0) : BigInt(view.getUint32(0));
}
function value(format: BinaryFormat, word: bigint): number {
  if (format.width === 64) view.setBigUint64(0, word);
  else view.setUint32(0, Number(word));
  return format.width === 64 ? view.getFloat64(0) : view.getFloat32(0);
}

const operations = [
  ['add', add, (a: number, b: number) => a + b],
  ['subtract', subtract, (a: number, b: number) => a - b],
  ['multiply', multiply, (a: number, b: number) => a * b],
  ['divide', divide, (a: number, b: number) => a / b],
  ['squareRoot', squareRoot, (a: number) => Math.sqrt(a)],
] as const;

const numbers = (format: BinaryFormat): fc.Arbitrary<number> =>
  format.width === 64 ? fc.double({ noNaN: true }) : fc.float({ noNaN: true });

describe.each([
  ['binary64', BINARY64],
  ['binary32', BINARY32],
] as const)('exact arithmetic in %s', (_, format) => {
  it.each(operations)('%s rounds to nearest as the host does', (_name, operation, host) => {
    fc.assert(
      fc.property(numbers(format), numbers(format), (a, b) => {
        const expected = host(a, b);
        const result = operation(format, bits(format, a), bits(format, b), NEAREST).bits;
        if (Number.isNaN(expected)) expect(value(format, result)).toBeNaN();
        else expect(result).toBe(bits(format, expected));
      }),
    );
  });

  it.each(operations)('%s rounded down and up encloses the exact result, and PE tells whether they are apart', (_name, operation) => {
    fc.assert(
      fc.property(numbers(format), numbers(format), (a, b) => {
        const below = operation(format, bits(format, a), bits(format, b), DOWN);
        const above = operation(format, bits(format, a), bits(format, b), UP);
        const [low, high] = [value(format, below.bits), value(format, above.bits)];
        if (Number.isNaN(low)) return;
        expect(low).toBeLessThanOrEqual(high);
        expect((below.flags & MxcsrFlag.PE) !== 0).toBe(low !== high);
      }),
    );
  });
});

describe('conversions', () => {
  it('to binary32 round as the host does', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (a) => {
        expect(toFormat(BINARY64, BINARY32, bits(BINARY64, a), NEAREST).bits).toBe(bits(BINARY32, a));
      }),
    );
  });

  it('from integers and back are exact below 2^53 and raise nothing', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (n) => {
        const there = fromInteger(BINARY64, BigInt.asUintN(64, BigInt(n)), NEAREST);
        expect(there).toEqual({ bits: bits(BINARY64, n), flags: 0 });
        const back = toInteger(BINARY64, there.bits, 64, true, NEAREST);
        expect(back).toEqual({ bits: BigInt.asUintN(64, BigInt(n)), flags: 0 });
      }),
    );
  });

  it('of a number that does not fit give the integer indefinite and IE', () => {
    const expected = { bits: 0x8000_0000n, flags: MxcsrFlag.IE };
    expect(toInteger(BINARY64, bits(BINARY64, 2 ** 31), 32, true, NEAREST)).toEqual(expected);
    expect(toInteger(BINARY64, bits(BINARY64, Number.NaN), 32, false, NEAREST)).toEqual(expected);
    expect(toInteger(BINARY64, bits(BINARY64, -(2 ** 31)), 32, true, NEAREST)).toEqual({ bits: 0x8000_0000n, flags: 0 });
  });
});

describe('exceptions (SDM 1 §4.9)', () => {
  const one = bits(BINARY64, 1);
  const smallestNormal = 1n << 52n;

  it('a denormal operand raises DE, unless DAZ makes it a zero', () => {
    expect(add(BINARY64, 1n, 0n, NEAREST)).toEqual({ bits: 1n, flags: MxcsrFlag.DE });
    expect(add(BINARY64, 1n, one, NEAREST | 0x40)).toEqual({ bits: one, flags: 0 });
  });

  it('a tiny inexact result raises UE and PE, and FZ makes it a zero', () => {
    const third = divide(BINARY64, smallestNormal, bits(BINARY64, 3), NEAREST);
    expect(third.flags).toBe(MxcsrFlag.UE | MxcsrFlag.PE);
    expect(divide(BINARY64, smallestNormal, bits(BINARY64, 3), NEAREST | 0x8000)).toEqual({ bits: 0n, flags: MxcsrFlag.UE | MxcsrFlag.PE });
  });

  it('a tiny exact result raises UE only when UE is not masked (§4.9.1.5)', () => {
    expect(divide(BINARY64, smallestNormal, bits(BINARY64, 2), NEAREST)).toEqual({ bits: 1n << 51n, flags: 0 });
    expect(divide(BINARY64, smallestNormal, bits(BINARY64, 2), NEAREST & ~0x800).flags).toBe(MxcsrFlag.UE);
  });

  it('a division by zero raises ZE, of zero by zero IE', () => {
    expect(divide(BINARY64, one, 0n, NEAREST)).toEqual({ bits: bits(BINARY64, Number.POSITIVE_INFINITY), flags: MxcsrFlag.ZE });
    expect(divide(BINARY64, 0n, 0n, NEAREST)).toEqual({ bits: 0xfff8n << 48n, flags: MxcsrFlag.IE });
  });

  it('the first operand that is a NaN is the result, made quiet', () => {
    const signaling = (0x7ff0n << 48n) | 5n;
    const quiet = (0xfff8n << 48n) | 7n;
    expect(multiply(BINARY64, signaling, quiet, NEAREST)).toEqual({ bits: (0x7ff8n << 48n) | 5n, flags: MxcsrFlag.IE });
    expect(multiply(BINARY64, quiet, signaling, NEAREST)).toEqual({ bits: quiet, flags: MxcsrFlag.IE });
    expect(multiply(BINARY64, one, quiet, NEAREST)).toEqual({ bits: quiet, flags: 0 });
  });
});

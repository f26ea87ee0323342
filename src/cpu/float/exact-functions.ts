/**
 * The exact operations of SSE in bigints, under the names of the routines of soft-float.ts: a second source that these
 * are tested against. `f64.add` gives the result, `f64.add.flags` the MXCSR flags; comparisons and roundings take their
 * control in bits 63:32 of the MXCSR word.
 */
import { add, compare, divide, maximum, minimum, multiply, squareRoot, subtract } from './arithmetic.ts';
import { BINARY32, BINARY64, type BinaryFormat, type Outcome } from './binary-format.ts';
import { fromInteger, toFormat, toInteger, toIntegral } from './conversion.ts';

type Body = (a: bigint, b: bigint, c: bigint) => bigint;

const low = (word: bigint): number => Number(word & 0xffff_ffffn);
const high = (word: bigint): number => Number(word >> 32n);

export function exactFunctions(): Record<string, Body> {
  const functions: Record<string, Body> = {};
  const offer = (name: string, body: (a: bigint, b: bigint, c: bigint) => Outcome): void => {
    functions[name] = (a, b, c) => body(a, b, c).bits;
    functions[`${name}.flags`] = (a, b, c) => BigInt(body(a, b, c).flags);
  };
  const formats: readonly (readonly [string, BinaryFormat, BinaryFormat])[] = [
    ['f32', BINARY32, BINARY64],
    ['f64', BINARY64, BINARY32],
  ];
  const binary = { add, sub: subtract, mul: multiply, div: divide, sqrt: squareRoot, min: minimum, max: maximum };
  for (const [prefix, format, other] of formats) {
    for (const [name, operation] of Object.entries(binary)) {
      offer(`${prefix}.${name}`, (a, b, mxcsr) => operation(format, a, b, low(mxcsr)));
    }
    offer(`${prefix}.compare`, (a, b, mxcsr) => compare(format, a, b, high(mxcsr) !== 0, low(mxcsr)));
    offer(`${prefix}.round`, (a, _, mxcsr) => toIntegral(format, a, high(mxcsr), low(mxcsr)));
    offer(`${prefix}.from.i64`, (a, _, mxcsr) => fromInteger(format, a, low(mxcsr)));
    offer(`${prefix}.convert`, (a, _, mxcsr) => toFormat(format, other, a, low(mxcsr)));
    for (const width of [32, 64] as const) {
      offer(`${prefix}.to.i${width}`, (a, _, mxcsr) => toInteger(format, a, width, false, low(mxcsr)));
      offer(`${prefix}.trunc.i${width}`, (a, _, mxcsr) => toInteger(format, a, width, true, low(mxcsr)));
    }
  }
  return functions;
}

/** Arbitrary x87 registers, and exact rounding as the tests' own arithmetic of fractions does it. */
import fc from 'fast-check';

export type Register = readonly [significand: bigint, signExponent: bigint];

const BIAS = 16383;
const TOP = 1n << 63n;

/** Every kind of encoding, exponents at the edges and close together, few and many significant bits. */
export function registers(): fc.Arbitrary<Register> {
  const edges = [0, 1, 2, 62, 63, 64, 65, 15360, 15361, 16256, 16257, 16318, 16382, 16383, 16384, 16446, 16447, 17406, 32765, 32766, 32767];
  const exponent = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 16300, max: 16480 }), fc.integer({ min: 0, max: 32767 }));
  const bits = fc
    .tuple(fc.bigInt({ min: 0n, max: TOP - 1n }), fc.integer({ min: 0, max: 63 }))
    .map(([fraction, zeros]) => (fraction >> BigInt(zeros)) << BigInt(zeros));
  // Mostly with the integer bit that the exponent asks for.
  const integer = fc.tuple(fc.integer({ min: 0, max: 15 }), exponent).map(([odd, e]) => [e, odd === 0 ? e === 0 : e !== 0] as const);
  return fc
    .tuple(fc.boolean(), integer, bits)
    .map(([sign, [e, set], fraction]) => [(set ? TOP : 0n) | fraction, BigInt(e) | (sign ? 0x8000n : 0n)] as const);
}

/** Normal numbers whose sums, products and quotients are normal too. */
export function moderateNumbers(): fc.Arbitrary<Register> {
  return registers().map(([significand, signExponent]) => [
    significand | TOP,
    (signExponent & 0x8000n) | BigInt(BIAS - 100 + (Number(signExponent & 0x7fffn) % 200)),
  ]);
}

/** A number that is numerator / denominator * 2^scale, denominator > 0. */
export interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
  readonly scale: number;
}

export function fractionOf([significand, signExponent]: Register): Fraction {
  const negative = (signExponent & 0x8000n) !== 0n;
  const scale = Number(signExponent & 0x7fffn) - BIAS - 63;
  return { numerator: negative ? -significand : significand, denominator: 1n, scale };
}

/** To `precision` bits by RC; the value is neither zero nor out of range. C1: rounded away from zero. */
export function roundFraction({ numerator, denominator, scale }: Fraction, precision: number, rounding: number) {
  const negative = numerator < 0n;
  let magnitude = negative ? -numerator : numerator;
  let divisor = denominator;
  let exponent = scale + precision - 1;
  // Until the quotient has `precision` bits.
  while (magnitude / divisor >= 1n << BigInt(precision)) {
    divisor <<= 1n;
    exponent++;
  }
  while (magnitude / divisor < 1n << BigInt(precision - 1)) {
    magnitude <<= 1n;
    exponent--;
  }
  let quotient = magnitude / divisor;
  const rest = magnitude % divisor;
  const nearest = rest * 2n > divisor || (rest * 2n === divisor && (quotient & 1n) === 1n);
  const up = rounding === 0 ? nearest : rest !== 0n && rounding === (negative ? 1 : 2);
  if (up) quotient++;
  if (quotient >> BigInt(precision) !== 0n) {
    quotient >>= 1n;
    exponent++;
  }
  const significand = quotient << BigInt(64 - precision);
  const signExponent = BigInt(exponent + BIAS) | (negative ? 0x8000n : 0n);
  const flags = (rest !== 0n ? 0x20n : 0n) | (up ? 0x200n : 0n);
  return [significand, signExponent, flags];
}

/**
 * Transcendental functions as host functions: exact integers in fixed point with 256 fraction bits, so that the result
 * has more than 128 correct bits and the caller rounds it once. Deterministic, and the same for every engine.
 *
 * Arguments are numbers taken apart, neither zero nor infinite: two significands with their top bit set and one word
 * with exponents and signs ({@link OPERAND_LAYOUT}). A result is read by two calls: `.high` gives its top 64 bits,
 * `.rest` sign, exponent and the next bits ({@link RESULT_LAYOUT}).
 *
 * Arguments of trigonometric functions are reduced with pi rounded to 66 bits, as processors do (SDM 1 §8.3.8).
 * Sources: SDM 2A F2XM1, FCOS, FPATAN, FPTAN, FSIN, FYL2X, FYL2XP1; series as in Abramowitz and Stegun §4.1, §4.3, §4.4.
 */
type HostFunctionBody = (a: bigint, b: bigint, c: bigint) => bigint;

/** Places in the operand word: exponents are biased. */
export const OPERAND_LAYOUT = { bias: 0x10000, secondExponent: 20, firstSign: 40, secondSign: 41 } as const;
/** Places in the `.rest` word; the fraction fills the bits below the exponent, its last bit being sticky. */
export const RESULT_LAYOUT = { sign: 63, exponent: 46, bias: 0x10000 } as const;

const FRACTION = 256n;
const ONE = 1n << FRACTION;
/** Below this exponent the first term of a series is the result to more than 128 bits. */
const TINY = -80;

/** magnitude * 2^scale; `exact` when nothing is lost. */
interface Real {
  readonly negative: boolean;
  readonly magnitude: bigint;
  readonly scale: number;
  readonly exact: boolean;
}
/** significand * 2^(exponent - 63). */
interface Argument {
  readonly negative: boolean;
  readonly significand: bigint;
  readonly exponent: number;
}

const multiply = (a: bigint, b: bigint): bigint => (a * b) >> FRACTION;
const absolute = (a: bigint): bigint => (a < 0n ? -a : a);
const bitLength = (a: bigint): number => a.toString(2).length;

/** Sum of x^n / n for odd n, signs alternating or not: atan and atanh of a small number. */
function oddSeries(x: bigint, alternating: boolean): bigint {
  const square = alternating ? -multiply(x, x) : multiply(x, x);
  let sum = 0n;
  let power = x;
  for (let n = 1n; power !== 0n && power !== -1n; n += 2n) {
    sum += power / n;
    power = multiply(power, square);
  }
  return sum;
}

const LN2 = 2n * oddSeries(ONE / 3n, false);
const PI = 16n * oddSeries(ONE / 5n, true) - 4n * oddSeries(ONE / 239n, true);
/** Half of pi rounded to 66 bits. */
const HALF_PI_66 = 0xc90f_daa2_2168_c234cn << (FRACTION - 67n);

/** Sum of x^n / n! from n = `first` on, in steps of `step`, signs alternating when the step is 2. */
function factorialSeries(x: bigint, first: bigint, step: bigint): bigint {
  const factor = step === 2n ? -multiply(x, x) : x;
  let term = first === 0n ? ONE : x;
  let sum = 0n;
  for (let n = first; term !== 0n && term !== -1n; n += step) {
    sum += term;
    term = multiply(term, factor) / (step === 2n ? (n + 1n) * (n + 2n) : n + 1n);
  }
  return sum;
}

function squareRoot(value: bigint): bigint {
  const square = value << FRACTION;
  let root = 1n << BigInt((bitLength(square) + 1) >> 1);
  for (;;) {
    const next = (root + square / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** Arc tangent of a number from 0 to 1. */
function arcTangent(value: bigint): bigint {
  // atan t = 2 atan(t / (1 + sqrt(1 + t^2))), until the series is short.
  const halvings = 4n;
  let t = value;
  for (let n = 0n; n < halvings; n++) t = (t << FRACTION) / (ONE + squareRoot(ONE + multiply(t, t)));
  return oddSeries(t, true) << halvings;
}

/** In fixed point; exponents are from TINY to far above. */
function fixed({ negative, significand, exponent }: Argument): bigint {
  const magnitude = significand << (FRACTION + BigInt(exponent - 63));
  return negative ? -magnitude : magnitude;
}

const fromFixed = (value: bigint): Real => ({ negative: value < 0n, magnitude: absolute(value), scale: -Number(FRACTION), exact: false });

/** The argument, moved by less than its last place towards zero or away from it. */
function nearly({ negative, significand, exponent }: Argument, away: -1n | 1n): Real {
  return { negative, magnitude: (significand << 100n) + away, scale: exponent - 163, exact: false };
}

/** Remainder of x by half of pi, at most a quarter of pi, and the quotient modulo 4. */
function reduce(x: Argument): { remainder: bigint; quadrant: number } {
  const value = fixed(x);
  const quotient = (2n * absolute(value) + HALF_PI_66) / (2n * HALF_PI_66);
  const remainder = absolute(value) - quotient * HALF_PI_66;
  const quadrant = Number(quotient & 3n);
  return value < 0n ? { remainder: -remainder, quadrant: (4 - quadrant) & 3 } : { remainder, quadrant };
}

const sineOf = (x: bigint): bigint => factorialSeries(x, 1n, 2n);
const cosineOf = (x: bigint): bigint => factorialSeries(x, 0n, 2n);

function sine(x: Argument): Real {
  if (x.exponent < TINY) return nearly(x, -1n);
  const { remainder, quadrant } = reduce(x);
  const value = (quadrant & 1) === 0 ? sineOf(remainder) : cosineOf(remainder);
  return fromFixed((quadrant & 2) === 0 ? value : -value);
}

function cosine(x: Argument): Real {
  if (x.exponent < TINY) return fromFixed(ONE - 1n);
  const { remainder, quadrant } = reduce(x);
  const value = (quadrant & 1) === 0 ? cosineOf(remainder) : sineOf(remainder);
  return fromFixed(quadrant === 1 || quadrant === 2 ? -value : value);
}

function tangent(x: Argument): Real {
  if (x.exponent < TINY) return nearly(x, 1n);
  const { remainder, quadrant } = reduce(x);
  const s = sineOf(remainder);
  const c = cosineOf(remainder);
  return fromFixed((quadrant & 1) === 0 ? (s << FRACTION) / c : -(c << FRACTION) / s);
}

/** 2^x - 1, |x| <= 1. */
function exponential(x: Argument): Real {
  if (x.exponent < TINY)
    return { negative: x.negative, magnitude: x.significand * LN2, scale: x.exponent - 63 - Number(FRACTION), exact: false };
  if (x.exponent === 0) return { negative: x.negative, magnitude: 1n, scale: x.negative ? -1 : 0, exact: true };
  return fromFixed(factorialSeries(multiply(fixed(x), LN2), 1n, 1n));
}

/** Angle of (x, y). */
function angle(x: Argument, y: Argument): Real {
  const distance = y.exponent - x.exponent;
  const half = PI >> 1n;
  let value: bigint;
  if (distance < TINY) {
    if (!x.negative) {
      const magnitude = (y.significand << 192n) / x.significand;
      return { negative: y.negative, magnitude, scale: distance - 192, exact: false };
    }
    value = PI - 1n;
  } else if (distance > -TINY) value = x.negative ? half + 1n : half - 1n;
  else {
    // The smaller by the larger, then what is missing to half of pi.
    const shift = FRACTION + BigInt(distance);
    const ratio = (y.significand << shift) / x.significand;
    const first = ratio <= ONE ? arcTangent(ratio) : half - arcTangent((ONE << FRACTION) / ratio);
    value = x.negative ? PI - first : first;
  }
  return fromFixed(y.negative ? -value : value);
}

/** Natural logarithm of `numerator / denominator`, which is near one. */
function logarithm(numerator: bigint, denominator: bigint): bigint {
  return 2n * oddSeries(((numerator - denominator) << FRACTION) / (numerator + denominator), false);
}

function times(y: Argument, factor: Real): Real {
  return {
    negative: y.negative !== factor.negative,
    magnitude: y.significand * factor.magnitude,
    scale: y.exponent - 63 + factor.scale,
    exact: factor.exact,
  };
}

/** log2 of significand * 2^scale, not 1. */
function binaryLogarithm(significand: bigint, scale: number): Real {
  const length = bitLength(significand);
  const half = 1n << BigInt(length - 1);
  const exponent = length - 1 + scale;
  if (significand === half) return { negative: exponent < 0, magnitude: BigInt(Math.abs(exponent)), scale: 0, exact: true };
  // The power of two that is nearest: numbers just below one lose nothing.
  const upper = significand * 2n > half * 3n ? 1 : 0;
  const fraction = (logarithm(significand, half << BigInt(upper)) << FRACTION) / LN2;
  return fromFixed((BigInt(exponent + upper) << FRACTION) + fraction);
}

/** y * log2(x), x > 0 and not 1. */
function logarithmTimes(x: Argument, y: Argument): Real {
  return times(y, binaryLogarithm(x.significand, x.exponent - 63));
}

/** y * log2(x + 1), x > -1. */
function logarithmOfSumTimes(x: Argument, y: Argument): Real {
  if (x.exponent < TINY) {
    const magnitude = (x.significand << (2n * FRACTION)) / LN2;
    return times(y, { negative: x.negative, magnitude, scale: x.exponent - 63 - Number(FRACTION), exact: false });
  }
  const scale = Math.min(0, x.exponent - 63);
  const one = 1n << BigInt(-scale);
  const value = x.significand << BigInt(x.exponent - 63 - scale);
  return times(y, binaryLogarithm(x.negative ? one - value : one + value, scale));
}

const FUNCTIONS: Readonly<Record<string, (x: Argument, y: Argument) => Real>> = {
  sine,
  cosine,
  tangent,
  exponential,
  angle,
  logarithmTimes,
  logarithmOfSumTimes,
};

function argument(significand: bigint, exponent: bigint, sign: bigint): Argument {
  return { negative: (sign & 1n) !== 0n, significand, exponent: Number(exponent & 0xfffffn) - OPERAND_LAYOUT.bias };
}

/** 128 bits with the top bit set, the last one sticky, and their exponent. */
function normalized({ magnitude, scale, exact }: Real): { bits: bigint; exponent: number } {
  const length = bitLength(magnitude);
  const shift = BigInt(length - 128);
  const bits = shift > 0n ? magnitude >> shift : magnitude << -shift;
  const lost = !exact || (shift > 0n && bits << shift !== magnitude);
  return { bits: lost ? bits | 1n : bits, exponent: scale + length - 1 };
}

export function transcendentalHostFunctions(): Record<string, HostFunctionBody> {
  const functions: Record<string, HostFunctionBody> = {};
  for (const [name, body] of Object.entries(FUNCTIONS)) {
    const result = (a: bigint, b: bigint, word: bigint): Real =>
      body(
        argument(a, word, word >> BigInt(OPERAND_LAYOUT.firstSign)),
        argument(b, word >> BigInt(OPERAND_LAYOUT.secondExponent), word >> BigInt(OPERAND_LAYOUT.secondSign)),
      );
    functions[`${name}.high`] = (a, b, word) => normalized(result(a, b, word)).bits >> 64n;
    functions[`${name}.rest`] = (a, b, word) => {
      const real = result(a, b, word);
      const { bits, exponent } = normalized(real);
      const low = BigInt.asUintN(64, bits);
      const unused = BigInt(64 - RESULT_LAYOUT.exponent);
      const fraction = (low >> unused) | (BigInt.asUintN(Number(unused), low) === 0n ? 0n : 1n);
      const sign = real.negative ? 1n << BigInt(RESULT_LAYOUT.sign) : 0n;
      return sign | (BigInt(exponent + RESULT_LAYOUT.bias) << BigInt(RESULT_LAYOUT.exponent)) | fraction;
    };
  }
  return functions;
}

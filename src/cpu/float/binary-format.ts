/**
 * IEEE 754 binary formats of SSE as exact integers: taking a number apart, and rounding an exact value back into the
 * format with the MXCSR flags that this raises. In bigints: the reference for the routines of soft-float.ts.
 * Sources: SDM 1 §4.8 (real numbers), §4.9 (exceptions), §11.5 (SSE exceptions and masked responses), §10.2.3 (MXCSR).
 */

export interface BinaryFormat {
  readonly width: 32 | 64;
  /** Bits of the significand, the implied one included. */
  readonly precision: number;
  /** Exponents of the smallest and the largest normal number. */
  readonly minimumExponent: number;
  readonly maximumExponent: number;
}

export const BINARY32: BinaryFormat = { width: 32, precision: 24, minimumExponent: -126, maximumExponent: 127 };
export const BINARY64: BinaryFormat = { width: 64, precision: 53, minimumExponent: -1022, maximumExponent: 1023 };

/** Exception flags at their places in MXCSR; the mask of each is 7 bits higher. */
export const MxcsrFlag = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32 } as const;

/** The rest of MXCSR. */
export const Mxcsr = { DAZ: 0x40, MASKS: 0x1f80, RC: 0x6000, FZ: 0x8000, MM: 0x20000 } as const;

/** Rounding control, as in MXCSR bits 14:13. */
export const Rounding = { NEAREST: 0, DOWN: 1, UP: 2, ZERO: 3 } as const;

export interface Outcome {
  readonly bits: bigint;
  readonly flags: number;
}

export type NumberClass = 'zero' | 'finite' | 'infinity' | 'quiet' | 'signaling';

/** A number taken apart: for 'finite', magnitude = significand * 2^exponent. */
export interface Unpacked {
  readonly kind: NumberClass;
  readonly negative: boolean;
  readonly significand: bigint;
  readonly exponent: number;
  /** Not normal, and not turned to zero by DAZ: raises DE in arithmetic. */
  readonly denormal: boolean;
  /** The encoding, after DAZ. */
  readonly bits: bigint;
}

export const roundingOf = (mxcsr: number): number => (mxcsr >> 13) & 3;

export function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(16).length * 4 - Math.clz32(Number.parseInt(value.toString(16)[0] as string, 16)) + 28;
}

const fractionBits = (format: BinaryFormat): bigint => BigInt(format.precision - 1);
const signBit = (format: BinaryFormat): bigint => 1n << BigInt(format.width - 1);

export function infinity(format: BinaryFormat, negative: boolean): bigint {
  const exponent = BigInt(2 * format.maximumExponent + 1) << fractionBits(format);
  return negative ? exponent | signBit(format) : exponent;
}
export function zero(format: BinaryFormat, negative: boolean): bigint {
  return negative ? signBit(format) : 0n;
}
/** The QNaN that masked invalid operations give: "real indefinite". */
export function indefinite(format: BinaryFormat): bigint {
  return infinity(format, true) | (1n << (fractionBits(format) - 1n));
}
export function quieted(format: BinaryFormat, bits: bigint): bigint {
  return bits | (1n << (fractionBits(format) - 1n));
}

export const isNaNClass = (value: Unpacked): boolean => value.kind === 'quiet' || value.kind === 'signaling';

export function unpack(format: BinaryFormat, bits: bigint, mxcsr: number): Unpacked {
  const fraction = bits & ((1n << fractionBits(format)) - 1n);
  const biased = Number((bits >> fractionBits(format)) & BigInt(2 * format.maximumExponent + 1));
  const negative = (bits & signBit(format)) !== 0n;
  if (biased === 2 * format.maximumExponent + 1) {
    const quiet = ((fraction >> (fractionBits(format) - 1n)) & 1n) === 1n;
    const kind = fraction === 0n ? 'infinity' : quiet ? 'quiet' : 'signaling';
    return { kind, negative, significand: 0n, exponent: 0, denormal: false, bits };
  }
  const lowest = format.minimumExponent - format.precision + 1;
  if (biased === 0) {
    if (fraction === 0n || (mxcsr & Mxcsr.DAZ) !== 0) {
      return { kind: 'zero', negative, significand: 0n, exponent: 0, denormal: false, bits: zero(format, negative) };
    }
    return { kind: 'finite', negative, significand: fraction, exponent: lowest, denormal: true, bits };
  }
  const significand = fraction | (1n << fractionBits(format));
  return { kind: 'finite', negative, significand, exponent: lowest + biased - 1, denormal: false, bits };
}

/** `value / 2^shift` rounded to an integer. */
export function roundedShift(value: bigint, shift: number, negative: boolean, rounding: number): { quotient: bigint; inexact: boolean } {
  if (shift <= 0) return { quotient: value << BigInt(-shift), inexact: false };
  const quotient = value >> BigInt(shift);
  const rest = value - (quotient << BigInt(shift));
  if (rest === 0n) return { quotient, inexact: false };
  const half = 1n << BigInt(shift - 1);
  const up =
    rounding === Rounding.NEAREST
      ? rest > half || (rest === half && (quotient & 1n) === 1n)
      : rounding === Rounding.UP
        ? !negative
        : rounding === Rounding.DOWN && negative;
  return { quotient: up ? quotient + 1n : quotient, inexact: true };
}

/**
 * Rounds `significand * 2^exponent` (significand > 0) into the format. A significand that stands for a longer one has
 * its lowest bit set for the lost part, and at least two bits more than the format keeps.
 * Tininess is detected after rounding (SDM 1 §4.9.1.5).
 */
export function roundAndPack(format: BinaryFormat, negative: boolean, significand: bigint, exponent: number, mxcsr: number): Outcome {
  const { precision, minimumExponent, maximumExponent } = format;
  const rounding = roundingOf(mxcsr);
  const length = bitLength(significand);
  let { quotient, inexact } = roundedShift(significand, length - precision, negative, rounding);
  let top = exponent + length - 1;
  if (bitLength(quotient) > precision) {
    quotient >>= 1n;
    top++;
  }
  const sign = zero(format, negative);
  if (top > maximumExponent) {
    const masked = (mxcsr & (MxcsrFlag.OE << 7)) !== 0;
    const flags = MxcsrFlag.OE | (masked || inexact ? MxcsrFlag.PE : 0);
    const away = rounding === Rounding.NEAREST || (rounding === Rounding.UP && !negative) || (rounding === Rounding.DOWN && negative);
    return { bits: away ? infinity(format, negative) : infinity(format, negative) - 1n, flags };
  }
  if (top >= minimumExponent) {
    const biased = BigInt(top + maximumExponent);
    const fraction = quotient - (1n << fractionBits(format));
    return { bits: sign | (biased << fractionBits(format)) | fraction, flags: inexact ? MxcsrFlag.PE : 0 };
  }
  const underflowMasked = (mxcsr & (MxcsrFlag.UE << 7)) !== 0;
  if (underflowMasked && (mxcsr & Mxcsr.FZ) !== 0) return { bits: sign, flags: MxcsrFlag.UE | MxcsrFlag.PE };
  const lowest = minimumExponent - precision + 1;
  const denormal = roundedShift(significand, lowest - exponent, negative, rounding);
  // A carry into the implied bit makes the smallest normal number, whose encoding follows.
  // Unmasked, no denormal is made: inexact is what does not fit the precision.
  const unmasked = MxcsrFlag.UE | (inexact ? MxcsrFlag.PE : 0);
  const flags = !underflowMasked ? unmasked : denormal.inexact ? MxcsrFlag.UE | MxcsrFlag.PE : 0;
  return { bits: sign | denormal.quotient, flags };
}

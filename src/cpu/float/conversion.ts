/**
 * Conversions of SSE between integers and the two formats, and rounding to an integer in the format: result and MXCSR
 * flags of one element. Sources: SDM 1 §11.4.1.6, §4.8.4, SDM 2 (CVTSD2SI, CVTSD2SS, ROUNDSD).
 */
import {
  type BinaryFormat,
  infinity,
  isNaNClass,
  MxcsrFlag,
  type Outcome,
  quieted,
  roundAndPack,
  roundedShift,
  Rounding,
  roundingOf,
  unpack,
  zero,
} from './binary-format.ts';

/** A signed integer, given as its 64-bit word. */
export function fromInteger(format: BinaryFormat, word: bigint, mxcsr: number): Outcome {
  const value = BigInt.asIntN(64, word);
  if (value === 0n) return { bits: 0n, flags: 0 };
  return roundAndPack(format, value < 0n, value < 0n ? -value : value, 0, mxcsr);
}

/** A signed integer of `width` bits, zero-extended; NaNs and what does not fit give the integer indefinite. */
export function toInteger(format: BinaryFormat, bits: bigint, width: 32 | 64, truncate: boolean, mxcsr: number): Outcome {
  const a = unpack(format, bits, mxcsr);
  const invalid: Outcome = { bits: 1n << BigInt(width - 1), flags: MxcsrFlag.IE };
  if (a.kind === 'zero') return { bits: 0n, flags: 0 };
  if (a.kind !== 'finite' || a.exponent > 64) return invalid;
  const rounding = truncate ? Rounding.ZERO : roundingOf(mxcsr);
  const { quotient, inexact } = roundedShift(a.significand, -a.exponent, a.negative, rounding);
  const value = a.negative ? -quotient : quotient;
  if (BigInt.asIntN(width, value) !== value) return invalid;
  return { bits: BigInt.asUintN(width, value), flags: inexact ? MxcsrFlag.PE : 0 };
}

export function toFormat(from: BinaryFormat, to: BinaryFormat, bits: bigint, mxcsr: number): Outcome {
  const a = unpack(from, bits, mxcsr);
  const denormal = a.denormal ? MxcsrFlag.DE : 0;
  if (isNaNClass(a)) {
    // The payload keeps its upper bits.
    const shift = BigInt(to.precision - from.precision);
    const payload = bits & ((1n << BigInt(from.precision - 1)) - 1n);
    const moved = shift >= 0n ? payload << shift : payload >> -shift;
    return { bits: quieted(to, infinity(to, a.negative) | moved), flags: a.kind === 'signaling' ? MxcsrFlag.IE : 0 };
  }
  if (a.kind === 'infinity') return { bits: infinity(to, a.negative), flags: 0 };
  if (a.kind === 'zero') return { bits: zero(to, a.negative), flags: 0 };
  const { bits: result, flags } = roundAndPack(to, a.negative, a.significand, a.exponent, mxcsr);
  return { bits: result, flags: flags | denormal };
}

/** ROUNDSD and its kin: `control` is their immediate (bit 2: by MXCSR, bit 3: inexact results raise nothing). */
export function toIntegral(format: BinaryFormat, bits: bigint, control: number, mxcsr: number): Outcome {
  const a = unpack(format, bits, mxcsr);
  if (isNaNClass(a)) return { bits: quieted(format, bits), flags: a.kind === 'signaling' ? MxcsrFlag.IE : 0 };
  if (a.kind !== 'finite' || a.exponent >= 0) return { bits: a.bits, flags: 0 };
  const rounding = (control & 4) !== 0 ? roundingOf(mxcsr) : control & 3;
  const { quotient, inexact } = roundedShift(a.significand, -a.exponent, a.negative, rounding);
  const flags = inexact && (control & 8) === 0 ? MxcsrFlag.PE : 0;
  if (quotient === 0n) return { bits: zero(format, a.negative), flags };
  // An integer below 2^precision: exact.
  return { bits: roundAndPack(format, a.negative, quotient, 0, mxcsr).bits, flags };
}

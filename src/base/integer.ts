/**
 * 64-bit values as BigInt at the borders of the program: wrapping, sign, halves, text.
 * Hot paths keep low and high 32-bit halves, or typed arrays, and do not come here.
 */

const mask64 = 0xffff_ffff_ffff_ffffn;

/** `value` modulo 2^64, in 0..2^64-1. */
export function toUnsigned64(value: bigint): bigint {
  return value & mask64;
}

/** The low 64 bits read as a two's complement number. */
export function toSigned64(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

/** Copies bit `bits - 1` into all higher bits of a 64-bit value; bits above are ignored. */
export function signExtend64(value: bigint, bits: number): bigint {
  return BigInt.asUintN(64, BigInt.asIntN(bits, value));
}

/** Low half as an unsigned number. */
export function low32(value: bigint): number {
  return Number(value & 0xffff_ffffn);
}

/** High half as an unsigned number. */
export function high32(value: bigint): number {
  return Number((value >> 32n) & 0xffff_ffffn);
}

/** A 64-bit value from halves, signed or not. */
export function join64(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** Sixteen hexadecimal digits without a prefix, as registers are printed. */
export function hex64(value: bigint): string {
  return toUnsigned64(value).toString(16).padStart(16, '0');
}

/** Hexadecimal digits of the low 32 bits, at least `digits`, without a prefix. */
export function hex32(value: number, digits = 8): string {
  return (value >>> 0).toString(16).padStart(digits, '0');
}

/** Bytes as lower-case hexadecimal text. */
export function hexOfBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** The largest multiple of `alignment` (any positive number) that is not above `value`; both below 2^53. */
export function alignDown(value: number, alignment: number): number {
  return value - (value % alignment);
}

/** The smallest multiple of `alignment` that is not below `value`; both below 2^53. */
export function alignUp(value: number, alignment: number): number {
  return alignDown(value + alignment - 1, alignment);
}

export function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isSafeInteger(value) && (BigInt(value) & BigInt(value - 1)) === 0n;
}

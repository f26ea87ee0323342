/**
 * Pure functions on 64-bit words that the algebra leaves to host code: rare, long, and the same for every engine.
 * Arguments and results are words (unsigned bigints below 2^64).
 */
import { aesHostFunctions } from './aes.ts';
import { floatHostFunctions } from './float/host-functions.ts';
import { transcendentalHostFunctions } from './float/transcendental.ts';

export type HostFunctionBody = (a: bigint, b: bigint, c: bigint) => bigint;

const signed = (word: bigint): bigint => BigInt.asIntN(64, word);
const word = (value: bigint): bigint => BigInt.asUintN(64, value);

export const HOST_FUNCTIONS: Readonly<Record<string, HostFunctionBody>> = {
  ...floatHostFunctions(),
  ...transcendentalHostFunctions(),
  ...aesHostFunctions(),
  /** Quotient of high:low by divisor, high < divisor. */
  div128: (high, low, divisor) => ((high << 64n) | low) / divisor,
  /** Quotient of the signed high:low by a signed divisor, known to fit. */
  idiv128: (high, low, divisor) => word(((signed(high) << 64n) | low) / signed(divisor)),
  idiv128Overflows: (high, low, divisor) => {
    const quotient = ((signed(high) << 64n) | low) / signed(divisor);
    return BigInt.asIntN(64, quotient) === quotient ? 0n : 1n;
  },
  /** PDEP: the low bits of a to the places of the bits of the mask. */
  depositBits: (a, mask) => {
    let result = 0n;
    let source = a;
    for (let rest = mask; rest !== 0n; rest &= rest - 1n, source >>= 1n) {
      if ((source & 1n) !== 0n) result |= rest & -rest;
    }
    return result;
  },
  /** PEXT: the bits of a at the places of the mask, moved together. */
  extractBits: (a, mask) => {
    let result = 0n;
    let bit = 1n;
    for (let rest = mask; rest !== 0n; rest &= rest - 1n, bit <<= 1n) {
      if ((a & rest & -rest) !== 0n) result |= bit;
    }
    return result;
  },
  /** CRC32 over the low `bytes` of data: polynomial 11EDC6F41, bits reflected (SDM 2A CRC32). */
  crc32c: (crc, data, bytes) => {
    let rest = Number(crc);
    for (let n = 0n; n < bytes; n++) {
      rest ^= Number((data >> (n * 8n)) & 0xffn);
      for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ ((rest & 1) !== 0 ? 0x82f63b78 : 0);
    }
    return BigInt(rest >>> 0);
  },
};

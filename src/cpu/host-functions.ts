/**
 * Pure functions on 64-bit words that the algebra leaves to host code: rare, long, and the same for every engine.
 * Arguments and results are words (unsigned bigints below 2^64).
 */
import { floatHostFunctions } from './float/host-functions.ts';

export type HostFunctionBody = (a: bigint, b: bigint, c: bigint) => bigint;

const signed = (word: bigint): bigint => BigInt.asIntN(64, word);
const word = (value: bigint): bigint => BigInt.asUintN(64, value);

export const HOST_FUNCTIONS: Readonly<Record<string, HostFunctionBody>> = {
  ...floatHostFunctions(),
  /** Quotient of high:low by divisor, high < divisor. */
  div128: (high, low, divisor) => ((high << 64n) | low) / divisor,
  /** Quotient of the signed high:low by a signed divisor, known to fit. */
  idiv128: (high, low, divisor) => word(((signed(high) << 64n) | low) / signed(divisor)),
  idiv128Overflows: (high, low, divisor) => {
    const quotient = ((signed(high) << 64n) | low) / signed(divisor);
    return BigInt.asIntN(64, quotient) === quotient ? 0n : 1n;
  },
};

/**
 * Pure functions on 64-bit words that the algebra leaves to host code: rare, long, and the same for every engine.
 * Arguments and results are words (unsigned bigints below 2^64).
 */
import { aesHostFunctions } from './aes.ts';
import { transcendentalHostFunctions } from './float/transcendental.ts';

export type HostFunctionBody = (a: bigint, b: bigint, c: bigint) => bigint;

export const HOST_FUNCTIONS: Readonly<Record<string, HostFunctionBody>> = {
  ...transcendentalHostFunctions(),
  ...aesHostFunctions(),
};

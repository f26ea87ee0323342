/**
 * Chance that is repeatable: xoshiro256**, seeded through SplitMix64. The state is plain data, so that it can be
 * saved, hashed and put back. Not for secrets.
 * Source: Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021, figure 1 and §5; the public
 * reference code's advice on seeding.
 */

import { assert } from './errors.ts';
import { toUnsigned64 } from './integer.ts';

/** Four 64-bit words, not all zero. */
export interface RandomState {
  words: [bigint, bigint, bigint, bigint];
}

/** A state from any seed; equal seeds (modulo 2^64) give equal sequences. */
export function seedRandom(seed: bigint): RandomState {
  let x = toUnsigned64(seed);
  const splitMix64 = (): bigint => {
    x = toUnsigned64(x + 0x9e37_79b9_7f4a_7c15n);
    let z = x;
    z = toUnsigned64((z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    z = toUnsigned64((z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
    return z ^ (z >> 31n);
  };
  return { words: [splitMix64(), splitMix64(), splitMix64(), splitMix64()] };
}

/** The next number in 0..2^64-1; advances the state. */
export function nextU64(state: RandomState): bigint {
  const s = state.words;
  const result = toUnsigned64(rotateLeft(toUnsigned64(s[1] * 5n), 7n) * 9n);
  const t = toUnsigned64(s[1] << 17n);
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotateLeft(s[3], 45n);
  return result;
}

/** The next number in 0..2^32-1, from the high half of one step. */
export function nextU32(state: RandomState): number {
  return Number(nextU64(state) >> 32n);
}

/** A number in 0..bound-1, each equally likely; `bound` is a whole number in 1..2^53. */
export function nextBelow(state: RandomState, bound: number): number {
  assert(bound >= 1 && bound <= 2 ** 53 && Number.isInteger(bound), () => `nextBelow(${bound}): bound out of range`);
  const range = BigInt(bound);
  const fair = (1n << 64n) - ((1n << 64n) % range);
  for (;;) {
    const value = nextU64(state);
    if (value < fair) return Number(value % range);
  }
}

/** Fills `bytes`, eight to a step, low byte first. */
export function fillRandom(state: RandomState, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 8) {
    let word = nextU64(state);
    for (let i = at; i < Math.min(at + 8, bytes.length); i++) {
      bytes[i] = Number(word & 0xffn);
      word >>= 8n;
    }
  }
}

function rotateLeft(value: bigint, by: bigint): bigint {
  return toUnsigned64((value << by) | (value >> (64n - by)));
}

/**
 * Values that find mistakes: borders of every width, few or all bits set, and the classes of IEEE 754 numbers.
 * Sources: SDM 1 §4.2 (integers), §4.8.3 (zeros, denormals, infinities, NaNs), Table 4-2 (packed decimal).
 */
import type { Choices } from './choices.ts';
import { oneIn, pick } from './choices.ts';

const Mxcsr = { DAZ: 0x40, FZ: 0x8000, MM: 0x2_0000 } as const;

const INTEGERS: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 7n, 8n, 9n, 15n, 16n, 31n, 32n, 33n, 63n, 64n, 65n, 0x7fn, 0x80n, 0x81n, 0xffn, 0x100n],
  ...[0x7fffn, 0x8000n, 0xffffn, 0x1_0000n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n],
  ...[0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn, 0xffff_ffff_ffff_fffen, 0xffff_ffff_8000_0000n],
  ...[0x5555_5555_5555_5555n, 0xaaaa_aaaa_aaaa_aaaan, 0x0123_4567_89ab_cdefn, 0x9999_9999_9999_9999n, 0x0102_0408_1020_4080n],
];

const SINGLES: readonly number[] = [
  ...[0, 0x8000_0000, 0x3f80_0000, 0xbf80_0000, 0x4000_0000, 0x3f00_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0001],
  ...[0x7f80_0001, 0xffa0_0000, 0x0000_0001, 0x807f_ffff, 0x0080_0000, 0x7f7f_ffff, 0xff7f_ffff, 0x4f00_0000, 0xcf00_0000, 0x4b00_0001],
  ...[0x3fc0_0000, 0x4020_0000, 0x5f00_0000, 0x3eaa_aaab, 0x0040_0000, 0x4b7f_ffff],
];

const DOUBLES: readonly bigint[] = [
  ...[0n, 0x8000_0000_0000_0000n, 0x3ff0_0000_0000_0000n, 0xbff0_0000_0000_0000n, 0x4000_0000_0000_0000n, 0x3fe0_0000_0000_0000n],
  ...[0x7ff0_0000_0000_0000n, 0xfff0_0000_0000_0000n, 0x7ff8_0000_0000_0000n, 0xfff8_0000_0000_0001n, 0x7ff0_0000_0000_0001n],
  ...[0xfff4_0000_0000_0000n, 1n, 0x800f_ffff_ffff_ffffn, 0x0010_0000_0000_0000n, 0x7fef_ffff_ffff_ffffn, 0x41df_ffff_ffc0_0000n],
  ...[0xc1e0_0000_0000_0000n, 0x43e0_0000_0000_0000n, 0x3ff8_0000_0000_0000n, 0x4004_0000_0000_0000n, 0x3fd5_5555_5555_5555n],
  ...[0x36a0_0000_0000_0000n, 0x380f_ffff_ffff_ffffn, 0x47ef_ffff_f000_0000n, 0x4330_0000_0000_0001n],
];

/** Sign and exponent of 80-bit numbers. */
const EXPONENTS_80: readonly number[] = [
  0, 0x8000, 0x3fff, 0xbfff, 0x4000, 0x7fff, 0xffff, 1, 0x7ffe, 0x3ffe, 0x403e, 0xc03e, 0x3c00, 0x43ff,
];
const SIGNIFICANDS_80: readonly bigint[] = [
  ...[0x8000_0000_0000_0000n, 0xc000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn, 0x8000_0000_0000_0001n, 0xa000_0000_0000_0000n],
  ...[0n, 1n, 0x4000_0000_0000_0000n, 0x8000_0080_0000_0000n, 0x8000_0000_0000_0400n, 0xc90f_daa2_2168_c235n],
];

const word = (choices: Choices): bigint => (BigInt(choices.u32()) << 32n) | BigInt(choices.u32());

/** A general register, or an integer in memory. */
export function integer(choices: Choices): bigint {
  switch (choices.below(8)) {
    case 0:
    case 1:
    case 2:
      return pick(choices, INTEGERS);
    case 3:
      return BigInt(choices.below(256));
    case 4:
      return BigInt.asUintN(64, pick(choices, INTEGERS) + BigInt(choices.below(5)) - 2n);
    case 5:
      return 1n << BigInt(choices.below(64));
    default:
      return word(choices);
  }
}

/** 32 bits, signed, as an immediate. */
export function integer32(choices: Choices): number {
  return Number(BigInt.asIntN(32, integer(choices)));
}

/** 64 bits of an XMM register or of memory that floating-point instructions read. */
export function packed(choices: Choices): bigint {
  switch (choices.below(8)) {
    case 0:
    case 1:
      return (BigInt(pick(choices, SINGLES)) << 32n) | BigInt(pick(choices, SINGLES));
    case 2:
    case 3:
      return pick(choices, DOUBLES);
    case 4:
      // Ordinary numbers, so that sums and products do not all overflow.
      return BigInt.asUintN(64, (BigInt(0x3ff0 + choices.below(0x60) - 0x30) << 48n) | (word(choices) & 0xffff_ffff_ffffn));
    case 5:
      return (BigInt(singleNearOne(choices)) << 32n) | BigInt(singleNearOne(choices));
    case 6:
      return integer(choices);
    default:
      return word(choices);
  }
}

function singleNearOne(choices: Choices): number {
  return ((oneIn(choices, 2) ? 0x8000_0000 : 0) + (0x3f80_0000 + (choices.below(24) - 12) * 0x80_0000 + choices.below(0x80_0000))) >>> 0;
}

/** Significand, then sign and exponent, of an x87 register. */
export function extended(choices: Choices): [significand: bigint, signExponent: bigint] {
  switch (choices.below(4)) {
    case 0:
      return [pick(choices, SIGNIFICANDS_80), BigInt(pick(choices, EXPONENTS_80))];
    case 1:
      return [word(choices), BigInt(choices.below(0x1_0000))];
    default:
      return [word(choices) | (1n << 63n), BigInt(0x3fff + choices.below(80) - 40 + (oneIn(choices, 2) ? 0x8000 : 0))];
  }
}

/** MXCSR with all exceptions masked, or not; sometimes in AMD's misaligned mode. */
export function mxcsr(choices: Choices, mayTrap: boolean): number {
  const masks = mayTrap ? choices.below(64) << 7 : 0x1f80;
  const modes = (oneIn(choices, 8) ? Mxcsr.MM : 0) | (oneIn(choices, 4) ? Mxcsr.DAZ : 0) | (oneIn(choices, 4) ? Mxcsr.FZ : 0);
  return masks | modes | (choices.below(4) << 13) | choices.below(64);
}

/** x87 control word, as {@link mxcsr}. */
export function x87Control(choices: Choices, mayTrap: boolean): number {
  const masks = mayTrap ? choices.below(64) : 0x3f;
  // Precision 01 is reserved.
  return 0x40 | masks | (pick(choices, [3, 3, 2, 0]) << 8) | (choices.below(4) << 10);
}

/** Bits of RFLAGS that user code may have set: the status flags and DF. */
export function statusFlags(choices: Choices): number {
  return choices.u32() & 0xcd5;
}

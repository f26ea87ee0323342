/**
 * Addition to square root, minimum, maximum and comparison of SSE, exactly: result and MXCSR flags of one element.
 * Flags are those of the masked response; a definition decides whether one of them is unmasked.
 * Sources: SDM 1 §4.8.3.5 Table 4-7 (NaN operands), §11.5.2 (exception conditions and priorities), SDM 2 (MINSD, MAXSD, CMPSD).
 */
import {
  type BinaryFormat,
  bitLength,
  indefinite,
  infinity,
  isNaNClass,
  MxcsrFlag,
  type Outcome,
  quieted,
  roundAndPack,
  Rounding,
  roundingOf,
  type Unpacked,
  unpack,
  zero,
} from './binary-format.ts';

const invalid = (format: BinaryFormat): Outcome => ({ bits: indefinite(format), flags: MxcsrFlag.IE });

/** Result of an operation with a NaN operand: the first operand if it is a NaN, else the second. */
function propagate(format: BinaryFormat, a: Unpacked, b: Unpacked): Outcome {
  const flags = a.kind === 'signaling' || b.kind === 'signaling' ? MxcsrFlag.IE : 0;
  return { bits: quieted(format, isNaNClass(a) ? a.bits : b.bits), flags };
}

const denormalFlag = (...operands: Unpacked[]): number => (operands.some(({ denormal }) => denormal) ? MxcsrFlag.DE : 0);
const also = (outcome: Outcome, flags: number): Outcome => ({ bits: outcome.bits, flags: outcome.flags | flags });

type Operation = (format: BinaryFormat, a: bigint, b: bigint, mxcsr: number) => Outcome;

function sum(format: BinaryFormat, a: Unpacked, b: Unpacked, subtract: boolean, mxcsr: number): Outcome {
  if (isNaNClass(a) || isNaNClass(b)) return propagate(format, a, b);
  const bNegative = b.negative !== subtract;
  if (a.kind === 'infinity' || b.kind === 'infinity') {
    if (a.kind === b.kind && a.negative !== bNegative) return invalid(format);
    const negative = a.kind === 'infinity' ? a.negative : bNegative;
    return { bits: infinity(format, negative), flags: denormalFlag(a, b) };
  }
  const exponent = a.kind === 'zero' ? b.exponent : b.kind === 'zero' ? a.exponent : Math.min(a.exponent, b.exponent);
  const term = (value: Unpacked, negative: boolean): bigint => {
    const aligned = value.kind === 'zero' ? 0n : value.significand << BigInt(value.exponent - exponent);
    return negative ? -aligned : aligned;
  };
  const total = term(a, a.negative) + term(b, bNegative);
  if (total === 0n) {
    const same = a.kind === 'zero' && b.kind === 'zero' && a.negative === bNegative;
    const negative = same ? a.negative : roundingOf(mxcsr) === Rounding.DOWN;
    return { bits: zero(format, negative), flags: denormalFlag(a, b) };
  }
  const magnitude = total < 0n ? -total : total;
  return also(roundAndPack(format, total < 0n, magnitude, exponent, mxcsr), denormalFlag(a, b));
}

export const add: Operation = (format, a, b, mxcsr) => sum(format, unpack(format, a, mxcsr), unpack(format, b, mxcsr), false, mxcsr);
export const subtract: Operation = (format, a, b, mxcsr) => sum(format, unpack(format, a, mxcsr), unpack(format, b, mxcsr), true, mxcsr);

export const multiply: Operation = (format, aBits, bBits, mxcsr) => {
  const a = unpack(format, aBits, mxcsr);
  const b = unpack(format, bBits, mxcsr);
  if (isNaNClass(a) || isNaNClass(b)) return propagate(format, a, b);
  const negative = a.negative !== b.negative;
  const flags = denormalFlag(a, b);
  if (a.kind === 'infinity' || b.kind === 'infinity') {
    if (a.kind === 'zero' || b.kind === 'zero') return invalid(format);
    return { bits: infinity(format, negative), flags };
  }
  if (a.kind === 'zero' || b.kind === 'zero') return { bits: zero(format, negative), flags };
  return also(roundAndPack(format, negative, a.significand * b.significand, a.exponent + b.exponent, mxcsr), flags);
};

export const divide: Operation = (format, aBits, bBits, mxcsr) => {
  const a = unpack(format, aBits, mxcsr);
  const b = unpack(format, bBits, mxcsr);
  if (isNaNClass(a) || isNaNClass(b)) return propagate(format, a, b);
  const negative = a.negative !== b.negative;
  if (a.kind === b.kind && a.kind !== 'finite') return invalid(format);
  if (a.kind === 'infinity') return { bits: infinity(format, negative), flags: denormalFlag(b) };
  if (b.kind === 'zero') return { bits: infinity(format, negative), flags: MxcsrFlag.ZE };
  const flags = denormalFlag(a, b);
  if (a.kind === 'zero' || b.kind === 'infinity') return { bits: zero(format, negative), flags };
  // Enough quotient bits for the format and two more; the remainder is the lost part.
  const shift = Math.max(0, format.precision + 2 - bitLength(a.significand) + bitLength(b.significand));
  const dividend = a.significand << BigInt(shift);
  const quotient = dividend / b.significand;
  const lost = quotient * b.significand === dividend ? 0n : 1n;
  const outcome = roundAndPack(format, negative, (quotient << 1n) | lost, a.exponent - b.exponent - shift - 1, mxcsr);
  return also(outcome, flags);
};

function integerRoot(value: bigint): bigint {
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

export const squareRoot: Operation = (format, bits, _, mxcsr) => {
  const a = unpack(format, bits, mxcsr);
  if (isNaNClass(a)) return propagate(format, a, a);
  if (a.kind === 'zero') return { bits: a.bits, flags: 0 };
  if (a.negative) return invalid(format);
  if (a.kind === 'infinity') return { bits: a.bits, flags: 0 };
  // An even exponent, and twice as many bits as the root needs.
  let shift = Math.max(0, 2 * (format.precision + 2) - bitLength(a.significand));
  if (((a.exponent - shift) & 1) !== 0) shift++;
  const square = a.significand << BigInt(shift);
  const root = integerRoot(square);
  const lost = root * root === square ? 0n : 1n;
  return also(roundAndPack(format, false, (root << 1n) | lost, (a.exponent - shift) / 2 - 1, mxcsr), denormalFlag(a));
};

/** Sign of a - b; undefined when one is a NaN. */
function order(format: BinaryFormat, a: Unpacked, b: Unpacked): number | undefined {
  if (isNaNClass(a) || isNaNClass(b)) return undefined;
  // Encodings of one sign are ordered as integers.
  const key = (value: Unpacked): bigint => (value.negative ? zero(format, true) - value.bits : value.bits);
  const x = key(a);
  const y = key(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

/** The second operand is the result when one is a NaN or both are zero. */
function extreme(wanted: -1 | 1): Operation {
  return (format, aBits, bBits, mxcsr) => {
    const a = unpack(format, aBits, mxcsr);
    const b = unpack(format, bBits, mxcsr);
    const ordered = order(format, a, b);
    if (ordered === undefined) return { bits: b.bits, flags: MxcsrFlag.IE };
    return { bits: ordered === wanted ? a.bits : b.bits, flags: denormalFlag(a, b) };
  };
}
export const minimum: Operation = extreme(-1);
export const maximum: Operation = extreme(1);

/** What a comparison found, as bits: 1 less, 2 equal, 4 greater, 8 unordered. */
export const Relation = { LESS: 1, EQUAL: 2, GREATER: 4, UNORDERED: 8 } as const;

/** `signaling`: quiet NaNs are invalid too. */
export function compare(format: BinaryFormat, aBits: bigint, bBits: bigint, signaling: boolean, mxcsr: number): Outcome {
  const a = unpack(format, aBits, mxcsr);
  const b = unpack(format, bBits, mxcsr);
  const ordered = order(format, a, b);
  if (ordered === undefined) {
    const flags = signaling || a.kind === 'signaling' || b.kind === 'signaling' ? MxcsrFlag.IE : 0;
    return { bits: BigInt(Relation.UNORDERED), flags };
  }
  const relation = ordered < 0 ? Relation.LESS : ordered > 0 ? Relation.GREATER : Relation.EQUAL;
  return { bits: BigInt(relation), flags: denormalFlag(a, b) };
}

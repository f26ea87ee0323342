/**
 * Integer operations that are too long to be emitted into each handler, as subroutines: 128 by 64 bit division,
 * scattering and gathering bits, CRC-32C.
 */
import { divideWide } from './float/wide.ts';
import { subroutine } from './subroutine.ts';

/** (high, low, divisor), high < divisor -> quotient. */
export const divideDouble = subroutine('word.divideDouble', 3, 1, (k, high, low, divisor) => {
  // The divisor with its top bit set; the dividend moves along, two steps for 0 places.
  const places = k.clz(divisor);
  const fromLow = k.shr(k.shr(low, k.constant(1)), k.sub(k.constant(63), places));
  const [quotient] = k.call(divideWide, k.or(k.shl(high, places), fromLow), k.shl(low, places), k.shl(divisor, places));
  return [quotient];
});

/** (high, low, divisor), all signed, the divisor not zero -> quotient, 1 when it does not fit a signed word. */
export const divideDoubleSigned = subroutine('word.divideDoubleSigned', 3, 2, (k, high, low, divisor) => {
  const zero = k.constant(0);
  const negativeDividend = k.ltS(high, zero);
  const negativeDivisor = k.ltS(divisor, zero);
  const negatedHigh = k.sub(k.sub(zero, high), k.word(k.ne(low, zero)));
  const h = k.select(negativeDividend, negatedHigh, high);
  const l = k.select(negativeDividend, k.sub(zero, low), low);
  const d = k.select(negativeDivisor, k.sub(zero, divisor), divisor);
  const negative = k.xor(k.word(negativeDividend), k.word(negativeDivisor));
  const quotient = k.variable(zero);
  const overflow = k.variable(k.constant(1));
  k.when(k.ltU(h, d), () => {
    const [magnitude] = k.call(divideDouble, h, l, d);
    const limit = k.add(k.constant((1n << 63n) - 1n), negative);
    quotient.set(k.select(k.ne(negative, zero), k.sub(zero, magnitude), magnitude));
    overflow.set(k.word(k.ltU(limit, magnitude)));
  });
  return [quotient.get(), overflow.get()];
});

/** PDEP: (word, mask) -> the low bits of the word at the places of the mask's bits. */
export const depositBits = subroutine('word.depositBits', 2, 1, (k, word, mask) => {
  const zero = k.constant(0);
  const one = k.constant(1);
  const source = k.variable(word);
  const rest = k.variable(mask);
  const result = k.variable(zero);
  k.times(k.popcnt(mask), () => {
    const places = rest.get();
    const next = k.and(places, k.sub(zero, places));
    const bits = source.get();
    result.set(k.or(result.get(), k.select(k.ne(k.and(bits, one), zero), next, zero)));
    source.set(k.shr(bits, one));
    rest.set(k.xor(places, next));
  });
  return [result.get()];
});

/** PEXT: (word, mask) -> the word's bits at the places of the mask's bits, moved together. */
export const extractBits = subroutine('word.extractBits', 2, 1, (k, word, mask) => {
  const zero = k.constant(0);
  const rest = k.variable(mask);
  const bit = k.variable(k.constant(1));
  const result = k.variable(zero);
  k.times(k.popcnt(mask), () => {
    const places = rest.get();
    const next = k.and(places, k.sub(zero, places));
    const place = bit.get();
    result.set(k.or(result.get(), k.select(k.ne(k.and(word, next), zero), place, zero)));
    bit.set(k.shl(place, k.constant(1)));
    rest.set(k.xor(places, next));
  });
  return [result.get()];
});

/** (CRC, data, number of bits of data): polynomial 11EDC6F41, bits reflected (SDM 2A CRC32). */
export const crc32c = subroutine('word.crc32c', 3, 1, (k, crc, data, bits) => {
  const one = k.constant(1);
  const rest = k.variable(k.xor(crc, data));
  k.times(bits, () => {
    const word = rest.get();
    const divides = k.ne(k.and(word, one), k.constant(0));
    rest.set(k.xor(k.shr(word, one), k.select(divides, k.constant(0x82f6_3b78), k.constant(0))));
  });
  return [rest.get()];
});

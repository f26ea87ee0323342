/**
 * GF(2^8) with x^8 + x^4 + x^3 + x^2 + 1 (0x11d) and generator 2, the field of RAID-6, ISA-L and zfec.
 * Plain tables, for matrices and tests; shares are coded by the kernels of kernel.ts.
 * Source: H. P. Anvin, "The mathematics of RAID-6", §1-2.
 */

const reduction = 0x11d;

/** `powersOfTwo[e]` is 2^e, for e in 0..509, so that sums of two logarithms need no remainder. */
const powersOfTwo = Uint8Array.from(
  { length: 510 },
  (() => {
    let x = 1;
    return () => {
      const value = x;
      x = double(x);
      return value;
    };
  })(),
);

const logarithms = new Uint8Array(256);
for (let e = 0; e < 255; e++) logarithms[powersOfTwo[e]!] = e;

function double(x: number): number {
  return x & 0x80 ? (x << 1) ^ reduction : x << 1;
}

export function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : powersOfTwo[logarithms[a]! + logarithms[b]!]!;
}

/** 1/a for a in 1..255. */
export function inverse(a: number): number {
  if (a === 0) throw new RangeError('0 has no inverse');
  return powersOfTwo[255 - logarithms[a]!]!;
}

/** 2^e for any whole e. */
export function powerOfTwo(e: number): number {
  return powersOfTwo[((e % 255) + 255) % 255]!;
}

/** e in 0..254 with 2^e = a, for a in 1..255. */
export function logarithm(a: number): number {
  if (a === 0) throw new RangeError('0 has no logarithm');
  return logarithms[a]!;
}

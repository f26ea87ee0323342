/**
 * AES rounds and carry-less multiplication as pure functions on words, under the names by which definitions call them:
 * each gives one half of a 128-bit result.
 * Sources: FIPS 197 §5.1, §5.3 (transformations; byte n of a vector is row n % 4 of column n / 4), SDM 2A AESENC and others.
 */
type Body = (a: bigint, b: bigint, c: bigint) => bigint;

const POLYNOMIAL = 0x11b;

function multiply(a: number, b: number): number {
  let product = 0;
  for (let x = a, y = b; y !== 0; y >>= 1) {
    if ((y & 1) !== 0) product ^= x;
    x <<= 1;
    if (x > 0xff) x ^= POLYNOMIAL;
  }
  return product;
}

/** FIPS 197 §5.1.1: the inverse in GF(2^8), then an affine transformation. 3 generates the field: 3^n and 3^(255-n) are inverse. */
const S_BOX: Uint8Array = (() => {
  const power = [1];
  for (let n = 1; n < 256; n++) power.push(multiply(power[n - 1], 3));
  const box = new Uint8Array(256).fill(0x63);
  for (let n = 0; n < 255; n++) {
    const inverse = power[255 - n];
    const doubled = inverse | (inverse << 8);
    box[power[n]] = (doubled ^ (doubled >> 4) ^ (doubled >> 5) ^ (doubled >> 6) ^ (doubled >> 7) ^ 0x63) & 0xff;
  }
  return box;
})();

const INVERSE_S_BOX: Uint8Array = (() => {
  const box = new Uint8Array(256);
  S_BOX.forEach((value, n) => {
    box[value] = n;
  });
  return box;
})();

/** First rows of the matrices of MixColumns and its inverse. */
const MIX = [2, 3, 1, 1];
const INVERSE_MIX = [14, 11, 13, 9];

function bytesOf(low: bigint, high: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setBigUint64(0, low, true);
  view.setBigUint64(8, high, true);
  return new Uint8Array(view.buffer);
}

function mixColumns(state: Uint8Array, matrix: readonly number[]): Uint8Array {
  return state.map((_, n) => {
    let sum = 0;
    for (let row = 0; row < 4; row++) sum ^= multiply(state[(n & ~3) + row], matrix[(row - n) & 3]);
    return sum;
  });
}

/** Rows turn left by their number in encryption, right in decryption; then bytes are substituted. */
function shiftAndSubstitute(state: Uint8Array, direction: 1 | -1, box: Uint8Array): Uint8Array {
  return state.map((_, n) => box[state[(n + direction * 4 * (n & 3)) & 15]]);
}

/** `last` is 1 for a last round, without MixColumns. */
const encrypt = (low: bigint, high: bigint, last: bigint): Uint8Array => {
  const state = shiftAndSubstitute(bytesOf(low, high), 1, S_BOX);
  return last === 1n ? state : mixColumns(state, MIX);
};
const decrypt = (low: bigint, high: bigint, last: bigint): Uint8Array => {
  const state = shiftAndSubstitute(bytesOf(low, high), -1, INVERSE_S_BOX);
  return last === 1n ? state : mixColumns(state, INVERSE_MIX);
};
const inverseMix = (low: bigint, high: bigint): Uint8Array => mixColumns(bytesOf(low, high), INVERSE_MIX);

/** SubWord of doublewords 1 and 3, each also turned by a byte and combined with the round constant. */
const assistKey = (low: bigint, high: bigint, roundConstant: bigint): Uint8Array => {
  const source = bytesOf(low, high);
  return source.map((_, n) => {
    const word = n < 8 ? 4 : 12;
    const rotated = (n & 4) !== 0;
    const byte = S_BOX[source[word + ((n + (rotated ? 1 : 0)) & 3)]];
    return rotated && (n & 3) === 0 ? byte ^ Number(roundConstant & 0xffn) : byte;
  });
};

function carryless(a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let at = 0n; at < 64n; at++) if (((b >> at) & 1n) !== 0n) product ^= a << at;
  return product;
}

export function aesHostFunctions(): Record<string, Body> {
  const functions: Record<string, Body> = {
    'carryless.low': (a, b) => BigInt.asUintN(64, carryless(a, b)),
    'carryless.high': (a, b) => carryless(a, b) >> 64n,
  };
  const vectors = { encrypt, decrypt, inverseMix, assistKey };
  for (const [name, body] of Object.entries(vectors)) {
    const half =
      (at: number): Body =>
      (a, b, c) =>
        new DataView(body(a, b, c).buffer).getBigUint64(at, true);
    functions[`aes.${name}.low`] = half(0);
    functions[`aes.${name}.high`] = half(8);
  }
  return functions;
}

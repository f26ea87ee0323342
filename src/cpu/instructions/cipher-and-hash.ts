/** AES-NI and PCLMULQDQ (SDM 1 §5.13), and the SHA extensions (§5.18). Words of SHA are numbered from the top as in the manual. */
import type { Algebra, Definition } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { elementsOf, sseDefine, type Vector, vectorOf } from './sse-state.ts';
import { lanewise, lanewiseUnary, vectorDefine, writeLanes } from './vector-operands.ts';

const SHA1_CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6];

function hostVector<V, B>(k: Algebra<V, B>, name: string, a: V, b: V, c: V): Vector<V> {
  return [k.host(`${name}.low`, a, b, c), k.host(`${name}.high`, a, b, c)];
}

function aesRound(direction: 'encrypt' | 'decrypt', last: boolean): Definition {
  return lanewise((k, state, key) => {
    const round = hostVector(k, `aes.${direction}`, state[0], state[1], k.constant(last ? 1 : 0));
    return [k.xor(round[0], key[0]), k.xor(round[1], key[1])];
  });
}

/** Doublewords of a vector, the highest first. */
const wordsOf = <V, B>(k: Algebra<V, B>, vector: Vector<V>): V[] => elementsOf(k, 32, vector).reverse();
const fromWords = <V, B>(k: Algebra<V, B>, words: V[]): Vector<V> => vectorOf(k, 32, [...words].reverse());

const add = <V, B>(k: Algebra<V, B>, ...terms: V[]): V =>
  k.zext(
    32,
    terms.reduce((sum, term) => k.add(sum, term)),
  );

function rotateLeft<V, B>(k: Algebra<V, B>, a: V, count: number): V {
  return k.zext(32, k.or(k.shl(a, k.constant(count)), k.shr(a, k.constant(32 - count))));
}

/** Rotations to the right combined; a third count is a shift when `shift` says so (FIPS 180-4 §4.1.2). */
function sigma<V, B>(k: Algebra<V, B>, a: V, [x, y, z]: readonly [number, number, number], shift: boolean): V {
  const third = shift ? k.shr(a, k.constant(z)) : rotateLeft(k, a, 32 - z);
  return k.xor(k.xor(rotateLeft(k, a, 32 - x), rotateLeft(k, a, 32 - y)), third);
}

const choice = <V, B>(k: Algebra<V, B>, x: V, y: V, z: V): V => k.xor(k.and(x, y), k.and(k.not(x), z));
const majority = <V, B>(k: Algebra<V, B>, x: V, y: V, z: V): V => k.xor(k.xor(k.and(x, y), k.and(x, z)), k.and(y, z));

/** Function and constant of a SHA-1 round, chosen by the immediate at run time. */
function sha1Mix<V, B>(k: Algebra<V, B>, b: V, c: V, d: V): V {
  const kind = k.and(k.immediate(), k.constant(3));
  const parity = k.xor(k.xor(b, c), d);
  const is = (n: number): B => k.eq(kind, k.constant(n));
  const mixed = k.select(is(0), choice(k, b, c, d), k.select(is(2), majority(k, b, c, d), parity));
  const constant = SHA1_CONSTANTS.reduce((found, value, n) => k.select(is(n), k.constant(value), found), k.constant(0));
  return k.add(k.zext(32, mixed), constant);
}

/**
 * DEVIATION: the manual wants operands of SHA in memory aligned (exception type 4); the processor of the vectors does not.
 */
const hashOperation = (f: Parameters<typeof lanewise>[0]): Definition => lanewise(f, false);

export const cipherAndHash: Family = (plain) => {
  const define = vectorDefine(plain);
  const hash = sseDefine(plain);
  define('AESENC', aesRound('encrypt', false));
  define('AESENCLAST', aesRound('encrypt', true));
  define('AESDEC', aesRound('decrypt', false));
  define('AESDECLAST', aesRound('decrypt', true));
  define(
    'AESIMC',
    lanewiseUnary((k, [low, high]) => hostVector(k, 'aes.inverseMix', low, high, k.constant(0))),
  );
  define(
    'AESKEYGENASSIST',
    lanewiseUnary((k, [low, high]) => hostVector(k, 'aes.assistKey', low, high, k.immediate())),
  );
  define(
    'PCLMULQDQ',
    lanewise((k, a, b) => {
      const half = ([low, high]: typeof a, bit: number) => k.select(k.eq(k.and(k.immediate(), k.constant(bit)), k.constant(0)), low, high);
      return hostVector(k, 'carryless', half(a, 1), half(b, 16), k.constant(0));
    }),
  );

  hash(
    'SHA1MSG1',
    hashOperation((k, a, b) => {
      const w = [...wordsOf(k, a), ...wordsOf(k, b)];
      return fromWords(
        k,
        [0, 1, 2, 3].map((n) => k.xor(w[n + 2], w[n])),
      );
    }),
  );
  hash(
    'SHA1MSG2',
    hashOperation((k, a, b) => {
      const w = wordsOf(k, a);
      const later = wordsOf(k, b).slice(1);
      for (let n = 0; n < 4; n++) {
        w[n] = rotateLeft(k, k.xor(w[n], later[n]), 1);
        later.push(w[n]);
      }
      return fromWords(k, w);
    }),
  );
  hash(
    'SHA1NEXTE',
    hashOperation((k, a, b) => {
      const [e, ...rest] = wordsOf(k, b);
      return fromWords(k, [add(k, e, rotateLeft(k, wordsOf(k, a)[0], 30)), ...rest]);
    }),
  );
  hash(
    'SHA1RNDS4',
    hashOperation((k, state, message) => {
      let [a, b, c, d] = wordsOf(k, state);
      let e = k.constant(0);
      for (const word of wordsOf(k, message)) {
        const next = add(k, sha1Mix(k, b, c, d), rotateLeft(k, a, 5), word, e);
        [a, b, c, d, e] = [next, a, rotateLeft(k, b, 30), c, d];
      }
      return fromWords(k, [a, b, c, d]);
    }),
  );
  hash(
    'SHA256MSG1',
    hashOperation((k, a, b) => {
      const w = [...elementsOf(k, 32, a), elementsOf(k, 32, b)[0]];
      return vectorOf(
        k,
        32,
        [0, 1, 2, 3].map((n) => add(k, w[n], sigma(k, w[n + 1], [7, 18, 3], true))),
      );
    }),
  );
  hash(
    'SHA256MSG2',
    hashOperation((k, a, b) => {
      const w = elementsOf(k, 32, b).slice(2);
      for (const [n, word] of elementsOf(k, 32, a).entries()) w.push(add(k, word, sigma(k, w[n], [17, 19, 10], true)));
      return vectorOf(k, 32, w.slice(2));
    }),
  );
  hash('SHA256RNDS2', (k, i) => {
    let [c, d, g, h] = wordsOf(k, k.read128(i.operands[0], true));
    let [a, b, e, f] = wordsOf(k, k.read128(i.operands[1], false));
    for (const word of elementsOf(k, 32, [k.field('xmm', 0), k.field('xmm', 1)]).slice(0, 2)) {
      const first = add(k, choice(k, e, f, g), sigma(k, e, [6, 11, 25], false), word, h);
      const second = k.add(majority(k, a, b, c), sigma(k, a, [2, 13, 22], false));
      [a, b, c, d, e, f, g, h] = [add(k, first, second), a, b, c, add(k, first, d), e, f, g];
    }
    writeLanes(k, i, i.operands[0], [fromWords(k, [a, b, e, f])]);
  });
};

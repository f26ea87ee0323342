/**
 * FMA (SDM 1 §14.5): the digits of a name say which operands are multiplied and which one is added, 1 being the destination.
 * The fast paths round an exact sum once by rounding to odd before (Boldo and Melquiond, Emulation of FMA and correctly
 * rounded sums: proved algorithms using rounding to odd, 2008).
 */
import type { Operand } from '../../x86/instruction.ts';
import type { Algebra, Definition, Facts } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { FusedControl } from '../float/fused.ts';
import { INFINITE, magnitude, ordinary, safelyNormal } from './sse-arithmetic.ts';
import { compute, type Element, type ElementWidth, inexactIsFree, readScalar, roundsToNearest } from './sse-state.ts';
import { avxDefine, readElements, writeElements, writeLanes } from './vector-operands.ts';

type Order = '132' | '213' | '231';
/** Control of even and odd elements. */
interface Signs {
  readonly even: number;
  readonly odd: number;
}

const { NEGATE_PRODUCT, NEGATE_ADDEND } = FusedControl;
const OPERATIONS: Readonly<Record<string, Signs>> = {
  VFMADD: { even: 0, odd: 0 },
  VFMSUB: { even: NEGATE_ADDEND, odd: NEGATE_ADDEND },
  VFNMADD: { even: NEGATE_PRODUCT, odd: NEGATE_PRODUCT },
  VFNMSUB: { even: NEGATE_PRODUCT | NEGATE_ADDEND, odd: NEGATE_PRODUCT | NEGATE_ADDEND },
  VFMADDSUB: { even: NEGATE_ADDEND, odd: 0 },
  VFMSUBADD: { even: 0, odd: NEGATE_ADDEND },
};

const SIGN = 1n << 63n;
/** 2^27 + 1. */
const SPLITTER = 0x41a0_0000_0200_0000n;
/** Powers of two that bound factors and addends of the fast path, 2^-n to 2^n. */
const FACTOR_RANGE = 250;
const ADDEND_RANGE = 600;

/** Multiplicands, then the addend. */
function inOrder<T>(order: Order, [first, second, third]: readonly [T, T, T]): [a: T, b: T, c: T] {
  if (order === '132') return [first, third, second];
  return order === '213' ? [second, first, third] : [second, third, first];
}

/** a + b rounded to nearest, and the error of that, exactly (Knuth, TAOCP 2 §4.2.2, theorem B). */
function twoSum<V, B>(k: Algebra<V, B>, a: V, b: V): [sum: V, error: V] {
  const sum = k.f64('add', a, b);
  const ofB = k.f64('sub', sum, a);
  return [sum, k.f64('add', k.f64('sub', a, k.f64('sub', sum, ofB)), k.f64('sub', b, ofB))];
}

/** a + b rounded to odd, and whether it is exact. */
function oddSum<V, B>(k: Algebra<V, B>, a: V, b: V): [sum: V, exact: B] {
  const [sum, error] = twoSum(k, a, b);
  const exact = k.eq(magnitude(k, 64, error), k.constant(0));
  const isOdd = k.ne(k.and(sum, k.constant(1)), k.constant(0));
  const outward = k.negate(k.ltS(k.xor(sum, error), k.constant(0)));
  const neighbour = k.add(sum, k.select(outward, k.constant(1), k.constant(-1)));
  return [k.select(k.either(exact, isOdd), sum, neighbour), exact];
}

/** a * b rounded to nearest, and the error of that, exactly (Dekker 1971, with Veltkamp's splitting). */
function twoProduct<V, B>(k: Algebra<V, B>, a: V, b: V): [product: V, error: V] {
  const split = (x: V): [V, V] => {
    const scaled = k.f64('mul', x, k.constant(SPLITTER));
    const high = k.f64('sub', scaled, k.f64('sub', scaled, x));
    return [high, k.f64('sub', x, high)];
  };
  const product = k.f64('mul', a, b);
  const [ah, al] = split(a);
  const [bh, bl] = split(b);
  const rest = k.f64('add', k.f64('sub', k.f64('mul', ah, bh), product), k.f64('mul', ah, bl));
  return [product, k.f64('add', k.f64('add', rest, k.f64('mul', al, bh)), k.f64('mul', al, bl))];
}

interface Fast<V, B> {
  readonly value: V;
  /** Known to be exact. */
  readonly exact: B;
  /** The value is right. */
  readonly valid: B;
}

/** The product of single-precision numbers is exact in binary64: the sum is rounded to odd there, then once to binary32. */
function fusedSingles<V, B>(k: Algebra<V, B>, operands: readonly V[], signed: (word: V, negative: number) => V): Fast<V, B> {
  const [a, b, c] = operands.map((word) => k.f32ToF64(word));
  const [sum, exactSum] = oddSum(k, signed(k.f64('mul', a, b), NEGATE_PRODUCT), signed(c, NEGATE_ADDEND));
  const value = k.f64ToF32(sum);
  const numbers = operands.map((word) =>
    k.both(ordinary(k, 32, magnitude(k, 32, word)), k.ltU(magnitude(k, 32, word), k.constant(INFINITE[32]))),
  );
  const result = k.either(safelyNormal(k, 32, magnitude(k, 32, value)), k.eq(magnitude(k, 64, sum), k.constant(0)));
  return {
    value,
    exact: k.both(exactSum, k.eq(k.f32ToF64(value), sum)),
    valid: numbers.reduce((all, one) => k.both(all, one), result),
  };
}

/** Sums of the exact parts, the last but one rounded to odd; exponents are such that nothing overflows or is denormal. */
function fusedDoubles<V, B>(k: Algebra<V, B>, [x, y, z]: readonly V[], signed: (word: V, negative: number) => V): Fast<V, B> {
  const [a, c] = [signed(x, NEGATE_PRODUCT), signed(z, NEGATE_ADDEND)];
  const [productHigh, productLow] = twoProduct(k, a, y);
  const [addendHigh, addendLow] = twoSum(k, c, productLow);
  const [high, low] = twoSum(k, productHigh, addendHigh);
  const [rest, exactRest] = oddSum(k, addendLow, low);
  const [value, error] = twoSum(k, high, rest);
  const within = (word: V, range: number): B => {
    const least = BigInt(1023 - range) << 53n;
    return k.ltU(k.sub(magnitude(k, 64, word), k.constant(least)), k.constant(BigInt(2 * range) << 53n));
  };
  const addend = k.either(within(z, ADDEND_RANGE), k.eq(magnitude(k, 64, z), k.constant(0)));
  return {
    value,
    exact: k.both(exactRest, k.eq(magnitude(k, 64, error), k.constant(0))),
    valid: k.both(k.both(within(x, FACTOR_RANGE), within(y, FACTOR_RANGE)), addend),
  };
}

function fused<V, B>(k: Algebra<V, B>, width: ElementWidth, mxcsr: V, control: number, operands: readonly [V, V, V]): Element<V, B> {
  const [a, b, c] = operands;
  const signed = (word: V, negative: number): V => ((control & negative) === 0 ? word : k.xor(word, k.constant(SIGN)));
  const { value, exact, valid } = width === 32 ? fusedSingles(k, operands, signed) : fusedDoubles(k, operands, signed);
  const silent = k.either(inexactIsFree(k, mxcsr), exact);
  const fast = k.both(k.both(roundsToNearest(k, mxcsr), silent), valid);
  return { fast, value, exact: `f${width}.fma`, a, b, c, control: k.constant(control) };
}

function operandsOf({ operands: [first, second, third] }: Facts): readonly [Operand, Operand, Operand] {
  return [first, second, third];
}

function packed(width: ElementWidth, order: Order, { even, odd }: Signs): Definition {
  return (k, i) => {
    const operands = operandsOf(i);
    const third = readElements(k, i, operands[2], width);
    const [a, b, c] = inOrder(order, [readElements(k, i, operands[0], width), readElements(k, i, operands[1], width), third]);
    const mxcsr = k.field('mxcsr');
    const elements = a.map((x, n) => fused(k, width, mxcsr, n % 2 === 0 ? even : odd, [x, b[n], c[n]]));
    compute(k, mxcsr, elements, (values) => writeElements(k, i, operands[0], width, values));
  };
}

/** The rest of the destination stays. */
function scalar(width: ElementWidth, order: Order, { even }: Signs): Definition {
  return (k, i) => {
    const operands = operandsOf(i);
    const third = readScalar(k, operands[2], width);
    const terms = inOrder(order, [readScalar(k, operands[0], width), readScalar(k, operands[1], width), third]);
    const mxcsr = k.field('mxcsr');
    compute(k, mxcsr, [fused(k, width, mxcsr, even, terms)], ([value]) => {
      const [destination] = operands;
      const rest = k.and(k.readXmm(destination, 0), k.constant(0xffff_ffff_0000_0000n));
      const low = width === 64 ? value : k.or(rest, value);
      writeLanes(k, i, destination, [[low, k.readXmm(destination, 1)]]);
    });
  };
}

export const fma: Family = (plain) => {
  const define = avxDefine(plain);
  for (const [name, signs] of Object.entries(OPERATIONS)) {
    for (const order of ['132', '213', '231'] as const) {
      for (const [letter, width] of [
        ['S', 32],
        ['D', 64],
      ] as const) {
        define(`${name}${order}P${letter}`, packed(width, order, signs));
        if (signs.even === signs.odd) define(`${name}${order}S${letter}`, scalar(width, order, signs));
      }
    }
  }
};

/**
 * FMA (SDM 1 §14.5): the digits of a name say which operands are multiplied and which one is added, 1 being the destination.
 * Single precision has a fast path: the product is exact in binary64, the sum is rounded to odd there (Boldo and Melquiond,
 * Emulation of FMA and correctly rounded sums, 2008), and then once to binary32.
 */
import type { Operand } from '../../x86/instruction.ts';
import type { Algebra, Definition, Facts } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { FusedControl } from '../float/fused.ts';
import { magnitude, ordinary, safelyNormal } from './sse-arithmetic.ts';
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
const FINITE_SINGLE = 0x7f80_0000n;

/** Multiplicands, then the addend. */
function inOrder<T>(order: Order, [first, second, third]: readonly [T, T, T]): [a: T, b: T, c: T] {
  if (order === '132') return [first, third, second];
  return order === '213' ? [second, first, third] : [second, third, first];
}

function fused<V, B>(k: Algebra<V, B>, width: ElementWidth, mxcsr: V, control: number, [a, b, c]: readonly [V, V, V]): Element<V, B> {
  const element = { exact: `f${width}.fma`, a, b, c, control: k.constant(control) };
  if (width === 64) return { ...element, fast: k.ne(k.constant(0), k.constant(0)), value: a };
  const zero = k.constant(0);
  const signed = (word: V, negative: number): V => ((control & negative) === 0 ? word : k.xor(word, k.constant(SIGN)));
  const product = signed(k.f64('mul', k.f32ToF64(a), k.f32ToF64(b)), NEGATE_PRODUCT);
  const addend = signed(k.f32ToF64(c), NEGATE_ADDEND);
  // The sum and, exactly, its error (Knuth, TAOCP 2 §4.2.2, theorem B).
  const sum = k.f64('add', product, addend);
  const ofAddend = k.f64('sub', sum, product);
  const error = k.f64('add', k.f64('sub', product, k.f64('sub', sum, ofAddend)), k.f64('sub', addend, ofAddend));
  const exactSum = k.eq(magnitude(k, 64, error), zero);
  const isOdd = k.ne(k.and(sum, k.constant(1)), zero);
  const outward = k.negate(k.ltS(k.xor(sum, error), zero));
  const odd = k.add(sum, k.select(outward, k.constant(1), k.constant(-1)));
  const toOdd = k.select(k.either(exactSum, isOdd), sum, odd);
  const value = k.f64ToF32(toOdd);
  const silent = k.either(inexactIsFree(k, mxcsr), k.both(exactSum, k.eq(k.f32ToF64(value), sum)));
  const finite = [a, b, c].map((word) => {
    const m = magnitude(k, 32, word);
    return k.both(ordinary(k, 32, m), k.ltU(m, k.constant(FINITE_SINGLE << 1n)));
  });
  const operands = finite.reduce((all, one) => k.both(all, one));
  const result = k.either(safelyNormal(k, 32, magnitude(k, 32, value)), k.eq(magnitude(k, 64, sum), zero));
  return { ...element, fast: k.both(k.both(roundsToNearest(k, mxcsr), silent), k.both(operands, result)), value };
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

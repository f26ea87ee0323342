/**
 * Floating-point arithmetic of SSE and SSE2 (SDM 1 §5.5.1.2, §5.6.1.2), with the horizontal forms of SSE3 and ROUNDxx of
 * SSE4.1. An element takes the fast path, WebAssembly's own operation, when it raises nothing that MXCSR does not hold
 * already: rounding is to nearest, no operand is denormal, the result is normal or a zero that is exact, and it is either
 * exact or PE is set and masked. DAZ and FZ do not matter then.
 */
import type { Algebra, Definition, Facts } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { reciprocal, reciprocalRoot } from '../float/short-estimate.ts';
import {
  compute,
  type Define,
  type Element,
  elementsOf,
  type ElementWidth,
  inexactIsFree,
  readScalar,
  roundsToNearest,
} from './sse-state.ts';
import { readElements, readLanes, rolesOf, vectorDefine, writeElements, writeLowest } from './vector-operands.ts';

type Binary = 'add' | 'sub' | 'mul' | 'div';
type Operation = Binary | 'sqrt' | 'min' | 'max';

/** Encodings without sign, doubled: of the smallest normal number, and of infinity. */
export const SMALLEST_NORMAL = { 32: 1n << 24n, 64: 1n << 53n } as const;
export const INFINITE = { 32: 0xffn << 24n, 64: 0x7ffn << 53n } as const;

/** Twice the encoding without its sign: order of magnitude as an integer. */
export function magnitude<V, B>(k: Algebra<V, B>, width: ElementWidth, a: V): V {
  return k.zext(width, k.shl(a, k.constant(1)));
}
export function notDenormal<V, B>(k: Algebra<V, B>, width: ElementWidth, magnitude: V): B {
  return k.negate(k.ltU(k.sub(magnitude, k.constant(1)), k.constant(SMALLEST_NORMAL[width] - 1n)));
}
/** Neither denormal nor NaN. */
export function ordinary<V, B>(k: Algebra<V, B>, width: ElementWidth, magnitude: V): B {
  return k.both(notDenormal(k, width, magnitude), k.negate(k.ltU(k.constant(INFINITE[width]), magnitude)));
}
/** Normal, and not the smallest normal number, to which a tiny value may have been rounded. */
export function safelyNormal<V, B>(k: Algebra<V, B>, width: ElementWidth, magnitude: V): B {
  const low = SMALLEST_NORMAL[width] + 1n;
  return k.ltU(k.sub(magnitude, k.constant(low)), k.constant(INFINITE[width] - low));
}

/** a < b, of ordinary numbers. */
export function less<V, B>(k: Algebra<V, B>, width: ElementWidth, a: V, b: V): B {
  return width === 64 ? k.f64ltOrEq(a, b).less : k.f64ltOrEq(k.f32ToF64(a), k.f32ToF64(b)).less;
}

/**
 * Whether a result of ordinary operands that is not zero is exact; may say no of one that is. Sums by their rounding error
 * (Knuth, TAOCP 2 §4.2.2, theorem B), the others by multiplying back, which has to be exact itself.
 */
function isExact<V, B>(k: Algebra<V, B>, width: ElementWidth, operation: Binary | 'sqrt', a: V, b: V, result: V): B {
  if (operation === 'add' || operation === 'sub') {
    const f = (name: 'add' | 'sub', x: V, y: V): V => (width === 64 ? k.f64(name, x, y) : k.f32(name, x, y));
    const addend = operation === 'add' ? b : k.xor(b, k.constant(1n << BigInt(width - 1)));
    const ofB = f('sub', result, a);
    const error = f('add', f('sub', a, f('sub', result, ofB)), f('sub', addend, ofB));
    return k.eq(magnitude(k, width, error), k.constant(0));
  }
  const [x, y, product] = operation === 'mul' ? [a, b, result] : operation === 'div' ? [result, b, a] : [result, result, a];
  // Products of 24 by 24 bits are exact in 53.
  if (width === 32) return k.eq(k.f64('mul', k.f32ToF64(x), k.f32ToF64(y)), k.f32ToF64(product));
  const trailingZeros = (word: V): V => k.ctz(k.or(word, k.constant(1n << 52n)));
  const short = k.ltU(k.constant(52), k.add(trailingZeros(x), trailingZeros(y)));
  return operation === 'mul' ? short : k.both(short, k.eq(k.f64('mul', x, y), product));
}

function element<V, B>(k: Algebra<V, B>, width: ElementWidth, operation: Operation, mxcsr: V, a: V, b: V): Element<V, B> {
  const exact = `f${width}.${operation}`;
  const ma = magnitude(k, width, a);
  const mb = magnitude(k, width, b);
  if (operation === 'min' || operation === 'max') {
    const fast = k.both(ordinary(k, width, ma), ordinary(k, width, mb));
    const first = operation === 'min' ? less(k, width, a, b) : less(k, width, b, a);
    return { fast, value: k.select(first, a, b), exact, a, b };
  }
  const value =
    operation === 'sqrt' ? (width === 64 ? k.f64sqrt(a) : k.f32sqrt(a)) : width === 64 ? k.f64(operation, a, b) : k.f32(operation, a, b);
  const mr = magnitude(k, width, value);
  const zero = k.constant(0);
  const isZero = (m: V): B => k.eq(m, zero);
  // A sum that is zero is exact; a product, quotient or root is exactly zero when an operand is.
  const exactZero =
    operation === 'add' || operation === 'sub'
      ? isZero(mr)
      : k.both(isZero(mr), operation === 'mul' ? k.either(isZero(ma), isZero(mb)) : isZero(ma));
  const operands = k.both(notDenormal(k, width, ma), notDenormal(k, width, mb));
  const result = k.either(safelyNormal(k, width, mr), exactZero);
  const one = k.constant(1);
  const silent = k.choose(
    inexactIsFree(k, mxcsr),
    () => one,
    () => k.word(k.either(isZero(mr), isExact(k, width, operation, a, b, value))),
  );
  const fast = k.both(k.both(roundsToNearest(k, mxcsr), k.eq(silent, one)), k.both(operands, result));
  return { fast, value, exact, a, b };
}

function scalar(width: ElementWidth, operation: Operation): Definition {
  return (k, i) => {
    const { first, second } = rolesOf(i);
    const b = readScalar(k, second, width);
    const a = operation === 'sqrt' ? b : readScalar(k, first, width);
    const mxcsr = k.field('mxcsr');
    compute(k, mxcsr, [element(k, width, operation, mxcsr, a, b)], ([value]) => writeLowest(k, i, width, value));
  };
}

function packed(width: ElementWidth, operation: Operation): Definition {
  return (k, i) => {
    const { destination, first, second } = operation === 'sqrt' ? unaryRoles(i) : rolesOf(i);
    const b = readElements(k, i, second, width);
    const a = operation === 'sqrt' ? b : readElements(k, i, first, width);
    const mxcsr = k.field('mxcsr');
    const elements = a.map((x, n) => element(k, width, operation, mxcsr, x, b[n]));
    compute(k, mxcsr, elements, (values) => writeElements(k, i, destination, width, values));
  };
}

function unaryRoles({ operands: [destination, source] }: Facts): ReturnType<typeof rolesOf> {
  return { destination, first: source, second: source };
}

/** Horizontal operations take neighbours of one operand; ADDSUB subtracts in even elements. */
function acrossElements(width: ElementWidth, kind: 'hadd' | 'hsub' | 'addsub'): Definition {
  return (k, i) => {
    const { destination, first, second } = rolesOf(i);
    const b = readLanes(k, i, second);
    const a = readLanes(k, i, first);
    const mxcsr = k.field('mxcsr');
    const elements = a.flatMap((lane, l) => {
      const x = elementsOf(k, width, lane);
      const y = elementsOf(k, width, b[l]);
      const both = [...x, ...y];
      return x.map((one, n) => {
        if (kind === 'addsub') return element(k, width, n % 2 === 0 ? 'sub' : 'add', mxcsr, one, y[n]);
        return element(k, width, kind === 'hadd' ? 'add' : 'sub', mxcsr, both[n * 2], both[n * 2 + 1]);
      });
    });
    compute(k, mxcsr, elements, (values) => writeElements(k, i, destination, width, values));
  };
}

function rounded<V, B>(k: Algebra<V, B>, width: ElementWidth, a: V, control: V): Element<V, B> {
  const never = k.ne(k.constant(0), k.constant(0));
  return { fast: never, value: a, exact: `f${width}.round`, a, b: a, control };
}

function defineRounding(define: Define, width: ElementWidth, suffix: string): void {
  const control = <V, B>(k: Algebra<V, B>, _: Facts): V => k.and(k.immediate(), k.constant(15));
  define(`ROUNDS${suffix}`, (k, i) => {
    const a = readScalar(k, rolesOf(i).second, width);
    const one = rounded(k, width, a, control(k, i));
    compute(k, k.field('mxcsr'), [one], ([value]) => writeLowest(k, i, width, value));
  });
  define(`ROUNDP${suffix}`, (k, i) => {
    const elements = readElements(k, i, i.operands[1], width).map((a) => rounded(k, width, a, control(k, i)));
    compute(k, k.field('mxcsr'), elements, (values) => writeElements(k, i, i.operands[0], width, values));
  });
}

export const sseArithmetic: Family = (plain) => {
  const define = vectorDefine(plain);
  for (const operation of ['add', 'sub', 'mul', 'div', 'sqrt', 'min', 'max'] as const) {
    const name = operation.toUpperCase();
    define(`${name}SS`, scalar(32, operation));
    define(`${name}SD`, scalar(64, operation));
    define(`${name}PS`, packed(32, operation));
    define(`${name}PD`, packed(64, operation));
  }
  for (const [name, routine] of [
    ['RCP', reciprocal],
    ['RSQRT', reciprocalRoot],
  ] as const) {
    define(`${name}SS`, (k, i) => {
      const [estimate] = k.call(routine, readScalar(k, rolesOf(i).second, 32));
      writeLowest(k, i, 32, estimate);
    });
    define(`${name}PS`, (k, i) => {
      const elements = readElements(k, i, i.operands[1], 32).map((a) => k.call(routine, a)[0]);
      writeElements(k, i, i.operands[0], 32, elements);
    });
  }
  for (const kind of ['hadd', 'hsub', 'addsub'] as const) {
    define(`${kind.toUpperCase()}PS`, acrossElements(32, kind));
    define(`${kind.toUpperCase()}PD`, acrossElements(64, kind));
  }
  defineRounding(define, 32, 'S');
  defineRounding(define, 64, 'D');
};

/**
 * DPPS and DPPD (SDM 1 §5.10.3): products that the immediate selects, added in pairs, then the sums. Each step raises
 * its exceptions before the next one begins, and is computed by soft floating point: these instructions are rare.
 */
import type { Algebra, Definition } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { softFloat } from '../float/soft-float.ts';
import { elementsOf, type ElementWidth, raise, vectorOf } from './sse-state.ts';
import { readLanes, rolesOf, vectorDefine, writeLanes } from './vector-operands.ts';

interface Step<V> {
  readonly a: V;
  readonly b: V;
}

/** Values of one step, after its exceptions; `selected` are conditions under which an element takes part, else it is zero. */
function stepOf<V, B>(k: Algebra<V, B>, exact: string, steps: Step<V>[], selected?: B[]): V[] {
  const mxcsr = k.field('mxcsr');
  const zero = k.constant(0);
  const results = steps.map(({ a, b }, n) => {
    const result = k.call(softFloat(exact), a, b, mxcsr);
    return selected === undefined ? result : result.map((part) => k.select(selected[n], part, zero));
  });
  const flags = results.map(([, raised]) => raised).reduce((all, one) => k.or(all, one));
  raise(k, mxcsr, flags);
  return results.map(([value]) => value);
}

function dotProduct(width: ElementWidth): Definition {
  return (k, i) => {
    const { destination, first, second } = rolesOf(i);
    const b = readLanes(k, i, second).map((lane) => elementsOf(k, width, lane));
    const a = readLanes(k, i, first).map((lane) => elementsOf(k, width, lane));
    const count = 128 / width;
    const bit = (n: number) => k.ne(k.and(k.immediate(), k.constant(1 << n)), k.constant(0));
    const chosen = Array.from({ length: count }, (_, n) => bit(4 + n));
    let terms = stepOf(
      k,
      `f${width}.mul`,
      a.flatMap((lane, l) => lane.map((x, n) => ({ a: x, b: b[l][n] }))),
      a.flatMap(() => chosen),
    );
    // Neighbours are in one lane until each has one sum.
    while (terms.length > a.length) {
      const pairs: Step<(typeof terms)[0]>[] = [];
      for (let n = 0; n < terms.length; n += 2) pairs.push({ a: terms[n], b: terms[n + 1] });
      terms = stepOf(k, `f${width}.add`, pairs);
    }
    const placed = (sum: (typeof terms)[0]) => Array.from({ length: count }, (_, n) => k.select(bit(n), sum, k.constant(0)));
    writeLanes(
      k,
      i,
      destination,
      terms.map((sum) => vectorOf(k, width, placed(sum))),
    );
  };
}

export const sseDotProduct: Family = (plain) => {
  const define = vectorDefine(plain);
  define('DPPS', dotProduct(32));
  define('DPPD', dotProduct(64));
};

/**
 * DPPS and DPPD (SDM 1 §5.10.3): products that the immediate selects, added in pairs, then the sums. Each step raises
 * its exceptions before the next one begins, and is computed by soft floating point: these instructions are rare.
 */
import type { Algebra, Definition } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { softFloat } from '../float/soft-float.ts';
import { elementsOf, type ElementWidth, raise, sseDefine, vectorOf, writeVector } from './sse-state.ts';

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
    const [destination, source] = i.operands;
    const b = elementsOf(k, width, k.read128(source, true));
    const a = elementsOf(k, width, k.read128(destination, true));
    const bit = (n: number) => k.ne(k.and(k.immediate(), k.constant(1 << n)), k.constant(0));
    const selected = a.map((_, n) => bit(4 + n));
    let terms = stepOf(
      k,
      `f${width}.mul`,
      a.map((x, n) => ({ a: x, b: b[n] })),
      selected,
    );
    while (terms.length > 1) {
      const pairs: Step<(typeof terms)[0]>[] = [];
      for (let n = 0; n < terms.length; n += 2) pairs.push({ a: terms[n], b: terms[n + 1] });
      terms = stepOf(k, `f${width}.add`, pairs);
    }
    const results = a.map((_, n) => k.select(bit(n), terms[0], k.constant(0)));
    writeVector(k, destination, vectorOf(k, width, results));
  };
}

export const sseDotProduct: Family = (plain) => {
  const define = sseDefine(plain);
  define('DPPS', dotProduct(32));
  define('DPPD', dotProduct(64));
};

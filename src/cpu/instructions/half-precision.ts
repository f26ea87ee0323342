/** F16C (SDM 1 §14.4): conversions between half and single precision. */
import type { Family } from '../definition.ts';
import { compute, type Element, vectorOf } from './sse-state.ts';
import { avxDefine, lowElements, readElements, writeElements, writeLanes } from './vector-operands.ts';

export const halfPrecision: Family = (plain) => {
  const define = avxDefine(plain);
  define('VCVTPH2PS', (k, i) => {
    const [destination, source] = i.operands;
    const never = k.ne(k.constant(0), k.constant(0));
    const given = lowElements(k, i, source, 16, destination.width / 32);
    const elements = given.map((a): Element<typeof a, typeof never> => ({ fast: never, value: a, exact: 'f16.to.f32', a, b: a }));
    compute(k, k.field('mxcsr'), elements, (values) => writeElements(k, i, destination, 32, values));
  });
  define('VCVTPS2PH', (k, i) => {
    const [destination, source] = i.operands;
    const never = k.ne(k.constant(0), k.constant(0));
    const control = k.and(k.immediate(), k.constant(7));
    const given = readElements(k, i, source, 32);
    const words = given.length / 4;
    if (destination.kind === 'memory') {
      // Faults of the store come before MXCSR changes.
      for (let n = 0; n < words; n++) k.probeStore(64, 'operand', k.add(k.effectiveAddress(), k.constant(8 * n)));
    }
    const elements = given.map((a): Element<typeof a, typeof never> => ({ fast: never, value: a, exact: 'f32.to.f16', a, b: a, control }));
    compute(k, k.field('mxcsr'), elements, (values) => {
      const filled = [...values];
      while (filled.length < 8) filled.push(k.constant(0));
      const [low, high] = vectorOf(k, 16, filled);
      if (destination.kind !== 'memory') writeLanes(k, i, destination, [[low, high]]);
      else if (words === 1) k.write(destination, low);
      else k.write128(destination, low, high, false);
    });
  });
};

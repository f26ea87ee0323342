/**
 * Conversions between MMX registers and floating-point vectors (SDM 1 §5.5.1.6, §5.6.1.6). CVTPI2PS and CVTPI2PD with a
 * memory operand do not touch MMX state.
 */
import type { Algebra, Definition } from '../algebra.ts';
import { type Family, mmxKey } from '../definition.ts';
import { checkMmx, enterMmx, joined, partsOf } from './mmx-state.ts';
import { fromInteger, toInteger } from './sse-conversion.ts';
import { checkSse, compute, type ElementWidth, vectorOf } from './sse-state.ts';

/** Two doublewords to two elements; single precision leaves the upper half of the destination. */
function fromMmx(to: ElementWidth, register: boolean): Definition {
  return (k, i) => {
    checkSse(k);
    if (register) checkMmx(k);
    const [destination, source] = i.operands;
    const words = partsOf(k, 32, k.read(source));
    const mxcsr = k.field('mxcsr');
    const elements = words.map((word) => fromInteger(k, to, mxcsr, k.sext(32, word)));
    if (register) enterMmx(k);
    compute(k, mxcsr, elements, (values) => {
      const [low, high] = to === 64 ? values : vectorOf(k, 32, [...values, k.constant(0), k.constant(0)]);
      k.writeXmm(destination, 0, low);
      if (to === 64) k.writeXmm(destination, 1, high);
    });
  };
}

/** The two elements of the source operand that are converted: its low half in single precision. */
function source<V, B>(k: Algebra<V, B>, operand: Parameters<Algebra<V, B>['read']>[0], from: ElementWidth): V[] {
  if (from === 64) return k.read128(operand, true);
  return partsOf(k, 32, operand.kind === 'xmm' ? k.readXmm(operand, 0) : k.read(operand));
}

function toMmx(from: ElementWidth, truncate: boolean): Definition {
  return (k, i) => {
    checkSse(k);
    checkMmx(k);
    const values = source(k, i.operands[1], from);
    const mxcsr = k.field('mxcsr');
    const elements = values.map((value) => toInteger(k, from, 32, truncate, mxcsr, value));
    // Also before an unmasked exception.
    enterMmx(k);
    compute(k, mxcsr, elements, (words) => {
      k.write(i.operands[0], joined(k, 32, words));
    });
  };
}

export const mmxConversion: Family = (define) => {
  for (const [suffix, width] of [
    ['PS', 32],
    ['PD', 64],
  ] as const) {
    define(mmxKey(`CVTPI2${suffix}`), fromMmx(width, true));
    define(`CVTPI2${suffix}`, fromMmx(width, false));
    define(mmxKey(`CVT${suffix}2PI`), toMmx(width, false));
    define(mmxKey(`CVTT${suffix}2PI`), toMmx(width, true));
  }
};

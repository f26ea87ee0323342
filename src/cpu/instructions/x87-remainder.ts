/** FPREM, FPREM1, FSCALE and FXTRACT: what else x87 code reduces and takes apart numbers with (SDM 1 §8.3.5, §8.3.10). */
import type { Family } from '../definition.ts';
import { C0, C1, C2, C3 } from '../float/extended-comparison.ts';
import { resultVariable } from '../float/extended-format.ts';
import { extract, NO_QUOTIENT, remainder, scale } from '../float/extended-remainder.ts';
import { X87Flag } from '../float/rounding.ts';
import { subroutine } from '../subroutine.ts';
import { finish, isFull, moveTop, raise, readStack, setStatus, stackUnderflow, writeStack, x87Define } from './x87-state.ts';

/** (1 for the nearest quotient). */
const partialRemainder = subroutine('x87.remainder', 1, 0, (k, nearest) => {
  const zero = k.constant(0);
  const [a, aSign, aEmpty] = k.call(readStack, zero);
  const [b, bSign, bEmpty] = k.call(readStack, k.constant(1));
  const result = resultVariable(k);
  // Without a quotient C0 and C3 stay.
  const codes = k.variable(k.and(k.field('fpuStatus'), k.constant(C0 | C3)));
  k.when(
    k.ne(k.or(aEmpty, bEmpty), zero),
    () => result.set(stackUnderflow(k)),
    () => {
      const [m, s, flags, found] = k.call(remainder, a, aSign, b, bSign, nearest, k.field('fpuControl'));
      result.set([m, s, flags]);
      codes.set(k.select(k.eq(found, k.constant(NO_QUOTIENT)), codes.get(), found));
    },
  );
  const [m, s, flags] = result.get();
  const [ended] = k.call(raise, flags);
  // An unmasked denormal operand ends it before it has found anything.
  const kept = k.and(k.field('fpuStatus'), k.constant(C0 | C2 | C3));
  const stopped = k.both(k.ne(ended, zero), k.eq(flags, k.constant(X87Flag.DE)));
  setStatus(k, C0 | C1 | C2 | C3, k.select(stopped, kept, codes.get()));
  k.when(k.eq(ended, zero), () => void k.call(writeStack, zero, m, s));
  return [];
});

const scaleTop = subroutine('x87.scale', 0, 0, (k) => {
  const zero = k.constant(0);
  const [a, aSign, aEmpty] = k.call(readStack, zero);
  const [b, bSign, bEmpty] = k.call(readStack, k.constant(1));
  const result = resultVariable(k);
  k.when(
    k.ne(k.or(aEmpty, bEmpty), zero),
    () => result.set(stackUnderflow(k)),
    () => result.set(k.call(scale, a, aSign, b, bSign, k.field('fpuControl'))),
  );
  const [m, s, flags] = result.get();
  k.call(finish, flags, zero, m, s, zero);
  return [];
});

/** The exponent replaces ST(0), then the significand is pushed. */
const extractTop = subroutine('x87.extract', 0, 0, (k) => {
  const zero = k.constant(0);
  const [a, aSign, empty] = k.call(readStack, zero);
  const significand = resultVariable(k);
  const exponent = resultVariable(k);
  const full = isFull(k);
  k.when(
    k.either(k.ne(empty, zero), full),
    () => {
      const [m, s, flags] = stackUnderflow(k);
      const overflow = k.select(k.ne(empty, zero), zero, k.constant(X87Flag.C1));
      significand.set([m, s, k.or(flags, overflow)]);
      exponent.set([m, s, zero]);
    },
    () => {
      const [m, s, em, es, flags] = k.call(extract, a, aSign);
      significand.set([m, s, flags]);
      exponent.set([em, es, zero]);
    },
  );
  const [m, s, flags] = significand.get();
  const [em, es] = exponent.get();
  const [ended] = k.call(raise, flags);
  k.when(k.eq(ended, zero), () => {
    k.call(writeStack, zero, em, es);
    moveTop(k, -1);
    k.call(writeStack, zero, m, s);
  });
  return [];
});

export const x87Remainder: Family = (plain) => {
  const define = x87Define(plain);
  define('FPREM', (k) => void k.call(partialRemainder, k.constant(0)));
  define('FPREM1', (k) => void k.call(partialRemainder, k.constant(1)));
  define('FSCALE', (k) => void k.call(scaleTop));
  define('FXTRACT', (k) => void k.call(extractTop));
};

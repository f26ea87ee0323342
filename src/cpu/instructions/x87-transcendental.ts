/** Transcendental instructions of the x87 unit (SDM 1 §8.3.7-8.3.9). */
import type { Computation } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { C2 } from '../float/extended-comparison.ts';
import { INTEGER_BIT, resultVariable } from '../float/extended-format.ts';
import { angle, cosine, exponential, logarithmOfSumTimes, logarithmTimes, sine, tangent } from '../float/extended-transcendental.ts';
import { X87Flag } from '../float/rounding.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
import { finish, isFull, moveTop, raise, readStack, setStatus, stackUnderflow, writeStack, x87Define } from './x87-state.ts';

/** Exponents from 63 up, infinity, NaNs and unsupported encodings left out: too large to be reduced. */
function outOfRange<V, B>(k: Computation<V, B>, significand: V, signExponent: V): B {
  const exponent = k.and(signExponent, k.constant(0x7fff));
  const large = k.ltU(k.sub(exponent, k.constant(0x3fff + 63)), k.constant(0x7fff - 0x3fff - 63));
  return k.both(large, k.ltS(significand, k.constant(0)));
}

const ONE = [INTEGER_BIT, 0x3fff] as const;

/** ST(0) becomes f(ST(0)); C2 says that it was out of range. */
function onTop(name: string, operation: Subroutine, limited: boolean): Subroutine {
  return subroutine(`x87.${name}`, 0, 0, (k) => {
    const zero = k.constant(0);
    const [a, aSign, empty] = k.call(readStack, zero);
    const isEmpty = k.ne(empty, zero);
    const tooLarge = limited ? k.both(k.negate(isEmpty), outOfRange(k, a, aSign)) : k.ne(zero, zero);
    k.when(
      tooLarge,
      () => setStatus(k, C2 | X87Flag.C1, k.constant(C2)),
      () => {
        const result = resultVariable(k);
        k.when(
          isEmpty,
          () => result.set(stackUnderflow(k)),
          () => result.set(k.call(operation, a, aSign, k.field('fpuControl'))),
        );
        const [m, s, flags] = result.get();
        k.call(finish, flags, zero, m, s, zero);
        if (limited) setStatus(k, C2, zero);
      },
    );
    return [];
  });
}

/** ST(0) becomes one function of it, and another (1 when there is none, except for NaNs and invalid operands) is pushed. */
function pushing(name: string, first: Subroutine, second: Subroutine | undefined): Subroutine {
  return subroutine(`x87.${name}`, 0, 0, (k) => {
    const zero = k.constant(0);
    const [a, aSign, empty] = k.call(readStack, zero);
    const isEmpty = k.ne(empty, zero);
    const full = isFull(k);
    k.when(
      k.both(k.negate(k.either(isEmpty, full)), outOfRange(k, a, aSign)),
      () => setStatus(k, C2 | X87Flag.C1, k.constant(C2)),
      () => {
        const x = resultVariable(k);
        const y = resultVariable(k);
        k.when(
          k.either(isEmpty, full),
          () => {
            const [m, s, flags] = stackUnderflow(k);
            x.set([m, s, k.or(flags, k.select(isEmpty, zero, k.constant(X87Flag.C1)))]);
            y.set([m, s, zero]);
          },
          () => {
            const control = k.field('fpuControl');
            const [m, s, flags] = k.call(first, a, aSign, control);
            x.set([m, s, flags]);
            if (second !== undefined) y.set(k.call(second, a, aSign, control));
            else {
              const notFinite = k.eq(k.and(s, k.constant(0x7fff)), k.constant(0x7fff));
              y.set([k.select(notFinite, m, k.constant(ONE[0])), k.select(notFinite, s, k.constant(ONE[1])), zero]);
            }
          },
        );
        const [m, s, flags] = x.get();
        const [pm, ps, pushedFlags] = y.get();
        const [ended] = k.call(raise, k.or(flags, pushedFlags));
        setStatus(k, C2, zero);
        k.when(k.eq(ended, zero), () => {
          k.call(writeStack, zero, m, s);
          moveTop(k, -1);
          k.call(writeStack, zero, pm, ps);
        });
      },
    );
    return [];
  });
}

/** ST(1) becomes f(ST(0), ST(1)), and ST(0) is popped. */
function popping(name: string, operation: Subroutine): Subroutine {
  return subroutine(`x87.${name}`, 0, 0, (k) => {
    const zero = k.constant(0);
    const one = k.constant(1);
    const [x, xSign, xEmpty] = k.call(readStack, zero);
    const [y, ySign, yEmpty] = k.call(readStack, one);
    const result = resultVariable(k);
    k.when(
      k.ne(k.or(xEmpty, yEmpty), zero),
      () => result.set(stackUnderflow(k)),
      () => result.set(k.call(operation, x, xSign, y, ySign, k.field('fpuControl'))),
    );
    const [m, s, flags] = result.get();
    k.call(finish, flags, one, m, s, one);
    return [];
  });
}

export const x87Transcendental: Family = (plain) => {
  const define = x87Define(plain);
  for (const [mnemonic, body] of [
    ['FSIN', onTop('FSIN', sine, true)],
    ['FCOS', onTop('FCOS', cosine, true)],
    ['F2XM1', onTop('F2XM1', exponential, false)],
    ['FSINCOS', pushing('FSINCOS', sine, cosine)],
    ['FPTAN', pushing('FPTAN', tangent, undefined)],
    ['FPATAN', popping('FPATAN', angle)],
    ['FYL2X', popping('FYL2X', logarithmTimes)],
    ['FYL2XP1', popping('FYL2XP1', logarithmOfSumTimes)],
  ] as const) {
    define(mnemonic, (k) => void k.call(body));
  }
};

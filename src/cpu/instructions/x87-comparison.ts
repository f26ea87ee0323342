/**
 * Comparisons of the x87 unit (SDM 1 §8.3.6): to condition codes, to RFLAGS, with zero, and FXAM.
 */
import type { Family } from '../definition.ts';
import { fromInteger } from '../float/extended-conversion.ts';
import { C0, C1, C2, C3, compare, examine, UNORDERED } from '../float/extended-comparison.ts';
import { X87Flag } from '../float/rounding.ts';
import { STATUS_FLAGS } from '../flags.ts';
import { subroutine } from '../subroutine.ts';
import { pop, raise, raiseKeepingC1, readMemory, readStack, setStatus, x87Define } from './x87-state.ts';

const CODES = C0 | C2 | C3;

/** (register to compare ST(0) with, 1 when empty, DENORMAL_SOURCE or 0, quiet) -> C3, C2, C0; flags. */
const comparison = subroutine('x87.comparison', 5, 2, (k, b, bSign, bEmpty, denormal, quiet) => {
  const zero = k.constant(0);
  const [a, aSign, aEmpty] = k.call(readStack, zero);
  const codes = k.variable(k.constant(UNORDERED));
  const flags = k.variable(k.constant(X87Flag.IE | X87Flag.SF));
  k.when(k.eq(k.or(aEmpty, bEmpty), zero), () => {
    const [found, raised] = k.call(compare, a, aSign, b, bSign, denormal, quiet);
    codes.set(found);
    flags.set(raised);
  });
  return [codes.get(), flags.get()];
});

/** As {@link comparison}, then the number of registers to pop. */
const compareToCodes = subroutine('x87.compare', 6, 0, (k, b, bSign, bEmpty, denormal, quiet, pops) => {
  const [codes, flags] = k.call(comparison, b, bSign, bEmpty, denormal, quiet);
  const [ended] = k.call(raise, flags);
  // Condition codes are set even when an unmasked exception keeps the operands on the stack.
  setStatus(k, CODES, codes);
  k.when(k.eq(ended, k.constant(0)), () => void k.call(pop, pops));
  return [];
});

/** (i, quiet, registers to pop). */
const compareRegister = subroutine('x87.compareRegister', 3, 0, (k, i, quiet, pops) => {
  const [b, bSign, bEmpty] = k.call(readStack, i);
  k.call(compareToCodes, b, bSign, bEmpty, k.constant(0), quiet, pops);
  return [];
});

/** (i, quiet, registers to pop) -> ZF, PF and CF, also after an unmasked exception. */
const compareToFlags = subroutine('x87.compareToFlags', 3, 1, (k, i, quiet, pops) => {
  const [b, bSign, bEmpty] = k.call(readStack, i);
  const [codes, flags] = k.call(comparison, b, bSign, bEmpty, k.constant(0), quiet);
  const [ended] = k.call(raiseKeepingC1, flags);
  k.when(k.eq(ended, k.constant(0)), () => void k.call(pop, pops));
  // C3, C2 and C0 are where SAHF finds ZF, PF and CF.
  return [k.and(k.shr(codes, k.constant(8)), k.constant(0x45))];
});

export const x87Comparison: Family = (plain) => {
  const define = x87Define(plain);
  for (const [mnemonics, quiet, pops] of [
    ['FCOM', 0, 0],
    ['FCOMP', 0, 1],
    ['FUCOM', 1, 0],
    ['FUCOMP', 1, 1],
  ] as const) {
    define(mnemonics, (k, i) => {
      const [operand] = i.operands;
      if (operand.kind === 'x87') {
        k.call(compareRegister, k.stackIndex(operand), k.constant(quiet), k.constant(pops));
        return;
      }
      const [b, bSign, denormal] = readMemory(k, operand, false);
      k.call(compareToCodes, b, bSign, k.constant(0), denormal, k.constant(quiet), k.constant(pops));
    });
  }
  define('FCOMPP', (k) => void k.call(compareRegister, k.constant(1), k.constant(0), k.constant(2)));
  define('FUCOMPP', (k) => void k.call(compareRegister, k.constant(1), k.constant(1), k.constant(2)));
  for (const [mnemonic, pops] of [
    ['FICOM', 0],
    ['FICOMP', 1],
  ] as const) {
    define(mnemonic, (k, i) => {
      const [b, bSign, none] = readMemory(k, i.operands[0], true);
      k.call(compareToCodes, b, bSign, none, none, k.constant(0), k.constant(pops));
    });
  }
  for (const [mnemonic, quiet, pops] of [
    ['FCOMI', 0, 0],
    ['FCOMIP', 0, 1],
    ['FUCOMI', 1, 0],
    ['FUCOMIP', 1, 1],
  ] as const) {
    define(mnemonic, (k, i) => {
      const [flags] = k.call(compareToFlags, k.stackIndex(i.operands[1]), k.constant(quiet), k.constant(pops));
      k.setFlags(STATUS_FLAGS, flags);
    });
  }
  define('FTST', (k) => {
    const zero = k.constant(0);
    const [b, bSign] = k.call(fromInteger, zero);
    k.call(compareToCodes, b, bSign, zero, zero, zero, zero);
  });
  define('FXAM', (k) => {
    const [significand, signExponent, empty] = k.call(readStack, k.constant(0));
    const [codes] = k.call(examine, significand, signExponent, empty);
    setStatus(k, CODES | C1, codes);
  });
};

/** Decimal arithmetic instructions (SDM 1 §5.1.3), outside 64-bit mode only, with SALC of the same age. */
import type { Algebra, Definition } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { AF, CF, PF, resultFlags, SF, ZF } from '../flags.ts';

const RAX = 0;
const DIVIDE_ERROR = 0;

/** The low digit is none, or there was a carry out of it. */
function needsAdjustment<V, B>(k: Algebra<V, B>, al: V): B {
  return k.either(k.ltU(k.constant(9), k.and(al, k.constant(15))), k.flag('AF'));
}

/** DAA and DAS: six to the low digit, sixty to the high one. */
function packedAdjustment(subtract: boolean): Definition {
  return (k) => {
    const zero = k.constant(0);
    const al = k.zext(8, k.register(RAX));
    const low = needsAdjustment(k, al);
    const high = k.either(k.ltU(k.constant(0x99), al), k.flag('CF'));
    const change = k.add(k.select(low, k.constant(6), zero), k.select(high, k.constant(0x60), zero));
    const result = k.zext(8, subtract ? k.sub(al, change) : k.add(al, change));
    // Subtracting six may borrow although the high digit needs nothing.
    const borrow = k.both(low, k.ltU(al, k.constant(6)));
    const carry = subtract ? k.either(high, borrow) : high;
    const flags = k.or(k.select(low, k.constant(AF), zero), k.word(carry));
    k.setRegister(RAX, 8, result);
    k.setFlags(CF | AF | ZF | SF | PF, k.or(resultFlags(k, 8, result), flags));
  };
}

/** AAA and AAS: six to AL and one to AH. */
function unpackedAdjustment(subtract: boolean): Definition {
  return (k) => {
    const ax = k.zext(16, k.register(RAX));
    const adjust = needsAdjustment(k, k.and(ax, k.constant(0xff)));
    const change = k.constant(0x106);
    const adjusted = subtract ? k.sub(ax, change) : k.add(ax, change);
    const result = k.and(k.select(adjust, adjusted, ax), k.constant(0xff0f));
    k.setRegister(RAX, 16, result);
    k.setFlags(CF | AF, k.select(adjust, k.constant(CF | AF), k.constant(0)));
  };
}

export const decimalArithmetic: Family = (define) => {
  define('DAA', packedAdjustment(false));
  define('DAS', packedAdjustment(true));
  define('AAA', unpackedAdjustment(false));
  define('AAS', unpackedAdjustment(true));
  define('AAM', (k) => {
    const base = k.and(k.immediate(), k.constant(0xff));
    k.when(k.eq(base, k.constant(0)), () => k.fault(DIVIDE_ERROR));
    const al = k.zext(8, k.register(RAX));
    const low = k.remU(al, base);
    k.setRegister(RAX, 16, k.or(k.shl(k.divU(al, base), k.constant(8)), low));
    k.setFlags(ZF | SF | PF, resultFlags(k, 8, low));
  });
  define('AAD', (k) => {
    const base = k.and(k.immediate(), k.constant(0xff));
    const ax = k.zext(16, k.register(RAX));
    const result = k.zext(8, k.add(ax, k.mul(k.shr(ax, k.constant(8)), base)));
    k.setRegister(RAX, 16, result);
    k.setFlags(ZF | SF | PF, resultFlags(k, 8, result));
  });
  define('SALC', (k) => k.setRegister(RAX, 8, k.select(k.flag('CF'), k.constant(0xff), k.constant(0))));
};

/**
 * Shift and rotate instructions (SDM 1 §5.1.5). The count is masked to 5 bits (6 for 64-bit operands); a masked count
 * of zero leaves all flags. OF is defined for counts of one only, and computed the same way for all.
 */
import type { Algebra, Facts, Width } from '../algebra.ts';
import type { Definition } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { CF, carryAndOverflow, OF } from '../flags.ts';

/** Count operand, masked. */
function maskedCount<V, B>(k: Algebra<V, B>, i: Facts, operand: number, width: Width): V {
  return k.and(k.read(i.operands[operand]), k.constant(width === 64 ? 63 : 31));
}

const bit = <V, B>(k: Algebra<V, B>, word: V, index: number | V): V =>
  k.and(k.shr(word, typeof index === 'number' ? k.constant(index) : (index as V)), k.constant(1));

type Shifted<V> = { result: V; carry: V; overflow: V };

function shift(body: <V, B>(k: Algebra<V, B>, width: Width, a: V, count: V) => Shifted<V>): Definition {
  return (k, i) => {
    const width = i.operands[0].width as Width;
    const a = k.modify(i.operands[0]);
    const count = maskedCount(k, i, 1, width);
    const { result, carry, overflow } = body(k, width, a, count);
    k.write(i.operands[0], result);
    k.when(k.ne(count, k.constant(0)), () => k.shiftFlags(width, result, carry, overflow));
  };
}

function rotate(body: <V, B>(k: Algebra<V, B>, width: Width, a: V, count: V) => Shifted<V>): Definition {
  return (k, i) => {
    const width = i.operands[0].width as Width;
    const a = k.modify(i.operands[0]);
    const count = maskedCount(k, i, 1, width);
    const { result, carry, overflow } = body(k, width, a, count);
    k.write(i.operands[0], result);
    k.when(k.ne(count, k.constant(0)), () => k.setFlags(CF | OF, carryAndOverflow(k, carry, overflow)));
  };
}

/** Rotations through carry turn a ring of width + 1 bits. */
const ringCount = <V, B>(k: Algebra<V, B>, width: Width, count: V): V => (width < 32 ? k.remU(count, k.constant(width + 1)) : count);

export const shiftAndRotate: Family = (define) => {
  define(
    'SHL',
    shift((k, width, a, count) => {
      const result = k.zext(width, k.shl(a, count));
      // The bit that left last: bit `width` of the wide shift, which for 64-bit operands has to be fetched from below.
      const carry = width === 64 ? bit(k, a, k.sub(k.constant(64), count)) : bit(k, k.shl(a, count), width);
      return { result, carry, overflow: k.xor(bit(k, result, width - 1), carry) };
    }),
  );
  define(
    'SHR',
    shift((k, width, a, count) => ({
      result: k.shr(a, count),
      carry: bit(k, a, k.sub(count, k.constant(1))),
      overflow: bit(k, a, width - 1),
    })),
  );
  define(
    'SAR',
    shift((k, width, a, count) => {
      const wide = k.sext(width, a);
      return {
        result: k.zext(width, k.sar(wide, count)),
        carry: k.and(k.sar(wide, k.sub(count, k.constant(1))), k.constant(1)),
        overflow: k.constant(0),
      };
    }),
  );
  define(
    'ROL',
    rotate((k, width, a, count) => {
      const turn = k.and(count, k.constant(width - 1));
      const back = k.sub(k.constant(width), turn);
      const result = k.zext(width, k.or(k.shl(a, turn), k.shr(a, back)));
      const carry = bit(k, result, 0);
      return { result, carry, overflow: k.xor(bit(k, result, width - 1), carry) };
    }),
  );
  define(
    'ROR',
    rotate((k, width, a, count) => {
      const turn = k.and(count, k.constant(width - 1));
      const back = k.sub(k.constant(width), turn);
      const result = k.zext(width, k.or(k.shr(a, turn), k.shl(a, back)));
      const carry = bit(k, result, width - 1);
      return { result, carry, overflow: k.xor(carry, bit(k, result, width - 2)) };
    }),
  );
  define(
    'RCL',
    rotate((k, width, a, count) => {
      const turn = ringCount(k, width, count);
      const carryIn = k.word(k.flag('CF'));
      const still = k.eq(turn, k.constant(0));
      const back = k.sub(k.constant(width), turn);
      const turned = k.or(k.or(k.shl(a, turn), k.shl(carryIn, k.sub(turn, k.constant(1)))), k.shr(k.shr(a, k.constant(1)), back));
      const result = k.select(still, a, k.zext(width, turned));
      const carry = k.select(still, carryIn, bit(k, a, back));
      return { result, carry, overflow: k.xor(bit(k, result, width - 1), carry) };
    }),
  );
  define(
    'RCR',
    rotate((k, width, a, count) => {
      const turn = ringCount(k, width, count);
      const carryIn = k.word(k.flag('CF'));
      const still = k.eq(turn, k.constant(0));
      const back = k.sub(k.constant(width), turn);
      const turned = k.or(k.or(k.shr(a, turn), k.shl(carryIn, back)), k.shl(k.shl(a, k.constant(1)), back));
      const result = k.select(still, a, k.zext(width, turned));
      const carry = k.select(still, carryIn, bit(k, a, k.sub(turn, k.constant(1))));
      return { result, carry, overflow: k.xor(bit(k, result, width - 1), bit(k, result, width - 2)) };
    }),
  );

  const double =
    (left: boolean): Definition =>
    (k, i) => {
      const width = i.operands[0].width as Width;
      const a = k.modify(i.operands[0]);
      const b = k.read(i.operands[1]);
      const count = maskedCount(k, i, 2, width);
      const back = k.sub(k.constant(width), count);
      const still = k.eq(count, k.constant(0));
      const merged = left ? k.or(k.shl(a, count), k.shr(b, back)) : k.or(k.shr(a, count), k.shl(b, back));
      const result = k.select(still, a, k.zext(width, merged));
      k.write(i.operands[0], result);
      k.when(k.negate(still), () => {
        const carry = left ? bit(k, a, back) : bit(k, a, k.sub(count, k.constant(1)));
        const overflow = bit(k, k.xor(a, result), width - 1);
        k.shiftFlags(width, result, carry, overflow);
      });
    };
  define('SHLD', double(true));
  define('SHRD', double(false));
};

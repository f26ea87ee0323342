/**
 * BMI1 and BMI2, ADCX and ADOX (SDM 1 §5.1.16, §5.20), and CRC32 (§5.11.4): instructions on general registers that came
 * late. Flags that the manual leaves undefined are kept.
 */
import type { Algebra, Definition, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { CF, OF, resultFlags, SF, ZF } from '../flags.ts';
import { mulHighU } from './binary-arithmetic.ts';
import { crc32c, depositBits, extractBits } from '../word-routines.ts';

const RDX = 2;

/** ZF and SF of the result, OF clear, CF by condition. */
function setResultFlags<V, B>(k: Algebra<V, B>, width: Width, result: V, carry: B): void {
  k.setFlags(CF | OF | ZF | SF, k.or(k.and(resultFlags(k, width, result), k.constant(ZF | SF)), k.word(carry)));
}

const never = <V, B>(k: Algebra<V, B>): B => k.ne(k.constant(0), k.constant(0));

/** On the lowest set bit of the source. CF tells whether there is none, of BLSI whether there is one. */
function lowestBit(kind: 'reset' | 'mask' | 'isolate'): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    const width = destination.width as Width;
    const a = k.read(source);
    const zero = k.constant(0);
    const less = k.sub(a, k.constant(1));
    const wide = kind === 'reset' ? k.and(a, less) : kind === 'mask' ? k.xor(a, less) : k.and(a, k.sub(zero, a));
    const result = k.zext(width, wide);
    k.write(destination, result);
    setResultFlags(k, width, result, kind === 'isolate' ? k.ne(a, zero) : k.eq(a, zero));
  };
}

function shiftWithoutFlags(shift: <V, B>(k: Algebra<V, B>, width: Width, a: V, count: V) => V): Definition {
  return (k, i) => {
    const [destination, source, count] = i.operands;
    const width = destination.width as Width;
    const a = k.read(source);
    const masked = k.and(k.read(count), k.constant(width - 1));
    k.write(destination, k.zext(width, shift(k, width, a, masked)));
  };
}

/** Adds with one flag as carry in and out. */
function addWithFlag(flag: 'CF' | 'OF', mask: bigint): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    const width = destination.width as Width;
    const b = k.read(source);
    const a = k.read(destination);
    const carryIn = k.word(k.flag(flag));
    const partial = k.zext(width, k.add(a, b));
    const sum = k.zext(width, k.add(partial, carryIn));
    k.write(destination, sum);
    const carry = k.either(k.ltU(partial, a), k.ltU(sum, partial));
    k.setFlags(mask, k.select(carry, k.constant(mask), k.constant(0)));
  };
}

export const bitManipulation: Family = (define) => {
  define('ANDN', (k, i) => {
    const width = i.operands[0].width as Width;
    const result = k.and(k.zext(width, k.not(k.read(i.operands[1]))), k.read(i.operands[2]));
    k.write(i.operands[0], result);
    setResultFlags(k, width, result, never(k));
  });
  define('BLSR', lowestBit('reset'));
  define('BLSMSK', lowestBit('mask'));
  define('BLSI', lowestBit('isolate'));
  define('BEXTR', (k, i) => {
    const width = i.operands[0].width as Width;
    const source = k.read(i.operands[1]);
    const control = k.read(i.operands[2]);
    const start = k.and(control, k.constant(0xff));
    const length = k.and(k.shr(control, k.constant(8)), k.constant(0xff));
    const c64 = k.constant(64);
    const zero = k.constant(0);
    const moved = k.select(k.ltU(start, c64), k.shr(source, start), zero);
    const mask = k.sub(k.shl(k.constant(1), length), k.constant(1));
    const result = k.select(k.ltU(length, c64), k.and(moved, mask), moved);
    k.write(i.operands[0], result);
    setResultFlags(k, width, result, never(k));
  });
  define('BZHI', (k, i) => {
    const width = i.operands[0].width as Width;
    const source = k.read(i.operands[1]);
    const index = k.and(k.read(i.operands[2]), k.constant(0xff));
    const inside = k.ltU(index, k.constant(width));
    const mask = k.sub(k.shl(k.constant(1), index), k.constant(1));
    const result = k.select(inside, k.and(source, mask), source);
    k.write(i.operands[0], result);
    setResultFlags(k, width, result, k.negate(inside));
  });
  define(
    'SARX',
    shiftWithoutFlags((k, width, a, count) => k.sar(k.sext(width, a), count)),
  );
  define(
    'SHLX',
    shiftWithoutFlags((k, _, a, count) => k.shl(a, count)),
  );
  define(
    'SHRX',
    shiftWithoutFlags((k, _, a, count) => k.shr(a, count)),
  );
  // A count of zero shifts by the width: for 64-bit operands that is no shift, and both parts are the same.
  define(
    'RORX',
    shiftWithoutFlags((k, width, a, count) => k.or(k.shr(a, count), k.shl(a, k.sub(k.constant(width), count)))),
  );
  define('MULX', (k, i) => {
    const [high, low, source] = i.operands;
    const width = high.width as Width;
    const a = k.zext(width, k.register(RDX));
    const b = k.read(source);
    const product = k.mul(a, b);
    // When both destinations are one register it holds the high part.
    const upper = width === 64 ? mulHighU(k, a, b) : k.shr(product, k.constant(width));
    k.write(low, k.zext(width, product));
    k.write(high, upper);
  });
  define('PDEP', (k, i) => k.write(i.operands[0], k.call(depositBits, k.read(i.operands[1]), k.read(i.operands[2]))[0]));
  define('PEXT', (k, i) => k.write(i.operands[0], k.call(extractBits, k.read(i.operands[1]), k.read(i.operands[2]))[0]));
  define('ADCX', addWithFlag('CF', CF));
  define('ADOX', addWithFlag('OF', OF));
  define('CRC32', (k, i) => {
    const [destination, source] = i.operands;
    const crc = k.zext(32, k.read(destination));
    k.write(destination, k.call(crc32c, crc, k.read(source), k.constant(source.width))[0]);
  });
};

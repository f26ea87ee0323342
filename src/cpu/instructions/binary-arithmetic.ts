/** Binary arithmetic instructions (SDM 1 §5.1.2). */
import type { Algebra, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { CF, OF } from '../flags.ts';
import { divideDouble, divideDoubleSigned } from '../word-routines.ts';

const RAX = 0;
const RDX = 2;
const DIVIDE_ERROR = 0;

/** High 64 bits of the unsigned 128-bit product, from four 32-bit products. */
export function mulHighU<V, B>(k: Algebra<V, B>, a: V, b: V): V {
  const c32 = k.constant(32);
  const aLow = k.zext(32, a);
  const aHigh = k.shr(a, c32);
  const bLow = k.zext(32, b);
  const bHigh = k.shr(b, c32);
  const low = k.mul(aLow, bLow);
  const middle1 = k.add(k.mul(aHigh, bLow), k.shr(low, c32));
  const middle2 = k.add(k.mul(aLow, bHigh), k.zext(32, middle1));
  return k.add(k.add(k.mul(aHigh, bHigh), k.shr(middle1, c32)), k.shr(middle2, c32));
}

/** High 64 bits of the signed product: the unsigned one less each operand where the other is negative. */
export function mulHighS<V, B>(k: Algebra<V, B>, a: V, b: V): V {
  const c63 = k.constant(63);
  const unsigned = mulHighU(k, a, b);
  return k.sub(k.sub(unsigned, k.and(k.sar(a, c63), b)), k.and(k.sar(b, c63), a));
}

/** CF = OF = condition, the others kept (the manual leaves them undefined). */
function setCarryAndOverflow<V, B>(k: Algebra<V, B>, condition: B): void {
  k.setFlags(CF | OF, k.select(condition, k.constant(CF | OF), k.constant(0)));
}

export const binaryArithmetic: Family = (define) => {
  define('ADD', (k, i) => {
    const [destination, source] = i.operands;
    const width = destination.width as Width;
    const a = k.modify(destination);
    const b = k.read(source);
    const r = k.zext(width, k.add(a, b));
    k.write(destination, r);
    k.flags('add', width, a, b, r);
  });
  define('SUB', (k, i) => {
    const [destination, source] = i.operands;
    const width = destination.width as Width;
    const a = k.modify(destination);
    const b = k.read(source);
    const r = k.zext(width, k.sub(a, b));
    k.write(destination, r);
    k.flags('sub', width, a, b, r);
  });
  define('ADC', (k, i) => {
    const [destination, source] = i.operands;
    const width = destination.width as Width;
    const a = k.modify(destination);
    const b = k.read(source);
    const r = k.zext(width, k.add(k.add(a, b), k.word(k.flag('CF'))));
    k.write(destination, r);
    k.flags('adc', width, a, b, r);
  });
  define('SBB', (k, i) => {
    const [destination, source] = i.operands;
    const width = destination.width as Width;
    const a = k.modify(destination);
    const b = k.read(source);
    const r = k.zext(width, k.sub(k.sub(a, b), k.word(k.flag('CF'))));
    k.write(destination, r);
    k.flags('sbb', width, a, b, r);
  });
  define('CMP', (k, i) => {
    const width = i.operands[0].width as Width;
    const a = k.read(i.operands[0]);
    const b = k.read(i.operands[1]);
    k.flags('sub', width, a, b, k.zext(width, k.sub(a, b)));
  });
  define('INC', (k, i) => {
    const width = i.operands[0].width as Width;
    const one = k.constant(1);
    const a = k.modify(i.operands[0]);
    const r = k.zext(width, k.add(a, one));
    k.write(i.operands[0], r);
    k.flags('inc', width, a, one, r);
  });
  define('DEC', (k, i) => {
    const width = i.operands[0].width as Width;
    const one = k.constant(1);
    const a = k.modify(i.operands[0]);
    const r = k.zext(width, k.sub(a, one));
    k.write(i.operands[0], r);
    k.flags('dec', width, a, one, r);
  });
  define('NEG', (k, i) => {
    const width = i.operands[0].width as Width;
    const zero = k.constant(0);
    const b = k.modify(i.operands[0]);
    const r = k.zext(width, k.sub(zero, b));
    k.write(i.operands[0], r);
    k.flags('sub', width, zero, b, r);
  });

  define('MUL', (k, i) => {
    const width = i.operands[0].width as Width;
    const a = k.zext(width, k.register(RAX));
    const b = k.read(i.operands[0]);
    const low = k.mul(a, b);
    if (width === 64) {
      const high = mulHighU(k, a, b);
      k.setRegister(RAX, 64, low);
      k.setRegister(RDX, 64, high);
      setCarryAndOverflow(k, k.ne(high, k.constant(0)));
      return;
    }
    const high = k.shr(low, k.constant(width));
    if (width === 8) k.setRegister(RAX, 16, low);
    else {
      k.setRegister(RAX, width, k.zext(width, low));
      k.setRegister(RDX, width, k.zext(width, high));
    }
    setCarryAndOverflow(k, k.ne(high, k.constant(0)));
  });
  define('IMUL', (k, i) => {
    const width = i.operands[0].width as Width;
    if (i.operands.length === 1) {
      const a = k.sext(width, k.register(RAX));
      const b = k.sext(width, k.read(i.operands[0]));
      const low = k.mul(a, b);
      if (width === 64) {
        const high = mulHighS(k, a, b);
        k.setRegister(RAX, 64, low);
        k.setRegister(RDX, 64, high);
        setCarryAndOverflow(k, k.ne(high, k.sar(low, k.constant(63))));
        return;
      }
      if (width === 8) k.setRegister(RAX, 16, k.zext(16, low));
      else {
        k.setRegister(RAX, width, k.zext(width, low));
        k.setRegister(RDX, width, k.zext(width, k.shr(low, k.constant(width))));
      }
      setCarryAndOverflow(k, k.ne(k.sext(width, low), low));
      return;
    }
    const last = i.operands[i.operands.length - 1];
    const a = k.sext(width, k.read(i.operands[i.operands.length - 2]));
    const b = last.kind === 'immediate' ? k.immediate() : k.sext(width, k.read(last));
    const low = k.mul(a, b);
    k.write(i.operands[0], k.zext(width, low));
    const lost = width === 64 ? k.ne(mulHighS(k, a, b), k.sar(low, k.constant(63))) : k.ne(k.sext(width, low), low);
    setCarryAndOverflow(k, lost);
  });

  define('DIV', (k, i) => {
    const width = i.operands[0].width as Width;
    const divisor = k.read(i.operands[0]);
    k.when(k.eq(divisor, k.constant(0)), () => k.fault(DIVIDE_ERROR));
    if (width === 64) {
      const low = k.register(RAX);
      const high = k.register(RDX);
      k.when(k.negate(k.ltU(high, divisor)), () => k.fault(DIVIDE_ERROR));
      const quotient = k.choose(
        k.eq(high, k.constant(0)),
        () => k.divU(low, divisor),
        () => k.call(divideDouble, high, low, divisor)[0],
      );
      k.setRegister(RAX, 64, quotient);
      k.setRegister(RDX, 64, k.sub(low, k.mul(quotient, divisor)));
      return;
    }
    const rax = k.register(RAX);
    const dividend = width === 8 ? k.zext(16, rax) : k.or(k.zext(width, rax), k.shl(k.zext(width, k.register(RDX)), k.constant(width)));
    const quotient = k.divU(dividend, divisor);
    k.when(k.ne(k.zext(width, quotient), quotient), () => k.fault(DIVIDE_ERROR));
    const remainder = k.remU(dividend, divisor);
    if (width === 8) k.setRegister(RAX, 16, k.or(quotient, k.shl(remainder, k.constant(8))));
    else {
      k.setRegister(RAX, width, quotient);
      k.setRegister(RDX, width, remainder);
    }
  });
  define('IDIV', (k, i) => {
    const width = i.operands[0].width as Width;
    const divisor = k.sext(width, k.read(i.operands[0]));
    k.when(k.eq(divisor, k.constant(0)), () => k.fault(DIVIDE_ERROR));
    const minusOne = k.constant(0xffff_ffff_ffff_ffffn);
    const lowest = k.constant(1n << 63n);
    const rax = k.register(RAX);
    if (width === 64) {
      const high = k.register(RDX);
      const small = k.eq(high, k.sar(rax, k.constant(63)));
      k.when(k.both(small, k.both(k.eq(divisor, minusOne), k.eq(rax, lowest))), () => k.fault(DIVIDE_ERROR));
      const quotient = k.choose(
        small,
        () => k.divS(rax, divisor),
        () => {
          const [long, overflow] = k.call(divideDoubleSigned, high, rax, divisor);
          k.when(k.ne(overflow, k.constant(0)), () => k.fault(DIVIDE_ERROR));
          return long;
        },
      );
      k.setRegister(RAX, 64, quotient);
      k.setRegister(RDX, 64, k.sub(rax, k.mul(quotient, divisor)));
      return;
    }
    const wide = width === 8 ? k.sext(16, rax) : k.or(k.zext(width, rax), k.shl(k.zext(width, k.register(RDX)), k.constant(width)));
    const dividend = width === 16 ? k.sext(32, wide) : wide;
    k.when(k.both(k.eq(divisor, minusOne), k.eq(dividend, lowest)), () => k.fault(DIVIDE_ERROR));
    const quotient = k.divS(dividend, divisor);
    k.when(k.ne(k.sext(width, quotient), quotient), () => k.fault(DIVIDE_ERROR));
    const remainder = k.zext(width, k.remS(dividend, divisor));
    const narrow = k.zext(width, quotient);
    if (width === 8) k.setRegister(RAX, 16, k.or(narrow, k.shl(remainder, k.constant(8))));
    else {
      k.setRegister(RAX, width, narrow);
      k.setRegister(RDX, width, remainder);
    }
  });
};

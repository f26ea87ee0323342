/** Bit and byte instructions (SDM 1 §5.1.6). */
import type { Definition, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { CF, STATUS_FLAGS, ZF } from '../flags.ts';
import { CONDITIONS } from './conditions.ts';

type Change = 'test' | 'set' | 'reset' | 'complement';

function bitTest(change: Change): Definition {
  return (k, i) => {
    const [base, offset] = i.operands;
    const width = base.width as Width;
    const index = k.read(offset);
    const mask = k.shl(k.constant(1), k.and(index, k.constant(width - 1)));
    const changed = (value: typeof mask) =>
      change === 'set' ? k.or(value, mask) : change === 'reset' ? k.and(value, k.not(mask)) : k.xor(value, mask);
    const setCarry = (value: typeof mask) => k.setFlags(CF, k.word(k.ne(k.and(value, mask), k.constant(0))));
    if (base.kind === 'memory' && offset.kind === 'register') {
      // A register offset is signed and reaches beyond the operand: the word that holds the bit is addressed.
      const words = k.sar(k.sext(width, index), k.constant(Math.log2(width)));
      const reach = k.mul(words, k.constant(width / 8));
      const addressMask = k.constant((1n << BigInt(i.addressSize)) - 1n);
      const address = k.and(k.add(k.effectiveAddress(), reach), addressMask);
      if (change !== 'test') k.probeStore(width, 'operand', address);
      const value = k.load(width, 'operand', address);
      if (change !== 'test') k.store(width, 'operand', address, changed(value));
      setCarry(value);
      return;
    }
    const value = change === 'test' ? k.read(base) : k.modify(base);
    if (change !== 'test') k.write(base, changed(value));
    setCarry(value);
  };
}

export const bitAndByte: Family = (define) => {
  define('BT', bitTest('test'));
  define('BTS', bitTest('set'));
  define('BTR', bitTest('reset'));
  define('BTC', bitTest('complement'));

  // A source of zero sets ZF and leaves the destination, all 64 bits of it.
  define('BSF', (k, i) => {
    const source = k.read(i.operands[1]);
    const none = k.eq(source, k.constant(0));
    k.when(k.negate(none), () => k.write(i.operands[0], k.ctz(source)));
    k.setFlags(ZF, k.select(none, k.constant(ZF), k.constant(0)));
  });
  define('BSR', (k, i) => {
    const source = k.read(i.operands[1]);
    const none = k.eq(source, k.constant(0));
    k.when(k.negate(none), () => k.write(i.operands[0], k.sub(k.constant(63), k.clz(source))));
    k.setFlags(ZF, k.select(none, k.constant(ZF), k.constant(0)));
  });
  define('TZCNT', (k, i) => {
    const width = i.operands[1].width as Width;
    const source = k.read(i.operands[1]);
    const none = k.eq(source, k.constant(0));
    const count = k.select(none, k.constant(width), k.ctz(source));
    k.write(i.operands[0], count);
    const zero = k.select(k.eq(count, k.constant(0)), k.constant(ZF), k.constant(0));
    k.setFlags(CF | ZF, k.or(zero, k.word(none)));
  });
  define('LZCNT', (k, i) => {
    const width = i.operands[1].width as Width;
    const source = k.read(i.operands[1]);
    const count = k.sub(k.clz(source), k.constant(64 - width));
    k.write(i.operands[0], count);
    const zero = k.select(k.eq(count, k.constant(0)), k.constant(ZF), k.constant(0));
    k.setFlags(CF | ZF, k.or(zero, k.word(k.eq(source, k.constant(0)))));
  });
  define('POPCNT', (k, i) => {
    const source = k.read(i.operands[1]);
    k.write(i.operands[0], k.popcnt(source));
    k.setFlags(STATUS_FLAGS, k.select(k.eq(source, k.constant(0)), k.constant(ZF), k.constant(0)));
  });
  for (const [suffix, code] of CONDITIONS) {
    define(`SET${suffix}`, (k, i) => k.write(i.operands[0], k.word(k.condition(code))));
  }
};

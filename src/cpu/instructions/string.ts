/** String instructions (SDM 1 §5.1.8). Port forms (INS, OUTS) are system instructions (cpu/system). */
import type { Algebra, Facts, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';

const RAX = 0;
const RSI = 6;
const RDI = 7;

const index = <V, B>(k: Algebra<V, B>, i: Facts, register: number): V => k.zext(i.addressSize, k.register(register));

/** Moves an index register by one element, up or down by DF. */
function advance<V, B>(k: Algebra<V, B>, i: Facts, register: number, width: Width): void {
  const size = width / 8;
  const step = k.select(k.flag('DF'), k.constant(-size), k.constant(size));
  k.setRegister(register, i.addressSize, k.zext(i.addressSize, k.add(k.register(register), step)));
}

/** Ends a REPE or REPNE run after a comparison of a and b. */
const ended = <V, B>(k: Algebra<V, B>, i: Facts, a: V, b: V): B | undefined =>
  i.repeat === '' ? undefined : i.repeat === 'rep' ? k.ne(a, b) : k.eq(a, b);

export const string: Family = (define) => {
  define('MOVS', (k, i) => {
    const width = i.operands[0].width as Width;
    k.repeat(() => {
      const value = k.load(width, 'operand', index(k, i, RSI));
      k.store(width, 'ES', index(k, i, RDI), value);
      advance(k, i, RSI, width);
      advance(k, i, RDI, width);
      return undefined;
    });
  });
  define('STOS', (k, i) => {
    const width = i.operands[0].width as Width;
    k.repeat(() => {
      k.store(width, 'ES', index(k, i, RDI), k.zext(width, k.register(RAX)));
      advance(k, i, RDI, width);
      return undefined;
    });
  });
  define('LODS', (k, i) => {
    const width = i.operands[0].width as Width;
    k.repeat(() => {
      const value = k.load(width, 'operand', index(k, i, RSI));
      k.setRegister(RAX, width, value);
      advance(k, i, RSI, width);
      return undefined;
    });
  });
  define('CMPS', (k, i) => {
    const width = i.operands[0].width as Width;
    k.repeat(() => {
      // Which of two faults comes first no manual says: processors were seen to read the destination's side first.
      const b = k.load(width, 'ES', index(k, i, RDI));
      const a = k.load(width, 'operand', index(k, i, RSI));
      advance(k, i, RSI, width);
      advance(k, i, RDI, width);
      k.flags('sub', width, a, b, k.zext(width, k.sub(a, b)));
      return ended(k, i, a, b);
    });
  });
  define('SCAS', (k, i) => {
    const width = i.operands[0].width as Width;
    k.repeat(() => {
      const a = k.zext(width, k.register(RAX));
      const b = k.load(width, 'ES', index(k, i, RDI));
      advance(k, i, RDI, width);
      k.flags('sub', width, a, b, k.zext(width, k.sub(a, b)));
      return ended(k, i, a, b);
    });
  });
};

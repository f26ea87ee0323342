/** Logical instructions and tests (SDM 1 §5.1.4, §5.1.6). */
import type { Width } from '../algebra.ts';
import type { Family } from '../definition.ts';

export const logical: Family = (define) => {
  for (const operation of ['and', 'or', 'xor'] as const) {
    define(operation.toUpperCase(), (k, i) => {
      const [destination, source] = i.operands;
      const a = k.modify(destination);
      const r = k[operation](a, k.read(source));
      k.write(destination, r);
      k.flags('logic', destination.width as Width, r, r, r);
    });
  }
  define('NOT', (k, i) => {
    const width = i.operands[0].width as Width;
    k.write(i.operands[0], k.zext(width, k.not(k.modify(i.operands[0]))));
  });
  define('TEST', (k, i) => {
    const r = k.and(k.read(i.operands[0]), k.read(i.operands[1]));
    k.flags('logic', i.operands[0].width as Width, r, r, r);
  });
};

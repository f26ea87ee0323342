/** Data transfer, shuffles and EMMS of MMX and its extensions (SDM 1 §5.4.1, §5.4.8, §5.5.2, §5.6.3, §5.7). */
import type { Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { checkMmx, enterMmx, joined, mmxDefine, partsOf, wordOperation } from './mmx-state.ts';
import { checkSse } from './sse-state.ts';

export const mmxDataTransfer: Family = (plain) => {
  const define = mmxDefine(plain);
  define('MOVD MOVQ MOVNTQ', (k, i) => {
    const [destination, source] = i.operands;
    const value = k.read(source);
    if (destination.kind === 'memory') k.probeStore(destination.width as Width, 'operand', k.effectiveAddress());
    enterMmx(k);
    k.write(destination, destination.kind === 'mmx' ? value : k.zext(destination.width as Width, value));
  });
  define('MOVQ2DQ', (k, i) => {
    checkSse(k);
    const [destination, source] = i.operands;
    const value = k.read(source);
    enterMmx(k);
    k.writeXmm(destination, 0, value);
    k.writeXmm(destination, 1, k.constant(0));
  });
  define('MOVDQ2Q', (k, i) => {
    checkSse(k);
    const value = k.readXmm(i.operands[1], 0);
    enterMmx(k);
    k.write(i.operands[0], value);
  });
  define('PMOVMSKB', (k, i) => {
    const bytes = partsOf(k, 8, k.read(i.operands[1]));
    enterMmx(k);
    const signs = bytes.map((byte, n) => k.shl(k.shr(byte, k.constant(7)), k.constant(n)));
    k.write(
      i.operands[0],
      signs.reduce((all, one) => k.or(all, one)),
    );
  });
  define('MASKMOVQ', (k, i) => {
    const address = k.effectiveAddress();
    const mask = k.constant((1n << BigInt(i.addressSize)) - 1n);
    const bytes = partsOf(k, 8, k.read(i.operands[0]));
    const chosen = partsOf(k, 8, k.read(i.operands[1])).map((byte) => k.ltU(k.constant(0x7f), byte));
    const at = (n: number): typeof address => k.and(k.add(address, k.constant(n)), mask);
    for (const [n, condition] of chosen.entries()) k.when(condition, () => k.probeStore(8, 'operand', at(n)));
    enterMmx(k);
    for (const [n, condition] of chosen.entries()) k.when(condition, () => k.store(8, 'operand', at(n), bytes[n]));
  });
  define('PINSRW', (k, i) => {
    const [destination, source] = i.operands;
    const value = k.zext(16, k.read(source));
    const shift = k.shl(k.and(k.immediate(), k.constant(3)), k.constant(4));
    const kept = k.and(k.read(destination), k.not(k.shl(k.constant(0xffff), shift)));
    enterMmx(k);
    k.write(destination, k.or(kept, k.shl(value, shift)));
  });
  define('PEXTRW', (k, i) => {
    const word = k.read(i.operands[1]);
    enterMmx(k);
    k.write(i.operands[0], k.zext(16, k.shr(word, k.shl(k.and(k.immediate(), k.constant(3)), k.constant(4)))));
  });
  define('PSHUFW', (k, i) => {
    const word = k.read(i.operands[1]);
    const order = k.immediate();
    enterMmx(k);
    const parts = [0, 1, 2, 3].map((n) => {
      const index = k.and(k.shr(order, k.constant(2 * n)), k.constant(3));
      return k.zext(16, k.shr(word, k.shl(index, k.constant(4))));
    });
    k.write(i.operands[0], joined(k, 16, parts));
  });
  define(
    'PSHUFB',
    wordOperation((k, a, b) => {
      const bytes = partsOf(k, 8, b).map((control) => {
        const index = k.shl(k.and(control, k.constant(7)), k.constant(3));
        return k.select(k.ltU(k.constant(0x7f), control), k.constant(0), k.zext(8, k.shr(a, index)));
      });
      return joined(k, 8, bytes);
    }),
  );
  define(
    'PALIGNR',
    wordOperation((k, a, b) => {
      const zero = k.constant(0);
      const bytes = k.and(k.immediate(), k.constant(0xff));
      const bits = k.shl(bytes, k.constant(3));
      // The upper word moves in from above: two steps, so that 0 bits take nothing.
      const within = k.or(k.shr(b, bits), k.shl(k.shl(a, k.constant(1)), k.sub(k.constant(63), bits)));
      const above = k.select(k.ltU(bytes, k.constant(16)), k.shr(a, bits), zero);
      return k.select(k.ltU(bytes, k.constant(8)), within, above);
    }),
  );
  plain('EMMS', (k) => {
    checkMmx(k);
    k.setField('fpuTag', 0, k.constant(0));
    k.setField('fpuStatus', 0, k.and(k.field('fpuStatus'), k.field('emmsKeeps')));
  });
};

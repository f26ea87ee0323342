/** Bitwise logic on vectors, and tests of them (SDM 1 §5.5.1.4, §5.6.1.3, §5.6.3, §5.10.10). */
import type { Family } from '../definition.ts';
import { CF, STATUS_FLAGS, ZF } from '../flags.ts';
import { lanewise, readLanes, vectorDefine } from './vector-operands.ts';

export const sseLogical: Family = (plain) => {
  const define = vectorDefine(plain);
  define(
    'ANDPS ANDPD PAND',
    lanewise((k, a, b) => [k.and(a[0], b[0]), k.and(a[1], b[1])]),
  );
  define(
    'ANDNPS ANDNPD PANDN',
    lanewise((k, a, b) => [k.and(k.not(a[0]), b[0]), k.and(k.not(a[1]), b[1])]),
  );
  define(
    'ORPS ORPD POR',
    lanewise((k, a, b) => [k.or(a[0], b[0]), k.or(a[1], b[1])]),
  );
  define(
    'XORPS XORPD PXOR',
    lanewise((k, a, b) => [k.xor(a[0], b[0]), k.xor(a[1], b[1])]),
  );
  define('PTEST', (k, i) => {
    const b = readLanes(k, i, i.operands[1]).flat();
    const a = readLanes(k, i, i.operands[0]).flat();
    const zero = k.constant(0);
    const any = (words: typeof a) => words.reduce((all, word) => k.or(all, word));
    const both = any(a.map((word, n) => k.and(word, b[n])));
    const without = any(a.map((word, n) => k.and(k.not(word), b[n])));
    const zf = k.select(k.eq(both, zero), k.constant(ZF), zero);
    k.setFlags(STATUS_FLAGS, k.or(zf, k.select(k.eq(without, zero), k.constant(CF), zero)));
  });
};

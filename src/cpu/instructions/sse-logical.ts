/** Bitwise logic on vectors, and tests of them (SDM 1 §5.5.1.4, §5.6.1.3, §5.6.3, §5.10.10). */
import type { Family } from '../definition.ts';
import { CF, STATUS_FLAGS, ZF } from '../flags.ts';
import { sseDefine, vectorOperation } from './sse-state.ts';

export const sseLogical: Family = (plain) => {
  const define = sseDefine(plain);
  define(
    'ANDPS ANDPD PAND',
    vectorOperation((k, a, b) => [k.and(a[0], b[0]), k.and(a[1], b[1])]),
  );
  define(
    'ANDNPS ANDNPD PANDN',
    vectorOperation((k, a, b) => [k.and(k.not(a[0]), b[0]), k.and(k.not(a[1]), b[1])]),
  );
  define(
    'ORPS ORPD POR',
    vectorOperation((k, a, b) => [k.or(a[0], b[0]), k.or(a[1], b[1])]),
  );
  define(
    'XORPS XORPD PXOR',
    vectorOperation((k, a, b) => [k.xor(a[0], b[0]), k.xor(a[1], b[1])]),
  );
  define('PTEST', (k, i) => {
    const b = k.read128(i.operands[1], true);
    const a = k.read128(i.operands[0], true);
    const zero = k.constant(0);
    const both = k.or(k.and(a[0], b[0]), k.and(a[1], b[1]));
    const without = k.or(k.and(k.not(a[0]), b[0]), k.and(k.not(a[1]), b[1]));
    const zf = k.select(k.eq(both, zero), k.constant(ZF), zero);
    k.setFlags(STATUS_FLAGS, k.or(zf, k.select(k.eq(without, zero), k.constant(CF), zero)));
  });
};

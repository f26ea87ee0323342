/** Flag control instructions without privilege (SDM 1 §5.1.11). CLI and STI are system instructions (cpu/system). */
import type { Family } from '../definition.ts';
import { CF, DF } from '../flags.ts';

export const flagControl: Family = (define) => {
  define('CLC', (k) => k.setFlags(CF, k.constant(0)));
  define('STC', (k) => k.setFlags(CF, k.constant(CF)));
  define('CMC', (k) => k.setFlags(CF, k.word(k.negate(k.flag('CF')))));
  define('CLD', (k) => k.setFlags(DF, k.constant(0)));
  define('STD', (k) => k.setFlags(DF, k.constant(DF)));
};

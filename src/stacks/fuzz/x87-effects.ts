/**
 * The condition codes C0 to C3 of the x87 status word as flags that may be undefined, in the combined mask of program.ts.
 * Sources: SDM 1 §8.1.3.1, Table 8-1; SDM 2 ("FPU Flags Affected" of each instruction).
 */
import type { FlagEffects } from './flag-effects.ts';
import { X87_CONDITIONS_SHIFT } from './program.ts';

const C0 = 0x100 << X87_CONDITIONS_SHIFT;
const C1 = 0x200 << X87_CONDITIONS_SHIFT;
const C2 = 0x400 << X87_CONDITIONS_SHIFT;
const C3 = 0x4000 << X87_CONDITIONS_SHIFT;
export const X87_CONDITIONS = C0 | C1 | C2 | C3;

const DEFINING = /^(FU?COM(P|PP)?|FICOMP?|FTST|FXAM|FPREM1?|FNINIT|FLDENV|FRSTOR|FXRSTOR(64)?)$/;
const READING = /^(FNSTSW|FNSTENV|FNSAVE|FXSAVE(64)?)$/;
const UNTOUCHED = /^(FNSTCW|FNSTSW|FNSTENV|FXSAVE(64)?|FU?COMIP?)$/;
const ALL_UNDEFINED = /^(FNCLEX|FLDCW|FFREEP?|FNOP|FNENI|FNDISI|FNSETPM)$/;

/** Adds what an x87 instruction does to the condition codes. */
export function withX87(effects: FlagEffects, mnemonic: string): FlagEffects {
  const x87 = mnemonic[0] === 'F';
  if (!x87 || mnemonic === 'FXSAVE' || mnemonic === 'FXSAVE64') {
    return READING.test(mnemonic) ? { ...effects, reads: effects.reads | X87_CONDITIONS } : effects;
  }
  const reads = READING.test(mnemonic) ? X87_CONDITIONS : 0;
  if (DEFINING.test(mnemonic) || mnemonic === 'FNSAVE')
    return { ...effects, reads: effects.reads | reads, defines: effects.defines | X87_CONDITIONS };
  if (UNTOUCHED.test(mnemonic)) return { ...effects, reads: effects.reads | reads };
  if (ALL_UNDEFINED.test(mnemonic)) return { ...effects, undefines: effects.undefines | X87_CONDITIONS };
  if (mnemonic.startsWith('FCMOV')) return { ...effects, undefines: effects.undefines | C0 | C2 | C3 };
  // C1 tells overflow from underflow of the stack, or the direction of rounding.
  return { ...effects, defines: effects.defines | C1, undefines: effects.undefines | C0 | C2 | C3 };
}

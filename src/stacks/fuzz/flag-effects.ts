/**
 * Which status flags an instruction reads and which it certainly gives a defined value: what a generated program needs
 * to know so that it never consumes a flag that the manual leaves undefined. What is left undefined is in the opcode rows.
 * Flags that are written only sometimes (shifts by a count that may be zero, repeated comparisons) do not count as written.
 * Sources: SDM 1 appendix A (EFLAGS cross-reference), appendix B (condition codes).
 */
import { Flag, STATUS_FLAGS } from '../../x86/eflags.ts';
import type { Instruction } from '../../x86/instruction.ts';

const { CF, PF, AF, ZF, SF, OF } = Flag;

export interface FlagEffects {
  readonly reads: number;
  readonly defines: number;
  readonly undefines: number;
}

/** Flags of condition codes, by the letters behind J, SET and CMOV (those of the opcode rows). */
const CONDITION_FLAGS: Readonly<Record<string, number>> = {
  ...{ O: OF, NO: OF, B: CF, AE: CF, E: ZF, NE: ZF, BE: CF | ZF, A: CF | ZF, S: SF, NS: SF, P: PF, NP: PF },
  ...{ L: SF | OF, GE: SF | OF, LE: SF | OF | ZF, G: SF | OF | ZF },
};
const X87_CONDITION_FLAGS: Readonly<Record<string, number>> = { B: CF, E: ZF, BE: CF | ZF, U: PF, NB: CF, NE: ZF, NBE: CF | ZF, NU: PF };

const LOW_FLAGS = STATUS_FLAGS & ~OF;
const READS: Readonly<Record<string, number>> = {
  ...{ ADC: CF, SBB: CF, RCL: CF, RCR: CF, CMC: CF, SALC: CF, ADCX: CF, ADOX: OF, INTO: OF },
  ...{ LAHF: LOW_FLAGS, PUSHF: STATUS_FLAGS, PUSHFD: STATUS_FLAGS, PUSHFQ: STATUS_FLAGS },
  ...{ DAA: AF | CF, DAS: AF | CF, AAA: AF, AAS: AF, LOOPE: ZF, LOOPNE: ZF },
};

const names = (text: string, flags: number): Record<string, number> => Object.fromEntries(text.split(' ').map((name) => [name, flags]));

const DEFINES: Readonly<Record<string, number>> = {
  ...names('ADD SUB CMP NEG ADC SBB XADD CMPXCHG POPF POPFD POPFQ IRET IRETD IRETQ POPCNT PTEST TESTPS TESTPD', STATUS_FLAGS),
  ...names('COMISS COMISD UCOMISS UCOMISD FCOMI FCOMIP FUCOMI FUCOMIP', STATUS_FLAGS),
  ...names('PCMPESTRM PCMPESTRI PCMPISTRM PCMPISTRI', STATUS_FLAGS),
  ...names('AND OR XOR TEST', STATUS_FLAGS & ~AF),
  ...names('ANDN BLSR BLSMSK BLSI BZHI', STATUS_FLAGS & ~(AF | PF)),
  ...names('INC DEC', STATUS_FLAGS & ~CF),
  ...names('SAHF', LOW_FLAGS),
  ...names('CLC STC CMC BT BTS BTR BTC ADCX', CF),
  ...names('MUL IMUL', CF | OF),
  ...names('CMPXCHG8B CMPXCHG16B BSF BSR ARPL LAR LSL VERR VERW', ZF),
  ...names('TZCNT LZCNT', ZF | CF),
  ...{ ADOX: OF, BEXTR: ZF | CF | OF, DAA: LOW_FLAGS, DAS: LOW_FLAGS, AAA: AF | CF, AAS: AF | CF, AAM: SF | ZF | PF, AAD: SF | ZF | PF },
};

export function flagEffects({ row, repeat }: Instruction): FlagEffects {
  const { operands, undefinedFlags, vex } = row;
  // VEX forms do as those without.
  const mnemonic = vex ? row.mnemonic.replace(/^V/, '') : row.mnemonic;
  return { reads: readsOf(mnemonic), defines: definesOf(mnemonic, repeat !== '', operands.includes('1')), undefines: undefinedFlags };
}

function readsOf(mnemonic: string): number {
  const known = READS[mnemonic];
  if (known !== undefined) return known;
  if (mnemonic.startsWith('FCMOV')) return X87_CONDITION_FLAGS[mnemonic.slice(5)] ?? 0;
  const condition = /^(?:J|SET|CMOV)(N?[A-Z]+)$/.exec(mnemonic)?.[1];
  return condition === undefined ? 0 : (CONDITION_FLAGS[condition] ?? 0);
}

function definesOf(mnemonic: string, repeated: boolean, byOne: boolean): number {
  if (mnemonic === 'CMPS' || mnemonic === 'SCAS') return repeated ? 0 : STATUS_FLAGS;
  if (byOne) {
    if (/^(SHL|SHR|SAR)$/.test(mnemonic)) return STATUS_FLAGS & ~AF;
    if (/^(ROL|ROR|RCL|RCR)$/.test(mnemonic)) return CF | OF;
  }
  return DEFINES[mnemonic] ?? 0;
}

/**
 * Names of the registers, by the numbers that instructions encode.
 * Sources: SDM 2A §2.1.5 Table 2-2, §2.2.1.2 (REX), SDM 1 §3.4.
 */

/** General registers by number, at 64 bits. */
export const GENERAL_REGISTERS_64 = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const;

export type GeneralRegister64 = (typeof GENERAL_REGISTERS_64)[number];

export const GENERAL_REGISTERS_32 = [
  'eax',
  'ecx',
  'edx',
  'ebx',
  'esp',
  'ebp',
  'esi',
  'edi',
  'r8d',
  'r9d',
  'r10d',
  'r11d',
  'r12d',
  'r13d',
  'r14d',
  'r15d',
] as const;

export const GENERAL_REGISTERS_16 = [
  'ax',
  'cx',
  'dx',
  'bx',
  'sp',
  'bp',
  'si',
  'di',
  'r8w',
  'r9w',
  'r10w',
  'r11w',
  'r12w',
  'r13w',
  'r14w',
  'r15w',
] as const;

/** Byte registers under any REX prefix; without one, 4..7 are {@link HIGH_BYTE_REGISTERS}. */
export const GENERAL_REGISTERS_8 = [
  'al',
  'cl',
  'dl',
  'bl',
  'spl',
  'bpl',
  'sil',
  'dil',
  'r8b',
  'r9b',
  'r10b',
  'r11b',
  'r12b',
  'r13b',
  'r14b',
  'r15b',
] as const;

export const HIGH_BYTE_REGISTERS = ['ah', 'ch', 'dh', 'bh'] as const;

export const SEGMENT_REGISTER_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;

/** Numbers of the general registers that instructions use implicitly. */
export const Register = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  R14: 14,
  R15: 15,
} as const;

/** Name of a general register at a width of 8, 16, 32 or 64 bits. */
export function generalRegisterName(index: number, width: number, high = false): string {
  if (high) return HIGH_BYTE_REGISTERS[index] ?? '?';
  const names =
    width === 64 ? GENERAL_REGISTERS_64 : width === 32 ? GENERAL_REGISTERS_32 : width === 16 ? GENERAL_REGISTERS_16 : GENERAL_REGISTERS_8;
  return names[index] ?? '?';
}

/**
 * A row of the instruction table together with its encoding: what the parser of opcode text makes and the decoder reads.
 * Sources: SDM 2A §3.1.1 (notation), SDM 2D §A.2 (operand codes).
 */

import type { OpcodeRow } from './instruction.ts';

/** Widths that depend on prefixes, beside plain numbers of bits. */
export const Width = {
  /** 16, 32 or 64 by operand size. */
  V: -1,
  /** 16 or 32 by operand size, 32 also under REX.W. */
  Z: -2,
  /** 32, or 64 under REX.W (or always in 64-bit mode where the row says so); 66 has no effect. */
  Y: -3,
} as const;

/** Where an operand is found. */
export const Source = {
  MODRM_REG: 0,
  MODRM_RM: 1,
  OPCODE_LOW: 2,
  VEX_VVVV: 3,
  FIXED: 4,
  IMMEDIATE: 5,
  SIGNED_IMMEDIATE: 6,
  RELATIVE: 7,
  FAR_POINTER: 8,
  OFFSET: 9,
  IMPLIED_MEMORY: 10,
  /** The byte after the first immediate (ENTER). */
  SECOND_IMMEDIATE: 11,
  /** The constant one of shifts, not a byte of the instruction. */
  ONE: 12,
  /** Bits 7:4 of a byte after the operands (is4). */
  IMMEDIATE_REGISTER: 13,
  /** Index register of a VSIB memory operand. */
  VECTOR_INDEX: 14,
} as const;
export type SourceCode = (typeof Source)[keyof typeof Source];

export type RegisterClass = 'register' | 'segment' | 'control' | 'debug' | 'xmm' | 'ymm' | 'mmx' | 'x87';

export interface OperandEncoding {
  readonly source: SourceCode;
  readonly registers: RegisterClass;
  /** Bits of the register form, of an immediate or of a displacement; negative as in {@link Width}. */
  readonly width: number;
  /** Bits of the memory form. */
  readonly memoryWidth: number;
  /** Register of a FIXED operand. */
  readonly index: number;
}

/** Bits of {@link RowEncoding.prefixes}: the kinds of mandatory prefix with which a row exists. */
export const PrefixKind = { NONE: 1, P66: 2, PF3: 4, PF2: 8, ANY: 15 } as const;

export interface RowEncoding {
  /** 0: one-byte, 1: 0F, 2: 0F 38, 3: 0F 3A. */
  readonly map: number;
  readonly byte: number;
  readonly vex: boolean;
  readonly prefixes: number;
  readonly hasModrm: boolean;
  /** Forms of ModRM: bit 0 memory, bit 1 register. */
  readonly forms: number;
  /** mod is ignored: the operand is a register whatever it says. */
  readonly anyMod: boolean;
  /** Required value of ModRM.reg, or -1. */
  readonly digit: number;
  /** Required value of ModRM.rm (of the register form), or -1. */
  readonly rm: number;
  /** Bit 0: VEX.L may be 0, bit 1: it may be 1. */
  readonly vexL: number;
  /** Bit 0: without REX.W or VEX.W, bit 1: with. */
  readonly rexW: number;
  readonly noRexB: boolean;
  /** Bits 16, 32, 64 or-ed, 112 when every size is accepted. */
  readonly operandSizes: number;
  readonly addressSizes: number;
  /** `+r`: the low three bits of the opcode are a register. */
  readonly lowRegister: boolean;
  readonly force64: boolean;
  readonly max32: boolean;
  /** Operand size follows REX.W alone. */
  readonly sizeByRexW: boolean;
  readonly operands: readonly OperandEncoding[];
  readonly impliedMemory: '' | 'si' | 'es:di' | 'di' | 'bx' | 'ax';
}

/** A row together with what the decoder needs of its opcode and operand columns. */
export interface EncodedRow extends OpcodeRow {
  readonly encoding: RowEncoding;
}

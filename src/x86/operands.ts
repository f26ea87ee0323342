/**
 * The operand objects of decoded instructions, made once and shared: an operand has no state of its own, so that
 * decoding allocates none. Memory and immediate operands are told apart by width only.
 * Sources: SDM 2A §2.1.5 Table 2-2 (register numbers), §2.2.1.2 (byte registers under REX).
 */

import type { Operand, OperandKind } from './instruction.ts';

function operandsOf(kind: OperandKind, width: number, count: number): readonly Operand[] {
  return Array.from({ length: count }, (_, index) => ({ kind, width, index, high: false }));
}

/** Byte registers with any REX prefix: SPL, BPL, SIL, DIL at 4..7. */
export const BYTE_REGISTERS_REX = operandsOf('register', 8, 16);

/** Byte registers without REX: AH, CH, DH, BH at 4..7. */
export const BYTE_REGISTERS_LEGACY: readonly Operand[] = [
  ...BYTE_REGISTERS_REX.slice(0, 4),
  ...[0, 1, 2, 3].map((index): Operand => ({ kind: 'register', width: 8, index, high: true })),
];

const WORD_REGISTERS = operandsOf('register', 16, 16);
const DOUBLEWORD_REGISTERS = operandsOf('register', 32, 16);
const QUADWORD_REGISTERS = operandsOf('register', 64, 16);

/** General registers of 16, 32 or 64 bits. */
export function generalRegisters(width: number): readonly Operand[] {
  if (width === 64) return QUADWORD_REGISTERS;
  return width === 32 ? DOUBLEWORD_REGISTERS : WORD_REGISTERS;
}

export const SEGMENT_REGISTERS = operandsOf('segment', 16, 6);
export const XMM_REGISTERS = operandsOf('xmm', 128, 16);
export const YMM_REGISTERS = operandsOf('ymm', 256, 16);
export const MMX_REGISTERS = operandsOf('mmx', 64, 8);
export const X87_REGISTERS = operandsOf('x87', 80, 8);

const CONTROL_REGISTERS = { 32: operandsOf('control', 32, 16), 64: operandsOf('control', 64, 16) };
const DEBUG_REGISTERS = { 32: operandsOf('debug', 32, 16), 64: operandsOf('debug', 64, 16) };

export function controlRegisters(width: number): readonly Operand[] {
  return CONTROL_REGISTERS[width === 64 ? 64 : 32];
}

export function debugRegisters(width: number): readonly Operand[] {
  return DEBUG_REGISTERS[width === 64 ? 64 : 32];
}

function operandsByWidth(kind: OperandKind): readonly Operand[] {
  return Array.from({ length: 65 }, (_, eighths) => ({ kind, width: eighths * 8, index: 0, high: false }));
}

const MEMORY_OPERANDS = operandsByWidth('memory');
const IMMEDIATE_OPERANDS = operandsByWidth('immediate');
const RELATIVE_OPERANDS = operandsByWidth('relative');
const FAR_POINTER_OPERANDS = operandsByWidth('far-pointer');

export function memoryOperand(width: number): Operand {
  return MEMORY_OPERANDS[width >> 3] as Operand;
}

export function immediateOperand(width: number): Operand {
  return IMMEDIATE_OPERANDS[width >> 3] as Operand;
}

export function relativeOperand(width: number): Operand {
  return RELATIVE_OPERANDS[width >> 3] as Operand;
}

export function farPointerOperand(width: number): Operand {
  return FAR_POINTER_OPERANDS[width >> 3] as Operand;
}

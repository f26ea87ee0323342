/**
 * Builds the plainest byte sequence of an opcode row, straight from its encoding: the inverse of the decoder, for tests.
 */

import type { CodeMode } from '../../src/x86/instruction.ts';
import { type EncodedRow, PrefixKind, Source } from '../../src/x86/opcode-row.ts';

const VVVV = 2;
const VEX_REG = 1;
const VEX_RM = 3;
const VECTOR_INDEX = 4;
const FEW_IMMEDIATE_BYTES = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x08, 0x09, 0x0a];

/** Whether a row can be encoded in a mode at all. */
export function existsInMode(row: EncodedRow, mode: CodeMode): boolean {
  const { encoding } = row;
  if (row.modes !== 'all' && (row.modes === '64') !== (mode === 64)) return false;
  if (mode !== 64 && ((encoding.rexW === 2 && !encoding.vex) || (encoding.operandSizes & 48) === 0)) return false;
  if (mode === 64 && (encoding.addressSizes & 96) === 0) return false;
  if (row.vectorIndex && mode === 16) return false;
  return mode === 64 || (encoding.addressSizes & 48) !== 0;
}

function needsOperandSizePrefix(row: EncodedRow, mode: CodeMode): boolean {
  const { operandSizes, prefixes } = row.encoding;
  if (prefixes === PrefixKind.P66) return true;
  if (operandSizes === 112) return false;
  return mode === 16 ? operandSizes === 32 : operandSizes === 16;
}

function prefixBytes(row: EncodedRow, mode: CodeMode): number[] {
  const { encoding } = row;
  const bytes: number[] = [];
  const addressSize = mode === 64 ? 64 : mode;
  if ((encoding.addressSizes & addressSize) === 0) bytes.push(0x67);
  if (encoding.vex) return bytes;
  if (needsOperandSizePrefix(row, mode)) bytes.push(0x66);
  if (encoding.prefixes === PrefixKind.PF3) bytes.push(0xf3);
  if (encoding.prefixes === PrefixKind.PF2) bytes.push(0xf2);
  const wide = encoding.rexW === 2 || (encoding.operandSizes === 64 && row.defaultSize64 === 32);
  if (wide) bytes.push(0x48);
  return bytes;
}

function opcodeBytes(row: EncodedRow): number[] {
  const { vex, map, byte, prefixes, vexL, rexW, operands } = row.encoding;
  // The rm operand of `+r` rows is register 1, so that 90+r is not NOP.
  const opcode = row.encoding.lowRegister ? byte | 1 : byte;
  if (vex) {
    const pp = prefixes === PrefixKind.P66 ? 1 : prefixes === PrefixKind.PF3 ? 2 : prefixes === PrefixKind.PF2 ? 3 : 0;
    const w = rexW === 2 ? 0x80 : 0;
    const vvvv = operands.some(({ source }) => source === Source.VEX_VVVV) ? VVVV : 0;
    return [0xc4, 0xe0 | map, w | ((~vvvv & 15) << 3) | (vexL === 2 ? 4 : 0) | pp, opcode];
  }
  return [...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][map]!, opcode];
}

/** Bytes of the row's instruction; `memory` picks the memory form [rAX] (or [BX+SI]) where both forms exist. */
export function encodeRow(row: EncodedRow, mode: CodeMode, memory: boolean): Uint8Array {
  const { encoding } = row;
  const bytes = [...prefixBytes(row, mode), ...opcodeBytes(row)];
  if (encoding.hasModrm) {
    const register = encoding.anyMod || (encoding.forms & 1) === 0 || (!memory && (encoding.forms & 2) !== 0);
    // Operands of VEX are told apart by their registers.
    const digit = encoding.digit < 0 && encoding.vex ? VEX_REG : Math.max(encoding.digit, 0);
    const rm = encoding.rm < 0 && encoding.vex && register ? VEX_RM : Math.max(encoding.rm, 0);
    bytes.push((register ? 0xc0 : 0) | (digit << 3) | (row.vectorIndex ? 4 : rm));
    if (row.vectorIndex) bytes.push(0x80 | (VECTOR_INDEX << 3));
  }
  const constants: number[] = [
    Source.IMMEDIATE_REGISTER,
    Source.IMMEDIATE,
    Source.SIGNED_IMMEDIATE,
    Source.SECOND_IMMEDIATE,
    Source.RELATIVE,
  ];
  const size16 =
    mode === 16 ? !needsOperandSizePrefix(row, mode) : encoding.prefixes !== PrefixKind.P66 && needsOperandSizePrefix(row, mode);
  let count = 0;
  for (const operand of encoding.operands) {
    if (operand.source === Source.OFFSET) count += mode >> 3;
    else if (operand.source === Source.FAR_POINTER) count += size16 ? 4 : 6;
    else if (operand.source === Source.IMMEDIATE_REGISTER) count++;
    else if (constants.includes(operand.source)) count += operand.width > 0 ? operand.width >> 3 : size16 ? 2 : 4;
  }
  return Uint8Array.from([...bytes, ...FEW_IMMEDIATE_BYTES.slice(0, count)]);
}

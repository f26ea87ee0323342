/**
 * The decoded form that generated code reads: one record an instruction, in the machine's WebAssembly memory.
 *
 *    0  u32  slot of the handler in the function table
 *    4  u32  cost in twelfths of a cycle
 *    8  u16  length in bytes
 *   10  u16  offset from the processor's base of the first, second and third register operand (xmm and mmx
 *            registers too); i of ST(i)
 *   16  u16  offset of the base register (the zero slot when there is none; the RIP slot for RIP-relative)
 *   18  u16  offset of the index register
 *   20  u16  scale as a shift count
 *   22  u16  offset of the segment base (a slot that is always zero for flat segments of 64-bit mode)
 *   24  u16  offset of the address mask
 *   26  u16  segment register number
 *   28  u32  second immediate, or for system instructions the number of the kept Instruction
 *   32  i64  displacement
 *   40  i64  immediate, extended to 64 bits
 */
import { type Instruction, NO_REGISTER, type Operand, RIP_REGISTER, Segment } from '../../x86/instruction.ts';
import { OFFSET } from '../state.ts';

export const RECORD_BYTES = 48;

export const RECORD = {
  handler: 0,
  cost: 4,
  length: 8,
  registers: [10, 12, 14],
  base: 16,
  index: 18,
  scale: 20,
  segmentBase: 22,
  addressMask: 24,
  segment: 26,
  immediate2: 28,
  displacement: 32,
  immediate: 40,
} as const;

/** Operands whose register is named in the record. */
export function isRegisterOperand({ kind }: Operand): boolean {
  return kind === 'register' || kind === 'xmm' || kind === 'mmx' || kind === 'x87';
}

/** Offset of a register operand's storage from the processor's base; an x87 operand is relative to the top of the stack. */
export function registerOffset(operand: Operand): number {
  switch (operand.kind) {
    case 'x87':
      return operand.index;
    case 'mmx':
      return OFFSET.st + operand.index * 16;
    case 'xmm':
      return OFFSET.xmm + operand.index * 16;
    default:
      return OFFSET.gpr + operand.index * 8 + (operand.high ? 1 : 0);
  }
}

const ADDRESS_MASK_INDEX = { 16: 0, 32: 1, 64: 2 } as const;

export function writeRecord(view: DataView, at: number, i: Instruction, handler: number, cost: number, extra: number): void {
  view.setUint32(at + RECORD.handler, handler, true);
  view.setUint32(at + RECORD.cost, cost, true);
  view.setUint16(at + RECORD.length, i.length, true);
  let register = 0;
  for (const operand of i.operands) {
    if (!isRegisterOperand(operand)) continue;
    view.setUint16(at + RECORD.registers[register++], registerOffset(operand), true);
  }
  view.setUint32(at + RECORD.immediate2, extra, true);
  view.setBigInt64(at + RECORD.immediate, BigInt.asIntN(64, i.immediate), true);
  const { memory } = i;
  if (memory === undefined) return;
  const slot = (register: number): number =>
    register === NO_REGISTER ? OFFSET.zero : register === RIP_REGISTER ? OFFSET.rip : OFFSET.gpr + register * 8;
  view.setUint16(at + RECORD.base, slot(memory.base), true);
  view.setUint16(at + RECORD.index, slot(memory.index), true);
  view.setUint16(at + RECORD.scale, memory.scale, true);
  const flat = i.mode === 64 && memory.segment < Segment.FS;
  view.setUint16(at + RECORD.segmentBase, flat ? OFFSET.flatBase : OFFSET.segmentBase + memory.segment * 8, true);
  view.setUint16(at + RECORD.addressMask, OFFSET.addressMask + ADDRESS_MASK_INDEX[i.addressSize] * 8, true);
  view.setUint16(at + RECORD.segment, memory.segment, true);
  view.setBigInt64(at + RECORD.displacement, BigInt.asIntN(64, memory.displacement), true);
}

/**
 * Everything about an instruction that its handler's code depends on; instructions with equal keys share a handler.
 * Register numbers, displacements and immediates are not part of it: they are read from the record.
 */
export function handlerKey(i: Instruction): string {
  let key = `${i.row.id}.${i.operandSize}.${i.addressSize}.${i.mode === 64 ? 64 : 32}${i.repeat}`;
  for (const operand of i.operands) key += `.${operand.kind.slice(0, 2)}${operand.width}`;
  // POP to memory depends on whether the address is based on RSP.
  if (i.row.mnemonic === 'POP' && i.memory?.base === 4) key += '.rsp';
  return key;
}

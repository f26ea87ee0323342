/**
 * The decoded form that generated code reads: one record an instruction, in the machine's WebAssembly memory. A record
 * belongs to a place in a code frame and stays there until everything is dropped: neighbours point at it. A place that
 * is known but not decoded, or whose bytes were written to, has a record with the decode handler.
 *
 *    0  u32  slot of the handler in the function table
 *    4  u32  record of the instruction that follows
 *    8  u32  record of a relative branch's target in the same page; 0 when it is elsewhere
 *   12  u16  offset in the page
 *   14  u16  offset of the end; beyond the page when the instruction crosses it
 *   16  u16  offset from the processor's base of the first, second and third register operand (xmm and mmx
 *            registers too, ymm registers by their lower half); i of ST(i)
 *   22  u16  offset of the base register (the code page for RIP-relative), or of a fourth register operand, which only
 *            forms without memory have
 *   24  u16  offset of the index register
 *   26  u16  scale as a shift count
 *   28  u16  offset of the segment base
 *   30  u16  segment register number
 *   32  u32  second immediate, or for system instructions the number of the kept Instruction
 *   36  u32  cost in twelfths of a cycle, for system instructions (the handlers of all others know theirs)
 *   40  i64  displacement; of RIP-relative operands, from the code page
 *   48  i64  immediate, extended to 64 bits
 *   56  u16  of an entry of a region: number of its block (hot-regions.ts)
 *   58  u16  slot of the handler of the instruction's form, also when another one stands in `handler`
 *   60  u32  of an entry of a region: cycles (twelfths) that its block may take before its last instruction; of a place
 *            whose executions are counted: how many are left
 */
import { type Instruction, NO_REGISTER, type Operand, RIP_REGISTER, Segment } from '../../x86/instruction.ts';
import { OFFSET } from '../state.ts';

export const RECORD_BYTES = 64;

export const RECORD = {
  handler: 0,
  next: 4,
  target: 8,
  start: 12,
  end: 14,
  registers: [16, 18, 20, 22],
  base: 22,
  index: 24,
  scale: 26,
  segmentBase: 28,
  segment: 30,
  immediate2: 32,
  cost: 36,
  displacement: 40,
  immediate: 48,
  entry: 56,
  own: 58,
  worst: 60,
} as const;

/** Offsets of a vector register's words from its lowest one's. */
export const VECTOR_WORDS = [0, 8, OFFSET.ymmHigh - OFFSET.xmm, OFFSET.ymmHigh - OFFSET.xmm + 8] as const;

/** Slots of the function table that the loop module fills; handlers of instruction forms come behind. */
export const SLOT = {
  /** Records with this handler have not been decoded. */
  decode: 0,
  /** Records with this handler stand for an address outside the page. */
  lookup: 1,
  system: 2,
  firstHandler: 3,
  /** Handlers of forms end before; regions of compiled code come from here on. */
  firstRegion: 0x8000,
} as const;

/** Operands whose register is named in the record. */
export function isRegisterOperand({ kind }: Operand): boolean {
  return kind === 'register' || kind === 'xmm' || kind === 'ymm' || kind === 'mmx' || kind === 'x87';
}

/** Offset of a register operand's storage from the processor's base; an x87 operand is relative to the top of the stack. */
export function registerOffset(operand: Operand): number {
  switch (operand.kind) {
    case 'x87':
      return operand.index;
    case 'mmx':
      return OFFSET.st + operand.index * 16;
    case 'xmm':
    case 'ymm':
      return OFFSET.xmm + operand.index * 16;
    default:
      return OFFSET.gpr + operand.index * 8 + (operand.high ? 1 : 0);
  }
}

/** An address form has a base of zero that handlers leave out: 64-bit mode, and no FS or GS. */
export function hasFlatSegment(i: Instruction): boolean {
  return i.mode === 64 && (i.memory === undefined || i.memory.segment < Segment.FS);
}

/** Shifts and rotations by a constant: each count has a handler of its own, with most of the flags' work folded away. */
export function hasFixedImmediate({ row, operands }: Instruction): boolean {
  return /^(SH[LR]D?|SAL|SAR|RO[LR]|RC[LR])$/.test(row.mnemonic) && operands.at(-1)?.kind === 'immediate';
}

/** The fields that depend on the instruction alone and its end in the page; `handler`, `next`, `target` and `start` are the engine's. */
export function writeRecord(view: DataView, at: number, i: Instruction, end: number, extra: number): void {
  view.setUint16(at + RECORD.end, end, true);
  let register = 0;
  for (const operand of i.operands) {
    if (!isRegisterOperand(operand)) continue;
    view.setUint16(at + RECORD.registers[register++], registerOffset(operand), true);
  }
  view.setUint32(at + RECORD.immediate2, extra, true);
  view.setBigInt64(at + RECORD.immediate, BigInt.asIntN(64, i.immediate), true);
  const { memory } = i;
  if (memory === undefined) return;
  const ripRelative = memory.base === RIP_REGISTER;
  const slot = (number: number): number => (number === NO_REGISTER ? OFFSET.zero : OFFSET.gpr + number * 8);
  view.setUint16(at + RECORD.base, ripRelative ? OFFSET.codePage : slot(memory.base), true);
  view.setUint16(at + RECORD.index, slot(memory.index), true);
  view.setUint16(at + RECORD.scale, memory.scale, true);
  view.setUint16(at + RECORD.segmentBase, OFFSET.segmentBase + memory.segment * 8, true);
  view.setUint16(at + RECORD.segment, memory.segment, true);
  view.setBigInt64(at + RECORD.displacement, BigInt.asIntN(64, memory.displacement + (ripRelative ? BigInt(end) : 0n)), true);
}

/**
 * Everything about an instruction that its handler's code depends on; instructions with equal keys share a handler.
 * Register numbers, displacements and most immediates are not part of it: they are read from the record.
 */
export function handlerKey(i: Instruction): string {
  const { memory } = i;
  let key = `${i.row.id}.${i.operandSize}.${i.addressSize}.${i.mode === 64 ? 64 : 32}${i.repeat}${i.lock ? 'lock' : ''}`;
  for (const operand of i.operands) key += `.${operand.kind.slice(0, 2)}${operand.width}`;
  if (hasFixedImmediate(i)) key += `#${i.immediate}`;
  if (!hasFlatSegment(i)) key += '.s';
  if (memory === undefined) return key;
  // The scale of a VSIB index is no part of the effective address.
  if (i.row.vectorIndex) key += `.${memory.scale}`;
  if (memory.base !== NO_REGISTER) key += '.b';
  if (memory.index !== NO_REGISTER) key += memory.scale === 0 ? '.i' : '.n';
  // POP to memory depends on whether the address is based on RSP.
  if (i.row.mnemonic === 'POP' && memory.base === 4) key += '.rsp';
  return key;
}

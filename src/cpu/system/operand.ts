/**
 * Operands of system instructions: registers by number and width, memory through segment, canonical and page checks.
 * Reads give undefined, and writes false, when a fault was recorded.
 *
 * A handler is called with RIP already after its instruction and the row's cost charged; when it returns Status.FAULT the
 * engine puts RIP back to the instruction, and nothing may have been committed.
 * Sources: SDM 1 §3.7 (operand addressing), SDM 2A §2.2.1.6 (RIP-relative).
 */
import { type Instruction, NO_REGISTER, type Operand, RIP_REGISTER, Segment } from '../../x86/instruction.ts';
import { Status } from '../engine.ts';
import { checkSegment } from '../mmu/segmentation.ts';
import { checkCanonical, privilegeOf, readLinear, writeLinear } from '../mmu/system-access.ts';
import type { Processor } from '../processor.ts';
import { OFFSET } from '../state.ts';

export type Handler = (processor: Processor, instruction: Instruction) => Status;

/** Offset of the memory operand in its segment. */
export function effectiveAddress(processor: Processor, instruction: Instruction): bigint {
  const { state } = processor;
  const { memory } = instruction;
  if (memory === undefined) throw new Error(`${instruction.row.mnemonic} has no memory operand`);
  let address = memory.displacement;
  if (memory.base === RIP_REGISTER) address += state.get('rip');
  else if (memory.base !== NO_REGISTER) address += state.get('gpr', memory.base);
  if (memory.index !== NO_REGISTER) address += state.get('gpr', memory.index) << BigInt(memory.scale);
  return BigInt.asUintN(instruction.addressSize, address);
}

/** Linear address of `size` bytes at `delta` in the memory operand; undefined when a check failed. */
export function operandAddress(
  processor: Processor,
  instruction: Instruction,
  size: number,
  write: boolean,
  delta = 0,
): bigint | undefined {
  const { state } = processor;
  const segment = instruction.memory?.segment ?? Segment.DS;
  const offset = BigInt.asUintN(instruction.addressSize, effectiveAddress(processor, instruction) + BigInt(delta));
  if (state.get32('codeMode') === 64) {
    const base = segment === Segment.FS || segment === Segment.GS ? state.get('segmentBase', segment) : 0n;
    const linear = BigInt.asUintN(64, base + offset);
    return checkCanonical(processor, linear, size, segment === Segment.SS) ? linear : undefined;
  }
  if (state.u8[segmentCheckOffset(segment)] !== 0 && !checkSegment(processor, segment, Number(offset), size, write)) {
    return undefined;
  }
  return (state.get('segmentBase', segment) + offset) & 0xffff_ffffn;
}

function segmentCheckOffset(segment: number): number {
  return OFFSET.segmentCheck + segment;
}

/** Reads `size` bytes at `delta` of the memory operand as the current code. */
export function readMemory(processor: Processor, instruction: Instruction, size: number, delta = 0): bigint | undefined {
  const linear = operandAddress(processor, instruction, size, false, delta);
  if (linear === undefined) return undefined;
  return readLinear(processor, linear, size, privilegeOf(processor.state.get32('cpl')));
}

export function writeMemory(processor: Processor, instruction: Instruction, size: number, value: bigint, delta = 0): boolean {
  const linear = operandAddress(processor, instruction, size, true, delta);
  if (linear === undefined) return false;
  return writeLinear(processor, linear, size, value, privilegeOf(processor.state.get32('cpl')));
}

export function operandOf(instruction: Instruction, index: number): Operand {
  const operand = instruction.operands[index];
  if (operand === undefined) throw new Error(`${instruction.row.mnemonic} has no operand ${index}`);
  return operand;
}

/** Value of a register or memory operand, zero-extended from `width` bits. */
export function readOperand(
  processor: Processor,
  instruction: Instruction,
  operand: Operand,
  width: number = operand.width,
): bigint | undefined {
  if (operand.kind === 'memory') return readMemory(processor, instruction, width / 8);
  if (operand.kind === 'immediate') return BigInt.asUintN(width, instruction.immediate);
  const value = processor.state.get('gpr', operand.index);
  return BigInt.asUintN(width, operand.high ? value >> 8n : value);
}

/** Writes with the width's rule: 8 and 16 bits keep the rest of a register, 32 clear the upper half. */
export function setRegister(processor: Processor, index: number, width: number, value: bigint): void {
  const { state } = processor;
  const old = state.get('gpr', index);
  if (width === 64) state.set('gpr', BigInt.asUintN(64, value), index);
  else if (width === 32) state.set('gpr', BigInt.asUintN(32, value), index);
  else {
    const mask = (1n << BigInt(width)) - 1n;
    state.set('gpr', (old & ~mask) | (value & mask), index);
  }
}

export function writeOperand(
  processor: Processor,
  instruction: Instruction,
  operand: Operand,
  value: bigint,
  width: number = operand.width,
): boolean {
  if (operand.kind === 'memory') return writeMemory(processor, instruction, width / 8, BigInt.asUintN(width, value));
  setRegister(processor, operand.index, width, value);
  return true;
}

/** Ends an instruction that changed mode, translation, privilege or what may interrupt. */
export function resync(processor: Processor): Status {
  processor.breakRun();
  return Status.RESYNC;
}

/** Bytes of the offset of a far pointer in memory: AMD's processors have none of 64 bits and ignore REX.W (APM 3 CALL, JMP, LDS). */
export function farOffsetBytes({ cpuid }: Processor, { operandSize }: Instruction): number {
  return operandSize === 64 && cpuid.vendor === 'AuthenticAMD' ? 4 : operandSize / 8;
}

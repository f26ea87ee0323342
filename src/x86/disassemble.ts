/**
 * Intel-syntax text of a decoded instruction, for traces, errors and the debugger:
 * `lock add dword ptr [rbx+rcx*4-0x10], 0x1`, `rep movs byte ptr es:[rdi], byte ptr ds:[rsi]`, `jne 0x401000`.
 * The choices (sizes always written, branch targets absolute, immediates unsigned at operand width) are those of the GNU
 * disassembler, so that the two can be compared.
 * Sources: SDM 2 (mnemonics), SDM 1 §1.3.2 (notation).
 */

import { type Instruction, type MemoryOperand, NO_REGISTER, RIP_REGISTER, Segment } from './instruction.ts';
import {
  GENERAL_REGISTERS_16,
  GENERAL_REGISTERS_32,
  GENERAL_REGISTERS_64,
  generalRegisterName,
  SEGMENT_REGISTER_NAMES,
} from './registers.ts';

const SIZE_NAMES: Readonly<Record<number, string>> = {
  8: 'byte ptr ',
  16: 'word ptr ',
  32: 'dword ptr ',
  48: 'fword ptr ',
  64: 'qword ptr ',
  80: 'tbyte ptr ',
  128: 'xmmword ptr ',
  256: 'ymmword ptr ',
};

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function addressRegister(index: number, size: number): string {
  if (index === RIP_REGISTER) return size === 64 ? 'rip' : 'eip';
  const names = size === 64 ? GENERAL_REGISTERS_64 : size === 32 ? GENERAL_REGISTERS_32 : GENERAL_REGISTERS_16;
  return names[index] ?? '?';
}

function defaultSegment(memory: MemoryOperand): number {
  return memory.base === 4 || memory.base === 5 ? Segment.SS : Segment.DS;
}

/** `[base+index*scale+displacement]` with its segment when that is not the default, or must be shown. */
function memoryText(memory: MemoryOperand, addressSize: number, showSegment: boolean, vectorIndex = ''): string {
  const { base, index, scale, displacement, segment } = memory;
  const segmentName = `${SEGMENT_REGISTER_NAMES[segment]}:`;
  if (base === NO_REGISTER && index === NO_REGISTER && vectorIndex === '') {
    return segmentName + hex(BigInt.asUintN(addressSize, displacement));
  }
  const prefix = showSegment || segment !== defaultSegment(memory) ? segmentName : '';
  const terms: string[] = [];
  if (base !== NO_REGISTER) terms.push(addressRegister(base, addressSize));
  if (index !== NO_REGISTER) {
    const name = addressRegister(index, addressSize);
    terms.push(addressSize === 16 ? name : `${name}*${1 << scale}`);
  }
  if (vectorIndex !== '') terms.push(`${vectorIndex}*${1 << scale}`);
  const sum = terms.join('+');
  if (displacement === 0n) return `${prefix}[${sum}]`;
  const sign = displacement < 0n ? '-' : '+';
  return `${prefix}[${sum}${sign}${hex(displacement < 0n ? -displacement : displacement)}]`;
}

/** Width of the memory access that an operand of the row's notation names; 0 = the size is not written. */
function writtenWidth(notation: string, width: number): number {
  return notation === 'm16:v' ? width + 16 : width;
}

function immediateText(instruction: Instruction, notation: string, width: number, first: boolean): string {
  if (!first) return hex(BigInt(instruction.immediate2));
  const extended = notation === 'imm8s' || notation === 'immz' || notation === 'immv';
  return hex(BigInt.asUintN(extended ? Math.max(width, instruction.operandSize) : width, instruction.immediate));
}

function operandText(instruction: Instruction, position: number, address: bigint): string {
  const operand = instruction.operands[position];
  const notation = instruction.row.operands[position] ?? '';
  if (operand === undefined) return '';
  switch (operand.kind) {
    case 'register':
      return generalRegisterName(operand.index, operand.width, operand.high);
    case 'segment':
      return SEGMENT_REGISTER_NAMES[operand.index] ?? '?';
    case 'control':
      return `cr${operand.index}`;
    case 'debug':
      return `dr${operand.index}`;
    case 'xmm':
      return `xmm${operand.index}`;
    case 'ymm':
      return `ymm${operand.index}`;
    case 'mmx':
      return `mm${operand.index}`;
    case 'x87':
      return `st(${operand.index})`;
    case 'immediate': {
      if (notation === '1') return '1';
      const first = instruction.operands.findIndex(({ kind }) => kind === 'immediate') === position;
      return immediateText(instruction, notation, operand.width, first);
    }
    case 'relative': {
      const target = address + BigInt(instruction.length) + instruction.immediate;
      return hex(BigInt.asUintN(instruction.operandSize, target));
    }
    case 'far-pointer':
      return `${hex(BigInt(instruction.immediate2))}:${hex(instruction.immediate)}`;
    case 'memory': {
      if (instruction.memory === undefined) return '?';
      const size = SIZE_NAMES[writtenWidth(notation, operand.width)] ?? '';
      return (
        size +
        memoryText(
          memoryOf(instruction, position, instruction.memory),
          instruction.addressSize,
          isImplied(instruction),
          vectorIndexOf(instruction),
        )
      );
    }
  }
}

/** Name of the index register of a VSIB operand, the last of the operands. */
function vectorIndexOf({ row, operands }: Instruction): string {
  const last = operands.at(-1);
  return row.vectorIndex && last !== undefined ? `${last.kind}${last.index}` : '';
}

/** String and table instructions: the address is not encoded and the segment is always written. */
function isImplied({ row }: Instruction): boolean {
  return row.repeatable || row.mnemonic === 'XLAT';
}

/** MOVS and CMPS have two memory operands; the decoded one is the source, the other ES:[rDI]. */
function memoryOf({ row }: Instruction, position: number, memory: MemoryOperand): MemoryOperand {
  const destination = row.mnemonic === 'MOVS' ? 0 : row.mnemonic === 'CMPS' ? 1 : -1;
  return position === destination ? { ...memory, segment: Segment.ES, base: 7 } : memory;
}

function repeatText({ row, repeat }: Instruction): string {
  if (repeat === 'repne') return 'repne ';
  if (repeat === '') return '';
  return row.mnemonic === 'CMPS' || row.mnemonic === 'SCAS' ? 'repe ' : 'rep ';
}

/** Text of an instruction that stands at `address`, which relative branches need. */
export function disassemble(instruction: Instruction, address: bigint): string {
  const mnemonic = instruction.row.mnemonic.toLowerCase();
  const operands = instruction.row.operands.map((_, position) => operandText(instruction, position, address)).join(', ');
  const prefix = instruction.lock ? 'lock ' : repeatText(instruction);
  return operands === '' ? prefix + mnemonic : `${prefix}${mnemonic} ${operands}`;
}

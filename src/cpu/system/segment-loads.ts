/**
 * Loads and stores of segment registers: MOV, PUSH, POP, LDS and its kin, SWAPGS, RDFSBASE and its kin.
 * Sources: SDM 2B MOV, POP, PUSH; SDM 2A LDS, SDM 2B SWAPGS, RDFSBASE, WRFSBASE; SDM 3A §6.8.3 (shadow of a load of SS).
 */
import { Cr4 } from '../../x86/control-registers.ts';
import { Vector } from '../../x86/exceptions.ts';
import { type Instruction, Segment } from '../../x86/instruction.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { Register } from '../../x86/registers.ts';
import { Status } from '../engine.ts';
import { loadSegment } from '../mmu/segmentation.ts';
import type { Processor } from '../processor.ts';
import { Shadow } from '../shadow.ts';
import { farOffsetBytes, type Handler, operandOf, readMemory, readOperand, resync, setRegister, writeMemory } from './operand.ts';
import { peekStack, pushOne, setStackPointer } from './stack.ts';

/** Ends a load; interrupts and debug exceptions wait for one more instruction after one of SS. */
function loaded(processor: Processor, segment: number): Status {
  if (segment !== Segment.SS) return Status.CONTINUE;
  processor.state.set32('interruptShadow', Shadow.FRESH | Shadow.BY_SS);
  return resync(processor);
}

export const movToSegment: Handler = (processor, instruction) => {
  const segment = operandOf(instruction, 0).index;
  if (segment === Segment.CS || segment > Segment.GS) return processor.fault(Vector.UD);
  const selector = readOperand(processor, instruction, operandOf(instruction, 1), 16);
  if (selector === undefined || !loadSegment(processor, segment, Number(selector))) return Status.FAULT;
  return loaded(processor, segment);
};

/** A register takes the selector zero-extended in operand size, memory 16 bits of it. */
export const movFromSegment: Handler = (processor, instruction) => {
  const target = operandOf(instruction, 0);
  const segment = operandOf(instruction, 1).index;
  if (segment > Segment.GS) return processor.fault(Vector.UD);
  const selector = BigInt(processor.state.get32('segmentSelector', segment));
  if (target.kind === 'memory') return writeMemory(processor, instruction, 2, selector) ? Status.CONTINUE : Status.FAULT;
  setRegister(processor, target.index, target.width, selector);
  return Status.CONTINUE;
};

/** A 32-bit push of a selector leaves the upper half of the stack word on Intel's processors (SDM 2B PUSH), not on AMD's. */
export const pushSegment: Handler = (processor, instruction) => {
  const selector = BigInt(processor.state.get32('segmentSelector', operandOf(instruction, 0).index));
  const bytes = instruction.operandSize / 8;
  const short = instruction.operandSize === 32 && processor.cpuid.vendor !== 'AuthenticAMD';
  return pushOne(processor, selector, bytes, short ? 2 : bytes) ? Status.CONTINUE : Status.FAULT;
};

export const popSegment: Handler = (processor, instruction) => {
  const { state } = processor;
  const segment = operandOf(instruction, 0).index;
  const bytes = instruction.operandSize / 8;
  const selector = peekStack(processor, 0, 2);
  if (selector === undefined) return Status.FAULT;
  const mask = state.get('stackMask');
  const pointer = state.get('gpr', Register.RSP) + BigInt(bytes);
  if (!loadSegment(processor, segment, Number(selector))) return Status.FAULT;
  setStackPointer(processor, pointer, mask);
  return loaded(processor, segment);
};

/** LDS, LES, LSS, LFS, LGS: offset, then selector. */
function farLoad(segment: number): Handler {
  return (processor, instruction) => {
    const bytes = farOffsetBytes(processor, instruction);
    const offset = readMemory(processor, instruction, bytes);
    if (offset === undefined) return Status.FAULT;
    const selector = readMemory(processor, instruction, 2, bytes);
    if (selector === undefined || !loadSegment(processor, segment, Number(selector))) return Status.FAULT;
    setRegister(processor, operandOf(instruction, 0).index, instruction.operandSize, offset);
    // LSS sets no shadow: it loads the pointer too.
    return Status.CONTINUE;
  };
}

const swapgs: Handler = (processor) => {
  const { state } = processor;
  if (state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
  const base = state.get('segmentBase', Segment.GS);
  state.set('segmentBase', state.get('kernelGsBase'), Segment.GS);
  state.set('kernelGsBase', base);
  return Status.CONTINUE;
};

function baseAllowed(processor: Processor): boolean {
  return (processor.state.get32('cr4') & Cr4.FSGSBASE) !== 0;
}

function readBase(segment: number): Handler {
  return (processor, instruction: Instruction) => {
    if (!baseAllowed(processor)) return processor.fault(Vector.UD);
    const target = operandOf(instruction, 0);
    setRegister(processor, target.index, target.width, processor.state.get('segmentBase', segment));
    return Status.CONTINUE;
  };
}

function writeBase(segment: number): Handler {
  return (processor, instruction) => {
    if (!baseAllowed(processor)) return processor.fault(Vector.UD);
    const value = readOperand(processor, instruction, operandOf(instruction, 0));
    if (value === undefined) return Status.FAULT;
    if (!isCanonical(value)) return processor.faultWithCode(Vector.GP, 0);
    processor.state.set('segmentBase', value, segment);
    return Status.CONTINUE;
  };
}

export const SEGMENT_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  LES: farLoad(Segment.ES),
  LDS: farLoad(Segment.DS),
  LSS: farLoad(Segment.SS),
  LFS: farLoad(Segment.FS),
  LGS: farLoad(Segment.GS),
  SWAPGS: swapgs,
  RDFSBASE: readBase(Segment.FS),
  RDGSBASE: readBase(Segment.GS),
  WRFSBASE: writeBase(Segment.FS),
  WRGSBASE: writeBase(Segment.GS),
};

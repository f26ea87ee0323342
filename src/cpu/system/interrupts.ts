/**
 * INT n, INT3, INTO, INT1, BOUND, IRET, CLI, STI, POPF: what raises, ends or holds off events.
 * Sources: SDM 2A INT n, IRET, BOUND, CLI, SDM 2B STI, POPF; SDM 3A §6.8 (masking).
 */
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Register } from '../../x86/registers.ts';
import { Status } from '../engine.ts';
import { recordTrap } from '../fault/event.ts';
import { interruptReturn } from '../fault/return.ts';
import { inVirtual8086Mode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { ioPrivilegeLevel, writeFlags } from './flags.ts';
import { type Handler, operandOf, readMemory, readOperand, resync } from './operand.ts';
import { peekStack, setStackPointer } from './stack.ts';

/** In virtual-8086 mode INT n, IRET, PUSHF and POPF, like CLI and STI, are for IOPL 3 only (SDM 3A §20.2.7). */
function isSensitive(processor: Processor): boolean {
  return inVirtual8086Mode(processor.state) && ioPrivilegeLevel(processor) !== 3;
}

/** The instruction is complete; the run loop delivers the event, which checks the gate's DPL. */
function software(vectorOf: (immediate: bigint) => number, kind: 'INT n' | 'INT3' | 'INT1'): Handler {
  return (processor, instruction) => {
    if (kind === 'INT n' && isSensitive(processor)) return processor.faultWithCode(Vector.GP, 0);
    recordTrap(processor, vectorOf(instruction.immediate), instruction.length, kind === 'INT1');
    return Status.TRAP;
  };
}

const into: Handler = (processor, instruction) => {
  if ((processor.state.get32('rflags') & Flag.OF) === 0) return Status.CONTINUE;
  recordTrap(processor, Vector.OF, instruction.length);
  return Status.TRAP;
};

const bound: Handler = (processor, instruction) => {
  const width = instruction.operandSize;
  const value = readOperand(processor, instruction, operandOf(instruction, 0));
  const lower = readMemory(processor, instruction, width / 8);
  const upper = lower === undefined ? undefined : readMemory(processor, instruction, width / 8, width / 8);
  if (value === undefined || lower === undefined || upper === undefined) return Status.FAULT;
  const signed = (word: bigint): bigint => BigInt.asIntN(width, word);
  if (signed(value) < signed(lower) || signed(value) > signed(upper)) return processor.fault(Vector.BR);
  return Status.CONTINUE;
};

const iret: Handler = (processor, instruction) => {
  const status = interruptReturn(processor, instruction.operandSize);
  if (status !== Status.FAULT) processor.charge('iret');
  return status;
};

const cli: Handler = (processor) => {
  const { state } = processor;
  if (state.get32('cpl') > ioPrivilegeLevel(processor)) return processor.faultWithCode(Vector.GP, 0);
  state.set('rflags', state.get('rflags') & ~BigInt(Flag.IF));
  return Status.CONTINUE;
};

/** Interrupts wait for one more instruction, when they were masked before. */
const sti: Handler = (processor) => {
  const { state } = processor;
  if (state.get32('cpl') > ioPrivilegeLevel(processor)) return processor.faultWithCode(Vector.GP, 0);
  const flags = state.get('rflags');
  if ((flags & BigInt(Flag.IF)) !== 0n) return Status.CONTINUE;
  state.set('rflags', flags | BigInt(Flag.IF));
  state.set32('interruptShadow', 1);
  return resync(processor);
};

const popf: Handler = (processor, instruction) => {
  const { state } = processor;
  if (isSensitive(processor)) return processor.faultWithCode(Vector.GP, 0);
  const bytes = instruction.operandSize / 8;
  const flags = peekStack(processor, 0, bytes);
  if (flags === undefined) return Status.FAULT;
  setStackPointer(processor, state.get('gpr', Register.RSP) + BigInt(bytes), state.get('stackMask'));
  writeFlags(processor, flags, instruction.operandSize);
  return Status.CONTINUE;
};

export const INTERRUPT_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  INT: software((immediate) => Number(immediate & 0xffn), 'INT n'),
  INT3: software(() => Vector.BP, 'INT3'),
  INT1: software(() => Vector.DB, 'INT1'),
  INTO: into,
  BOUND: bound,
  IRET: iret,
  IRETD: iret,
  IRETQ: iret,
  CLI: cli,
  STI: sti,
  POPF: popf,
  POPFD: popf,
  POPFQ: popf,
};

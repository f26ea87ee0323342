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
import { interruptFlagOf, isRedirected, maskUsesVif, popVirtualFlags, setVif, virtualInterrupt } from './virtual-interrupts.ts';

/**
 * INT n of virtual-8086 code, which like IRET, PUSHF, POPF, CLI and STI there is for IOPL 3 only, unless VME lets it stay
 * inside (SDM 3A §20.2.7). Undefined: it goes through the IDT.
 */
function withinVirtual8086(processor: Processor, vector: number): Status | undefined {
  const stays = isRedirected(processor, vector);
  if (stays === undefined) return Status.FAULT;
  if (stays) return virtualInterrupt(processor, vector);
  return ioPrivilegeLevel(processor) === 3 ? undefined : processor.faultWithCode(Vector.GP, 0);
}

/** The instruction is complete; the run loop delivers the event, which checks the gate's DPL. */
function software(vectorOf: (immediate: bigint) => number, kind: 'INT n' | 'INT3' | 'INT1'): Handler {
  return (processor, instruction) => {
    const vector = vectorOf(instruction.immediate);
    if (kind === 'INT n' && inVirtual8086Mode(processor.state)) {
      const status = withinVirtual8086(processor, vector);
      if (status !== undefined) return status;
    }
    recordTrap(processor, vector, instruction.length, kind === 'INT1');
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
  if (state.get32('cpl') > ioPrivilegeLevel(processor)) {
    if (!maskUsesVif(processor)) return processor.faultWithCode(Vector.GP, 0);
    setVif(processor, false);
    return Status.CONTINUE;
  }
  state.set('rflags', state.get('rflags') & ~BigInt(Flag.IF));
  return Status.CONTINUE;
};

/** Interrupts wait for one more instruction, when they were masked before. */
const sti: Handler = (processor) => {
  const { state } = processor;
  const flags = state.get('rflags');
  if (state.get32('cpl') > ioPrivilegeLevel(processor)) {
    const interruptWaits = (flags & BigInt(Flag.VIP)) !== 0n;
    if (!maskUsesVif(processor) || interruptWaits) return processor.faultWithCode(Vector.GP, 0);
    setVif(processor, true);
    return Status.CONTINUE;
  }
  if ((flags & BigInt(Flag.IF)) !== 0n) return Status.CONTINUE;
  state.set('rflags', flags | BigInt(Flag.IF));
  state.set32('interruptShadow', 1);
  return resync(processor);
};

const popf: Handler = (processor, instruction) => {
  const { state } = processor;
  const bytes = instruction.operandSize / 8;
  const flag = interruptFlagOf(processor, instruction.operandSize);
  if (flag === 'refused') return processor.faultWithCode(Vector.GP, 0);
  const flags = peekStack(processor, 0, bytes);
  if (flags === undefined) return Status.FAULT;
  if (flag === 'VIF') {
    if (!popVirtualFlags(processor, flags)) return Status.FAULT;
    setStackPointer(processor, state.get('gpr', Register.RSP) + BigInt(bytes), state.get('stackMask'));
    return Status.CONTINUE;
  }
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

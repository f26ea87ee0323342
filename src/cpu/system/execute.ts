/**
 * System instructions, which engines do not execute from definitions: the table of their handlers, and the one entry
 * that engines call. An instruction in neither place is undefined on this processor.
 * Source: SDM 1 §5.20-5.22 (groups of system instructions).
 */
import type { Instruction } from '../../x86/instruction.ts';
import { Vector } from '../../x86/exceptions.ts';
import type { Status } from '../engine.ts';
import type { Processor } from '../processor.ts';
import { CONTROL_REGISTER_INSTRUCTIONS, controlMove } from './control-registers.ts';
import { DESCRIPTOR_TABLE_INSTRUCTIONS } from './descriptor-tables.ts';
import { FAR_TRANSFER_INSTRUCTIONS, isFar } from './far-transfer.ts';
import { FAST_SYSTEM_CALL_INSTRUCTIONS } from './fast-system-call.ts';
import { FX_INSTRUCTIONS } from './fx-instructions.ts';
import { INTERRUPT_INSTRUCTIONS } from './interrupts.ts';
import type { Handler } from './operand.ts';
import { PORT_INSTRUCTIONS } from './ports.ts';
import { PROCESSOR_CONTROL_INSTRUCTIONS } from './processor-control.ts';
import { movFromSegment, movToSegment, popSegment, pushSegment, SEGMENT_INSTRUCTIONS } from './segment-loads.ts';
import { SEGMENT_QUERY_INSTRUCTIONS } from './segment-queries.ts';
import { STRING_COMPARISON_INSTRUCTIONS } from './string-comparison.ts';
import { XSAVE_INSTRUCTIONS } from './xsave.ts';
import { X87_ENVIRONMENT_INSTRUCTIONS } from './x87-environment.ts';

const HANDLERS: ReadonlyMap<string, Handler> = new Map<string, Handler>(
  [
    CONTROL_REGISTER_INSTRUCTIONS,
    DESCRIPTOR_TABLE_INSTRUCTIONS,
    FAST_SYSTEM_CALL_INSTRUCTIONS,
    FX_INSTRUCTIONS,
    INTERRUPT_INSTRUCTIONS,
    PORT_INSTRUCTIONS,
    PROCESSOR_CONTROL_INSTRUCTIONS,
    SEGMENT_INSTRUCTIONS,
    SEGMENT_QUERY_INSTRUCTIONS,
    STRING_COMPARISON_INSTRUCTIONS,
    XSAVE_INSTRUCTIONS,
    X87_ENVIRONMENT_INSTRUCTIONS,
  ].flatMap((family) => Object.entries(family)),
);

const FAR: ReadonlyMap<string, Handler> = new Map(Object.entries(FAR_TRANSFER_INSTRUCTIONS));

/** The handler of an instruction; undefined when it is none of the system's. */
export function systemHandler(instruction: Instruction): Handler | undefined {
  const { mnemonic } = instruction.row;
  switch (mnemonic) {
    case 'MOV':
      if (instruction.operands[0]?.kind === 'segment') return movToSegment;
      if (instruction.operands[1]?.kind === 'segment') return movFromSegment;
      return controlMove(instruction);
    case 'PUSH':
      return instruction.operands[0]?.kind === 'segment' ? pushSegment : undefined;
    case 'POP':
      return instruction.operands[0]?.kind === 'segment' ? popSegment : undefined;
    case 'RETF':
      return FAR.get(mnemonic);
    case 'CALL':
    case 'JMP':
      return isFar(instruction) ? FAR.get(mnemonic) : undefined;
    default:
      return HANDLERS.get(mnemonic);
  }
}

/**
 * Executes one system instruction. RIP is after it and the cost of its row is charged; on Status.FAULT the engine puts
 * RIP back. CONTINUE: the next instruction follows. RESYNC: privilege, mode or translation may have changed, or something
 * may interrupt. TRAP: an event is due (fault/event.ts). HALT and REPEAT as in engine.ts.
 */
export function executeSystem(processor: Processor, instruction: Instruction): Status {
  const handler = systemHandler(instruction);
  if (handler === undefined) return processor.fault(Vector.UD);
  return handler(processor, instruction);
}

/**
 * The x87 instructions that only touch the control and status words and never wait for pending exceptions: FNINIT,
 * FNCLEX, FNSTCW, FNSTSW. Kernels use them to reset the unit and to find out about it.
 * Source: SDM 2A FCLEX, FINIT, FSTCW, FSTSW; SDM 1 §8.1.3 (status word).
 */
import { Cr0 } from '../../x86/control-registers.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Status } from '../engine.ts';
import type { Processor } from '../processor.ts';
import { type Handler, operandOf, writeOperand } from './operand.ts';

/** All exceptions masked, extended precision, round to nearest. */
const INITIAL_CONTROL = 0x37f;
/** TOP and the condition codes: what FNCLEX leaves. */
const STATUS_KEPT = 0x7f00;

/** A handler that runs after #NM with CR0.EM or CR0.TS. */
const x87 =
  (body: Handler): Handler =>
  (processor, instruction) => {
    if ((processor.state.get32('cr0') & (Cr0.EM | Cr0.TS)) !== 0) return processor.fault(Vector.NM);
    return body(processor, instruction);
  };

/** To a 16-bit memory operand, or to AX. */
const store = (word: (processor: Processor) => number): Handler =>
  x87((processor, instruction) => {
    const value = BigInt(word(processor));
    return writeOperand(processor, instruction, operandOf(instruction, 0), value, 16) ? Status.CONTINUE : Status.FAULT;
  });

export const X87_CONTROL_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  FNINIT: x87(({ state }) => {
    state.set32('fpuControl', INITIAL_CONTROL);
    state.set32('fpuStatus', 0);
    state.set32('fpuTag', 0);
    return Status.CONTINUE;
  }),
  FNCLEX: x87(({ state }) => {
    state.set32('fpuStatus', state.get32('fpuStatus') & STATUS_KEPT);
    return Status.CONTINUE;
  }),
  FNSTCW: store(({ state }) => state.get32('fpuControl')),
  FNSTSW: store(({ state }) => state.get32('fpuStatus')),
};

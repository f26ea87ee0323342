/**
 * The contract between an execution engine (reference evaluator, interpreter, JIT) and the processor around it.
 *
 * An engine executes instructions of one processor until something happens that it does not do itself, and says what.
 * Between two instructions all state is in {@link CpuState} and guest memory.
 */
import type { Processor } from './processor.ts';

/** What one instruction, or a run of them, came to. Numbers are shared with generated code. */
export const Status = {
  /** Go on with the next instruction. */
  CONTINUE: 0,
  /** The instruction faulted: RIP is at it, nothing is committed, `faultVector`... describe it. */
  FAULT: 1,
  /** `cycles` reached `deadline`: an interrupt, timer or the budget is due. */
  DEADLINE: 2,
  /** The engine needs the instruction at RIP decoded (interpreter and JIT only; handled inside the engine). */
  DECODE: 3,
  /** A system instruction changed mode, translation or privilege: the engine asks again for its fetch page. */
  RESYNC: 4,
  /** HLT was executed: RIP is after it, `halted` is 1. */
  HALT: 5,
  /** A trap: the instruction is complete and RIP is after it, `faultVector`... describe it (#DB, INT n, INT3, INTO). */
  TRAP: 6,
  /** The owner of the run asked to stop (power-off, a console match, a breakpoint). */
  STOP: 7,
  /** The instruction is a repeated string instruction that stopped between elements; RIP is at it. */
  REPEAT: 8,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

export interface Engine {
  readonly name: string;
  /**
   * Executes from RIP until `cycles >= deadline` or another status. Never delivers events itself.
   * Sets state.instructions and state.cycles exactly, the same on every engine.
   */
  execute(processor: Processor): Status;
  /** Executes exactly one instruction (one element of a repeated string instruction may be left to go on). */
  step(processor: Processor): Status;
  /** Host code wrote to a frame that this engine had marked in PhysicalMemory.codeFrames. */
  invalidateCode(address: number, length: number): void;
}

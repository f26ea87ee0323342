/** How execution ended: shared by engines, generated code and the system side. */

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
  /** A triple fault stopped the processor (run loop only). */
  SHUTDOWN: 9,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

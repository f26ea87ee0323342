/**
 * The contract between an execution engine (reference evaluator, interpreter, JIT) and the processor around it.
 *
 * An engine executes instructions of one processor until something happens that it does not do itself, and says what.
 * Between two instructions all state is in {@link CpuState} and guest memory.
 */
import type { Processor } from './processor.ts';
import type { Status } from './status.ts';

export { Status } from './status.ts';

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

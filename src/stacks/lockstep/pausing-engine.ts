/**
 * An engine that lets another one run, or steps it and stops after a number of instructions: with it a stack can be halted
 * between any two instructions, whatever its quantum is.
 */
import { type Engine, Status } from '../../cpu/engine.ts';
import type { Processor } from '../../cpu/processor.ts';
import { OFFSET } from '../../cpu/state.ts';

const CYCLES = OFFSET.cycles >> 3;
const DEADLINE = OFFSET.deadline >> 3;

export class PausingEngine implements Engine {
  private readonly inner: Engine;
  /** Steps until the pause; undefined lets the inner engine run freely. */
  private left: number | undefined;
  /** The processor that would have executed the next instruction, at the last pause. */
  paused: Processor | undefined;

  constructor(inner: Engine) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  runFreely(): void {
    this.left = undefined;
  }

  /** Asks for a pause after `steps` more instructions (or elements of a repeated one); zero pauses before the next. */
  pauseAfter(steps: number): void {
    this.left = steps;
    this.paused = undefined;
  }

  execute(processor: Processor): Status {
    if (this.left === undefined) return this.inner.execute(processor);
    const { state } = processor;
    for (;;) {
      if ((state.i64[CYCLES] as bigint) >= (state.i64[DEADLINE] as bigint)) return Status.DEADLINE;
      if (this.left <= 0) {
        this.paused = processor;
        return Status.STOP;
      }
      const status = this.step(processor);
      if (status !== Status.CONTINUE) return status;
    }
  }

  step(processor: Processor): Status {
    if (this.left !== undefined) this.left--;
    return this.inner.step(processor);
  }

  invalidateCode(address: number, length: number): void {
    this.inner.invalidateCode(address, length);
  }
}

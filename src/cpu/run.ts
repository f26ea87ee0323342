/**
 * The run loop of one processor: drives an engine, and does at instruction boundaries what engines do not: delivery of
 * faults, traps and interrupts, single steps, interrupt shadows, exits that belong between two instructions.
 *
 * An interrupt is taken at the first boundary where it is due: everything that may make one due (STI, IRET, a device
 * access, an exit) ends the engine's run (Processor.breakRun), and the caller ends it at the next timer by `until`.
 * Sources: SDM 3A §6.9 (priority), §6.8 (masking), §17.3.1.4 (single step); SDM 3C §25.2 (exits by external events).
 */
import { Flag } from '../x86/eflags.ts';
import { type Engine, Status } from './engine.ts';
import { deliver } from './fault/deliver.ts';
import { externalInterrupt, recordedFault, recordedTrap, SINGLE_STEP } from './fault/event.ts';
import { runExit, syncSecondStages } from './mmu/second-stage.ts';
import type { Processor } from './processor.ts';
import { OFFSET } from './state.ts';

const CYCLES = OFFSET.cycles >> 3;
const DEADLINE = OFFSET.deadline >> 3;
const RFLAGS = OFFSET.rflags >> 2;
const HALTED = OFFSET.halted >> 2;
const SHADOW = OFFSET.interruptShadow >> 2;
const PENDING = OFFSET.pendingInterrupt >> 2;

/** Values of `halted`: HLT of the code that runs, or the idle loop of host code (which takes interrupts whatever IF says). */
export const Halted = { NO: 0, HLT: 1, HOST_IDLE: 2 } as const;

/** Values of `interruptShadow`: set by the last instruction, or covering the one that is executed now. */
const SHADOW_FRESH = 1;
const SHADOW_COVERS = 2;

/**
 * Runs until `cycles` (in twelfths) reaches `until`: DEADLINE. Other answers: HALT, nothing to do until an interrupt comes
 * (the caller advances time); STOP, `stopRequested` was set; SHUTDOWN, a triple fault in root operation.
 */
export function run(processor: Processor, engine: Engine, until: bigint): Status {
  const { state } = processor;
  processor.until = until;
  syncSecondStages(processor);
  for (;;) {
    if (processor.shutDown) return Status.SHUTDOWN;
    if (processor.stopRequested) {
      processor.stopRequested = false;
      return Status.STOP;
    }
    if (processor.boundaryDue) {
      processor.boundaryDue = false;
      processor.control?.onBoundary?.(processor.exitCpu);
      syncSecondStages(processor);
    }
    if (takeInterrupt(processor)) {
      if (state.u64[CYCLES] >= processor.until) return Status.DEADLINE;
      continue;
    }
    if (state.u32[HALTED] !== Halted.NO) return Status.HALT;
    if (state.u64[CYCLES] >= processor.until) return Status.DEADLINE;
    state.u64[DEADLINE] = processor.until;
    const single = state.u32[SHADOW] !== 0 || (state.u32[RFLAGS] & Flag.TF) !== 0;
    if (single) oneInstruction(processor, engine);
    else handle(processor, engine.execute(processor));
  }
}

/** What the engine stopped for; DEADLINE, RESYNC, REPEAT and the like need nothing but another turn of the loop. */
function handle(processor: Processor, status: Status): void {
  if (status === Status.FAULT) deliverOrShutDown(processor, recordedFault(processor));
  else if (status === Status.TRAP) deliverOrShutDown(processor, recordedTrap(processor));
  else if (status === Status.STOP) processor.stopRequested = true;
}

function deliverOrShutDown(processor: Processor, event: Parameters<typeof deliver>[1]): void {
  // A repeated string instruction that is left here starts anew when it goes on.
  processor.state.set('repeatActive', 0n);
  if (deliver(processor, event) === 'shutdown') processor.shutDown = true;
  syncSecondStages(processor);
}

/** One instruction under a shadow or TF. */
function oneInstruction(processor: Processor, engine: Engine): void {
  const { state } = processor;
  const stepping = (state.u32[RFLAGS] & Flag.TF) !== 0;
  const cpl = state.get32('cpl');
  const shadowed = state.u32[SHADOW] !== 0;
  const epoch = processor.contextEpoch;
  if (shadowed) state.u32[SHADOW] = SHADOW_COVERS;
  const status = engine.step(processor);
  if (epoch !== processor.contextEpoch) return; // an exit put another context in place: none of this is its business
  const ended = status !== Status.FAULT && status !== Status.REPEAT;
  if (state.u32[SHADOW] === SHADOW_COVERS) state.u32[SHADOW] = ended ? 0 : SHADOW_FRESH;
  // A load of SS holds off the trap of its own step too; INT n and a system call clear TF before it could be taken.
  const trapped = stepping && ended && status !== Status.TRAP && state.u32[SHADOW] === 0 && state.get32('cpl') >= cpl;
  handle(processor, status);
  if (trapped) deliverOrShutDown(processor, SINGLE_STEP);
}

/** Takes one interrupt when one is due here: true. */
function takeInterrupt(processor: Processor): boolean {
  const { state, control } = processor;
  if (state.u32[PENDING] !== 0) {
    if (control !== undefined) return exitForInterrupt(processor);
    const idle = state.u32[HALTED] === Halted.HOST_IDLE;
    if (idle || interruptible(processor)) {
      const vector = processor.bus.acknowledgeInterrupt(processor.index);
      if (vector === undefined) {
        state.u32[PENDING] = 0;
        return false;
      }
      if (idle) interruptIdleOwner(processor, vector);
      else deliverOrShutDown(processor, externalInterrupt(vector));
      return true;
    }
  }
  if (control === undefined || !interruptible(processor)) return false;
  if (control.pendingInterrupt !== undefined) {
    const vector = control.pendingInterrupt;
    control.pendingInterrupt = undefined;
    deliverOrShutDown(processor, externalInterrupt(vector));
    return true;
  }
  if (control.interruptWindow) {
    state.set('repeatActive', 0n);
    runExit(processor, { reason: 'interrupt-window' });
    return true;
  }
  return false;
}

function interruptible(processor: Processor): boolean {
  const { state } = processor;
  return (state.u32[RFLAGS] & Flag.IF) !== 0 && state.u32[SHADOW] === 0;
}

/** An interrupt from outside leaves the guest, whatever its IF says. */
function exitForInterrupt(processor: Processor): boolean {
  const vector = processor.bus.acknowledgeInterrupt(processor.index);
  if (vector === undefined) {
    processor.state.u32[PENDING] = 0;
    return false;
  }
  processor.state.set('repeatActive', 0n);
  runExit(processor, { reason: 'external-interrupt', vector });
  return true;
}

/** Host code that idles in root operation: no guest state is involved, so the interrupt goes to it directly. */
function interruptIdleOwner(processor: Processor, vector: number): void {
  const { state, owner, platformCpu } = processor;
  state.u32[HALTED] = Halted.NO;
  processor.charge('interrupt_delivery');
  if (owner !== undefined && platformCpu !== undefined) owner.interrupt(platformCpu, vector);
}

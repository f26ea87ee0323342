/**
 * The run loop of one processor: drives an engine, and does at instruction boundaries what engines do not: delivery of
 * faults, traps and interrupts, single steps and breakpoints, shadows, exits that belong between two instructions.
 *
 * An interrupt is taken at the first boundary where it is due: everything that may make one due (STI, IRET, a device
 * access, an exit) ends the engine's run (Processor.breakRun), and the caller ends it at the next timer by `until`.
 * Sources: SDM 3A §6.9 (priority), §6.7 (NMI), §6.8 (masking); SDM 3B §18.3.1 (#DB, RF, single step); SDM 3C §25.2 (exits
 * by external events).
 */
import { Dr6 } from '../x86/control-registers.ts';
import { Flag } from '../x86/eflags.ts';
import { Vector } from '../x86/exceptions.ts';
import { hasInstructionBreakpoints, instructionBreakpoints } from './breakpoints.ts';
import { type Engine, Status } from './engine.ts';
import { deliver } from './fault/deliver.ts';
import { breakpointFault, debugTrap, externalInterrupt, recordedFault, recordedTrap } from './fault/event.ts';
import { fetchLinear } from './fetch.ts';
import { runExit, syncSecondStages } from './mmu/second-stage.ts';
import { selectLookupTable } from './mode.ts';
import type { Processor } from './processor.ts';
import { Shadow } from './shadow.ts';
import { OFFSET } from './state.ts';

const CYCLES = OFFSET.cycles >> 3;
const DEADLINE = OFFSET.deadline >> 3;
const RFLAGS = OFFSET.rflags >> 2;
const HALTED = OFFSET.halted >> 2;
const SHADOW = OFFSET.interruptShadow >> 2;
const PENDING = OFFSET.pendingInterrupt >> 2;
const NMI_PENDING = OFFSET.nmiPending >> 2;
const DEBUG_HITS = OFFSET.debugHits >> 2;

/** Values of `halted`: HLT of the code that runs, or the idle loop of host code (which takes interrupts whatever IF says). */
export const Halted = { NO: 0, HLT: 1, HOST_IDLE: 2 } as const;

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
    if (state.u32[DEBUG_HITS] !== 0 && !debugShadowed(processor)) {
      deliverOrShutDown(processor, debugTrap(takeHits(processor)));
      continue;
    }
    if (takeInterrupt(processor)) {
      if (state.u64[CYCLES] >= processor.until) return Status.DEADLINE;
      continue;
    }
    if (state.u32[HALTED] !== Halted.NO) return Status.HALT;
    if (state.u64[CYCLES] >= processor.until) return Status.DEADLINE;
    state.u64[DEADLINE] = processor.until;
    selectLookupTable(state);
    const single = state.u32[SHADOW] !== 0 || (state.u32[RFLAGS] & (Flag.TF | Flag.RF)) !== 0;
    if (single || hasInstructionBreakpoints(processor)) oneInstruction(processor, engine);
    else handle(processor, engine.execute(processor));
  }
}

/** What the engine stopped for; DEADLINE, RESYNC, REPEAT and the like need nothing but another turn of the loop. */
function handle(processor: Processor, status: Status): void {
  if (status === Status.FAULT) {
    processor.state.u32[DEBUG_HITS] = 0; // of an access that did not happen
    deliverOrShutDown(processor, recordedFault(processor));
  } else if (status === Status.TRAP) deliverOrShutDown(processor, recordedTrap(processor));
  else if (status === Status.STOP) processor.stopRequested = true;
}

function deliverOrShutDown(processor: Processor, event: Parameters<typeof deliver>[1]): void {
  if (deliver(processor, event) === 'shutdown') processor.shutDown = true;
  // A repeated string instruction that is left here starts anew when it goes on.
  processor.state.set('repeatActive', 0n);
  syncSecondStages(processor);
}

/** The last instruction loaded SS: debug exceptions wait for the next one. */
function debugShadowed({ state }: Processor): boolean {
  return (state.u32[SHADOW] & (Shadow.FRESH | Shadow.BY_SS)) === (Shadow.FRESH | Shadow.BY_SS);
}

function takeHits({ state }: Processor): number {
  const hits = state.u32[DEBUG_HITS];
  state.u32[DEBUG_HITS] = 0;
  return hits;
}

/** One instruction (one element of a repeated one under TF) under a shadow, TF, RF or instruction breakpoints. */
function oneInstruction(processor: Processor, engine: Engine): void {
  const { state } = processor;
  const flags = state.u32[RFLAGS];
  const shadow = state.u32[SHADOW];
  if ((flags & Flag.RF) === 0 && !debugShadowed(processor) && hasInstructionBreakpoints(processor)) {
    const hits = instructionBreakpoints(processor, fetchLinear(processor));
    if (hits !== 0) {
      deliverOrShutDown(processor, breakpointFault(hits));
      return;
    }
  }
  const stepping = (flags & Flag.TF) !== 0;
  const cpl = state.get32('cpl');
  const epoch = processor.contextEpoch;
  // RF goes off with the end of the instruction, but not one that IRET has just loaded.
  state.u32[RFLAGS] = flags & ~Flag.RF;
  if (shadow !== 0) state.u32[SHADOW] = Shadow.COVERS | (shadow & Shadow.BY_SS);
  if (stepping) state.u64[DEADLINE] = 0n;
  const status = engine.step(processor);
  if (epoch !== processor.contextEpoch) return; // an exit put another context in place: none of this is its business
  const ended = status !== Status.FAULT && status !== Status.REPEAT;
  if (!ended) state.u32[RFLAGS] |= flags & Flag.RF;
  if ((state.u32[SHADOW] & Shadow.COVERS) !== 0) {
    state.u32[SHADOW] = ended ? 0 : Shadow.FRESH | (shadow & Shadow.BY_SS);
  }
  // INT n and a system call with TF in its mask clear TF before the trap could be taken.
  const keepsStepping = state.get32('cpl') >= cpl || (state.u32[RFLAGS] & Flag.TF) !== 0;
  const trapped = stepping && status !== Status.FAULT && status !== Status.TRAP && keepsStepping;
  handle(processor, status);
  if (!trapped) return;
  // The trap of a load of SS itself is lost; breakpoints that it hit wait.
  if (!debugShadowed(processor)) deliverOrShutDown(processor, debugTrap(Dr6.BS | takeHits(processor)));
}

/** Takes one interrupt when one is due here: true. */
function takeInterrupt(processor: Processor): boolean {
  const { state, control } = processor;
  if (state.u32[NMI_PENDING] !== 0 && control === undefined && takeNmi(processor)) return true;
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

/** NMI: whatever IF says, but not in a shadow, and not before the IRET that ends the last one's handler. */
function takeNmi(processor: Processor): boolean {
  const { state } = processor;
  if (state.get32('nmiBlocked') !== 0 || state.u32[SHADOW] !== 0 || state.u32[HALTED] === Halted.HOST_IDLE) return false;
  state.u32[NMI_PENDING] = 0;
  state.set32('nmiBlocked', processor.ringZero === undefined || state.get32('cpl') === 0 ? 1 : 0);
  deliverOrShutDown(processor, externalInterrupt(Vector.NMI));
  return true;
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

/**
 * An event to deliver: an exception, a software interrupt, or an external interrupt, as the run loop takes it from the
 * processor's state or from the interrupt controller.
 */
import { Vector } from '../../x86/exceptions.ts';
import type { Processor } from '../processor.ts';

/**
 * 'fault': RIP is at the instruction. 'trap': RIP is after it (#DB). 'software': INT n, INT3, INTO, RIP is after it, and
 * the gate's DPL is checked. 'icebp': INT1, a trap without that check. 'external': an interrupt from outside.
 */
export type EventKind = 'fault' | 'trap' | 'software' | 'icebp' | 'external';

export interface Event {
  readonly vector: number;
  readonly kind: EventKind;
  readonly errorCode: number | undefined;
  /** Length of the instruction for 'software' and 'icebp', else 0. */
  readonly length: number;
  /** Bits that a #DB sets in DR6. */
  readonly debug?: number;
}

/** The fault that is recorded in the state. */
export function recordedFault(processor: Processor): Event {
  const { state } = processor;
  return {
    vector: state.get32('faultVector'),
    kind: 'fault',
    errorCode: state.get32('faultHasErrorCode') !== 0 ? state.get32('faultErrorCode') : undefined,
    length: 0,
  };
}

/** #DB before an instruction: a fault, although RIP stays, with the breakpoints of DR6 that it hit. */
export function breakpointFault(hits: number): Event {
  return { vector: Vector.DB, kind: 'fault', errorCode: undefined, length: 0, debug: hits };
}

/** #DB after an instruction: single step, data and I/O breakpoints, as bits of DR6. */
export function debugTrap(debug: number): Event {
  return { vector: Vector.DB, kind: 'trap', errorCode: undefined, length: 0, debug };
}

/**
 * The trap that is recorded in the state after Status.TRAP: `faultAddress` holds the length of the instruction for INT n,
 * INT3, INTO and INT1. With an error code it is a fault of the task that the instruction switched to.
 */
export function recordedTrap(processor: Processor): Event {
  const { state } = processor;
  if (state.get32('faultHasErrorCode') !== 0) return recordedFault(processor);
  const vector = state.get32('faultVector');
  const length = Number(state.get('faultAddress'));
  const kind = state.get32('faultErrorCode') === ICEBP ? 'icebp' : 'software';
  return { vector, kind, errorCode: undefined, length };
}

/** Value of `faultErrorCode` that tells INT1 from INT n in a recorded trap. */
export const ICEBP = 0x1f1;

export function recordTrap(processor: Processor, vector: number, length: number, icebp = false): void {
  const { state } = processor;
  processor.fault(vector);
  state.set32('faultErrorCode', icebp ? ICEBP : 0);
  state.set('faultAddress', BigInt(length));
}

export function externalInterrupt(vector: number): Event {
  return { vector, kind: 'external', errorCode: undefined, length: 0 };
}

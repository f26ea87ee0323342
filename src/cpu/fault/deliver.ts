/**
 * Delivery of an event: to the host code that owns ring 0, or through the IDT; double and triple faults.
 *
 * The processor's part of the cost is charged the same wherever the event goes.
 * Sources: SDM 3A §6.3-6.15, Tables 6-4 and 6-5 (faults during delivery), §6.8.3 (RF), §6.14 (64-bit mode).
 */
import { Cr0, Dr7 } from '../../x86/control-registers.ts';
import { escalation, Vector } from '../../x86/exceptions.ts';
import { runExit } from '../mmu/second-stage.ts';
import type { Processor } from '../processor.ts';
import { type Event, recordedFault } from './event.ts';
import { deliverLong } from './deliver-long.ts';
import { deliverLegacy } from './deliver-legacy.ts';
import { deliverReal } from './deliver-real.ts';
import { savedFlags } from './saved-flags.ts';

/** What delivery came to: the handler's first instruction is next, or the processor has shut down. */
export type Delivery = 'delivered' | 'shutdown';

export function deliver(processor: Processor, event: Event): Delivery {
  const { state } = processor;
  state.set32('halted', 0);
  state.set32('interruptShadow', 0);
  if (event.vector === Vector.PF && event.kind === 'fault') state.set('cr2', state.get('faultAddress'));
  if (event.vector === Vector.DB && event.kind !== 'software') enterDebugHandler(processor, event.debug ?? 0);
  processor.charge(event.kind === 'external' ? 'interrupt_delivery' : 'exception_delivery');

  const owner = processor.ringZero;
  if (owner !== undefined && state.get32('cpl') > 0) {
    state.set('rflags', savedFlags(processor, event));
    if (event.kind === 'external') {
      owner.owner.interrupt(owner.cpu, event.vector);
    } else {
      owner.owner.exception(owner.cpu, {
        vector: event.vector,
        errorCode: event.errorCode,
        faultAddress: event.vector === Vector.PF ? state.get('cr2') : 0n,
        kind: event.kind === 'icebp' ? 'software' : event.kind,
        instructionLength: event.length,
      });
    }
    return 'delivered';
  }
  return deliverThroughIdt(processor, event);
}

const BREAKPOINT_HITS = 0xf;

/** B0..B3 say what hit this time, the other bits of DR6 accumulate; GD goes off for the handler (SDM 3B §18.2.3). */
function enterDebugHandler(processor: Processor, bits: number): void {
  const { state } = processor;
  const before = state.get('dr', 6);
  const kept = (bits & BREAKPOINT_HITS) !== 0 ? before & ~BigInt(BREAKPOINT_HITS) : before;
  state.set('dr', kept | BigInt(bits), 6);
  state.set('dr', state.get('dr', 7) & ~BigInt(Dr7.GD), 7);
}

/** True when the handler was entered; false when delivering faulted, and the fault is recorded. */
function enterHandler(processor: Processor, event: Event): boolean {
  const { state } = processor;
  if (state.get32('longMode') !== 0) return deliverLong(processor, event);
  return (state.get32('cr0') & Cr0.PE) !== 0 ? deliverLegacy(processor, event) : deliverReal(processor, event);
}

function deliverThroughIdt(processor: Processor, first: Event): Delivery {
  const { state } = processor;
  let event = first;
  for (;;) {
    const task = state.get32('trSelector');
    if (enterHandler(processor, event)) return 'delivered';
    const second = recordedFault(processor);
    // A fault of INT n is one of the instruction: RIP goes back to it. One that comes up in a new task belongs to that.
    if (event.length !== 0 && task === state.get32('trSelector')) state.set('rip', rewind(processor, event.length));
    if (second.vector === Vector.PF) state.set('cr2', state.get('faultAddress'));
    // Interrupts and INT n are benign: whatever follows is handled on its own.
    const isException = event.kind === 'fault' || event.kind === 'trap';
    const outcome = isException ? escalation(event.vector, second.vector) : 'handle';
    if (outcome === 'shutdown') return shutdown(processor);
    event = outcome === 'handle' ? second : { vector: Vector.DF, kind: 'fault', errorCode: 0, length: 0 };
    processor.charge('exception_delivery');
  }
}

function rewind(processor: Processor, length: number): bigint {
  const { state } = processor;
  const bits = state.get32('codeMode');
  return BigInt.asUintN(bits, state.get('rip') - BigInt(length));
}

/** Triple fault: a guest exits, a bare processor stops until reset. */
function shutdown(processor: Processor): Delivery {
  if (processor.control !== undefined) {
    runExit(processor, { reason: 'triple-fault' });
    return 'delivered';
  }
  return 'shutdown';
}

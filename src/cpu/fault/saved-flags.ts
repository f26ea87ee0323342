/** RFLAGS as they are saved and changed when an event is delivered. Sources: SDM 3A §6.8.1, §6.8.3, §6.12.1.2. */
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import type { Processor } from '../processor.ts';
import type { Event } from './event.ts';

/** A fault sets RF in the saved image, so that the instruction returned to does not hit its breakpoint again. */
export function savedFlags(processor: Processor, event: Event): bigint {
  const flags = processor.state.get('rflags');
  const isFault = event.kind === 'fault' && event.vector !== Vector.DB;
  return isFault ? flags | BigInt(Flag.RF) : flags & ~BigInt(Flag.RF);
}

/** TF, NT, RF and VM are cleared on entry to a handler, IF too through an interrupt gate. */
export function clearFlagsOnEntry(processor: Processor, interruptGate: boolean): void {
  const { state } = processor;
  const cleared = Flag.TF | Flag.NT | Flag.RF | Flag.VM | (interruptGate ? Flag.IF : 0);
  state.set('rflags', state.get('rflags') & ~BigInt(cleared));
}

/** EXT bit of error codes that arise during delivery: clear for software interrupts. */
export function externalBit(event: Event): number {
  return event.kind === 'software' ? 0 : 1;
}

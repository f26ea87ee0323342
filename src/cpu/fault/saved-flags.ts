/** RFLAGS as they are saved and changed when an event is delivered. Sources: SDM 3A §6.8.1, §6.8.3, §6.12.1.2. */
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import type { Processor } from '../processor.ts';
import type { Event } from './event.ts';

/**
 * RF is set in the saved image where the instruction returned to has begun: after a fault other than an instruction
 * breakpoint, and between the elements of a repeated string instruction. So it does not hit its breakpoint again.
 */
export function savedFlags(processor: Processor, event: Event): bigint {
  const { state } = processor;
  const flags = state.get('rflags');
  const isFault = event.kind === 'fault' && !(event.vector === Vector.DB && event.debug !== undefined);
  return isFault || state.get('repeatActive') !== 0n ? flags | BigInt(Flag.RF) : flags & ~BigInt(Flag.RF);
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

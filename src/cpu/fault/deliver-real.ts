/**
 * Delivery in real-address mode: FLAGS, CS and IP on the stack, the handler from the interrupt vector table.
 * Sources: SDM 3A §20.1.4.
 */
import { Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { Register } from '../../x86/registers.ts';
import { IMPLICIT, readLinear } from '../mmu/system-access.ts';
import { loadSegmentRealMode } from '../mmu/segmentation.ts';
import { updateMode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { pushAll, stackOf } from '../system/stack.ts';
import type { Event } from './event.ts';
import { clearFlagsOnEntry } from './saved-flags.ts';

export function deliverReal(processor: Processor, event: Event): boolean {
  const { state } = processor;
  if (event.vector * 4 + 3 > state.get32('idtrLimit')) {
    processor.fault(event.vector === Vector.DF ? Vector.DF : Vector.GP);
    return false;
  }
  const target = readLinear(processor, state.get('idtrBase') + BigInt(event.vector * 4), 4, IMPLICIT);
  if (target === undefined) return false;
  const stack = stackOf(processor);
  const frame = [state.get('rflags'), BigInt(state.get32('segmentSelector', Segment.CS)), state.get('rip')];
  const pointer = pushAll(processor, stack, frame, 2, 0, 0);
  if (pointer === undefined) return false;
  const old = state.get('gpr', Register.RSP);
  state.set('gpr', (old & ~stack.mask) | pointer, Register.RSP);
  loadSegmentRealMode(processor, Segment.CS, Number(target >> 16n));
  state.set('rip', target & 0xffffn);
  clearFlagsOnEntry(processor, true);
  updateMode(processor);
  return true;
}

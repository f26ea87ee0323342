/**
 * Delivery through the IDT in protected mode without long mode. The frame, downwards, 4 bytes each (2 through a 16-bit
 * gate): out of virtual-8086 mode GS, FS, DS and ES on the stack of CPL 0; on a change of privilege the old SS and ESP on
 * the new stack; then EFLAGS, CS, EIP, and the error code. A task gate switches to its task instead.
 * Sources: SDM 3A §6.12 (gates, stack switch, tasks), §7.2.1 (32-bit TSS), §20.3.1 (from virtual-8086 mode), SDM 2A INT n
 * (operation, error codes).
 */
import { Attribute, descriptorAttributes, parseGateDescriptor, SystemType } from '../../x86/descriptors.ts';
import { Flag } from '../../x86/eflags.ts';
import { SelectorError, Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { Register } from '../../x86/registers.ts';
import {
  checkStackSegment,
  dplOf,
  isNull,
  loadCodeSegment,
  markAccessed,
  readDescriptor,
  segmentOf,
  selectorCode,
  setNull,
  setSegmentRegister,
} from '../mmu/segmentation.ts';
import { IMPLICIT, readLinear } from '../mmu/system-access.ts';
import { inVirtual8086Mode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { pushAll, setStackPointer, stackOf, type StackView } from '../system/stack.ts';
import { switchTask } from '../system/task-switch.ts';
import type { Event } from './event.ts';
import { clearFlagsOnEntry, externalBit, savedFlags } from './saved-flags.ts';

export function deliverLegacy(processor: Processor, event: Event): boolean {
  const { state } = processor;
  const ext = externalBit(event);
  const gateCode = (event.vector << 3) | SelectorError.IDT | ext;
  const cpl = state.get32('cpl');

  if (event.vector * 8 + 7 > state.get32('idtrLimit')) return fault(processor, Vector.GP, gateCode);
  const raw = readLinear(processor, (state.get('idtrBase') + BigInt(event.vector * 8)) & 0xffff_ffffn, 8, IMPLICIT);
  if (raw === undefined) return false;
  const gate = parseGateDescriptor(Number(raw & 0xffff_ffffn), Number(raw >> 32n));
  const wide = gate.type === SystemType.INTERRUPT_GATE || gate.type === SystemType.TRAP_GATE;
  const narrow = gate.type === SystemType.INTERRUPT_GATE16 || gate.type === SystemType.TRAP_GATE16;
  const isTask = gate.type === SystemType.TASK_GATE;
  if (((raw >> 44n) & 1n) !== 0n || !(wide || narrow || isTask)) return fault(processor, Vector.GP, gateCode);
  if (event.kind === 'software' && gate.dpl < cpl) return fault(processor, Vector.GP, gateCode);
  if (!gate.present) return fault(processor, Vector.NP, gateCode);
  if (isTask) return throughTaskGate(processor, event, gate.selector);

  if (isNull(gate.selector)) return fault(processor, Vector.GP, ext);
  const descriptor = readDescriptor(processor, gate.selector, Vector.GP, ext);
  if (descriptor === undefined) return false;
  const code = selectorCode(gate.selector) | ext;
  const attributes = descriptorAttributes(descriptor.high);
  const isCode = (attributes & (Attribute.S | Attribute.CODE)) === (Attribute.S | Attribute.CODE);
  const dpl = dplOf(descriptor.high);
  if (!isCode || dpl > cpl) return fault(processor, Vector.GP, code);
  if ((attributes & Attribute.P) === 0) return fault(processor, Vector.NP, code);
  const newCpl = (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0 ? cpl : dpl;
  const fromVirtual = inVirtual8086Mode(state);
  if (fromVirtual && newCpl !== 0) return fault(processor, Vector.GP, code);

  const size = wide ? 4 : 2;
  const frame: bigint[] = [];
  let stack: StackView;
  let newStack: InnerStack | undefined;
  if (newCpl !== cpl) {
    newStack = innerStack(processor, newCpl, ext);
    if (newStack === undefined) return false;
    stack = newStack.view;
    if (fromVirtual) {
      for (const segment of VIRTUAL_DATA_SEGMENTS) frame.push(BigInt(state.get32('segmentSelector', segment)));
    }
    frame.push(BigInt(state.get32('segmentSelector', Segment.SS)), state.get('gpr', Register.RSP));
  } else {
    stack = stackOf(processor);
  }
  frame.push(savedFlags(processor, event), BigInt(state.get32('segmentSelector', Segment.CS)), state.get('rip'));
  if (event.errorCode !== undefined) frame.push(BigInt(event.errorCode >>> 0));
  if (Number(gate.offset) > segmentOf(descriptor).limit) return fault(processor, Vector.GP, ext);
  const pointer = pushAll(processor, stack, frame, size, newCpl, ext);
  if (pointer === undefined) return false;
  if (!markAccessed(processor, descriptor)) return false;
  if (newStack !== undefined) commitInnerStack(processor, newStack);
  if (fromVirtual) leaveVirtual8086(processor);

  loadCodeSegment(processor, gate.selector, newCpl, segmentOf(descriptor));
  const old = state.get('gpr', Register.RSP);
  state.set('gpr', (old & 0xffff_ffffn & ~stack.mask) | pointer, Register.RSP);
  state.set('rip', wide ? gate.offset : gate.offset & 0xffffn);
  clearFlagsOnEntry(processor, gate.type === SystemType.INTERRUPT_GATE || gate.type === SystemType.INTERRUPT_GATE16);
  return true;
}

/** As they are pushed. */
const VIRTUAL_DATA_SEGMENTS = [Segment.GS, Segment.FS, Segment.DS, Segment.ES] as const;

function leaveVirtual8086(processor: Processor): void {
  const { state } = processor;
  state.set('rflags', state.get('rflags') & ~BigInt(Flag.VM));
  for (const segment of VIRTUAL_DATA_SEGMENTS) setNull(processor, segment, 0);
}

/** An error code goes on the stack of the task. */
function throughTaskGate(processor: Processor, event: Event, selector: number): boolean {
  const ext = externalBit(event);
  if (!switchTask(processor, selector, 'gate', ext, savedFlags(processor, event))) return false;
  if (event.errorCode === undefined) return true;
  const size = (processor.state.get32('trAttributes') & 8) !== 0 ? 4 : 2;
  const stack = stackOf(processor);
  const pointer = pushAll(processor, stack, [BigInt(event.errorCode >>> 0)], size, processor.state.get32('cpl'), ext);
  if (pointer === undefined) return false;
  setStackPointer(processor, pointer, stack.mask);
  return true;
}

/** A stack of more privilege, found in the TSS and checked, not loaded yet. */
export interface InnerStack {
  readonly view: StackView;
  readonly selector: number;
  readonly descriptor: { readonly low: number; readonly high: number; readonly address: bigint };
}

/** SS:ESP of a privilege from the 32-bit or 16-bit TSS. Undefined: the fault is recorded. */
export function innerStack(processor: Processor, newCpl: number, ext: number): InnerStack | undefined {
  const { state } = processor;
  const wide = (state.get32('trAttributes') & 8) !== 0;
  const offset = wide ? 4 + 8 * newCpl : 2 + 4 * newCpl;
  const size = wide ? 4 : 2;
  if (offset + size + 1 > state.get32('trLimit')) {
    fault(processor, Vector.TS, selectorCode(state.get32('trSelector')) | ext);
    return undefined;
  }
  const at = (delta: number): bigint => (state.get('trBase') + BigInt(offset + delta)) & 0xffff_ffffn;
  const pointer = readLinear(processor, at(0), size, IMPLICIT);
  if (pointer === undefined) return undefined;
  const selector = readLinear(processor, at(size), 2, IMPLICIT);
  if (selector === undefined) return undefined;
  const descriptor = checkStackSegment(processor, Number(selector), newCpl, Vector.TS, ext);
  if (descriptor === undefined || descriptor === 'null') return undefined;
  const segment = segmentOf(descriptor);
  const mask = (segment.attributes & Attribute.DB) !== 0 ? 0xffff_ffffn : 0xffffn;
  return {
    view: { ...segment, mask, pointer: pointer & mask },
    selector: Number(selector),
    descriptor,
  };
}

/** Loads SS of a checked inner stack; the caller updates the mode afterwards. */
export function commitInnerStack(processor: Processor, stack: InnerStack): void {
  setSegmentRegister(processor, Segment.SS, stack.selector, segmentOf(stack.descriptor));
}

function fault(processor: Processor, vector: number, errorCode: number): false {
  processor.faultWithCode(vector, errorCode);
  return false;
}

/**
 * IRET in every mode: pops and checks everything, then commits CS:RIP, RFLAGS and SS:RSP; to virtual-8086 mode the data
 * segments too. With NT it returns to the task that called this one (not in long mode: #GP(0)).
 * Sources: SDM 2A IRET (operation), SDM 3A §6.12.1, §6.14.3, §5.8.6 (nullified segments), §7.4, §20.2.5, §20.2.7.
 */
import { Attribute, descriptorAttributes } from '../../x86/descriptors.ts';
import { Flag, IMPLEMENTED_FLAGS } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { Register } from '../../x86/registers.ts';
import { Status } from '../engine.ts';
import {
  checkStackSegment,
  dplOf,
  isNull,
  loadCodeSegment,
  loadSegmentRealMode,
  markAccessed,
  type RawDescriptor,
  readDescriptor,
  segmentOf,
  selectorCode,
  setNull,
  setNullStack,
  setSegmentRegister,
  setVirtual8086Segment,
} from '../mmu/segmentation.ts';
import { IMPLICIT, readLinear } from '../mmu/system-access.ts';
import { inProtectedMode, updateMode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { writeFlagsMasked } from '../system/flags.ts';
import { resync } from '../system/operand.ts';
import { peekStack, setStackPointer } from '../system/stack.ts';
import { switchTaskByInstruction } from '../system/task-switch.ts';
import { interruptFlagOf, popVirtualFlags } from '../system/virtual-interrupts.ts';

export function interruptReturn(processor: Processor, operandSize: 16 | 32 | 64): Status {
  const { state } = processor;
  const bytes = operandSize / 8;
  if (!inProtectedMode(state)) {
    const refused = interruptFlagOf(processor, operandSize) === 'refused';
    return refused ? processor.faultWithCode(Vector.GP, 0) : realModeReturn(processor, bytes, operandSize);
  }
  if ((state.get32('rflags') & Flag.NT) !== 0) {
    return state.get32('longMode') !== 0 ? processor.faultWithCode(Vector.GP, 0) : taskReturn(processor);
  }
  const cpl = state.get32('cpl');
  const from64 = state.get32('codeMode') === 64;

  const rip = peekStack(processor, 0, bytes);
  const cs = rip === undefined ? undefined : peekStack(processor, 1, bytes);
  const flags = cs === undefined ? undefined : peekStack(processor, 2, bytes);
  if (rip === undefined || cs === undefined || flags === undefined) return Status.FAULT;
  const selector = Number(cs & 0xffffn);
  if (operandSize === 32 && (flags & BigInt(Flag.VM)) !== 0n && cpl === 0 && state.get32('longMode') === 0) {
    return returnToVirtual8086(processor, rip, selector, flags);
  }

  const descriptor = checkReturnCode(processor, selector, cpl);
  if (descriptor === undefined) return Status.FAULT;
  const newCpl = selector & 3;
  const outer = newCpl > cpl;
  const to64 = isLongCode(processor, descriptor);

  let stack: { selector: number; pointer: bigint; descriptor: RawDescriptor | 'null' } | undefined;
  if (outer || from64) {
    const rsp = peekStack(processor, 3, bytes);
    const ss = rsp === undefined ? undefined : peekStack(processor, 4, bytes);
    if (rsp === undefined || ss === undefined) return Status.FAULT;
    const ssSelector = Number(ss & 0xffffn);
    const ssDescriptor = checkReturnStack(processor, ssSelector, newCpl, to64);
    if (ssDescriptor === undefined) return Status.FAULT;
    stack = { selector: ssSelector, pointer: rsp, descriptor: ssDescriptor };
  }
  if (!checkTarget(processor, descriptor, rip, to64)) return Status.FAULT;
  if (!markAccessed(processor, descriptor)) return Status.FAULT;
  if (stack !== undefined && stack.descriptor !== 'null' && !markAccessed(processor, stack.descriptor)) {
    return Status.FAULT;
  }

  // Committed: flags by the old privilege, then the new one.
  writeFlagsMasked(processor, flags, operandSize, cpl === 0 ? Flag.RF | Flag.VIF | Flag.VIP : Flag.RF);
  commitReturn(processor, selector, newCpl, descriptor, rip, stack, bytes * 3);
  state.set32('nmiBlocked', 0);
  return resync(processor);
}

/** Back to the task whose selector the current TSS holds as its link. */
function taskReturn(processor: Processor): Status {
  const { state } = processor;
  const link = readLinear(processor, state.get('trBase') & 0xffff_ffffn, 2, IMPLICIT);
  if (link === undefined) return Status.FAULT;
  state.set32('nmiBlocked', 0);
  return switchTaskByInstruction(processor, Number(link), 'return');
}

/** EIP, CS and EFLAGS are popped; ESP, SS, ES, DS, FS and GS follow. All flags are loaded, IOPL and VM among them. */
function returnToVirtual8086(processor: Processor, rip: bigint, cs: number, flags: bigint): Status {
  const { state } = processor;
  const rest: bigint[] = [];
  for (let i = 3; i < 9; i++) {
    const word = peekStack(processor, i, 4);
    if (word === undefined) return Status.FAULT;
    rest.push(word);
  }
  if (rip > 0xffffn) return processor.faultWithCode(Vector.GP, 0);
  const [esp, ss, es, ds, fs, gs] = rest;
  state.set('rflags', (flags & BigInt(IMPLEMENTED_FLAGS)) | BigInt(Flag.RESERVED_ONE));
  const selectors: [number, number][] = [
    [Segment.CS, cs],
    [Segment.SS, Number(ss & 0xffffn)],
    [Segment.ES, Number(es & 0xffffn)],
    [Segment.DS, Number(ds & 0xffffn)],
    [Segment.FS, Number(fs & 0xffffn)],
    [Segment.GS, Number(gs & 0xffffn)],
  ];
  for (const [segment, selector] of selectors) setVirtual8086Segment(processor, segment, selector);
  state.set('gpr', esp, Register.RSP);
  state.set('rip', rip);
  state.set32('nmiBlocked', 0);
  updateMode(processor);
  return resync(processor);
}

function isLongCode(processor: Processor, descriptor: RawDescriptor): boolean {
  return processor.state.get32('longMode') !== 0 && (descriptorAttributes(descriptor.high) & Attribute.L) !== 0;
}

/** The code segment that a far return or IRET goes to. Undefined: the fault is recorded. */
export function checkReturnCode(processor: Processor, selector: number, cpl: number): RawDescriptor | undefined {
  const fail = (vector: number, code: number): undefined => {
    processor.faultWithCode(vector, code);
    return undefined;
  };
  if (isNull(selector)) return fail(Vector.GP, 0);
  const descriptor = readDescriptor(processor, selector);
  if (descriptor === undefined) return undefined;
  const code = selectorCode(selector);
  const attributes = descriptorAttributes(descriptor.high);
  const rpl = selector & 3;
  const dpl = dplOf(descriptor.high);
  const isCode = (attributes & (Attribute.S | Attribute.CODE)) === (Attribute.S | Attribute.CODE);
  const conforming = (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0;
  if (!isCode || rpl < cpl || (conforming ? dpl > rpl : dpl !== rpl)) return fail(Vector.GP, code);
  if (processor.state.get32('longMode') !== 0 && (attributes & Attribute.L) !== 0 && (attributes & Attribute.DB) !== 0) {
    return fail(Vector.GP, code);
  }
  if ((attributes & Attribute.P) === 0) return fail(Vector.NP, code);
  return descriptor;
}

/** SS of a return: null is allowed for 64-bit code that is not at CPL 3. */
export function checkReturnStack(
  processor: Processor,
  selector: number,
  newCpl: number,
  to64: boolean,
): RawDescriptor | 'null' | undefined {
  if (isNull(selector) && to64 && newCpl !== 3 && (selector & 3) === newCpl) return 'null';
  if (isNull(selector)) {
    processor.faultWithCode(Vector.GP, 0);
    return undefined;
  }
  return checkStackSegment(processor, selector, newCpl, Vector.GP);
}

/** RIP must be canonical for 64-bit code, and within the limit for other. */
export function checkTarget(processor: Processor, descriptor: RawDescriptor, rip: bigint, to64: boolean): boolean {
  const good = to64 ? isCanonical(rip) : rip <= BigInt(segmentOf(descriptor).limit);
  if (!good) processor.faultWithCode(Vector.GP, 0);
  return good;
}

/** Loads what a far return or IRET has checked. Without `stack` the `popped` bytes leave the current stack. */
export function commitReturn(
  processor: Processor,
  selector: number,
  newCpl: number,
  descriptor: RawDescriptor,
  rip: bigint,
  stack: { selector: number; pointer: bigint; descriptor: RawDescriptor | 'null' } | undefined,
  popped: number,
): void {
  const { state } = processor;
  const cpl = state.get32('cpl');
  if (stack === undefined) {
    setStackPointer(processor, state.get('gpr', Register.RSP) + BigInt(popped), state.get('stackMask'));
    loadCodeSegment(processor, selector, newCpl, segmentOf(descriptor));
  } else {
    if (stack.descriptor === 'null') setNullStack(processor, stack.selector, newCpl);
    else setSegmentRegister(processor, Segment.SS, stack.selector, segmentOf(stack.descriptor));
    loadCodeSegment(processor, selector, newCpl, segmentOf(descriptor));
    setStackPointer(processor, stack.pointer, state.get('stackMask'));
  }
  state.set('rip', rip);
  if (newCpl > cpl) nullifyPrivilegedSegments(processor, newCpl);
}

/** ES, DS, FS and GS that the outer privilege may not use become null (SDM 3A §5.8.6). */
export function nullifyPrivilegedSegments(processor: Processor, cpl: number): void {
  const { state } = processor;
  for (const segment of [Segment.ES, Segment.DS, Segment.FS, Segment.GS]) {
    const attributes = state.get32('segmentAttributes', segment);
    if ((attributes & Attribute.P) === 0) continue;
    const isCode = (attributes & Attribute.CODE) !== 0;
    const conforming = isCode && (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0;
    const dpl = (attributes & Attribute.DPL_MASK) >> Attribute.DPL_SHIFT;
    if (dpl < cpl && !conforming) setNull(processor, segment, 0);
  }
}

function realModeReturn(processor: Processor, bytes: number, operandSize: 16 | 32 | 64): Status {
  const { state } = processor;
  const rip = peekStack(processor, 0, bytes);
  const cs = rip === undefined ? undefined : peekStack(processor, 1, bytes);
  const flags = cs === undefined ? undefined : peekStack(processor, 2, bytes);
  if (rip === undefined || cs === undefined || flags === undefined) return Status.FAULT;
  if (rip > 0xffffn) return processor.faultWithCode(Vector.GP, 0);
  const virtual = interruptFlagOf(processor, operandSize) === 'VIF';
  if (virtual && !popVirtualFlags(processor, flags)) return Status.FAULT;
  setStackPointer(processor, state.get('gpr', Register.RSP) + BigInt(bytes * 3), state.get('stackMask'));
  loadSegmentRealMode(processor, Segment.CS, Number(cs & 0xffffn));
  state.set('rip', rip);
  if (!virtual) writeFlagsMasked(processor, flags, operandSize, Flag.RF);
  state.set32('nmiBlocked', 0);
  updateMode(processor);
  return resync(processor);
}

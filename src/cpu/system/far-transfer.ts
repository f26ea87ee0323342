/**
 * Far JMP, CALL and RET: to a code segment, through a call gate, to a task state segment or through a task gate.
 * Sources: SDM 2A CALL, JMP, SDM 2B RET (operation), SDM 3A §5.8 (gates, privilege, stack switching), §5.8.3.1 (64-bit).
 */
import { Attribute, descriptorAttributes, parseGateDescriptor, SystemType } from '../../x86/descriptors.ts';
import { Vector } from '../../x86/exceptions.ts';
import { type Instruction, Segment } from '../../x86/instruction.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { Register } from '../../x86/registers.ts';
import { Status } from '../engine.ts';
import { commitInnerStack, innerStack } from '../fault/deliver-legacy.ts';
import { readTssStack } from '../fault/deliver-long.ts';
import { checkReturnCode, checkReturnStack, checkTarget, commitReturn } from '../fault/return.ts';
import {
  dplOf,
  isNull,
  loadCodeSegment,
  loadSegmentRealMode,
  markAccessed,
  type RawDescriptor,
  readDescriptor,
  segmentOf,
  selectorCode,
  setNullStack,
} from '../mmu/segmentation.ts';
import { checkCanonical, IMPLICIT, privilegeOf, probeWrite, readLinear, writeLinear } from '../mmu/system-access.ts';
import { inProtectedMode, updateMode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { farOffsetBytes, type Handler, readMemory, resync } from './operand.ts';
import { peekStack, pushAll, setStackPointer, stackOf } from './stack.ts';
import { switchTaskByInstruction } from './task-switch.ts';

/** True for operands that name a selector: the row's notation is `ptr16:z` or `m16:v`. */
export function isFar(instruction: Instruction): boolean {
  const notation = instruction.row.operands[0] ?? '';
  return notation.startsWith('ptr16:') || notation.startsWith('m16:');
}

/** Selector and offset of the target. Undefined: faulted. */
function target(processor: Processor, instruction: Instruction): { selector: number; offset: bigint } | undefined {
  if (instruction.memory === undefined) {
    return { selector: instruction.immediate2 & 0xffff, offset: BigInt.asUintN(instruction.operandSize, instruction.immediate) };
  }
  const bytes = farOffsetBytes(processor, instruction);
  const offset = readMemory(processor, instruction, bytes);
  const selector = offset === undefined ? undefined : readMemory(processor, instruction, 2, bytes);
  return offset === undefined || selector === undefined ? undefined : { selector: Number(selector), offset };
}

function gp(processor: Processor, code: number): typeof Status.FAULT {
  return processor.faultWithCode(Vector.GP, code);
}

function farBranch(call: boolean): Handler {
  return (processor, instruction) => {
    const { state } = processor;
    const to = target(processor, instruction);
    if (to === undefined) return Status.FAULT;
    if (!inProtectedMode(state)) return realModeBranch(processor, instruction, to, call);
    if (isNull(to.selector)) return gp(processor, 0);
    const descriptor = readDescriptor(processor, to.selector);
    if (descriptor === undefined) return Status.FAULT;
    const attributes = descriptorAttributes(descriptor.high);
    const task = (attributes & Attribute.S) === 0 ? taskTarget(processor, to.selector, descriptor) : undefined;
    const status =
      task === 'faulted'
        ? Status.FAULT
        : task !== undefined
          ? switchTaskByInstruction(processor, task, call ? 'call' : 'jump')
          : (attributes & Attribute.S) === 0
            ? throughGate(processor, to.selector, descriptor, call)
            : directBranch(processor, instruction, to, descriptor, call);
    if (status !== Status.FAULT) processor.charge('far_transfer');
    return status;
  };
}

/** The code segment itself: same privilege only. */
function directBranch(
  processor: Processor,
  instruction: Instruction,
  to: { selector: number; offset: bigint },
  descriptor: RawDescriptor,
  call: boolean,
): Status {
  const { state } = processor;
  const cpl = state.get32('cpl');
  const code = selectorCode(to.selector);
  const attributes = descriptorAttributes(descriptor.high);
  const dpl = dplOf(descriptor.high);
  const conforming = (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0;
  if ((attributes & Attribute.CODE) === 0) return gp(processor, code);
  if (conforming ? dpl > cpl : (to.selector & 3) > cpl || dpl !== cpl) return gp(processor, code);
  const longCode = state.get32('longMode') !== 0 && (attributes & Attribute.L) !== 0;
  if (longCode && (attributes & Attribute.DB) !== 0) return gp(processor, code);
  if ((attributes & Attribute.P) === 0) return processor.faultWithCode(Vector.NP, code);
  if (!checkTarget(processor, descriptor, to.offset, longCode)) return Status.FAULT;
  if (call && !pushReturn(processor, instruction.operandSize / 8)) return Status.FAULT;
  if (!markAccessed(processor, descriptor)) return Status.FAULT;
  loadCodeSegment(processor, to.selector, cpl, segmentOf(descriptor));
  state.set('rip', to.offset);
  return resync(processor);
}

/** CS and the return address on the current stack; RSP moves. False: faulted. */
function pushReturn(processor: Processor, bytes: number): boolean {
  const { state } = processor;
  const words = [BigInt(state.get32('segmentSelector', Segment.CS)), state.get('rip')];
  if (state.get32('codeMode') !== 64) {
    const stack = stackOf(processor);
    const pointer = pushAll(processor, stack, words, bytes, state.get32('cpl'), 0);
    if (pointer === undefined) return false;
    setStackPointer(processor, pointer, stack.mask);
    return true;
  }
  const rsp = state.get('gpr', Register.RSP);
  const pointer = pushLong(processor, rsp, words, bytes, state.get32('cpl'), 0);
  if (pointer === undefined) return false;
  state.set('gpr', pointer, Register.RSP);
  return true;
}

function pushLong(
  processor: Processor,
  rsp: bigint,
  words: readonly bigint[],
  bytes: number,
  cpl: number,
  errorCode: number,
): bigint | undefined {
  const who = privilegeOf(cpl);
  const at = (i: number): bigint => BigInt.asUintN(64, rsp - BigInt((i + 1) * bytes));
  const bottom = at(words.length - 1);
  if (!checkCanonical(processor, bottom, words.length * bytes, true)) {
    processor.faultWithCode(Vector.SS, errorCode);
    return undefined;
  }
  for (let i = 0; i < words.length; i++) if (!probeWrite(processor, at(i), bytes, who)) return undefined;
  for (const [i, word] of words.entries()) {
    if (!writeLinear(processor, at(i), bytes, BigInt.asUintN(bytes * 8, word), who)) return undefined;
  }
  return bottom;
}

/** Selector of the TSS when the target is one or a task gate; undefined when it is neither, or there are no tasks. */
function taskTarget(processor: Processor, selector: number, raw: RawDescriptor): number | 'faulted' | undefined {
  const { state } = processor;
  const type = (raw.high >>> 8) & 15;
  const isTss = type === SystemType.TSS_AVAILABLE || type === SystemType.TSS16_AVAILABLE;
  const isBusy = type === SystemType.TSS_BUSY || type === SystemType.TSS16_BUSY;
  if (state.get32('longMode') !== 0 || !(isTss || isBusy || type === SystemType.TASK_GATE)) return undefined;
  const dpl = dplOf(raw.high);
  if (dpl < state.get32('cpl') || dpl < (selector & 3)) {
    gp(processor, selectorCode(selector));
    return 'faulted';
  }
  if (type !== SystemType.TASK_GATE) return selector;
  const gate = parseGateDescriptor(raw.low, raw.high);
  if (gate.present) return gate.selector;
  processor.faultWithCode(Vector.NP, selectorCode(selector));
  return 'faulted';
}

/** Call gate: the selector and offset of the instruction's own target are not used. */
function throughGate(processor: Processor, selector: number, raw: RawDescriptor, call: boolean): Status {
  const { state } = processor;
  const cpl = state.get32('cpl');
  const long = state.get32('longMode') !== 0;
  const code = selectorCode(selector);
  const type = (raw.high >>> 8) & 15;
  const narrow = type === SystemType.CALL_GATE16 && !long;
  if (type !== SystemType.CALL_GATE && !narrow) return gp(processor, code);
  let upper = 0;
  if (long) {
    const whole = readDescriptor(processor, selector, Vector.GP, 0, 16);
    if (whole === undefined) return Status.FAULT;
    const value = readLinear(processor, BigInt.asUintN(64, raw.address + 8n), 8, IMPLICIT);
    if (value === undefined) return Status.FAULT;
    if (((value >> 40n) & 0x1fn) !== 0n) return gp(processor, code);
    upper = Number(value & 0xffff_ffffn);
  }
  const gate = parseGateDescriptor(raw.low, raw.high, upper);
  if (gate.dpl < cpl || gate.dpl < (selector & 3)) return gp(processor, code);
  if (!gate.present) return processor.faultWithCode(Vector.NP, code);
  if (isNull(gate.selector)) return gp(processor, 0);
  const descriptor = readDescriptor(processor, gate.selector);
  if (descriptor === undefined) return Status.FAULT;
  const attributes = descriptorAttributes(descriptor.high);
  const dpl = dplOf(descriptor.high);
  const targetCode = selectorCode(gate.selector);
  const isCode = (attributes & (Attribute.S | Attribute.CODE)) === (Attribute.S | Attribute.CODE);
  const conforming = (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0;
  if (!isCode || dpl > cpl || (!call && !conforming && dpl !== cpl)) return gp(processor, targetCode);
  if (long && (attributes & (Attribute.L | Attribute.DB)) !== Attribute.L) return gp(processor, targetCode);
  if ((attributes & Attribute.P) === 0) return processor.faultWithCode(Vector.NP, targetCode);
  const newCpl = call && !conforming ? dpl : cpl;
  const offset = narrow ? gate.offset & 0xffffn : gate.offset;
  if (!checkTarget(processor, descriptor, offset, long)) return Status.FAULT;
  if (call) {
    const pushed = long ? enterLong(processor, newCpl, cpl) : enterLegacy(processor, newCpl, cpl, narrow ? 2 : 4, gate.parameters);
    if (!pushed) return Status.FAULT;
  }
  if (!markAccessed(processor, descriptor)) return Status.FAULT;
  loadCodeSegment(processor, gate.selector, newCpl, segmentOf(descriptor));
  state.set('rip', offset);
  return resync(processor);
}

/** Frame of a call through a 64-bit gate: SS and RSP when the privilege changes, CS, RIP. */
function enterLong(processor: Processor, newCpl: number, cpl: number): boolean {
  const { state } = processor;
  const words = [BigInt(state.get32('segmentSelector', Segment.CS)), state.get('rip')];
  let rsp = state.get('gpr', Register.RSP) & state.get('stackMask');
  if (newCpl !== cpl) {
    words.unshift(BigInt(state.get32('segmentSelector', Segment.SS)), state.get('gpr', Register.RSP));
    const inner = readTssStack(processor, 4 + 8 * newCpl, 0);
    if (inner === undefined) return false;
    if (!isCanonical(inner)) {
      processor.faultWithCode(Vector.SS, 0);
      return false;
    }
    rsp = inner;
  }
  const pointer = pushLong(processor, rsp, words, 8, newCpl, 0);
  if (pointer === undefined) return false;
  if (newCpl !== cpl) setNullStack(processor, newCpl, newCpl);
  state.set('gpr', pointer, Register.RSP);
  return true;
}

/** Frame of a call through a 16- or 32-bit gate: SS and ESP, the parameters copied, CS, EIP. */
function enterLegacy(processor: Processor, newCpl: number, cpl: number, bytes: number, parameters: number): boolean {
  const { state } = processor;
  const back = [BigInt(state.get32('segmentSelector', Segment.CS)), state.get('rip')];
  if (newCpl === cpl) {
    const stack = stackOf(processor);
    const pointer = pushAll(processor, stack, back, bytes, cpl, 0);
    if (pointer === undefined) return false;
    setStackPointer(processor, pointer, stack.mask);
    return true;
  }
  const copied: bigint[] = [];
  for (let i = parameters - 1; i >= 0; i--) {
    const word = peekStack(processor, i, bytes);
    if (word === undefined) return false;
    copied.push(word);
  }
  const inner = innerStack(processor, newCpl, 0);
  if (inner === undefined) return false;
  const words = [BigInt(state.get32('segmentSelector', Segment.SS)), state.get('gpr', Register.RSP), ...copied, ...back];
  const pointer = pushAll(processor, inner.view, words, bytes, newCpl, selectorCode(inner.selector));
  if (pointer === undefined) return false;
  commitInnerStack(processor, inner);
  setStackPointer(processor, pointer, inner.view.mask);
  return true;
}

function realModeBranch(processor: Processor, instruction: Instruction, to: { selector: number; offset: bigint }, call: boolean): Status {
  if (to.offset > 0xffffn) return gp(processor, 0);
  if (call && !pushReturn(processor, instruction.operandSize / 8)) return Status.FAULT;
  loadSegmentRealMode(processor, Segment.CS, to.selector);
  processor.state.set('rip', to.offset);
  updateMode(processor);
  return resync(processor);
}

const retf: Handler = (processor, instruction) => {
  const { state } = processor;
  const bytes = instruction.operandSize / 8;
  const released = instruction.operands.length === 0 ? 0 : Number(instruction.immediate & 0xffffn);
  const rip = peekStack(processor, 0, bytes);
  const cs = rip === undefined ? undefined : peekStack(processor, 1, bytes);
  if (rip === undefined || cs === undefined) return Status.FAULT;
  const selector = Number(cs & 0xffffn);
  if (!inProtectedMode(state)) {
    if (rip > 0xffffn) return gp(processor, 0);
    setStackPointer(processor, state.get('gpr', Register.RSP) + BigInt(bytes * 2 + released), state.get('stackMask'));
    loadSegmentRealMode(processor, Segment.CS, selector);
    state.set('rip', rip);
    updateMode(processor);
    return resync(processor);
  }
  const cpl = state.get32('cpl');
  const descriptor = checkReturnCode(processor, selector, cpl);
  if (descriptor === undefined) return Status.FAULT;
  const newCpl = selector & 3;
  const to64 = state.get32('longMode') !== 0 && (descriptorAttributes(descriptor.high) & Attribute.L) !== 0;
  let stack: { selector: number; pointer: bigint; descriptor: RawDescriptor | 'null' } | undefined;
  if (newCpl > cpl) {
    const rsp = peekStack(processor, 2, bytes, released);
    const ss = rsp === undefined ? undefined : peekStack(processor, 3, bytes, released);
    if (rsp === undefined || ss === undefined) return Status.FAULT;
    const ssDescriptor = checkReturnStack(processor, Number(ss & 0xffffn), newCpl, to64);
    if (ssDescriptor === undefined) return Status.FAULT;
    // The released bytes are parameters, on both stacks.
    stack = { selector: Number(ss & 0xffffn), pointer: rsp + BigInt(released), descriptor: ssDescriptor };
  }
  if (!checkTarget(processor, descriptor, rip, to64)) return Status.FAULT;
  if (!markAccessed(processor, descriptor)) return Status.FAULT;
  if (stack !== undefined && stack.descriptor !== 'null' && !markAccessed(processor, stack.descriptor)) return Status.FAULT;
  commitReturn(processor, selector, newCpl, descriptor, rip, stack, bytes * 2 + released);
  processor.charge('far_transfer');
  return resync(processor);
};

export const FAR_TRANSFER_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  CALL: farBranch(true),
  JMP: farBranch(false),
  RETF: retf,
};

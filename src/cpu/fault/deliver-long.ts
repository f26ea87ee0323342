/**
 * Delivery through the IDT in long mode. The frame, from the 16-byte aligned stack downwards:
 *   SS, RSP, RFLAGS, CS, RIP, then the error code where the vector has one; 8 bytes each, always all of them.
 * Everything is checked before anything is committed but the pushes themselves.
 * Sources: SDM 3A §6.14 (gates, stack switch, IST), §7.7 (64-bit TSS), SDM 2A INT n (operation, error codes).
 */
import { Attribute, descriptorAttributes, parseGateDescriptor, Selector, SystemType } from '../../x86/descriptors.ts';
import { SelectorError, Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { Register } from '../../x86/registers.ts';
import {
  dplOf,
  isNull,
  loadCodeSegment,
  markAccessed,
  readDescriptor,
  segmentOf,
  selectorCode,
  setNullStack,
} from '../mmu/segmentation.ts';
import { checkCanonical, IMPLICIT, privilegeOf, readLinear, writeLinear } from '../mmu/system-access.ts';
import { updateSegment } from '../mode.ts';
import type { Processor } from '../processor.ts';
import type { Event } from './event.ts';
import { clearFlagsOnEntry, externalBit, savedFlags } from './saved-flags.ts';

/** Offsets in the 64-bit TSS. */
const TSS_RSP0 = 4;
const TSS_IST1 = 0x24;

export function deliverLong(processor: Processor, event: Event): boolean {
  const { state } = processor;
  const ext = externalBit(event);
  const gateCode = (event.vector << 3) | SelectorError.IDT | ext;
  const cpl = state.get32('cpl');

  if (event.vector * 16 + 15 > state.get32('idtrLimit')) return fault(processor, Vector.GP, gateCode);
  const gateAddress = BigInt.asUintN(64, state.get('idtrBase') + BigInt(event.vector * 16));
  const gateLow = readLinear(processor, gateAddress, 8, IMPLICIT);
  if (gateLow === undefined) return false;
  const gateHigh = readLinear(processor, BigInt.asUintN(64, gateAddress + 8n), 8, IMPLICIT);
  if (gateHigh === undefined) return false;
  const gate = parseGateDescriptor(Number(gateLow & 0xffff_ffffn), Number(gateLow >> 32n), Number(gateHigh & 0xffff_ffffn));
  const isGate = ((gateLow >> 44n) & 1n) === 0n && (gate.type === SystemType.INTERRUPT_GATE || gate.type === SystemType.TRAP_GATE);
  if (!isGate) return fault(processor, Vector.GP, gateCode);
  if (event.kind === 'software' && gate.dpl < cpl) return fault(processor, Vector.GP, gateCode);
  if (!gate.present) return fault(processor, Vector.NP, gateCode);

  // The handler's code segment.
  if (isNull(gate.selector)) return fault(processor, Vector.GP, ext);
  const descriptor = readDescriptor(processor, gate.selector, Vector.GP, ext);
  if (descriptor === undefined) return false;
  const code = selectorCode(gate.selector) | ext;
  const attributes = descriptorAttributes(descriptor.high);
  const isCode = (attributes & (Attribute.S | Attribute.CODE)) === (Attribute.S | Attribute.CODE);
  const dpl = dplOf(descriptor.high);
  if (!isCode || dpl > cpl) return fault(processor, Vector.GP, code);
  if ((attributes & Attribute.P) === 0) return fault(processor, Vector.NP, code);
  if ((attributes & (Attribute.L | Attribute.DB)) !== Attribute.L) return fault(processor, Vector.GP, code);
  const conforming = (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0;
  const newCpl = conforming ? cpl : dpl;
  if (!isCanonical(gate.offset)) return fault(processor, Vector.GP, ext);

  // The stack.
  const oldRsp = state.get('gpr', Register.RSP);
  let rsp = oldRsp & state.get('stackMask');
  if (gate.ist !== 0 || newCpl !== cpl) {
    const offset = gate.ist !== 0 ? TSS_IST1 + 8 * (gate.ist - 1) : TSS_RSP0 + 8 * newCpl;
    const fromTss = readTssStack(processor, offset, ext);
    if (fromTss === undefined) return false;
    rsp = fromTss;
  }
  rsp &= ~0xfn;
  const frame = [
    BigInt(state.get32('segmentSelector', Segment.SS)),
    oldRsp,
    savedFlags(processor, event),
    BigInt(state.get32('segmentSelector', Segment.CS)),
    state.get('rip'),
  ];
  if (event.errorCode !== undefined) frame.push(BigInt(event.errorCode >>> 0));
  const bottom = BigInt.asUintN(64, rsp - BigInt(frame.length * 8));
  if (!checkCanonical(processor, bottom, frame.length * 8, true)) {
    return fault(processor, Vector.SS, ext);
  }
  const who = privilegeOf(newCpl);
  for (const [i, word] of frame.entries()) {
    const at = BigInt.asUintN(64, rsp - BigInt((i + 1) * 8));
    if (!writeLinear(processor, at, 8, word, who)) return false;
  }
  if (!markAccessed(processor, descriptor)) return false;

  loadCodeSegment(processor, gate.selector & ~Selector.RPL_MASK, newCpl, segmentOf(descriptor));
  if (newCpl !== cpl) setNullStack(processor, newCpl, newCpl);
  updateSegment(processor, Segment.SS);
  state.set('gpr', bottom, Register.RSP);
  state.set('rip', gate.offset);
  clearFlagsOnEntry(processor, gate.type === SystemType.INTERRUPT_GATE);
  return true;
}

/** A stack pointer of the 64-bit TSS. */
export function readTssStack(processor: Processor, offset: number, ext: number): bigint | undefined {
  const { state } = processor;
  if (offset + 7 > state.get32('trLimit')) {
    fault(processor, Vector.TS, selectorCode(state.get32('trSelector')) | ext);
    return undefined;
  }
  const address = BigInt.asUintN(64, state.get('trBase') + BigInt(offset));
  return readLinear(processor, address, 8, IMPLICIT);
}

function fault(processor: Processor, vector: number, errorCode: number): false {
  processor.faultWithCode(vector, errorCode);
  return false;
}

/**
 * Descriptor table registers: LGDT, LIDT, SGDT, SIDT, LLDT, SLDT, LTR, STR.
 * Sources: SDM 2 (operation of each), SDM 3A §2.4, §7.2.4 (busy bit).
 */
import { Attribute, descriptorAttributes, parseSegmentDescriptor, Selector, SystemType, TSS_BUSY_BIT } from '../../x86/descriptors.ts';
import { Vector } from '../../x86/exceptions.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { Status } from '../engine.ts';
import { isNull, type RawDescriptor, readDescriptor, selectorCode } from '../mmu/segmentation.ts';
import { IMPLICIT, privilegeOf, probeWrite, readLinear, writeLinear } from '../mmu/system-access.ts';
import { inProtectedMode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { umipFaults } from './control-registers.ts';
import { type Handler, operandAddress, operandOf, readMemory, readOperand, writeMemory, writeOperand } from './operand.ts';

function loadTable(limitField: 'gdtrLimit' | 'idtrLimit', baseField: 'gdtrBase' | 'idtrBase'): Handler {
  return (processor, instruction) => {
    const { state } = processor;
    if (state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
    const wide = state.get32('codeMode') === 64;
    const limit = readMemory(processor, instruction, 2);
    if (limit === undefined) return Status.FAULT;
    const raw = readMemory(processor, instruction, wide ? 8 : 4, 2);
    if (raw === undefined) return Status.FAULT;
    const base = !wide && instruction.operandSize === 16 ? raw & 0xff_ffffn : raw;
    if (!isCanonical(base)) return processor.faultWithCode(Vector.GP, 0);
    state.set32(limitField, Number(limit));
    state.set(baseField, base);
    return Status.CONTINUE;
  };
}

function storeTable(limitField: 'gdtrLimit' | 'idtrLimit', baseField: 'gdtrBase' | 'idtrBase'): Handler {
  return (processor, instruction) => {
    const { state } = processor;
    if (umipFaults(processor)) return Status.FAULT;
    const wide = state.get32('codeMode') === 64;
    const limit = BigInt(state.get32(limitField) & 0xffff);
    // Both parts are checked before one is stored.
    const start = operandAddress(processor, instruction, 2, true);
    if (start === undefined || !probeWrite(processor, start, 2, privilegeOf(state.get32('cpl')))) return Status.FAULT;
    if (!writeMemory(processor, instruction, wide ? 8 : 4, state.get(baseField), 2)) return Status.FAULT;
    return writeMemory(processor, instruction, 2, limit) ? Status.CONTINUE : Status.FAULT;
  };
}

/** Reads a system descriptor: 16 bytes in 64-bit mode and compatibility mode of long mode. Undefined: faulted. */
function readSystemDescriptor(processor: Processor, selector: number): { raw: RawDescriptor; upper: number } | undefined {
  const wide = processor.state.get32('longMode') !== 0;
  if ((selector & Selector.TI) !== 0) {
    processor.faultWithCode(Vector.GP, selectorCode(selector));
    return undefined;
  }
  const raw = readDescriptor(processor, selector, Vector.GP, 0, wide ? 16 : 8);
  if (raw === undefined) return undefined;
  if (!wide) return { raw, upper: 0 };
  const upper = readLinear(processor, BigInt.asUintN(64, raw.address + 8n), 8, IMPLICIT);
  if (upper === undefined) return undefined;
  // The type field of the upper half must be zero (SDM 3A Figure 7-4).
  if (((upper >> 40n) & 0x1fn) !== 0n) {
    processor.faultWithCode(Vector.GP, selectorCode(selector));
    return undefined;
  }
  return { raw, upper: Number(upper & 0xffff_ffffn) };
}

/** False, with #UD or #GP(0) recorded, outside protected mode and above CPL 0. */
function protectedAndPrivileged(processor: Processor): boolean {
  if (!inProtectedMode(processor.state)) {
    processor.fault(Vector.UD);
    return false;
  }
  if (processor.state.get32('cpl') === 0) return true;
  processor.faultWithCode(Vector.GP, 0);
  return false;
}

const lldt: Handler = (processor, instruction) => {
  const { state } = processor;
  if (!protectedAndPrivileged(processor)) return Status.FAULT;
  const operand = readOperand(processor, instruction, operandOf(instruction, 0), 16);
  if (operand === undefined) return Status.FAULT;
  const selector = Number(operand);
  if (isNull(selector)) {
    state.set32('ldtrSelector', selector);
    state.set32('ldtrAttributes', 0);
    return Status.CONTINUE;
  }
  const descriptor = readSystemDescriptor(processor, selector);
  if (descriptor === undefined) return Status.FAULT;
  const attributes = descriptorAttributes(descriptor.raw.high);
  if ((attributes & (Attribute.S | Attribute.TYPE_MASK)) !== SystemType.LDT) {
    return processor.faultWithCode(Vector.GP, selectorCode(selector));
  }
  if ((attributes & Attribute.P) === 0) return processor.faultWithCode(Vector.NP, selectorCode(selector));
  const segment = parseSegmentDescriptor(descriptor.raw.low, descriptor.raw.high, descriptor.upper);
  state.set32('ldtrSelector', selector);
  state.set('ldtrBase', segment.base);
  state.set32('ldtrLimit', segment.limit);
  state.set32('ldtrAttributes', segment.attributes);
  return Status.CONTINUE;
};

const ltr: Handler = (processor, instruction) => {
  const { state } = processor;
  if (!protectedAndPrivileged(processor)) return Status.FAULT;
  const operand = readOperand(processor, instruction, operandOf(instruction, 0), 16);
  if (operand === undefined) return Status.FAULT;
  const selector = Number(operand);
  if (isNull(selector)) return processor.faultWithCode(Vector.GP, 0);
  const descriptor = readSystemDescriptor(processor, selector);
  if (descriptor === undefined) return Status.FAULT;
  const { raw } = descriptor;
  const attributes = descriptorAttributes(raw.high);
  const kind = attributes & (Attribute.S | Attribute.TYPE_MASK);
  const available = kind === SystemType.TSS_AVAILABLE || (kind === SystemType.TSS16_AVAILABLE && state.get32('longMode') === 0);
  if (!available) return processor.faultWithCode(Vector.GP, selectorCode(selector));
  if ((attributes & Attribute.P) === 0) return processor.faultWithCode(Vector.NP, selectorCode(selector));
  const busy = (raw.high | TSS_BUSY_BIT) >>> 0;
  if (!writeLinear(processor, BigInt.asUintN(64, raw.address + 4n), 4, BigInt(busy), IMPLICIT)) return Status.FAULT;
  const segment = parseSegmentDescriptor(raw.low, busy, descriptor.upper);
  state.set32('trSelector', selector);
  state.set('trBase', segment.base);
  state.set32('trLimit', segment.limit);
  state.set32('trAttributes', segment.attributes);
  return Status.CONTINUE;
};

function storeSelector(field: 'ldtrSelector' | 'trSelector'): Handler {
  return (processor, instruction) => {
    if (!inProtectedMode(processor.state)) return processor.fault(Vector.UD);
    if (umipFaults(processor)) return Status.FAULT;
    const operand = operandOf(instruction, 0);
    const width = operand.kind === 'memory' ? 16 : operand.width;
    const selector = BigInt(processor.state.get32(field));
    return writeOperand(processor, instruction, operand, selector, width) ? Status.CONTINUE : Status.FAULT;
  };
}

export const DESCRIPTOR_TABLE_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  LGDT: loadTable('gdtrLimit', 'gdtrBase'),
  LIDT: loadTable('idtrLimit', 'idtrBase'),
  SGDT: storeTable('gdtrLimit', 'gdtrBase'),
  SIDT: storeTable('idtrLimit', 'idtrBase'),
  LLDT: lldt,
  LTR: ltr,
  SLDT: storeSelector('ldtrSelector'),
  STR: storeSelector('trSelector'),
};

/**
 * LAR, LSL, VERR, VERW, ARPL: questions about selectors, answered in ZF without faulting on a bad selector.
 * Sources: SDM 2A LAR, LSL, ARPL, SDM 2B VERR (operation, tables of valid types).
 */
import { Attribute, descriptorAttributes, descriptorLimit } from '../../x86/descriptors.ts';
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Status } from '../engine.ts';
import { dplOf, peekDescriptor, type RawDescriptor } from '../mmu/segmentation.ts';
import { inProtectedMode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { type Handler, operandOf, readOperand, setRegister, writeOperand } from './operand.ts';

/** System types that LAR and LSL know, as bit sets; in long mode neither 16-bit ones nor task gates. */
const LAR_TYPES = typeSet(0x1, 0x2, 0x3, 0x4, 0x5, 0x9, 0xb, 0xc);
const LAR_TYPES_LONG = typeSet(0x2, 0x9, 0xb, 0xc);
const LSL_TYPES = typeSet(0x1, 0x2, 0x3, 0x9, 0xb);
const LSL_TYPES_LONG = typeSet(0x2, 0x9, 0xb);

function typeSet(...types: number[]): number {
  return types.reduce((set, type) => set | (1 << type), 0);
}

function setZero(processor: Processor, on: boolean): void {
  const zf = BigInt(Flag.ZF);
  const flags = processor.state.get('rflags');
  processor.state.set('rflags', on ? flags | zf : flags & ~zf);
}

/** The descriptor when the current code may see it; 'no' when not; undefined: faulted. */
function visible(processor: Processor, selector: number): RawDescriptor | 'no' | undefined {
  const descriptor = peekDescriptor(processor, selector);
  if (descriptor === undefined) return undefined;
  if (descriptor === 'outside') return 'no';
  const attributes = descriptorAttributes(descriptor.high);
  const conformingCode = Attribute.S | Attribute.CODE | Attribute.CONFORMING_EXPAND_DOWN;
  if ((attributes & conformingCode) === conformingCode) return descriptor;
  const dpl = dplOf(descriptor.high);
  return dpl >= processor.state.get32('cpl') && dpl >= (selector & 3) ? descriptor : 'no';
}

function load(types: number, typesLong: number, value: (descriptor: RawDescriptor) => bigint): Handler {
  return (processor, instruction) => {
    if (!inProtectedMode(processor.state)) return processor.fault(Vector.UD);
    const operand = readOperand(processor, instruction, operandOf(instruction, 1), 16);
    if (operand === undefined) return Status.FAULT;
    const descriptor = visible(processor, Number(operand));
    if (descriptor === undefined) return Status.FAULT;
    const known = processor.state.get32('longMode') !== 0 ? typesLong : types;
    const valid =
      descriptor !== 'no' &&
      ((descriptorAttributes(descriptor.high) & Attribute.S) !== 0 || ((known >> ((descriptor.high >> 8) & 15)) & 1) !== 0);
    if (valid) setRegister(processor, operandOf(instruction, 0).index, instruction.operandSize, value(descriptor));
    setZero(processor, valid);
    return Status.CONTINUE;
  };
}

function verify(write: boolean): Handler {
  return (processor, instruction) => {
    if (!inProtectedMode(processor.state)) return processor.fault(Vector.UD);
    const operand = readOperand(processor, instruction, operandOf(instruction, 0), 16);
    if (operand === undefined) return Status.FAULT;
    const descriptor = visible(processor, Number(operand));
    if (descriptor === undefined) return Status.FAULT;
    if (descriptor === 'no') {
      setZero(processor, false);
      return Status.CONTINUE;
    }
    const attributes = descriptorAttributes(descriptor.high);
    const segment = (attributes & Attribute.S) !== 0;
    const code = (attributes & Attribute.CODE) !== 0;
    const readWrite = (attributes & Attribute.READ_WRITE) !== 0;
    setZero(processor, segment && (write ? !code && readWrite : !code || readWrite));
    return Status.CONTINUE;
  };
}

const arpl: Handler = (processor, instruction) => {
  if (!inProtectedMode(processor.state)) return processor.fault(Vector.UD);
  const target = operandOf(instruction, 0);
  const value = readOperand(processor, instruction, target, 16);
  const source = readOperand(processor, instruction, operandOf(instruction, 1), 16);
  if (value === undefined || source === undefined) return Status.FAULT;
  const raise = (value & 3n) < (source & 3n);
  if (raise && !writeOperand(processor, instruction, target, (value & ~3n) | (source & 3n), 16)) return Status.FAULT;
  setZero(processor, raise);
  return Status.CONTINUE;
};

export const SEGMENT_QUERY_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  LAR: load(LAR_TYPES, LAR_TYPES_LONG, (descriptor) => BigInt((descriptor.high & 0x00ff_ff00) >>> 0)),
  LSL: load(LSL_TYPES, LSL_TYPES_LONG, (descriptor) => BigInt(descriptorLimit(descriptor.low, descriptor.high) >>> 0)),
  VERR: verify(false),
  VERW: verify(true),
  ARPL: arpl,
};

/**
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: comparisons of two strings in vectors, in plain TypeScript since they
 * have many parts and are rare. The steps have the names of the manual.
 * The VEX forms of PCMPxSTRM clear the upper half of their result.
 * Source: SDM 2B §4.1 (imm8 control byte operation for PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM).
 */
import { Cr0, Cr4, Xcr0 } from '../../x86/control-registers.ts';
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import type { Instruction } from '../../x86/instruction.ts';
import { Register } from '../../x86/registers.ts';
import { Status } from '../engine.ts';
import type { Processor } from '../processor.ts';
import type { CpuState } from '../state.ts';
import { type Handler, operandOf, readMemory, setRegister } from './operand.ts';

const Aggregation = { EQUAL_ANY: 0, RANGES: 1, EQUAL_EACH: 2, EQUAL_ORDERED: 3 } as const;
const STATUS_FLAGS = BigInt(Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.OF);

/** Elements with their number that are valid. */
interface Text {
  readonly elements: readonly number[];
  readonly length: number;
}

function unavailable(processor: Processor, { row }: Instruction): Status | undefined {
  const { state } = processor;
  if (row.vex) {
    const vectors = BigInt(Xcr0.SSE | Xcr0.AVX);
    if ((state.get32('cr4') & Cr4.OSXSAVE) === 0 || (state.get('xcr0') & vectors) !== vectors) return processor.fault(Vector.UD);
  } else if ((state.get32('cr0') & Cr0.EM) !== 0 || (state.get32('cr4') & Cr4.OSFXSR) === 0) return processor.fault(Vector.UD);
  return (state.get32('cr0') & Cr0.TS) !== 0 ? processor.fault(Vector.NM) : undefined;
}

/** imm8 bits 1:0: bytes or words, unsigned or signed. */
function elementsOf(words: readonly [bigint, bigint], control: number): number[] {
  const width = (control & 1) !== 0 ? 16 : 8;
  const elements: number[] = [];
  for (const word of words) {
    for (let at = 0n; at < 64n; at += BigInt(width)) {
      const element = word >> at;
      elements.push(Number((control & 2) !== 0 ? BigInt.asIntN(width, element) : BigInt.asUintN(width, element)));
    }
  }
  return elements;
}

/** Implicit length: up to the first zero. */
function implicitText(elements: readonly number[]): Text {
  const end = elements.indexOf(0);
  return { elements, length: end < 0 ? elements.length : end };
}

/** Explicit length: the magnitude of a register, 64 bits wide under REX.W, at most the number of elements. */
function explicitText(elements: readonly number[], register: bigint, wide: boolean): Text {
  const signed = BigInt.asIntN(wide ? 64 : 32, register);
  const magnitude = signed < 0n ? -signed : signed;
  return { elements, length: magnitude > BigInt(elements.length) ? elements.length : Number(magnitude) };
}

/** IntRes1: a bit for each element of the second string. */
function aggregate(first: Text, second: Text, aggregation: number): number {
  const count = first.elements.length;
  const a = first.elements;
  const b = second.elements;
  const positions = Array.from({ length: count }, (_, n) => n);
  const holds = (j: number): boolean => {
    switch (aggregation) {
      case Aggregation.EQUAL_ANY:
        return j < second.length && positions.some((i) => i < first.length && a[i] === b[j]);
      case Aggregation.RANGES:
        return j < second.length && positions.some((i) => i % 2 === 0 && i + 1 < first.length && a[i] <= b[j] && b[j] <= a[i + 1]);
      case Aggregation.EQUAL_EACH:
        return j < first.length && j < second.length ? a[j] === b[j] : j >= first.length && j >= second.length;
      default:
        return positions.every((i) => j + i >= count || i >= first.length || (j + i < second.length && a[i] === b[j + i]));
    }
  };
  return positions.reduce((bits, j) => bits | (holds(j) ? 1 << j : 0), 0);
}

/** IntRes2: imm8 bits 5:4 negate all bits, or those of valid elements. */
function applyPolarity(bits: number, second: Text, polarity: number): number {
  if ((polarity & 1) === 0) return bits;
  const count = (polarity & 2) !== 0 ? second.length : second.elements.length;
  return bits ^ ((1 << count) - 1);
}

function setFlags(state: CpuState, result: number, first: Text, second: Text): void {
  let flags = 0;
  if (result !== 0) flags |= Flag.CF;
  if (second.length < second.elements.length) flags |= Flag.ZF;
  if (first.length < first.elements.length) flags |= Flag.SF;
  if ((result & 1) !== 0) flags |= Flag.OF;
  state.set('rflags', (state.get('rflags') & ~STATUS_FLAGS) | BigInt(flags));
}

/** ECX: position of the lowest or (imm8 bit 6) highest bit, or the number of elements. */
function writeIndex(processor: Processor, result: number, count: number, highest: boolean): void {
  const lowest = 31 - Math.clz32(result & -result);
  const index = result === 0 ? count : highest ? 31 - Math.clz32(result) : lowest;
  setRegister(processor, Register.RCX, 32, BigInt(index));
}

/** XMM0: the bits, or (imm8 bit 6) elements of ones and zeros. */
function writeMask(state: CpuState, result: number, count: number, expand: boolean): void {
  let mask = BigInt(result);
  if (expand) {
    const width = BigInt(128 / count);
    mask = 0n;
    for (let n = 0; n < count; n++) {
      if ((result & (1 << n)) !== 0) mask |= ((1n << width) - 1n) << (BigInt(n) * width);
    }
  }
  state.set('xmm', BigInt.asUintN(64, mask), 0);
  state.set('xmm', mask >> 64n, 1);
}

function sourceWords(processor: Processor, instruction: Instruction): [bigint, bigint] | undefined {
  const source = operandOf(instruction, 1);
  const { state } = processor;
  if (source.kind === 'xmm') return [state.get('xmm', source.index * 2), state.get('xmm', source.index * 2 + 1)];
  // The second half may be on another page: its fault is as good as the first one's.
  const low = readMemory(processor, instruction, 8);
  const high = low === undefined ? undefined : readMemory(processor, instruction, 8, 8);
  return low === undefined || high === undefined ? undefined : [low, high];
}

function compare(explicit: boolean, toIndex: boolean): Handler {
  return (processor, instruction) => {
    const fault = unavailable(processor, instruction);
    if (fault !== undefined) return fault;
    const words = sourceWords(processor, instruction);
    if (words === undefined) return Status.FAULT;
    const { state } = processor;
    const control = Number(instruction.immediate & 0xffn);
    const { index } = operandOf(instruction, 0);
    const a = elementsOf([state.get('xmm', index * 2), state.get('xmm', index * 2 + 1)], control);
    const b = elementsOf(words, control);
    const wide = instruction.operandSize === 64;
    const first = explicit ? explicitText(a, state.get('gpr', Register.RAX), wide) : implicitText(a);
    const second = explicit ? explicitText(b, state.get('gpr', Register.RDX), wide) : implicitText(b);
    const result = applyPolarity(aggregate(first, second, (control >> 2) & 3), second, (control >> 4) & 3);
    setFlags(state, result, first, second);
    const selected = (control & 0x40) !== 0;
    if (toIndex) writeIndex(processor, result, a.length, selected);
    else writeMask(state, result, a.length, selected);
    if (!toIndex && instruction.row.vex) {
      state.set('ymmHigh', 0n, 0);
      state.set('ymmHigh', 0n, 1);
    }
    return Status.CONTINUE;
  };
}

const FORMS = { ESTRI: compare(true, true), ESTRM: compare(true, false), ISTRI: compare(false, true), ISTRM: compare(false, false) };

export const STRING_COMPARISON_INSTRUCTIONS: Readonly<Record<string, Handler>> = Object.fromEntries(
  Object.entries(FORMS).flatMap(([form, handler]) => [
    [`PCMP${form}`, handler],
    [`VPCMP${form}`, handler],
  ]),
);

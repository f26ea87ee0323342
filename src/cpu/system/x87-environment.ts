/**
 * The x87 environment and the whole state of the unit in memory: FNSTENV, FLDENV, FNSAVE, FRSTOR. Plain code for every
 * engine, like FXSAVE: images of up to 108 bytes, all of them checked before anything is written or loaded.
 *
 *   32-bit format: FCW, FSW, FTW, FIP, FCS and FOP, FDP, FDS, four bytes each; 16-bit format: two bytes each.
 *   Behind it ST(0) to ST(7), ten bytes each.
 *
 * FOP, FIP and FDP are no part of the state and are saved as zero. With them zero the formats of real-address mode are
 * those of protected mode.
 * Sources: SDM 1 §8.1.10 (Figures 8-9 to 8-12), §8.1.7 (tag word), SDM 2A FLDENV, FRSTOR, FSAVE, FSTENV.
 */
import { Cr0 } from '../../x86/control-registers.ts';
import { Vector } from '../../x86/exceptions.ts';
import type { Instruction } from '../../x86/instruction.ts';
import { Status } from '../engine.ts';
import { privilegeOf, probeWrite, readLinear, writeLinear } from '../mmu/system-access.ts';
import type { Processor } from '../processor.ts';
import type { CpuState } from '../state.ts';
import { type Handler, operandAddress } from './operand.ts';

const STACK_BYTES = 80;
const INITIAL_CONTROL = 0x37f;
const CONTROL_WRITABLE = 0x1f3f;
const CONTROL_ONE = 0x40;
const EXCEPTIONS = 0x3f;
const PENDING = 0x8080;
const ERROR_SUMMARY = 0x80;
const MAX_EXPONENT = 0x7fff;
/** Tags of the tag word. */
const Tag = { VALID: 0, ZERO: 1, SPECIAL: 2, EMPTY: 3 } as const;

const environmentBytes = ({ operandSize }: Instruction): number => (operandSize === 16 ? 14 : 28);
const topOf = (state: CpuState): number => (state.get32('fpuStatus') >> 11) & 7;

function tagOf(state: CpuState, register: number): number {
  if (((state.get32('fpuTag') >> register) & 1) === 0) return Tag.EMPTY;
  const significand = state.get('st', register * 2);
  const exponent = Number(state.get('st', register * 2 + 1)) & MAX_EXPONENT;
  if (exponent === 0) return significand === 0n ? Tag.ZERO : Tag.SPECIAL;
  return exponent === MAX_EXPONENT || significand >> 63n === 0n ? Tag.SPECIAL : Tag.VALID;
}

/** The image of what is in the state; the unused halves of 32-bit fields are ones. */
function saveImage(state: CpuState, environment: number, bytes: number): DataView {
  const view = new DataView(new ArrayBuffer(bytes));
  const step = environment / 7;
  let tags = 0;
  for (let register = 0; register < 8; register++) tags |= tagOf(state, register) << (register * 2);
  const unused = 0xffff0000;
  for (const [n, word] of [state.get32('fpuControl'), state.get32('fpuStatus'), tags].entries()) {
    if (step === 2) view.setUint16(n * 2, word, true);
    else view.setUint32(n * 4, (word | unused) >>> 0, true);
  }
  if (step === 4) view.setUint32(24, unused, true);
  for (let i = 0; environment + i * 10 < bytes; i++) {
    const register = (topOf(state) + i) & 7;
    view.setBigUint64(environment + i * 10, state.get('st', register * 2), true);
    view.setUint16(environment + i * 10 + 8, Number(state.get('st', register * 2 + 1)), true);
  }
  return view;
}

function loadImage(state: CpuState, environment: number, view: DataView): void {
  const step = environment / 7;
  const control = (view.getUint16(0, true) & CONTROL_WRITABLE) | CONTROL_ONE;
  const status = view.getUint16(step, true) & ~PENDING;
  const tags = view.getUint16(step * 2, true);
  const unmasked = (status & ~control & EXCEPTIONS) !== 0;
  state.set32('fpuControl', control);
  state.set32('fpuStatus', status | (unmasked ? PENDING : 0));
  let valid = 0;
  for (let register = 0; register < 8; register++) {
    if (((tags >> (register * 2)) & 3) !== Tag.EMPTY) valid |= 1 << register;
  }
  state.set32('fpuTag', valid);
  for (let i = 0; environment + i * 10 < view.byteLength; i++) {
    const register = (topOf(state) + i) & 7;
    state.set('st', view.getBigUint64(environment + i * 10, true), register * 2);
    state.set('st', BigInt(view.getUint16(environment + i * 10 + 8, true)), register * 2 + 1);
  }
}

const available = ({ state }: Processor): boolean => (state.get32('cr0') & (Cr0.EM | Cr0.TS)) === 0;

/** Where an image of `bytes` bytes lies in parts of 2 bytes: all formats have even lengths. */
function store(processor: Processor, instruction: Instruction, image: DataView): boolean {
  const bytes = image.byteLength;
  const linear = operandAddress(processor, instruction, bytes, true);
  if (linear === undefined) return false;
  const who = privilegeOf(processor.state.get32('cpl'));
  if (!probeWrite(processor, linear, bytes, who)) return false;
  for (let at = 0; at < bytes; at += 2) {
    if (!writeLinear(processor, linear + BigInt(at), 2, BigInt(image.getUint16(at, true)), who)) return false;
  }
  return true;
}

function load(processor: Processor, instruction: Instruction, bytes: number): DataView | undefined {
  const linear = operandAddress(processor, instruction, bytes, false);
  if (linear === undefined) return undefined;
  const who = privilegeOf(processor.state.get32('cpl'));
  const image = new DataView(new ArrayBuffer(bytes));
  for (let at = 0; at < bytes; at += 2) {
    const word = readLinear(processor, linear + BigInt(at), 2, who);
    if (word === undefined) return undefined;
    image.setUint16(at, Number(word), true);
  }
  return image;
}

const storing =
  (stack: boolean, after: (state: CpuState) => void): Handler =>
  (processor, instruction) => {
    if (!available(processor)) return processor.fault(Vector.NM);
    const environment = environmentBytes(instruction);
    const image = saveImage(processor.state, environment, environment + (stack ? STACK_BYTES : 0));
    if (!store(processor, instruction, image)) return Status.FAULT;
    after(processor.state);
    return Status.CONTINUE;
  };

const loading =
  (stack: boolean): Handler =>
  (processor, instruction) => {
    const { state } = processor;
    if (!available(processor)) return processor.fault(Vector.NM);
    const pending = (state.get32('fpuStatus') & ERROR_SUMMARY) !== 0;
    if (pending && (state.get32('cr0') & Cr0.NE) !== 0) return processor.fault(Vector.MF);
    const environment = environmentBytes(instruction);
    const image = load(processor, instruction, environment + (stack ? STACK_BYTES : 0));
    if (image === undefined) return Status.FAULT;
    loadImage(state, environment, image);
    return Status.CONTINUE;
  };

export const X87_ENVIRONMENT_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  FNSTENV: storing(false, (state) => {
    // All exceptions become masked, so none is pending.
    state.set32('fpuControl', state.get32('fpuControl') | EXCEPTIONS);
    state.set32('fpuStatus', state.get32('fpuStatus') & ~PENDING);
  }),
  FNSAVE: storing(true, (state) => {
    state.set32('fpuControl', INITIAL_CONTROL);
    state.set32('fpuStatus', 0);
    state.set32('fpuTag', 0);
  }),
  FLDENV: loading(false),
  FRSTOR: loading(true),
};

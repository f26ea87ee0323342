/**
 * XSAVE, XSAVEOPT, XSAVEC, XRSTOR, XGETBV and XSETBV over the components that exist, x87, SSE and AVX: the FXSAVE image
 * (fxsave.ts), the header behind it, and the upper halves of the ymm registers. CPUID leaf 0xD tells the same sizes.
 *
 *     0 legacy region, 512 bytes        512 XSTATE_BV   520 XCOMP_BV   528 zero, to 575        576 AVX, 256 bytes
 *
 * XSAVEOPT writes like XSAVE what is in use: that nothing changed since the last XRSTOR is not tracked.
 * Sources: SDM 1 §13.4 (layout), §13.6 (XINUSE), §13.7-13.10 (operation of each), §13.3 (XCR0).
 */
import { Cr0, Cr4, Xcr0 } from '../../x86/control-registers.ts';
import { Vector } from '../../x86/exceptions.ts';
import type { Instruction } from '../../x86/instruction.ts';
import { Register } from '../../x86/registers.ts';
import { Status } from '../engine.ts';
import { privilegeOf, probeWrite, readLinear, writeLinear } from '../mmu/system-access.ts';
import type { Processor } from '../processor.ts';
import { type CpuState, OFFSET } from '../state.ts';
import { loadFxImage, saveFxImage } from './fxsave.ts';
import { type Handler, operandAddress } from './operand.ts';

const LEGACY_BYTES = 512;
const HEADER_BYTES = 64;
const AREA_BYTES = LEGACY_BYTES + HEADER_BYTES;
const X87_BYTES = 160;
const MXCSR_AT = 24;
const XMM_AT = 160;
const INITIAL_CONTROL = 0x37f;
const INITIAL_MXCSR = 0x1f80;
const COMPACTED = 1n << 63n;
/** Where AVX state lies, in the compacted form too: it is the first component behind the header. */
const AVX_AT = AREA_BYTES;

/** Components that XCR0 may enable, x87 always. */
function componentsOf({ cpuid }: Processor): number {
  return Xcr0.X87 | Xcr0.SSE | (cpuid.features.has('AVX') ? Xcr0.AVX : 0);
}

/** Code outside 64-bit mode has eight vector registers, and the others' places are not touched. */
function registerBytes({ state }: Processor): number {
  return state.get32('codeMode') === 64 ? 256 : 128;
}

function enabled({ state }: Processor): boolean {
  return (state.get32('cr4') & Cr4.OSXSAVE) !== 0;
}

function pair({ state }: Processor): bigint {
  return (state.get('gpr', Register.RAX) & 0xffff_ffffn) | ((state.get('gpr', Register.RDX) & 0xffff_ffffn) << 32n);
}

function setPair({ state }: Processor, value: bigint): void {
  state.set('gpr', value & 0xffff_ffffn, Register.RAX);
  state.set('gpr', value >> 32n, Register.RDX);
}

function allZero(state: CpuState, offset: number, bytes: number): boolean {
  return state.u8.subarray(offset, offset + bytes).every((byte) => byte === 0);
}

/** Components that are not in their initial configuration. */
function inUse(processor: Processor): number {
  const { state } = processor;
  const initialX87 =
    state.get32('fpuControl') === INITIAL_CONTROL &&
    state.get32('fpuStatus') === 0 &&
    state.get32('fpuTag') === 0 &&
    allZero(state, OFFSET.st, 128);
  const bytes = registerBytes(processor);
  const vectors = (allZero(state, OFFSET.xmm, bytes) ? 0 : Xcr0.SSE) | (allZero(state, OFFSET.ymmHigh, bytes) ? 0 : Xcr0.AVX);
  return (initialX87 ? 0 : Xcr0.X87) | vectors;
}

/** Linear address of the area after the checks that come before paging; undefined: a fault is recorded. */
function areaAddress(processor: Processor, instruction: Instruction, bytes: number, write: boolean): bigint | undefined {
  if (!enabled(processor)) {
    processor.fault(Vector.UD);
    return undefined;
  }
  if ((processor.state.get32('cr0') & Cr0.TS) !== 0) {
    processor.fault(Vector.NM);
    return undefined;
  }
  const linear = operandAddress(processor, instruction, bytes, write);
  if (linear === undefined || (linear & 63n) === 0n) return linear;
  processor.faultWithCode(Vector.GP, 0);
  return undefined;
}

function requested(processor: Processor): number {
  return Number(pair(processor) & processor.state.get('xcr0'));
}

function save(form: 'standard' | 'optimized' | 'compacted'): Handler {
  return (processor, instruction) => {
    const { state } = processor;
    const wanted = requested(processor);
    const vectorBytes = registerBytes(processor);
    const bytes = AREA_BYTES + ((wanted & Xcr0.AVX) !== 0 ? vectorBytes : 0);
    const linear = areaAddress(processor, instruction, bytes, true);
    if (linear === undefined) return Status.FAULT;
    const who = privilegeOf(state.get32('cpl'));
    if (!probeWrite(processor, linear, bytes, who)) return Status.FAULT;
    let used = inUse(processor) & wanted;
    // XSAVEC counts a changed MXCSR as SSE in use (SDM 1 §13.10).
    if (form === 'compacted' && (wanted & Xcr0.SSE) !== 0 && state.get32('mxcsr') !== INITIAL_MXCSR) used |= Xcr0.SSE;
    const written = form === 'standard' ? wanted : used;
    const image = new DataView(new ArrayBuffer(LEGACY_BYTES));
    saveFxImage(state, new Uint8Array(image.buffer), vectorBytes / 16);
    const put = (at: number, size: number, value: bigint): boolean => writeLinear(processor, linear + BigInt(at), size, value, who);
    const copy = (from: number, to: number): boolean => {
      for (let at = from; at < to; at += 8) if (!put(at, 8, image.getBigUint64(at, true))) return false;
      return true;
    };
    let done = true;
    if ((written & Xcr0.X87) !== 0) done = copy(0, MXCSR_AT) && copy(32, X87_BYTES);
    // Standard and optimized forms write MXCSR whenever SSE or AVX is asked for.
    const mxcsr = form === 'compacted' ? (written & Xcr0.SSE) !== 0 : (wanted & (Xcr0.SSE | Xcr0.AVX)) !== 0;
    if (done && mxcsr) done = copy(MXCSR_AT, 32);
    if (done && (written & Xcr0.SSE) !== 0) done = copy(XMM_AT, XMM_AT + vectorBytes);
    if ((written & Xcr0.AVX) !== 0) {
      for (let word = 0; done && word < vectorBytes / 8; word++) done = put(AVX_AT + word * 8, 8, state.get('ymmHigh', word));
    }
    if (!done) return Status.FAULT;
    if (form === 'compacted') {
      const header = [BigInt(used), COMPACTED | BigInt(wanted)];
      return header.every((word, i) => put(LEGACY_BYTES + i * 8, 8, word)) ? Status.CONTINUE : Status.FAULT;
    }
    const old = readLinear(processor, linear + BigInt(LEGACY_BYTES), 8, who);
    if (old === undefined) return Status.FAULT;
    return put(LEGACY_BYTES, 8, (old & ~BigInt(wanted)) | BigInt(used)) ? Status.CONTINUE : Status.FAULT;
  };
}

/** XSTATE_BV of a header that XRSTOR accepts, and the form; undefined: not one. */
function checkHeader(processor: Processor, words: readonly bigint[]): { components: number; compacted: boolean } | undefined {
  const [components, format, ...reserved] = words;
  const xcr0 = processor.state.get('xcr0');
  const compacted = (format & COMPACTED) !== 0n && processor.cpuid.features.has('XSAVEC');
  const known = compacted ? (format & ~COMPACTED & ~xcr0) === 0n && (components & ~format) === 0n : format === 0n;
  // The standard form looks at bytes 8..23 of the header only.
  const rest = compacted ? reserved : reserved.slice(0, 1);
  if (!known || (components & ~xcr0) !== 0n || rest.some((word) => word !== 0n)) return undefined;
  return { components: Number(components), compacted };
}

const restore: Handler = (processor, instruction) => {
  const { state } = processor;
  const linear = areaAddress(processor, instruction, AREA_BYTES, false);
  if (linear === undefined) return Status.FAULT;
  const who = privilegeOf(state.get32('cpl'));
  const area = new DataView(new ArrayBuffer(AREA_BYTES));
  for (let at = 0; at < AREA_BYTES; at += 8) {
    const word = readLinear(processor, linear + BigInt(at), 8, who);
    if (word === undefined) return Status.FAULT;
    area.setBigUint64(at, word, true);
  }
  const words = Array.from({ length: 8 }, (_, i) => area.getBigUint64(LEGACY_BYTES + i * 8, true));
  const header = checkHeader(processor, words);
  if (header === undefined) return processor.faultWithCode(Vector.GP, 0);
  const wanted = requested(processor);
  const vectorBytes = registerBytes(processor);
  const upperHalves = (wanted & header.components & Xcr0.AVX) !== 0 ? readUpperHalves(processor, linear, vectorBytes) : [];
  if (upperHalves === undefined) return Status.FAULT;

  // What is not asked for keeps its value: start from the current image, and change parts of it.
  const image = new Uint8Array(LEGACY_BYTES);
  saveFxImage(state, image, vectorBytes / 16);
  const source = new Uint8Array(area.buffer);
  const view = new DataView(image.buffer);
  const part = (from: number, to: number): void => image.set(source.subarray(from, to), from);
  if ((wanted & Xcr0.X87) !== 0) {
    image.fill(0, 0, MXCSR_AT);
    image.fill(0, 32, X87_BYTES);
    view.setUint16(0, INITIAL_CONTROL, true);
    if ((header.components & Xcr0.X87) !== 0) {
      part(0, MXCSR_AT);
      part(32, X87_BYTES);
    }
  }
  if ((wanted & Xcr0.SSE) !== 0) {
    const present = (header.components & Xcr0.SSE) !== 0;
    if (header.compacted && present) part(MXCSR_AT, MXCSR_AT + 4);
    if (header.compacted && !present) view.setUint32(MXCSR_AT, INITIAL_MXCSR, true);
    image.fill(0, XMM_AT, XMM_AT + vectorBytes);
    if (present) part(XMM_AT, XMM_AT + vectorBytes);
  }
  if (!header.compacted && (wanted & (Xcr0.SSE | Xcr0.AVX)) !== 0) part(MXCSR_AT, MXCSR_AT + 4);
  if (!loadFxImage(state, image, vectorBytes / 16)) return processor.faultWithCode(Vector.GP, 0);
  if ((wanted & Xcr0.AVX) !== 0) {
    for (let word = 0; word < vectorBytes / 8; word++) state.set('ymmHigh', upperHalves[word] ?? 0n, word);
  }
  return Status.CONTINUE;
};

/** The AVX component of an area; undefined: a fault is recorded. */
function readUpperHalves(processor: Processor, linear: bigint, bytes: number): bigint[] | undefined {
  const who = privilegeOf(processor.state.get32('cpl'));
  const words: bigint[] = [];
  for (let at = AVX_AT; at < AVX_AT + bytes; at += 8) {
    const word = readLinear(processor, linear + BigInt(at), 8, who);
    if (word === undefined) return undefined;
    words.push(word);
  }
  return words;
}

const xgetbv: Handler = (processor) => {
  if (!enabled(processor)) return processor.fault(Vector.UD);
  const { state } = processor;
  const index = Number(state.get('gpr', Register.RCX) & 0xffff_ffffn);
  if (index === 1 && processor.cpuid.features.has('XGETBV_ECX1')) {
    setPair(processor, state.get('xcr0') & BigInt(inUse(processor)));
    return Status.CONTINUE;
  }
  if (index !== 0) return processor.faultWithCode(Vector.GP, 0);
  setPair(processor, state.get('xcr0'));
  return Status.CONTINUE;
};

const xsetbv: Handler = (processor) => {
  if (!enabled(processor)) return processor.fault(Vector.UD);
  const { state } = processor;
  const value = pair(processor);
  const known = (value & ~BigInt(componentsOf(processor))) === 0n && (value & BigInt(Xcr0.X87)) !== 0n;
  const valid = known && ((value & BigInt(Xcr0.AVX)) === 0n || (value & BigInt(Xcr0.SSE)) !== 0n);
  if (state.get32('cpl') !== 0 || (state.get('gpr', Register.RCX) & 0xffff_ffffn) !== 0n || !valid) {
    return processor.faultWithCode(Vector.GP, 0);
  }
  state.set('xcr0', value);
  return Status.CONTINUE;
};

export const XSAVE_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  XSAVE: save('standard'),
  XSAVE64: save('standard'),
  XSAVEOPT: save('optimized'),
  XSAVEOPT64: save('optimized'),
  XSAVEC: save('compacted'),
  XSAVEC64: save('compacted'),
  XRSTOR: restore,
  XRSTOR64: restore,
  XGETBV: xgetbv,
  XSETBV: xsetbv,
};

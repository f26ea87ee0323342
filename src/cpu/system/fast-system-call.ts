/**
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT. From code above ring 0 whose ring 0 is host code, the calls go to the owner with the
 * caller's registers untouched; the hardware's cost is charged all the same.
 * AMD processors have SYSCALL and SYSRET outside long mode too, with 32-bit forms: the target is in the low half of STAR.
 * Sources: SDM 2B SYSCALL, SYSRET, SYSENTER, SYSEXIT (operation); AMD APM 3 SYSCALL (CSTAR).
 */
import { Cr0, Efer } from '../../x86/control-registers.ts';
import { Attribute, type SegmentDescriptor } from '../../x86/descriptors.ts';
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { Register } from '../../x86/registers.ts';
import { loadCodeSegment, setSegmentRegister } from '../mmu/segmentation.ts';
import { inProtectedMode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { type Handler, resync } from './operand.ts';

/** Flat code: readable, accessed. `long` is 64-bit code, otherwise 32-bit. */
function flatCode(dpl: number, long: boolean): SegmentDescriptor {
  const width = long ? Attribute.L : Attribute.DB;
  const attributes = 0xb | Attribute.S | (dpl << Attribute.DPL_SHIFT) | Attribute.P | Attribute.G | width;
  return { base: 0n, limit: 0xffff_ffff, attributes };
}

/** Flat writable data, accessed. */
function flatData(dpl: number): SegmentDescriptor {
  const attributes = 0x3 | Attribute.S | (dpl << Attribute.DPL_SHIFT) | Attribute.P | Attribute.G | Attribute.DB;
  return { base: 0n, limit: 0xffff_ffff, attributes };
}

function enter(processor: Processor, codeSelector: number, cpl: number, long: boolean): void {
  const stackSelector = codeSelector + 8;
  setSegmentRegister(processor, Segment.SS, (stackSelector & 0xfffc) | cpl, flatData(cpl));
  loadCodeSegment(processor, codeSelector, cpl, flatCode(cpl, long));
}

/** SS comes from another distance than enter's: returns give both selectors. */
function leave(processor: Processor, codeSelector: number, stackSelector: number, long: boolean): void {
  setSegmentRegister(processor, Segment.SS, stackSelector | 3, flatData(3));
  loadCodeSegment(processor, codeSelector, 3, flatCode(3, long));
}

const syscall: Handler = (processor) => {
  const { state } = processor;
  const from64 = state.get32('codeMode') === 64;
  const amd = processor.cpuid.vendor === 'AuthenticAMD' && inProtectedMode(state);
  if ((state.get32('efer') & Efer.SCE) === 0 || !(from64 || amd)) return processor.fault(Vector.UD);
  processor.charge('syscall');
  const owner = processor.ringZero;
  if (owner !== undefined && state.get32('cpl') > 0) {
    state.set('rflags', state.get('rflags') & ~BigInt(Flag.RF));
    owner.owner.syscall(owner.cpu);
    return resync(processor);
  }
  const flags = state.get('rflags');
  if (state.get32('longMode') === 0) {
    state.set('gpr', state.get('rip'), Register.RCX);
    state.set('rip', state.get('star') & 0xffff_ffffn);
    state.set('rflags', flags & ~BigInt(Flag.IF | Flag.VM | Flag.RF));
    enter(processor, Number((state.get('star') >> 32n) & 0xfffcn), 0, false);
    return resync(processor);
  }
  state.set('gpr', state.get('rip'), Register.RCX);
  state.set('gpr', flags & ~BigInt(Flag.RF), Register.R11);
  state.set('rip', state.get(from64 ? 'lstar' : 'cstar'));
  state.set('rflags', (flags & ~state.get('fmask') & ~BigInt(Flag.RF)) | BigInt(Flag.RESERVED_ONE));
  const selector = Number((state.get('star') >> 32n) & 0xfffcn);
  enter(processor, selector, 0, true);
  return resync(processor);
};

/** Flags that SYSRET takes from R11: not RF, VM or reserved bits. */
const SYSRET_FLAGS = 0x3c7fd7n;

const sysret: Handler = (processor, instruction) => {
  const { state } = processor;
  // Intel knows it in 64-bit mode only.
  const exists = state.get32('codeMode') === 64 || processor.cpuid.vendor === 'AuthenticAMD';
  if ((state.get32('efer') & Efer.SCE) === 0 || !exists) return processor.fault(Vector.UD);
  if (state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
  const to64 = instruction.operandSize === 64;
  const target = state.get('gpr', Register.RCX);
  // Intel checks the target at CPL 0 (the known trap for kernels); AMD lets the fetch at CPL 3 fault.
  if (to64 && processor.cpuid.vendor === 'GenuineIntel' && !isCanonical(target)) {
    return processor.faultWithCode(Vector.GP, 0);
  }
  processor.charge('sysret');
  state.set('rip', to64 ? target : target & 0xffff_ffffn);
  // R11 exists in long mode; elsewhere interrupts are switched on (APM 3 SYSRET).
  const flags = state.get32('longMode') !== 0 ? state.get('gpr', Register.R11) & SYSRET_FLAGS : state.get('rflags') | BigInt(Flag.IF);
  state.set('rflags', flags | BigInt(Flag.RESERVED_ONE));
  const base = Number((state.get('star') >> 48n) & 0xffffn);
  leave(processor, (to64 ? base + 16 : base) & 0xffff, (base + 8) & 0xffff, to64);
  return resync(processor);
};

const sysenter: Handler = (processor) => {
  const { state } = processor;
  const selector = state.get32('sysenterCs') & 0xfffc;
  const long = state.get32('longMode') !== 0;
  if (long && processor.cpuid.vendor === 'AuthenticAMD') return processor.fault(Vector.UD);
  const owner = processor.ringZero;
  if (owner !== undefined && state.get32('cpl') > 0) {
    processor.charge('sysenter');
    state.set('rflags', state.get('rflags') & ~BigInt(Flag.RF));
    owner.owner.sysenter(owner.cpu);
    return resync(processor);
  }
  if ((state.get32('cr0') & Cr0.PE) === 0 || selector === 0) return processor.faultWithCode(Vector.GP, 0);
  processor.charge('sysenter');
  state.set('rflags', state.get('rflags') & ~BigInt(Flag.VM | Flag.IF | Flag.RF));
  const mask = long ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  state.set('gpr', state.get('sysenterEsp') & mask, Register.RSP);
  state.set('rip', state.get('sysenterEip') & mask);
  enter(processor, selector, 0, long);
  return resync(processor);
};

const sysexit: Handler = (processor, instruction) => {
  const { state } = processor;
  const base = state.get32('sysenterCs') & 0xfffc;
  if (state.get32('longMode') !== 0 && processor.cpuid.vendor === 'AuthenticAMD') return processor.fault(Vector.UD);
  if (!inProtectedMode(state) || base === 0 || state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
  const to64 = instruction.operandSize === 64;
  const rip = state.get('gpr', Register.RDX);
  const rsp = state.get('gpr', Register.RCX);
  if (to64 && !(isCanonical(rip) && isCanonical(rsp))) return processor.faultWithCode(Vector.GP, 0);
  processor.charge('sysexit');
  state.set('rip', to64 ? rip : rip & 0xffff_ffffn);
  state.set('gpr', to64 ? rsp : rsp & 0xffff_ffffn, Register.RSP);
  if (to64) leave(processor, base + 32, base + 40, true);
  else leave(processor, base + 16, base + 24, false);
  return resync(processor);
};

export const FAST_SYSTEM_CALL_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  SYSCALL: syscall,
  SYSRET: sysret,
  SYSENTER: sysenter,
  SYSEXIT: sysexit,
};

/**
 * What follows from CS, SS, CR0 and EFER: privilege, code width, stack mask, the lookup table in use, and which segments
 * need checks. Call {@link updateMode} after any change of these; engines read only the derived fields.
 * Sources: SDM 3A §2.2 (modes), §4.1.1 (paging modes), §5.5 (CPL), SDM 1 §3.6 (operand size attribute).
 */
import { Cr0, Efer } from '../x86/control-registers.ts';
import { Attribute } from '../x86/descriptors.ts';
import { Flag } from '../x86/eflags.ts';
import { Segment } from '../x86/instruction.ts';
import { forgetFetchPage } from './mmu/lookup-table.ts';
import type { Processor } from './processor.ts';
import { type CpuState, LOOKUP_EMPTY, LOOKUP_SUPERVISOR, LOOKUP_USER, OFFSET } from './state.ts';

const CPL = OFFSET.cpl >> 2;

/** Selectors name descriptors: neither real-address mode nor virtual-8086 mode. */
export function inProtectedMode(state: CpuState): boolean {
  return (state.get32('cr0') & Cr0.PE) !== 0 && (state.get32('rflags') & Flag.VM) === 0;
}

/** VM is only ever set in protected mode outside long mode. */
export function inVirtual8086Mode(state: CpuState): boolean {
  return (state.get32('rflags') & Flag.VM) !== 0;
}

/** In 64-bit mode, not compatibility mode. */
export function in64BitMode(state: CpuState): boolean {
  return state.get32('codeMode') === 64;
}

/** Recomputes every derived field. Returns true when the CPL changed. */
export function updateMode(processor: Processor): boolean {
  const { state } = processor;
  const longMode = (state.get32('efer') & Efer.LMA) !== 0;
  const code = state.get32('segmentAttributes', Segment.CS);
  const codeMode = longMode && (code & Attribute.L) !== 0 ? 64 : (code & Attribute.DB) !== 0 ? 32 : 16;
  const cpl = inVirtual8086Mode(state) ? 3 : inProtectedMode(state) ? state.get32('segmentSelector', Segment.CS) & 3 : 0;
  const before = state.u32[CPL];

  state.set32('longMode', longMode ? 1 : 0);
  state.set32('codeMode', codeMode);
  state.u32[CPL] = cpl;
  const bigStack = (state.get32('segmentAttributes', Segment.SS) & Attribute.DB) !== 0;
  state.set('stackMask', codeMode === 64 ? 0xffff_ffff_ffff_ffffn : bigStack ? 0xffff_ffffn : 0xffffn);
  selectLookupTable(state);
  for (let segment = 0; segment < 6; segment++) {
    state.u8[OFFSET.segmentCheck + segment] = codeMode !== 64 && needsCheck(state, segment) ? 1 : 0;
  }
  forgetFetchPage(processor);
  if (cpl !== before) processor.ledger?.privilege(before, cpl, state.get('cycles'), state.get('instructions'));
  return cpl !== before;
}

/** CR0.AM, RFLAGS.AC and CPL 3: data accesses of this code must be aligned (SDM 3A §6.15, #AC). */
export function checksAlignment(state: CpuState): boolean {
  return state.u32[CPL] === 3 && (state.u32[OFFSET.rflags >> 2] & Flag.AC) !== 0 && (state.u32[OFFSET.cr0 >> 2] & Cr0.AM) !== 0;
}

/**
 * The table that engines look data up in. Under alignment checks it is one that never has anything, so that every access
 * takes the slow path, where the check is; nothing else pays for it. The run loop calls this before it enters an engine.
 */
export function selectLookupTable(state: CpuState): void {
  const table = state.u32[CPL] !== 3 ? LOOKUP_SUPERVISOR : checksAlignment(state) ? LOOKUP_EMPTY : LOOKUP_USER;
  state.u32[OFFSET.lookupTable >> 2] = state.base + table;
}

/** Recomputes what follows from a data segment alone. */
export function updateSegment(processor: Processor, segment: number): void {
  const { state } = processor;
  const codeMode = state.get32('codeMode');
  state.u8[OFFSET.segmentCheck + segment] = codeMode !== 64 && needsCheck(state, segment) ? 1 : 0;
  if (segment !== Segment.SS) return;
  const bigStack = (state.get32('segmentAttributes', Segment.SS) & Attribute.DB) !== 0;
  state.set('stackMask', codeMode === 64 ? 0xffff_ffff_ffff_ffffn : bigStack ? 0xffff_ffffn : 0xffffn);
}

/** A segment over all 4 GiB that may be written needs no check; code is checked because it may not be written. */
function needsCheck(state: CpuState, segment: number): boolean {
  const attributes = state.get32('segmentAttributes', segment);
  const flatData = Attribute.P | Attribute.S | Attribute.READ_WRITE;
  const relevant = flatData | Attribute.CODE | Attribute.CONFORMING_EXPAND_DOWN;
  return state.get32('segmentLimit', segment) !== 0xffff_ffff || (attributes & relevant) !== flatData;
}

/**
 * A processor's registers as a {@link CpuContext}: saved when a hypervisor switches vCPUs, loaded back, and the values
 * after reset.
 * Source: SDM 3A §9.1.1 Table 9-1 (state after power-up).
 */
import { assert } from '../base/errors.ts';
import type { CpuContext } from '../platform/context.ts';
import type { SegmentState } from '../platform/cpu.ts';
import { Dr6, Dr7 } from '../x86/control-registers.ts';
import { Segment } from '../x86/instruction.ts';
import { flushLookup } from './mmu/lookup-table.ts';
import { updateMode } from './mode.ts';
import type { Processor } from './processor.ts';
import { Shadow } from './shadow.ts';
import { type FieldName, OFFSET } from './state.ts';
import { loadFxImage, saveFxImage } from './system/fxsave.ts';

/** Fields that a context holds under the same name, as 64-bit values. */
const SAME = [
  'rip',
  'rflags',
  'kernelGsBase',
  'cr0',
  'cr2',
  'cr3',
  'cr4',
  'efer',
  'star',
  'lstar',
  'cstar',
  'fmask',
  'sysenterCs',
  'sysenterEsp',
  'sysenterEip',
  'pat',
  'tscAux',
  'xcr0',
] as const satisfies readonly (FieldName & keyof CpuContext)[];

export function readSegment(processor: Processor, index: number): SegmentState {
  const { state } = processor;
  return {
    selector: state.get32('segmentSelector', index),
    base: state.get('segmentBase', index),
    limit: state.get32('segmentLimit', index),
    attributes: state.get32('segmentAttributes', index),
  };
}

/** Without checks. The caller updates the mode. */
export function writeSegment(processor: Processor, index: number, value: SegmentState): void {
  const { state } = processor;
  state.set32('segmentSelector', value.selector, index);
  state.set('segmentBase', BigInt.asUintN(64, value.base), index);
  state.set32('segmentLimit', value.limit, index);
  state.set32('segmentAttributes', value.attributes, index);
}

type SystemSegment = 'ldtr' | 'tr';

function readSystemSegment(processor: Processor, name: SystemSegment): SegmentState {
  const { state } = processor;
  return {
    selector: state.get32(`${name}Selector`),
    base: state.get(`${name}Base`),
    limit: state.get32(`${name}Limit`),
    attributes: state.get32(`${name}Attributes`),
  };
}

function writeSystemSegment(processor: Processor, name: SystemSegment, value: SegmentState): void {
  const { state } = processor;
  state.set32(`${name}Selector`, value.selector);
  state.set(`${name}Base`, value.base);
  state.set32(`${name}Limit`, value.limit);
  state.set32(`${name}Attributes`, value.attributes);
}

export function saveContext(processor: Processor, into: CpuContext): void {
  const { state } = processor;
  for (let i = 0; i < 16; i++) into.gpr[i] = state.get('gpr', i);
  for (const name of SAME) into[name] = state.get(name);
  for (let i = 0; i < 6; i++) into.segments[i] = readSegment(processor, i);
  into.gdtr = { base: state.get('gdtrBase'), limit: state.get32('gdtrLimit') };
  into.idtr = { base: state.get('idtrBase'), limit: state.get32('idtrLimit') };
  into.ldtr = readSystemSegment(processor, 'ldtr');
  into.tr = readSystemSegment(processor, 'tr');
  for (let i = 0; i < 4; i++) into.debug[i] = state.get('dr', i);
  into.debug[4] = state.get('dr', 6);
  into.debug[5] = state.get('dr', 7);
  saveFxImage(state, into.fxsave);
  into.upperHalves.set(state.u64.subarray(OFFSET.ymmHigh >> 3, (OFFSET.ymmHigh >> 3) + 32));
  const shadow = state.get32('interruptShadow');
  into.interruptShadow = shadow === 0 ? 0 : Shadow.FRESH | (shadow & Shadow.BY_SS);
  into.halted = state.get32('halted') !== 0;
}

/**
 * Replaces all registers. Translations are dropped as the change of CR3 drops them; nothing is charged.
 * Must not be called by an exit in the middle of an instruction.
 */
export function loadContext(processor: Processor, from: CpuContext): void {
  assert(processor.insideInstruction === 0, 'a context was loaded in the middle of an instruction');
  const { state, translation } = processor;
  const newTables = from.cr3 !== state.get('cr3');
  for (let i = 0; i < 16; i++) state.set('gpr', from.gpr[i], i);
  for (const name of SAME) state.set(name, from[name]);
  for (let i = 0; i < 6; i++) writeSegment(processor, i, from.segments[i]);
  state.set('gdtrBase', from.gdtr.base);
  state.set32('gdtrLimit', from.gdtr.limit);
  state.set('idtrBase', from.idtr.base);
  state.set32('idtrLimit', from.idtr.limit);
  writeSystemSegment(processor, 'ldtr', from.ldtr);
  writeSystemSegment(processor, 'tr', from.tr);
  for (let i = 0; i < 4; i++) state.set('dr', from.debug[i], i);
  state.set('dr', from.debug[4], 6);
  state.set('dr', from.debug[5], 7);
  assert(loadFxImage(state, from.fxsave), 'a context holds a bad MXCSR');
  state.u64.set(from.upperHalves, OFFSET.ymmHigh >> 3);
  state.set32('interruptShadow', from.interruptShadow);
  state.set32('halted', from.halted ? 1 : 0);
  state.set('repeatActive', 0n);
  state.set32('debugHits', 0);
  state.set('pdpte', 0n, 4);
  flushLookup(processor);
  // Entries of a guest in non-root operation are told apart by VPID; in root operation a new CR3 was loaded.
  if (newTables && processor.control === undefined) translation.flushNonGlobal(state.get32('vpid'));
  processor.contextEpoch += 1;
  updateMode(processor);
  processor.breakRun();
}

/** Registers after power-up, but in flat real mode at 0: firmware is played by loaders, which set what they need. */
export function reset(processor: Processor): void {
  const { state } = processor;
  const data: SegmentState = { selector: 0, base: 0n, limit: 0xffff, attributes: 0x93 };
  for (let i = 0; i < 6; i++) writeSegment(processor, i, i === Segment.CS ? { ...data, attributes: 0x9b } : data);
  for (let i = 0; i < 16; i++) state.set('gpr', 0n, i);
  state.set('rip', 0n);
  state.set('rflags', 2n);
  state.set('cr0', 0x6000_0010n);
  for (const name of ['cr2', 'cr3', 'cr4', 'cr8', 'efer', 'star', 'lstar', 'cstar', 'fmask'] as const) state.set(name, 0n);
  state.set('xcr0', 1n);
  state.set('dr', BigInt(Dr6.RESET), 6);
  state.set('dr', BigInt(Dr7.RESET), 7);
  state.set32('gdtrLimit', 0xffff);
  state.set32('idtrLimit', 0x3ff);
  state.set('pat', 0x0007_0406_0007_0406n);
  state.set('apicBase', 0xfee0_0000n | 0x800n | (processor.index === 0 ? 0x100n : 0n));
  state.set('miscEnable', 1n);
  state.set32('mxcsr', 0x1f80);
  state.set32('fpuControl', 0x37f);
  state.set32('fpuStatus', 0);
  state.set32('fpuTag', 0);
  state.set32('halted', 0);
  state.set32('interruptShadow', 0);
  for (const name of ['nmiBlocked', 'nmiPending', 'debugHits'] as const) state.set32(name, 0);
  state.set('pdpte', 0n, 4);
  processor.shutDown = false;
  flushLookup(processor);
  updateMode(processor);
}

/**
 * Hardware task switches of protected mode: saves the state in the old TSS, loads the new one's, then checks the segments
 * that came with it. Until the switch is committed faults belong to the old task; after it, #TS and its kin are raised in
 * the new one, with CS:EIP at its first instruction.
 *
 *   32-bit TSS   00 link  1C CR3  20 EIP  24 EFLAGS  28 EAX..EDI  48 ES CS SS DS FS GS (4 bytes each)  60 LDTR  64 T
 *   16-bit TSS   00 link          0E IP   10 FLAGS   12 AX..DI    22 ES CS SS DS (2 bytes each)        2A LDTR
 *
 * Sources: SDM 3A §7.2 (TSS), §7.3 (steps and their order, Table 7-1 exceptions), §7.4 (link, NT), §7.6 (16-bit TSS).
 */
import { Cr0, Cr4, Dr6 } from '../../x86/control-registers.ts';
import { Attribute, descriptorAttributes, parseSegmentDescriptor, Selector, SystemType, TSS_BUSY_BIT } from '../../x86/descriptors.ts';
import { Flag, IMPLEMENTED_FLAGS } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { Status } from '../engine.ts';
import { flushLookup } from '../mmu/lookup-table.ts';
import { loadPdptes } from '../mmu/pdpte.ts';
import {
  checkStackSegment,
  dplOf,
  isNull,
  loadCodeSegment,
  markAccessed,
  type RawDescriptor,
  readDescriptor,
  segmentOf,
  selectorCode,
  setNull,
  setSegmentRegister,
  setVirtual8086Segment,
} from '../mmu/segmentation.ts';
import { IMPLICIT, probeWrite, readLinear, writeLinear } from '../mmu/system-access.ts';
import { inVirtual8086Mode, updateMode, updateSegment } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { resync } from './operand.ts';

/** 'jump' and 'return' leave the old task for good; 'call' and 'gate' nest: the new task links back. */
export type TaskSwitch = 'jump' | 'call' | 'gate' | 'return';

interface TssLayout {
  readonly wide: boolean;
  readonly minimumLimit: number;
  readonly word: 2 | 4;
  readonly ip: number;
  readonly flags: number;
  readonly registers: number;
  readonly segments: number;
  readonly segmentCount: 4 | 6;
  readonly ldt: number;
}

const TSS32: TssLayout = {
  wide: true,
  minimumLimit: 0x67,
  word: 4,
  ip: 0x20,
  flags: 0x24,
  registers: 0x28,
  segments: 0x48,
  segmentCount: 6,
  ldt: 0x60,
};
const TSS16: TssLayout = {
  wide: false,
  minimumLimit: 0x2b,
  word: 2,
  ip: 0x0e,
  flags: 0x10,
  registers: 0x12,
  segments: 0x22,
  segmentCount: 4,
  ldt: 0x2a,
};
const CR3_OFFSET = 0x1c;
const DEBUG_TRAP_OFFSET = 0x64;
/** L0..L3 and LE, which belong to a task. */
const LOCAL_ENABLES = 0x155n;

/** Everything that the new TSS holds, read before anything is changed. */
interface NewTask {
  readonly cr3: bigint;
  readonly ip: bigint;
  readonly flags: bigint;
  readonly registers: readonly bigint[];
  readonly segments: readonly number[];
  readonly ldt: number;
  readonly debugTrap: boolean;
}

/** By a far JMP or CALL or IRET: RIP is after it. */
export function switchTaskByInstruction(processor: Processor, selector: number, why: 'jump' | 'call' | 'return'): Status {
  const before = processor.state.get32('trSelector');
  const flags = processor.state.get('rflags');
  if (switchTask(processor, selector, why, 0, flags & ~BigInt(Flag.RF))) return resync(processor);
  processor.breakRun();
  // The fault of a task that was switched to follows the instruction, which is complete: Status.TRAP with an error code.
  return before === processor.state.get32('trSelector') ? Status.FAULT : Status.TRAP;
}

/**
 * Switches to the task of a TSS selector. `savedFlags` goes to the old TSS. False: a fault is recorded, of the old task
 * when TR is as before, of the new one otherwise.
 */
export function switchTask(processor: Processor, selector: number, why: TaskSwitch, ext: number, savedFlags: bigint): boolean {
  const { state } = processor;
  const badSelector = why === 'return' ? Vector.TS : Vector.GP;
  const code = selectorCode(selector) | ext;
  if (isNull(selector) || (selector & Selector.TI) !== 0) return fault(processor, badSelector, code);
  const descriptor = readDescriptor(processor, selector, badSelector, ext);
  if (descriptor === undefined) return false;
  const attributes = descriptorAttributes(descriptor.high);
  const type = attributes & (Attribute.S | Attribute.TYPE_MASK);
  const busy = type === SystemType.TSS_BUSY || type === SystemType.TSS16_BUSY;
  const available = type === SystemType.TSS_AVAILABLE || type === SystemType.TSS16_AVAILABLE;
  if (why === 'return' ? !busy : !available) return fault(processor, badSelector, code);
  if ((attributes & Attribute.P) === 0) return fault(processor, Vector.NP, code);
  const layout = (type & 8) !== 0 ? TSS32 : TSS16;
  const tss = parseSegmentDescriptor(descriptor.low, descriptor.high);
  if (tss.limit < layout.minimumLimit) return fault(processor, Vector.TS, code);
  const task = readTask(processor, tss.base, layout);
  if (task === undefined) return false;

  // The old task: everything is probed, then written.
  const oldBase = state.get('trBase');
  const oldLayout = (state.get32('trAttributes') & 8) !== 0 ? TSS32 : TSS16;
  if (!probeWrite(processor, oldBase, oldLayout.minimumLimit + 1, IMPLICIT)) return false;
  if (!probeWrite(processor, tss.base, 4, IMPLICIT)) return false;
  const leaves = why === 'jump' || why === 'return';
  const oldFlags = why === 'return' ? savedFlags & ~BigInt(Flag.NT) : savedFlags;
  if (!saveTask(processor, oldBase, oldLayout, oldFlags)) return false;
  if (leaves && !setBusy(processor, state.get32('trSelector'), false)) return false;
  if (!leaves && !writeLinear(processor, tss.base, 2, BigInt(state.get32('trSelector')), IMPLICIT)) return false;
  if (why !== 'return' && !setBusy(processor, selector, true)) return false;

  // Committed: the new task's state, then the checks of its segments in its own context.
  state.set32('trSelector', selector & ~Selector.RPL_MASK);
  state.set('trBase', tss.base);
  state.set32('trLimit', tss.limit);
  state.set32('trAttributes', tss.attributes | (TSS_BUSY_BIT >> 8));
  state.set('cr0', state.get('cr0') | BigInt(Cr0.TS));
  state.set('dr', state.get('dr', 7) & ~LOCAL_ENABLES, 7);
  processor.charge('far_transfer');
  return loadTask(processor, task, layout, leaves, ext);
}

function readTask(processor: Processor, base: bigint, layout: TssLayout): NewTask | undefined {
  const { word } = layout;
  const words = new Map<number, bigint>();
  const offsets = [layout.ip, layout.flags, layout.ldt];
  for (let i = 0; i < 8; i++) offsets.push(layout.registers + i * word);
  for (let i = 0; i < layout.segmentCount; i++) offsets.push(layout.segments + i * word);
  if (layout.wide) offsets.push(CR3_OFFSET, DEBUG_TRAP_OFFSET);
  for (const offset of offsets) {
    const value = readLinear(processor, (base + BigInt(offset)) & 0xffff_ffffn, word, IMPLICIT);
    if (value === undefined) return undefined;
    words.set(offset, value);
  }
  const at = (offset: number): bigint => words.get(offset) ?? 0n;
  return {
    cr3: at(CR3_OFFSET),
    ip: at(layout.ip),
    flags: at(layout.flags),
    registers: Array.from({ length: 8 }, (_, i) => at(layout.registers + i * word)),
    segments: Array.from({ length: 6 }, (_, i) => Number(at(layout.segments + i * word) & 0xffffn)),
    ldt: Number(at(layout.ldt) & 0xffffn),
    debugTrap: layout.wide && (at(DEBUG_TRAP_OFFSET) & 1n) !== 0n,
  };
}

/** The dynamic fields: EIP, EFLAGS, registers and selectors. CR3, LDTR and the inner stacks are left. */
function saveTask(processor: Processor, base: bigint, layout: TssLayout, flags: bigint): boolean {
  const { state } = processor;
  const put = (offset: number, value: bigint, size: number = layout.word): boolean =>
    writeLinear(processor, (base + BigInt(offset)) & 0xffff_ffffn, size, BigInt.asUintN(size * 8, value), IMPLICIT);
  if (!put(layout.ip, state.get('rip')) || !put(layout.flags, flags)) return false;
  for (let i = 0; i < 8; i++) if (!put(layout.registers + i * layout.word, state.get('gpr', i))) return false;
  for (let i = 0; i < layout.segmentCount; i++) {
    if (!put(layout.segments + i * layout.word, BigInt(state.get32('segmentSelector', i)), 2)) return false;
  }
  return true;
}

/** Sets or clears the busy bit of a TSS descriptor in the GDT. */
function setBusy(processor: Processor, selector: number, on: boolean): boolean {
  if (isNull(selector)) return true;
  const descriptor = readDescriptor(processor, selector, Vector.GP);
  if (descriptor === undefined) return false;
  const high = on ? descriptor.high | TSS_BUSY_BIT : descriptor.high & ~TSS_BUSY_BIT;
  return writeLinear(processor, (descriptor.address + 4n) & 0xffff_ffffn, 4, BigInt(high >>> 0), IMPLICIT);
}

function loadTask(processor: Processor, task: NewTask, layout: TssLayout, leaves: boolean, ext: number): boolean {
  const { state } = processor;
  if (layout.wide && (state.get32('cr0') & Cr0.PG) !== 0) {
    if ((state.get32('cr4') & Cr4.PAE) !== 0 && !loadPdptes(processor, task.cr3)) return fault(processor, Vector.GP, 0);
    if (task.cr3 !== state.get('cr3')) {
      state.set('cr3', task.cr3);
      flushLookup(processor);
      processor.translation.flushNonGlobal(state.get32('vpid'));
    }
  }
  const narrowFlags = layout.wide ? 0xffff_ffffn : 0xffffn;
  const nested = leaves ? 0n : BigInt(Flag.NT);
  state.set('rflags', (task.flags & narrowFlags & BigInt(IMPLEMENTED_FLAGS)) | nested | BigInt(Flag.RESERVED_ONE));
  state.set('rip', task.ip);
  for (const [i, value] of task.registers.entries()) {
    // A 16-bit TSS leaves the upper halves as they were (SDM calls them undefined).
    state.set('gpr', layout.wide ? value : (state.get('gpr', i) & 0xffff_0000n) | value, i);
  }
  // The selectors are loaded with the registers; what they name is not usable before it is checked.
  for (let i = 0; i < 6; i++) setNull(processor, i, task.segments[i]);
  state.set32('ldtrSelector', task.ldt);
  state.set32('ldtrAttributes', 0);
  if (!loadLdt(processor, task.ldt, ext) || !loadSegments(processor, task, ext)) return false;
  if (task.debugTrap) state.set32('debugHits', Dr6.BT);
  if (state.get('rip') > BigInt(state.get32('segmentLimit', Segment.CS))) return fault(processor, Vector.GP, ext);
  return true;
}

function loadLdt(processor: Processor, selector: number, ext: number): boolean {
  const { state } = processor;
  if (isNull(selector)) return true;
  const code = selectorCode(selector) | ext;
  if ((selector & Selector.TI) !== 0) return fault(processor, Vector.TS, code);
  const descriptor = readDescriptor(processor, selector, Vector.TS, ext);
  if (descriptor === undefined) return false;
  const attributes = descriptorAttributes(descriptor.high);
  const isLdt = (attributes & (Attribute.S | Attribute.TYPE_MASK)) === SystemType.LDT;
  if (!isLdt || (attributes & Attribute.P) === 0) return fault(processor, Vector.TS, code);
  const segment = parseSegmentDescriptor(descriptor.low, descriptor.high);
  state.set('ldtrBase', segment.base);
  state.set32('ldtrLimit', segment.limit);
  state.set32('ldtrAttributes', segment.attributes);
  return true;
}

/** CS, then SS, then the data segments. The privilege of the task is the RPL of its CS. */
function loadSegments(processor: Processor, task: NewTask, ext: number): boolean {
  const { state } = processor;
  if (inVirtual8086Mode(state)) {
    for (const [i, selector] of task.segments.entries()) setVirtual8086Segment(processor, i, selector);
    updateMode(processor);
    return true;
  }
  const code = task.segments[Segment.CS];
  const cpl = code & 3;
  updateMode(processor);
  const descriptor = checkTaskCode(processor, code, ext);
  if (descriptor === undefined) return false;
  if (!markAccessed(processor, descriptor)) return false;
  loadCodeSegment(processor, code, cpl, segmentOf(descriptor));

  const stack = checkStackSegment(processor, task.segments[Segment.SS], cpl, Vector.TS, ext);
  if (stack === undefined || stack === 'null' || !markAccessed(processor, stack)) return false;
  setSegmentRegister(processor, Segment.SS, task.segments[Segment.SS], segmentOf(stack));
  updateSegment(processor, Segment.SS);
  for (const segment of [Segment.DS, Segment.ES, Segment.FS, Segment.GS]) {
    if (!loadTaskData(processor, segment, task.segments[segment], cpl, ext)) return false;
  }
  return true;
}

function checkTaskCode(processor: Processor, selector: number, ext: number): RawDescriptor | undefined {
  const code = selectorCode(selector) | ext;
  const bad = (vector: number): undefined => {
    processor.faultWithCode(vector, code);
    return undefined;
  };
  if (isNull(selector)) return bad(Vector.TS);
  const descriptor = readDescriptor(processor, selector, Vector.TS, ext);
  if (descriptor === undefined) return undefined;
  const attributes = descriptorAttributes(descriptor.high);
  const dpl = dplOf(descriptor.high);
  const isCode = (attributes & (Attribute.S | Attribute.CODE)) === (Attribute.S | Attribute.CODE);
  const conforming = (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0;
  if (!isCode || (conforming ? dpl > (selector & 3) : dpl !== (selector & 3))) return bad(Vector.TS);
  return (attributes & Attribute.P) === 0 ? bad(Vector.NP) : descriptor;
}

function loadTaskData(processor: Processor, segment: number, selector: number, cpl: number, ext: number): boolean {
  if (isNull(selector)) return true; // already null
  const code = selectorCode(selector) | ext;
  const descriptor = readDescriptor(processor, selector, Vector.TS, ext);
  if (descriptor === undefined) return false;
  const attributes = descriptorAttributes(descriptor.high);
  const isCode = (attributes & Attribute.CODE) !== 0;
  const readable = (attributes & Attribute.S) !== 0 && (!isCode || (attributes & Attribute.READ_WRITE) !== 0);
  const conforming = isCode && (attributes & Attribute.CONFORMING_EXPAND_DOWN) !== 0;
  const dpl = dplOf(descriptor.high);
  if (!readable || (!conforming && (dpl < cpl || dpl < (selector & 3)))) return fault(processor, Vector.TS, code);
  if ((attributes & Attribute.P) === 0) return fault(processor, Vector.NP, code);
  if (!markAccessed(processor, descriptor)) return false;
  setSegmentRegister(processor, segment, selector, segmentOf(descriptor));
  updateSegment(processor, segment);
  return true;
}

function fault(processor: Processor, vector: number, code: number): false {
  processor.faultWithCode(vector, code);
  return false;
}

/**
 * Translation of a linear address through the paging structures in memory: 4-level, PAE and 32-bit paging, or none, then
 * any number of second stages. Sets accessed and dirty bits where they change; reports a page fault as an error code.
 * Caches nothing and charges nothing: see translate.ts.
 *
 * Entries are read as two 32-bit halves and addresses are numbers (below 2^52), because this is the hot part of a miss.
 * Accessed and dirty bits are only set by a walk that succeeds (SDM 3A §4.8 leaves it open for others).
 * PAE paging: Intel processors hold the four PDPTEs in registers from the load of CR3 on (pdpte.ts); AMD ones read them on
 * each walk, and so does everything in non-root operation. The model reads the entry either way.
 * Sources: SDM 3A §4.3-4.7 (formats, rights, error codes), §4.8 (accessed and dirty), §28.3.2 (EPT).
 */
import { Cr0, Cr4, Efer } from '../../x86/control-registers.ts';
import { Flag } from '../../x86/eflags.ts';
import { PageFaultError } from '../../x86/exceptions.ts';
import { PteLow } from '../../x86/page-table-entry.ts';
import type { Processor } from '../processor.ts';
import { OFFSET } from '../state.ts';
import { holdsPdptes } from './pdpte.ts';
import { secondStageViolation } from './second-stage.ts';
import { Access } from './walk-result.ts';

const CR0 = OFFSET.cr0 >> 2;
const CR3 = OFFSET.cr3 >> 2;
const CR4 = OFFSET.cr4 >> 2;
const EFER = OFFSET.efer >> 2;
const RFLAGS = OFFSET.rflags >> 2;
const PDPTE = OFFSET.pdpte >> 2;
const LONG_MODE = OFFSET.longMode >> 2;

const { P, RW, US, A, D, PS, G } = PteLow;
/** Execute-disable: bit 31 of the high half of an entry. */
const XD = 1 << 31;

const HIGH = 2 ** 32;

/** Address of page or table in an entry. */
function frameAddress(low: number, high: number): number {
  return (high & 0xfffff) * HIGH + ((low & 0xfffff000) >>> 0);
}

function readLow(processor: Processor, machine: number): number {
  const { memory } = processor;
  if (machine >= 0 && machine < memory.size) return memory.readU32(machine);
  return machine < 0 ? 0xffffffff : Number(processor.bus.readMemory(machine, 4));
}

/**
 * Machine address of a guest-physical one through all second stages, or -1. Notes leaf sizes and rights in the walk.
 */
export function throughStages(processor: Processor, guestPhysical: number, write: boolean): number {
  const { secondStages, walk } = processor;
  let address = processor.a20Masked ? withoutBit20(guestPhysical) : guestPhysical;
  walk.stageShift = 52;
  walk.stageWritable = true;
  for (const stage of secondStages) {
    const frame = Math.floor(address / 4096);
    const machineFrame = stage.machineFrame(frame);
    if (machineFrame < 0) return -1;
    if (!stage.writable(frame)) {
      walk.stageWritable = false;
      if (write) return -1;
    }
    walk.stageShift = Math.min(walk.stageShift, stage.leafShift(frame));
    address = machineFrame * 4096 + (address % 4096);
  }
  return address;
}

function withoutBit20(address: number): number {
  return Math.floor(address / 2 ** 20) % 2 === 1 ? address - 2 ** 20 : address;
}

/** Where a paging-structure entry lies; gives the layer below a chance to map it. -1: nowhere, it reads as all ones. */
function entryAddress(processor: Processor, guestPhysical: number): number {
  if (processor.secondStages.length === 0) return processor.a20Masked ? withoutBit20(guestPhysical) : guestPhysical;
  const machine = throughStages(processor, guestPhysical, false);
  if (machine >= 0) return machine;
  secondStageViolation(processor, guestPhysical, 'read', undefined);
  return throughStages(processor, guestPhysical, false);
}

/**
 * Walks the tables for one access. `user` is CPL 3; `implicit` marks the processor's own accesses to descriptor tables and
 * the TSS, which are supervisor accesses whatever the CPL. True: `processor.walk` describes the page and A/D are set.
 * False: `walk.errorCode` is that of the page fault.
 */
export function walkTables(processor: Processor, linear: bigint, access: Access, user: boolean, implicit: boolean): boolean {
  const { walk } = processor;
  const { u32 } = processor.state;
  const low = Number(linear & 0xffff_ffffn);
  if ((u32[CR0] & Cr0.PG) === 0) {
    walk.levels = 0;
    walk.leafShift = 12;
    walk.userPage = true;
    walk.writable = true;
    walk.dirty = true;
    walk.executable = true;
    walk.global = false;
    return finish(processor, low, access);
  }
  if ((u32[CR4] & Cr4.PAE) === 0) return walkTwoLevel(processor, low, access, user, implicit);

  const longMode = u32[LONG_MODE] !== 0;
  const high = longMode ? Number((linear >> 32n) & 0xffff_ffffn) : 0;
  const noExecute = (u32[EFER] & Efer.NXE) !== 0;
  // Bits of the high half that must be zero: addresses above the processor's, and XD when it is off.
  const addressBits = processor.cpuid.physicalAddressBits;
  const reservedAddress = 0xfffff & ~(2 ** (addressBits - 32) - 1);
  const reservedHigh = reservedAddress | (longMode ? 0 : 0x7ff00000) | (noExecute ? 0 : XD);

  let table: number;
  let level: number;
  if (longMode) {
    table = frameAddress(u32[CR3], u32[CR3 + 1]);
    level = 4;
  } else {
    table = (u32[CR3] & 0xffffffe0) >>> 0;
    level = 3;
  }
  let rights = RW | US;
  let disabled = 0;
  walk.levels = 0;
  for (;;) {
    const index =
      level === 4
        ? (high >>> 7) & 511
        : level === 3
          ? ((high << 2) | (low >>> 30)) & (longMode ? 511 : 3)
          : level === 2
            ? (low >>> 21) & 511
            : (low >>> 12) & 511;
    const guestEntry = table + index * 8;
    const entry = entryAddress(processor, guestEntry);
    const at = walk.levels;
    walk.guestEntries[at] = guestEntry;
    walk.entries[at] = entry;
    walk.entryShifts[at] = walk.stageShift;
    walk.levels = at + 1;
    const held = level === 3 && !longMode && holdsPdptes(processor);
    const register = PDPTE + index * 2;
    const entryLow = held ? u32[register] : readLow(processor, entry);
    if ((entryLow & P) === 0) return fail(processor, 0, access, user, implicit);
    const entryHigh = held ? u32[register + 1] : readLow(processor, entry < 0 ? entry : entry + 4);

    const large = (entryLow & PS) !== 0 && level > 1 && level < 4;
    let reserved = (entryHigh & reservedHigh) !== 0;
    if (level === 4) reserved ||= (entryLow & PS) !== 0;
    if (level === 3 && !longMode) {
      // PAE: a PDPTE has no rights, and most of its low bits are reserved (SDM 3A Table 4-8).
      reserved = (entryLow & 0x1e6) !== 0 || (entryHigh & (0xfff00000 | reservedAddress)) !== 0;
      if (reserved) return fail(processor, PageFaultError.P | PageFaultError.RSVD, access, user, implicit);
      table = frameAddress(entryLow, entryHigh);
      level = 2;
      continue;
    }
    if (large && level === 3) reserved ||= !processor.cpuid.hasGigabytePages || (entryLow & 0x3fffe000) !== 0;
    if (large && level === 2) reserved ||= (entryLow & 0x1fe000) !== 0;
    if (reserved) return fail(processor, PageFaultError.P | PageFaultError.RSVD, access, user, implicit);

    rights &= entryLow;
    disabled |= entryHigh & XD;
    if (level > 1 && !large) {
      table = frameAddress(entryLow, entryHigh);
      level -= 1;
      continue;
    }
    const shift = 12 + 9 * (level - 1);
    if (!permitted(processor, rights, disabled !== 0, access, user, implicit)) {
      return fail(processor, PageFaultError.P, access, user, implicit);
    }
    // The leaf is re-read only for its own bits: none of what is written here changes the walk.
    const last = walk.levels - 1;
    for (let i = longMode ? 0 : 1; i < last; i++) setBits(processor, i, A);
    setBits(processor, last, access === Access.WRITE ? A | D : A);
    walk.leafShift = shift;
    walk.dirty = access === Access.WRITE || (entryLow & D) !== 0;
    walk.global = (entryLow & G) !== 0 && (u32[CR4] & Cr4.PGE) !== 0;
    // Within a large page the lower bits of the address come from the linear address.
    const offset = low % 2 ** shift;
    const page = frameAddress(entryLow, entryHigh);
    return finish(processor, page - (page % 2 ** shift) + offset, access);
  }
}

/** 32-bit paging with 4 MiB pages and PSE-36 (SDM 3A §4.3). */
function walkTwoLevel(processor: Processor, low: number, access: Access, user: boolean, implicit: boolean): boolean {
  const { walk } = processor;
  const { u32 } = processor.state;
  let table = (u32[CR3] & 0xfffff000) >>> 0;
  let rights = RW | US;
  walk.levels = 0;
  for (let level = 2; ; level--) {
    const guestEntry = table + (level === 2 ? low >>> 22 : (low >>> 12) & 1023) * 4;
    const entry = entryAddress(processor, guestEntry);
    const at = walk.levels;
    walk.guestEntries[at] = guestEntry;
    walk.entries[at] = entry;
    walk.entryShifts[at] = walk.stageShift;
    walk.levels = at + 1;
    const bits = readLow(processor, entry);
    if ((bits & P) === 0) return fail(processor, 0, access, user, implicit);
    const large = level === 2 && (bits & PS) !== 0 && (u32[CR4] & Cr4.PSE) !== 0;
    if (large && (bits & (1 << 21)) !== 0) return fail(processor, PageFaultError.P | PageFaultError.RSVD, access, user, implicit);
    rights &= bits;
    if (level === 2 && !large) {
      table = (bits & 0xfffff000) >>> 0;
      continue;
    }
    if (!permitted(processor, rights, false, access, user, implicit)) {
      return fail(processor, PageFaultError.P, access, user, implicit);
    }
    if (at === 1) setBits(processor, 0, A);
    setBits(processor, at, access === Access.WRITE ? A | D : A);
    walk.leafShift = large ? 22 : 12;
    walk.dirty = access === Access.WRITE || (bits & D) !== 0;
    walk.global = (bits & G) !== 0 && (u32[CR4] & Cr4.PGE) !== 0;
    const physical = large
      ? ((bits >>> 13) & 0xff) * HIGH + ((bits & 0xffc00000) >>> 0) + (low & 0x3fffff)
      : ((bits & 0xfffff000) >>> 0) + (low & 0xfff);
    return finish(processor, physical, access);
  }
}

/** Access rights of SDM 3A §4.6; leaves what holds for the page in the walk. */
function permitted(processor: Processor, rights: number, disabled: boolean, access: Access, user: boolean, implicit: boolean): boolean {
  const { walk } = processor;
  const { u32 } = processor.state;
  const asUser = user && !implicit;
  const userPage = (rights & US) !== 0;
  const supervisorMayFetch = !userPage || (u32[CR4] & Cr4.SMEP) === 0;
  walk.userPage = userPage;
  walk.writable = (rights & RW) !== 0 || (!asUser && (u32[CR0] & Cr0.WP) === 0);
  walk.executable = !disabled && (asUser || supervisorMayFetch);
  if (asUser) {
    if (!userPage) return false;
  } else if (userPage && access !== Access.FETCH && (u32[CR4] & Cr4.SMAP) !== 0) {
    if (implicit || (u32[RFLAGS] & Flag.AC) === 0) return false;
  }
  if (access === Access.WRITE) return walk.writable;
  if (access === Access.FETCH) return walk.executable;
  return true;
}

function fail(processor: Processor, base: number, access: Access, user: boolean, implicit: boolean): false {
  const { u32 } = processor.state;
  let code = base;
  if (access === Access.WRITE) code |= PageFaultError.W;
  if (user && !implicit) code |= PageFaultError.U;
  if (access === Access.FETCH) {
    const pae = (u32[CR4] & Cr4.PAE) !== 0 && (u32[EFER] & Efer.NXE) !== 0;
    if (pae || (u32[CR4] & Cr4.SMEP) !== 0) code |= PageFaultError.I;
  }
  processor.walk.errorCode = code;
  return false;
}

/** Sets bits of the low byte of an entry of the walk, when they are not set. */
function setBits(processor: Processor, index: number, bits: number): void {
  const { walk, memory } = processor;
  let entry = walk.entries[index];
  if (entry < 0 || entry >= memory.size) return;
  const value = memory.readU32(entry);
  if ((value & bits) === bits) return;
  if (processor.secondStages.length !== 0) {
    const guestEntry = walk.guestEntries[index];
    entry = throughStages(processor, guestEntry, true);
    if (entry < 0) {
      secondStageViolation(processor, guestEntry, 'write', undefined);
      entry = throughStages(processor, guestEntry, true);
      if (entry < 0 || entry >= memory.size) return;
    }
  }
  memory.writeU32(entry, value | bits);
}

function finish(processor: Processor, guestPhysical: number, access: Access): boolean {
  const { walk } = processor;
  walk.guestPhysical = guestPhysical;
  walk.errorCode = 0;
  walk.machine = throughStages(processor, guestPhysical, access === Access.WRITE);
  return true;
}

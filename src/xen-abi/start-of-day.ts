/**
 * What a 64-bit PV domain finds when it starts: the layout of its first mapping, its page tables, start_info and the
 * first registers. Pure: from sizes to a plan. Dom0's toolstack carries the plan out by hypercalls, the hypervisor
 * carries it out directly when it builds Dom0.
 * Everything lies contiguously from VIRT_BASE = PFN 0, in the order in which Xen's domain builder places it.
 * Sources: Xen public/xen.h "Start-of-day memory layout", public/elfnote.h (INIT_P2M, MOD_START_PFN).
 * Left out: 32-bit domains (they are refused before a plan is made).
 */
import { ConfigError } from '../base/errors.ts';

export const PAGE_BYTES = 4096;
const PAGE_SHIFT = 12n;
/** The mapping ends at a multiple of this ... */
const MAPPING_ALIGNMENT = 0x400000n;
/** ... with at least this much behind the boot stack. */
const MAPPING_PADDING = 0x80000n;

/** L4 slots 256..271: no guest address may lie there (Xen public/arch-x86/xen-x86_64.h HYPERVISOR_VIRT_START). */
export const HYPERVISOR_VIRT_START = 0xffff_8000_0000_0000n;
export const HYPERVISOR_VIRT_END = 0xffff_8800_0000_0000n;

export const SIF_PRIVILEGED = 1;
export const SIF_INITDOMAIN = 2;
export const SIF_MULTIBOOT_MOD = 4;
export const SIF_MOD_START_PFN = 8;

/** What the ELF notes (or the `__xen_guest` string) and the program headers of a kernel say. */
export interface PvKernel {
  /** VIRT_BASE: virtual address of PFN 0. */
  readonly virtBase: bigint;
  /** Lowest and highest + 1 virtual address of the loaded segments (p_paddr - PADDR_OFFSET + VIRT_BASE). */
  readonly virtStart: bigint;
  readonly virtEnd: bigint;
  readonly entry: bigint;
  /** INIT_P2M: where the P2M list is to appear, when not inside the first mapping. */
  readonly initP2m: bigint | undefined;
  /** MOD_START_PFN: the ramdisk may stay unmapped. */
  readonly modStartPfn: boolean;
}

export interface StartOfDayRequest {
  readonly kernel: PvKernel;
  /** Pages of the domain (start_info.nr_pages). */
  readonly totalPages: number;
  /** 0 = no ramdisk. */
  readonly ramdiskBytes: number;
  /** Built by the hypervisor: no xenstore and console pages, and page tables in the order in which they are met. */
  readonly initialDomain: boolean;
}

export interface Region {
  readonly name: 'kernel' | 'ramdisk' | 'p2m' | 'start-info' | 'xenstore' | 'console' | 'page-tables' | 'boot-stack';
  readonly pfn: number;
  readonly pages: number;
  /** undefined = not in the first mapping. */
  readonly virtual: bigint | undefined;
}

export interface PlannedTable {
  readonly pfn: number;
  readonly level: 1 | 2 | 3 | 4;
  /** First virtual address that it covers. */
  readonly virtual: bigint;
}

export interface StartOfDayPlan {
  readonly kernel: PvKernel;
  readonly totalPages: number;
  readonly regions: readonly Region[];
  /** Tables of the first mapping, then those of INIT_P2M. The first one is the L4. */
  readonly tables: readonly PlannedTable[];
  /** First mapping: [kernel.virtBase, mappingEnd), PFN 0 on. */
  readonly mappingEnd: bigint;
  readonly p2m: { readonly virtual: bigint; readonly pfn: number; readonly listPages: number; readonly frames: number };
  readonly startInfoVirtual: bigint;
  readonly stackTop: bigint;
  /** Virtual address (or PFN, with SIF_MOD_START_PFN) and length of the ramdisk; 0 when there is none. */
  readonly modStart: bigint;
  readonly modLength: number;
  readonly pageTableVirtual: bigint;
  /** Tables inside the first mapping (start_info.nr_pt_frames). */
  readonly pageTableFrames: number;
}

const pagesOf = (bytes: number): number => Math.ceil(bytes / PAGE_BYTES);
const roundUp = (value: bigint, to: bigint): bigint => ((value + to - 1n) / to) * to;
const coverage = (level: number): bigint => 1n << BigInt(12 + 9 * level);
const isCanonical = (va: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, va)) === va;

/** True when no byte of [start, end) is outside a guest's part of the address space. */
function isGuestRange(start: bigint, end: bigint): boolean {
  if (end <= start || end > 1n << 64n || !isCanonical(start) || !isCanonical(end - 1n)) return false;
  if (start >> 47n !== (end - 1n) >> 47n) return false;
  return end <= HYPERVISOR_VIRT_START || start >= HYPERVISOR_VIRT_END;
}

/** Number of tables of `level` (covering 2^(12+9*level) bytes each) that [start, end) needs. */
function tablesFor(start: bigint, end: bigint, level: number): number {
  const span = coverage(level);
  return Number((end - 1n) / span - start / span) + 1;
}

/**
 * Lays out the domain.
 * @throws {ConfigError} when the kernel's numbers contradict each other, or the domain is too small for it.
 */
export function planStartOfDay(request: StartOfDayRequest): StartOfDayPlan {
  const { kernel, totalPages, ramdiskBytes, initialDomain } = request;
  const { virtBase, virtStart, virtEnd } = kernel;
  if (virtBase % BigInt(PAGE_BYTES) !== 0n) throw new ConfigError(`VIRT_BASE 0x${virtBase.toString(16)} is not page aligned`);
  if (virtStart < virtBase || virtEnd <= virtStart)
    throw new ConfigError(`kernel segments 0x${virtStart.toString(16)}-0x${virtEnd.toString(16)} do not lie above VIRT_BASE`);
  if (kernel.entry < virtStart || kernel.entry > virtEnd)
    throw new ConfigError(`entry point 0x${kernel.entry.toString(16)} is outside the kernel`);
  if (!isGuestRange(virtBase, virtEnd)) throw new ConfigError('kernel lies in addresses that a PV guest cannot use');
  const tooSmall = (pages: bigint | number): ConfigError =>
    new ConfigError(`the domain has ${totalPages} pages but its start-of-day contents need ${pages}`);
  if ((virtEnd - virtBase) >> PAGE_SHIFT > BigInt(totalPages)) throw tooSmall((virtEnd - virtBase) >> PAGE_SHIFT);

  const regions: Region[] = [];
  let pfn = Number((virtStart - virtBase) >> PAGE_SHIFT);
  const virtualOf = (frame: number): bigint => virtBase + (BigInt(frame) << PAGE_SHIFT);
  const place = (name: Region['name'], pages: number, mapped = true): number => {
    const first = pfn;
    regions.push({ name, pfn: first, pages, virtual: mapped ? virtualOf(first) : undefined });
    pfn += pages;
    return first;
  };

  place('kernel', Number((roundUp(virtEnd, 4096n) - virtualOf(pfn)) >> PAGE_SHIFT));
  const ramdiskPages = pagesOf(ramdiskBytes);
  const separateRamdisk = ramdiskPages > 0 && kernel.modStartPfn;
  let modStart = 0n;
  if (ramdiskPages > 0 && !separateRamdisk) modStart = virtualOf(place('ramdisk', ramdiskPages));
  // INIT_P2M is ignored when it is not page aligned or not below VIRT_BASE.
  const listPages = pagesOf(totalPages * 8);
  const initP2m =
    kernel.initP2m !== undefined &&
    kernel.initP2m % 4096n === 0n &&
    kernel.initP2m < virtBase &&
    isGuestRange(kernel.initP2m, kernel.initP2m + (BigInt(listPages) << PAGE_SHIFT)) &&
    kernel.initP2m + (BigInt(listPages) << PAGE_SHIFT) <= virtBase
      ? kernel.initP2m
      : undefined;
  let p2mPfn = initP2m === undefined ? place('p2m', listPages) : 0;
  const startInfoVirtual = virtualOf(place('start-info', 1));
  if (!initialDomain) {
    place('xenstore', 1);
    place('console', 1);
  }

  // The tables lie inside what they map, so their number and the end of the mapping depend on each other.
  let tableCount = 0;
  let mappingEnd = 0n;
  for (;;) {
    const stackEnd = virtualOf(pfn + tableCount + 1);
    mappingEnd = roundUp(stackEnd + MAPPING_PADDING, MAPPING_ALIGNMENT);
    if (!isGuestRange(virtBase, mappingEnd)) throw new ConfigError('the first mapping reaches into addresses that a PV guest cannot use');
    let needed = 1;
    for (const level of [3, 2, 1]) needed += tablesFor(virtBase, mappingEnd, level);
    if (needed === tableCount) break;
    tableCount = needed;
  }
  const firstTable = place('page-tables', tableCount);
  const stackTop = virtualOf(place('boot-stack', 1)) + 4096n;
  pfn = Number((mappingEnd - virtBase) >> PAGE_SHIFT);
  const tables = mappingTables(virtBase, mappingEnd, firstTable, initialDomain);

  if (separateRamdisk) modStart = BigInt(place('ramdisk', ramdiskPages, false));
  let p2mFrames = listPages;
  if (initP2m !== undefined) {
    p2mPfn = pfn;
    const end = initP2m + (BigInt(listPages) << PAGE_SHIFT);
    // A list whose L4 slot the first mapping uses already would need shared tables; the builder refuses that.
    if ((end - 1n) / coverage(3) >= virtBase / coverage(3)) throw new ConfigError('INIT_P2M shares its top-level entry with the kernel');
    const own = mappingTables(initP2m, end, pfn + listPages, false).slice(1);
    for (const table of own) tables.push({ ...table, pfn: table.pfn - 1 });
    p2mFrames += own.length;
    place('p2m', p2mFrames, false);
  }
  if (pfn > totalPages) throw tooSmall(pfn);
  return {
    kernel,
    totalPages,
    regions,
    tables,
    mappingEnd,
    p2m: { virtual: initP2m ?? virtualOf(p2mPfn), pfn: p2mPfn, listPages, frames: p2mFrames },
    startInfoVirtual,
    stackTop,
    modStart,
    modLength: separateRamdisk ? ramdiskPages * PAGE_BYTES : ramdiskBytes,
    pageTableVirtual: virtualOf(firstTable),
    pageTableFrames: tableCount,
  };
}

/** Tables for [start, end), the L4 first; `asMet` gives each lower table its frame when the first address needs it. */
function mappingTables(start: bigint, end: bigint, firstPfn: number, asMet: boolean): PlannedTable[] {
  const tables: PlannedTable[] = [{ pfn: firstPfn, level: 4, virtual: 0n }];
  const add = (level: 1 | 2 | 3, virtual: bigint): void => {
    tables.push({ pfn: firstPfn + tables.length, level, virtual });
  };
  const first = (level: number): bigint => (start / coverage(level)) * coverage(level);
  if (!asMet) {
    for (const level of [3, 2, 1] as const) for (let va = first(level); va < end; va += coverage(level)) add(level, va);
    return tables;
  }
  for (let va = first(1); va < end; va += coverage(1)) {
    for (const level of [3, 2, 1] as const)
      if (va === first(1) || va % coverage(level) === 0n) add(level, (va / coverage(level)) * coverage(level));
  }
  return tables;
}

const P = 1;
const RW = 2;
const US = 4;
const A = 0x20;
const D = 0x40;

/**
 * Calls back for each entry that the plan's page tables hold: table frame, index, target frame (both PFNs) and flags.
 * Frames that are page tables are mapped read-only.
 */
export function forEachTableEntry(
  plan: StartOfDayPlan,
  write: (tablePfn: number, index: number, targetPfn: number, flags: number) => void,
): void {
  const root = plan.tables[0] as PlannedTable;
  const tableFrames = new Set<number>();
  const byAddress = new Map<string, PlannedTable>();
  for (const table of plan.tables) {
    tableFrames.add(table.pfn);
    byAddress.set(`${table.level}:${table.virtual}`, table);
  }
  const upper = P | RW | US | A | D;
  for (const table of plan.tables) {
    if (table.level === 4) continue;
    const parentLevel = table.level + 1;
    const parent =
      parentLevel === 4
        ? root
        : (byAddress.get(`${parentLevel}:${(table.virtual / coverage(parentLevel)) * coverage(parentLevel)}`) as PlannedTable);
    write(parent.pfn, Number((table.virtual / coverage(table.level)) % 512n), table.pfn, upper);
    if (table.level !== 1) continue;
    const base = plan.kernel.virtBase;
    for (let index = 0; index < 512; index++) {
      const va = table.virtual + (BigInt(index) << PAGE_SHIFT);
      let target = -1;
      if (va >= base && va < plan.mappingEnd) target = Number((va - base) >> PAGE_SHIFT);
      else if (va >= plan.p2m.virtual && va < plan.p2m.virtual + (BigInt(plan.p2m.listPages) << PAGE_SHIFT))
        target = plan.p2m.pfn + Number((va - plan.p2m.virtual) >> PAGE_SHIFT);
      if (target >= 0) write(table.pfn, index, target, tableFrames.has(target) ? P | A : P | RW | A);
    }
  }
}

/** What start_info holds beside the plan. Frames are MFNs. */
export interface StartInfoValues {
  readonly flags: number;
  readonly sharedInfoMfn: number;
  readonly storeMfn: number;
  readonly storePort: number;
  readonly consoleMfn: number;
  readonly consolePort: number;
  readonly commandLine: string;
}

export const START_INFO_BYTES = 1168;
const COMMAND_LINE_BYTES = 1024;

/** struct start_info of a 64-bit domain (Xen public/xen.h). For Dom0 the console fields stay 0 (no video is offered). */
export function encodeStartInfo(plan: StartOfDayPlan, values: StartInfoValues): Uint8Array {
  const bytes = new Uint8Array(START_INFO_BYTES);
  const view = new DataView(bytes.buffer);
  const ascii = (text: string, at: number, room: number): void => {
    // The last byte stays NUL.
    for (let i = 0; i < Math.min(text.length, room - 1); i++) bytes[at + i] = text.charCodeAt(i) & 0xff;
  };
  const u64 = (at: number, value: bigint | number): void => view.setBigUint64(at, BigInt(value), true);
  const ramdiskByPfn = plan.regions.some((region) => region.name === 'ramdisk' && region.virtual === undefined);
  ascii('xen-3.0-x86_64', 0, 32);
  u64(32, plan.totalPages);
  u64(40, BigInt(values.sharedInfoMfn) << PAGE_SHIFT);
  view.setUint32(48, values.flags | (ramdiskByPfn ? SIF_MOD_START_PFN : 0), true);
  u64(56, values.storeMfn);
  view.setUint32(64, values.storePort, true);
  u64(72, values.consoleMfn);
  view.setUint32(80, values.consolePort, true);
  u64(88, plan.pageTableVirtual);
  u64(96, plan.pageTableFrames);
  u64(104, plan.p2m.virtual);
  u64(112, plan.modStart);
  u64(120, plan.modLength);
  ascii(values.commandLine, 128, COMMAND_LINE_BYTES);
  u64(1152, plan.p2m.pfn);
  u64(1160, plan.p2m.frames);
  return bytes;
}

/** Registers of vCPU 0 at its first instruction; everything not named is 0 (Xen public/xen.h, arch-x86/xen-x86_64.h). */
export interface FirstRegisters {
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly rsi: bigint;
  readonly cs: number;
  readonly ss: number;
  readonly rflags: bigint;
}

export function firstRegisters(plan: StartOfDayPlan): FirstRegisters {
  return { rip: plan.kernel.entry, rsp: plan.stackTop, rsi: plan.startInfoVirtual, cs: 0xe033, ss: 0xe02b, rflags: 0x202n };
}

/**
 * A processor with RAM and recording parts around it, for tests of the system side without an engine: page tables and
 * descriptors built by hand, long mode switched on by its registers.
 */
import { reset, writeSegment } from '../../../src/cpu/context.ts';
import type { Bus } from '../../../src/cpu/bus.ts';
import type { CpuidModel } from '../../../src/cpu/cpuid/model.ts';
import { DEFAULT } from '../../../src/cpu/cpuid/models.ts';
import { flushLookup } from '../../../src/cpu/mmu/lookup-table.ts';
import { updateMode } from '../../../src/cpu/mode.ts';
import { Processor } from '../../../src/cpu/processor.ts';
import { CPU_STRIDE } from '../../../src/cpu/state.ts';
import { PhysicalMemory } from '../../../src/memory/physical-memory.ts';
import { FREE_TRANSLATION, type TranslationModel, type TranslationRequest } from '../../../src/timing/model.ts';
import { Cr0, Cr4, Efer } from '../../../src/x86/control-registers.ts';
import { buildSegmentDescriptor } from '../../../src/x86/descriptors.ts';
import { Segment } from '../../../src/x86/instruction.ts';
import { Pte } from '../../../src/x86/page-table-entry.ts';

export const RAM_BYTES = 8 << 20;

/** Ports and device memory as a log; interrupts from a queue. */
export class RecordingBus implements Bus {
  readonly log: string[] = [];
  readonly interrupts: number[] = [];
  portValue = 0x5a;
  memoryValue = 0x1122334455667788n;

  readPort(port: number, size: number): number {
    this.log.push(`in ${port.toString(16)}/${size}`);
    return this.portValue;
  }
  writePort(port: number, size: number, value: number): void {
    this.log.push(`out ${port.toString(16)}/${size} ${value.toString(16)}`);
  }
  readMemory(address: number, size: number): bigint {
    this.log.push(`read ${address.toString(16)}/${size}`);
    return BigInt.asUintN(size * 8, this.memoryValue);
  }
  writeMemory(address: number, size: number, value: bigint): void {
    this.log.push(`write ${address.toString(16)}/${size} ${value.toString(16)}`);
  }
  acknowledgeInterrupt(): number | undefined {
    return this.interrupts.shift();
  }
}

/** Requests to the timing model, and flushes, in the order in which they were made. */
export class RecordingTranslation implements TranslationModel {
  readonly requests: TranslationRequest[] = [];
  readonly flushes: string[] = [];
  cost = 0;

  lookup(request: TranslationRequest): number {
    this.requests.push({ ...request, entries: request.entries.slice(), guestEntries: request.guestEntries.slice() });
    return this.cost;
  }
  touch(page: string, index: number, vpid: number): number {
    this.flushes.push(`touch ${page} ${index} ${vpid}`);
    return this.cost;
  }
  flushNonGlobal(vpid: number): void {
    this.flushes.push(`non-global ${vpid}`);
  }
  flushAll(vpid: number): void {
    this.flushes.push(`all ${vpid}`);
  }
  flushPage(vpid: number, page: number): void {
    this.flushes.push(`page ${vpid} ${page.toString(16)}`);
  }
  flushSecondStage(vpid: number): void {
    this.flushes.push(`second-stage ${vpid}`);
  }
  transition(vpid: number): void {
    this.flushes.push(`transition ${vpid}`);
  }
}

export interface TestProcessor {
  readonly processor: Processor;
  readonly memory: PhysicalMemory;
  readonly bus: RecordingBus;
  readonly charged: string[];
}

export function testProcessor(
  options: { cpuid?: CpuidModel; translation?: TranslationModel; cost?: (event: string) => number } = {},
): TestProcessor {
  const wasm = new WebAssembly.Memory({ initial: (CPU_STRIDE + RAM_BYTES) >> 16, maximum: (CPU_STRIDE + RAM_BYTES) >> 16 });
  const memory = new PhysicalMemory(wasm, CPU_STRIDE, RAM_BYTES);
  const bus = new RecordingBus();
  const charged: string[] = [];
  const processor = new Processor({
    index: 0,
    memory,
    stateBase: 0,
    bus,
    costs: {
      cost(event) {
        charged.push(event);
        return options.cost?.(event) ?? 0;
      },
    },
    translation: options.translation ?? FREE_TRANSLATION,
    cpuid: options.cpuid ?? DEFAULT,
  });
  reset(processor);
  return { processor, memory, bus, charged };
}

/** Selectors of {@link enterLongMode}'s GDT. */
export const KERNEL_CS = 0x08;
export const KERNEL_DS = 0x10;
export const USER_CS32 = 0x1b;
export const USER_DS = 0x23;
export const USER_CS = 0x2b;
export const KERNEL_CS32 = 0x30;
export const TSS = 0x40;
export const CONFORMING_CS = 0x50;
export const NOT_PRESENT_CS = 0x58;

export const PML4 = 0x1000;
export const GDT = 0x8000;
export const IDT = 0x9000;
export const TSS_BASE = 0xa000;
export const KERNEL_STACK = 0x20000;

/** Puts an 8-byte entry into a table of 64-bit entries. */
export function setEntry(memory: PhysicalMemory, table: number, index: number, entry: bigint): void {
  memory.writeU64(table + index * 8, entry);
}

const TABLE = Pte.P | Pte.RW | Pte.US | Pte.A;

/** Maps linear 0..8 MiB to itself with 4 KiB pages that are present, writable and user, without A and D. */
export function identityTables(memory: PhysicalMemory, flags: bigint = Pte.P | Pte.RW | Pte.US): void {
  setEntry(memory, PML4, 0, 0x2000n | TABLE);
  setEntry(memory, 0x2000, 0, 0x3000n | TABLE);
  for (let directory = 0; directory < 4; directory++) {
    const table = 0x4000 + directory * 0x1000;
    setEntry(memory, 0x3000, directory, BigInt(table) | TABLE);
    for (let i = 0; i < 512; i++) setEntry(memory, table, i, BigInt((directory * 512 + i) * 4096) | flags);
  }
}

/** The entry that maps a linear address below 8 MiB in {@link identityTables}. */
export function leafAddress(linear: number): number {
  return 0x4000 + (linear >> 21) * 0x1000 + ((linear >> 12) & 511) * 8;
}

/** Switches to long mode with a GDT, a TSS and identity tables, at CPL 0 in 64-bit code (or at CPL 3). */
export function enterLongMode({ processor, memory }: TestProcessor, cpl: 0 | 3 = 0): void {
  const { state } = processor;
  identityTables(memory);
  const gdt: [number, number][] = [
    [KERNEL_CS, 0xa09b],
    [KERNEL_DS, 0xc093],
    [USER_CS32 & ~3, 0xc0fb],
    [USER_DS & ~3, 0xc0f3],
    [USER_CS & ~3, 0xa0fb],
    [KERNEL_CS32, 0xc09b],
    [CONFORMING_CS, 0xa09f],
    [NOT_PRESENT_CS, 0xa01b],
  ];
  for (const [selector, attributes] of gdt) {
    memory.writeU64(GDT + selector, buildSegmentDescriptor({ base: 0n, limit: 0xffffffff, attributes }));
  }
  memory.writeU64(GDT + TSS, buildSegmentDescriptor({ base: BigInt(TSS_BASE), limit: 0x67, attributes: 0x8b }));
  memory.writeU64(TSS_BASE + 4, BigInt(KERNEL_STACK));
  memory.writeU16(TSS_BASE + 0x66, 0x68); // no I/O permission bitmap
  state.set('gdtrBase', BigInt(GDT));
  state.set32('gdtrLimit', 0x7f);
  state.set('idtrBase', BigInt(IDT));
  state.set32('idtrLimit', 0xfff);
  state.set32('trSelector', TSS);
  state.set('trBase', BigInt(TSS_BASE));
  state.set32('trLimit', 0x67);
  state.set32('trAttributes', 0x8b);
  state.set('cr3', BigInt(PML4));
  state.set('cr4', BigInt(Cr4.PAE | Cr4.PGE));
  state.set('efer', BigInt(Efer.LME | Efer.LMA | Efer.NXE | Efer.SCE));
  state.set('cr0', BigInt((Cr0.PE | Cr0.PG | Cr0.WP | Cr0.NE | Cr0.ET) >>> 0));
  setCpl(processor, cpl);
  flushLookup(processor);
}

/** Flat 64-bit code and data of CPL 0 or 3, without checks. */
export function setCpl(processor: Processor, cpl: 0 | 3): void {
  const flat = { base: 0n, limit: 0xffffffff };
  const code = cpl === 0 ? KERNEL_CS : USER_CS;
  const data = cpl === 0 ? KERNEL_DS : USER_DS;
  writeSegment(processor, Segment.CS, { ...flat, selector: code, attributes: cpl === 0 ? 0xa09b : 0xa0fb });
  for (const segment of [Segment.SS, Segment.DS, Segment.ES]) {
    writeSegment(processor, segment, { ...flat, selector: data, attributes: cpl === 0 ? 0xc093 : 0xc0f3 });
  }
  updateMode(processor);
}

/** The fault recorded in the state, in one line. */
export function recorded(processor: Processor): string {
  const { state } = processor;
  const code = state.get32('faultHasErrorCode') !== 0 ? `(${state.get32('faultErrorCode').toString(16)})` : '';
  return `${state.get32('faultVector')}${code}`;
}

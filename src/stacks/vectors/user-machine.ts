/**
 * A machine with nothing but user code: RAM with four regions behind real page tables, one processor at CPL 3 with flat
 * segments, and an engine, driven directly: what would be delivered through an IDT is handed to the caller. Vectors,
 * fuzzed programs and the tests of single instructions run on it.
 *
 *   0x08000-0x08fff  low data (16-bit addressing)      0x10000-0x11fff  code, may be written
 *   0x20000-0x23fff  data                              0x30000-0x31fff  stack
 *
 * Source: test/vectors/README.md ("Machine").
 */
import type { Bus } from '../../cpu/bus.ts';
import type { CpuidModel } from '../../cpu/cpuid/model.ts';
import { ZEN3 } from '../../cpu/cpuid/models.ts';
import { type Engine, Status } from '../../cpu/engine.ts';
import { type EventKind, recordedFault, recordedTrap } from '../../cpu/fault/event.ts';
import { instructionDefinitions } from '../../cpu/instructions/index.ts';
import { InterpreterEngine } from '../../cpu/interpreter/engine.ts';
import { machineLayout } from '../../cpu/layout.ts';
import { flushLookup } from '../../cpu/mmu/lookup-table.ts';
import { updateMode } from '../../cpu/mode.ts';
import { Processor } from '../../cpu/processor.ts';
import { ReferenceEngine } from '../../cpu/reference/engine.ts';
import { JitCompiler } from '../../jit/compiler.ts';
import type { EngineName } from '../../machine/bare-machine.ts';
import { PAGE_SIZE, PhysicalMemory } from '../../memory/physical-memory.ts';
import { type CostModel, FREE_TRANSLATION } from '../../timing/model.ts';
import { Cr0, Cr4, Efer } from '../../x86/control-registers.ts';
import { Decoder } from '../../x86/decode.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { Pte } from '../../x86/page-table-entry.ts';

export interface MappedRegion {
  readonly start: number;
  readonly length: number;
  /** Byte that fills it before a run. */
  readonly background: number;
  readonly executable: boolean;
}

export const INT3 = 0xcc;

export const USER_REGIONS: readonly MappedRegion[] = [
  { start: 0x8000, length: 0x1000, background: 0, executable: false },
  { start: 0x10000, length: 0x2000, background: INT3, executable: true },
  { start: 0x20000, length: 0x4000, background: 0, executable: false },
  { start: 0x30000, length: 0x2000, background: 0, executable: false },
];

const RAM_BYTES = 1 << 20;
const PAGE_TABLES = 0x80000;
const GDT = 0x90000;
/** What 64-bit Linux has at these places, where the vectors were recorded: kernel code and data, user code and data. */
const DESCRIPTORS: readonly (readonly [selector: number, descriptor: bigint])[] = [
  [0x08, 0x00cf_9b00_0000_ffffn],
  [0x10, 0x00af_9b00_0000_ffffn],
  [0x18, 0x00cf_9300_0000_ffffn],
  [0x20, 0x00cf_fb00_0000_ffffn],
  [0x28, 0x00cf_f300_0000_ffffn],
  [0x30, 0x00af_fb00_0000_ffffn],
];
/** More than any program needs: one that runs so long does not end. */
const DEADLINE_TWELFTHS = 12_000_000n;
const ONE_CYCLE_EACH: CostModel = { cost: () => 12 };

/** Attributes of flat segments at CPL 3 (SDM 3A §3.4.5): accessed, present, DPL 3. */
const CODE_64 = 0xa0fb;
const CODE_32 = 0xc0fb;
const DATA = 0xc0f3;

/** Vectors that code at CPL 3 may raise with INT n, on the system that recorded the vectors: #BP, #OF, system calls. */
const USER_GATES: ReadonlySet<number> = new Set([Vector.BP, Vector.OF, 0x80]);

const NO_DEVICES: Bus = {
  readPort: (_, size) => 2 ** (size * 8) - 1,
  writePort: () => {},
  readMemory: (_, size) => (1n << BigInt(size * 8)) - 1n,
  writeMemory: () => {},
  acknowledgeInterrupt: () => undefined,
};

/** Deviations from the usual set-up, for tests of what they switch. */
export interface UserMachineOptions {
  readonly setCr0?: number;
  readonly setCr4?: number;
  readonly clearCr4?: number;
  readonly xcr0?: bigint;
  readonly cpuid?: CpuidModel;
  /** Decoder of the engine; one that counts tells which rows were executed (the reference engine decodes each time). */
  readonly decoder?: Decoder;
}

/** The event that ended a run. RIP is where the event leaves it: at the instruction for faults, after it for traps. */
export interface Stop {
  readonly kind: EventKind;
  readonly vector: number;
  readonly errorCode: number;
  /** CR2 of a page fault. */
  readonly address: bigint | undefined;
  readonly rip: bigint;
  /** Bytes of the instruction that raised a trap, else 0. */
  readonly length: number;
}

export class UserMachine {
  readonly mode: 64 | 32;
  readonly processor: Processor;
  readonly memory: PhysicalMemory;
  readonly engine: Engine;
  private readonly options: UserMachineOptions;

  constructor(mode: 64 | 32, engine: EngineName, options: UserMachineOptions = {}) {
    this.mode = mode;
    this.options = options;
    const cpuid = options.cpuid ?? ZEN3;
    const decoder = options.decoder ?? new Decoder(cpuid.features);
    const layout = machineLayout(1, RAM_BYTES);
    const wasm = new WebAssembly.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages });
    this.memory = new PhysicalMemory(wasm, layout.ramBase, RAM_BYTES);
    this.processor = new Processor({
      index: 0,
      memory: this.memory,
      stateBase: layout.cpuBase(0),
      bus: NO_DEVICES,
      costs: ONE_CYCLE_EACH,
      translation: FREE_TRANSLATION,
      cpuid,
    });
    const definitions = instructionDefinitions();
    // Every instruction that is jumped to is compiled before it is executed.
    const compiler = engine === 'jit' ? new JitCompiler(layout.wasmPages, definitions, decoder, ONE_CYCLE_EACH, 1) : undefined;
    this.engine =
      engine === 'reference'
        ? new ReferenceEngine(definitions, decoder, ONE_CYCLE_EACH)
        : new InterpreterEngine(layout, this.memory, definitions, decoder, ONE_CYCLE_EACH, compiler);
    this.buildPageTables();
    this.enterUserMode();
    flushLookup(this.processor);
  }

  /** Segments, control registers and time as every run begins. Registers of the program are the caller's. */
  enterUserMode(): void {
    const { state } = this.processor;
    const long = this.mode === 64;
    for (let segment: number = Segment.ES; segment <= Segment.GS; segment++) {
      const code = segment === Segment.CS;
      state.set32('segmentSelector', code ? (long ? 0x33 : 0x23) : 0x2b, segment);
      state.set('segmentBase', 0n, segment);
      state.set32('segmentLimit', 0xffff_ffff, segment);
      state.set32('segmentAttributes', code ? (long ? CODE_64 : CODE_32) : DATA, segment);
    }
    state.set('cr0', BigInt(Cr0.PE | Cr0.MP | Cr0.ET | Cr0.NE | Cr0.WP) | BigInt(Cr0.PG));
    state.set('cr3', BigInt(PAGE_TABLES + (long ? 0 : PAGE_SIZE)));
    state.set('cr4', BigInt(Cr4.PAE | Cr4.PGE | Cr4.OSFXSR | Cr4.OSXMMEXCPT | Cr4.UMIP | Cr4.FSGSBASE));
    state.set('efer', BigInt(Efer.NXE | Efer.SCE | (long ? Efer.LME | Efer.LMA : 0)));
    state.set32('cr0', state.get32('cr0') | (this.options.setCr0 ?? 0));
    state.set32('cr4', (state.get32('cr4') | (this.options.setCr4 ?? 0)) & ~(this.options.clearCr4 ?? 0));
    if (this.options.xcr0 !== undefined) state.set('xcr0', this.options.xcr0);
    state.set('gdtrBase', BigInt(GDT));
    state.set32('gdtrLimit', 0x7f);
    state.set('repeatActive', 0n);
    state.set32('interruptShadow', 0);
    state.set('cycles', 0n);
    state.set('deadline', DEADLINE_TWELFTHS);
    updateMode(this.processor);
  }

  /** Runs to the first fault or trap; a text when neither comes. */
  run(): Stop | string {
    const { processor, engine } = this;
    const { state } = processor;
    for (;;) {
      const status = engine.execute(processor);
      switch (status) {
        case Status.CONTINUE:
        case Status.RESYNC:
        case Status.REPEAT:
          break;
        case Status.TRAP:
          return this.trapped();
        case Status.FAULT:
          return this.faulted();
        case Status.DEADLINE:
          // Also what an instruction asks for that lets interrupts in.
          state.set('deadline', DEADLINE_TWELFTHS);
          break;
        default:
          return `engine stopped with status ${status}`;
      }
      if (state.get('cycles') >= DEADLINE_TWELFTHS) return 'does not end';
    }
  }

  private faulted(): Stop {
    const { state } = this.processor;
    const { kind, vector, errorCode = 0 } = recordedFault(this.processor);
    return {
      kind,
      vector,
      errorCode,
      address: vector === Vector.PF ? state.get('faultAddress') : undefined,
      rip: state.get('rip'),
      length: 0,
    };
  }

  private trapped(): Stop {
    const { vector, kind, length } = recordedTrap(this.processor);
    const rip = this.processor.state.get('rip');
    if (kind === 'software' && !USER_GATES.has(vector)) {
      // What delivery does when the gate's DPL is below 3 (SDM 3A §6.12.1.1).
      return { kind: 'fault', vector: Vector.GP, errorCode: vector * 8 + 2, address: undefined, rip: rip - BigInt(length), length: 0 };
    }
    return { kind, vector, errorCode: 0, address: undefined, rip, length };
  }

  /** Identity mapping of the regions: four levels, or the two lower ones under a page-directory-pointer table. */
  private buildPageTables(): void {
    const [pml4, pdpt, directory, table] = [0, 1, 2, 3].map((n) => PAGE_TABLES + n * PAGE_SIZE);
    const link = Pte.P | Pte.RW | Pte.US | Pte.A;
    this.memory.writeU64(pml4, BigInt(pdpt) | link);
    // Entries of a PAE page-directory-pointer table have no rights (SDM 3A §4.4.1).
    this.memory.writeU64(pdpt, BigInt(directory) | (this.mode === 64 ? link : Pte.P));
    this.memory.writeU64(directory, BigInt(table) | link);
    for (const { start, length, executable } of USER_REGIONS) {
      for (let page = start; page < start + length; page += PAGE_SIZE) {
        const entry = BigInt(page) | link | Pte.D | (executable ? 0n : Pte.XD);
        this.memory.writeU64(table + (page / PAGE_SIZE) * 8, entry);
      }
    }
    this.memory.writeU64(table + (GDT / PAGE_SIZE) * 8, BigInt(GDT) | Pte.P | Pte.RW | Pte.A | Pte.D | Pte.XD);
    for (const [selector, descriptor] of DESCRIPTORS) this.memory.writeU64(GDT + selector, descriptor);
  }
}

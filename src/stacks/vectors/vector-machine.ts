/**
 * The machine that vectors run on: RAM with the vectors' regions behind real page tables, one processor at CPL 3 that
 * claims to be the model the vectors were recorded on, and an engine, driven directly: what would be delivered through
 * an IDT is what the vector's `fault` names. One machine serves all vectors of a mode.
 * Source: test/vectors/README.md.
 */
import type { Bus } from '../../cpu/bus.ts';
import { ZEN3 } from '../../cpu/cpuid/models.ts';
import { type Engine, Status } from '../../cpu/engine.ts';
import { instructionDefinitions } from '../../cpu/instructions/index.ts';
import { recordedFault, recordedTrap } from '../../cpu/fault/event.ts';
import { InterpreterEngine } from '../../cpu/interpreter/engine.ts';
import { machineLayout } from '../../cpu/layout.ts';
import { flushLookup } from '../../cpu/mmu/lookup-table.ts';
import { updateMode } from '../../cpu/mode.ts';
import { Processor } from '../../cpu/processor.ts';
import { ReferenceEngine } from '../../cpu/reference/engine.ts';
import type { EngineName } from '../../machine/bare-machine.ts';
import { PAGE_SIZE, PhysicalMemory } from '../../memory/physical-memory.ts';
import { type CostModel, FREE_TRANSLATION } from '../../timing/model.ts';
import { Cr0, Cr4, Efer } from '../../x86/control-registers.ts';
import { Decoder } from '../../x86/decode.ts';
import { disassemble } from '../../x86/disassemble.ts';
import { Segment } from '../../x86/instruction.ts';
import { Pte } from '../../x86/page-table-entry.ts';
import { compareState, type Ending } from './compare.ts';
import { MemoryImage } from './memory-image.ts';
import { hexBytes, hexWord, type Vector } from './vector.ts';

const RAM_BYTES = 1 << 20;
const PAGE_TABLES = 0x80000;
const CODE_END = 0x12000;
const INT3 = 0xcc;
const BREAKPOINT = 3;
const GENERAL_PROTECTION = 13;
const PAGE_FAULT = 14;
/** Vectors that code at CPL 3 may raise with INT n, on the system that recorded the vectors: #BP, #OF, system calls. */
const USER_GATES: ReadonlySet<number> = new Set([BREAKPOINT, 4, 0x80]);
/** More than any vector needs: one that runs so long does not end. */
const DEADLINE_TWELFTHS = 12_000_000n;
const ONE_CYCLE_EACH: CostModel = { cost: () => 12 };

/** Attributes of flat segments at CPL 3 (SDM 3A §3.4.5): accessed, present, DPL 3. */
const CODE_64 = 0xa0fb;
const CODE_32 = 0xc0fb;
const DATA = 0xc0f3;

const NO_DEVICES: Bus = {
  readPort: (_, size) => 2 ** (size * 8) - 1,
  writePort: () => {},
  readMemory: (_, size) => (1n << BigInt(size * 8)) - 1n,
  writeMemory: () => {},
  acknowledgeInterrupt: () => undefined,
};

const REGISTERS_64 = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const REGISTERS_32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];

/** Deviations from the control registers of test/vectors/README.md, for tests of what they switch. */
export interface Controls {
  readonly setCr0?: number;
  readonly clearCr4?: number;
}

export class VectorMachine {
  readonly mode: 64 | 32;
  readonly registerNames: readonly string[];
  readonly processor: Processor;
  private readonly controls: Controls;
  private readonly memory: PhysicalMemory;
  private readonly engine: Engine;
  private readonly decoder = new Decoder(ZEN3.features);
  private readonly image = new MemoryImage();

  constructor(mode: 64 | 32, engine: EngineName, controls: Controls = {}) {
    this.mode = mode;
    this.controls = controls;
    this.registerNames = mode === 64 ? REGISTERS_64 : REGISTERS_32;
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
      cpuid: ZEN3,
    });
    const definitions = instructionDefinitions();
    this.engine =
      engine === 'reference'
        ? new ReferenceEngine(definitions, this.decoder, ONE_CYCLE_EACH)
        : new InterpreterEngine(layout, this.memory, definitions, this.decoder, ONE_CYCLE_EACH);
    this.buildPageTables();
    this.enterUserMode();
    flushLookup(this.processor);
  }

  /** Runs a vector; what differs from its final state, a line each. */
  run(vector: Vector): string[] {
    this.prepare(vector);
    const ending = this.execute();
    if (typeof ending === 'string') return [ending];
    this.image.apply(vector.final);
    return compareState(this.processor.state, this.registerNames, this.memory, this.image, vector, ending);
  }

  /** The vector's instructions as text. */
  disassembly(vector: Vector): string {
    const bytes = hexBytes(vector.bytes);
    const padded = new Uint8Array(bytes.length + 16).fill(INT3);
    padded.set(bytes);
    const lines: string[] = [];
    for (let at = 0; at < bytes.length; ) {
      const decoded = this.decoder.decode(padded, at, padded.length - at, this.mode);
      if (typeof decoded === 'string') {
        lines.push(`(${decoded})`);
        break;
      }
      lines.push(disassemble(decoded, hexWord(vector.initial.rip) + BigInt(at)));
      at += decoded.length;
    }
    return lines.join('; ');
  }

  /** Identity mapping of the regions: four levels, or the two lower ones under a page-directory-pointer table. */
  private buildPageTables(): void {
    const [pml4, pdpt, directory, table] = [0, 1, 2, 3].map((n) => PAGE_TABLES + n * PAGE_SIZE);
    const link = Pte.P | Pte.RW | Pte.US | Pte.A;
    this.memory.writeU64(pml4, BigInt(pdpt) | link);
    // Entries of a PAE page-directory-pointer table have no rights (SDM 3A §4.4.1).
    this.memory.writeU64(pdpt, BigInt(directory) | (this.mode === 64 ? link : Pte.P));
    this.memory.writeU64(directory, BigInt(table) | link);
    for (const { start, bytes, executable } of this.image.regions) {
      for (let page = start; page < start + bytes.length; page += PAGE_SIZE) {
        const entry = BigInt(page) | link | Pte.D | (executable ? 0n : Pte.XD);
        this.memory.writeU64(table + (page / PAGE_SIZE) * 8, entry);
      }
    }
  }

  private enterUserMode(): void {
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
    state.set32('cr0', state.get32('cr0') | (this.controls.setCr0 ?? 0));
    state.set32('cr4', state.get32('cr4') & ~(this.controls.clearCr4 ?? 0));
    updateMode(this.processor);
  }

  private prepare({ initial, bytes }: Vector): void {
    const { state } = this.processor;
    this.image.reset();
    this.image.apply(initial);
    const rip = Number.parseInt(initial.rip, 16);
    // Some instructions reach beyond the end of the code: those bytes are nowhere.
    this.image.put(rip, hexBytes(bytes).subarray(0, CODE_END - rip));
    this.image.writeTo(this.memory);
    this.enterUserMode();
    for (let n = 0; n < 16; n++) {
      const value = initial.regs?.[this.registerNames[n]];
      state.set('gpr', value === undefined ? 0n : hexWord(value), n);
      const xmm = hexWord(initial.xmm?.[n] ?? '0');
      state.set('xmm', BigInt.asUintN(64, xmm), n * 2);
      state.set('xmm', xmm >> 64n, n * 2 + 1);
    }
    state.set('rip', BigInt(rip));
    state.set('rflags', hexWord(initial.flags ?? '202'));
    state.set32('mxcsr', Number.parseInt(initial.mxcsr ?? '1f80', 16));
    state.set32('fpuControl', Number.parseInt(initial.x87?.cw ?? '37f', 16));
    state.set32('fpuStatus', Number.parseInt(initial.x87?.sw ?? '0', 16));
    state.set32('fpuTag', Number.parseInt(initial.x87?.tw ?? '0', 16));
    for (let n = 0; n < 8; n++) {
      const value = hexWord(initial.x87?.r?.[n] ?? '0');
      state.set('st', BigInt.asUintN(64, value), n * 2);
      state.set('st', value >> 64n, n * 2 + 1);
    }
    state.set('cycles', 0n);
    state.set('deadline', DEADLINE_TWELFTHS);
  }

  /** Runs to an int3 (undefined) or to a fault; a text when neither comes. */
  private execute(): Ending | string {
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

  private faulted(): Ending {
    const { state } = this.processor;
    const { vector, errorCode = 0 } = recordedFault(this.processor);
    const address = vector === PAGE_FAULT ? state.get('faultAddress') : undefined;
    return { rip: state.get('rip'), fault: { vector, errorCode, address } };
  }

  private trapped(): Ending {
    const { vector, kind, length } = recordedTrap(this.processor);
    const rip = this.processor.state.get('rip');
    const start = rip - BigInt(length);
    if (vector === BREAKPOINT && this.memory.readU8(Number(start)) === INT3) return { rip: start, fault: undefined };
    if (kind === 'software' && !USER_GATES.has(vector)) {
      // What delivery does when the gate's DPL is below 3 (SDM 3A §6.12.1.1).
      return { rip: start, fault: { vector: GENERAL_PROTECTION, errorCode: vector * 8 + 2, address: undefined } };
    }
    // DEVIATION: INT1 is a trap (SDM 2A INT n), but all its vectors were recorded with RIP still at it.
    return { rip: kind === 'icebp' ? start : rip, fault: { vector, errorCode: 0, address: undefined } };
  }
}

/**
 * The interpreter: instructions are decoded once into records (record.ts), found through a block a code frame, and
 * executed by handlers that were emitted from the instruction definitions, in a loop that is WebAssembly itself.
 *
 * A frame with decoded code is marked in PhysicalMemory.codeFrames; a write to it drops the records that it overlaps.
 * When the arena is full everything is dropped at once. Instructions that cross a page are decoded anew each time.
 */
import { PAGE_SIZE, type PhysicalMemory } from '../../memory/physical-memory.ts';
import type { CostModel } from '../../timing/model.ts';
import type { Decoder } from '../../x86/decode.ts';
import { type Instruction, Segment, type SegmentIndex } from '../../x86/instruction.ts';
import type { Definitions } from '../definition.ts';
import { definitionOf } from '../dispatch.ts';
import { type Engine, Status } from '../engine.ts';
import { fetchHost, fetchInstruction, syncFetchPage } from '../fetch.ts';
import { InstructionCosts } from '../instruction-cost.ts';
import type { MachineLayout } from '../layout.ts';
import { markCodeFrame, unmarkCodeFrame } from '../mmu/lookup-table.ts';
import { commitStore, prepareStore, slowLoad } from '../mmu/access.ts';
import { checkSegment } from '../mmu/segmentation.ts';
import type { Processor } from '../processor.ts';
import { executeSystem } from '../system/execute.ts';
import { handlerModule, type HandlerServices, hostFunctionImports } from './handlers.ts';
import { BLOCK_HEADER_BYTES, loopModule } from './loop.ts';
import { SubroutineLinker } from './subroutine-linker.ts';
import { handlerKey, RECORD, RECORD_BYTES, writeRecord } from './record.ts';

const BLOCK_BYTES = BLOCK_HEADER_BYTES + PAGE_SIZE * 4;
const LONGEST_INSTRUCTION = 15;
const SYSTEM_SLOT = 0;

interface LoopExports {
  loop(state: number): Status;
  one(state: number, record: number): Status;
}

export class InterpreterEngine implements Engine {
  readonly name = 'interpreter';
  private readonly layout: MachineLayout;
  private readonly memory: PhysicalMemory;
  private readonly definitions: Definitions;
  private readonly decoder: Decoder;
  private readonly model: CostModel;
  private readonly costs: InstructionCosts;
  private readonly view: DataView;
  private readonly words: Uint32Array;
  private readonly handlers: WebAssembly.Table;
  private readonly slots = new Map<string, number>();
  private readonly services: HandlerServices;
  private readonly linker: SubroutineLinker;
  private readonly exports: LoopExports;
  /** System instructions that records name by number. */
  private readonly kept: Instruction[] = [];
  private readonly keptNumbers = new Map<string, number>();
  private readonly crossing = { value: false };
  private readonly scratchRecord: number;
  /** Frames that have a block, for dropping everything. */
  private readonly blockFrames = new Set<number>();
  private arenaNext: number;
  private current!: Processor;

  constructor(layout: MachineLayout, memory: PhysicalMemory, definitions: Definitions, decoder: Decoder, model: CostModel) {
    this.layout = layout;
    this.memory = memory;
    this.definitions = definitions;
    this.decoder = decoder;
    this.model = model;
    this.costs = new InstructionCosts(model);
    this.view = new DataView(memory.memory.buffer);
    this.words = new Uint32Array(memory.memory.buffer);
    this.scratchRecord = layout.arena;
    this.arenaNext = layout.arena + 64;
    this.linker = new SubroutineLinker(memory.memory, layout.wasmPages, hostFunctionImports());
    this.handlers = new WebAssembly.Table({ element: 'anyfunc', initial: 4096 });
    this.services = {
      slowLoad: (_state, size, stack) => slowLoad(this.current, this.slowAddress(), size, stack !== 0),
      slowStore: (_state, size, stack) => prepareStore(this.current, this.slowAddress(), size, stack !== 0),
      commitStore: () => commitStore(this.current),
      checkSegment: (_state, segment, size, write) =>
        checkSegment(this.current, segment as SegmentIndex, Number(this.slowAddress()), size, write !== 0) ? 1 : 0,
    };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(loopModule(layout)), {
      e: {
        memory: memory.memory,
        handlers: this.handlers,
        syncFetch: () => (this.syncFetch(this.current) ? 1 : 0),
        system: (_state: number, record: number) =>
          executeSystem(this.current, this.kept[this.view.getUint32(record + RECORD.immediate2, true)]),
      },
    });
    this.exports = instance.exports as unknown as LoopExports;
    this.handlers.set(SYSTEM_SLOT, instance.exports.system);
    this.slots.set('system', SYSTEM_SLOT);
    memory.onCodeWrite = (address, length) => this.invalidateCode(address, length);
  }

  execute(processor: Processor): Status {
    this.enter(processor);
    const { base } = processor.state;
    for (;;) {
      const status = this.exports.loop(base);
      if (status !== Status.DECODE) return status;
      const record = this.decodeRecord(processor);
      if (record === 0) return Status.FAULT;
      if (record !== this.scratchRecord) continue;
      const single = this.exports.one(base, record);
      if (single !== Status.CONTINUE) return single;
    }
  }

  step(processor: Processor): Status {
    this.enter(processor);
    const record = this.decodeRecord(processor);
    return record === 0 ? Status.FAULT : this.exports.one(processor.state.base, record);
  }

  /** Drops the records that bytes `address`..`address + length - 1` of RAM belong to. */
  invalidateCode(address: number, length: number): void {
    const lastFrame = Math.floor((address + length - 1) / PAGE_SIZE);
    for (let frame = Math.floor(address / PAGE_SIZE); frame <= lastFrame; frame++) {
      const block = this.words[(this.layout.codeIndex >> 2) + frame];
      if (block === 0) continue;
      const start = frame * PAGE_SIZE;
      const from = Math.max(0, address - start - (LONGEST_INSTRUCTION - 1));
      const to = Math.min(PAGE_SIZE, address + length - start);
      const table = (block + BLOCK_HEADER_BYTES) >> 2;
      this.words.fill(0, table + from, table + to);
    }
  }

  private enter(processor: Processor): void {
    this.current = processor;
    const { state } = processor;
    state.set('codeBase', state.get32('codeMode') === 64 ? 0n : state.get('segmentBase', Segment.CS));
    state.set32('fetchTable', 0);
  }

  private slowAddress(): bigint {
    return this.current.state.get('slowAddress');
  }

  /** Fetch page and block for RIP. False: a fault is recorded. */
  private syncFetch(processor: Processor): boolean {
    if (!syncFetchPage(processor)) return false;
    const frame = Math.floor((fetchHost(processor) - this.memory.base) / PAGE_SIZE);
    const block = this.blockOf(processor, frame);
    processor.state.set32('fetchTable', block + BLOCK_HEADER_BYTES);
    return true;
  }

  private blockOf(processor: Processor, frame: number): number {
    const mode = processor.state.get32('codeMode');
    const at = (this.layout.codeIndex >> 2) + frame;
    let block = this.words[at];
    if (block === 0) {
      block = this.allocate(BLOCK_BYTES);
      this.words.fill(0, block >> 2, (block + BLOCK_BYTES) >> 2);
      this.words[block >> 2] = mode;
      this.words[at] = block;
      this.blockFrames.add(frame);
      markCodeFrame(processor, frame);
    } else if (this.words[block >> 2] !== mode) {
      this.words.fill(0, (block + BLOCK_HEADER_BYTES) >> 2, (block + BLOCK_BYTES) >> 2);
      this.words[block >> 2] = mode;
    }
    return block;
  }

  /** Record of the instruction at RIP, decoding it when need be; 0 when a fault is recorded. */
  private decodeRecord(processor: Processor): number {
    if (!this.syncFetch(processor)) return 0;
    const offset = fetchHost(processor) & (PAGE_SIZE - 1);
    const slot = (processor.state.get32('fetchTable') >> 2) + offset;
    if (this.words[slot] !== 0) return this.words[slot];
    const instruction = fetchInstruction(processor, this.decoder, this.crossing);
    if (instruction === undefined) return 0;
    const keep = !this.crossing.value;
    let record = this.scratchRecord;
    if (keep) {
      record = this.allocate(RECORD_BYTES);
      // Making room may have dropped every block, this frame's too.
      if (processor.state.get32('fetchTable') === 0) this.syncFetch(processor);
    }
    this.fillRecord(record, instruction);
    if (keep) this.words[(processor.state.get32('fetchTable') >> 2) + offset] = record;
    return record;
  }

  private fillRecord(record: number, instruction: Instruction): void {
    const definition = definitionOf(this.definitions, instruction);
    const cost = this.costs.of(instruction);
    if (definition === undefined) {
      writeRecord(this.view, record, instruction, SYSTEM_SLOT, cost, this.keep(instruction));
      return;
    }
    const key = handlerKey(instruction);
    let slot = this.slots.get(key);
    if (slot === undefined) {
      const { bytes, hostFunctions, subroutines } = handlerModule(this.layout.wasmPages, instruction, definition, this.model);
      const imports = { e: { memory: this.memory.memory, ...this.services }, ...this.linker.imports(hostFunctions, subroutines) };
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports as unknown as WebAssembly.Imports);
      slot = this.slots.size;
      if (slot >= this.handlers.length) this.handlers.grow(4096);
      this.handlers.set(slot, instance.exports.f);
      this.slots.set(key, slot);
    }
    writeRecord(this.view, record, instruction, slot, cost, instruction.immediate2);
  }

  /** Number of a kept system instruction; equal ones are kept once. */
  private keep(instruction: Instruction): number {
    const key = JSON.stringify(instruction, (name, value) =>
      name === 'row' ? value.id : typeof value === 'bigint' ? value.toString() : value,
    );
    let number = this.keptNumbers.get(key);
    if (number === undefined) {
      number = this.kept.length;
      this.kept.push(instruction);
      this.keptNumbers.set(key, number);
    }
    return number;
  }

  private allocate(bytes: number): number {
    if (this.arenaNext + bytes > this.layout.arenaEnd) this.dropEverything();
    const at = this.arenaNext;
    this.arenaNext += (bytes + 15) & -16;
    return at;
  }

  private dropEverything(): void {
    for (const frame of this.blockFrames) {
      this.words[(this.layout.codeIndex >> 2) + frame] = 0;
      unmarkCodeFrame(this.current, frame);
    }
    this.blockFrames.clear();
    this.arenaNext = this.layout.arena + 64;
    for (const peer of this.current.peers) peer.state.set32('fetchTable', 0);
  }
}

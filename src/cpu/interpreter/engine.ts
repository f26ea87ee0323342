/**
 * The interpreter: instructions are decoded once into records (record.ts), found through a block a code frame, and
 * executed by handlers that were emitted from the instruction definitions and call each other's tails (loop.ts), or are
 * joined in one function when the guest spends its time in them (handler-table.ts).
 *
 * A frame with decoded code is marked in PhysicalMemory.codeFrames; a write to it gives the records that it overlaps the
 * decode handler. When the arena is full everything is dropped at once. Instructions that cross a page are decoded anew
 * each time.
 */
import { PAGE_SIZE, type PhysicalMemory } from '../../memory/physical-memory.ts';
import type { CostModel } from '../../timing/model.ts';
import type { Decoder } from '../../x86/decode.ts';
import { type Instruction, Segment, type SegmentIndex } from '../../x86/instruction.ts';
import type { Definitions } from '../definition.ts';
import { definitionOf } from '../dispatch.ts';
import { type Engine, Status } from '../engine.ts';
import { fetchHost, fetchInstruction, fetchLinear, syncFetchPage } from '../fetch.ts';
import { InstructionCosts } from '../instruction-cost.ts';
import type { MachineLayout } from '../layout.ts';
import { markCodeFrame, unmarkCodeFrame } from '../mmu/lookup-table.ts';
import { commitStore, prepareStore, slowLoad } from '../mmu/access.ts';
import { checkSegment } from '../mmu/segmentation.ts';
import type { Processor } from '../processor.ts';
import { executeSystem } from '../system/execute.ts';
import { HandlerTable } from './handler-table.ts';
import { HotRegions, type RegionCompiler } from './hot-regions.ts';
import { BLOCK_HEADER_BYTES, type RunFunction } from './chain.ts';
import { loopModule } from './loop.ts';
import { RECORD, RECORD_BYTES, SLOT, writeRecord } from './record.ts';
import { OFFSET } from '../state.ts';

const BLOCK_BYTES = BLOCK_HEADER_BYTES + PAGE_SIZE * 4;
const LONGEST_INSTRUCTION = 15;
/** Records that decoding one instruction may make: its own, its successor's and its target's. */
const RECORDS_AT_ONCE = 3;
const CYCLES = OFFSET.cycles >> 3;
const DEADLINE = OFFSET.deadline >> 3;
/** In twelfths; the longest is three times this. */
const SHORTEST_RUN = 0x80000;
const LONGEST_RUN = OFFSET.longestRun >> 3;
const STOPPED_AT = OFFSET.stoppedAt >> 3;

interface LoopExports {
  enter(state: number): Status;
  enterAt(state: number, record: number): Status;
}

export class InterpreterEngine implements Engine {
  readonly name: string;
  private readonly layout: MachineLayout;
  private readonly memory: PhysicalMemory;
  private readonly definitions: Definitions;
  private readonly decoder: Decoder;
  private readonly costs: InstructionCosts;
  private readonly view: DataView;
  private readonly words: Uint32Array;
  /** Handlers of instruction forms; for statistics and tests. */
  readonly handlers: HandlerTable;
  private readonly regions: HotRegions | undefined;
  private readonly exports: LoopExports;
  /** System instructions that records name by number. */
  private readonly kept: Instruction[] = [];
  private readonly keptNumbers = new Map<string, number>();
  private readonly crossing = { value: false };
  /** The record of an instruction that crosses its page, and the one behind it. */
  private readonly crossingRecord: number;
  private readonly crossingNext: number;
  /** Stands behind the last instruction of every page. */
  private readonly pageEnd: number;
  /** Frames that have a block, for dropping everything. */
  private readonly blockFrames = new Set<number>();
  private readonly arenaStart: number;
  private arenaNext: number;
  private phase = 0;
  private current!: Processor;

  constructor(
    layout: MachineLayout,
    memory: PhysicalMemory,
    definitions: Definitions,
    decoder: Decoder,
    model: CostModel,
    compiler?: RegionCompiler,
  ) {
    this.name = compiler === undefined ? 'interpreter' : 'jit';
    this.layout = layout;
    this.memory = memory;
    this.definitions = definitions;
    this.decoder = decoder;
    this.costs = new InstructionCosts(model);
    this.view = new DataView(memory.memory.buffer);
    this.words = new Uint32Array(memory.memory.buffer);
    this.arenaNext = layout.arena;
    this.crossingRecord = this.newRecord(SLOT.decode, 0);
    this.crossingNext = this.newRecord(SLOT.lookup, 0);
    this.pageEnd = this.newRecord(SLOT.lookup, PAGE_SIZE);
    this.arenaStart = this.arenaNext;
    this.handlers = new HandlerTable(memory.memory, layout.wasmPages, model);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(loopModule(layout)), {
      e: {
        memory: memory.memory,
        handlers: this.handlers.functions,
        syncFetch: () => (this.syncFetch(this.current) ? 1 : 0),
        system: (_state: number, record: number) =>
          executeSystem(this.current, this.kept[this.view.getUint32(record + RECORD.immediate2, true)]),
        slowLoad: (_state: number, size: number, stack: number) => slowLoad(this.current, this.slowAddress(), size, stack !== 0),
        slowStore: (_state: number, size: number, stack: number) => prepareStore(this.current, this.slowAddress(), size, stack !== 0),
        commitStore: () => commitStore(this.current),
      },
    });
    this.exports = instance.exports as unknown as LoopExports;
    this.handlers.provide({
      ...(instance.exports as Record<RunFunction, WebAssembly.ExportValue>),
      checkSegment: (_state, segment, size, write) =>
        checkSegment(this.current, segment as SegmentIndex, Number(this.slowAddress()), size, write !== 0) ? 1 : 0,
    });
    if (compiler !== undefined) {
      const { words, view, handlers } = this;
      this.regions = new HotRegions(compiler, { words, view, handlers, memory, fetchPosition: () => this.fetchPosition() });
    }
    memory.onCodeWrite = (address, length) => this.invalidateCode(address, length);
  }

  execute(processor: Processor): Status {
    this.enter(processor);
    const { base, i64 } = processor.state;
    this.sample(i64);
    let status = this.exports.enter(base);
    for (;;) {
      if (status === Status.DECODE) {
        const record = this.decodeRecord(processor);
        if (record === 0) return Status.FAULT;
        status = this.exports.enterAt(base, record);
      } else if (status === Status.DEADLINE && i64[CYCLES] < i64[DEADLINE]) {
        // The fetch page went, or the deadline is further off than the longest run.
        this.sample(i64);
        status = this.exports.enter(base);
      } else {
        return status;
      }
    }
  }

  /** Tells the handlers where the last run stopped, and chooses how long the next may be: never in step with a loop. */
  private sample(i64: BigInt64Array): void {
    this.handlers.sample(Number(i64[STOPPED_AT]));
    i64[STOPPED_AT] = 0n;
    this.phase = (Math.imul(this.phase, 1664525) + 1013904223) >>> 0;
    i64[LONGEST_RUN] = BigInt(SHORTEST_RUN + (this.phase >>> 12));
  }

  step(processor: Processor): Status {
    this.enter(processor);
    const record = this.decodeRecord(processor);
    if (record === 0) return Status.FAULT;
    const { state } = processor;
    state.set('stepping', 1n);
    const status = this.exports.enterAt(state.base, record);
    state.set('stepping', 0n);
    return status === Status.DEADLINE ? Status.CONTINUE : status;
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
      this.regions?.dropFrame(frame, from, to);
      const table = (block + BLOCK_HEADER_BYTES) >> 2;
      for (let offset = from; offset < to; offset++) {
        const record = this.words[table + offset];
        if (record !== 0) this.words[(record + RECORD.handler) >> 2] = SLOT.decode;
      }
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
    const { state } = processor;
    state.set32('fetchTable', block + BLOCK_HEADER_BYTES);
    state.set('codePage', state.get('rip') - (fetchLinear(processor) & 0xfffn));
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
      this.regions?.dropFrame(frame, 0, PAGE_SIZE);
      this.words.fill(0, (block + BLOCK_HEADER_BYTES) >> 2, (block + BLOCK_BYTES) >> 2);
      this.words[block >> 2] = mode;
    }
    return block;
  }

  /** Record of the instruction at RIP, decoding it when need be; 0 when a fault is recorded. */
  private decodeRecord(processor: Processor): number {
    // Room for all that follows, so that nothing is dropped on the way.
    if (this.arenaNext + BLOCK_BYTES + RECORDS_AT_ONCE * RECORD_BYTES > this.layout.arenaEnd) this.dropEverything();
    if (!this.syncFetch(processor)) return 0;
    const table = processor.state.get32('fetchTable');
    const offset = fetchHost(processor) & (PAGE_SIZE - 1);
    const known = this.words[(table >> 2) + offset];
    if (known !== 0 && this.words[(known + RECORD.handler) >> 2] !== SLOT.decode) return known;
    const instruction = fetchInstruction(processor, this.decoder, this.crossing);
    if (instruction === undefined) return 0;
    const end = offset + instruction.length;
    const handler = this.handlerOf(instruction);
    const extra = handler === SLOT.system ? this.keep(instruction) : instruction.immediate2;
    let record = this.crossingRecord;
    let next = this.crossingNext;
    let target = 0;
    if (this.crossing.value) {
      this.view.setUint16(record + RECORD.start, offset, true);
      this.view.setUint16(next + RECORD.start, end, true);
    } else {
      record = this.recordAt(table, offset);
      // A place that no other names is where something jumped.
      if (known === 0) this.regions?.markTarget(record);
      next = end === PAGE_SIZE ? this.pageEnd : this.recordAt(table, end);
      target = this.targetRecord(table, instruction, end);
      if (target !== 0) this.regions?.markTarget(target);
      if (instruction.row.mnemonic === 'CALL') this.regions?.markTarget(next);
    }
    writeRecord(this.view, record, instruction, end, extra);
    this.words[(record + RECORD.cost) >> 2] = this.costs.of(instruction);
    this.words[(record + RECORD.next) >> 2] = next;
    this.words[(record + RECORD.target) >> 2] = target;
    this.words[(record + RECORD.handler) >> 2] = handler;
    this.view.setUint16(record + RECORD.own, handler, true);
    if (!this.crossing.value) this.regions?.decoded(record);
    return record;
  }

  /** The record of a place in the page, decoded or not. */
  private recordAt(table: number, offset: number): number {
    const at = (table >> 2) + offset;
    if (this.words[at] === 0) this.words[at] = this.newRecord(SLOT.decode, offset);
    return this.words[at];
  }

  private newRecord(handler: number, start: number): number {
    const record = this.allocate(RECORD_BYTES);
    this.words.fill(0, record >> 2, (record + RECORD_BYTES) >> 2);
    this.words[(record + RECORD.handler) >> 2] = handler;
    this.view.setUint16(record + RECORD.start, start, true);
    return record;
  }

  /** Record of a relative branch's target when it is in the same page; RIP does not wrap there in 64-bit mode. */
  private targetRecord(table: number, instruction: Instruction, end: number): number {
    if (instruction.mode !== 64 || instruction.operands[0]?.kind !== 'relative') return 0;
    const target = end + Number(BigInt.asIntN(64, instruction.immediate));
    return target >= 0 && target < PAGE_SIZE ? this.recordAt(table, target) : 0;
  }

  private handlerOf(instruction: Instruction): number {
    const definition = definitionOf(this.definitions, instruction);
    return definition === undefined ? SLOT.system : this.handlers.slotOf(instruction, definition, this.costs.of(instruction));
  }

  private fetchPosition(): { frame: number; table: number } {
    const { state } = this.current;
    const host = Number(BigInt.asUintN(64, state.get('fetchPage') + state.get('fetchAddend')));
    return { frame: Math.floor((host - this.memory.base) / PAGE_SIZE), table: state.get32('fetchTable') };
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
    this.arenaNext += (bytes + 63) & -64;
    return at;
  }

  private dropEverything(): void {
    for (const frame of this.blockFrames) {
      this.words[(this.layout.codeIndex >> 2) + frame] = 0;
      unmarkCodeFrame(this.current, frame);
    }
    this.blockFrames.clear();
    this.regions?.dropEverything();
    this.arenaNext = this.arenaStart;
    for (const peer of this.current.peers) peer.state.set32('fetchTable', 0);
  }
}

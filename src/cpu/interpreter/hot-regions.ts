/**
 * Which places of decoded code are executed so often that a compiler gets them, and the regions that came of it. Targets
 * of branches are counted: their record's handler is a counting one that goes on to the record's own. A region's function
 * stands in for the own handlers of the first instructions of its blocks, until something is written to its code.
 */
import { FunctionBody } from '../../wasm/function-body.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import type { CodeMode } from '../../x86/instruction.ts';
import type { HandlerTable } from './handler-table.ts';
import type { HandlerModule } from './handlers.ts';
import { BLOCK_HEADER_BYTES, dispatch, HANDLER_PARAMETERS, HANDLER_RESULTS } from './chain.ts';
import { RECORD, SLOT } from './record.ts';

/** Compilations of one frame that may take over blocks of earlier regions; later ones end where those begin. */
const MERGES = 6;

/** A page of decoded code as a compiler sees it. */
export interface HotPage {
  readonly mode: CodeMode;
  readonly bytes: Uint8Array;
  /** Record of a place; 0 where none is. */
  recordAt(offset: number): number;
  /** The instruction there has been decoded, and belongs to no region that must be left alone. */
  isDecoded(record: number): boolean;
  /** Slot of the instruction's own handler. */
  ownSlot(record: number): number;
}

export interface CompiledRegion extends HandlerModule {
  /** Places that control may enter at: number of the block, and its cost before the last instruction. */
  readonly entries: readonly { readonly record: number; readonly block: number; readonly worst: number }[];
  /** Bytes of the page that it was made from. */
  readonly start: number;
  readonly end: number;
}

/** What makes regions (jit/). */
export interface RegionCompiler {
  /** Executions of a place before it is compiled, at least 1. */
  readonly patience: number;
  /** Undefined when nothing is gained. */
  compile(start: number, page: HotPage, slot: number): CompiledRegion | undefined;
}

/** What the engine has that regions need. */
export interface RegionHost {
  readonly words: Uint32Array;
  readonly view: DataView;
  readonly handlers: HandlerTable;
  readonly memory: PhysicalMemory;
  /** Frame and record table of the fetch page. */
  fetchPosition(): { readonly frame: number; readonly table: number };
}

interface Installed {
  readonly slot: number;
  readonly region: CompiledRegion;
}

export class HotRegions {
  private readonly compiler: RegionCompiler;
  private readonly host: RegionHost;
  private readonly countSlot = SLOT.firstRegion;
  private nextSlot = SLOT.firstRegion + 1;
  private readonly freeSlots: number[] = [];
  /** By frame. */
  private readonly installed = new Map<number, Installed[]>();
  private readonly merges = new Map<number, number>();
  private readonly regionSlots = new Set<number>();

  constructor(compiler: RegionCompiler, host: RegionHost) {
    this.compiler = compiler;
    this.host = host;
    const { memory } = host.memory;
    const imports = { e: { memory, handlers: host.handlers.functions, hot: (_state: number, record: number) => this.hot(record) } };
    host.handlers.put(this.countSlot, new WebAssembly.Instance(new WebAssembly.Module(countingModule()), imports).exports.f);
  }

  /** Branches go to this place; its executions are to be counted. */
  markTarget(record: number): void {
    const { words, view } = this.host;
    const at = (record + RECORD.handler) >> 2;
    if (words[at] === SLOT.decode) view.setUint16(record + RECORD.entry, 1, true);
    else if (words[at] >= SLOT.firstHandler && words[at] < SLOT.firstRegion) this.count(record);
  }

  /** An instruction has been decoded, and its record has the handler of its form. */
  decoded(record: number): void {
    const { words, view } = this.host;
    const handler = words[(record + RECORD.handler) >> 2];
    if (view.getUint16(record + RECORD.entry, true) !== 0 && handler >= SLOT.firstHandler) this.count(record);
  }

  private count(record: number): void {
    const { words, view } = this.host;
    view.setUint16(record + RECORD.entry, 1, true);
    words[(record + RECORD.worst) >> 2] = this.compiler.patience;
    words[(record + RECORD.handler) >> 2] = this.countSlot;
  }

  private hot(record: number): void {
    const { words, view, handlers, memory } = this.host;
    const { frame, table } = this.host.fetchPosition();
    const own = (at: number): number => view.getUint16(at + RECORD.own, true);
    const handler = (at: number): number => words[(at + RECORD.handler) >> 2];
    words[(record + RECORD.handler) >> 2] = own(record);
    const merges = this.merges.get(frame) ?? 0;
    const page: HotPage = {
      mode: words[(table - BLOCK_HEADER_BYTES) >> 2] as CodeMode,
      bytes: memory.frameView(frame),
      recordAt: (offset) => words[(table >> 2) + offset],
      isDecoded: (at) => handler(at) !== SLOT.decode && (merges < MERGES || !this.regionSlots.has(handler(at))),
      ownSlot: own,
    };
    const slot = this.freeSlots.pop() ?? this.nextSlot++;
    const region = this.compiler.compile(view.getUint16(record + RECORD.start, true), page, slot);
    if (region === undefined) {
      this.freeSlots.push(slot);
      return;
    }
    handlers.install(slot, region);
    this.regionSlots.add(slot);
    for (const { record: entry, block, worst } of region.entries) {
      view.setUint16(entry + RECORD.entry, block, true);
      words[(entry + RECORD.worst) >> 2] = worst;
      words[(entry + RECORD.handler) >> 2] = slot;
    }
    this.merges.set(frame, merges + 1);
    const inFrame = this.installed.get(frame);
    if (inFrame === undefined) this.installed.set(frame, [{ slot, region }]);
    else inFrame.push({ slot, region });
  }

  /** Drops the regions of a frame that were made from any of these bytes of it. */
  dropFrame(frame: number, from: number, to: number): void {
    const inFrame = this.installed.get(frame);
    if (inFrame === undefined) return;
    const kept = inFrame.filter((installed) => {
      const { region } = installed;
      if (region.end <= from || region.start >= to) return true;
      this.drop(installed);
      return false;
    });
    this.installed.set(frame, kept);
  }

  dropEverything(): void {
    for (const inFrame of this.installed.values()) for (const { slot } of inFrame) this.release(slot);
    this.installed.clear();
    this.merges.clear();
  }

  private drop({ slot, region }: Installed): void {
    const { words, view } = this.host;
    for (const { record } of region.entries) {
      if (words[(record + RECORD.handler) >> 2] !== slot) continue;
      words[(record + RECORD.handler) >> 2] = view.getUint16(record + RECORD.own, true);
      this.count(record);
    }
    this.release(slot);
  }

  private release(slot: number): void {
    this.regionSlots.delete(slot);
    this.freeSlots.push(slot);
  }
}

/** The counting handler: `(state, record, time)`; goes on to the own handler, or when the count is out to what `hot` has made. */
function countingModule(): Uint8Array<ArrayBuffer> {
  const [state, record, time] = [0, 1, 2];
  const builder = new ModuleBuilder();
  builder.importMemory('e', 'memory', { minimum: 1 });
  builder.importTable('e', 'handlers', { minimum: 1 });
  const handlerType = builder.type(HANDLER_PARAMETERS, HANDLER_RESULTS);
  const hot = builder.importFunction('e', 'hot', builder.type(['i32', 'i32'], []));
  const body = new FunctionBody(HANDLER_PARAMETERS);
  body.local_get(record);
  body.local_get(record);
  body.load('i32.load', RECORD.worst);
  body.i32_const(1);
  body.emit('i32.sub');
  body.store('i32.store', RECORD.worst);
  body.local_get(record);
  body.load('i32.load', RECORD.worst);
  body.emit('i32.eqz');
  body.hint(false);
  body.if();
  body.local_get(state);
  body.local_get(record);
  body.call(hot);
  dispatch(body, handlerType, record, time);
  body.end();
  body.local_get(state);
  body.local_get(record);
  body.local_get(time);
  body.local_get(record);
  body.load('i32.load16_u', RECORD.own);
  body.return_call_indirect(handlerType);
  const index = builder.func(handlerType);
  builder.code(index, body);
  builder.nameFunction(index, 'count');
  builder.exportFunction('f', index);
  return builder.build();
}

/**
 * The JIT: makes the region around a hot place into WebAssembly (discover-regions.ts, region-module.ts). What it does not
 * compile (system instructions, x87 and MMX, repeated string instructions, 256-bit vectors) stays the interpreter's.
 */
import type { CompiledRegion, HotPage, RegionCompiler } from '../cpu/interpreter/hot-regions.ts';
import type { Definition } from '../cpu/algebra.ts';
import type { Definitions } from '../cpu/definition.ts';
import { definitionOf } from '../cpu/dispatch.ts';
import { InstructionCosts } from '../cpu/instruction-cost.ts';
import type { CostModel } from '../timing/model.ts';
import type { Decoder } from '../x86/decode.ts';
import type { Instruction } from '../x86/instruction.ts';
import { discoverRegion } from './discover-regions.ts';
import type { PlacedInstruction, Region } from './region.ts';
import { worstCase } from './region-emitter.ts';
import { regionModule } from './region-module.ts';

const PAGE_SIZE = 4096;
/** What is executed less often is not worth V8's time. */
const PATIENCE = 4000;
/** They commit something before their last access that may fault here: probing is the interpreter's. */
const MANY_ACCESSES = /^(ENTER|PUSHAD?|POPAD?|MASKMOV.*|V?MASKMOV.*|VPMASKMOV.*|V?P?GATHER.*)$/;

export class JitCompiler implements RegionCompiler {
  readonly patience: number;
  private readonly memoryPages: number;
  private readonly definitions: Definitions;
  private readonly decoder: Decoder;
  private readonly model: CostModel;
  private readonly costs: InstructionCosts;

  constructor(memoryPages: number, definitions: Definitions, decoder: Decoder, model: CostModel, patience = PATIENCE) {
    this.patience = patience;
    this.memoryPages = memoryPages;
    this.definitions = definitions;
    this.decoder = decoder;
    this.model = model;
    this.costs = new InstructionCosts(model);
  }

  compile(start: number, page: HotPage, slot: number): CompiledRegion | undefined {
    const region = discoverRegion(start, (offset) => this.place(offset, page));
    if (region === undefined) return undefined;
    const module = regionModule({
      region,
      legacy: page.mode !== 64,
      slot,
      memoryPages: this.memoryPages,
      definition: (instruction) => definitionOf(this.definitions, instruction) as Definition,
      recordAt: (offset) => page.recordAt(offset),
      cost: (event) => this.model.cost(event),
    });
    const entries = region.blocks
      .filter(({ instructions }) => instructions[0].compiled)
      .map((block) => ({ record: block.instructions[0].record, block: block.index, worst: worstCase(block) }));
    return { ...module, entries, ...extent(region) };
  }

  private place(offset: number, page: HotPage): PlacedInstruction | undefined {
    const record = page.recordAt(offset);
    if (record === 0 || !page.isDecoded(record)) return undefined;
    const instruction = this.decoder.decode(page.bytes, offset, PAGE_SIZE - offset, page.mode);
    if (typeof instruction === 'string') return undefined;
    const compiled = this.isCompiled(instruction);
    return { instruction, offset, record, slot: page.ownSlot(record), cost: this.costs.of(instruction), compiled };
  }

  private isCompiled(i: Instruction): boolean {
    if (definitionOf(this.definitions, i) === undefined) return false;
    if (i.repeat !== '' || MANY_ACCESSES.test(i.row.mnemonic)) return false;
    if (i.operands.some(({ kind, width }) => kind === 'x87' || kind === 'mmx' || width === 256)) return false;
    if (/^F[A-Z]/.test(i.row.mnemonic)) return false;
    // Branches of 16 bits wrap within 64 KiB.
    return i.mode === 64 || i.operandSize !== 16 || i.operands[0]?.kind !== 'relative';
  }
}

function extent({ blocks }: Region): { start: number; end: number } {
  const start = Math.min(...blocks.map(({ instructions }) => instructions[0].offset));
  const end = Math.max(...blocks.map((block) => block.end));
  return { start, end };
}

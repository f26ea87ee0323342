/**
 * Finds the region around a hot place: all instructions of the page that direct branches, calls and fall-through reach
 * from it, cut into basic blocks. Returns of calls are entries too, since RET comes back to them.
 * A bound keeps functions small enough for V8 to compile soon.
 */
import type { Block, InstructionSource, PlacedInstruction, Region } from './region.ts';

const MOST_INSTRUCTIONS = 400;
const PAGE_SIZE = 4096;

/** Where control may go: on, to the target, both; nowhere that is known; or wherever the interpreter's handler says. */
type Flow = 'sequential' | 'target' | 'target-or-next' | 'unknown' | 'interpreted';

export function discoverRegion(start: number, source: InstructionSource): Region | undefined {
  const found = new Map<number, PlacedInstruction>();
  const leaders = new Set<number>([start]);
  const work = [start];
  for (let offset = work.pop(); offset !== undefined; offset = work.pop()) {
    follow(offset, found, leaders, work, source);
  }
  if (!found.get(start)?.compiled) return undefined;
  return regionOf(found, leaders);
}

/** Walks from a leader until control leaves the straight line or meets what is known. */
function follow(
  start: number,
  found: Map<number, PlacedInstruction>,
  leaders: Set<number>,
  work: number[],
  source: InstructionSource,
): void {
  for (let offset = start; !found.has(offset); ) {
    if (found.size >= MOST_INSTRUCTIONS) return;
    const placed = source(offset);
    if (placed === undefined) return;
    found.set(offset, placed);
    const end = offset + placed.instruction.length;
    const flow = flowOf(placed);
    if (flow === 'sequential') {
      offset = end;
      if (end >= PAGE_SIZE) return;
      continue;
    }
    const lead = (to: number | undefined): void => {
      if (to === undefined || to >= PAGE_SIZE || leaders.has(to)) return;
      leaders.add(to);
      work.push(to);
    };
    if (flow === 'target-or-next' || flow === 'interpreted' || isCall(placed)) lead(end);
    if (flow === 'target' || flow === 'target-or-next') lead(targetOf(placed));
    return;
  }
}

function regionOf(found: ReadonlyMap<number, PlacedInstruction>, leaders: ReadonlySet<number>): Region {
  const blocks: Block[] = [];
  const blockAt = new Map<number, Block>();
  const starts = [...leaders].filter((offset) => found.has(offset)).sort((a, b) => a - b);
  for (const start of starts) {
    const instructions: PlacedInstruction[] = [];
    let offset = start;
    for (let placed = found.get(offset); placed !== undefined; placed = found.get(offset)) {
      instructions.push(placed);
      offset += placed.instruction.length;
      if (flowOf(placed) !== 'sequential' || leaders.has(offset)) break;
    }
    const block = { index: blocks.length, instructions, end: offset };
    blocks.push(block);
    blockAt.set(start, block);
  }
  return { blocks, blockAt };
}

function flowOf({ instruction, compiled }: PlacedInstruction): Flow {
  if (!compiled) return 'interpreted';
  const { mnemonic } = instruction.row;
  const relative = instruction.operands[0]?.kind === 'relative';
  if (mnemonic === 'JMP' || mnemonic === 'CALL') return relative ? 'target' : 'unknown';
  if (mnemonic === 'RET') return 'unknown';
  return relative ? 'target-or-next' : 'sequential';
}

const isCall = ({ instruction }: PlacedInstruction): boolean => instruction.row.mnemonic === 'CALL';

/** Offset of a relative target in the page. */
export function targetOf({ instruction, offset }: PlacedInstruction): number | undefined {
  if (instruction.operands[0]?.kind !== 'relative') return undefined;
  const target = offset + instruction.length + Number(BigInt.asIntN(64, instruction.immediate));
  return target >= 0 && target < PAGE_SIZE ? target : undefined;
}

/** A processor's registers and the walk of its tables at RIP, as text: for crash reports and interrupted runs. */
import { hex64 } from '../base/integer.ts';
import type { Processor } from '../cpu/processor.ts';
import { generalRegisterName } from '../x86/registers.ts';

const PRESENT = 1n;
const LARGE = 0x80n;
const ADDRESS = 0x000f_ffff_ffff_f000n;

export function processorReport(processor: Processor): string {
  const { state } = processor;
  const lines: string[] = [];
  const registers = Array.from(
    { length: 16 },
    (_, index) => `${generalRegisterName(index, 64).padEnd(3)} ${hex64(state.get('gpr', index))}`,
  );
  for (let row = 0; row < 16; row += 4) lines.push(registers.slice(row, row + 4).join('  '));
  lines.push(
    `rip ${hex64(state.get('rip'))}  rflags ${hex64(state.get('rflags'))}  cpl ${state.get32('cpl')}  mode ${state.get32('codeMode')}`,
  );
  lines.push(
    `cr0 ${hex64(state.get('cr0'))}  cr2 ${hex64(state.get('cr2'))}  cr3 ${hex64(state.get('cr3'))}  cr4 ${hex64(state.get('cr4'))}`,
  );
  const selectors = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'].map(
    (name, n) => `${name} ${state.get32('segmentSelector', n).toString(16).padStart(4, '0')}`,
  );
  lines.push(selectors.join('  '));
  lines.push(...walkLines(processor, state.get('rip')));
  return lines.join('\n');
}

/** One line a paging level of the walk of `linear` in 64-bit mode, through every second stage. */
export function walkLines(processor: Processor, linear: bigint): string[] {
  if (processor.state.get32('longMode') === 0) return [];
  const lines = [`walk of ${hex64(linear)}:`];
  for (const { level, index, table, machine, entry } of walk(processor, linear)) {
    if (entry === undefined) lines.push(`  L${level} table at ${hex64(table)} is not mapped`);
    else lines.push(`  L${level}[${index}] = ${hex64(entry)}${machine * 4096 === Number(table) ? '' : ` (machine frame ${machine})`}`);
  }
  return lines;
}

/** Eight bytes at a linear address, as the guest's tables map it now; undefined when they do not, or across a page's end. */
export function readGuestWord(processor: Processor, linear: bigint): bigint | undefined {
  const { memory } = processor;
  if (processor.state.get32('longMode') === 0) return undefined;
  const last = walk(processor, linear).at(-1);
  if (last?.entry === undefined || (last.entry & PRESENT) === 0n) return undefined;
  const page = (1n << BigInt(12 + 9 * (last.level - 1))) - 1n;
  const address = (last.entry & ADDRESS & ~page) | (linear & page);
  const machine = throughStages(processor, Number(address >> 12n));
  const offset = Number(address & 0xfffn);
  return machine < 0 || !memory.isRam(machine) || offset > 4096 - 8 ? undefined : memory.readU64(machine * 4096 + offset);
}

interface WalkStep {
  readonly level: number;
  readonly index: number;
  /** Address of the table as the guest's kernel knows it. */
  readonly table: bigint;
  /** Machine frame of the table, -1 for none. */
  readonly machine: number;
  /** Undefined when there is no memory under the table. */
  readonly entry: bigint | undefined;
}

function walk(processor: Processor, linear: bigint): WalkStep[] {
  const { state, memory } = processor;
  const steps: WalkStep[] = [];
  let table = state.get('cr3') & ADDRESS;
  for (let level = 4; level >= 1; level--) {
    const index = Number((linear >> BigInt(12 + 9 * (level - 1))) & 0x1ffn);
    const machine = throughStages(processor, Number(table >> 12n));
    const entry = machine < 0 || !memory.isRam(machine) ? undefined : memory.readU64(machine * 4096 + index * 8);
    steps.push({ level, index, table, machine, entry });
    if (entry === undefined || (entry & PRESENT) === 0n || (level > 1 && level < 4 && (entry & LARGE) !== 0n)) break;
    table = entry & ADDRESS;
  }
  return steps;
}

function throughStages(processor: Processor, frame: number): number {
  let at = frame;
  for (const stage of processor.secondStages) {
    if (at < 0) return -1;
    at = stage.machineFrame(at);
  }
  return at;
}

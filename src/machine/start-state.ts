/**
 * States in which processors begin: as loaders hand over (protected mode, flat 4 GiB segments, paging and interrupts off;
 * Multiboot Specification §3.2, Linux 32-bit boot protocol, PVH), after INIT, and after a start-up message.
 */
import { flushLookup } from '../cpu/mmu/lookup-table.ts';
import { updateMode } from '../cpu/mode.ts';
import type { Processor } from '../cpu/processor.ts';
import { processorCpuid } from '../cpu/system/processor-control.ts';
import { Segment } from '../x86/instruction.ts';
import type { FlatStart } from '../boot/linux.ts';
import { reset } from '../cpu/context.ts';

const FLAT_CODE_32 = 0xc09b;
const FLAT_DATA_32 = 0xc093;
const CR0_PE_ET = 0x11n;
const RAX = 0;
const RBX = 3;
const RSI = 6;
const RDX = 2;
const REAL_CODE = 0x9b;

export function enterFlat(processor: Processor, start: FlatStart): void {
  const { state } = processor;
  const code = start.codeSelector ?? 0x08;
  for (let segment: number = Segment.ES; segment <= Segment.GS; segment++) {
    state.set32('segmentSelector', segment === Segment.CS ? code : code + 8, segment);
    state.set('segmentBase', 0n, segment);
    state.set32('segmentLimit', 0xffff_ffff, segment);
    state.set32('segmentAttributes', segment === Segment.CS ? FLAT_CODE_32 : FLAT_DATA_32, segment);
  }
  state.set('gdtrBase', BigInt(start.gdt?.base ?? 0));
  state.set32('gdtrLimit', start.gdt?.limit ?? 0);
  state.set('cr0', CR0_PE_ET);
  state.set('rflags', 2n);
  state.set('gpr', BigInt(start.eax ?? 0), RAX);
  state.set('gpr', BigInt(start.ebx ?? 0), RBX);
  state.set('gpr', BigInt(start.esi ?? 0), RSI);
  state.set('rip', BigInt(start.entry));
  state.set32('mxcsr', 0x1f80);
  state.set32('fpuControl', 0x37f);
  state.set('pat', 0x0007040600070406n);
  state.set('xcr0', 1n);
  state.set('miscEnable', 1n); // fast strings, as firmware leaves it
  updateMode(processor);
  flushLookup(processor);
}

/** After INIT: real mode at the reset vector, the version in EDX (SDM 3A Table 9-1). It waits for a start-up message. */
export function enterInit(processor: Processor): void {
  const { state } = processor;
  reset(processor);
  enterReal(processor, 0xf000, 0xffff_0000n, 0xfff0n);
  state.set('gpr', BigInt(processorVersion(processor)), RDX);
}

/** The start-up message: real mode at the beginning of page `vector` (SDM 3A §8.4.4.2). */
export function enterStartup(processor: Processor, vector: number): void {
  enterReal(processor, vector << 8, BigInt(vector << 12), 0n);
}

function enterReal(processor: Processor, selector: number, base: bigint, rip: bigint): void {
  const { state } = processor;
  state.set32('segmentSelector', selector, Segment.CS);
  state.set('segmentBase', base, Segment.CS);
  state.set32('segmentLimit', 0xffff, Segment.CS);
  state.set32('segmentAttributes', REAL_CODE, Segment.CS);
  state.set('rip', rip);
  updateMode(processor);
  flushLookup(processor);
}

function processorVersion(processor: Processor): number {
  return processorCpuid(processor, 1, 0)[0];
}

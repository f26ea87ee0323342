/**
 * Puts a processor into the state in which a multiboot loader hands over (Multiboot Specification §3.2): protected mode,
 * flat 4 GiB segments, paging and interrupts off.
 */
import { flushLookup } from '../cpu/mmu/lookup-table.ts';
import { updateMode } from '../cpu/mode.ts';
import type { Processor } from '../cpu/processor.ts';
import { Segment } from '../x86/instruction.ts';
import type { LoadedImage } from '../boot/multiboot.ts';

const FLAT_CODE_32 = 0xc09b;
const FLAT_DATA_32 = 0xc093;
const CR0_PE_ET = 0x11n;
const RAX = 0;
const RBX = 3;

export function enterMultiboot(processor: Processor, image: LoadedImage): void {
  const { state } = processor;
  for (let segment: number = Segment.ES; segment <= Segment.GS; segment++) {
    state.set32('segmentSelector', segment === Segment.CS ? 0x08 : 0x10, segment);
    state.set('segmentBase', 0n, segment);
    state.set32('segmentLimit', 0xffff_ffff, segment);
    state.set32('segmentAttributes', segment === Segment.CS ? FLAT_CODE_32 : FLAT_DATA_32, segment);
  }
  state.set('cr0', CR0_PE_ET);
  state.set('rflags', 2n);
  state.set('gpr', BigInt(image.eax), RAX);
  state.set('gpr', BigInt(image.ebx), RBX);
  state.set('rip', BigInt(image.entry));
  state.set32('mxcsr', 0x1f80);
  state.set32('fpuControl', 0x37f);
  state.set('pat', 0x0007040600070406n);
  state.set('xcr0', 1n);
  updateMode(processor);
  flushLookup(processor);
}

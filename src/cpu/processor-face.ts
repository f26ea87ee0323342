/**
 * What every face of a processor has in common: the registers of the code that was interrupted, its memory, its clock.
 * The faces differ in who pays and in what leaves to a layer below: platform-cpu.ts, guest-platform-cpu.ts.
 */
import type { CpuContext } from '../platform/context.ts';
import type { SegmentState, VirtualFault } from '../platform/cpu.ts';
import { type SegmentIndex, Segment } from '../x86/instruction.ts';
import { loadContext, readSegment, saveContext, writeSegment } from './context.ts';
import { readVirtual, writeVirtual } from './mmu/virtual.ts';
import { updateMode } from './mode.ts';
import type { Processor } from './processor.ts';

export class ProcessorFace {
  protected readonly processor: Processor;
  readonly layer: number;

  constructor(processor: Processor, layer: number) {
    this.processor = processor;
    this.layer = layer;
  }

  get index(): number {
    return this.processor.index;
  }

  gpr(index: number): bigint {
    return this.processor.state.get('gpr', index);
  }
  setGpr(index: number, value: bigint): void {
    this.processor.state.set('gpr', BigInt.asUintN(64, value), index);
  }
  get rip(): bigint {
    return this.processor.state.get('rip');
  }
  set rip(value: bigint) {
    this.processor.state.set('rip', BigInt.asUintN(64, value));
  }
  get rflags(): bigint {
    return this.processor.state.get('rflags');
  }
  set rflags(value: bigint) {
    this.processor.state.set('rflags', value);
  }
  segment(index: SegmentIndex): SegmentState {
    return readSegment(this.processor, index);
  }
  setSegment(index: SegmentIndex, value: SegmentState): void {
    writeSegment(this.processor, index, value);
    updateMode(this.processor);
  }
  get cpl(): number {
    return this.processor.state.get32('cpl');
  }
  get cr0(): bigint {
    return this.processor.state.get('cr0');
  }
  get cr2(): bigint {
    return this.processor.state.get('cr2');
  }
  set cr2(value: bigint) {
    this.processor.state.set('cr2', value);
  }
  get cr3(): bigint {
    return this.processor.state.get('cr3');
  }
  get cr4(): bigint {
    return this.processor.state.get('cr4');
  }
  get fsBase(): bigint {
    return this.processor.state.get('segmentBase', Segment.FS);
  }
  set fsBase(value: bigint) {
    this.processor.state.set('segmentBase', BigInt.asUintN(64, value), Segment.FS);
  }
  get gsBase(): bigint {
    return this.processor.state.get('segmentBase', Segment.GS);
  }
  set gsBase(value: bigint) {
    this.processor.state.set('segmentBase', BigInt.asUintN(64, value), Segment.GS);
  }
  get kernelGsBase(): bigint {
    return this.processor.state.get('kernelGsBase');
  }
  set kernelGsBase(value: bigint) {
    this.processor.state.set('kernelGsBase', BigInt.asUintN(64, value));
  }

  saveContext(into: CpuContext): void {
    saveContext(this.processor, into);
  }
  loadContext(from: CpuContext): void {
    loadContext(this.processor, from);
  }

  readVirtual(linear: bigint, into: Uint8Array, asUser: boolean): VirtualFault | undefined {
    return readVirtual(this.processor, linear, into, asUser);
  }
  writeVirtual(linear: bigint, from: Uint8Array, asUser: boolean): VirtualFault | undefined {
    return writeVirtual(this.processor, linear, from, asUser);
  }

  get cycles(): bigint {
    return this.processor.cycles;
  }

  charge(event: string, count = 1): void {
    this.processor.charge(event, count, this.layer);
  }

  guestMode(mode: 'kernel' | 'user'): void {
    const { state, ledger } = this.processor;
    ledger?.guestMode(mode, state.get('cycles'), state.get('instructions'));
  }

  /** Charges a translation of the face's own pages, as the timing model priced it. */
  protected chargeTouch(twelfths: number): void {
    if (twelfths === 0) return;
    const { state, ledger } = this.processor;
    state.set('cycles', state.get('cycles') + BigInt(twelfths));
    ledger?.charge('translation', 1, twelfths, this.layer);
  }
}

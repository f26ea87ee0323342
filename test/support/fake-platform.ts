/**
 * A platform without a processor behind it: memory in an ArrayBuffer and cpus that are register files. Tests of a
 * hypervisor play the guest themselves: they set registers and call the owner of ring 0 as hardware would.
 * Interrupts are taken by {@link FakePlatform.settle}, in the order in which they were sent.
 */

import { type CpuContext, newCpuContext } from '../../src/platform/context.ts';
import type { PlatformCpu, RingZeroOwner, SegmentState, VirtualFault } from '../../src/platform/cpu.ts';
import type { PlatformMemory } from '../../src/platform/memory.ts';
import type { Platform } from '../../src/platform/platform.ts';
import type { SegmentIndex } from '../../src/x86/instruction.ts';
import { TableWalk } from '../../src/xen/table-walk.ts';

const frameBytes = 4096;

export class FakeMemory implements PlatformMemory {
  readonly frameCount: number;
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  /** Frames from here on are no RAM. */
  readonly ramFrames: number;

  constructor(frameCount: number, ramFrames = frameCount) {
    this.frameCount = frameCount;
    this.ramFrames = ramFrames;
    this.bytes = new Uint8Array(frameCount * frameBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  isRam(frame: number): boolean {
    return frame >= 0 && frame < this.ramFrames;
  }
  readU8(address: number): number {
    return this.#view.getUint8(address);
  }
  readU16(address: number): number {
    return this.#view.getUint16(address, true);
  }
  readU32(address: number): number {
    return this.#view.getUint32(address, true);
  }
  readU64(address: number): bigint {
    return this.#view.getBigUint64(address, true);
  }
  writeU8(address: number, value: number): void {
    this.#view.setUint8(address, value);
  }
  writeU16(address: number, value: number): void {
    this.#view.setUint16(address, value, true);
  }
  writeU32(address: number, value: number): void {
    this.#view.setUint32(address, value, true);
  }
  writeU64(address: number, value: bigint): void {
    this.#view.setBigUint64(address, value, true);
  }
  readBytes(address: number, length: number): Uint8Array {
    if (address + length > this.bytes.length) throw new RangeError(`no memory at ${address + length}`);
    return this.bytes.slice(address, address + length);
  }
  writeBytes(address: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, address);
  }
  frameView(frame: number): Uint8Array {
    return this.bytes.subarray(frame * frameBytes, (frame + 1) * frameBytes);
  }
  frameEntries(frame: number): BigUint64Array {
    return new BigUint64Array(this.bytes.buffer, frame * frameBytes, frameBytes / 8);
  }
  zeroFrame(frame: number): void {
    this.frameView(frame).fill(0);
  }
  copyFrame(destination: number, source: number): void {
    this.frameView(destination).set(this.frameView(source));
  }
}

export class FakeCpu implements PlatformCpu {
  readonly index: number;
  readonly layer = 0;
  readonly virtualization = undefined;
  readonly memory: PlatformMemory;
  readonly context: CpuContext = newCpuContext();
  owner: RingZeroOwner | undefined;
  cycles = 1000n;
  halted = false;
  timer: bigint | undefined;
  readonly msrs = new Map<number, bigint>();
  readonly pendingVectors: number[] = [];
  readonly charges = new Map<string, number>();
  /** `cr3`, `flush`, `invlpg`: how often. */
  readonly flushes: string[] = [];
  peers: readonly FakeCpu[] = [];

  constructor(index: number, memory: PlatformMemory) {
    this.index = index;
    this.memory = memory;
  }

  gpr(index: number): bigint {
    return this.context.gpr[index] as bigint;
  }
  setGpr(index: number, value: bigint): void {
    this.context.gpr[index] = value;
  }
  get rip(): bigint {
    return this.context.rip;
  }
  set rip(value: bigint) {
    this.context.rip = value;
  }
  get rflags(): bigint {
    return this.context.rflags;
  }
  set rflags(value: bigint) {
    this.context.rflags = value;
  }
  segment(index: SegmentIndex): SegmentState {
    return { ...(this.context.segments[index] as SegmentState) };
  }
  setSegment(index: SegmentIndex, value: SegmentState): void {
    this.context.segments[index] = { ...value };
  }
  get cpl(): number {
    return (this.context.segments[1] as SegmentState).selector & 3;
  }
  get cr0(): bigint {
    return this.context.cr0;
  }
  get cr2(): bigint {
    return this.context.cr2;
  }
  set cr2(value: bigint) {
    this.context.cr2 = value;
  }
  get cr3(): bigint {
    return this.context.cr3;
  }
  get cr4(): bigint {
    return this.context.cr4;
  }
  get fsBase(): bigint {
    return (this.context.segments[4] as SegmentState).base;
  }
  set fsBase(value: bigint) {
    (this.context.segments[4] as SegmentState).base = value;
  }
  get gsBase(): bigint {
    return (this.context.segments[5] as SegmentState).base;
  }
  set gsBase(value: bigint) {
    (this.context.segments[5] as SegmentState).base = value;
  }
  get kernelGsBase(): bigint {
    return this.context.kernelGsBase;
  }
  set kernelGsBase(value: bigint) {
    this.context.kernelGsBase = value;
  }
  saveContext(into: CpuContext): void {
    Object.assign(into, structuredClone(this.context));
  }
  loadContext(from: CpuContext): void {
    Object.assign(this.context, structuredClone(from));
    this.halted = false;
  }
  writeCr3(value: bigint): void {
    this.context.cr3 = value;
    this.flushes.push('cr3');
  }
  writeCr0(value: bigint): void {
    this.context.cr0 = value;
  }
  writeCr4(value: bigint): void {
    this.context.cr4 = value;
  }
  invalidatePage(_linear: bigint): void {
    this.flushes.push('invlpg');
  }
  flushTranslations(): void {
    this.flushes.push('flush');
  }
  readMsr(index: number): bigint | undefined {
    return this.msrs.get(index);
  }
  writeMsr(index: number, value: bigint): boolean {
    this.msrs.set(index, value);
    return true;
  }
  cpuid(_leaf: number, _subleaf: number): [number, number, number, number] {
    return [0, 0, 0, 0];
  }
  readVirtual(linear: bigint, into: Uint8Array, asUser: boolean): VirtualFault | undefined {
    return this.#walk().readVirtual(linear, into, asUser);
  }
  writeVirtual(linear: bigint, from: Uint8Array, asUser: boolean): VirtualFault | undefined {
    return this.#walk().writeVirtual(linear, from, asUser);
  }
  setTimer(deadlineCycles: bigint | undefined): void {
    this.timer = deadlineCycles;
  }
  halt(): void {
    this.halted = true;
  }
  sendInterrupt(target: number, vector: number): void {
    (this.peers[target] as FakeCpu).pendingVectors.push(vector);
  }
  charge(event: string, count = 1): void {
    this.charges.set(event, (this.charges.get(event) ?? 0) + count);
    this.cycles += BigInt(count);
  }
  touch(): void {}

  #walk(): TableWalk {
    return new TableWalk(this.memory, Number(this.context.cr3 >> 12n));
  }
}

export class FakePlatform implements Platform {
  readonly memory: FakeMemory;
  readonly cpus: readonly FakeCpu[];
  readonly tscKhz: number;
  readonly below = undefined;
  readonly io = { read: () => 0xffff_ffff, write: () => {} };

  constructor(options: { frames?: number; ramFrames?: number; cpus?: number; tscKhz?: number } = {}) {
    this.memory = new FakeMemory(options.frames ?? 2048, options.ramFrames);
    this.tscKhz = options.tscKhz ?? 1_000_000;
    this.cpus = Array.from({ length: options.cpus ?? 2 }, (_, index) => new FakeCpu(index, this.memory));
    for (const cpu of this.cpus) cpu.peers = this.cpus;
  }

  /** Takes all interrupts that have been sent, and timers whose time has come, until there are none. */
  settle(): void {
    for (let again = true; again; ) {
      again = false;
      for (const cpu of this.cpus) {
        const due = cpu.timer !== undefined && cpu.cycles >= cpu.timer;
        if (due) cpu.timer = undefined;
        const vector = due ? 0xf9 : cpu.pendingVectors.shift();
        if (vector === undefined) continue;
        cpu.halted = false;
        cpu.owner?.interrupt(cpu, vector);
        again = true;
      }
    }
  }

  /** Lets time pass on all cpus, and what comes with it. */
  advance(cycles: bigint): void {
    for (const cpu of this.cpus) cpu.cycles += cycles;
    this.settle();
  }
}

/**
 * A platform without a processor: memory, and cpus whose registers tests set and whose virtual accesses walk the real
 * tables (P, RW, US at every level, as CPL 3 with CR0.WP). Enough to run a hypervisor's paths without guest code.
 */
import { newCpuContext, type CpuContext } from '../../../src/platform/context.ts';
import type { PlatformCpu, RingZeroOwner, SegmentState, VirtualFault } from '../../../src/platform/cpu.ts';
import type { Platform } from '../../../src/platform/platform.ts';
import type { SegmentIndex } from '../../../src/x86/instruction.ts';
import { FakeMemory } from '../../support/fake-platform.ts';

export class FakeCpu implements PlatformCpu {
  readonly index: number;
  readonly layer = 0;
  readonly virtualization = undefined;
  owner: RingZeroOwner | undefined = undefined;
  context: CpuContext = newCpuContext();
  readonly memory: FakeMemory;
  /** Names of charged rows with their counts. */
  readonly charges = new Map<string, number>();
  /** CR3 loads, flushes and invalidations, in order. */
  readonly translations: string[] = [];
  msrs = new Map<number, bigint>([[0xc000_0080, 0xd01n]]);
  cycles = 0n;
  timer: bigint | undefined = undefined;

  constructor(index: number, memory: FakeMemory) {
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
    return this.context.segments[index] as SegmentState;
  }
  setSegment(index: SegmentIndex, value: SegmentState): void {
    this.context.segments[index] = { ...value };
  }
  get cpl(): number {
    return 3;
  }
  get cr2(): bigint {
    return this.context.cr2;
  }
  set cr2(value: bigint) {
    this.context.cr2 = value;
  }
  get cr0(): bigint {
    return this.context.cr0;
  }
  get cr3(): bigint {
    return this.context.cr3;
  }
  get cr4(): bigint {
    return this.context.cr4;
  }
  get fsBase(): bigint {
    return this.segment(4).base;
  }
  set fsBase(value: bigint) {
    this.segment(4).base = value;
  }
  get gsBase(): bigint {
    return this.segment(5).base;
  }
  set gsBase(value: bigint) {
    this.segment(5).base = value;
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
    this.context = structuredClone(from);
  }
  writeCr3(value: bigint): void {
    this.context.cr3 = value;
    this.translations.push(`cr3 ${value >> 12n}`);
  }
  writeCr0(value: bigint): void {
    this.context.cr0 = value;
  }
  writeCr4(value: bigint): void {
    this.context.cr4 = value;
  }
  invalidatePage(linear: bigint): void {
    this.translations.push(`invlpg ${linear.toString(16)}`);
  }
  flushTranslations(): void {
    this.translations.push('flush');
  }
  readMsr(index: number): bigint | undefined {
    if (index === 0xc000_0100) return this.fsBase;
    if (index === 0xc000_0101) return this.gsBase;
    if (index === 0xc000_0102) return this.kernelGsBase;
    return this.msrs.get(index);
  }
  writeMsr(index: number, value: bigint): boolean {
    if (index === 0xc000_0100) this.fsBase = value;
    else if (index === 0xc000_0101) this.gsBase = value;
    else if (index === 0xc000_0102) this.kernelGsBase = value;
    else this.msrs.set(index, value);
    return true;
  }
  cpuid(leaf: number): [number, number, number, number] {
    if (leaf === 0) return [0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]; // GenuineIntel
    if (leaf === 1) return [0x106a5, 0, 0xffff_ffff, 0xffff_ffff];
    if (leaf === 7) return [0, 0xffff_ffff, 0xffff_ffff, 0];
    return [0, 0, 0, 0];
  }
  readVirtual(linear: bigint, into: Uint8Array, asUser: boolean): VirtualFault | undefined {
    return this.access(linear, into, asUser, false);
  }
  writeVirtual(linear: bigint, from: Uint8Array, asUser: boolean): VirtualFault | undefined {
    return this.access(linear, from, asUser, true);
  }
  private access(linear: bigint, bytes: Uint8Array, asUser: boolean, write: boolean): VirtualFault | undefined {
    for (let pass = write ? 0 : 1; pass < 2; pass++) {
      for (let i = 0; i < bytes.length; i++) {
        const at = BigInt.asUintN(64, linear + BigInt(i));
        const address = this.translate(at, asUser, write);
        if (address < 0) return { address: at, errorCode: (address === -1 ? 0 : 1) | (write ? 2 : 0) | (asUser ? 4 : 0) };
        if (pass === 0) continue;
        if (write) this.memory.writeU8(address, bytes[i] as number);
        else bytes[i] = this.memory.readU8(address);
      }
    }
    return undefined;
  }
  /** Machine address, -1 not present, -2 not permitted. */
  translate(linear: bigint, asUser: boolean, write: boolean): number {
    if (BigInt.asUintN(64, BigInt.asIntN(48, linear)) !== linear) return -1;
    let table = Number((this.context.cr3 >> 12n) & 0xff_ffff_ffffn);
    for (let level = 4; ; level--) {
      const entry = this.memory.readU64(table * 4096 + Number((linear >> BigInt(3 + 9 * level)) & 511n) * 8);
      if ((entry & 1n) === 0n) return -1;
      if (asUser && (entry & 4n) === 0n) return -2;
      if (write && (entry & 2n) === 0n) return -2;
      table = Number((entry >> 12n) & 0xff_ffff_ffffn);
      if (level === 1) return table * 4096 + Number(linear & 0xfffn);
    }
  }
  setTimer(deadline: bigint | undefined): void {
    this.timer = deadline;
  }
  halt(): void {
    this.context.halted = true;
  }
  sendInterrupt(): void {
    // Tests look at state, not at what another cpu would do.
  }
  charge(event: string, count = 1): void {
    this.charges.set(event, (this.charges.get(event) ?? 0) + count);
  }
  touch(): void {
    // No modelled TLB.
  }
}

export function fakePlatform(ramFrames: number, cpuCount = 2, mmioFrames = 0): Platform & { memory: FakeMemory; cpus: FakeCpu[] } {
  const memory = new FakeMemory(ramFrames + mmioFrames, ramFrames);
  const cpus = Array.from({ length: cpuCount }, (_, i) => new FakeCpu(i, memory));
  return { memory, cpus, tscKhz: 2_930_000, io: { read: () => 0xff, write: () => {} }, below: undefined };
}

/**
 * A vCPU of a full domain as the hypervisor in its ring 0 sees it. While the vCPU runs, its registers are the processor's
 * and everything goes through the processor's guest face, where what the layer below intercepts exits as an instruction
 * would. While it does not, its registers are in its saved context, and only other vCPUs' host code can be acting on it.
 *
 *   exits       APIC: setTimer, sendInterrupt, end of interrupt; HLT; CPUID, CR and MSR writes by the profile
 *   no exits    MOV CR3, INVLPG, FS/GS bases, events of CPL 3 code (GuestControl.ringZero)
 *
 * HLT is taken at the next instruction boundary, when the handler that idles has returned (`halting`).
 *
 * Nothing is charged while the vCPU does not run: the processor belongs to somebody else then, or nobody's time passes
 * (the hypervisor starts).
 * Sources: timing model, "Exits by cause"; Williams et al., EuroSys 2012, §4.3 (flushing without CR4 writes).
 */

import type { CpuContext } from '../../platform/context.ts';
import type { PlatformCpu, ProcessorEvent, RingZeroOwner, SegmentState, SyntheticPage, VirtualFault } from '../../platform/cpu.ts';
import { Cr4 } from '../../x86/control-registers.ts';
import { type SegmentIndex, Segment } from '../../x86/instruction.ts';
import { Msr } from '../../x86/msr-index.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { sleep } from '../scheduler.ts';
import { TableWalk } from '../table-walk.ts';
import type { Vcpu } from '../vcpu.ts';
import { enterForExit, type ExitName } from './exits.ts';
import type { FullVcpu } from './full-domain.ts';
import type { FullDomainMemory } from './full-domain-memory.ts';
import type { FullDomains } from './full-domains.ts';
import { guestCpuid } from './guest-cpuid.ts';
import { hasInterrupt, requestVector } from './interrupts.ts';

/** How the hypervisor inside drops all translations of a cpu. */
export type GlobalFlush =
  /** By CR3, with CR4.PGE off for good: no page is global, and no exit (the Xen-Blanket's way). */
  | 'no-global-pages'
  /** By switching CR4.PGE off and on, as Xen on bare hardware: two CR4 writes, which may exit. */
  | 'toggle-pge';

const CODES = {
  fsBase: Segment.FS,
  gsBase: Segment.GS,
} as const;

export class FullDomainCpu implements PlatformCpu {
  readonly layer: number;
  readonly virtualization = undefined;
  readonly #hypervisor: Hypervisor;
  readonly #kind: FullDomains;
  readonly #vcpu: Vcpu;
  readonly #state: FullVcpu;
  readonly #memory: FullDomainMemory;
  readonly #globalFlush: GlobalFlush;
  #face: PlatformCpu | undefined;

  constructor(hypervisor: Hypervisor, kind: FullDomains, vcpu: Vcpu, memory: FullDomainMemory, globalFlush: GlobalFlush) {
    this.#hypervisor = hypervisor;
    this.#kind = kind;
    this.#vcpu = vcpu;
    this.#state = kind.stateOf(vcpu);
    this.#memory = memory;
    this.#globalFlush = globalFlush;
    this.layer = hypervisor.cpuOf(vcpu).layer + 1;
  }

  get index(): number {
    return this.#vcpu.id;
  }

  /** The processor, while the vCPU's registers are in it. */
  get #live(): PlatformCpu | undefined {
    if (!this.#vcpu.running) return undefined;
    const below = this.#hypervisor.cpuOf(this.#vcpu);
    this.#face ??= below.virtualization?.guestFace(this.layer);
    if (this.#state.flushDue && this.#face !== undefined) {
      this.#state.flushDue = false;
      this.#face.flushTranslations();
    }
    return this.#face;
  }

  get #saved(): CpuContext {
    return this.#vcpu.context;
  }

  // --- registers ---------------------------------------------------------------------------------------------------

  gpr(index: number): bigint {
    return this.#live?.gpr(index) ?? (this.#saved.gpr[index] as bigint);
  }
  setGpr(index: number, value: bigint): void {
    const live = this.#live;
    if (live === undefined) this.#saved.gpr[index] = value;
    else live.setGpr(index, value);
  }
  get rip(): bigint {
    return (this.#live ?? this.#saved).rip;
  }
  set rip(value: bigint) {
    (this.#live ?? this.#saved).rip = value;
  }
  get rflags(): bigint {
    return (this.#live ?? this.#saved).rflags;
  }
  set rflags(value: bigint) {
    (this.#live ?? this.#saved).rflags = value;
  }
  segment(index: SegmentIndex): SegmentState {
    return this.#live?.segment(index) ?? { ...(this.#saved.segments[index] as SegmentState) };
  }
  setSegment(index: SegmentIndex, value: SegmentState): void {
    const live = this.#live;
    if (live === undefined) this.#saved.segments[index] = { ...value };
    else live.setSegment(index, value);
  }
  get cpl(): number {
    return this.#live?.cpl ?? (this.#saved.segments[Segment.CS] as SegmentState).selector & 3;
  }
  get cr0(): bigint {
    return (this.#live ?? this.#saved).cr0;
  }
  get cr2(): bigint {
    return (this.#live ?? this.#saved).cr2;
  }
  set cr2(value: bigint) {
    (this.#live ?? this.#saved).cr2 = value;
  }
  get cr3(): bigint {
    return (this.#live ?? this.#saved).cr3;
  }
  get cr4(): bigint {
    return (this.#live ?? this.#saved).cr4;
  }
  get fsBase(): bigint {
    return this.#base('fsBase');
  }
  set fsBase(value: bigint) {
    this.#setBase('fsBase', value);
  }
  get gsBase(): bigint {
    return this.#base('gsBase');
  }
  set gsBase(value: bigint) {
    this.#setBase('gsBase', value);
  }
  /** Moves the register as SWAPGS does, without an exit; WRMSR goes through {@link writeMsr}. */
  get kernelGsBase(): bigint {
    return (this.#live ?? this.#saved).kernelGsBase;
  }
  set kernelGsBase(value: bigint) {
    (this.#live ?? this.#saved).kernelGsBase = value;
  }

  saveContext(into: CpuContext): void {
    const live = this.#live;
    if (live === undefined) copyContext(this.#saved, into);
    else live.saveContext(into);
  }
  loadContext(from: CpuContext): void {
    const context = { ...from, cr4: this.#cr4(from.cr4) };
    const live = this.#live;
    if (live === undefined) copyContext(context, this.#saved);
    else live.loadContext(context);
  }

  // --- privileged operations ---------------------------------------------------------------------------------------

  writeCr3(value: bigint): void {
    const live = this.#live;
    if (live === undefined) this.#saved.cr3 = value;
    else live.writeCr3(value);
  }
  writeCr0(value: bigint): void {
    const live = this.#live;
    if (live === undefined) this.#saved.cr0 = value;
    else live.writeCr0(value);
  }
  writeCr4(value: bigint): void {
    const live = this.#live;
    if (live === undefined) this.#saved.cr4 = this.#cr4(value);
    else live.writeCr4(this.#cr4(value));
  }
  invalidatePage(linear: bigint): void {
    const live = this.#live;
    if (live === undefined) this.#state.flushDue = true;
    else live.invalidatePage(linear);
  }
  flushTranslations(): void {
    const live = this.#live;
    if (live === undefined) {
      this.#state.flushDue = true;
      return;
    }
    if (this.#globalFlush === 'no-global-pages' || (live.cr4 & BigInt(Cr4.PGE)) === 0n) {
      live.flushTranslations();
      return;
    }
    const cr4 = live.cr4;
    live.writeCr4(cr4 & ~BigInt(Cr4.PGE));
    live.writeCr4(cr4);
  }
  readMsr(index: number): bigint | undefined {
    const live = this.#live;
    if (live !== undefined) return live.readMsr(index);
    const name = savedMsrs[index];
    return name === undefined ? undefined : this.#saved[name];
  }
  writeMsr(index: number, value: bigint): boolean {
    const live = this.#live;
    if (live !== undefined) return live.writeMsr(index, value);
    const name = savedMsrs[index];
    if (name !== undefined) this.#saved[name] = value;
    return name !== undefined;
  }
  cpuid(leaf: number, subleaf: number): [eax: number, ebx: number, ecx: number, edx: number] {
    const live = this.#live;
    if (live !== undefined) return live.cpuid(leaf, subleaf);
    return guestCpuid(this.#kind.profile, this.#vcpu, this.#hypervisor.cpuOf(this.#vcpu), leaf, subleaf);
  }

  readVirtual(linear: bigint, into: Uint8Array, asUser: boolean): VirtualFault | undefined {
    return (this.#live ?? this.#walk()).readVirtual(linear, into, asUser);
  }
  writeVirtual(linear: bigint, from: Uint8Array, asUser: boolean): VirtualFault | undefined {
    return (this.#live ?? this.#walk()).writeVirtual(linear, from, asUser);
  }

  // --- time and interrupts -----------------------------------------------------------------------------------------

  get cycles(): bigint {
    return this.#hypervisor.cpuOf(this.#vcpu).cycles;
  }
  setTimer(deadlineCycles: bigint | undefined): void {
    this.leaveFor('apic', () => this.#kind.setTimer(this.#hypervisor, this.#vcpu, deadlineCycles));
  }
  halt(): void {
    if (this.#vcpu.running) {
      this.#state.halting = true;
      this.#hypervisor.cpuOf(this.#vcpu).virtualization?.requestBoundary();
    } else if (!hasInterrupt(this.#hypervisor, this.#kind.of(this.#vcpu.domain), this.#state)) {
      this.#vcpu.blocked = true;
      sleep(this.#hypervisor, this.#vcpu);
    }
  }
  sendInterrupt(target: number, vector: number): void {
    const receiver = this.#kind.of(this.#vcpu.domain).vcpus[target];
    if (receiver !== undefined) this.leaveFor('apic', () => requestVector(this.#hypervisor, receiver, vector));
  }

  /**
   * An exit that host code causes without an instruction: charged to the layer below, whose `work` is done in place;
   * whether this vCPU goes on is decided at the next instruction boundary.
   */
  leaveFor<T>(name: ExitName, work: () => T): T {
    const hypervisor = this.#hypervisor;
    if (!this.#vcpu.running) return work();
    const below = hypervisor.cpuOf(this.#vcpu);
    const before = hypervisor.entered;
    below.virtualization?.chargeExit();
    enterForExit(hypervisor, this.#vcpu, below, name);
    const result = work();
    hypervisor.entered = before;
    below.virtualization?.requestBoundary();
    return result;
  }

  // --- accounting --------------------------------------------------------------------------------------------------

  charge(event: string, count?: number): void {
    this.#live?.charge(event, count);
  }
  touch(page: SyntheticPage, index: number): void {
    this.#live?.touch(page, index);
  }
  guestMode(mode: 'kernel' | 'user'): void {
    this.#live?.guestMode?.(mode);
  }

  // --- owner -------------------------------------------------------------------------------------------------------

  get owner(): RingZeroOwner | undefined {
    return this.#state.control.ringZero?.owner;
  }
  set owner(value: RingZeroOwner | undefined) {
    const { control } = this.#state;
    control.ringZero = value === undefined ? undefined : { owner: this.#entries(value), cpu: this };
  }

  /** The owner's entries, counted; an interrupt is acknowledged at the APIC, which exits. */
  #entries(owner: RingZeroOwner): RingZeroOwner {
    const state = this.#state;
    const counted = (handler: () => void): void => {
      state.handlers++;
      try {
        handler();
      } finally {
        state.handlers--;
      }
    };
    return {
      exception: (cpu: PlatformCpu, event: ProcessorEvent) => counted(() => owner.exception(cpu, event)),
      syscall: (cpu: PlatformCpu) => counted(() => owner.syscall(cpu)),
      sysenter: (cpu: PlatformCpu) => counted(() => owner.sysenter(cpu)),
      interrupt: (cpu: PlatformCpu, vector: number) =>
        counted(() => {
          this.leaveFor('apic', () => {});
          owner.interrupt(cpu, vector);
        }),
    };
  }

  #cr4(value: bigint): bigint {
    return this.#globalFlush === 'no-global-pages' ? value & ~BigInt(Cr4.PGE) : value;
  }

  #base(name: keyof typeof CODES): bigint {
    return this.#live?.[name] ?? (this.#saved.segments[CODES[name]] as SegmentState).base;
  }
  #setBase(name: keyof typeof CODES, value: bigint): void {
    const live = this.#live;
    if (live === undefined) (this.#saved.segments[CODES[name]] as SegmentState).base = value;
    else live[name] = value;
  }

  #walk(): TableWalk {
    return new TableWalk(this.#memory, Number((this.#saved.cr3 >> 12n) & 0xff_ffff_ffffn));
  }
}

type SavedMsr = 'efer' | 'star' | 'lstar' | 'cstar' | 'fmask' | 'kernelGsBase' | 'pat' | 'tscAux';

const savedMsrs: Readonly<Record<number, SavedMsr>> = {
  [Msr.IA32_EFER]: 'efer',
  [Msr.IA32_STAR]: 'star',
  [Msr.IA32_LSTAR]: 'lstar',
  [Msr.IA32_CSTAR]: 'cstar',
  [Msr.IA32_FMASK]: 'fmask',
  [Msr.IA32_KERNEL_GS_BASE]: 'kernelGsBase',
  [Msr.IA32_PAT]: 'pat',
  [Msr.IA32_TSC_AUX]: 'tscAux',
};

/** All registers, by value. */
function copyContext(from: CpuContext, into: CpuContext): void {
  Object.assign(into, from, {
    gpr: from.gpr.slice(),
    segments: from.segments.map((segment) => ({ ...segment })),
    gdtr: { ...from.gdtr },
    idtr: { ...from.idtr },
    ldtr: { ...from.ldtr },
    tr: { ...from.tr },
    debug: from.debug.slice(),
    fxsave: from.fxsave.slice(),
    upperHalves: from.upperHalves.slice(),
  });
}

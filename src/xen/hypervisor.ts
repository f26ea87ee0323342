/**
 * The hypervisor: owner of ring 0 of its platform's cpus. One object per instance, no module state, so that two run in
 * one process and one runs in a domain of another. It is called by guests between two of their instructions
 * (ring-zero.ts), changes plain data and returns.
 *
 * This file ties the parts together and allocates frames; the work is in the files named after the jobs, as functions
 * that take the hypervisor first. Reading order: domain, vcpu, frame-table, hypercall/table, ring-zero, scheduler,
 * event-delivery, then hypercall/*.
 */

import { assert } from '../base/errors.ts';
import type { PlatformCpu, VirtualFault } from '../platform/cpu.ts';
import type { PlatformMemory } from '../platform/memory.ts';
import type { Platform } from '../platform/platform.ts';
import type { Domain, DomainKindName } from './domain.ts';
import type { DomainKind } from './domain-kind.ts';
import type { HypervisorObserver, UnknownKind } from './events.ts';
import { FrameAllocator } from './frame-allocator.ts';
import { FrameFlag, FrameTable, Owner, PageType } from './frame-table.ts';
import { HypercallTable } from './hypercall/table.ts';
import { MachineToPhysical } from './machine-to-physical.ts';
import type { Vcpu } from './vcpu.ts';

export interface HypervisorOptions {
  readonly kinds: readonly DomainKind[];
  readonly observers?: readonly HypervisorObserver[];
  /** Unix time in ns at system time 0. Default 0n. */
  readonly epoch?: bigint;
  /** What xen_version(commandline) tells a privileged domain. */
  readonly commandLine?: string;
}

/** How a vCPU's virtual memory is reached: its platform cpu while it runs, or a walk of its tables. */
export interface GuestMemory {
  readVirtual(linear: bigint, into: Uint8Array, asUser: boolean): VirtualFault | undefined;
  writeVirtual(linear: bigint, from: Uint8Array, asUser: boolean): VirtualFault | undefined;
}

export class Hypervisor {
  readonly platform: Platform;
  readonly memory: PlatformMemory;
  readonly frames: FrameTable;
  readonly allocator: FrameAllocator;
  readonly m2p: MachineToPhysical;
  readonly kinds: ReadonlyMap<DomainKindName, DomainKind>;
  readonly hypercalls: HypercallTable;
  readonly observers: readonly HypervisorObserver[];
  readonly options: HypervisorOptions;

  /** By id. A dead domain stays here until the last of its frames is free. */
  readonly domains = new Map<number, Domain>();
  /** Per platform cpu: the vCPU whose registers are in it, undefined when idle. */
  readonly current: (Vcpu | undefined)[];

  constructor(platform: Platform, options: HypervisorOptions) {
    this.platform = platform;
    this.memory = platform.memory;
    this.options = options;
    this.observers = options.observers ?? [];
    this.kinds = new Map(options.kinds.map((kind) => [kind.name, kind]));
    this.frames = new FrameTable(platform.memory.frameCount);
    this.allocator = new FrameAllocator(platform.memory.frameCount);
    this.current = platform.cpus.map(() => undefined);
    for (let frame = 0; frame < platform.memory.frameCount; frame++) {
      if (platform.memory.isRam(frame)) this.allocator.release(frame);
      else this.frames.owner[frame] = Owner.io;
    }
    this.frames.freed = (frame) => this.#frameFreed(frame);
    const m2pFrames = MachineToPhysical.framesFor(platform.memory.frameCount);
    this.m2p = new MachineToPhysical(this.memory, this.allocateXenFrames(m2pFrames), platform.memory.frameCount);
    this.hypercalls = new HypercallTable(...options.kinds.map((kind) => kind.hypercalls));
    for (const kind of options.kinds) kind.start(this);
  }

  kind(domain: Domain): DomainKind {
    const kind = this.kinds.get(domain.kind);
    assert(kind !== undefined, () => `no domains of kind ${domain.kind} here`);
    return kind;
  }

  cpuOf(vcpu: Vcpu): PlatformCpu {
    return this.platform.cpus[vcpu.processor] as PlatformCpu;
  }

  guestMemory(vcpu: Vcpu): GuestMemory {
    assert(vcpu.running, () => `memory of vcpu ${vcpu.domain.id}.${vcpu.id} while it does not run`);
    return this.cpuOf(vcpu);
  }

  /** Frames for the hypervisor itself, contiguous and zeroed; they belong to {@link Owner.xen}. Returns the first. */
  allocateXenFrames(count: number): number {
    const first = count === 1 ? this.allocator.allocate() : this.allocator.allocateRun(count, 1);
    assert(first >= 0, () => `no ${count} frames left for the hypervisor`);
    for (let frame = first; frame < first + count; frame++) {
      this.frames.owner[frame] = Owner.xen;
      this.frames.references[frame] = 1;
      this.memory.zeroFrame(frame);
    }
    return first;
  }

  freeXenFrame(frame: number): void {
    assert(this.frames.owner[frame] === Owner.xen, () => `frame ${frame} is not the hypervisor's`);
    this.frames.putPage(frame);
  }

  /** Adds one to the domain's count of `name`, and tells observers of batch entries. */
  operation(vcpu: Vcpu, name: string): void {
    const counts = vcpu.domain.counts;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    for (const observer of this.observers) observer.operation?.(vcpu, name);
  }

  /** Reports something that a guest asked for and that does not exist here. */
  unknown(domain: Domain, kind: UnknownKind, detail: string): void {
    for (const observer of this.observers) observer.unknown?.(domain, kind, detail);
  }

  /** A line of the hypervisor's own log. */
  log(line: string): void {
    for (const observer of this.observers) observer.console?.(undefined, line);
  }

  /**
   * Ends a domain that cannot go on (unwritable bounce stack, no handler, bad iret frame): shut down with SHUTDOWN_crash.
   * The current guest is not returned to.
   */
  crashDomain(domain: Domain, reason: string): void {
    domain.crashReason ??= reason;
    throw new Error('domain-lifecycle: not written yet');
  }

  #frameFreed(frame: number): void {
    const domain = this.domains.get(this.frames.owner[frame] as number);
    if (domain !== undefined) {
      if (this.frames.has(frame, FrameFlag.xenHeap)) domain.xenHeapPages--;
      else domain.totalPages--;
    }
    this.frames.owner[frame] = Owner.none;
    this.frames.type[frame] = PageType.none;
    this.frames.flags[frame] = 0;
    this.allocator.release(frame);
  }
}

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
import { SHUTDOWN_crash } from '../xen-abi/sched.ts';
import { EINVAL, ENOMEM } from '../xen-abi/errno.ts';
import { shared_info, vcpu_info, vcpu_time_info, VIRQ_CONSOLE } from '../xen-abi/xen.ts';
import type { Domain, DomainKindName } from './domain.ts';
import type { DomainKind } from './domain-kind.ts';
import { removeIfGone, shutdownDomain } from './domain-lifecycle.ts';
import { sendGlobalVirq } from './event-delivery.ts';
import type { HypervisorObserver, UnknownKind } from './events.ts';
import { FrameAllocator } from './frame-allocator.ts';
import { FrameFlag, FrameTable, Owner, PageType } from './frame-table.ts';
import { copyToGuest } from './guest-access.ts';
import { coreHypercalls } from './hypercall/core-hypercalls.ts';
import { type Hypercall, HypercallTable } from './hypercall/table.ts';
import { MachineToPhysical } from './machine-to-physical.ts';
import { leave, RingZero } from './ring-zero.ts';
import { type CpuSchedule, newCpuSchedule } from './scheduler.ts';
import { frameBytes, vcpuInfoAddress } from './shared-info.ts';
import { SystemTime } from './system-time.ts';
import { TableWalk } from './table-walk.ts';
import type { Vcpu } from './vcpu.ts';

const consoleRingCharacters = 16384;

export interface HypervisorOptions {
  readonly kinds: readonly DomainKind[];
  readonly observers?: readonly HypervisorObserver[];
  /** Unix time in ns at system time 0. Default 0n. */
  readonly epoch?: bigint;
  /** Platform cpu of a new vCPU. Default: Dom0 on the last cpu, the others in turn on the remaining ones. */
  readonly placement?: (domainId: number, vcpuId: number, cpuCount: number) => number;
  /** Rows of the table beside the core's own and the kinds'. */
  readonly hypercalls?: readonly Hypercall[];
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
  /** One for each platform cpu. */
  readonly schedules: CpuSchedule[];
  readonly time: SystemTime;
  /** The cpu whose entry is being handled; undefined between entries, when only the host side acts. */
  entered: PlatformCpu | undefined = undefined;
  /** Bytes for console_io(read), pushed by {@link pushConsoleInput}. */
  readonly consoleInput: number[] = [];
  /** The hypervisor's own console, kept for XEN_SYSCTL_readconsole: the newest characters. */
  consoleRing = '';
  /** Next id that createdomain tries. */
  nextDomainId = 1;

  constructor(platform: Platform, options: HypervisorOptions) {
    this.platform = platform;
    this.memory = platform.memory;
    this.options = options;
    this.observers = options.observers ?? [];
    this.kinds = new Map(options.kinds.map((kind) => [kind.name, kind]));
    this.frames = new FrameTable(platform.memory.frameCount);
    this.allocator = new FrameAllocator(platform.memory.frameCount);
    this.schedules = platform.cpus.map(newCpuSchedule);
    this.time = new SystemTime(platform.tscKhz);
    for (let frame = 0; frame < platform.memory.frameCount; frame++) {
      if (platform.memory.isRam(frame)) this.allocator.release(frame);
      else this.frames.owner[frame] = Owner.io;
    }
    this.frames.freed = (frame) => this.#frameFreed(frame);
    const m2pFrames = MachineToPhysical.framesFor(platform.memory.frameCount);
    this.m2p = new MachineToPhysical(this.memory, this.allocateXenFrames(m2pFrames), platform.memory.frameCount);
    this.hypercalls = new HypercallTable(coreHypercalls, options.hypercalls ?? [], ...options.kinds.map((kind) => kind.hypercalls));
    for (const kind of options.kinds) kind.start(this);
    const owner = new RingZero(this);
    for (const cpu of platform.cpus) {
      cpu.owner = owner;
      leave(this, cpu);
    }
  }

  /** Unix time in ns at system time 0. */
  get epoch(): bigint {
    return this.options.epoch ?? 0n;
  }

  /** System time in ns on `cpu`. */
  now(cpu: PlatformCpu): bigint {
    return this.time.at(cpu.cycles);
  }

  /** The vCPU whose registers are in the platform cpu, undefined when that idles. */
  currentOn(cpu: PlatformCpu): Vcpu | undefined {
    return this.schedules[cpu.index]?.current;
  }

  domain(id: number): Domain | undefined {
    return this.domains.get(id);
  }

  placementOf(domainId: number, vcpuId: number): number {
    const cpus = this.platform.cpus.length;
    const chosen = this.options.placement?.(domainId, vcpuId, cpus);
    if (chosen !== undefined) return chosen;
    return domainId === 0 ? cpus - 1 : (domainId - 1 + vcpuId) % Math.max(1, cpus - 1);
  }

  /** Input of the hypervisor's console, which belongs to Dom0. */
  pushConsoleInput(bytes: Uint8Array): void {
    for (const byte of bytes) this.consoleInput.push(byte);
    sendGlobalVirq(this, VIRQ_CONSOLE);
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
    if (vcpu.code !== undefined) return new TableWalk(this.memory, vcpu.pv?.guestTable ?? 0);
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
    this.consoleRing = `${this.consoleRing}(XEN) ${line}\n`.slice(-consoleRingCharacters);
    for (const observer of this.observers) observer.console?.(undefined, line);
  }

  /** shared_info.arch.max_pfn of a PV domain: what it says is the length of its P2M list. */
  guestMaxPfn(domain: Domain): bigint {
    const at = domain.sharedInfoFrame * frameBytes + shared_info.offset('max_pfn', domain.addressSize);
    return domain.addressSize === 32 ? BigInt(this.memory.readU32(at)) : this.memory.readU64(at);
  }

  /** XENMEM_claim_pages: keeps free frames for a domain that is being built; 0 gives the rest back. 0 or -errno. */
  claim(domain: Domain, pages: bigint): number {
    if (pages === 0n) {
      domain.claimedPages = 0;
      return 0;
    }
    if (domain.claimedPages !== 0) return -EINVAL;
    if (pages <= BigInt(domain.totalPages) || pages > BigInt(domain.maxPages)) return -EINVAL;
    const wanted = Number(pages) - domain.totalPages;
    let claimed = 0;
    for (const other of this.domains.values()) claimed += other.claimedPages;
    if (wanted > this.allocator.free - claimed) return -ENOMEM;
    domain.claimedPages = wanted;
    return 0;
  }

  /** Copies a vCPU's time record to the second place that it registered; its memory must be in reach. */
  updateTimeArea(vcpu: Vcpu): void {
    const address = vcpuInfoAddress(vcpu);
    if (vcpu.timeArea === 0n || address < 0) return;
    const record = this.memory.readBytes(address + vcpu_info.offset('time'), vcpu_time_info.size());
    const version = new DataView(record.buffer).getUint32(0, true);
    new DataView(record.buffer).setUint32(0, version - 1, true);
    if (copyToGuest(this, vcpu, vcpu.timeArea, record) !== 0) return;
    new DataView(record.buffer).setUint32(0, version, true);
    copyToGuest(this, vcpu, vcpu.timeArea, record.subarray(0, 4));
  }

  /** A line that a domain wrote to the hypervisor's console. */
  guestLine(domain: Domain, line: string): void {
    this.consoleRing = `${this.consoleRing}(d${domain.id}) ${line}\n`.slice(-consoleRingCharacters);
    for (const observer of this.observers) observer.console?.(domain, line);
  }

  /**
   * Ends a domain that cannot go on (unwritable bounce stack, no handler, bad iret frame): shut down with SHUTDOWN_crash.
   * The current guest is not returned to.
   */
  crashDomain(domain: Domain, reason: string): void {
    if (domain.shutDown || domain.dying !== 0) return;
    domain.crashReason = reason;
    this.log(`domain ${domain.id} crashed: ${reason}`);
    shutdownDomain(this, domain, SHUTDOWN_crash);
  }

  #frameFreed(frame: number): void {
    const { frames } = this;
    const domain = this.domains.get(frames.owner[frame] as number);
    const fromXenHeap = frames.has(frame, FrameFlag.xenHeap);
    frames.owner[frame] = Owner.none;
    frames.type[frame] = PageType.none;
    frames.flags[frame] = 0;
    this.allocator.release(frame);
    if (domain === undefined) return;
    // DEVIATION: Xen scrubs only what dead domains leave behind; here nothing of a domain ever reaches another.
    this.memory.zeroFrame(frame);
    if (fromXenHeap) domain.xenHeapPages--;
    else domain.totalPages--;
    removeIfGone(this, domain);
  }
}

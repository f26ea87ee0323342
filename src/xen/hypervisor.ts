/**
 * The hypervisor: owner of ring 0 of its platform's cpus. One object per instance, no module state, so that two run in
 * one process and one runs in a domain of another. It is called by guests between two of their instructions
 * (ring-zero.ts), changes plain data and returns. start.ts makes one that works.
 *
 * The class holds the parts together and allocates frames; the work is in the files named after the jobs, as functions
 * that take the hypervisor first. The types that name the Hypervisor and are named by it (domain kinds, rows of the
 * hypercall table) are here, too. Reading order: domain, frame-table, hypervisor, ring-zero, scheduler, event-delivery,
 * then hypercall/*.
 */

import { assert } from '../base/errors.ts';
import type { SaveReader, SaveWriter } from '../base/persist.ts';
import type { PlatformCpu, ProcessorEvent, VirtualFault } from '../platform/cpu.ts';
import type { PlatformMemory } from '../platform/memory.ts';
import type { Platform } from '../platform/platform.ts';
import { type CpuSchedule, newCpuSchedule } from './cpu-schedule.ts';
import type { Domain, DomainKindName, Vcpu } from './domain.ts';
import type { HypercallResult, HypervisorObserver, UnknownKind } from './events.ts';
import { FrameAllocator } from './frame-allocator.ts';
import { FrameTable, Owner } from './frame-table.ts';
import { MachineToPhysical } from './machine-to-physical.ts';
import { SystemTime } from './system-time.ts';
import { TableWalk } from './table-walk.ts';

export type { HypercallResult } from './events.ts';

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
  readonly hypercalls: ReadonlyMap<number, Hypercall>;
  readonly observers: readonly HypervisorObserver[];
  readonly options: HypervisorOptions;

  /** By id. A dead domain stays here until the last of its frames is free. */
  readonly domains = new Map<number, Domain>();
  /** One for each platform cpu. */
  readonly schedules: CpuSchedule[];
  readonly time: SystemTime;
  /** The cpu whose entry is being handled; undefined between entries, when only the host side acts. */
  entered: PlatformCpu | undefined = undefined;
  /** Bytes for console_io(read), pushed by pushConsoleInput. */
  readonly consoleInput: number[] = [];
  /** The hypervisor's own console, kept for XEN_SYSCTL_readconsole: the newest characters. */
  consoleRing = '';
  /** Next id that createdomain tries. */
  nextDomainId = 1;

  /** Ring 0 is not owned and nothing runs before start.ts has had its turn. */
  constructor(platform: Platform, options: HypervisorOptions, hypercalls: ReadonlyMap<number, Hypercall>) {
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
      // Frame 0 stands for "none" in tables, and never goes to a guest.
      if (platform.memory.isRam(frame) && frame > 0) this.allocator.release(frame);
      else this.frames.owner[frame] = frame === 0 ? Owner.xen : Owner.io;
    }
    this.frames.references[0] = 1;
    const m2pFrames = MachineToPhysical.framesFor(platform.memory.frameCount);
    this.m2p = new MachineToPhysical(this.memory, this.allocateXenFrames(m2pFrames), platform.memory.frameCount);
    this.hypercalls = hypercalls;
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
    const own = this.kind(vcpu.domain).guestMemory?.(this, vcpu);
    if (own !== undefined) return own;
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

  /** A line that a domain wrote to the hypervisor's console. */
  guestLine(domain: Domain, line: string): void {
    this.consoleRing = `${this.consoleRing}(d${domain.id}) ${line}\n`.slice(-consoleRingCharacters);
    for (const observer of this.observers) observer.console?.(domain, line);
  }
}

export type HypercallHandler = (hypervisor: Hypervisor, vcpu: Vcpu, args: readonly bigint[]) => HypercallResult;

export interface Hypercall {
  readonly number: number;
  /** As in Xen's headers, lower case, without the prefix: `event_channel_op`. */
  readonly name: string;
  readonly handler: HypercallHandler;
  /** Number of register arguments of the 64-bit form, for traces. */
  readonly argumentCount: number;
  /** What follows the name in traces and counts: `.setup_table`, ` flags=2`; '' for nothing. Reads nothing but the arguments. */
  readonly suffix?: (args: readonly bigint[]) => string;
  /**
   * Who charges the cost of the path: by default the dispatcher charges `xen.null_hypercall`; with `own` the handler
   * charges complete rows itself, which contain the entry (timing-model §4: update_va_mapping, mmuext_op, ...).
   */
  readonly cost?: 'own';
  /** Callers: `pv` for calls that full domains do not have. Default: all. */
  readonly callers?: 'pv';
}

/**
 * What differs between kinds of domains, asked by the core and answered by pv/ and hvm/. The core never asks "is it PV?"
 * in a path; it calls the kind.
 */
export interface DomainKind {
  readonly name: DomainKindName;
  /** Rows that this kind adds to the hypercall table. */
  readonly hypercalls: readonly Hypercall[];
  /** Called once when the hypervisor starts, before any domain exists; pv/ installs page-type hooks and maps the M2P. */
  start(hypervisor: Hypervisor): void;

  /** A domain of this kind has been created, without vCPU state and memory. 0 or a negative errno. */
  createDomain(hypervisor: Hypervisor, domain: Domain): number;
  /** Fills a new vCPU with its state before any context is set (1.6 for PV). */
  createVcpu(hypervisor: Hypervisor, vcpu: Vcpu): void;
  /**
   * VCPUOP_initialise and XEN_DOMCTL_setvcpucontext with the raw vcpu_guest_context (2800 or 5168 bytes).
   * Takes the table references. 0 or a negative errno; the caller handles `initialised`, `down` and waking.
   */
  setContext(hypervisor: Hypervisor, vcpu: Vcpu, image: Uint8Array): number;
  getContext(hypervisor: Hypervisor, vcpu: Vcpu): Uint8Array;
  /**
   * Gives back everything that keeps frames referenced: root tables, descriptor tables, pins, circular tables.
   * After it, dropping the allocation references frees every frame that no other domain holds.
   */
  relinquish(hypervisor: Hypervisor, domain: Domain): void;

  // Entries from the guest, with the vCPU running on `cpu`. After each the core calls exitToGuest (ring-zero.ts).
  exception(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu, event: ProcessorEvent): void;
  /** SYSCALL. The kind decides whether it is a hypercall, and then calls dispatchHypercall (hypercall/dispatch.ts). */
  syscall(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;
  sysenter(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;
  /** Last thing before the guest goes on: delivers at most one upcall frame (events.upcallDeliverable) or NMI. */
  exitToGuest(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;

  /** After loadContext: root table, descriptor tables, lazy FPU. Charges the switch. */
  switchIn(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;
  /** Before saveContext. */
  switchOut(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;

  /**
   * Puts a mapping of a granted frame into the caller's L1 entry (PV: host_addr is a virtual address, or with
   * `containsPte` the machine address of the entry). The caller has taken the frame's page reference and, unless
   * `readonly`, its writable type reference; they now belong to the entry. What the entry held is dropped. GNTST_*.
   */
  mapGrant(hypervisor: Hypervisor, vcpu: Vcpu, mapping: GrantMappingRequest): number;
  /**
   * Takes the mapping out again: the entry must still map `frame` with the same writability (XSA-234), else
   * GNTST_general_error and nothing changes. With `replacement`, the entry at that virtual address moves here and is
   * cleared there. The references stay with the caller, who drops them. Flushes.
   */
  unmapGrant(hypervisor: Hypervisor, vcpu: Vcpu, mapping: GrantMappingRequest, replacement?: bigint): number;
  /** State of the kind itself, beside what is in domains and vCPUs. Restored after all domains are. */
  save?(hypervisor: Hypervisor, writer: SaveWriter): void;
  restore?(hypervisor: Hypervisor, reader: SaveReader): void;

  // Only full/: what a domain with guest-physical memory and devices has and a paravirtual one has not.
  /** Bytes of the context that setContext takes; default: vcpu_guest_context. Such a context does not say "online". */
  readonly contextBytes?: number;
  /** What hypercall pointers of this vCPU mean. Default: its virtual memory, with a user's rights. */
  guestMemory?(hypervisor: Hypervisor, vcpu: Vcpu): GuestMemory;
  /** Maps a guest frame (-1: unmaps it). False: there is no such guest frame. References are the caller's. */
  setPhysmap?(hypervisor: Hypervisor, domain: Domain, guestFrame: number, frame: number): boolean;
  /** An event for a port that belongs to the hypervisor's side of the domain (Xen: a consumer in Xen). True: it was one. */
  consumeEvent?(hypervisor: Hypervisor, domain: Domain, port: number): boolean;
  /** TSC value at which something of the vCPU's own devices is due. */
  nextEvent?(hypervisor: Hypervisor, vcpu: Vcpu): bigint | undefined;
  /** Lets the vCPU's devices come up to the present. */
  runDevices?(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;
}

export interface GrantMappingRequest {
  readonly address: bigint;
  readonly containsPte: boolean;
  readonly frame: number;
  readonly readonly: boolean;
  /** GNTMAP_application_map: the guest's user mode may use it. */
  readonly application: boolean;
  /** Bits 31:16 of the flags: software bits for the entry. */
  readonly availableBits: number;
}

/**
 * The plain data of domains: identity and memory account, vCPUs, event channels, grants. Types that name each other
 * are together here; behaviour is in the files that are named after the jobs (event-channel, grant-table, scheduler,
 * domain-lifecycle, ...), and what pv/ keeps in a vCPU is described here because hypercalls of the core touch it, too.
 *
 * While a vCPU runs (`running`), its registers are those of its platform cpu and `context` is stale; the scheduler
 * moves them with saveContext and loadContext. Hypervisor paths therefore reach registers through the cpu of the entry,
 * and only code that changes a vCPU that does not run (VCPUOP_initialise) writes `context`.
 */

import type { CpuContext } from '../platform/context.ts';

/** `pv`: Xen's paravirtual ABI, kernel in ring 3, frames are machine frames. `full`: second-stage paging, unmodified kernel. */
export type DomainKindName = 'pv' | 'full';

export interface Domain {
  readonly id: number;
  readonly kind: DomainKindName;
  /** Size of a long in the domain's hypercall ABI. 32 is set by XEN_DOMCTL_set_address_size before the first vCPU runs. */
  addressSize: 32 | 64;
  /** May use domctl, sysctl, platform_op and foreign frames (Xen: is_control_domain). */
  readonly privileged: boolean;
  /** Domain that may act for this one as its owner (XEN_DOMCTL_set_target), or -1. */
  controlledBy: number;
  readonly handle: Uint8Array; // 16, the UUID
  /** XEN_DOMCTL_CDF_* of createdomain. */
  readonly createFlags: number;
  readonly ssidref: number;

  /** createdomain's max_vcpus; XEN_DOMCTL_max_vcpus, which must name the same number, creates them all. */
  readonly maxVcpus: number;
  /** Empty until then; VCPUOP_initialise or setvcpucontext brings them to life. */
  readonly vcpus: Vcpu[];

  // Memory account, in frames. Frames are found by FrameTable.owner.
  totalPages: number;
  maxPages: number;
  /** Frames that the hypervisor gave (FrameFlag.xenHeap). */
  xenHeapPages: number;
  /** XENMEM_claim_pages not yet used. */
  claimedPages: number;
  /** `full` only: guest frame -> machine frame or -1. A PV guest names machine frames itself. */
  p2m: Int32Array | undefined;
  /** XENMEM_set_memory_map: raw e820 entries (20 bytes each), undefined when never set. */
  memoryMap: Uint8Array | undefined;
  /** XENMEM_machphys / hole of 32-bit guests (hv_compat_vstart); unused for 64-bit ones. */
  compatHoleStart: number;

  readonly sharedInfoFrame: number;
  /** shared_info and vcpu_info layout follow {@link addressSize}. */
  readonly events: EventChannels;
  readonly grants: GrantTable;

  /** Bit n is VMASST_TYPE_n enabled; a bigint because of m2p_strict (32). */
  vmAssist: bigint;
  /** Nanoseconds that XEN_DOMCTL_settimeoffset added to the wall clock. */
  timeOffsetSeconds: bigint;
  readonly tsc: { mode: number; khz: number; incarnation: number; elapsed: bigint };
  /** SCHEDOP_watchdog: system time in ns at which each fires, or undefined. */
  readonly watchdogs: (bigint | undefined)[];

  /** XEN_DOMCTL_pausedomain and the builder's hold; the domain runs at 0. */
  pauseCount: number;
  /** Of the pauses above, those that the toolstack owns. */
  controllerPauses: number;
  /** Set when all vCPUs have stopped (SCHEDOP_shutdown, a crash). */
  shutDown: boolean;
  shutdownCode: number; // 8 bits; 0xff while running
  /** 0 alive, 1 being destroyed, 2 dead: only referenced frames are left. */
  dying: 0 | 1 | 2;
  /** First line of the crash report, when a crash shut the domain down. */
  crashReason: string | undefined;

  /** Ports and memory that the domain may reach; empty for a domU. */
  readonly ioPorts: { first: number; last: number }[];
  readonly ioFrames: { first: number; last: number }[];

  /** Console output since the last newline (console_io lines are prefixed per domain). */
  consoleLine: string;

  /** How often each hypercall, sub-operation, emulation happened, under the names of `--trace` (`grant_table_op.setup_table`). */
  readonly counts: Map<string, number>;
}

/** The one that has the machine's devices: Dom0 (Xen: is_hardware_domain). */
export function isHardwareDomain(domain: Domain): boolean {
  return domain.id === 0;
}

/** Owner value meaning no controller. */
export const noController = -1;
export const shutdownCodeNone = 0xff;

/** RUNSTATE_* of Xen public/vcpu.h. */
export const Runstate = { running: 0, runnable: 1, blocked: 2, offline: 3 } as const;
export type Runstate = (typeof Runstate)[keyof typeof Runstate];

/** Host code that plays a vCPU: called instead of executing instructions. */
export interface VcpuCode {
  /** The vCPU has been scheduled and has something to do. When it returns, the vCPU blocks until the next event. */
  run(): void;
}

export interface Vcpu {
  readonly id: number;
  readonly domain: Domain;
  /** Index of the platform cpu that it is pinned to. */
  processor: number;
  readonly context: CpuContext;
  /** Undefined for code that the platform executes. */
  code: VcpuCode | undefined;
  /** The host code has had its first call. */
  codeStarted: boolean;

  // Scheduling.
  initialised: boolean;
  /** VCPUOP_down, or never brought up. */
  down: boolean;
  /** In SCHEDOP_block or poll: not runnable until an event. */
  blocked: boolean;
  /** SCHEDOP_poll: ports that end the wait; undefined when not polling. */
  polling: readonly number[] | undefined;
  /** System time (ns) at which a poll ends by itself. */
  pollTimeout: bigint | undefined;
  pauseCount: number;
  /** Its registers are in the platform cpu. */
  running: boolean;

  // Events. The vcpu_info record: in shared_info for vCPUs 0..31, or where VCPUOP_register_vcpu_info moved it.
  infoFrame: number; // machine frame, or -1: no vcpu_info yet
  infoOffset: number;
  infoRegistered: boolean;
  /** Port bound to each per-vCPU VIRQ, 0 for none; global VIRQs are bound on vCPU 0. */
  readonly virqPorts: Int32Array;

  // Time, in ns of system time.
  singleshot: bigint | undefined;
  /** 0n: off. */
  periodicPeriod: bigint;
  periodicNext: bigint;
  runstate: { state: Runstate; entryTime: bigint; readonly time: BigUint64Array };
  /** VCPUOP_register_runstate_memory_area and _vcpu_time_memory_area: guest virtual addresses, 0n for none. */
  runstateArea: bigint;
  timeArea: bigint;

  /** Of a `pv` domain: what hypercalls set and the bounce paths read. pv/ creates and owns it. */
  pv: PvVcpu | undefined;
}

/** A callback or trap entry: address 0 means none. */
export interface PvEntry {
  cs: number; // 32-bit guests only; 64-bit delivery always uses 0xe033
  address: bigint;
  /** Set evtchn_upcall_mask on entry. */
  maskEvents: boolean;
}

export interface PvTrap extends PvEntry {
  /** Privilege needed for INT n: TI_GET_DPL. */
  dpl: number;
}

export interface PvVcpu {
  /** True in the guest's kernel, false in its user mode (both run in CPL 3 in 64-bit domains). */
  kernelMode: boolean;
  /** Machine frame of the kernel's and the user's root table; 0 for none. Each holds a page and type reference. */
  guestTable: number;
  userTable: number;

  readonly traps: PvTrap[]; // 256
  readonly eventCallback: PvEntry;
  readonly failsafeCallback: PvEntry;
  readonly syscallCallback: PvEntry;
  readonly syscall32Callback: PvEntry;
  readonly sysenterCallback: PvEntry;
  readonly nmiCallback: PvEntry;
  kernelSs: number;
  kernelSp: bigint;

  // FS and GS: the base of the mode that runs is in the context's GS, the other mode's in kernelGsBase; a mode switch
  // exchanges them. The user GS selector set by set_segment_base(3) is loaded on return to user.
  gsUserSelector: number;

  /** CR0.TS as the guest sees it (fpu_taskswitch). */
  taskSwitched: boolean;
  /** Guest-settable bits of CR4: TSD DE FSGSBASE OSXSAVE. */
  cr4: bigint;
  /** DR0..DR3, DR4/5 unused, DR6, DR7 as the guest set them. */
  readonly debug: BigUint64Array;
  /** Last #PF address, also in vcpu_info. */
  cr2: bigint;
  /** Virtual IOPL (PHYSDEVOP_set_iopl). */
  iopl: number;
  ioBitmap: { address: bigint; ports: number };

  /** Descriptor tables. Frames hold a page and segdesc type reference. */
  gdtFrames: number[];
  gdtEntries: number;
  ldtBase: bigint;
  ldtEntries: number;
  /** Machine frame of each LDT page mapped so far, 0 for none. */
  readonly ldtFrames: Int32Array; // 16

  nmiPending: boolean;
  /** Between an NMI's delivery and the iret hypercall. */
  nmiBlocked: boolean;
  mcePending: boolean;
  mceBlocked: boolean;
}

/** EVTCHNSTAT_*, also what EVTCHNOP_status reports. */
export const PortState = { free: 0, unbound: 1, interdomain: 2, pirq: 3, virq: 4, ipi: 5 } as const;
export type PortState = (typeof PortState)[keyof typeof PortState];

export interface Port {
  state: PortState;
  /** vCPU of the owner that is notified. */
  vcpu: number;
  /** unbound: who may bind; interdomain: the peer's domain. */
  remoteDomain: number;
  /** interdomain: the peer's port. */
  remotePort: number;
  /** virq and pirq: its number. */
  source: number;
}

export interface EventChannels {
  /** Index = port number; port 0 is never given out. Grows by {@link portsPerBucket}; a port below the length is valid. */
  readonly ports: Port[];
  /** createdomain's limit; the ABI's is below it or above it. */
  readonly maxPort: number;
}

/** Uses of one entry of a granting domain's table, for all mappings and copies together. */
export interface ActiveGrant {
  /** Machine frame that the uses refer to. */
  readonly frame: number;
  /** Domain that uses it. */
  readonly domain: number;
  /** Uses by purpose: mapped by a processor or for devices, to read or also to write; a copy counts as host. */
  hostRead: number;
  hostWrite: number;
  deviceRead: number;
  deviceWrite: number;
}

/** A mapping that the domain made of another's (or its own) grant: one maptrack entry. */
export interface GrantMapping {
  readonly domain: number;
  readonly reference: number;
  /** GNTMAP_* flags of what is still mapped: device_map 1, host_map 2, readonly 4. */
  flags: number;
}

export interface GrantTable {
  readonly version: 1 | 2;
  readonly maxVersion: 1 | 2;
  readonly maxFrames: number;
  readonly maxMappings: number;
  /** Machine frames of the shared table. */
  readonly frames: number[];
  readonly active: Map<number, ActiveGrant>;
  /** Handle -> mapping. The lowest free handle is given out; none is free below `handleHint`. */
  readonly mappings: Map<number, GrantMapping>;
  handleHint: number;
}

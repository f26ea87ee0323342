/**
 * A domain: its identity, its memory account, and what its vCPUs share. Plain data; behaviour is in the files that are
 * named after the jobs (event-channel, grant-table, domain-lifecycle, ...).
 */

import type { EventChannels } from './event-channel.ts';
import type { GrantTable } from './grant-table.ts';
import type { Vcpu } from './vcpu.ts';

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

/** Owner value meaning no controller. */
export const noController = -1;
export const shutdownCodeNone = 0xff;

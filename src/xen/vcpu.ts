/**
 * One virtual CPU: registers while it is not running, its place in scheduling, its timers and its view of events.
 * Plain data but for two links: `domain`, and `code` where host code plays the guest.
 *
 * While the vCPU runs (`running`), its registers are those of its platform cpu and `context` is stale; the scheduler
 * moves them with saveContext and loadContext. Hypervisor paths therefore reach registers through the cpu of the entry,
 * and only code that changes a vCPU that does not run (VCPUOP_initialise) writes `context`.
 */

import { type CpuContext, newCpuContext } from '../platform/context.ts';
import type { Domain } from './domain.ts';

/** RUNSTATE_* of Xen public/vcpu.h. */
export const Runstate = { running: 0, runnable: 1, blocked: 2, offline: 3 } as const;
export type Runstate = (typeof Runstate)[keyof typeof Runstate];

export const virqCount = 24;

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

/** A vCPU that has not been initialised. `context` has reset values only. */
export function newVcpu(domain: Domain, id: number, processor: number): Vcpu {
  return {
    id,
    domain,
    processor,
    context: newCpuContext(),
    code: undefined,
    codeStarted: false,
    initialised: false,
    down: true,
    blocked: false,
    polling: undefined,
    pollTimeout: undefined,
    pauseCount: 0,
    running: false,
    infoFrame: -1,
    infoOffset: 0,
    infoRegistered: false,
    virqPorts: new Int32Array(virqCount),
    singleshot: undefined,
    periodicPeriod: 0n,
    periodicNext: 0n,
    runstate: { state: Runstate.offline, entryTime: 0n, time: new BigUint64Array(4) },
    runstateArea: 0n,
    timeArea: 0n,
    pv: undefined,
  };
}

/** The state of a paravirtual vCPU before anything was set. */
export function newPvVcpu(): PvVcpu {
  const entry = (): PvEntry => ({ cs: 0, address: 0n, maskEvents: false });
  return {
    kernelMode: true,
    guestTable: 0,
    userTable: 0,
    traps: Array.from({ length: 256 }, () => ({ ...entry(), dpl: 0 })),
    eventCallback: entry(),
    failsafeCallback: entry(),
    syscallCallback: entry(),
    syscall32Callback: entry(),
    sysenterCallback: entry(),
    nmiCallback: entry(),
    kernelSs: 0,
    kernelSp: 0n,
    gsUserSelector: 0,
    taskSwitched: false,
    cr4: 0n,
    debug: new BigUint64Array([0n, 0n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n]),
    cr2: 0n,
    iopl: 0,
    ioBitmap: { address: 0n, ports: 0 },
    gdtFrames: [],
    gdtEntries: 0,
    ldtBase: 0n,
    ldtEntries: 0,
    ldtFrames: new Int32Array(16),
    nmiPending: false,
    nmiBlocked: false,
    mcePending: false,
    mceBlocked: false,
  };
}

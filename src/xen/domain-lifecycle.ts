/**
 * Domains come and go: creation with its shared page, shutdown and crash, resumption, and destruction with every frame,
 * port and grant given back. A destroyed domain whose frames others still use stays as a shell until the last of them
 * is free; its number is not used again before.
 */

import { EEXIST, EINVAL, ENOMEM, ENOSPC } from '../xen-abi/errno.ts';
import { SHUTDOWN_crash } from '../xen-abi/sched.ts';
import { DOMID_FIRST_RESERVED, VIRQ_DOM_EXC } from '../xen-abi/xen.ts';
import { type Domain, type DomainKindName, noController, shutdownCodeNone } from './domain.ts';
import { shareXenFrame, unshareXenFrame } from './domain-memory.ts';
import { closeAllPorts, newEventChannels } from './event-channel.ts';
import { sendGlobalVirq } from './event-delivery.ts';
import { FrameFlag, Owner, PageType } from './frame-table.ts';
import { destroyGrantTable, forgetGranter, growGrantTable, newGrantTable } from './grant-table.ts';
import type { Hypervisor } from './hypervisor.ts';
import { stopNow, sleep, wake } from './scheduler.ts';
import { placeVcpuInfo, setUpcallMask, updateTimeRecord, updateWallClock } from './shared-info.ts';
import { newVcpu, type Vcpu } from './vcpu.ts';

export interface DomainConfig {
  readonly kind: DomainKindName;
  /** A particular id, or undefined for the next free one. */
  readonly id: number | undefined;
  readonly privileged: boolean;
  readonly handle: Uint8Array;
  readonly createFlags: number;
  readonly ssidref: number;
  readonly maxVcpus: number;
  readonly maxPort: number;
  readonly maxGrantFrames: number;
  readonly maxMaptrackFrames: number;
  readonly maxGrantVersion: 1 | 2;
}

export const defaultDomainConfig: DomainConfig = {
  kind: 'pv',
  id: undefined,
  privileged: false,
  handle: new Uint8Array(16),
  createFlags: 0,
  ssidref: 0,
  maxVcpus: 1,
  maxPort: 1023,
  maxGrantFrames: 64,
  maxMaptrackFrames: 1024,
  maxGrantVersion: 1,
};

/** Creates a domain without vCPUs and memory, paused by its controller. The domain, or a negative errno. */
export function createDomain(hypervisor: Hypervisor, config: DomainConfig): Domain | number {
  if (!hypervisor.kinds.has(config.kind)) return -EINVAL;
  const id = config.id ?? freeDomainId(hypervisor);
  if (id < 0) return id;
  if (hypervisor.domains.has(id)) return -EEXIST;
  const sharedInfoFrame = hypervisor.allocator.allocate();
  if (sharedInfoFrame < 0) return -ENOMEM;
  const domain: Domain = {
    id,
    kind: config.kind,
    addressSize: 64,
    privileged: config.privileged,
    controlledBy: noController,
    handle: config.handle.slice(0, 16),
    createFlags: config.createFlags,
    ssidref: config.ssidref,
    maxVcpus: config.maxVcpus,
    vcpus: [],
    totalPages: 0,
    maxPages: 0,
    xenHeapPages: 0,
    claimedPages: 0,
    p2m: undefined,
    memoryMap: undefined,
    compatHoleStart: 0xf5800000,
    sharedInfoFrame,
    events: newEventChannels(config.maxPort),
    grants: newGrantTable(config.maxGrantFrames, config.maxMaptrackFrames, config.maxGrantVersion),
    vmAssist: 0n,
    timeOffsetSeconds: 0n,
    tsc: { mode: 0, khz: hypervisor.platform.tscKhz, incarnation: 0, elapsed: 0n },
    watchdogs: [undefined, undefined],
    pauseCount: 1,
    controllerPauses: 1,
    shutDown: false,
    shutdownCode: shutdownCodeNone,
    dying: 0,
    crashReason: undefined,
    ioPorts: [],
    ioFrames: [],
    consoleLine: '',
    counts: new Map(),
  };
  hypervisor.domains.set(id, domain);
  shareXenFrame(hypervisor, domain, sharedInfoFrame);
  let result = growGrantTable(hypervisor, domain, 1) ? 0 : -ENOMEM;
  if (result === 0) result = hypervisor.kind(domain).createDomain(hypervisor, domain);
  if (result < 0) {
    destroyDomain(hypervisor, domain);
    return result;
  }
  updateWallClock(hypervisor, domain);
  for (const observer of hypervisor.observers) observer.domainCreated?.(domain);
  return domain;
}

/** XEN_DOMCTL_max_vcpus: creates all vCPUs of the domain, down and without context. */
export function createVcpus(hypervisor: Hypervisor, domain: Domain): void {
  for (let id = domain.vcpus.length; id < domain.maxVcpus; id++) {
    const vcpu = newVcpu(domain, id, hypervisor.placementOf(domain.id, id));
    domain.vcpus.push(vcpu);
    placeVcpuInfo(vcpu);
    // The upcall masks are set by whoever builds the domain; a vCPU without a builder starts masked all the same.
    setUpcallMask(hypervisor, vcpu, true);
    updateTimeRecord(hypervisor, vcpu, hypervisor.cpuOf(vcpu).cycles);
    vcpu.runstate.entryTime = hypervisor.now(hypervisor.cpuOf(vcpu));
    hypervisor.kind(domain).createVcpu(hypervisor, vcpu);
  }
}

/** SCHEDOP_shutdown and crashes: all vCPUs stop, the toolstack hears of it. */
export function shutdownDomain(hypervisor: Hypervisor, domain: Domain, code: number): void {
  if (domain.shutDown || domain.dying !== 0) return;
  if (domain.shutdownCode === shutdownCodeNone) domain.shutdownCode = code & 0xff;
  domain.shutDown = true;
  for (const vcpu of domain.vcpus) sleep(hypervisor, vcpu);
  for (const observer of hypervisor.observers) {
    observer.domainShutdown?.(domain, domain.shutdownCode, domain.crashReason);
  }
  if (domain.id !== 0) sendGlobalVirq(hypervisor, VIRQ_DOM_EXC);
}

/** XEN_DOMCTL_resumedomain: after a suspension that was cancelled or a checkpoint. */
export function resumeDomain(hypervisor: Hypervisor, domain: Domain): void {
  if (!domain.shutDown || domain.dying !== 0) return;
  domain.shutDown = false;
  domain.shutdownCode = shutdownCodeNone;
  domain.crashReason = undefined;
  for (const vcpu of domain.vcpus) wake(hypervisor, vcpu);
}

/** XEN_DOMCTL_destroydomain. Nothing of the domain runs afterwards; what it held is free or waits for others to let go. */
export function destroyDomain(hypervisor: Hypervisor, domain: Domain): void {
  if (domain.dying !== 0) return;
  for (const vcpu of domain.vcpus) stopNow(hypervisor, vcpu);
  domain.dying = 1;
  closeAllPorts(hypervisor, domain);
  for (const vcpu of domain.vcpus) releaseVcpuInfo(hypervisor, vcpu);
  hypervisor.kind(domain).relinquish(hypervisor, domain);
  destroyGrantTable(hypervisor, domain);
  unshareXenFrame(hypervisor, domain.sharedInfoFrame);
  const { frames } = hypervisor;
  for (let frame = 0; frame < frames.frameCount; frame++) {
    if (frames.owner[frame] === domain.id) frames.putAllocation(frame);
  }
  domain.claimedPages = 0;
  domain.dying = 2;
  if (domain.id !== 0) sendGlobalVirq(hypervisor, VIRQ_DOM_EXC);
  removeIfGone(hypervisor, domain);
}

/** Forgets a dead domain when its last frame is free. Called whenever a frame is freed. */
export function removeIfGone(hypervisor: Hypervisor, domain: Domain): void {
  if (domain.dying !== 2 || domain.totalPages > 0 || domain.xenHeapPages > 0) return;
  if (!hypervisor.domains.delete(domain.id)) return;
  // The id may come again: nothing that named this domain may name the next one.
  for (const other of hypervisor.domains.values()) {
    forgetGranter(other, domain.id);
    if (other.controlledBy === domain.id) other.controlledBy = noController;
  }
  for (const observer of hypervisor.observers) observer.domainDestroyed?.(domain);
  if (domain.id !== 0) sendGlobalVirq(hypervisor, VIRQ_DOM_EXC);
}

/** Gives the page of VCPUOP_register_vcpu_info back. */
function releaseVcpuInfo(hypervisor: Hypervisor, vcpu: Vcpu): void {
  if (!vcpu.infoRegistered) return;
  hypervisor.frames.putPageAndType(vcpu.infoFrame);
  vcpu.infoRegistered = false;
  vcpu.infoFrame = -1;
}

function freeDomainId(hypervisor: Hypervisor): number {
  for (let tries = 1; tries < DOMID_FIRST_RESERVED; tries++) {
    const id = hypervisor.nextDomainId;
    hypervisor.nextDomainId = id + 1 < DOMID_FIRST_RESERVED ? id + 1 : 1;
    if (!hypervisor.domains.has(id)) return id;
  }
  return -ENOSPC;
}

/**
 * Ends a domain that cannot go on (unwritable bounce stack, no handler, bad iret frame): shut down with SHUTDOWN_crash.
 * The guest is not returned to.
 */
export function crashDomain(hypervisor: Hypervisor, domain: Domain, reason: string): void {
  if (domain.shutDown || domain.dying !== 0) return;
  domain.crashReason = reason;
  hypervisor.log(`domain ${domain.id} crashed: ${reason}`);
  shutdownDomain(hypervisor, domain, SHUTDOWN_crash);
}

/** FrameTable.freed: the frame returns to the free ones, scrubbed, and its domain's account is settled. */
export function frameFreed(hypervisor: Hypervisor, frame: number): void {
  const { frames } = hypervisor;
  const domain = hypervisor.domains.get(frames.owner[frame] as number);
  const fromXenHeap = frames.has(frame, FrameFlag.xenHeap);
  frames.owner[frame] = Owner.none;
  frames.type[frame] = PageType.none;
  frames.flags[frame] = 0;
  hypervisor.allocator.release(frame);
  if (domain === undefined) return;
  // DEVIATION: Xen scrubs only what dead domains leave behind; here nothing of a domain ever reaches another.
  hypervisor.memory.zeroFrame(frame);
  if (fromXenHeap) domain.xenHeapPages--;
  else domain.totalPages--;
  removeIfGone(hypervisor, domain);
}

/**
 * The hypervisor builds the first domain, which has nobody else to build it: memory, page tables, P2M list and
 * start_info as xen-abi/start-of-day plans them, written straight into the domain's frames. The kernel is host code
 * (guest-port's HostGuest) or an ELF image. Everything after this Dom0 does by hypercalls.
 * Source: Xen public/xen.h "Start-of-day memory layout".
 */

import { ConfigError } from '../base/errors.ts';
import type { PvImage } from '../xen-abi/elf-notes.ts';
import type { GuestPort, HostGuest } from '../xen-abi/guest-port.ts';
import { hypercallPage64 } from '../xen-abi/hypercall-page.ts';
import {
  encodeStartInfo,
  firstRegisters,
  forEachTableEntry,
  planStartOfDay,
  type PvKernel,
  SIF_INITDOMAIN,
  SIF_MULTIBOOT_MOD,
  SIF_PRIVILEGED,
  type StartOfDayPlan,
} from '../xen-abi/start-of-day.ts';
import { cpu_user_regs, vcpu_guest_context, vcpu_guest_context_64, VGCF_in_kernel, VGCF_online } from '../xen-abi/vcpu.ts';
import { type Domain, isHardwareDomain } from './domain.ts';
import { createDomain, createVcpus, defaultDomainConfig, destroyDomain } from './domain-lifecycle.ts';
import { assignFrames } from './domain-memory.ts';
import { attachHostGuest } from './host-guest.ts';
import { applyContext, setPeriodic } from './hypercall/vcpu-op.ts';
import type { Hypervisor } from './hypervisor.ts';
import { unpauseDomain } from './scheduler.ts';
import type { Vcpu } from './vcpu.ts';

const frameBytes = 4096;
/** Of 36-bit physical addresses, the least that an x86-64 processor has. */
const HIGHEST_IO_FRAME = 2 ** 24 - 1;

export interface Dom0Options {
  /** Memory in frames. */
  readonly pages: number;
  readonly kernel: { readonly hostCode: HostGuest } | { readonly image: PvImage };
  readonly ramdisk?: Uint8Array;
  readonly commandLine?: string;
  /** Default 1; host code has one. */
  readonly maxVcpus?: number;
  /** Default 0: the first domain. A test may build others in the same way. */
  readonly id?: number;
}

export interface BuiltDom0 {
  readonly domain: Domain;
  /** Of host code. */
  readonly port: GuestPort | undefined;
}

/**
 * Builds the domain and lets it run: its vCPU 0 starts at the next entry of its cpu.
 * @throws {ConfigError} when the kernel or its memory does not fit.
 */
export function buildDom0(hypervisor: Hypervisor, options: Dom0Options): BuiltDom0 {
  const { kernel, pages } = options;
  const plan = planStartOfDay({
    kernel: 'image' in kernel ? kernel.image.kernel : hostKernel(kernel.hostCode),
    totalPages: pages,
    ramdiskBytes: options.ramdisk?.length ?? 0,
    initialDomain: true,
  });
  const domain = createDomain(hypervisor, {
    ...defaultDomainConfig,
    id: options.id ?? 0,
    privileged: (options.id ?? 0) === 0,
    maxVcpus: options.maxVcpus ?? 1,
    maxPort: 4095,
  });
  if (typeof domain === 'number') throw new ConfigError(`the first domain cannot be created (error ${-domain})`);
  try {
    return { domain, port: fill(hypervisor, domain, options, plan) };
  } catch (error) {
    destroyDomain(hypervisor, domain);
    throw error;
  }
}

/** All ports and all memory that is not RAM, but for the ports of the devices that the hypervisor keeps: PICs and PIT. */
function giveHardware(domain: Domain): void {
  const kept = [0x20, 0x40, 0x61, 0xa0] as const;
  domain.ioPorts.push(
    { first: 0, last: kept[0] - 1 },
    { first: kept[0] + 2, last: kept[1] - 1 },
    { first: kept[1] + 4, last: kept[2] - 1 },
    { first: kept[2] + 1, last: kept[3] - 1 },
    { first: kept[3] + 2, last: 0xffff },
  );
  domain.ioFrames.push({ first: 0, last: HIGHEST_IO_FRAME });
}

/** Memory, contents and first vCPU of the new domain. */
function fill(hypervisor: Hypervisor, domain: Domain, options: Dom0Options, plan: StartOfDayPlan): GuestPort | undefined {
  const { kernel, pages, ramdisk = new Uint8Array(0) } = options;
  domain.maxPages = pages;
  if (isHardwareDomain(domain)) giveHardware(domain);
  const frames = allocateMemory(hypervisor, domain, pages);
  if ('image' in kernel) loadImage(hypervisor, kernel.image, frames, plan);
  writeRamdisk(hypervisor, ramdisk, frames, plan);
  writeTables(hypervisor, frames, plan);
  writeP2m(hypervisor, frames, plan);
  const startInfo = encodeStartInfo(plan, {
    flags: SIF_PRIVILEGED | SIF_INITDOMAIN | (ramdisk.length > 0 ? SIF_MULTIBOOT_MOD : 0),
    sharedInfoMfn: domain.sharedInfoFrame,
    storeMfn: 0,
    storePort: 0,
    consoleMfn: 0,
    consolePort: 0,
    commandLine: options.commandLine ?? '',
  });
  writeVirtually(hypervisor, frames, plan, plan.startInfoVirtual, startInfo);
  createVcpus(hypervisor, domain);
  const vcpu = domain.vcpus[0] as Vcpu;
  let port: GuestPort | undefined;
  if ('hostCode' in kernel) port = attachHostGuest(hypervisor, vcpu, kernel.hostCode, plan.startInfoVirtual);
  const root = frames[plan.tables[0]?.pfn as number] as number;
  const outcome = applyContext(hypervisor, vcpu, firstContext(plan, root));
  if (outcome < 0) throw new ConfigError(`the first domain's context is refused (error ${-outcome})`);
  if ('image' in kernel) setPeriodic(hypervisor, vcpu, defaultPeriod);
  domain.controllerPauses = 0;
  unpauseDomain(hypervisor, domain);
  return port;
}

/** Every PV vCPU starts with a 100 Hz timer, which most kernels stop. */
const defaultPeriod = 10_000_000n;

function hostKernel(guest: HostGuest): PvKernel {
  const { virtBase, pages } = guest.image;
  return {
    virtBase,
    virtStart: virtBase,
    virtEnd: virtBase + BigInt(pages * frameBytes),
    entry: virtBase,
    initP2m: undefined,
    modStartPfn: false,
  };
}

/** Frames of the domain by guest frame number, zeroed and in the M2P. */
function allocateMemory(hypervisor: Hypervisor, domain: Domain, pages: number): Int32Array {
  if (hypervisor.allocator.free < pages) {
    throw new ConfigError(`the first domain wants ${pages} pages, but only ${hypervisor.allocator.free} are free`);
  }
  const frames = new Int32Array(pages);
  for (let pfn = 0; pfn < pages; pfn++) {
    const frame = hypervisor.allocator.allocate();
    assignFrames(hypervisor, domain, frame, 1);
    hypervisor.memory.zeroFrame(frame);
    hypervisor.m2p.write(frame, BigInt(pfn));
    frames[pfn] = frame;
  }
  return frames;
}

function loadImage(hypervisor: Hypervisor, image: PvImage, frames: Int32Array, plan: StartOfDayPlan): void {
  for (const segment of image.segments) writeVirtually(hypervisor, frames, plan, segment.virtual, segment.data);
  const { hypercallPage } = image.info;
  if (hypercallPage !== undefined) writeVirtually(hypervisor, frames, plan, hypercallPage, hypercallPage64());
}

function writeRamdisk(hypervisor: Hypervisor, ramdisk: Uint8Array, frames: Int32Array, plan: StartOfDayPlan): void {
  const region = plan.regions.find(({ name }) => name === 'ramdisk');
  if (region !== undefined) writeFrames(hypervisor, frames, region.pfn * frameBytes, ramdisk);
}

function writeTables(hypervisor: Hypervisor, frames: Int32Array, plan: StartOfDayPlan): void {
  forEachTableEntry(plan, (tablePfn, index, targetPfn, flags) => {
    const entry = (BigInt(frames[targetPfn] as number) << 12n) | BigInt(flags);
    hypervisor.memory.writeU64((frames[tablePfn] as number) * frameBytes + index * 8, entry);
  });
}

function writeP2m(hypervisor: Hypervisor, frames: Int32Array, plan: StartOfDayPlan): void {
  const list = new BigUint64Array(frames.length);
  frames.forEach((frame, pfn) => {
    list[pfn] = BigInt(frame);
  });
  writeFrames(hypervisor, frames, plan.p2m.pfn * frameBytes, new Uint8Array(list.buffer));
}

/** Writes at a virtual address of the first mapping, whose guest frames are contiguous from VIRT_BASE. */
function writeVirtually(hypervisor: Hypervisor, frames: Int32Array, plan: StartOfDayPlan, virtual: bigint, bytes: Uint8Array): void {
  writeFrames(hypervisor, frames, Number(virtual - plan.kernel.virtBase), bytes);
}

function writeFrames(hypervisor: Hypervisor, frames: Int32Array, guestPhysical: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    const at = guestPhysical + done;
    const offset = at % frameBytes;
    const length = Math.min(frameBytes - offset, bytes.length - done);
    const frame = frames[Math.floor(at / frameBytes)] as number;
    hypervisor.memory.writeBytes(frame * frameBytes + offset, bytes.subarray(done, done + length));
    done += length;
  }
}

/** vcpu_guest_context of the first instruction. */
function firstContext(plan: StartOfDayPlan, rootFrame: number): Uint8Array {
  const first = firstRegisters(plan);
  const registers = cpu_user_regs.write({
    rip: first.rip,
    rsp: first.rsp,
    rsi: first.rsi,
    cs: first.cs,
    ss: first.ss,
    rflags: first.rflags,
  });
  const image = vcpu_guest_context.write({
    flags: BigInt(VGCF_in_kernel | VGCF_online),
    user_regs: registers,
    kernel_ss: BigInt(first.ss),
    kernel_sp: first.rsp,
  });
  return vcpu_guest_context_64.write({ ctrlreg3: BigInt(rootFrame) << 12n }, image);
}

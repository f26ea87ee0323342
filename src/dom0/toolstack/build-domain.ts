/**
 * Builds a PV domain from its checked configuration, by hypercalls only, in the order of the steps below. When a step
 * fails, the domain is destroyed again and the error passed on; the new domain is paused at the end.
 *
 *  1. createdomain, max_vcpus, max_mem, memory map, TSC mode; two unbound event channels towards Dom0: xenstore and console.
 *  2. populate_physmap; the layout comes from xen-abi/start-of-day.
 *  3. Kernel, ramdisk, P2M list, start_info, the two ring pages and the boot stack are written through the window.
 *  4. Page tables are written, the hypercall page filled, upcall masks set in shared_info.
 *  5. Grants 0 (console) and 1 (xenstore) towards Dom0.
 *  6. The level-4 table is pinned, and vCPU 0 gets its first registers.
 *
 * Sources: Xen public/domctl.h, memory.h, xen.h "Start-of-day memory layout", grant_table.h reserved entries.
 */

import { BackendError, ConfigError } from '../../base/errors.ts';
import {
  XEN_DOMCTL_createdomain,
  XEN_DOMCTL_destroydomain,
  XEN_DOMCTL_getdomaininfo,
  XEN_DOMCTL_hypercall_init,
  XEN_DOMCTL_max_mem,
  XEN_DOMCTL_max_vcpus,
  XEN_DOMCTL_settscinfo,
  XEN_DOMCTL_setvcpucontext,
  xen_domctl_createdomain,
  xen_domctl_getdomaininfo,
  xen_domctl_hypercall_init,
  xen_domctl_max_mem,
  xen_domctl_max_vcpus,
  xen_domctl_tsc_info,
  xen_domctl_vcpucontext,
} from '../../xen-abi/domctl.ts';
import { EAGAIN, EOPNOTSUPP, ERESTART } from '../../xen-abi/errno.ts';
import { EVTCHNOP_alloc_unbound, evtchn_alloc_unbound } from '../../xen-abi/event-channel.ts';
import {
  GNTST_okay,
  GNTTAB_RESERVED_CONSOLE,
  GNTTAB_RESERVED_XENSTORE,
  GNTTABOP_setup_table,
  GTF_permit_access,
  gnttab_setup_table,
  grant_entry_v1,
} from '../../xen-abi/grant-table.ts';
import { CONSOLE_CONNECTION, XENCONSOLE_DISCONNECTED } from '../../xen-abi/io/console.ts';
import {
  E820_RAM,
  e820_entry,
  XENMEM_acquire_resource,
  XENMEM_resource_grant_table,
  XENMEM_set_memory_map,
  xen_foreign_memory_map,
  xen_mem_acquire_resource,
} from '../../xen-abi/memory.ts';
import {
  encodeStartInfo,
  firstRegisters,
  forEachTableEntry,
  PAGE_BYTES,
  planStartOfDay,
  type Region,
  type StartOfDayPlan,
} from '../../xen-abi/start-of-day.ts';
import { cpu_user_regs, VGCF_in_kernel, VGCF_online, vcpu_guest_context, vcpu_guest_context_64 } from '../../xen-abi/vcpu.ts';
import { XEN_CAPABILITIES_INFO_LEN, XENVER_capabilities } from '../../xen-abi/version.ts';
import { Hypercall, LEGACY_MAX_VCPUS, MMUEXT_PIN_L4_TABLE, vcpu_info } from '../../xen-abi/xen.ts';
import { hypercallError } from '../kernel/hypercalls.ts';
import type { Dom0Kernel } from '../kernel/kernel.ts';
import type { CheckedPvConfig } from './domain-config.ts';
import { GuestFrames } from './guest-frames.ts';

/** What the rest of Dom0 needs to know of a new domain. */
export interface BuiltDomain {
  readonly domid: number;
  readonly storePort: number;
  readonly consolePort: number;
  readonly storeMfn: bigint;
  readonly consoleMfn: bigint;
}

/** Room above memoryMiB in max_mem, as the usual toolstack leaves it. */
const maxMemSlackKib = 1024n;

/** @throws {ConfigError} when the configuration cannot work here, {BackendError} when the hypervisor refuses. */
export function buildDomain(kernel: Dom0Kernel, config: CheckedPvConfig, uuid: Uint8Array): BuiltDomain {
  checkCapabilities(kernel, 'xen-3.0-x86_64', '64-bit PV domains');
  const totalPages = config.memoryMiB * 256;
  // Pure, so that what cannot fit is refused before anything exists.
  const plan = planStartOfDay({ kernel: config.image.kernel, totalPages, ramdiskBytes: config.ramdisk.length, initialDomain: false });
  const domid = kernel.calls.mustDomctl(XEN_DOMCTL_createdomain, 0, xen_domctl_createdomain, {
    handle: uuid,
    flags: 0, // neither hvm nor any option of it: PV
    max_vcpus: config.vcpus,
    max_evtchn_port: 1023,
    max_grant_frames: -1,
    max_maptrack_frames: -1,
    grant_opts: 1, // grant tables up to version 1
  });
  try {
    return fill(kernel, config, plan, domid);
  } catch (error) {
    destroyDomain(kernel, domid);
    throw error;
  }
}

/** Destroys a domain; the hypervisor may need several calls until its memory is free. */
export function destroyDomain(kernel: Dom0Kernel, domid: number): void {
  for (let attempt = 0; attempt < 1 << 16; attempt++) {
    kernel.calls.begin();
    const { result } = kernel.calls.domctl(XEN_DOMCTL_destroydomain, domid);
    if (result === 0) return;
    if (result !== -EAGAIN && result !== -ERESTART) throw hypercallError(`domctl.destroydomain of domain ${domid}`, result);
  }
  throw new BackendError('HYPERCALL', `domctl.destroydomain of domain ${domid} does not come to an end`);
}

function fill(kernel: Dom0Kernel, config: CheckedPvConfig, plan: StartOfDayPlan, domid: number): BuiltDomain {
  const { calls } = kernel;
  calls.mustDomctl(XEN_DOMCTL_max_vcpus, domid, xen_domctl_max_vcpus, { max: config.vcpus });
  calls.mustDomctl(XEN_DOMCTL_max_mem, domid, xen_domctl_max_mem, { max_memkb: BigInt(config.memoryMiB * 1024) + maxMemSlackKib });
  setMemoryMap(kernel, domid, config.memoryMiB);
  calls.mustDomctl(XEN_DOMCTL_settscinfo, domid, xen_domctl_tsc_info, { tsc_mode: 0 });
  const storePort = calls.eventChannel(EVTCHNOP_alloc_unbound, evtchn_alloc_unbound, { dom: domid, remote_dom: 0 }).port;
  const consolePort = calls.eventChannel(EVTCHNOP_alloc_unbound, evtchn_alloc_unbound, { dom: domid, remote_dom: 0 }).port;

  const frames = new GuestFrames(kernel, domid);
  frames.populate(plan.totalPages);
  const region = (name: Region['name']): Region => plan.regions.find((each) => each.name === name) as Region;
  const storeMfn = frames.mfn(region('xenstore').pfn);
  const consoleMfn = frames.mfn(region('console').pfn);
  const sharedInfo = domainInfo(kernel, domid).shared_info_frame;

  writeImage(frames, config, plan);
  writeP2m(frames, plan);
  const startInfo = encodeStartInfo(plan, {
    flags: 0,
    sharedInfoMfn: Number(sharedInfo),
    storeMfn: Number(storeMfn),
    storePort,
    consoleMfn: Number(consoleMfn),
    consolePort,
    commandLine: config.commandLine,
  });
  frames.write(region('start-info').pfn, 1, (into) => into.set(startInfo));
  frames.write(region('xenstore').pfn, 1, () => {});
  frames.write(region('console').pfn, 1, (into) => new DataView(into.buffer).setUint32(CONSOLE_CONNECTION, XENCONSOLE_DISCONNECTED, true));
  frames.write(region('boot-stack').pfn, 1, () => {});
  const hypercallPage = config.image.info.hypercallPage;
  if (hypercallPage !== undefined) {
    const gmfn = frames.mfn(Number((hypercallPage - plan.kernel.virtBase) / BigInt(PAGE_BYTES)));
    calls.mustDomctl(XEN_DOMCTL_hypercall_init, domid, xen_domctl_hypercall_init, { gmfn });
  }
  // The rest of the page is zero, as the hypervisor made it; legacy vCPUs start with upcalls masked.
  kernel.memory.withFrames(domid, [sharedInfo], (address) => {
    const mask = vcpu_info.offset('evtchn_upcall_mask');
    for (let vcpu = 0; vcpu < LEGACY_MAX_VCPUS; vcpu++) kernel.memory.write(address + BigInt(vcpu * 64 + mask), Uint8Array.of(1));
  });
  seedGrants(kernel, domid, consoleMfn, storeMfn);
  writePageTables(frames, plan);

  const root = frames.mfn(plan.tables[0]?.pfn as number);
  const pinned = calls.mmuext(MMUEXT_PIN_L4_TABLE, root, domid);
  if (pinned < 0) throw hypercallError(`mmuext_op.pin_l4_table of domain ${domid}`, pinned);
  calls.begin();
  const ctxt = calls.place(firstContext(plan, root));
  const { result } = calls.domctl(XEN_DOMCTL_setvcpucontext, domid, xen_domctl_vcpucontext, { vcpu: 0, ctxt });
  if (result < 0) throw hypercallError(`domctl.setvcpucontext of domain ${domid}`, result);
  return { domid, storePort, consolePort, storeMfn, consoleMfn };
}

/** One range of RAM. A hypervisor without the call leaves the guest to assume the same, so the result does not matter. */
function setMemoryMap({ calls }: Dom0Kernel, domid: number, memoryMiB: number): void {
  calls.begin();
  const buffer = calls.place(e820_entry.write({ addr: 0n, size: BigInt(memoryMiB) << 20n, type: E820_RAM }));
  calls.operation(Hypercall.memory_op, XENMEM_set_memory_map, xen_foreign_memory_map, { domid, nr_entries: 1, buffer });
}

/** @throws {ConfigError} when the hypervisor does not offer this kind of guest. */
export function checkCapabilities(kernel: Dom0Kernel, guest: string, what: string): void {
  const { calls } = kernel;
  calls.begin();
  const buffer = calls.place(new Uint8Array(XEN_CAPABILITIES_INFO_LEN));
  const result = Number(calls.port.hypercall(Hypercall.xen_version, BigInt(XENVER_capabilities), buffer));
  if (result < 0) throw hypercallError('xen_version.capabilities', result);
  const text = String.fromCharCode(...calls.fetch(buffer, XEN_CAPABILITIES_INFO_LEN)).replace(/\0.*/s, '');
  if (!text.split(' ').includes(guest)) throw new ConfigError(`the hypervisor cannot run ${what}, only "${text.trim()}"`);
}

/** getdomaininfo of exactly this domain. @throws {BackendError} when there is none. */
export function domainInfo(kernel: Dom0Kernel, domid: number): ReturnType<typeof xen_domctl_getdomaininfo.read> {
  kernel.calls.begin();
  const { result, domain, out } = kernel.calls.domctl(XEN_DOMCTL_getdomaininfo, domid, xen_domctl_getdomaininfo);
  if (result < 0 || domain !== domid || out === undefined) throw new BackendError('NO_DOMAIN', `there is no domain ${domid}`);
  return out;
}

/** Kernel segments with their zeroed rest, then the ramdisk. */
function writeImage(frames: GuestFrames, config: CheckedPvConfig, plan: StartOfDayPlan): void {
  const { virtBase } = plan.kernel;
  for (const { name, pfn, pages } of plan.regions) {
    if (name === 'ramdisk') {
      frames.write(pfn, pages, (into, firstPage) => {
        const from = firstPage * PAGE_BYTES;
        into.set(config.ramdisk.subarray(from, Math.min(from + into.length, config.ramdisk.length)));
      });
    } else if (name === 'kernel') {
      frames.write(pfn, pages, (into, firstPage) => {
        const start = virtBase + BigInt((pfn + firstPage) * PAGE_BYTES);
        for (const segment of config.image.segments) copyOverlap(into, start, segment.data, segment.virtual);
      });
    }
  }
}

/** Copies the part of `data` (at address `at`) that lies in `into` (at address `start`). */
function copyOverlap(into: Uint8Array, start: bigint, data: Uint8Array, at: bigint): void {
  const from = at > start ? at : start;
  const [intoEnd, dataEnd] = [start + BigInt(into.length), at + BigInt(data.length)];
  const to = intoEnd < dataEnd ? intoEnd : dataEnd;
  if (from < to) into.set(data.subarray(Number(from - at), Number(to - at)), Number(from - start));
}

function writeP2m(frames: GuestFrames, plan: StartOfDayPlan): void {
  frames.write(plan.p2m.pfn, plan.p2m.listPages, (into, firstPage) => {
    const view = new DataView(into.buffer);
    for (let i = 0; i < into.length / 8; i++) {
      view.setBigUint64(8 * i, frames.mfns[firstPage * 512 + i] ?? 0xffff_ffff_ffff_ffffn, true);
    }
  });
}

function writePageTables(frames: GuestFrames, plan: StartOfDayPlan): void {
  const tables = new Map(plan.tables.map(({ pfn }) => [pfn, new BigUint64Array(512)]));
  forEachTableEntry(plan, (tablePfn, index, targetPfn, flags) => {
    (tables.get(tablePfn) as BigUint64Array)[index] = (frames.mfn(targetPfn) << 12n) | BigInt(flags);
  });
  for (const [pfn, entries] of tables) frames.write(pfn, 1, (into) => into.set(new Uint8Array(entries.buffer)));
}

/** Entry 0 gives Dom0 the console page, entry 1 the xenstore page. */
function seedGrants(kernel: Dom0Kernel, domid: number, consoleMfn: bigint, storeMfn: bigint): void {
  const table = grantTableFrame(kernel, domid);
  const size = grant_entry_v1.size();
  kernel.memory.withFrames(domid, [table], (address) => {
    const seed = (reference: number, mfn: bigint): void =>
      kernel.memory.write(
        address + BigInt(reference * size),
        grant_entry_v1.write({ flags: GTF_permit_access, domid: 0, frame: Number(mfn) }),
      );
    seed(GNTTAB_RESERVED_CONSOLE, consoleMfn);
    seed(GNTTAB_RESERVED_XENSTORE, storeMfn);
  });
}

/** The first frame of a domain's grant table: XENMEM_acquire_resource, or GNTTABOP_setup_table where that is not offered. */
function grantTableFrame(kernel: Dom0Kernel, domid: number): bigint {
  const { calls } = kernel;
  calls.begin();
  const list = calls.place(new Uint8Array(8));
  const acquired = calls.operation(Hypercall.memory_op, XENMEM_acquire_resource, xen_mem_acquire_resource, {
    domid,
    type: XENMEM_resource_grant_table,
    nr_frames: 1,
    frame_list: list,
  });
  if (acquired.result < 0) {
    if (acquired.result !== -EOPNOTSUPP) throw hypercallError(`memory_op.acquire_resource of domain ${domid}`, acquired.result);
    const at = calls.place(gnttab_setup_table.write({ dom: domid, nr_frames: 1, frame_list: list }));
    const result = Number(calls.port.hypercall(Hypercall.grant_table_op, BigInt(GNTTABOP_setup_table), at, 1n));
    const { status } = gnttab_setup_table.read(calls.fetch(at, gnttab_setup_table.size()));
    if (result < 0 || status !== GNTST_okay)
      throw hypercallError(`grant_table_op.setup_table of domain ${domid}`, result < 0 ? result : status);
  }
  const frame = calls.fetch(list, 8);
  return new DataView(frame.buffer, frame.byteOffset).getBigUint64(0, true);
}

/** vcpu_guest_context of vCPU 0; what is not set here is 0. */
function firstContext(plan: StartOfDayPlan, root: bigint): Uint8Array {
  const { rip, rsp, rsi, cs, ss, rflags } = firstRegisters(plan);
  const registers = cpu_user_regs.write({ rip, rsp, rsi, cs, ss, rflags });
  const context = vcpu_guest_context.write({
    flags: BigInt(VGCF_in_kernel | VGCF_online),
    user_regs: registers,
    kernel_ss: BigInt(ss),
    kernel_sp: rsp,
  });
  vcpu_guest_context_64.write({ ctrlreg3: root << 12n }, context);
  return context;
}

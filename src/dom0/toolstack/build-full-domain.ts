/**
 * Builds a full domain from its checked configuration, by hypercalls only; the new domain is paused at the end.
 *
 *  1. createdomain with the HVM flag, max_vcpus, max_mem; two unbound event channels towards Dom0.
 *  2. populate_physmap: guest frames from 0 on in 2 MiB extents (so that the second stage can use large leaves), then
 *     the two ring pages behind the memory; set_memory_map says which of it is RAM.
 *  3. The kernel (multiboot, Linux or PVH), its ramdisk and information are written through foreign maps, which name guest frames.
 *  4. hvm_op set_param: the ring pages and their ports. Grants 0 (console) and 1 (xenstore) towards Dom0.
 *  5. vCPU 0 gets the registers of a multiboot loader. Without a kernel it stays as it is: host code will own ring 0.
 *
 * Sources: Xen public/domctl.h, memory.h, hvm/hvm_op.h, hvm/params.h, hvm/hvm_vcpu.h; Multiboot Specification §3.2.
 */

import type { FlatStart } from '../../boot/linux.ts';
import { loadKernel } from '../../boot/load-kernel.ts';
import {
  XEN_DOMCTL_CDF_hap,
  XEN_DOMCTL_CDF_hvm,
  XEN_DOMCTL_createdomain,
  XEN_DOMCTL_max_mem,
  XEN_DOMCTL_max_vcpus,
  XEN_DOMCTL_setvcpucontext,
  xen_domctl_createdomain,
  xen_domctl_max_mem,
  xen_domctl_max_vcpus,
  xen_domctl_vcpucontext,
} from '../../xen-abi/domctl.ts';
import { EVTCHNOP_alloc_unbound, evtchn_alloc_unbound } from '../../xen-abi/event-channel.ts';
import { GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE, GTF_permit_access, grant_entry_v1 } from '../../xen-abi/grant-table.ts';
import {
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_CONSOLE_PFN,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
  HVMOP_set_param,
  VCPU_HVM_MODE_32B,
  vcpu_hvm_context_32,
  XENMAPSPACE_grant_table,
  xen_add_to_physmap,
  xen_hvm_param,
} from '../../xen-abi/hvm.ts';
import { CONSOLE_CONNECTION, XENCONSOLE_DISCONNECTED } from '../../xen-abi/io/console.ts';
import {
  E820_RAM,
  E820_RESERVED,
  e820_entry,
  XENMEM_add_to_physmap,
  XENMEM_remove_from_physmap,
  XENMEM_set_memory_map,
  xen_foreign_memory_map,
  xen_remove_from_physmap,
} from '../../xen-abi/memory.ts';
import { PAGE_BYTES } from '../../xen-abi/start-of-day.ts';
import { Hypercall } from '../../xen-abi/xen.ts';
import { hypercallError } from '../kernel/hypercalls.ts';
import type { Dom0Kernel } from '../kernel/kernel.ts';
import { type BuiltDomain, checkCapabilities, destroyDomain } from './build-domain.ts';
import type { CheckedFullConfig } from './domain-config.ts';
import { GuestFrames } from './guest-frames.ts';

const maxMemSlackKib = 1024n;
const lowMemoryEnd = 0xa_0000;
const highMemoryStart = 0x10_0000;
/** Console ring, xenstore ring. */
const specialPages = 2;
/** cr0 PE and ET; flat 4 GiB segments in the layout of vcpu_hvm_context. */
const cr0ProtectedMode = 0x11;
const flatLimit = 0xffff_ffff;
const flatCode = 0xc9b;
const flatData = 0xc93;
const taskState = { limit: 0x67, attributes: 0x8b };

/** @throws {ConfigError} when the configuration cannot work here, {BackendError} when the hypervisor refuses. */
export function buildFullDomain(kernel: Dom0Kernel, config: CheckedFullConfig, uuid: Uint8Array): BuiltDomain {
  checkCapabilities(kernel, 'hvm-3.0-x86_64', 'full domains');
  const image = new PagedImage(config.memoryMiB * 2 ** 20);
  // Pure, so that what cannot fit is refused before anything exists.
  const { name, commandLine, ramdisk, vcpus } = config;
  const start = config.kernel && loadKernel(image, config.kernel, { name, commandLine, ramdisk, processors: vcpus });
  const domid = kernel.calls.mustDomctl(XEN_DOMCTL_createdomain, 0, xen_domctl_createdomain, {
    handle: uuid,
    flags: XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
    max_vcpus: config.vcpus,
    max_evtchn_port: 1023,
    max_grant_frames: -1,
    max_maptrack_frames: -1,
    grant_opts: 1, // grant tables up to version 1
  });
  try {
    return fill(kernel, config, image, start, domid);
  } catch (error) {
    destroyDomain(kernel, domid);
    throw error;
  }
}

function fill(kernel: Dom0Kernel, config: CheckedFullConfig, image: PagedImage, start: FlatStart | undefined, domid: number): BuiltDomain {
  const { calls } = kernel;
  const memoryPages = config.memoryMiB * 256;
  calls.mustDomctl(XEN_DOMCTL_max_vcpus, domid, xen_domctl_max_vcpus, { max: config.vcpus });
  calls.mustDomctl(XEN_DOMCTL_max_mem, domid, xen_domctl_max_mem, { max_memkb: BigInt(config.memoryMiB * 1024) + maxMemSlackKib });
  const storePort = calls.eventChannel(EVTCHNOP_alloc_unbound, evtchn_alloc_unbound, { dom: domid, remote_dom: 0 }).port;
  const consolePort = calls.eventChannel(EVTCHNOP_alloc_unbound, evtchn_alloc_unbound, { dom: domid, remote_dom: 0 }).port;

  const frames = new GuestFrames(kernel, domid);
  frames.populate(memoryPages + specialPages);
  const [consoleFrame, storeFrame] = [memoryPages, memoryPages + 1];
  setMemoryMap(kernel, domid, memoryPages);
  image.writeTo(frames);
  frames.write(storeFrame, 1, () => {});
  frames.write(consoleFrame, 1, (into) => new DataView(into.buffer).setUint32(CONSOLE_CONNECTION, XENCONSOLE_DISCONNECTED, true));
  const parameters: [number, number][] = [
    [HVM_PARAM_CONSOLE_PFN, consoleFrame],
    [HVM_PARAM_CONSOLE_EVTCHN, consolePort],
    [HVM_PARAM_STORE_PFN, storeFrame],
    [HVM_PARAM_STORE_EVTCHN, storePort],
  ];
  for (const [index, value] of parameters) setParameter(kernel, domid, index, value);
  seedGrants(kernel, domid, memoryPages + specialPages, consoleFrame, storeFrame);
  if (start !== undefined) setContext(kernel, domid, start);
  return { domid, storePort, consolePort, storeMfn: BigInt(storeFrame), consoleMfn: BigInt(consoleFrame) };
}

function setMemoryMap(kernel: Dom0Kernel, domid: number, memoryPages: number): void {
  const { calls } = kernel;
  const end = memoryPages * PAGE_BYTES;
  const ranges: [start: number, end: number, type: number][] = [
    [0, lowMemoryEnd, E820_RAM],
    [lowMemoryEnd, highMemoryStart, E820_RESERVED],
    [highMemoryStart, end, E820_RAM],
    [end, end + specialPages * PAGE_BYTES, E820_RESERVED],
  ];
  const map = new Uint8Array(ranges.length * e820_entry.size());
  ranges.forEach(([from, to, type], i) => {
    e820_entry.write({ addr: BigInt(from), size: BigInt(Math.max(0, to - from)), type }, map.subarray(i * e820_entry.size()));
  });
  calls.begin();
  const buffer = calls.place(map);
  const values = { domid, nr_entries: ranges.length, buffer };
  const { result } = calls.operation(Hypercall.memory_op, XENMEM_set_memory_map, xen_foreign_memory_map, values);
  if (result < 0) throw hypercallError(`memory_op.set_memory_map of domain ${domid}`, result);
}

function setParameter(kernel: Dom0Kernel, domid: number, index: number, value: number): void {
  const { calls } = kernel;
  calls.begin();
  const values = { domid, index, value: BigInt(value) };
  const { result } = calls.operation(Hypercall.hvm_op, HVMOP_set_param, xen_hvm_param, values);
  if (result < 0) throw hypercallError(`hvm_op.set_param ${index} of domain ${domid}`, result);
}

/** The first frame of the grant table is shown at a guest frame for as long as it takes to write two entries. */
function seedGrants(kernel: Dom0Kernel, domid: number, scratch: number, consoleFrame: number, storeFrame: number): void {
  const { calls } = kernel;
  calls.begin();
  const mapping = { domid, space: XENMAPSPACE_grant_table, idx: 0n, gpfn: BigInt(scratch) };
  const added = calls.operation(Hypercall.memory_op, XENMEM_add_to_physmap, xen_add_to_physmap, mapping);
  if (added.result < 0) throw hypercallError(`memory_op.add_to_physmap of domain ${domid}`, added.result);
  const size = grant_entry_v1.size();
  kernel.memory.withFrames(domid, [BigInt(scratch)], (address) => {
    const seed = (reference: number, frame: number): void =>
      kernel.memory.write(address + BigInt(reference * size), grant_entry_v1.write({ flags: GTF_permit_access, domid: 0, frame }));
    seed(GNTTAB_RESERVED_CONSOLE, consoleFrame);
    seed(GNTTAB_RESERVED_XENSTORE, storeFrame);
  });
  calls.begin();
  const values = { domid, gpfn: BigInt(scratch) };
  const removed = calls.operation(Hypercall.memory_op, XENMEM_remove_from_physmap, xen_remove_from_physmap, values);
  if (removed.result < 0) throw hypercallError(`memory_op.remove_from_physmap of domain ${domid}`, removed.result);
}

/** Protected mode, paging off, flat segments, registers as the boot protocol wants them. */
function setContext(kernel: Dom0Kernel, domid: number, start: FlatStart): void {
  const { calls } = kernel;
  const image = vcpu_hvm_context_32.write({
    mode: VCPU_HVM_MODE_32B,
    eax: start.eax ?? 0,
    ebx: start.ebx ?? 0,
    esi: start.esi ?? 0,
    eip: start.entry,
    eflags: 2,
    cr0: cr0ProtectedMode,
    cs_limit: flatLimit,
    ds_limit: flatLimit,
    ss_limit: flatLimit,
    es_limit: flatLimit,
    tr_limit: taskState.limit,
    cs_ar: flatCode,
    ds_ar: flatData,
    ss_ar: flatData,
    es_ar: flatData,
    tr_ar: taskState.attributes,
  });
  calls.begin();
  const ctxt = calls.place(image);
  const { result } = calls.domctl(XEN_DOMCTL_setvcpucontext, domid, xen_domctl_vcpucontext, { vcpu: 0, ctxt });
  if (result < 0) throw hypercallError(`domctl.setvcpucontext of domain ${domid}`, result);
}

/** What a loader writes, by page, until the domain's frames are there. */
class PagedImage {
  readonly size: number;
  readonly #pages = new Map<number, Uint8Array>();

  constructor(size: number) {
    this.size = size;
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const offset = (address + done) % PAGE_BYTES;
      const part = Math.min(PAGE_BYTES - offset, bytes.length - done);
      this.#page(Math.floor((address + done) / PAGE_BYTES)).set(bytes.subarray(done, done + part), offset);
      done += part;
    }
  }

  writeU32(address: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.writeBytes(address, bytes);
  }

  /** Writes runs of pages; pages that nobody wrote are zero as the hypervisor gave them. */
  writeTo(frames: GuestFrames): void {
    const written = [...this.#pages.keys()].sort((a, b) => a - b);
    for (let from = 0; from < written.length; ) {
      let to = from + 1;
      while (to < written.length && written[to] === (written[to - 1] as number) + 1) to++;
      const first = written[from] as number;
      frames.write(first, to - from, (into, firstPage) => {
        for (let i = 0; i * PAGE_BYTES < into.length; i++) into.set(this.#page(first + firstPage + i), i * PAGE_BYTES);
      });
      from = to;
    }
  }

  #page(frame: number): Uint8Array {
    let page = this.#pages.get(frame);
    if (page === undefined) {
      page = new Uint8Array(PAGE_BYTES);
      this.#pages.set(frame, page);
    }
    return page;
  }
}

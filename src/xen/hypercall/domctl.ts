/**
 * HYPERVISOR_domctl (36): how a toolstack builds, looks at and ends domains. Interface version of 4.17; another one is
 * refused before anything else, then callers without privilege.
 * Source: Xen public/domctl.h.
 */

import { EACCES, EBUSY, EFAULT, EINVAL, E2BIG, ENODATA, ENOSYS, EPERM, ESRCH } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/domctl.ts';
import { hypercallPage64 } from '../../xen-abi/hypercall-page.ts';
import { DOMID_FIRST_RESERVED, DOMID_SELF } from '../../xen-abi/xen.ts';
import type { Domain } from '../domain.ts';
import { createDomain, createVcpus, defaultDomainConfig, destroyDomain, resumeDomain } from '../domain-lifecycle.ts';
import { FrameFlag, PageType } from '../frame-table.ts';
import { copyToGuest, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { pauseDomain, runstateTimes, stopNow, syncContext, unpauseDomain, wake } from '../scheduler.ts';
import { updateWallClock } from '../shared-info.ts';
import { Runstate, type Vcpu } from '../vcpu.ts';
import { faultResult, loadStruct } from './arguments.ts';
import { domainInfo, domainsFrom } from './domctl-info.ts';
import { type Hypercall, result } from './table.ts';
import { applyContext, contextBytes } from './vcpu-op.ts';

/** The request while it is handled: `u` is copied back after success, and `domain` with it. */
interface Request {
  domain: number;
  readonly u: Uint8Array;
}

const maxVcpusOfDomain = 128;

export const domctl: Hypercall = {
  number: 36,
  name: 'domctl',
  argumentCount: 1,
  handler(hypervisor, vcpu, args) {
    const pointer = args[0] ?? 0n;
    const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_domctl);
    if (request === undefined) return faultResult;
    if (request.interface_version !== abi.XEN_DOMCTL_INTERFACE_VERSION) return BigInt(-EACCES);
    if (!vcpu.domain.privileged) return BigInt(-EPERM);
    hypervisor.operation(vcpu, `domctl.${abi.domctlNames[request.cmd] ?? request.cmd}`);
    const outcome = run(hypervisor, vcpu, request.cmd, request);
    if (outcome < 0) return BigInt(outcome);
    const whole = loadFromGuest(hypervisor, vcpu, pointer, abi.xen_domctl.size());
    if (whole === undefined) return faultResult;
    abi.xen_domctl.write({ domain: request.domain, u: request.u }, whole);
    return result(copyToGuest(hypervisor, vcpu, pointer, whole));
  },
};

function run(hypervisor: Hypervisor, vcpu: Vcpu, command: number, request: Request): number {
  if (command === abi.XEN_DOMCTL_createdomain) return create(hypervisor, request);
  if (command === abi.XEN_DOMCTL_getdomaininfo) return information(hypervisor, request);
  const domain = request.domain === DOMID_SELF ? vcpu.domain : hypervisor.domains.get(request.domain);
  if (domain === undefined) return -ESRCH;
  const handler = handlers[command];
  if (handler === undefined) {
    hypervisor.unknown(vcpu.domain, 'sub-operation', `domctl.${abi.domctlNames[command] ?? command}`);
    return -ENOSYS;
  }
  return handler(hypervisor, domain, request.u, vcpu);
}

type Handler = (hypervisor: Hypervisor, domain: Domain, u: Uint8Array, caller: Vcpu) => number;

const handlers: Readonly<Record<number, Handler>> = {
  [abi.XEN_DOMCTL_destroydomain](hypervisor, domain, _u, caller) {
    if (domain === caller.domain) return -EINVAL;
    destroyDomain(hypervisor, domain);
    return 0;
  },
  [abi.XEN_DOMCTL_pausedomain](hypervisor, domain, _u, caller) {
    if (domain === caller.domain) return -EINVAL;
    domain.controllerPauses++;
    pauseDomain(hypervisor, domain);
    return 0;
  },
  [abi.XEN_DOMCTL_unpausedomain](hypervisor, domain) {
    if (domain.controllerPauses === 0) return -EINVAL;
    domain.controllerPauses--;
    unpauseDomain(hypervisor, domain);
    return 0;
  },
  [abi.XEN_DOMCTL_resumedomain](hypervisor, domain, _u, caller) {
    if (domain === caller.domain) return -EINVAL;
    resumeDomain(hypervisor, domain);
    return 0;
  },
  [abi.XEN_DOMCTL_max_mem](_hypervisor, domain, u) {
    const pages = abi.xen_domctl_max_mem.read(u).max_memkb >> 2n;
    // Frame numbers are 32-bit quantities in many places; a larger limit means no limit.
    domain.maxPages = Number(pages > 0xffff_ffffn ? 0xffff_ffffn : pages);
    return 0;
  },
  [abi.XEN_DOMCTL_max_vcpus](hypervisor, domain, u) {
    if (abi.xen_domctl_max_vcpus.read(u).max !== domain.maxVcpus) return -EINVAL;
    createVcpus(hypervisor, domain);
    return 0;
  },
  [abi.XEN_DOMCTL_setvcpucontext](hypervisor, domain, u, caller) {
    const request = abi.xen_domctl_vcpucontext.read(u);
    const vcpu = domain.vcpus[request.vcpu];
    if (domain === caller.domain || vcpu === undefined) return -EINVAL;
    const image = loadFromGuest(hypervisor, caller, request.ctxt, contextBytes(hypervisor, vcpu));
    if (image === undefined) return -EFAULT;
    stopNow(hypervisor, vcpu);
    const outcome = applyContext(hypervisor, vcpu, image);
    wake(hypervisor, vcpu);
    return outcome;
  },
  [abi.XEN_DOMCTL_getvcpucontext](hypervisor, domain, u, caller) {
    const request = abi.xen_domctl_vcpucontext.read(u);
    const vcpu = domain.vcpus[request.vcpu];
    if (domain === caller.domain || vcpu === undefined) return -EINVAL;
    if (!vcpu.initialised) return -ENODATA;
    syncContext(hypervisor, vcpu);
    return copyToGuest(hypervisor, caller, request.ctxt, hypervisor.kind(domain).getContext(hypervisor, vcpu));
  },
  [abi.XEN_DOMCTL_getvcpuinfo](hypervisor, domain, u) {
    const vcpu = domain.vcpus[abi.xen_domctl_getvcpuinfo.read(u).vcpu];
    if (vcpu === undefined) return -ESRCH;
    abi.xen_domctl_getvcpuinfo.write(
      {
        online: vcpu.down ? 0 : 1,
        blocked: vcpu.blocked ? 1 : 0,
        running: vcpu.running ? 1 : 0,
        cpu_time: runstateTimes(hypervisor, vcpu)[Runstate.running] as bigint,
        cpu: vcpu.processor,
      },
      u,
    );
    return 0;
  },
  [abi.XEN_DOMCTL_setdomainhandle](_hypervisor, domain, u) {
    domain.handle.set(u.subarray(0, 16));
    return 0;
  },
  [abi.XEN_DOMCTL_hypercall_init](hypervisor, domain, u) {
    const frame = Number(abi.xen_domctl_hypercall_init.read(u).gmfn);
    if (domain.kind !== 'pv' || domain.addressSize !== 64) return -ENOSYS;
    if (hypervisor.frames.getPageAndType(frame, domain.id, PageType.writable) < 0) return -EACCES;
    hypervisor.memory.writeBytes(frame * 4096, hypercallPage64());
    hypervisor.frames.putPageAndType(frame);
    return 0;
  },
  [abi.XEN_DOMCTL_settimeoffset](hypervisor, domain, u) {
    domain.timeOffsetSeconds = abi.xen_domctl_settimeoffset.read(u).time_offset_seconds;
    updateWallClock(hypervisor, domain);
    return 0;
  },
  [abi.XEN_DOMCTL_set_address_size](_hypervisor, domain, u) {
    const { size } = abi.xen_domctl_address_size.read(u);
    if (size === domain.addressSize) return 0;
    // 32-bit domains are refused: the capabilities do not list them.
    return -EINVAL;
  },
  [abi.XEN_DOMCTL_get_address_size](_hypervisor, domain, u) {
    abi.xen_domctl_address_size.write({ size: domain.addressSize }, u);
    return 0;
  },
  [abi.XEN_DOMCTL_set_target](hypervisor, domain, u) {
    const target = hypervisor.domains.get(abi.xen_domctl_set_target.read(u).target);
    if (target === undefined) return -ESRCH;
    if (target === domain) return -EINVAL;
    target.controlledBy = domain.id;
    return 0;
  },
  [abi.XEN_DOMCTL_settscinfo](hypervisor, domain, u) {
    if (domain.vcpus.some((vcpu) => vcpu.initialised && domain.controllerPauses === 0)) return -EBUSY;
    const info = abi.xen_domctl_tsc_info.read(u);
    // The TSC is the platform's: modes that ask for another rate cannot be had.
    if (info.gtsc_khz !== 0 && info.gtsc_khz !== hypervisor.platform.tscKhz) return -EINVAL;
    domain.tsc.mode = info.tsc_mode;
    domain.tsc.incarnation = info.incarnation;
    domain.tsc.elapsed = info.elapsed_nsec;
    return 0;
  },
  [abi.XEN_DOMCTL_gettscinfo](hypervisor, domain, u, caller) {
    const info = {
      tsc_mode: domain.tsc.mode,
      gtsc_khz: domain.tsc.khz,
      incarnation: domain.tsc.incarnation,
      elapsed_nsec: hypervisor.now(hypervisor.cpuOf(caller)),
    };
    abi.xen_domctl_tsc_info.write(info, u);
    return 0;
  },
  [abi.XEN_DOMCTL_getpageframeinfo3](hypervisor, domain, u, caller) {
    return frameTypes(hypervisor, domain, u, caller);
  },
};

function create(hypervisor: Hypervisor, request: Request): number {
  const config = abi.xen_domctl_createdomain.read(request.u);
  const isFull = (config.flags & abi.XEN_DOMCTL_CDF_hvm) !== 0;
  if ((config.flags & ~abi.XEN_DOMCTL_CDF_all) !== 0) return -EINVAL;
  if (!isFull && (config.flags & abi.XEN_DOMCTL_CDF_hap) !== 0) return -EINVAL;
  if ((config.flags & (abi.XEN_DOMCTL_CDF_iommu | abi.XEN_DOMCTL_CDF_nested_virt | abi.XEN_DOMCTL_CDF_vpmu)) !== 0) {
    return -EINVAL; // none of these exists here
  }
  if (!isFull && (config.emulation_flags & ~abi.XEN_X86_EMU_PIT) !== 0) return -EINVAL;
  if (config.max_vcpus === 0 || config.max_vcpus > maxVcpusOfDomain) return -EINVAL;
  if ((config.grant_opts & abi.XEN_DOMCTL_GRANT_version_mask) === 0) return -EINVAL;
  if (config.vmtrace_size !== 0) return -EINVAL;
  const id = request.domain;
  const automatic = id === 0 || id >= DOMID_FIRST_RESERVED;
  const domain = createDomain(hypervisor, {
    kind: isFull ? 'full' : 'pv',
    id: automatic ? undefined : id,
    privileged: false,
    handle: config.handle,
    createFlags: config.flags,
    ssidref: config.ssidref,
    maxVcpus: config.max_vcpus,
    maxPort: config.max_evtchn_port,
    maxGrantFrames: config.max_grant_frames < 0 ? defaultDomainConfig.maxGrantFrames : config.max_grant_frames,
    maxMaptrackFrames: config.max_maptrack_frames < 0 ? defaultDomainConfig.maxMaptrackFrames : config.max_maptrack_frames,
    maxGrantVersion: 1,
  });
  if (typeof domain === 'number') return domain;
  request.domain = domain.id;
  return 0;
}

/** An unused id stands for the next higher one: this is how a toolstack of 4.17 walks the list. */
function information(hypervisor: Hypervisor, request: Request): number {
  if (request.domain >= DOMID_FIRST_RESERVED) return -EINVAL;
  const domain = domainsFrom(hypervisor, request.domain)[0];
  if (domain === undefined) return -ESRCH;
  request.domain = domain.id;
  request.u.fill(0);
  request.u.set(domainInfo(hypervisor, domain));
  return 0;
}

/** Bits 31:28 of each entry become the frame's type: table level, pinned, or invalid. */
function frameTypes(hypervisor: Hypervisor, domain: Domain, u: Uint8Array, caller: Vcpu): number {
  const request = abi.xen_domctl_getpageframeinfo3.read(u);
  const limit = 1024n;
  if (request.num > limit) return -E2BIG;
  const { frames } = hypervisor;
  for (let i = 0n; i < request.num; i++) {
    const at = request.array + i * 8n;
    const bytes = loadFromGuest(hypervisor, caller, at, 8);
    if (bytes === undefined) return -EFAULT;
    const view = new DataView(bytes.buffer);
    const frame = Number(view.getBigUint64(0, true));
    let type = abi.XEN_DOMCTL_PFINFO_XTAB;
    if (frames.exists(frame) && frames.owner[frame] === domain.id) {
      const level = frames.type[frame] as PageType;
      const isTable = level >= PageType.l1 && level <= PageType.l4 && (frames.typeReferences[frame] as number) > 0;
      type = isTable ? BigInt(level) << abi.XEN_DOMCTL_PFINFO_LTABTYPE_SHIFT : 0n;
      if (frames.has(frame, FrameFlag.pinned)) type |= abi.XEN_DOMCTL_PFINFO_LPINTAB;
    }
    view.setBigUint64(0, type, true);
    if (copyToGuest(hypervisor, caller, at, bytes) < 0) return -EFAULT;
  }
  return 0;
}

/** What domctl and sysctl tell of a domain: xen_domctl_getdomaininfo. Source: Xen public/domctl.h. */

import * as abi from '../../xen-abi/domctl.ts';
import type { Domain } from '../domain.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { runstateTimes } from '../scheduler.ts';
import { Runstate } from '../vcpu.ts';

const noSharedInfo = 0xffff_ffff_ffff_ffffn;

export function domainInfo(hypervisor: Hypervisor, domain: Domain): Uint8Array {
  let flags = 0;
  let online = 0;
  let highestVcpu = 0;
  let cpuTime = 0n;
  let blocked = true;
  let running = false;
  for (const vcpu of domain.vcpus) {
    highestVcpu = vcpu.id;
    cpuTime += runstateTimes(hypervisor, vcpu)[Runstate.running] as bigint;
    if (vcpu.down) continue;
    online++;
    if (!vcpu.blocked) blocked = false;
    if (vcpu.running) running = true;
  }
  if (domain.dying !== 0) flags |= abi.XEN_DOMINF_dying;
  if (domain.kind === 'full') flags |= abi.XEN_DOMINF_hvm_guest | abi.XEN_DOMINF_hap;
  if (domain.shutDown) flags |= abi.XEN_DOMINF_shutdown;
  if (domain.controllerPauses > 0) flags |= abi.XEN_DOMINF_paused;
  if (blocked) flags |= abi.XEN_DOMINF_blocked;
  if (running) flags |= abi.XEN_DOMINF_running;
  if ((domain.createFlags & abi.XEN_DOMCTL_CDF_xs_domain) !== 0) flags |= abi.XEN_DOMINF_xs_domain;
  return abi.xen_domctl_getdomaininfo.write({
    domain: domain.id,
    flags: (flags | (domain.shutdownCode << abi.XEN_DOMINF_shutdownshift)) >>> 0,
    tot_pages: BigInt(domain.totalPages),
    max_pages: BigInt(domain.maxPages),
    outstanding_pages: BigInt(domain.claimedPages),
    shared_info_frame: domain.dying === 0 ? BigInt(domain.sharedInfoFrame) : noSharedInfo,
    cpu_time: cpuTime,
    nr_online_vcpus: online,
    max_vcpu_id: highestVcpu,
    ssidref: domain.ssidref,
    handle: domain.handle,
    gpaddr_bits: domain.kind === 'full' ? 48 : 0,
  });
}

/** Domains with ids from `first` on, in order. */
export function domainsFrom(hypervisor: Hypervisor, first: number): Domain[] {
  const found = [...hypervisor.domains.values()].filter((domain) => domain.id >= first);
  return found.sort((a, b) => a.id - b.id);
}

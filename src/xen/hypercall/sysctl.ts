/**
 * HYPERVISOR_sysctl (35): what a toolstack asks about the host. Interface version of 4.17; another one is refused
 * before anything else.
 * Source: Xen public/sysctl.h.
 */

import { EACCES, ENOSYS, EPERM } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/sysctl.ts';
import { copyToGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { faultResult, loadStruct } from './arguments.ts';
import { domainInfo, domainsFrom } from './domctl-info.ts';
import { type Hypercall, result } from './table.ts';

export const sysctl: Hypercall = {
  number: 35,
  name: 'sysctl',
  argumentCount: 1,
  handler(hypervisor, vcpu, args) {
    const pointer = args[0] ?? 0n;
    const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_sysctl);
    if (request === undefined) return faultResult;
    if (request.interface_version !== abi.XEN_SYSCTL_INTERFACE_VERSION) return BigInt(-EACCES);
    if (!vcpu.domain.privileged) return BigInt(-EPERM);
    hypervisor.operation(vcpu, `sysctl.${abi.sysctlNames[request.cmd] ?? request.cmd}`);
    const outcome = run(hypervisor, vcpu, request.cmd, request.u);
    if (outcome < 0) return BigInt(outcome);
    return result(copyToGuest(hypervisor, vcpu, pointer + BigInt(abi.SYSCTL_U), request.u));
  },
};

function run(hypervisor: Hypervisor, vcpu: Vcpu, command: number, u: Uint8Array): number {
  switch (command) {
    case abi.XEN_SYSCTL_physinfo:
      abi.xen_sysctl_physinfo.write(physicalInfo(hypervisor), u.fill(0));
      return 0;
    case abi.XEN_SYSCTL_sched_id:
      abi.xen_sysctl_sched_id.write({ sched_id: abi.XEN_SCHEDULER_CREDIT2 }, u);
      return 0;
    case abi.XEN_SYSCTL_readconsole: {
      const request = abi.xen_sysctl_readconsole.read(u);
      const text = new TextEncoder().encode(hypervisor.consoleRing).subarray(-request.count || undefined);
      const bytes = request.count === 0 ? new Uint8Array(0) : text;
      const copied = copyToGuest(hypervisor, vcpu, request.buffer, bytes);
      if (copied < 0) return copied;
      if (request.clear !== 0) hypervisor.consoleRing = '';
      abi.xen_sysctl_readconsole.write({ count: bytes.length }, u);
      return 0;
    }
    case abi.XEN_SYSCTL_getdomaininfolist: {
      const request = abi.xen_sysctl_getdomaininfolist.read(u);
      let count = 0;
      for (const domain of domainsFrom(hypervisor, request.first_domain)) {
        if (count === request.max_domains) break;
        const info = domainInfo(hypervisor, domain);
        const copied = copyToGuest(hypervisor, vcpu, request.buffer + BigInt(count * info.length), info);
        if (copied < 0) return copied;
        count++;
      }
      abi.xen_sysctl_getdomaininfolist.write({ num_domains: count }, u);
      return 0;
    }
    default:
      hypervisor.unknown(vcpu.domain, 'sub-operation', `sysctl.${command}`);
      return -ENOSYS;
  }
}

function physicalInfo(hypervisor: Hypervisor) {
  const { platform, memory } = hypervisor;
  let total = 0;
  let highest = 0;
  for (let frame = 0; frame < memory.frameCount; frame++) {
    if (!memory.isRam(frame)) continue;
    total++;
    highest = frame;
  }
  let outstanding = 0;
  for (const domain of hypervisor.domains.values()) outstanding += domain.claimedPages;
  const cpus = platform.cpus.length;
  return {
    threads_per_core: 1,
    cores_per_socket: cpus,
    nr_cpus: cpus,
    max_cpu_id: cpus - 1,
    nr_nodes: 1,
    max_node_id: 0,
    cpu_khz: platform.tscKhz,
    capabilities:
      (hypervisor.kinds.has('pv') ? abi.XEN_SYSCTL_PHYSCAP_pv : 0) |
      (hypervisor.kinds.has('full') ? abi.XEN_SYSCTL_PHYSCAP_hvm | abi.XEN_SYSCTL_PHYSCAP_hap : 0) |
      abi.XEN_SYSCTL_PHYSCAP_gnttab_v1,
    arch_capabilities: 0,
    total_pages: BigInt(total),
    free_pages: BigInt(hypervisor.allocator.free),
    scrub_pages: 0n,
    outstanding_pages: BigInt(outstanding),
    max_mfn: BigInt(highest),
  };
}

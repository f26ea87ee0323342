/** Xen public/sysctl.h of 4.17 (interface version 0x15): the toolstack's calls on the host. */

import { struct } from './layout.ts';

export const XEN_SYSCTL_INTERFACE_VERSION = 0x15;

export const XEN_SYSCTL_readconsole = 1;
export const XEN_SYSCTL_physinfo = 3;
export const XEN_SYSCTL_sched_id = 4;
export const XEN_SYSCTL_getdomaininfolist = 6;
export const sysctlNames: Readonly<Record<number, string>> = {
  1: 'readconsole',
  2: 'tbuf_op',
  3: 'physinfo',
  4: 'sched_id',
  6: 'getdomaininfolist',
  7: 'debug_keys',
  8: 'getcpuinfo',
  9: 'availheap',
  16: 'cputopoinfo',
  17: 'numainfo',
  18: 'cpupool_op',
  26: 'get_cpu_featureset',
  29: 'get_cpu_policy',
};

export const SYSCTL_U = 8;
export const xen_sysctl = struct('xen_sysctl', 136, {
  cmd: [0, 'u32'],
  interface_version: [4, 'u32'],
  u: [8, 'bytes128'],
});
export const xen_sysctl_readconsole = struct('xen_sysctl_readconsole', 24, {
  clear: [0, 'u8'],
  incremental: [1, 'u8'],
  index: [4, 'u32'],
  buffer: [8, 'u64'],
  count: [16, 'u32'],
});
export const xen_sysctl_physinfo = struct('xen_sysctl_physinfo', 112, {
  threads_per_core: [0, 'u32'],
  cores_per_socket: [4, 'u32'],
  nr_cpus: [8, 'u32'],
  max_cpu_id: [12, 'u32'],
  nr_nodes: [16, 'u32'],
  max_node_id: [20, 'u32'],
  cpu_khz: [24, 'u32'],
  capabilities: [28, 'u32'],
  arch_capabilities: [32, 'u32'],
  total_pages: [40, 'u64'],
  free_pages: [48, 'u64'],
  scrub_pages: [56, 'u64'],
  outstanding_pages: [64, 'u64'],
  max_mfn: [72, 'u64'],
  hw_cap: [80, 'bytes32'],
});
export const XEN_SYSCTL_PHYSCAP_hvm = 1;
export const XEN_SYSCTL_PHYSCAP_pv = 2;
export const XEN_SYSCTL_PHYSCAP_directio = 4;
export const XEN_SYSCTL_PHYSCAP_hap = 8;
export const XEN_SYSCTL_PHYSCAP_shadow = 0x10;
export const XEN_SYSCTL_PHYSCAP_gnttab_v1 = 0x100;
export const XEN_SYSCTL_PHYSCAP_gnttab_v2 = 0x200;
export const xen_sysctl_sched_id = struct('xen_sysctl_sched_id', 4, { sched_id: [0, 'u32'] });
export const XEN_SCHEDULER_CREDIT2 = 6;
export const xen_sysctl_getdomaininfolist = struct('xen_sysctl_getdomaininfolist', 24, {
  first_domain: [0, 'u16'],
  max_domains: [4, 'u32'],
  buffer: [8, 'u64'],
  num_domains: [16, 'u32'],
});

/** Xen public/domctl.h of 4.17 (interface version 0x15): the toolstack's calls on one domain. */

import { struct } from './layout.ts';

export const XEN_DOMCTL_INTERFACE_VERSION = 0x15;

export const XEN_DOMCTL_createdomain = 1;
export const XEN_DOMCTL_destroydomain = 2;
export const XEN_DOMCTL_pausedomain = 3;
export const XEN_DOMCTL_unpausedomain = 4;
export const XEN_DOMCTL_getdomaininfo = 5;
export const XEN_DOMCTL_setvcpuaffinity = 9;
export const XEN_DOMCTL_shadow_op = 10;
export const XEN_DOMCTL_max_mem = 11;
export const XEN_DOMCTL_setvcpucontext = 12;
export const XEN_DOMCTL_getvcpucontext = 13;
export const XEN_DOMCTL_getvcpuinfo = 14;
export const XEN_DOMCTL_max_vcpus = 15;
export const XEN_DOMCTL_setdomainhandle = 17;
export const XEN_DOMCTL_hypercall_init = 22;
export const XEN_DOMCTL_settimeoffset = 24;
export const XEN_DOMCTL_getvcpuaffinity = 25;
export const XEN_DOMCTL_resumedomain = 27;
export const XEN_DOMCTL_set_address_size = 35;
export const XEN_DOMCTL_get_address_size = 36;
export const XEN_DOMCTL_set_target = 46;
export const XEN_DOMCTL_gettscinfo = 59;
export const XEN_DOMCTL_settscinfo = 60;
export const XEN_DOMCTL_getpageframeinfo3 = 61;
export const domctlNames: Readonly<Record<number, string>> = {
  1: 'createdomain',
  2: 'destroydomain',
  3: 'pausedomain',
  4: 'unpausedomain',
  5: 'getdomaininfo',
  9: 'setvcpuaffinity',
  10: 'shadow_op',
  11: 'max_mem',
  12: 'setvcpucontext',
  13: 'getvcpucontext',
  14: 'getvcpuinfo',
  15: 'max_vcpus',
  16: 'scheduler_op',
  17: 'setdomainhandle',
  22: 'hypercall_init',
  24: 'settimeoffset',
  25: 'getvcpuaffinity',
  27: 'resumedomain',
  35: 'set_address_size',
  36: 'get_address_size',
  46: 'set_target',
  59: 'gettscinfo',
  60: 'settscinfo',
  61: 'getpageframeinfo3',
  66: 'set_virq_handler',
  68: 'setnodeaffinity',
  74: 'setvnumainfo',
  82: 'get_cpu_policy',
  83: 'set_cpu_policy',
};

/** The union `u` of every domctl begins here; offsets of the structures below are inside it. */
export const DOMCTL_U = 16;
export const xen_domctl = struct('xen_domctl', 144, {
  cmd: [0, 'u32'],
  interface_version: [4, 'u32'],
  domain: [8, 'u16'],
  u: [16, 'bytes128'],
});

export const XEN_DOMCTL_CDF_hvm = 1;
export const XEN_DOMCTL_CDF_hap = 2;
export const XEN_DOMCTL_CDF_s3_integrity = 4;
export const XEN_DOMCTL_CDF_oos_off = 8;
export const XEN_DOMCTL_CDF_xs_domain = 0x10;
export const XEN_DOMCTL_CDF_iommu = 0x20;
export const XEN_DOMCTL_CDF_nested_virt = 0x40;
export const XEN_DOMCTL_CDF_vpmu = 0x80;
export const XEN_DOMCTL_CDF_all = 0xff;

export const xen_domctl_createdomain = struct('xen_domctl_createdomain', 64, {
  ssidref: [0, 'u32'],
  handle: [4, 'bytes16'],
  flags: [20, 'u32'],
  iommu_opts: [24, 'u32'],
  max_vcpus: [28, 'u32'],
  max_evtchn_port: [32, 'u32'],
  max_grant_frames: [36, 's32'],
  max_maptrack_frames: [40, 's32'],
  grant_opts: [44, 'u32'],
  vmtrace_size: [48, 'u32'],
  cpupool_id: [52, 'u32'],
  emulation_flags: [56, 'u32'],
  misc_flags: [60, 'u32'],
});
export const XEN_DOMCTL_GRANT_version_mask = 0xf;
export const XEN_X86_EMU_PIT = 0x100;

// Flags of getdomaininfo; the shutdown code is in bits 23:16.
export const XEN_DOMINF_dying = 1;
export const XEN_DOMINF_hvm_guest = 2;
export const XEN_DOMINF_shutdown = 4;
export const XEN_DOMINF_paused = 8;
export const XEN_DOMINF_blocked = 0x10;
export const XEN_DOMINF_running = 0x20;
export const XEN_DOMINF_debugged = 0x40;
export const XEN_DOMINF_xs_domain = 0x80;
export const XEN_DOMINF_hap = 0x100;
export const XEN_DOMINF_shutdownshift = 16;

export const xen_domctl_getdomaininfo = struct('xen_domctl_getdomaininfo', 112, {
  domain: [0, 'u16'],
  flags: [4, 'u32'],
  tot_pages: [8, 'u64'],
  max_pages: [16, 'u64'],
  outstanding_pages: [24, 'u64'],
  shr_pages: [32, 'u64'],
  paged_pages: [40, 'u64'],
  shared_info_frame: [48, 'u64'],
  cpu_time: [56, 'u64'],
  nr_online_vcpus: [64, 'u32'],
  max_vcpu_id: [68, 'u32'],
  ssidref: [72, 'u32'],
  handle: [76, 'bytes16'],
  cpupool: [92, 'u32'],
  gpaddr_bits: [96, 'u8'],
  emulation_flags: [104, 'u32'],
  misc_flags: [108, 'u32'],
});
export const xen_domctl_vcpucontext = struct('xen_domctl_vcpucontext', 16, { vcpu: [0, 'u32'], ctxt: [8, 'u64'] });
export const xen_domctl_getvcpuinfo = struct('xen_domctl_getvcpuinfo', 24, {
  vcpu: [0, 'u32'],
  online: [4, 'u8'],
  blocked: [5, 'u8'],
  running: [6, 'u8'],
  cpu_time: [8, 'u64'],
  cpu: [16, 'u32'],
});
export const xen_domctl_max_mem = struct('xen_domctl_max_mem', 8, { max_memkb: [0, 'u64'] });
export const xen_domctl_max_vcpus = struct('xen_domctl_max_vcpus', 4, { max: [0, 'u32'] });
export const xen_domctl_hypercall_init = struct('xen_domctl_hypercall_init', 8, { gmfn: [0, 'u64'] });
export const xen_domctl_settimeoffset = struct('xen_domctl_settimeoffset', 8, { time_offset_seconds: [0, 's64'] });
export const xen_domctl_address_size = struct('xen_domctl_address_size', 4, { size: [0, 'u32'] });
export const xen_domctl_set_target = struct('xen_domctl_set_target', 2, { target: [0, 'u16'] });
export const xen_domctl_tsc_info = struct('xen_domctl_tsc_info', 24, {
  tsc_mode: [0, 'u32'],
  gtsc_khz: [4, 'u32'],
  incarnation: [8, 'u32'],
  elapsed_nsec: [16, 'u64'],
});
export const xen_domctl_getpageframeinfo3 = struct('xen_domctl_getpageframeinfo3', 16, {
  num: [0, 'u64'],
  array: [8, 'u64'],
});
export const XEN_DOMCTL_PFINFO_LTABTYPE_SHIFT = 28n;
export const XEN_DOMCTL_PFINFO_LPINTAB = 0x80000000n;
export const XEN_DOMCTL_PFINFO_XTAB = 0xf0000000n;
export const xen_domctl_vcpuaffinity = struct('xen_domctl_vcpuaffinity', 40, {
  vcpu: [0, 'u32'],
  flags: [4, 'u32'],
  hard_bitmap: [8, 'u64'],
  hard_nr_bits: [16, 'u32'],
  soft_bitmap: [24, 'u64'],
  soft_nr_bits: [32, 'u32'],
});

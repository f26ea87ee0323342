/**
 * Xen public/xen.h and arch-x86/xen.h: hypercall numbers, special domains, the page shared with every domain, time, and
 * the structures of the calls that have no header of their own (multicall, mmu_update, mmuext_op).
 */

import { struct } from './layout.ts';

export const Hypercall = {
  set_trap_table: 0,
  mmu_update: 1,
  set_gdt: 2,
  stack_switch: 3,
  set_callbacks: 4,
  fpu_taskswitch: 5,
  sched_op_compat: 6,
  platform_op: 7,
  set_debugreg: 8,
  get_debugreg: 9,
  update_descriptor: 10,
  memory_op: 12,
  multicall: 13,
  update_va_mapping: 14,
  set_timer_op: 15,
  event_channel_op_compat: 16,
  xen_version: 17,
  console_io: 18,
  physdev_op_compat: 19,
  grant_table_op: 20,
  vm_assist: 21,
  update_va_mapping_otherdomain: 22,
  iret: 23,
  vcpu_op: 24,
  set_segment_base: 25,
  mmuext_op: 26,
  xsm_op: 27,
  nmi_op: 28,
  sched_op: 29,
  callback_op: 30,
  xenoprof_op: 31,
  event_channel_op: 32,
  physdev_op: 33,
  hvm_op: 34,
  sysctl: 35,
  domctl: 36,
  kexec_op: 37,
  tmem_op: 38,
  argo_op: 39,
  xenpmu_op: 40,
  dm_op: 41,
  hypfs_op: 42,
  mca: 48,
} as const;

// Domain ids with a meaning of their own; real domains have smaller ones.
export const DOMID_FIRST_RESERVED = 0x7ff0;
export const DOMID_SELF = 0x7ff0;
export const DOMID_IO = 0x7ff1;
export const DOMID_XEN = 0x7ff2;
export const DOMID_COW = 0x7ff3;
export const DOMID_INVALID = 0x7ff4;
export const DOMID_IDLE = 0x7fff;

// Virtual interrupts. v: per vCPU, g: global (bound on vCPU 0 by one domain), d: per domain.
export const VIRQ_TIMER = 0; // v
export const VIRQ_DEBUG = 1; // v
export const VIRQ_CONSOLE = 2; // g
export const VIRQ_DOM_EXC = 3; // g
export const VIRQ_TBUF = 4; // g
export const VIRQ_DEBUGGER = 6; // g
export const VIRQ_XENOPROF = 7; // v
export const VIRQ_CON_RING = 8; // g
export const VIRQ_PCPU_STATE = 9; // g
export const VIRQ_MEM_EVENT = 10; // g
export const VIRQ_ARGO = 11; // d
export const VIRQ_ENOMEM = 12; // g
export const VIRQ_XENPMU = 13; // v
export const VIRQ_MCA = 16; // g, VIRQ_ARCH_0
export const NR_VIRQS = 24;

export const LEGACY_MAX_VCPUS = 32;

export const vcpu_time_info = struct('vcpu_time_info', 32, {
  version: [0, 'u32'],
  tsc_timestamp: [8, 'u64'],
  system_time: [16, 'u64'],
  tsc_to_system_mul: [24, 'u32'],
  tsc_shift: [28, 's8'],
  flags: [29, 'u8'],
});
export const XEN_PVCLOCK_TSC_STABLE_BIT = 1;
export const XEN_PVCLOCK_GUEST_STOPPED = 2;

export const vcpu_info = struct('vcpu_info', 64, {
  evtchn_upcall_pending: [0, 'u8'],
  evtchn_upcall_mask: [1, 'u8'],
  evtchn_pending_sel: [[4, 8], 'word'],
  cr2: [[8, 16], 'word'],
  time: [32, 'bytes32'],
});

export const shared_info = struct('shared_info', [2344, 3136], {
  vcpu_info: [0, 'bytes2048'],
  evtchn_pending: [2048, 'word'], // first of 32 or 64 words
  evtchn_mask: [[2176, 2560], 'word'],
  wc_version: [[2304, 3072], 'u32'],
  wc_sec: [[2308, 3076], 'u32'],
  wc_nsec: [[2312, 3080], 'u32'],
  wc_sec_hi: [[2340, 3084], 'u32'],
  max_pfn: [[2316, 3088], 'word'],
  pfn_to_mfn_frame_list_list: [[2320, 3096], 'word'],
  nmi_reason: [[2324, 3104], 'word'],
  p2m_cr3: [[2328, 3112], 'word'],
  p2m_vaddr: [[2332, 3120], 'word'],
  p2m_generation: [[2336, 3128], 'word'],
});

export const multicall_entry = struct('multicall_entry', [32, 64], {
  op: [0, 'word'],
  result: [[4, 8], 'word'],
  arg0: [[8, 16], 'word'],
  arg1: [[12, 24], 'word'],
  arg2: [[16, 32], 'word'],
  arg3: [[20, 40], 'word'],
  arg4: [[24, 48], 'word'],
  arg5: [[28, 56], 'word'],
});

export const mmu_update = struct('mmu_update', 16, { ptr: [0, 'u64'], val: [8, 'u64'] });
export const MMU_NORMAL_PT_UPDATE = 0;
export const MMU_MACHPHYS_UPDATE = 1;
export const MMU_PT_UPDATE_PRESERVE_AD = 2;
export const MMU_PT_UPDATE_NO_TRANSLATE = 3;

export const mmuext_op = struct('mmuext_op', [12, 24], {
  cmd: [0, 'u32'],
  arg1: [[4, 8], 'word'],
  arg2: [[8, 16], 'word'],
});
export const MMUEXT_PIN_L1_TABLE = 0;
export const MMUEXT_PIN_L2_TABLE = 1;
export const MMUEXT_PIN_L3_TABLE = 2;
export const MMUEXT_PIN_L4_TABLE = 3;
export const MMUEXT_UNPIN_TABLE = 4;
export const MMUEXT_NEW_BASEPTR = 5;
export const MMUEXT_TLB_FLUSH_LOCAL = 6;
export const MMUEXT_INVLPG_LOCAL = 7;
export const MMUEXT_TLB_FLUSH_MULTI = 8;
export const MMUEXT_INVLPG_MULTI = 9;
export const MMUEXT_TLB_FLUSH_ALL = 10;
export const MMUEXT_INVLPG_ALL = 11;
export const MMUEXT_FLUSH_CACHE = 12;
export const MMUEXT_SET_LDT = 13;
export const MMUEXT_NEW_USER_BASEPTR = 15;
export const MMUEXT_CLEAR_PAGE = 16;
export const MMUEXT_COPY_PAGE = 17;
export const MMUEXT_FLUSH_CACHE_GLOBAL = 18;
export const MMUEXT_MARK_SUPER = 19;
export const MMUEXT_UNMARK_SUPER = 20;

// Flags of update_va_mapping.
export const UVMF_NONE = 0n;
export const UVMF_TLB_FLUSH = 1n;
export const UVMF_INVLPG = 2n;
export const UVMF_FLUSHTYPE_MASK = 3n;
export const UVMF_ALL = 4n;

export const CONSOLEIO_write = 0;
export const CONSOLEIO_read = 1;

export const VMASST_CMD_enable = 0;
export const VMASST_CMD_disable = 1;
export const VMASST_TYPE_4gb_segments = 0;
export const VMASST_TYPE_4gb_segments_notify = 1;
export const VMASST_TYPE_writable_pagetables = 2;
export const VMASST_TYPE_pae_extended_cr3 = 3;
export const VMASST_TYPE_architectural_iopl = 4;
export const VMASST_TYPE_runstate_update_flag = 5;
export const VMASST_TYPE_m2p_strict = 32;

/** Xen public/memory.h. */

import { struct } from './layout.ts';

export const XENMEM_increase_reservation = 0;
export const XENMEM_decrease_reservation = 1;
export const XENMEM_maximum_ram_page = 2;
export const XENMEM_current_reservation = 3;
export const XENMEM_maximum_reservation = 4;
export const XENMEM_machphys_mfn_list = 5;
export const XENMEM_populate_physmap = 6;
export const XENMEM_add_to_physmap = 7;
export const XENMEM_memory_map = 9;
export const XENMEM_machine_memory_map = 10;
export const XENMEM_exchange = 11;
export const XENMEM_machphys_mapping = 12;
export const XENMEM_set_memory_map = 13;
export const XENMEM_maximum_gpfn = 14;
export const XENMEM_remove_from_physmap = 15;
export const XENMEM_set_pod_target = 16;
export const XENMEM_get_pod_target = 17;
export const XENMEM_add_to_physmap_batch = 23;
export const XENMEM_claim_pages = 24;
export const XENMEM_machphys_compat_mfn_list = 25;
export const XENMEM_get_vnumainfo = 26;
export const XENMEM_reserved_device_memory_map = 27;
export const XENMEM_acquire_resource = 28;
export const memoryOpNames = [
  'increase_reservation',
  'decrease_reservation',
  'maximum_ram_page',
  'current_reservation',
  'maximum_reservation',
  'machphys_mfn_list',
  'populate_physmap',
  'add_to_physmap',
  undefined,
  'memory_map',
  'machine_memory_map',
  'exchange',
  'machphys_mapping',
  'set_memory_map',
  'maximum_gpfn',
  'remove_from_physmap',
  'set_pod_target',
  'get_pod_target',
  undefined,
  undefined,
  undefined,
  undefined,
  undefined,
  'add_to_physmap_batch',
  'claim_pages',
  'machphys_compat_mfn_list',
  'get_vnumainfo',
  'reserved_device_memory_map',
  'acquire_resource',
] as const;

/** The command is in bits 5:0; above it, the extent at which a continued call resumes. */
export const MEMOP_CMD_MASK = 0x3f;
export const MEMOP_EXTENT_SHIFT = 6;

export const xen_memory_reservation = struct('xen_memory_reservation', [20, 32], {
  extent_start: [0, 'word'],
  nr_extents: [[4, 8], 'word'],
  extent_order: [[8, 16], 'u32'],
  mem_flags: [[12, 20], 'u32'],
  domid: [[16, 24], 'u16'],
});
// mem_flags: address bits limit 7:0, node + 1 15:8, then single bits.
export const XENMEMF_populate_on_demand = 1 << 16;
export const XENMEMF_exact_node_request = 1 << 17;
export const XENMEMF_vnode = 1 << 18;

export const xen_memory_exchange = struct('xen_memory_exchange', [44, 72], {
  in: [0, 'bytes32'], // xen_memory_reservation; 20 bytes of it in the 32-bit ABI
  out: [[20, 32], 'bytes20'],
  nr_exchanged: [[40, 64], 'word'],
});
export const xen_machphys_mfn_list = struct('xen_machphys_mfn_list', [12, 24], {
  max_extents: [0, 'u32'],
  extent_start: [[4, 8], 'word'],
  nr_extents: [[8, 16], 'u32'],
});
export const xen_machphys_mapping = struct('xen_machphys_mapping', [12, 24], {
  v_start: [0, 'word'],
  v_end: [[4, 8], 'word'],
  max_mfn: [[8, 16], 'word'],
});
export const xen_memory_map = struct('xen_memory_map', [8, 16], { nr_entries: [0, 'u32'], buffer: [[4, 8], 'word'] });
export const xen_remove_from_physmap = struct('xen_remove_from_physmap', [8, 16], { domid: [0, 'u16'], gpfn: [[4, 8], 'word'] });
export const xen_foreign_memory_map = struct('xen_foreign_memory_map', [12, 24], {
  domid: [0, 'u16'],
  nr_entries: [[4, 8], 'u32'],
  buffer: [[8, 16], 'word'],
});
export const e820_entry = struct('e820_entry', 20, { addr: [0, 'u64'], size: [8, 'u64'], type: [16, 'u32'] });
export const E820_RAM = 1;
export const E820_RESERVED = 2;
export const E820_MAX = 128;

export const xen_mem_acquire_resource = struct('xen_mem_acquire_resource', [28, 32], {
  domid: [0, 'u16'],
  type: [2, 'u16'],
  id: [4, 'u32'],
  nr_frames: [8, 'u32'],
  pad: [12, 'u32'],
  frame: [16, 'u64'],
  frame_list: [24, 'word'],
});
export const XENMEM_resource_ioreq_server = 0;
export const XENMEM_resource_grant_table = 1;
export const XENMEM_resource_vmtrace_buf = 2;
export const XENMEM_resource_grant_table_id_shared = 0;
export const XENMEM_resource_grant_table_id_status = 1;

/** Xen public/grant_table.h. */

import { struct } from './layout.ts';

export const GNTTABOP_map_grant_ref = 0;
export const GNTTABOP_unmap_grant_ref = 1;
export const GNTTABOP_setup_table = 2;
export const GNTTABOP_dump_table = 3;
export const GNTTABOP_transfer = 4;
export const GNTTABOP_copy = 5;
export const GNTTABOP_query_size = 6;
export const GNTTABOP_unmap_and_replace = 7;
export const GNTTABOP_set_version = 8;
export const GNTTABOP_get_status_frames = 9;
export const GNTTABOP_get_version = 10;
export const GNTTABOP_swap_grant_ref = 11;
export const GNTTABOP_cache_flush = 12;
export const grantTableOpNames = [
  'map_grant_ref',
  'unmap_grant_ref',
  'setup_table',
  'dump_table',
  'transfer',
  'copy',
  'query_size',
  'unmap_and_replace',
  'set_version',
  'get_status_frames',
  'get_version',
  'swap_grant_ref',
  'cache_flush',
] as const;

// Flags of map_grant_ref.
export const GNTMAP_device_map = 1;
export const GNTMAP_host_map = 2;
export const GNTMAP_readonly = 4;
export const GNTMAP_application_map = 8;
export const GNTMAP_contains_pte = 16;

// Status values.
export const GNTST_okay = 0;
export const GNTST_general_error = -1;
export const GNTST_bad_domain = -2;
export const GNTST_bad_gntref = -3;
export const GNTST_bad_handle = -4;
export const GNTST_bad_virt_addr = -5;
export const GNTST_bad_dev_addr = -6;
export const GNTST_no_device_space = -7;
export const GNTST_permission_denied = -8;
export const GNTST_bad_page = -9;
export const GNTST_bad_copy_arg = -10;
export const GNTST_address_too_big = -11;
export const GNTST_eagain = -12;
export const GNTST_no_space = -13;

// Entries of the shared table.
export const GTF_type_mask = 3;
export const GTF_invalid = 0;
export const GTF_permit_access = 1;
export const GTF_accept_transfer = 2;
export const GTF_transitive = 3;
export const GTF_readonly = 4;
export const GTF_reading = 8;
export const GTF_writing = 16;
export const GTF_sub_page = 0x100;
export const GTF_transfer_committed = 4;
export const GTF_transfer_completed = 8;
export const grant_entry_v1 = struct('grant_entry_v1', 8, {
  flags: [0, 'u16'],
  domid: [2, 'u16'],
  frame: [4, 'u32'],
});
/** Full page: `frame`; sub-page: `page_off`, `length`, `frame`; transitive: `trans_domid`, `gref`. */
export const grant_entry_v2 = struct('grant_entry_v2', 16, {
  flags: [0, 'u16'],
  domid: [2, 'u16'],
  page_off: [4, 'u16'],
  length: [6, 'u16'],
  frame: [8, 'u64'],
  trans_domid: [4, 'u16'],
  gref: [8, 'u32'],
});
export const GNTTAB_RESERVED_CONSOLE = 0;
export const GNTTAB_RESERVED_XENSTORE = 1;
export const GNTTAB_NR_RESERVED_ENTRIES = 8;

export const gnttab_map_grant_ref = struct('gnttab_map_grant_ref', 32, {
  host_addr: [0, 'u64'],
  flags: [8, 'u32'],
  ref: [12, 'u32'],
  dom: [16, 'u16'],
  status: [18, 's16'],
  handle: [20, 'u32'],
  dev_bus_addr: [24, 'u64'],
});
export const gnttab_unmap_grant_ref = struct('gnttab_unmap_grant_ref', 24, {
  host_addr: [0, 'u64'],
  dev_bus_addr: [8, 'u64'],
  handle: [16, 'u32'],
  status: [20, 's16'],
});
export const gnttab_setup_table = struct('gnttab_setup_table', [16, 24], {
  dom: [0, 'u16'],
  nr_frames: [4, 'u32'],
  status: [8, 's16'],
  frame_list: [[12, 16], 'word'],
});
export const gnttab_transfer = struct('gnttab_transfer', [16, 24], {
  mfn: [0, 'word'],
  domid: [[4, 8], 'u16'],
  ref: [[8, 12], 'u32'],
  status: [[12, 16], 's16'],
});
export const GNTCOPY_source_gref = 1;
export const GNTCOPY_dest_gref = 2;
export const gnttab_copy = struct('gnttab_copy', [24, 40], {
  source_u: [0, 'word'],
  source_domid: [[4, 8], 'u16'],
  source_offset: [[6, 10], 'u16'],
  dest_u: [[8, 16], 'word'],
  dest_domid: [[12, 24], 'u16'],
  dest_offset: [[14, 26], 'u16'],
  len: [[16, 32], 'u16'],
  flags: [[18, 34], 'u16'],
  status: [[20, 36], 's16'],
});
export const gnttab_query_size = struct('gnttab_query_size', 16, {
  dom: [0, 'u16'],
  nr_frames: [4, 'u32'],
  max_nr_frames: [8, 'u32'],
  status: [12, 's16'],
});
export const gnttab_unmap_and_replace = struct('gnttab_unmap_and_replace', 24, {
  host_addr: [0, 'u64'],
  new_addr: [8, 'u64'],
  handle: [16, 'u32'],
  status: [20, 's16'],
});
export const gnttab_set_version = struct('gnttab_set_version', 4, { version: [0, 'u32'] });
export const gnttab_get_status_frames = struct('gnttab_get_status_frames', [12, 16], {
  nr_frames: [0, 'u32'],
  dom: [4, 'u16'],
  status: [6, 's16'],
  frame_list: [8, 'word'],
});
export const gnttab_get_version = struct('gnttab_get_version', 8, { dom: [0, 'u16'], version: [4, 'u32'] });
export const gnttab_swap_grant_ref = struct('gnttab_swap_grant_ref', 12, {
  ref_a: [0, 'u32'],
  ref_b: [4, 'u32'],
  status: [8, 's16'],
});

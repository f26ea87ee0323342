/**
 * Where a hypervisor's own code and data lie, as far as the modelled TLB is concerned. Hypervisors here are host code and
 * have no pages; each of their events names what the real path would touch, and this table gives it a linear page and a
 * page size. Linear addresses are in the range that Xen keeps for itself in every PV guest (Xen public/arch-x86_64:
 * FFFF8000.00000000 on), so they never meet a guest's.
 *
 * Frame table and direct map are mapped by 2 MiB pages in Xen 3.1, as is its text; a vCPU's structure is charged as a
 * page of its own. 32 bytes a frame: struct page_info.
 */

import { assert } from '../base/errors.ts';

export interface SyntheticMapping {
  /** Linear page (address >> 12) of index 0. */
  readonly basePage: number;
  /** Bytes from one index to the next. */
  readonly bytesPerIndex: number;
  /** Log2 size of the page that maps it. */
  readonly shift: 12 | 21;
  readonly fetch: boolean;
  readonly meaning: string;
}

const bytesPerFrame = 32;

export const syntheticMappings: Readonly<Record<string, SyntheticMapping>> = {
  text: { basePage: 0xffff82d080000, bytesPerIndex: 0x200000, shift: 21, fetch: true, meaning: "the hypervisor's code" },
  heap: { basePage: 0xffff830000000, bytesPerIndex: 0x200000, shift: 21, fetch: false, meaning: 'domain structures, stack, static data' },
  vcpu: { basePage: 0xffff82c000000, bytesPerIndex: 0x1000, shift: 12, fetch: false, meaning: 'the structure of a vCPU' },
  'frame-table': {
    basePage: 0xffff82e000000,
    bytesPerIndex: bytesPerFrame,
    shift: 21,
    fetch: false,
    meaning: 'page_info of a frame; the index is the frame',
  },
  'page-table': {
    basePage: 0xffff834000000,
    bytesPerIndex: 0x1000,
    shift: 21,
    fetch: false,
    meaning: 'direct map of a page table; the index is its frame',
  },
  'guest-map': {
    basePage: 0xffff834000000,
    bytesPerIndex: 0x1000,
    shift: 21,
    fetch: false,
    meaning: "direct map of a guest's frame; the index is the frame",
  },
};

/** @throws {InvariantError} for a kind that is not in the table. */
export function syntheticMapping(kind: string): SyntheticMapping {
  const mapping = syntheticMappings[kind];
  assert(mapping !== undefined, () => `no synthetic page is named ${kind}`);
  return mapping;
}

/** Linear page of an index, without the page size applied. */
export function syntheticPage(mapping: SyntheticMapping, index: number): number {
  return mapping.basePage + Math.floor((index * mapping.bytesPerIndex) / 4096);
}

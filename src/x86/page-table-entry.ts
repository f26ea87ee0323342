/**
 * Bits of paging-structure entries of 4-level and PAE paging (64-bit entries) and of 32-bit paging.
 *
 *      63 62  59 58  52 51               M-1..12      11 9  8   7   6   5   4    3    2   1   0
 *     | XD | PKEY | avl | reserved |  page frame     | avl | G |PAT| D | A |PCD|PWT |U/S|R/W| P |
 *                                                              |PS in directories
 * Sources: SDM 3A §4.5.4 Tables 4-15 to 4-20 and Figure 4-11, §4.3 (32-bit), §4.4 (PAE).
 */

export const Pte = {
  /** Present. */
  P: 1n << 0n,
  /** Writable. */
  RW: 1n << 1n,
  /** User. */
  US: 1n << 2n,
  PWT: 1n << 3n,
  PCD: 1n << 4n,
  /** Accessed. */
  A: 1n << 5n,
  /** Dirty; of entries that map a page. */
  D: 1n << 6n,
  /** Page size; of PDPT and PD entries: maps a page of 1 GiB or 2 MiB. */
  PS: 1n << 7n,
  /** Memory type, of entries of a page table (where PS is in directories). */
  PAT: 1n << 7n,
  /** Global; of entries that map a page. */
  G: 1n << 8n,
  /** Three bits for software. */
  AVAILABLE: 7n << 9n,
  /** Memory type, of entries that map a large page. */
  PAT_LARGE: 1n << 12n,
  /** No execution, with EFER.NXE. */
  XD: 1n << 63n,
} as const;

/** Bits 51:12: the address of a page or a table. Bits above the physical address width are reserved. */
export const PTE_ADDRESS_MASK = 0x000f_ffff_ffff_f000n;

/** The same bits as numbers, for the low half of an entry and for 32-bit paging. */
export const PteLow = {
  P: 1 << 0,
  RW: 1 << 1,
  US: 1 << 2,
  PWT: 1 << 3,
  PCD: 1 << 4,
  A: 1 << 5,
  D: 1 << 6,
  PS: 1 << 7,
  PAT: 1 << 7,
  G: 1 << 8,
  PAT_LARGE: 1 << 12,
} as const;

/** Entries of one table of 64-bit entries, and of 32-bit entries. */
export const ENTRIES_PER_TABLE = 512;
export const ENTRIES_PER_TABLE_32 = 1024;

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;

/** Position of the index of a level (1 = page table .. 4 = PML4) in a linear address, with 64-bit entries. */
export function levelShift(level: number): number {
  return PAGE_SHIFT + 9 * (level - 1);
}

/** Index into the table of a level, with 64-bit entries. */
export function tableIndex(linear: bigint, level: number): number {
  return Number((linear >> BigInt(levelShift(level))) & 0x1ffn);
}

/** Whether bits 63:47 are all equal (48-bit linear addresses). */
export function isCanonical(linear: bigint): boolean {
  const top = BigInt.asUintN(64, linear) >> 47n;
  return top === 0n || top === 0x1_ffffn;
}

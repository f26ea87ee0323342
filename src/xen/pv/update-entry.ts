/**
 * Checked changes of single page-table entries: what mmu_update, update_va_mapping, the writable-page-table assist and
 * grant mappings have in common. The new entry's references are taken before the old one's are given back, so an error
 * leaves everything as it was.
 * Source: Xen public/xen.h MMU_NORMAL_PT_UPDATE, MMU_PT_UPDATE_PRESERVE_AD.
 */
import { EINVAL } from '../../xen-abi/errno.ts';
import type { Domain } from '../domain.ts';
import {
  A,
  CACHE_FLAGS,
  D,
  FIRST_XEN_SLOT,
  FRAME_BYTES,
  LAST_XEN_SLOT,
  NX,
  P,
  RW,
  US,
  adjustL1High,
  adjustL1Low,
  adjustUpperLow,
  entryFrame,
  upperFlagsAllowed,
} from './guest-entry.ts';
import { type PageTables, mayChooseCacheability } from './page-tables.ts';

const AVAIL = 0xe00;

/**
 * Replaces entry `index` of the L1 table `table`, which belongs to `tableOwner`; the page mapped must be `pageOwner`'s.
 * 0, or the errors of {@link PageTables.takeL1}.
 */
export function updateL1(
  tables: PageTables,
  table: number,
  index: number,
  low: number,
  high: number,
  tableOwner: Domain,
  pageOwner: number,
  preserveAd: boolean,
): number {
  const { memory } = tables.hypervisor;
  const address = table * FRAME_BYTES + index * 8;
  const oldLow = memory.readU32(address);
  const oldHigh = memory.readU32(address + 4);
  let newLow = low;
  let newHigh = high;
  let sameReferences = false;
  if ((low & P) !== 0) {
    if ((low & CACHE_FLAGS) !== 0 && !mayChooseCacheability(tableOwner)) return -EINVAL;
    // R9: the same frame in the same way; only A, D, G, US, NX and available bits differ.
    const fixed = P | RW | CACHE_FLAGS;
    sameReferences = ((low ^ oldLow) & fixed) === 0 && entryFrame(low, high) === entryFrame(oldLow, oldHigh);
    if (!sameReferences) {
      const result = tables.takeL1(low, high, tableOwner, pageOwner);
      if (result < 0) return result;
    }
    newLow = adjustL1Low(low, high, tables.options.userPagesGlobal);
    newHigh = adjustL1High(low, high);
  }
  if (preserveAd) newLow |= oldLow & (A | D);
  writeEntry(tables, address, newLow, newHigh, oldHigh);
  if (!sameReferences) tables.releaseL1(oldLow, oldHigh, tableOwner);
  return 0;
}

/** The same for a table of `level` 2..4, whose entries point at tables of the same domain. */
export function updateUpper(
  tables: PageTables,
  level: number,
  table: number,
  index: number,
  low: number,
  high: number,
  owner: Domain,
  preserveAd: boolean,
): number {
  if (level === 4 && index >= FIRST_XEN_SLOT && index <= LAST_XEN_SLOT) return -EINVAL;
  const { memory } = tables.hypervisor;
  const address = table * FRAME_BYTES + index * 8;
  const oldLow = memory.readU32(address);
  const oldHigh = memory.readU32(address + 4);
  let newLow = low;
  let sameReferences = false;
  if ((low & P) !== 0) {
    if (!upperFlagsAllowed(low, high)) return -EINVAL;
    // R9. RW is not among the bits that may change here: linear tables depend on it (XSA-182).
    const free = A | D | AVAIL | US;
    sameReferences = ((low ^ oldLow) & ~free) === 0 && ((high ^ oldHigh) & ~NX) === 0;
    if (!sameReferences) {
      const result = tables.takeUpper(level, low, high, table, owner);
      if (result < 0) return result;
    }
    newLow = adjustUpperLow(level, low);
  }
  if (preserveAd) newLow |= oldLow & (A | D);
  writeEntry(tables, address, newLow, high, oldHigh);
  if (sameReferences) return 0;
  tables.releaseUpper(level, oldLow, oldHigh, table);
  // Processors cache upper entries, also as pages of linear tables (XSA-286); what was not present is cached nowhere.
  if ((oldLow & P) !== 0) tables.flush.flushDomain(owner);
  return 0;
}

function writeEntry(tables: PageTables, address: number, low: number, high: number, oldHigh: number): void {
  const { memory } = tables.hypervisor;
  if (high >>> 0 !== oldHigh >>> 0) memory.writeU64(address, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
  else memory.writeU32(address, low >>> 0);
}

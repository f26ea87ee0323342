/** The size of the page that maps an address, without side effects: for INVLPG. */
import { Cr0, Cr4 } from '../../x86/control-registers.ts';
import { PteLow } from '../../x86/page-table-entry.ts';
import type { Processor } from '../processor.ts';
import { throughStages } from './walk.ts';

const PRESENT_LARGE = PteLow.P | PteLow.PS;

/**
 * Whether the tables, as they are now, map the address by a page above 4 KiB, or may have done so: an address that is not
 * mapped at a directory level says yes, so that what an older large page left behind is dropped too.
 */
export function isLargePage(processor: Processor, linear: bigint): boolean {
  const { state } = processor;
  if ((state.get32('cr0') & Cr0.PG) === 0) return false;
  const pae = (state.get32('cr4') & Cr4.PAE) !== 0;
  const longMode = state.get32('longMode') !== 0;
  const bits = pae ? 9n : 10n;
  const entryBytes = pae ? 8 : 4;
  let level = longMode ? 4n : pae ? 3n : 2n;
  let table = Number(state.get('cr3') & (longMode || !pae ? 0xf_ffff_ffff_f000n : 0xffff_ffe0n));
  for (; level > 1n; level--) {
    const index = Number((linear >> (12n + bits * (level - 1n))) & ((1n << bits) - 1n));
    const entry = throughStages(processor, table + index * entryBytes, false);
    if (entry < 0 || entry + entryBytes > processor.memory.size) return true;
    const low = processor.memory.readU32(entry);
    const canBeLarge = level === 2n || (level === 3n && longMode);
    if ((low & PteLow.P) === 0 || (canBeLarge && (low & PRESENT_LARGE) === PRESENT_LARGE)) return true;
    const high = pae ? processor.memory.readU32(entry + 4) & 0xfffff : 0;
    table = high * 2 ** 32 + ((low & 0xfffff000) >>> 0);
  }
  return false;
}

/**
 * The four page-directory-pointer-table entries of PAE paging outside long mode: checked and put into registers when CR3
 * is loaded. Walks use the registers only on Intel's models and in root operation: AMD processors read the entries on
 * each walk and check them there, and a hypervisor that loads CR3 for a guest does not pass here.
 * Sources: SDM 3A §4.4.1 (PDPTE registers, Table 4-8); AMD APM 2 §5.2.3.
 */
import type { Processor } from '../processor.ts';
import { OFFSET } from '../state.ts';

const CR3 = OFFSET.cr3 >> 2;
/** The CR3 that the entries belong to, with {@link VALID} set. */
const OWNER = (OFFSET.pdpte >> 2) + 8;
const VALID = 1;
const PRESENT = 1n;
const RESERVED = 0x1e6n;

/** Whether a walk takes the entries from the registers. */
export function holdsPdptes({ state }: Processor): boolean {
  return state.u32[OWNER] === (state.u32[CR3] | VALID) >>> 0;
}

/** Loads the registers for a new CR3. False: an entry has reserved bits set, and nothing changed. */
export function loadPdptes(processor: Processor, cr3: bigint): boolean {
  const { state, memory, cpuid } = processor;
  if (cpuid.vendor !== 'GenuineIntel' || processor.secondStages.length !== 0) return true;
  const table = Number(cr3 & 0xffff_ffe0n) - (processor.a20Masked ? Number(cr3 & 0x10_0000n) : 0);
  const reserved = BigInt.asUintN(64, RESERVED | (~0n << BigInt(cpuid.physicalAddressBits)));
  const entries = [0, 1, 2, 3].map((i) => (table + i * 8 + 7 < memory.size ? memory.readU64(table + i * 8) : 0n));
  if (entries.some((entry) => (entry & PRESENT) !== 0n && (entry & reserved) !== 0n)) return false;
  for (const [i, entry] of entries.entries()) state.set('pdpte', entry, i);
  state.set('pdpte', BigInt.asUintN(32, cr3) | BigInt(VALID), 4);
  return true;
}

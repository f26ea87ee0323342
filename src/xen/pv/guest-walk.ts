/**
 * Walks of a guest's tables by the hypervisor: the L1 entry that maps an address, as update_va_mapping, the
 * writable-page-table assist, grant mappings and the LDT shadow need it. Walks ask neither the modelled TLB nor change it.
 */
import type { PlatformMemory } from '../../platform/memory.ts';
import { FRAME_BYTES, P, PAT, entryFrame } from './guest-entry.ts';

/** Where an L1 entry is. */
export interface L1Position {
  readonly frame: number;
  readonly index: number;
}

export function isCanonical(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
}

/** Position of the L1 entry for `address` under the L4 table `root`, or undefined when it is not covered by present tables. */
export function findL1Entry(memory: PlatformMemory, root: number, address: bigint): L1Position | undefined {
  if (root === 0 || !isCanonical(address)) return undefined;
  let table = root;
  for (let level = 4; level > 1; level--) {
    const index = Number((address >> BigInt(3 + 9 * level)) & 511n);
    const at = table * FRAME_BYTES + index * 8;
    const low = memory.readU32(at);
    if ((low & P) === 0 || (low & PAT) !== 0) return undefined;
    table = entryFrame(low, memory.readU32(at + 4));
  }
  return { frame: table, index: Number((address >> 12n) & 511n) };
}

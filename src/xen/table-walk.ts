/**
 * Virtual memory of a domain that does not run: the walk of its 4-level tables in machine memory, with a user's rights,
 * as a processor with CR0.WP set would make it (no accessed and dirty bits are set: nobody executed an access).
 * Source: SDM 3A §4.5, §4.6.
 */

import type { VirtualFault } from '../platform/cpu.ts';
import type { PlatformMemory } from '../platform/memory.ts';

const present = 1n;
const writable = 2n;
const user = 4n;
const large = 0x80n;
const frameMask = 0x000f_ffff_ffff_f000n;
const pageBytes = 4096;

/** Bits of the #PF error code. */
const codePresent = 1;
const codeWrite = 2;
const codeUser = 4;

export class TableWalk {
  readonly #memory: PlatformMemory;
  readonly #root: number;

  /** @param root machine frame of the L4 table, 0 for none. */
  constructor(memory: PlatformMemory, root: number) {
    this.#memory = memory;
    this.#root = root;
  }

  readVirtual(linear: bigint, into: Uint8Array, _asUser: boolean): VirtualFault | undefined {
    return this.#eachPage(linear, into.length, 0, (address, offset, length) => {
      into.set(this.#memory.readBytes(address, length), offset);
    });
  }

  writeVirtual(linear: bigint, from: Uint8Array, _asUser: boolean): VirtualFault | undefined {
    return this.#eachPage(linear, from.length, codeWrite, (address, offset, length) => {
      this.#memory.writeBytes(address, from.subarray(offset, offset + length));
    });
  }

  /** Machine address of `linear`, or the #PF error code as a negative number. */
  translate(linear: bigint, access: number): number {
    let code = access | codeUser;
    if (this.#root === 0 || BigInt.asUintN(64, BigInt.asIntN(48, linear)) !== linear) return -code;
    let table = this.#root * pageBytes;
    for (let level = 4; level >= 1; level--) {
      const shift = BigInt(3 + 9 * level);
      const entry = this.#memory.readU64(table + Number((linear >> shift) & 511n) * 8);
      if ((entry & present) === 0n) return -code;
      if ((entry & user) === 0n || (access === codeWrite && (entry & writable) === 0n)) {
        code |= codePresent;
        return -code;
      }
      const isLeaf = level === 1 || (level < 4 && (entry & large) !== 0n);
      if (isLeaf) {
        const offset = (1n << shift) - 1n;
        return Number((entry & frameMask & ~offset) | (linear & offset));
      }
      table = Number(entry & frameMask);
    }
    return -code;
  }

  #eachPage(
    linear: bigint,
    length: number,
    access: number,
    visit: (address: number, offset: number, length: number) => void,
  ): VirtualFault | undefined {
    let offset = 0;
    while (offset < length) {
      const at = BigInt.asUintN(64, linear + BigInt(offset));
      const part = Math.min(length - offset, pageBytes - Number(at & 4095n));
      const address = this.translate(at, access);
      if (address < 0) return { address: at, errorCode: -address };
      visit(address, offset, part);
      offset += part;
    }
    return undefined;
  }
}

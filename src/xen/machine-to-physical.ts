/**
 * The M2P: for each machine frame the guest frame it is in its owner's numbering, 8 bytes each, in frames of the
 * hypervisor that every 64-bit PV guest sees read-only at 0xffff800000000000 (L4 slot 256; pv/ maps them).
 * Changed by MMU_MACHPHYS_UPDATE, populate_physmap and exchange only. Source: Xen public/arch-x86/xen-x86_64.h.
 */

import type { PlatformMemory } from '../platform/memory.ts';

export const m2pVirtualStart = 0xffff8000_00000000n;
export const m2pVirtualEnd = 0xffff8040_00000000n;
/** Entry of a frame that has no guest frame number. */
export const invalidM2pEntry = 0xffff_ffff_ffff_ffffn;

const entryBytes = 8;
const frameBytes = 4096;

export class MachineToPhysical {
  /** Its frames are `firstFrame` and the `frameCount - 1` after it, contiguous. */
  readonly firstFrame: number;
  readonly frameCount: number;
  readonly entryCount: number;
  readonly #memory: PlatformMemory;

  constructor(memory: PlatformMemory, firstFrame: number, entryCount: number) {
    this.#memory = memory;
    this.firstFrame = firstFrame;
    this.entryCount = entryCount;
    this.frameCount = MachineToPhysical.framesFor(entryCount);
    const empty = new Uint8Array(frameBytes).fill(0xff);
    for (let i = 0; i < this.frameCount; i++) memory.writeBytes((firstFrame + i) * frameBytes, empty);
  }

  static framesFor(entryCount: number): number {
    return Math.ceil((entryCount * entryBytes) / frameBytes);
  }

  read(machineFrame: number): bigint {
    return this.#memory.readU64(this.#address(machineFrame));
  }

  write(machineFrame: number, guestFrame: bigint): void {
    this.#memory.writeU64(this.#address(machineFrame), BigInt.asUintN(64, guestFrame));
  }

  #address(machineFrame: number): number {
    return this.firstFrame * frameBytes + machineFrame * entryBytes;
  }
}

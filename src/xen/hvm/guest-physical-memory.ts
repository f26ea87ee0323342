/**
 * Hypercall pointers of host code in ring 0 of a full domain: it has no linear addresses of its own, so they are
 * guest-physical ones (platform.ts LayerBelow).
 */

import type { VirtualFault } from '../../platform/cpu.ts';
import type { PlatformMemory } from '../../platform/memory.ts';
import type { GuestMemory } from '../hypervisor.ts';
import { frameBytes } from '../shared-info.ts';
import type { Physmap } from './physmap.ts';

/** Error code of a write to what is not there. */
const codeWrite = 2;

export class GuestPhysicalMemory implements GuestMemory {
  readonly #memory: PlatformMemory;
  readonly #physmap: Physmap;

  constructor(memory: PlatformMemory, physmap: Physmap) {
    this.#memory = memory;
    this.#physmap = physmap;
  }

  readVirtual(address: bigint, into: Uint8Array): VirtualFault | undefined {
    return this.#eachPage(address, into.length, 0, (machine, offset, length) => {
      into.set(this.#memory.readBytes(machine, length), offset);
    });
  }

  writeVirtual(address: bigint, from: Uint8Array): VirtualFault | undefined {
    return this.#eachPage(address, from.length, codeWrite, (machine, offset, length) => {
      this.#memory.writeBytes(machine, from.subarray(offset, offset + length));
    });
  }

  #eachPage(
    address: bigint,
    length: number,
    errorCode: number,
    visit: (machine: number, offset: number, length: number) => void,
  ): VirtualFault | undefined {
    for (let done = 0; done < length; ) {
      const at = address + BigInt(done);
      const offset = Number(at & 0xfffn);
      const frame = at >> 52n === 0n ? this.#physmap.machineFrame(Number(at >> 12n)) : -1;
      if (frame < 0) return { address: at, errorCode };
      const part = Math.min(length - done, frameBytes - offset);
      visit(frame * frameBytes + offset, done, part);
      done += part;
    }
    return undefined;
  }
}

/** Guest-physical memory as the devices of a full domain reach it by themselves; holes read as ones and swallow writes. */
import type { DmaMemory } from '../../devices/virtio/queue.ts';
import type { PlatformMemory } from '../../platform/memory.ts';
import { frameBytes } from '../shared-info.ts';
import { GuestPhysicalMemory } from './guest-physical-memory.ts';
import type { Physmap } from './physmap.ts';

export class DomainDma implements DmaMemory {
  readonly #memory: GuestPhysicalMemory;
  readonly #physmap: Physmap;

  constructor(memory: PlatformMemory, physmap: Physmap) {
    this.#memory = new GuestPhysicalMemory(memory, physmap);
    this.#physmap = physmap;
  }

  get size(): number {
    return this.#physmap.frameCount * frameBytes;
  }

  readBytes(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length).fill(0xff);
    this.#memory.readVirtual(BigInt(address), bytes);
    return bytes;
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    this.#memory.writeVirtual(BigInt(address), bytes);
  }
}

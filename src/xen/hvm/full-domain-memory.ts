/**
 * The memory of a full domain as host code in its ring 0 sees it: guest-physical addresses, translated by the domain's
 * map on each access. RAM is what the domain's memory map (e820) says and the map holds. Where nothing is mapped, reads
 * are all ones and writes go nowhere.
 */

import type { PlatformMemory } from '../../platform/memory.ts';
import { E820_RAM, e820_entry } from '../../xen-abi/memory.ts';
import { frameBytes } from '../shared-info.ts';
import type { FullDomain } from './full-domain.ts';
import type { Physmap } from './physmap.ts';

export class FullDomainMemory implements PlatformMemory {
  readonly frameCount: number;
  readonly #lower: PlatformMemory;
  readonly #physmap: Physmap;
  readonly #ram: readonly { readonly first: number; readonly last: number }[];

  constructor(lower: PlatformMemory, full: FullDomain) {
    this.#lower = lower;
    this.#physmap = full.physmap;
    this.#ram = ramRanges(full.domain.memoryMap);
    let frames = 0;
    for (let frame = 0; frame < full.physmap.frameCount; frame++) if (this.isRam(frame)) frames = frame + 1;
    this.frameCount = frames;
  }

  isRam(frame: number): boolean {
    if (this.#physmap.machineFrame(frame) < 0) return false;
    return this.#ram.some(({ first, last }) => frame >= first && frame <= last);
  }

  readU8(address: number): number {
    const machine = this.#machine(address);
    return machine < 0 ? 0xff : this.#lower.readU8(machine);
  }
  readU16(address: number): number {
    return Number(this.#read(address, 2));
  }
  readU32(address: number): number {
    const machine = this.#whole(address, 4);
    return machine >= 0 ? this.#lower.readU32(machine) : Number(this.#read(address, 4));
  }
  readU64(address: number): bigint {
    const machine = this.#whole(address, 8);
    return machine >= 0 ? this.#lower.readU64(machine) : this.#read(address, 8);
  }
  writeU8(address: number, value: number): void {
    const machine = this.#machine(address);
    if (machine >= 0) this.#lower.writeU8(machine, value);
  }
  writeU16(address: number, value: number): void {
    const machine = this.#whole(address, 2);
    if (machine >= 0) this.#lower.writeU16(machine, value);
    else this.#write(address, 2, BigInt(value));
  }
  writeU32(address: number, value: number): void {
    const machine = this.#whole(address, 4);
    if (machine >= 0) this.#lower.writeU32(machine, value);
    else this.#write(address, 4, BigInt(value));
  }
  writeU64(address: number, value: bigint): void {
    const machine = this.#whole(address, 8);
    if (machine >= 0) this.#lower.writeU64(machine, value);
    else this.#write(address, 8, value);
  }

  readBytes(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length).fill(0xff);
    this.#eachPage(address, length, (machine, offset, part) => {
      bytes.set(this.#lower.readBytes(machine, part), offset);
    });
    return bytes;
  }
  writeBytes(address: number, bytes: Uint8Array): void {
    this.#eachPage(address, bytes.length, (machine, offset, part) => {
      this.#lower.writeBytes(machine, bytes.subarray(offset, offset + part));
    });
  }
  frameView(frame: number): Uint8Array {
    const machine = this.#physmap.machineFrame(frame);
    return machine < 0 ? new Uint8Array(frameBytes).fill(0xff) : this.#lower.frameView(machine);
  }
  frameEntries(frame: number): BigUint64Array {
    const machine = this.#physmap.machineFrame(frame);
    return machine < 0 ? new BigUint64Array(frameBytes / 8).fill((1n << 64n) - 1n) : this.#lower.frameEntries(machine);
  }
  zeroFrame(frame: number): void {
    const machine = this.#physmap.machineFrame(frame);
    if (machine >= 0) this.#lower.zeroFrame(machine);
  }
  copyFrame(destination: number, source: number): void {
    const [to, from] = [this.#physmap.machineFrame(destination), this.#physmap.machineFrame(source)];
    if (to >= 0 && from >= 0) this.#lower.copyFrame(to, from);
  }

  #machine(address: number): number {
    const frame = this.#physmap.machineFrame(Math.floor(address / frameBytes));
    return frame < 0 ? -1 : frame * frameBytes + (address % frameBytes);
  }

  /** Machine address of an operand inside one mapped page, or -1. */
  #whole(address: number, size: number): number {
    return (address % frameBytes) + size <= frameBytes ? this.#machine(address) : -1;
  }

  #read(address: number, size: number): bigint {
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.readU8(address + i));
    return value;
  }

  #write(address: number, size: number, value: bigint): void {
    for (let i = 0; i < size; i++) this.writeU8(address + i, Number((value >> BigInt(8 * i)) & 0xffn));
  }

  #eachPage(address: number, length: number, visit: (machine: number, offset: number, length: number) => void): void {
    for (let done = 0; done < length; ) {
      const at = address + done;
      const part = Math.min(length - done, frameBytes - (at % frameBytes));
      const machine = this.#machine(at);
      if (machine >= 0) visit(machine, done, part);
      done += part;
    }
  }
}

/** Whole frames of RAM in an e820 map; without a map everything that is mapped. */
function ramRanges(map: Uint8Array | undefined): { first: number; last: number }[] {
  if (map === undefined) return [{ first: 0, last: Number.MAX_SAFE_INTEGER }];
  const size = e820_entry.size();
  const ranges: { first: number; last: number }[] = [];
  for (let at = 0; at + size <= map.length; at += size) {
    const { addr, size: bytes, type } = e820_entry.read(map.subarray(at, at + size));
    if (type !== E820_RAM) continue;
    const first = Number((addr + 0xfffn) >> 12n);
    const last = Number((addr + bytes) >> 12n) - 1;
    if (last >= first) ranges.push({ first, last });
  }
  return ranges;
}

/**
 * The machine's memory as loaders tell it to a kernel (E820): RAM below and above the hole of a PC, the BIOS area.
 * Source: ACPI 6.4 §15 (address range types).
 */
import { ConfigError } from '../base/errors.ts';
import { FIRMWARE_AREA, FIRMWARE_AREA_END } from './acpi-tables.ts';

export interface LoaderMemory {
  readonly size: number;
  writeBytes(address: number, bytes: Uint8Array): void;
  writeU32(address: number, value: number): void;
}

export interface MemoryRange {
  readonly base: number;
  readonly length: number;
  /** 1 RAM, 2 reserved. */
  readonly type: 1 | 2;
}

/** The extended BIOS data area begins here; RAM below is free. */
const LOW_MEMORY_END = 0x9_fc00;

export function memoryMap(size: number): MemoryRange[] {
  return [
    { base: 0, length: LOW_MEMORY_END, type: 1 },
    { base: LOW_MEMORY_END, length: 0xa_0000 - LOW_MEMORY_END, type: 2 },
    { base: FIRMWARE_AREA, length: FIRMWARE_AREA_END - FIRMWARE_AREA, type: 2 },
    { base: FIRMWARE_AREA_END, length: size - FIRMWARE_AREA_END, type: 1 },
  ];
}

/** @throws {ConfigError} when `bytes` do not lie in RAM above `least`. */
export function placeImage(memory: LoaderMemory, bytes: Uint8Array, address: number, name: string, least = 0x1_0000): void {
  if (address < least || address + bytes.length > memory.size) {
    const range = `0x${address.toString(16)}..0x${(address + bytes.length).toString(16)}`;
    throw new ConfigError(`${name}: does not fit: bytes ${range} of a memory of ${memory.size >> 20} MiB`);
  }
  memory.writeBytes(address, bytes);
}

/**
 * A ramdisk as high as it goes, on a page, above everything that the kernel takes.
 * @throws {ConfigError} when there is no room.
 */
export function placeRamdisk(memory: LoaderMemory, ramdisk: Uint8Array, highest: number, least: number): number {
  const end = Math.min(memory.size, highest + 1);
  const address = Math.floor((end - ramdisk.length) / 0x1000) * 0x1000;
  placeImage(memory, ramdisk, address, 'ramdisk', least);
  return address;
}

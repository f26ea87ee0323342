/**
 * The Linux boot protocol for bzImage: loads the protected-mode part of the image, whose own decompressor then runs as
 * guest code, and enters it in 32-bit protected mode with the zero page in ESI.
 * Source: Linux Documentation/x86/boot.rst ("The Real-Mode Kernel Header", "32-bit Boot Protocol"), zero-page.rst.
 * Left out: the real-mode part, protocols before 2.10, EFI.
 */
import { ConfigError } from '../base/errors.ts';
import { placeAcpiTables } from './acpi-tables.ts';
import { type LoaderMemory, memoryMap, placeImage, placeRamdisk } from './memory-map.ts';

/** What every loader of this folder gives to the machine: where and with what the processor begins, in flat 32-bit mode. */
export interface FlatStart {
  readonly entry: number;
  readonly eax?: number;
  readonly ebx?: number;
  readonly esi?: number;
  /** Selector of the flat code segment; the data segments' is 8 above. Default 8. */
  readonly codeSelector?: number;
  /** A table with these descriptors. */
  readonly gdt?: { readonly base: number; readonly limit: number };
}

export interface BootOptions {
  readonly name: string;
  readonly commandLine: string;
  readonly ramdisk?: Uint8Array | undefined;
  readonly processors: number;
}

const HEADER = 0x1f1;
const SIGNATURE = 0x202;
const MAGIC = 0x53726448; // "HdrS"
const OLDEST_VERSION = 0x20a;
const LOADED_HIGH = 1;
const UNKNOWN_LOADER = 0xff;
/** Places in low memory. */
const GDT = 0x1_f000;
const ZERO_PAGE = 0x1_0000;
const COMMAND_LINE = 0x2_0000;
const BOOT_CODE = 0x10;
const FLAT_CODE_32 = 0x00cf_9b00_0000_ffffn;
const FLAT_DATA_32 = 0x00cf_9300_0000_ffffn;

/** Whether the image is one of Linux with a boot protocol that is understood here. */
export function isLinuxImage(image: Uint8Array): boolean {
  if (image.length < 0x268) return false;
  const view = viewOf(image);
  return view.getUint32(SIGNATURE, true) === MAGIC && view.getUint16(0x1fe, true) === 0xaa55;
}

/** @throws {ConfigError} when the image is damaged or does not fit. */
export function loadLinux(memory: LoaderMemory, image: Uint8Array, options: BootOptions): FlatStart {
  const { name } = options;
  const view = viewOf(image);
  const version = view.getUint16(0x206, true);
  if (version < OLDEST_VERSION) throw new ConfigError(`${name}: boot protocol ${hex(version)} is older than 2.10`);
  if ((image[0x211] & LOADED_HIGH) === 0) throw new ConfigError(`${name}: a kernel for low memory (zImage)`);
  const setupBytes = ((image[HEADER] === 0 ? 4 : image[HEADER]) + 1) * 512;
  if (setupBytes >= image.length) throw new ConfigError(`${name}: cut off after its header`);
  const relocatable = image[0x234] !== 0;
  const preferred = Number(view.getBigUint64(0x258, true));
  const load = relocatable ? preferred : view.getUint32(0x214, true);
  const needs = view.getUint32(0x260, true);
  if (load + needs > memory.size) {
    throw new ConfigError(`${name}: needs ${Math.ceil((load + needs) / 0x10_0000)} MiB of memory to start, there are ${memory.size >> 20}`);
  }
  placeImage(memory, image.subarray(setupBytes), load, name, 0x10_0000);
  const longest = view.getUint32(0x238, true);
  const commandLine = new TextEncoder().encode(options.commandLine);
  if (commandLine.length > longest) throw new ConfigError(`${name}: takes a command line of ${longest} bytes, not ${commandLine.length}`);
  memory.writeBytes(COMMAND_LINE, Uint8Array.from([...commandLine, 0]));

  const zeroPage = new Uint8Array(0x1000);
  // The header, as long as the image says it is, then what a loader fills in.
  zeroPage.set(image.subarray(HEADER, SIGNATURE + image[0x201]), HEADER);
  const fields = viewOf(zeroPage);
  zeroPage[0x210] = UNKNOWN_LOADER;
  fields.setUint32(0x214, load, true);
  fields.setUint32(0x228, COMMAND_LINE, true);
  if (options.ramdisk !== undefined) {
    const address = placeRamdisk(memory, options.ramdisk, view.getUint32(0x22c, true), load + needs);
    fields.setUint32(0x218, address, true);
    fields.setUint32(0x21c, options.ramdisk.length, true);
  }
  const map = memoryMap(memory.size);
  zeroPage[0x1e8] = map.length;
  for (const [n, { base, length, type }] of map.entries()) {
    const at = 0x2d0 + n * 20;
    fields.setBigUint64(at, BigInt(base), true);
    fields.setBigUint64(at + 8, BigInt(length), true);
    fields.setUint32(at + 16, type, true);
  }
  fields.setUint32(0x1e0, (memory.size - 0x10_0000) >> 10, true);
  fields.setBigUint64(0x070, BigInt(placeAcpiTables(memory, options)), true);
  memory.writeBytes(ZERO_PAGE, zeroPage);
  return { entry: load, esi: ZERO_PAGE, codeSelector: BOOT_CODE, gdt: placeGdt(memory) };
}

/** Flat code at 0x10 and data at 0x18, as the protocol wants them. */
function placeGdt(memory: LoaderMemory): { base: number; limit: number } {
  const table = BigUint64Array.of(0n, 0n, FLAT_CODE_32, FLAT_DATA_32);
  memory.writeBytes(GDT, new Uint8Array(table.buffer));
  return { base: GDT, limit: table.byteLength - 1 };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function hex(version: number): string {
  return `${version >> 8}.${(version & 0xff).toString().padStart(2, '0')}`;
}

/**
 * PVH: an ELF kernel with the note PHYS32_ENTRY starts in 32-bit protected mode without paging, EBX pointing to
 * `hvm_start_info`. Debian's kernel, taken out of its bzImage, boots so without its decompressor.
 * Sources: Xen docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h, public/elfnote.h.
 */
import { ConfigError } from '../base/errors.ts';
import { type ElfImage, isElf, notesOfSections, notesOfSegments, parseElf, PT_LOAD } from '../base/elf.ts';
import { placeAcpiTables } from './acpi-tables.ts';
import type { BootOptions, FlatStart } from './linux.ts';
import { type LoaderMemory, memoryMap, placeImage, placeRamdisk } from './memory-map.ts';

const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const MAGIC = 0x336e_c578;
const START_INFO = 0x1_0000;
const MODULE_LIST = 0x1_0100;
const MEMORY_MAP = 0x1_0200;
const COMMAND_LINE = 0x2_0000;
const LONGEST_COMMAND_LINE = 4095;

/** Entry point of the note; undefined when the image has none. */
export function pvhEntry(image: ElfImage): number | undefined {
  const notes = [...notesOfSegments(image), ...notesOfSections(image)];
  const note = notes.find(({ owner, type }) => owner === 'Xen' && type === XEN_ELFNOTE_PHYS32_ENTRY);
  if (note === undefined || note.descriptor.length < 4) return undefined;
  return new DataView(note.descriptor.buffer, note.descriptor.byteOffset).getUint32(0, true);
}

export function isPvhImage(image: Uint8Array): boolean {
  return isElf(image) && pvhEntry(parseElf(image)) !== undefined;
}

/** @throws {ConfigError} when the image has no such note, or does not fit. */
export function loadPvh(memory: LoaderMemory, image: Uint8Array, options: BootOptions): FlatStart {
  const elf = parseElf(image);
  const entry = pvhEntry(elf);
  if (entry === undefined) throw new ConfigError(`${options.name}: no note PHYS32_ENTRY`);
  let end = 0;
  for (const segment of elf.segments) {
    if (segment.type !== PT_LOAD) continue;
    const address = Number(segment.physical);
    placeImage(memory, segment.data, address, options.name, 0x10_0000);
    const rest = Number(segment.memoryBytes) - segment.data.length;
    if (rest > 0) placeImage(memory, new Uint8Array(rest), address + segment.data.length, options.name, 0x10_0000);
    end = Math.max(end, address + Number(segment.memoryBytes));
  }
  const commandLine = new TextEncoder().encode(options.commandLine);
  if (commandLine.length > LONGEST_COMMAND_LINE) {
    throw new ConfigError(`${options.name}: a command line of ${commandLine.length} bytes is too long`);
  }
  memory.writeBytes(COMMAND_LINE, Uint8Array.from([...commandLine, 0]));
  const map = memoryMap(memory.size);
  const ramdisk = options.ramdisk === undefined ? undefined : placeRamdisk(memory, options.ramdisk, memory.size - 1, end);

  const info = new BigUint64Array(7);
  const words = new Uint32Array(info.buffer);
  words[0] = MAGIC;
  words[1] = 1;
  words[3] = ramdisk === undefined ? 0 : 1;
  info[2] = BigInt(MODULE_LIST);
  info[3] = BigInt(COMMAND_LINE);
  info[4] = BigInt(placeAcpiTables(memory, options));
  info[5] = BigInt(MEMORY_MAP);
  words[12] = map.length;
  memory.writeBytes(START_INFO, new Uint8Array(info.buffer));
  if (ramdisk !== undefined) {
    memory.writeBytes(MODULE_LIST, bytesOf([BigInt(ramdisk), BigInt(options.ramdisk?.length ?? 0), 0n, 0n]));
  }
  memory.writeBytes(MEMORY_MAP, bytesOf(map.flatMap(({ base, length, type }) => [BigInt(base), BigInt(length), BigInt(type)])));
  return { entry, ebx: START_INFO };
}

function bytesOf(words: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(words).buffer);
}

/**
 * Multiboot 1: loads a kernel and leaves a processor as the specification says: protected mode, flat 4 GiB segments,
 * paging off, EAX the magic, EBX the information structure. A header with bit 16 gives its own load addresses, so that
 * an ELF64 file can be loaded by a 32-bit boot protocol.
 * Source: Multiboot Specification version 0.6.96, §3.1 (header), §3.2 (machine state), §3.3 (information).
 * Left out: modules, video modes, drives, APM.
 */
import { ConfigError } from '../base/errors.ts';

const HEADER_MAGIC = 0x1badb002;
const LOADED_MAGIC = 0x2badb002;
const SEARCH_BYTES = 8192;
const FLAG_ADDRESSES = 0x10000;
/** Information, command line and memory map live in one page of low memory. */
const INFORMATION = 0x9000;
const COMMAND_LINE = 0x9100;
const MEMORY_MAP = 0x9800;
const LOADER_NAME = 0x9900;

export interface LoadedImage {
  readonly entry: number;
  readonly eax: number;
  readonly ebx: number;
}

interface Target {
  readonly size: number;
  writeBytes(address: number, bytes: Uint8Array): void;
  writeU32(address: number, value: number): void;
}

/** Offset of the multiboot header, or -1. */
export function findMultibootHeader(image: Uint8Array): number {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const end = Math.min(image.length, SEARCH_BYTES) - 12;
  for (let at = 0; at <= end; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    const sum = (HEADER_MAGIC + view.getUint32(at + 4, true) + view.getUint32(at + 8, true)) >>> 0;
    if (sum === 0) return at;
  }
  return -1;
}

/** @throws {ConfigError} when the image has no usable header or does not fit. */
export function loadMultiboot(memory: Target, image: Uint8Array, name: string, commandLine: string): LoadedImage {
  const header = findMultibootHeader(image);
  if (header < 0) throw new ConfigError(`${name}: no multiboot header in the first ${SEARCH_BYTES} bytes`);
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const flags = view.getUint32(header + 4, true);
  const entry = (flags & FLAG_ADDRESSES) !== 0 ? loadByHeader(memory, image, view, header, name) : loadElf32(memory, image, view, name);
  writeInformation(memory, `${name} ${commandLine}`.trim());
  return { entry, eax: LOADED_MAGIC, ebx: INFORMATION };
}

function loadByHeader(memory: Target, image: Uint8Array, view: DataView, header: number, name: string): number {
  if (header + 32 > image.length) throw new ConfigError(`${name}: multiboot header is cut off`);
  const [headerAddress, loadAddress, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28].map((at) => view.getUint32(header + at, true));
  const start = header - (headerAddress - loadAddress);
  const length = loadEnd === 0 ? image.length - start : loadEnd - loadAddress;
  if (start < 0 || length < 0 || start + length > image.length) {
    throw new ConfigError(`${name}: multiboot header loads bytes ${start}..${start + length} of a file of ${image.length}`);
  }
  place(memory, image.subarray(start, start + length), loadAddress, name);
  const end = loadAddress + length;
  if (bssEnd > end) place(memory, new Uint8Array(bssEnd - end), end, name);
  return entry;
}

function loadElf32(memory: Target, image: Uint8Array, view: DataView, name: string): number {
  const isElf32 = image.length >= 52 && view.getUint32(0, true) === 0x464c457f && image[4] === 1;
  if (!isElf32) throw new ConfigError(`${name}: multiboot without load addresses needs an ELF32 file`);
  const table = view.getUint32(28, true);
  const count = view.getUint16(44, true);
  if (table + count * 32 > image.length) throw new ConfigError(`${name}: program headers are cut off`);
  for (let n = 0; n < count; n++) {
    const at = table + n * 32;
    if (view.getUint32(at, true) !== 1) continue;
    const [offset, , physical, fileSize, memorySize] = [4, 8, 12, 16, 20].map((field) => view.getUint32(at + field, true));
    if (offset + fileSize > image.length) throw new ConfigError(`${name}: segment ${n} reaches beyond the file`);
    place(memory, image.subarray(offset, offset + fileSize), physical, name);
    if (memorySize > fileSize) place(memory, new Uint8Array(memorySize - fileSize), physical + fileSize, name);
  }
  return view.getUint32(24, true);
}

function place(memory: Target, bytes: Uint8Array, address: number, name: string): void {
  if (address < 0x10000 || address + bytes.length > memory.size) {
    throw new ConfigError(
      `${name}: does not fit: bytes 0x${address.toString(16)}..0x${(address + bytes.length).toString(16)} of a memory of ${memory.size >> 20} MiB`,
    );
  }
  memory.writeBytes(address, bytes);
}

function writeInformation(memory: Target, commandLine: string): void {
  const text = new TextEncoder().encode(`${commandLine.slice(0, 1500)}\0`);
  memory.writeBytes(COMMAND_LINE, text);
  memory.writeBytes(LOADER_NAME, new TextEncoder().encode('paravane\0'));
  const upper = memory.size - 0x100000;
  const words: [number, number][] = [
    [0, 0x1 | 0x4 | 0x40 | 0x200], // memory sizes, command line, memory map, loader name
    [4, 640],
    [8, upper >> 10],
    [16, COMMAND_LINE],
    [44, 2 * 24],
    [48, MEMORY_MAP],
    [64, LOADER_NAME],
  ];
  memory.writeBytes(INFORMATION, new Uint8Array(88));
  for (const [offset, value] of words) memory.writeU32(INFORMATION + offset, value);
  for (const [n, base, length] of [
    [0, 0, 0xa0000],
    [1, 0x100000, upper],
  ]) {
    const at = MEMORY_MAP + n * 24;
    for (const [word, value] of [20, base, 0, length, 0, 1].entries()) memory.writeU32(at + word * 4, value);
  }
}

/**
 * Data and code accesses that an engine does not do inline: lookup misses, operands that cross a page, device memory,
 * and writes to frames with translated code.
 *
 *   load    slowLoad gives an address in the WebAssembly memory from which the engine reads the operand, or 0: faulted.
 *   store   prepareStore gives an address to which the engine writes the operand (after everything else that can fault),
 *           then commitStore moves it to its place if that was not its place already.
 * Until commitStore nothing is visible, and a store that crosses a page checks both pages first.
 *
 * A pending store is `slowStore`: machine address of the first part, size (0 = none), machine address of the second part.
 * An address that a second stage does not map is a guest-physical one with {@link GUEST_DEVICE} added.
 * Sources: SDM 3A §6.15 (#PF, #SS, #GP), §8.1.1 (split accesses are not atomic).
 */
import { PAGE_SIZE } from '../../memory/physical-memory.ts';
import { Vector } from '../../x86/exceptions.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { noteDataAccess } from '../breakpoints.ts';
import { checksAlignment } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { OFFSET } from '../state.ts';
import { healWriteTag } from './lookup-table.ts';
import { secondStageViolation } from './second-stage.ts';
import { FAULTED, translate, UNMAPPED } from './translate.ts';
import { throughStages } from './walk.ts';
import { Access } from './walk-result.ts';

const CODE_MODE = OFFSET.codeMode >> 2;
const LONG_MODE = OFFSET.longMode >> 2;
const SLOW_STORE = OFFSET.slowStore >> 3;
const MASK64 = 0xffff_ffff_ffff_ffffn;

/** Added to a guest-physical address to say that it is not a machine address. */
const GUEST_DEVICE = 2 ** 52;

type DeviceSize = 1 | 2 | 4 | 8;

/** Records #SS(0) or #GP(0) and returns false when an end of the operand is not canonical. */
function canonicalRange(processor: Processor, linear: bigint, size: number, stack: boolean): boolean {
  if (processor.state.u32[LONG_MODE] === 0) return true;
  if (isCanonical(linear) && isCanonical((linear + BigInt(size - 1)) & MASK64)) return true;
  processor.faultWithCode(stack ? Vector.SS : Vector.GP, 0);
  return false;
}

/**
 * False, with #AC(0) recorded, when alignment is checked and the operand is not aligned to its size; 16 bytes need 8
 * (SDM 3A §6.15 leaves it open for MOVUPS). Below #PF in priority: call it when translation has succeeded.
 */
export function aligned(processor: Processor, linear: bigint, size: number): boolean {
  if (size === 1 || !checksAlignment(processor.state)) return true;
  const natural = size >= 8 ? 7 : size - 1;
  if ((Number(linear & 7n) & natural) === 0) return true;
  processor.faultWithCode(Vector.AC, 0);
  return false;
}

/** The linear address `count` bytes on: 32-bit code wraps at 4 GiB. */
function linearPlus(processor: Processor, linear: bigint, count: number): bigint {
  const sum = linear + BigInt(count);
  return processor.state.u32[CODE_MODE] === 64 ? sum & MASK64 : sum & 0xffff_ffffn;
}

/** Where the access lies: a machine address, GUEST_DEVICE + guest-physical address, or FAULTED. */
function locate(processor: Processor, linear: bigint, access: Access): number {
  const machine = translate(processor, linear, access);
  return machine === UNMAPPED ? GUEST_DEVICE + processor.walk.guestPhysical : machine;
}

function isRam(processor: Processor, place: number): boolean {
  return place < processor.memory.size;
}

/**
 * Reads an operand of up to 32 bytes. Returns its address in the WebAssembly memory, or 0 when a fault was recorded.
 * `stack`: the access is through SS, so that a non-canonical address is #SS and not #GP.
 */
export function slowLoad(processor: Processor, linear: bigint, size: number, stack = false): number {
  if (!canonicalRange(processor, linear, size, stack)) return 0;
  const { state, memory } = processor;
  const place = locate(processor, linear, Access.READ);
  if (place === FAULTED) return 0;
  const inPage = PAGE_SIZE - (place % PAGE_SIZE);
  noteDataAccess(processor, linear, size, false);
  if (size <= inPage) {
    if (!aligned(processor, linear, size)) return 0;
    if (isRam(processor, place)) return memory.base + place;
    readPlace(processor, place, size, OFFSET.loadScratch);
    return state.base + OFFSET.loadScratch;
  }
  const second = locate(processor, linearPlus(processor, linear, inPage), Access.READ);
  if (second === FAULTED || !aligned(processor, linear, size)) return 0;
  readPlace(processor, place, inPage, OFFSET.loadScratch);
  readPlace(processor, second, size - inPage, OFFSET.loadScratch + inPage);
  return state.base + OFFSET.loadScratch;
}

/**
 * Checks that an operand of up to 32 bytes can be written, and returns the address in the WebAssembly memory to which
 * the engine writes it; 0 when a fault was recorded. Follow with {@link commitStore} unless `slowStore[1]` is 0.
 */
export function prepareStore(processor: Processor, linear: bigint, size: number, stack = false): number {
  const { state, memory } = processor;
  state.u64[SLOW_STORE + 1] = 0n;
  if (!canonicalRange(processor, linear, size, stack)) return 0;
  const place = locate(processor, linear, Access.WRITE);
  if (place === FAULTED) return 0;
  const inPage = PAGE_SIZE - (place % PAGE_SIZE);
  noteDataAccess(processor, linear, size, true);
  if (size <= inPage) {
    if (!aligned(processor, linear, size)) return 0;
    if (isRam(processor, place)) {
      if (memory.codeFrames[Math.floor(place / PAGE_SIZE)] === 0) {
        healWriteTag(processor, linear, state.get32('cpl') === 3);
        return memory.base + place;
      }
    }
    state.u64[SLOW_STORE + 2] = 0n;
  } else {
    const second = locate(processor, linearPlus(processor, linear, inPage), Access.WRITE);
    if (second === FAULTED || !aligned(processor, linear, size)) return 0;
    state.u64[SLOW_STORE + 2] = BigInt(second);
  }
  state.u64[SLOW_STORE] = BigInt(place);
  state.u64[SLOW_STORE + 1] = BigInt(size);
  return state.base + OFFSET.storeScratch;
}

/** Moves the operand of a pending store from the scratch to its place. Nothing pending: nothing to do. */
export function commitStore(processor: Processor): void {
  const { state } = processor;
  const size = Number(state.u64[SLOW_STORE + 1]);
  if (size === 0) return;
  state.u64[SLOW_STORE + 1] = 0n;
  const place = Number(state.u64[SLOW_STORE]);
  const inPage = Math.min(size, PAGE_SIZE - (place % PAGE_SIZE));
  writePlace(processor, place, inPage, OFFSET.storeScratch);
  if (inPage < size) {
    writePlace(processor, Number(state.u64[SLOW_STORE + 2]), size - inPage, OFFSET.storeScratch + inPage);
  }
}

/** Largest access of a device at `address` that does not pass `size` bytes: powers of two, naturally aligned. */
function deviceSize(address: number, size: number): DeviceSize {
  for (const candidate of [8, 4, 2] as const) {
    if (size >= candidate && (address % candidate === 0 || size === candidate)) return candidate;
  }
  return 1;
}

function readPlace(processor: Processor, place: number, size: number, offset: number): void {
  const { state, memory } = processor;
  if (isRam(processor, place)) {
    state.u8.set(memory.readBytes(place, size), offset);
    return;
  }
  for (let done = 0; done < size; ) {
    const part = deviceSize(place + done, size - done);
    let value = readDevice(processor, place + done, part);
    for (let i = 0; i < part; i++, value >>= 8n) state.u8[offset + done + i] = Number(value & 0xffn);
    done += part;
  }
}

function writePlace(processor: Processor, place: number, size: number, offset: number): void {
  const { state, memory } = processor;
  if (isRam(processor, place)) {
    memory.writeBytes(place, state.u8.subarray(offset, offset + size));
    return;
  }
  for (let done = 0; done < size; ) {
    const part = deviceSize(place + done, size - done);
    let value = 0n;
    for (let i = part - 1; i >= 0; i--) value = (value << 8n) | BigInt(state.u8[offset + done + i]);
    writeDevice(processor, place + done, part, value);
    done += part;
  }
}

/** A device access may change interrupt lines and the next event of the machine. */
function readBus(processor: Processor, address: number, size: DeviceSize): bigint {
  const value = processor.bus.readMemory(address, size);
  processor.endRun();
  return value;
}

function writeBus(processor: Processor, address: number, size: DeviceSize, value: bigint): void {
  processor.bus.writeMemory(address, size, value);
  processor.endRun();
}

function readDevice(processor: Processor, place: number, size: DeviceSize): bigint {
  if (place < GUEST_DEVICE) return readBus(processor, place, size);
  const guestPhysical = place - GUEST_DEVICE;
  const mmio = { size, value: (1n << BigInt(size * 8)) - 1n };
  secondStageViolation(processor, guestPhysical, 'read', mmio);
  const machine = throughStages(processor, guestPhysical, false);
  if (machine < 0) return mmio.value;
  if (!isRam(processor, machine)) return readBus(processor, machine, size);
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(processor.memory.readU8(machine + i));
  return value;
}

function writeDevice(processor: Processor, place: number, size: DeviceSize, value: bigint): void {
  if (place < GUEST_DEVICE) {
    writeBus(processor, place, size, value);
    return;
  }
  const guestPhysical = place - GUEST_DEVICE;
  secondStageViolation(processor, guestPhysical, 'write', { size, value });
  const machine = throughStages(processor, guestPhysical, true);
  if (machine < 0) return;
  if (!isRam(processor, machine)) {
    writeBus(processor, machine, size, value);
    return;
  }
  for (let i = 0, rest = value; i < size; i++, rest >>= 8n) processor.memory.writeU8(machine + i, Number(rest & 0xffn));
}

/**
 * Address in the WebAssembly memory of the code byte at a linear address, valid to the end of its page; 0 when a fault
 * was recorded. An engine asks once when its fetch page changes. Code outside RAM reads as all ones, and FF FF is
 * undefined, so that is what it raises.
 */
export function fetchCode(processor: Processor, linear: bigint): number {
  if (processor.state.u32[CODE_MODE] === 64 && !isCanonical(linear)) {
    processor.faultWithCode(Vector.GP, 0);
    return 0;
  }
  let machine = translate(processor, linear, Access.FETCH);
  if (machine === FAULTED) return 0;
  if (machine === UNMAPPED) {
    const { guestPhysical } = processor.walk;
    secondStageViolation(processor, guestPhysical, 'fetch', undefined);
    machine = throughStages(processor, guestPhysical, false);
  }
  if (machine < 0 || !isRam(processor, machine)) {
    processor.fault(Vector.UD);
    return 0;
  }
  return processor.memory.base + machine;
}

/** Copies `count` code bytes across pages. False: a fault was recorded, for the first page that cannot be fetched. */
export function fetchBytes(processor: Processor, linear: bigint, into: Uint8Array, count: number): boolean {
  const { memory } = processor;
  for (let done = 0; done < count; ) {
    const address = linearPlus(processor, linear, done);
    const host = fetchCode(processor, address);
    if (host === 0) return false;
    const machine = host - memory.base;
    const part = Math.min(count - done, PAGE_SIZE - (machine % PAGE_SIZE));
    into.set(memory.readBytes(machine, part), done);
    done += part;
  }
  return true;
}

/**
 * Accesses of the processor itself and of system instructions, as values: descriptor tables and task state (implicit
 * supervisor accesses), stacks of event delivery at the privilege that they are for, and operands of system
 * instructions. They take the same path as an engine's slow accesses: lookup table, model, faults in the state.
 * Sources: SDM 3A §4.6 (implicit supervisor-mode accesses), §6.12, §7.2.
 */
import { PAGE_SIZE } from '../../memory/physical-memory.ts';
import { Vector } from '../../x86/exceptions.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { noteDataAccess } from '../breakpoints.ts';
import type { Processor } from '../processor.ts';
import { aligned } from './access.ts';
import { secondStageViolation } from './second-stage.ts';
import { FAULTED, translateAs, UNMAPPED } from './translate.ts';
import { throughStages } from './walk.ts';
import { Access } from './walk-result.ts';

/** Whose access it is. */
export interface Privilege {
  readonly user: boolean;
  readonly implicit: boolean;
}

export const IMPLICIT: Privilege = { user: false, implicit: true };
export const SUPERVISOR: Privilege = { user: false, implicit: false };
export const USER: Privilege = { user: true, implicit: false };

export function privilegeOf(cpl: number): Privilege {
  return cpl === 3 ? USER : SUPERVISOR;
}

/** Machine address in RAM, -1 for a recorded fault, -2 for an address where nothing answers (or a device: not for tables). */
function place(processor: Processor, linear: bigint, access: Access, who: Privilege): number {
  let machine = translateAs(processor, linear, access, who.user, who.implicit);
  if (machine === FAULTED) return FAULTED;
  if (machine === UNMAPPED) {
    const { guestPhysical } = processor.walk;
    const write = access === Access.WRITE;
    secondStageViolation(processor, guestPhysical, write ? 'write' : 'read', undefined);
    machine = throughStages(processor, guestPhysical, write);
    if (machine < 0) return UNMAPPED;
  }
  return machine < processor.memory.size ? machine : UNMAPPED;
}

/** Reads `size` bytes (1 to 8) little-endian; undefined when a fault was recorded. */
export function readLinear(processor: Processor, linear: bigint, size: number, who: Privilege): bigint | undefined {
  const { memory } = processor;
  const first = place(processor, linear, Access.READ, who);
  if (first === FAULTED) return undefined;
  const inPage = PAGE_SIZE - Number(linear & 0xfffn);
  if (!who.implicit) noteDataAccess(processor, linear, size, false);
  if (size <= inPage && who.user && !aligned(processor, linear, size)) return undefined;
  if (size <= inPage && first >= 0) {
    if (size === 8) return memory.readU64(first);
    if (size === 4) return BigInt(memory.readU32(first));
    if (size === 2) return BigInt(memory.readU16(first));
  }
  let second = UNMAPPED;
  if (size > inPage) {
    second = place(processor, BigInt.asUintN(64, linear + BigInt(inPage)), Access.READ, who);
    if (second === FAULTED || (who.user && !aligned(processor, linear, size))) return undefined;
  }
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) {
    const at = i < inPage ? first : second;
    const byte = at < 0 ? 0xff : memory.readU8(i < inPage ? at + i : at + i - inPage);
    value = (value << 8n) | BigInt(byte);
  }
  return value;
}

/** Writes `size` bytes (1 to 8), both pages checked first; false when a fault was recorded. */
export function writeLinear(processor: Processor, linear: bigint, size: number, value: bigint, who: Privilege): boolean {
  const { memory } = processor;
  const first = place(processor, linear, Access.WRITE, who);
  if (first === FAULTED) return false;
  const inPage = PAGE_SIZE - Number(linear & 0xfffn);
  if (!who.implicit) noteDataAccess(processor, linear, size, true);
  if (size <= inPage && who.user && !aligned(processor, linear, size)) return false;
  if (size <= inPage && first >= 0) {
    if (size === 8) memory.writeU64(first, BigInt.asUintN(64, value));
    else if (size === 4) memory.writeU32(first, Number(value & 0xffff_ffffn));
    else if (size === 2) memory.writeU16(first, Number(value & 0xffffn));
    else memory.writeBytes(first, littleEndian(value, size));
    return true;
  }
  let second = UNMAPPED;
  if (size > inPage) {
    second = place(processor, BigInt.asUintN(64, linear + BigInt(inPage)), Access.WRITE, who);
    if (second === FAULTED || (who.user && !aligned(processor, linear, size))) return false;
  }
  const bytes = littleEndian(value, size);
  const split = Math.min(size, inPage);
  if (first >= 0) memory.writeBytes(first, bytes.subarray(0, split));
  if (second >= 0) memory.writeBytes(second, bytes.subarray(split));
  return true;
}

/** Whether a range of less than a page could be written, without writing; false when a fault was recorded. */
export function probeWrite(processor: Processor, linear: bigint, size: number, who: Privilege): boolean {
  if (place(processor, linear, Access.WRITE, who) === FAULTED) return false;
  const inPage = PAGE_SIZE - Number(linear & 0xfffn);
  const checked = who.user && size <= 8;
  if (size <= inPage) return !checked || aligned(processor, linear, size);
  return place(processor, BigInt.asUintN(64, linear + BigInt(inPage)), Access.WRITE, who) !== FAULTED;
}

/** False, with #SS(0) or #GP(0) recorded, when long mode is active and an end of the range is not canonical. */
export function checkCanonical(processor: Processor, linear: bigint, size: number, stack: boolean): boolean {
  if (processor.state.get32('longMode') === 0) return true;
  if (isCanonical(linear) && isCanonical(BigInt.asUintN(64, linear + BigInt(size - 1)))) return true;
  processor.faultWithCode(stack ? Vector.SS : Vector.GP, 0);
  return false;
}

function littleEndian(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0, rest = value; i < size; i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

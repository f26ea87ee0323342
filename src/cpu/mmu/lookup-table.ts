/**
 * The engines' lookup table of translations (layout in state.ts): search, fill, flush, and the diversion of writes to
 * frames that hold translated code. Architectural state but for the diversion bit: the same on every engine.
 *
 * All flushes also make the engine ask again for its fetch page. Entries of 4 KiB stand for parts of large pages, so an
 * invalidated address in a large page drops everything: deterministic, and rare.
 */
import { PAGE_SIZE } from '../../memory/physical-memory.ts';
import type { Processor } from '../processor.ts';
import {
  LOOKUP_ENTRIES,
  LOOKUP_ENTRY_BYTES,
  LOOKUP_SUPERVISOR,
  LOOKUP_USER,
  OFFSET,
  TAG_GENERATION_MASK,
  TAG_TRAP_WRITES,
} from '../state.ts';
import { Access, type Walk } from './walk-result.ts';

const WORDS = LOOKUP_ENTRY_BYTES >> 3;
const ADDEND = 3;
const GENERATION = OFFSET.tlbGeneration >> 3;
const PAGE_MASK = ~0xfffn;
const TRAP_LOW = Number(TAG_TRAP_WRITES);

/** Index of the first 64-bit word of the entry for an address (its low half) in the table of a privilege. */
function entryWordOf(low: number, user: boolean): number {
  return ((user ? LOOKUP_USER : LOOKUP_SUPERVISOR) >> 3) + ((low >>> 12) & (LOOKUP_ENTRIES - 1)) * WORDS;
}

function entryWord(linear: bigint, user: boolean): number {
  return entryWordOf(Number(BigInt.asUintN(32, linear)), user);
}

/**
 * Address of `linear` in the WebAssembly memory when the table knows it for this access; else -1.
 * In 32-bit halves, since bigints would allocate.
 */
export function findHostAddress(processor: Processor, linear: bigint, access: Access, user: boolean): number {
  const { u32 } = processor.state;
  const low = Number(BigInt.asUintN(32, linear));
  const at = entryWordOf(low, user) * 2;
  const tag = at + access * 2;
  if ((u32[tag] & ~TRAP_LOW) !== ((low & 0xfffff000) | u32[GENERATION * 2])) return -1;
  const high = Number(BigInt.asUintN(32, linear >> 32n));
  if (u32[tag + 1] !== high) return -1;
  const sum = low + u32[at + ADDEND * 2];
  const carry = sum > 0xffffffff ? 1 : 0;
  return ((high + u32[at + ADDEND * 2 + 1] + carry) >>> 0) * 2 ** 32 + (sum >>> 0);
}

/**
 * Enters a page after a walk that succeeded for `access`. Only RAM is entered. A read tag always, a write tag when
 * writing changes no table entry, a fetch tag when the privilege may execute. Under SMAP the table of the supervisor
 * holds no user page, since RFLAGS.AC would have to be part of the tag; `dataAllowed` says so.
 */
export function fillLookup(processor: Processor, linear: bigint, user: boolean, walk: Walk, dataAllowed: boolean): void {
  const { memory } = processor;
  const { u64 } = processor.state;
  const page = walk.machine - (walk.machine % PAGE_SIZE);
  const at = entryWord(linear, user);
  const linearPage = linear & PAGE_MASK;
  const tag = linearPage | u64[GENERATION];
  const code = memory.codeFrames[page / PAGE_SIZE] !== 0;
  u64[at + Access.READ] = dataAllowed ? tag : 0n;
  u64[at + Access.WRITE] = dataAllowed && walk.writable && walk.dirty && walk.stageWritable ? (code ? tag | TAG_TRAP_WRITES : tag) : 0n;
  u64[at + Access.FETCH] = walk.executable ? tag : 0n;
  u64[at + ADDEND] = BigInt.asUintN(64, BigInt(memory.base + page) - linearPage);
}

/** Drops every translation of this processor from the lookup table, global ones too. */
export function flushLookup(processor: Processor): void {
  const { state } = processor;
  let generation = state.u64[GENERATION] + 1n;
  if (generation > TAG_GENERATION_MASK) {
    // Generation 0 marks empty entries, so the count starts again at 1 with a cleared table.
    state.u64.fill(0n, LOOKUP_SUPERVISOR >> 3, (LOOKUP_USER >> 3) + LOOKUP_ENTRIES * WORDS);
    generation = 1n;
  }
  state.u64[GENERATION] = generation;
  forgetFetchPage(processor);
}

/** Drops one page from both tables. */
export function dropPage(processor: Processor, linear: bigint): void {
  const { u64 } = processor.state;
  const wanted = (linear & PAGE_MASK) | u64[GENERATION];
  for (const user of [false, true]) {
    const at = entryWord(linear, user);
    for (const access of [Access.READ, Access.WRITE, Access.FETCH]) {
      if ((u64[at + access] & ~TAG_TRAP_WRITES) === wanted) u64[at + access] = 0n;
    }
  }
  forgetFetchPage(processor);
}

/** Makes the engine ask for its fetch page again before the next instruction. */
export function forgetFetchPage(processor: Processor): void {
  processor.state.set('fetchPage', 0xffff_ffff_ffff_ffffn);
  processor.state.set32('fetchTable', 0);
}

/**
 * Marks a frame that holds translated code: writes to it by any processor take the slow path, and writes by host code
 * reach the engine through PhysicalMemory.onCodeWrite.
 */
export function markCodeFrame(processor: Processor, frame: number): void {
  const { memory } = processor;
  if (memory.codeFrames[frame] !== 0) return;
  memory.codeFrames[frame] = 1;
  const host = memory.base + frame * PAGE_SIZE;
  const hostLow = host >>> 0;
  const hostHigh = Math.floor(host / 2 ** 32);
  for (const peer of processor.peers) divertWrites(peer, hostLow, hostHigh);
}

/** The engine holds no more code of the frame. Diverted tags heal when they are next used. */
export function unmarkCodeFrame(processor: Processor, frame: number): void {
  processor.memory.codeFrames[frame] = 0;
}

/** Lets direct writes to a page through again after {@link unmarkCodeFrame}. */
export function healWriteTag(processor: Processor, linear: bigint, user: boolean): void {
  const { u64 } = processor.state;
  const at = entryWord(linear, user) + Access.WRITE;
  const tag = (linear & PAGE_MASK) | u64[GENERATION];
  if (u64[at] === (tag | TAG_TRAP_WRITES)) u64[at] = tag;
}

function divertWrites(processor: Processor, hostLow: number, hostHigh: number): void {
  const { u32 } = processor.state;
  const generation = Number(processor.state.u64[GENERATION]);
  const mask = Number(TAG_GENERATION_MASK);
  const words = WORDS * 2;
  const start = LOOKUP_SUPERVISOR >> 2;
  const end = start + 2 * LOOKUP_ENTRIES * words;
  // Both tables lie one after the other (state.ts). Halves, because a scan in bigints would be ten times slower.
  for (let at = start; at < end; at += words) {
    const tagLow = u32[at + 2 * Access.WRITE];
    if ((tagLow & mask) !== generation) continue;
    const low = ((tagLow & 0xfffff000) >>> 0) + u32[at + 2 * ADDEND];
    if (low >>> 0 !== hostLow) continue;
    const high = u32[at + 2 * Access.WRITE + 1] + u32[at + 2 * ADDEND + 1] + (low > 0xffffffff ? 1 : 0);
    if (high >>> 0 === hostHigh) u32[at + 2 * Access.WRITE] = tagLow | TRAP_LOW;
  }
}

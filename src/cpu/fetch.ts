/**
 * Instruction fetch, the same on every engine: the lookup table is asked once when the fetch page changes, and for the
 * second page of an instruction that crosses a page each time that it is executed.
 */
import type { Decoder } from '../x86/decode.ts';
import { Vector } from '../x86/exceptions.ts';
import { type CodeMode, type Instruction, Segment } from '../x86/instruction.ts';
import { fetchBytes, fetchCode } from './mmu/access.ts';
import type { Processor } from './processor.ts';
import { OFFSET } from './state.ts';

const MAX_LENGTH = 15;
const PAGE_SIZE = 4096;
const FETCH_PAGE = OFFSET.fetchPage >> 3;
const FETCH_ADDEND = OFFSET.fetchAddend >> 3;
const RIP = OFFSET.rip >> 3;

/** Linear address of the next instruction. */
export function fetchLinear(processor: Processor): bigint {
  const { state } = processor;
  const rip = state.u64[RIP];
  if (state.get32('codeMode') === 64) return rip;
  return (rip + state.get('segmentBase', Segment.CS)) & 0xffff_ffffn;
}

/** Makes `fetchPage` and `fetchAddend` hold for RIP. False: a fault is recorded. */
export function syncFetchPage(processor: Processor): boolean {
  const { state } = processor;
  if (state.get32('codeMode') !== 64 && state.u64[RIP] > BigInt(state.get32('segmentLimit', Segment.CS))) {
    processor.faultWithCode(Vector.GP, 0);
    return false;
  }
  const linear = fetchLinear(processor);
  const page = linear & ~0xfffn;
  if (state.u64[FETCH_PAGE] === page) return true;
  const host = fetchCode(processor, linear);
  if (host === 0) return false;
  state.u64[FETCH_PAGE] = page;
  state.u64[FETCH_ADDEND] = BigInt.asUintN(64, BigInt(host) - linear);
  return true;
}

/** Host address of the next instruction, after {@link syncFetchPage}. */
export function fetchHost(processor: Processor): number {
  return Number(BigInt.asUintN(64, fetchLinear(processor) + processor.state.u64[FETCH_ADDEND]));
}

/**
 * Decodes the instruction at RIP. Undefined: a fault is recorded (#PF and #GP of the fetch, #UD, #GP for too long).
 * `crossing.value` says whether it crosses its page, so that what it decodes to may not be kept with the page.
 */
export function fetchInstruction(processor: Processor, decoder: Decoder, crossing?: { value: boolean }): Instruction | undefined {
  if (!syncFetchPage(processor)) return undefined;
  const mode = processor.state.get32('codeMode') as CodeMode;
  const at = fetchHost(processor) - processor.memory.base;
  const inPage = PAGE_SIZE - (at % PAGE_SIZE);
  let result = decoder.decode(processor.memory.frameView(Math.floor(at / PAGE_SIZE)), at % PAGE_SIZE, inPage, mode);
  if (crossing !== undefined) crossing.value = result === 'need-more-bytes';
  if (result === 'need-more-bytes') {
    const bytes = new Uint8Array(MAX_LENGTH);
    bytes.set(processor.memory.readBytes(at, inPage));
    const next = fetchLinear(processor) + BigInt(inPage);
    const wrapped = mode === 64 ? BigInt.asUintN(64, next) : next & 0xffff_ffffn;
    if (!fetchBytes(processor, wrapped, bytes.subarray(inPage), MAX_LENGTH - inPage)) return undefined;
    result = decoder.decode(bytes, 0, MAX_LENGTH, mode);
  }
  if (typeof result !== 'string') {
    if (mode === 64 || withinCodeSegment(processor, result.length)) return result;
    processor.faultWithCode(Vector.GP, 0);
  } else if (result === 'undefined') processor.fault(Vector.UD);
  else processor.faultWithCode(Vector.GP, 0);
  return undefined;
}

/** Every byte of the instruction lies within the limit of CS. */
function withinCodeSegment(processor: Processor, length: number): boolean {
  const last = processor.state.u64[RIP] + BigInt(length - 1);
  return last <= BigInt(processor.state.get32('segmentLimit', Segment.CS));
}

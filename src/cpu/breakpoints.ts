/**
 * Breakpoints of DR0..DR3. Instruction breakpoints are looked up by the run loop, which steps while one is enabled. A page
 * with a data breakpoint is kept out of the engines' lookup table, so that its accesses take the slow path, which notes
 * what they hit; port accesses do the same. Without breakpoints nobody pays.
 * Sources: SDM 3B §18.2 (debug registers), §18.3.1 (#DB: instruction breakpoints are faults, the others traps).
 */
import { Cr4, Dr7 } from '../x86/control-registers.ts';
import type { Processor } from './processor.ts';
import { OFFSET } from './state.ts';

const DR7 = (OFFSET.dr >> 2) + 14;
const HITS = OFFSET.debugHits >> 2;

/** Values of the R/W fields of DR7. */
const On = { EXECUTE: 0, WRITE: 1, PORT: 2, READ_WRITE: 3 } as const;
/** Bytes covered, by the LEN fields. */
const LENGTH = [1, 2, 8, 4] as const;

function enabled(dr7: number, n: number): boolean {
  return ((dr7 >> (2 * n)) & 3) !== 0;
}

function condition(dr7: number, n: number): number {
  return (dr7 >> (16 + 4 * n)) & 3;
}

function covered(dr7: number, n: number): number {
  return LENGTH[(dr7 >> (18 + 4 * n)) & 3];
}

/** Bits B0..B3 of the breakpoints that `test` accepts. */
function matching(processor: Processor, test: (condition: number, address: bigint, length: number) => boolean): number {
  const dr7 = processor.state.u32[DR7];
  let hits = 0;
  for (let n = 0; n < 4; n++) {
    if (!enabled(dr7, n)) continue;
    const length = covered(dr7, n);
    const address = processor.state.get('dr', n) & ~BigInt(length - 1);
    if (test(condition(dr7, n), address, length)) hits |= 1 << n;
  }
  return hits;
}

/** Whether some instruction breakpoint is enabled. */
export function hasInstructionBreakpoints(processor: Processor): boolean {
  const dr7 = processor.state.u32[DR7];
  if ((dr7 & Dr7.ENABLE_MASK) === 0) return false;
  for (let n = 0; n < 4; n++) if (enabled(dr7, n) && condition(dr7, n) === On.EXECUTE) return true;
  return false;
}

export function instructionBreakpoints(processor: Processor, linear: bigint): number {
  return matching(processor, (on, address, length) => on === On.EXECUTE && length === 1 && address === linear);
}

function watchesData(on: number): boolean {
  return on === On.WRITE || on === On.READ_WRITE;
}

/** Whether a page has a data breakpoint, so that no access to it may go through the lookup table. */
export function pageIsWatched(processor: Processor, linear: bigint): boolean {
  if ((processor.state.u32[DR7] & Dr7.ENABLE_MASK) === 0) return false;
  const page = linear >> 12n;
  return matching(processor, (on, address) => watchesData(on) && address >> 12n === page) !== 0;
}

/** Notes the data breakpoints that an access meets; the trap follows its instruction. */
export function noteDataAccess(processor: Processor, linear: bigint, size: number, write: boolean): void {
  if ((processor.state.u32[DR7] & Dr7.ENABLE_MASK) === 0) return;
  const end = linear + BigInt(size);
  const hits = matching(
    processor,
    (on, address, length) => (on === On.READ_WRITE || (write && on === On.WRITE)) && address < end && address + BigInt(length) > linear,
  );
  note(processor, hits);
}

export function notePortAccess(processor: Processor, port: number, size: number): void {
  const { state } = processor;
  if ((state.u32[DR7] & Dr7.ENABLE_MASK) === 0 || (state.get32('cr4') & Cr4.DE) === 0) return;
  const first = BigInt(port);
  const end = first + BigInt(size);
  note(
    processor,
    matching(processor, (on, address, length) => on === On.PORT && address < end && address + BigInt(length) > first),
  );
}

function note(processor: Processor, hits: number): void {
  if (hits === 0) return;
  processor.state.u32[HITS] |= hits;
  processor.breakRun();
}

/**
 * Translation of one access as the slow path of an engine sees it: the lookup table first, then a walk that is charged
 * by the timing model and entered in the table. Faults are recorded in the processor's state.
 */
import { PAGE_SIZE } from '../../memory/physical-memory.ts';
import { Cr4 } from '../../x86/control-registers.ts';
import { pageIsWatched } from '../breakpoints.ts';
import type { Processor } from '../processor.ts';
import { OFFSET } from '../state.ts';
import { fillLookup, findHostAddress } from './lookup-table.ts';
import { walkTables } from './walk.ts';
import { Access } from './walk-result.ts';

const CYCLES = OFFSET.cycles >> 3;
const CR4 = OFFSET.cr4 >> 2;
const CPL = OFFSET.cpl >> 2;
const LONG_MODE = OFFSET.longMode >> 2;

/** A page fault was recorded. */
export const FAULTED = -1;
/** No machine address: a second stage does not map it. `processor.walk.guestPhysical` says which address. */
export const UNMAPPED = -2;

/** Machine address of an access at the current privilege, or {@link FAULTED} or {@link UNMAPPED}. */
export function translate(processor: Processor, linear: bigint, access: Access): number {
  return translateAs(processor, linear, access, processor.state.u32[CPL] === 3, false);
}

/** The processor's own access to descriptor tables and task state: as supervisor, whatever the CPL. */
export function translateImplicit(processor: Processor, linear: bigint, access: Access): number {
  return translateAs(processor, linear, access, false, true);
}

export function translateAs(processor: Processor, linear: bigint, access: Access, user: boolean, implicit: boolean): number {
  const { memory } = processor;
  const host = findHostAddress(processor, linear, access, user);
  if (host >= 0) return host - memory.base;
  if (!walkTables(processor, linear, access, user, implicit)) {
    chargeFaultedWalk(processor, linear, access);
    processor.pageFault(linear, processor.walk.errorCode);
    return FAULTED;
  }
  const { walk } = processor;
  chargeWalk(processor, linear, access);
  if (walk.machine < 0) return UNMAPPED;
  if (walk.machine < memory.frameCount * PAGE_SIZE) {
    const smap = !user && walk.userPage && (processor.state.u32[CR4] & Cr4.SMAP) !== 0;
    fillLookup(processor, linear, user, walk, !smap && !pageIsWatched(processor, linear));
  }
  return walk.machine;
}

function chargeWalk(processor: Processor, linear: bigint, access: Access): void {
  const { walk, request } = processor;
  request.faulted = false;
  request.global = walk.global;
  request.pageShift = Math.min(walk.leafShift, walk.stageShift);
  request.leafShift = walk.leafShift;
  request.guestPhysical = walk.guestPhysical;
  request.guestShift = walk.stageShift;
  charge(processor, linear, access);
}

/** The processor reads the entries of a walk that faults as well; there is no leaf, and nothing is filled. */
function chargeFaultedWalk(processor: Processor, linear: bigint, access: Access): void {
  const { walk, request, state } = processor;
  const pae = (state.u32[CR4] & Cr4.PAE) !== 0;
  const unread = (state.u32[LONG_MODE] !== 0 ? 4 : pae ? 3 : 2) - walk.levels;
  request.faulted = true;
  request.global = false;
  request.leafShift = 12 + (pae ? 9 : 10) * unread;
  request.pageShift = request.leafShift;
  charge(processor, linear, access);
}

function charge(processor: Processor, linear: bigint, access: Access): void {
  const { walk, request, state } = processor;
  request.page = Number((linear >> 12n) & 0xf_ffff_ffff_ffffn);
  request.fetch = access === Access.FETCH;
  request.write = access === Access.WRITE;
  request.vpid = state.get32('vpid');
  request.levels = walk.levels;
  request.entries.set(walk.entries);
  request.guestEntries.set(walk.guestEntries);
  request.guestEntryShifts.set(walk.entryShifts);
  request.secondStages = processor.secondStages.length;
  const twelfths = processor.translation.lookup(request);
  if (twelfths === 0) return;
  state.u64[CYCLES] += BigInt(twelfths);
  processor.ledger?.charge('translation', 1, twelfths);
}

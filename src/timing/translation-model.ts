/**
 * The modelled TLB with its walk caches: what a translation costs that missed the engines' lookup table. Part of the
 * machine's deterministic state, the same on every engine; it never decides what an access does.
 *
 *   TLB           4 KiB: 512 entries, 4-way, unified; 2 MiB: 32 data (4-way), 7 instruction. Tagged with VPID and G.
 *   upper levels  32 entries: tables reached by the walk's last two steps (SDM 3A §4.10.3)
 *   second stage  256 x 4 KiB (4-way), 32 x 2 MiB: guest-physical pages; a guest's MOV CR3 and INVLPG leave it (SDM §28.3)
 *   lines         where a reference finds its line: line-recency.ts
 *
 * A walk makes one reference for each entry that it reads. With second stages each guest-physical page that it meets,
 * tables and target alike, first goes through the second-stage cache; a miss there walks the second stage, one reference
 * a level (4 for a 4 KiB leaf, 3 for 2 MiB), and every stage below it the same. References are counted by stage and
 * recency in `pending`, which the ledger takes.
 * Sources: timing model, "Translation". Pages above 2 MiB take several entries there, as on the modelled core.
 */

import type { SaveReader, SaveWriter } from '../base/persist.ts';
import type { CostTable } from './cost-model.ts';
import { EntryCache } from './entry-cache.ts';
import { LineRecency } from './line-recency.ts';
import type { TranslationModel, TranslationRequest } from './model.ts';
import { type SyntheticMapping, syntheticMapping, syntheticPage } from './synthetic-pages.ts';

/** Counters of {@link ModelledTlb.pending} and of the ledger's rows, in this order. */
export const walkRowNames = [
  'walk.guest.near',
  'walk.guest.middle',
  'walk.guest.far',
  'walk.second_stage.near',
  'walk.second_stage.middle',
  'walk.second_stage.far',
] as const;

const FIRST_SECOND_STAGE = 3;
/** Element of `pending` after the references: translations that missed the TLB. */
export const PENDING_MISSES = walkRowNames.length;

const TWO_32 = 2 ** 32;
// Kinds of line, in the tag's top byte.
const LINE_MACHINE = 1 << 28;
const LINE_SECOND_STAGE = 2 << 28;
const LINE_SYNTHETIC = 3 << 28;
const LINE_CONTENT = 4 << 28;
/** Space of the upper-level cache: VPID and, above it, how much of the linear address the entry stands for. */
const VPID_BITS = 16;
const VPID_MASK = (1 << VPID_BITS) - 1;

export interface TlbOptions {
  /** Entries carry a VPID, so that exits and entries keep them. Default true. */
  readonly vpid?: boolean;
  /** Second-stage references cost nothing: an ablation. Default false. */
  readonly freeSecondStage?: boolean;
  /**
   * Cache lines of a page's own content that one look-up brings in beside the walk's: they age the lines of paging
   * structures, since guests share the caches with the walker. Default 0: only walks age walks.
   */
  readonly linesPerPage?: number;
  /** Entries of the second-stage cache for 4 KiB leaves (a power of two, at least 4) and for 2 MiB leaves. Default 256 and 32. */
  readonly secondStageEntries?: { readonly small: number; readonly large: number };
}

export class ModelledTlb implements TranslationModel {
  /** References by {@link walkRowNames}, then misses, since the ledger last took them. Not state of the machine. */
  readonly pending = new Float64Array(walkRowNames.length + 1);
  readonly #options: Required<TlbOptions>;
  /** Cost of a reference by {@link walkRowNames}, in twelfths. */
  readonly walkTwelfths: Float64Array;
  readonly #small = new EntryCache('tlb-4k', 128, 4);
  readonly #largeData = new EntryCache('tlb-2m-data', 8, 4);
  readonly #largeCode = new EntryCache('tlb-2m-code', 1, 7);
  readonly #upper = new EntryCache('upper-levels', 1, 32);
  readonly #stageSmall: EntryCache;
  readonly #stageLarge: EntryCache;
  readonly #lines = new LineRecency(256, 2048);

  constructor(costs: CostTable, options: TlbOptions = {}) {
    this.#options = {
      vpid: options.vpid ?? true,
      freeSecondStage: options.freeSecondStage ?? false,
      linesPerPage: options.linesPerPage ?? 0,
      secondStageEntries: options.secondStageEntries ?? { small: 256, large: 32 },
    };
    const { small, large } = this.#options.secondStageEntries;
    this.#stageSmall = new EntryCache('second-stage-4k', small / 4, 4);
    this.#stageLarge = new EntryCache('second-stage-2m', 1, large);
    this.walkTwelfths = Float64Array.from(walkRowNames, (name) => costs.cost(name));
    if (this.#options.freeSecondStage) this.walkTwelfths.fill(0, FIRST_SECOND_STAGE);
  }

  lookup(request: TranslationRequest): number {
    const { page, vpid, levels, secondStages } = request;
    if (levels === 0 && secondStages === 0) return 0;
    const large = request.pageShift >= 21;
    const high = Math.floor(page / TWO_32);
    const tlb = large ? (request.fetch ? this.#largeCode : this.#largeData) : this.#small;
    const entryLow = large ? Math.floor(page / 512) | 0 : page | 0;
    if (!request.faulted) {
      this.#useContent(Math.floor(request.guestPhysical / 4096), vpid);
      if (tlb.find(entryLow, high, vpid)) return 0;
    }
    this.pending[PENDING_MISSES]! += 1;
    const first = this.#firstLevel(page, request.leafShift, levels, vpid);
    let twelfths = 0;
    for (let i = first; i < levels; i++) {
      if (secondStages > 0) {
        twelfths += this.#throughStages(Math.floor(request.guestEntries[i]! / 4096), request.guestEntryShifts[i]!, vpid, secondStages);
      }
      const line = request.entries[i]! / 64;
      twelfths += this.#reference(0, line | 0, LINE_MACHINE | (Math.floor(line / TWO_32) & 0xffffff));
    }
    if (request.faulted) {
      this.#dropAddress(page, vpid);
      return twelfths;
    }
    if (secondStages > 0) twelfths += this.#throughStages(Math.floor(request.guestPhysical / 4096), request.guestShift, vpid, secondStages);
    tlb.insert(entryLow, high, vpid, request.global);
    return twelfths;
  }

  touch(kind: string, index: number, vpid: number, secondStages: number, guestShift: number, global: boolean): number {
    const mapping = syntheticMapping(kind);
    const page = syntheticPage(mapping, index);
    const large = mapping.shift === 21 && (secondStages === 0 || guestShift >= 21);
    const entryLow = large ? Math.floor(page / 512) | 0 : page | 0;
    const high = Math.floor(page / TWO_32);
    const tlb = large ? (mapping.fetch ? this.#largeCode : this.#largeData) : this.#small;
    this.#useContent(syntheticFrame(page, 0), vpid);
    if (tlb.find(entryLow, high, vpid)) return 0;
    this.pending[PENDING_MISSES]! += 1;
    const twelfths = this.#walkSynthetic(mapping, page, vpid, secondStages, guestShift);
    tlb.insert(entryLow, high, vpid, global);
    return twelfths;
  }

  flushNonGlobal(vpid: number): void {
    this.#dropLinear(vpid, false);
  }

  flushAll(vpid: number): void {
    this.#dropLinear(vpid, true);
  }

  flushPage(vpid: number, page: number): void {
    this.#dropPage(page, vpid);
    // INVLPG drops all paging-structure caches of the current VPID, whatever the address (SDM 3A §4.10.4.1).
    this.#upper.dropSpaces(VPID_MASK, vpid, true);
  }

  flushSecondStage(vpid: number): void {
    this.#dropLinear(vpid, true);
    this.#stageSmall.dropSpaces(VPID_MASK, vpid, true);
    this.#stageLarge.dropSpaces(VPID_MASK, vpid, true);
  }

  transition(_vpid: number): void {
    if (this.#options.vpid) return;
    for (const cache of this.#caches()) cache.dropAll();
  }

  /** True when the TLB holds the page, in any size; for tests and inspection. */
  holds(page: number, vpid: number): boolean {
    const high = Math.floor(page / TWO_32);
    const largeLow = Math.floor(page / 512) | 0;
    return (
      this.#small.holds(page | 0, high, vpid) || this.#largeData.holds(largeLow, high, vpid) || this.#largeCode.holds(largeLow, high, vpid)
    );
  }

  #dropPage(page: number, vpid: number): void {
    const high = Math.floor(page / TWO_32);
    const largeLow = Math.floor(page / 512) | 0;
    this.#small.drop(page | 0, high, vpid);
    this.#largeData.drop(largeLow, high, vpid);
    this.#largeCode.drop(largeLow, high, vpid);
  }

  /** A page fault drops the TLB entries of its address, and the upper levels that the address uses (SDM 3A §4.10.4.1). */
  #dropAddress(page: number, vpid: number): void {
    this.#dropPage(page, vpid);
    for (let shift = 9; shift <= 36; shift += 9) {
      const key = Math.floor(page / 2 ** shift);
      this.#upper.drop(key | 0, Math.floor(key / TWO_32), vpid | (shift << VPID_BITS));
    }
  }

  #dropLinear(vpid: number, alsoGlobal: boolean): void {
    this.#small.dropSpaces(VPID_MASK, vpid, alsoGlobal);
    this.#largeData.dropSpaces(VPID_MASK, vpid, alsoGlobal);
    this.#largeCode.dropSpaces(VPID_MASK, vpid, alsoGlobal);
    // Paging-structure caches hold no G: MOV CR3 drops them whole (SDM 3A §4.10.4.1).
    this.#upper.dropSpaces(VPID_MASK, vpid, true);
  }

  /**
   * The first level that the walk must read, by the upper-level cache: the leaf alone, the last two, or all of them.
   * What the walk goes through is entered on the way.
   */
  #firstLevel(page: number, leafShift: number, levels: number, vpid: number): number {
    let first = 0;
    const leafPages = leafShift - 12;
    if (levels >= 2 && this.#upperStep(page, leafPages + 9, vpid)) first = levels - 1;
    if (levels >= 3 && this.#upperStep(page, leafPages + 18, vpid) && first === 0) first = levels - 2;
    return first;
  }

  /** True when the table that serves `2^shift` pages around `page` is cached; enters it otherwise. */
  #upperStep(page: number, shift: number, vpid: number): boolean {
    const key = Math.floor(page / 2 ** shift);
    const low = key | 0;
    const high = Math.floor(key / TWO_32);
    const space = vpid | (shift << VPID_BITS);
    if (this.#upper.find(low, high, space)) return true;
    this.#upper.insert(low, high, space, false);
    return false;
  }

  #walkSynthetic(mapping: SyntheticMapping, page: number, vpid: number, secondStages: number, guestShift: number): number {
    const levels = mapping.shift === 21 ? 3 : 4;
    let twelfths = 0;
    for (let i = this.#firstLevel(page, mapping.shift, levels, vpid); i < levels; i++) {
      // The hypervisor's own tables: a guest-physical page and a line for each table and group of eight entries.
      const table = Math.floor(page / 2 ** (9 * (4 - i)));
      const entry = Math.floor(page / 2 ** (9 * (3 - i)));
      if (secondStages > 0) twelfths += this.#throughStages(syntheticFrame(table, 4 - i), guestShift, vpid, secondStages);
      twelfths += this.#reference(0, (entry / 8) | 0, LINE_SYNTHETIC | ((4 - i) << VPID_BITS) | vpid);
    }
    if (secondStages > 0) twelfths += this.#throughStages(syntheticFrame(page, 0), guestShift, vpid, secondStages);
    return twelfths;
  }

  /** Takes one guest-physical frame through `stages` second stages. Nothing when the cache has it. */
  #throughStages(frame: number, shift: number, vpid: number, stages: number): number {
    const large = shift >= 21;
    const cache = large ? this.#stageLarge : this.#stageSmall;
    const low = large ? Math.floor(frame / 512) | 0 : frame | 0;
    const high = Math.floor(frame / TWO_32);
    const space = vpid | (stages << VPID_BITS);
    if (cache.find(low, high, space)) return 0;
    let twelfths = 0;
    const lastLevel = shift >= 30 ? 3 : large ? 2 : 1;
    for (let level = 4; level >= lastLevel; level--) {
      const entry = Math.floor(frame / 2 ** (9 * (level - 1)));
      // The entry lies in memory of the next stage.
      if (stages > 1) twelfths += this.#throughStages(syntheticFrame(Math.floor(entry / 512), level), shift, vpid, stages - 1);
      twelfths += this.#reference(FIRST_SECOND_STAGE, (entry / 8) | 0, LINE_SECOND_STAGE | (stages << 24) | (level << VPID_BITS) | vpid);
    }
    if (stages > 1) twelfths += this.#throughStages(frame, shift, vpid, stages - 1);
    cache.insert(low, high, space, false);
    return twelfths;
  }

  #useContent(frame: number, vpid: number): void {
    for (let i = 0; i < this.#options.linesPerPage; i++) this.#lines.read(((frame % 2 ** 26) * 64 + i) | 0, LINE_CONTENT | vpid);
  }

  #reference(row: number, line: number, tag: number): number {
    const at = row + this.#lines.read(line, tag);
    this.pending[at]! += 1;
    return this.walkTwelfths[at]!;
  }

  #caches(): EntryCache[] {
    return [this.#small, this.#largeData, this.#largeCode, this.#upper, this.#stageSmall, this.#stageLarge];
  }

  save(writer: SaveWriter): void {
    writer.section('modelled-tlb', 1, () => {
      for (const cache of this.#caches()) cache.save(writer);
      this.#lines.save(writer);
    });
  }

  restore(reader: SaveReader): void {
    reader.section('modelled-tlb', 1, () => {
      for (const cache of this.#caches()) cache.restore(reader);
      this.#lines.restore(reader);
    });
  }
}

/**
 * A guest-physical frame for a page that has no real one: above every frame of memory, apart by level. Each 2 MiB of
 * pages stay together, and begin at a place of their own: round linear addresses must not all fall into one set.
 */
function syntheticFrame(page: number, level: number): number {
  const region = Math.floor(page / 512);
  const place = Math.imul(region, 0x9e3779b1) >>> 0;
  const offset = (page + (place >>> 23)) % 512;
  return 2 ** 34 + level * 2 ** 31 + (place % 2 ** 22) * 512 + offset;
}

/**
 * What a processor asks of the timing model: costs of events, and the modelled TLB with its walk caches.
 * The answers are in twelfths of a cycle, so that a third or a quarter of a cycle is an integer.
 *
 * The engines' lookup table stands in front of the TLB: only its misses come here. Each side is a small interface so
 * that a processor can be tested without a model.
 * Sources: SDM 3A §4.10 (caching of translations), §28.3 (VPID and second-stage caches).
 */

export interface CostModel {
  /** Cost of one event, in twelfths of a cycle. An unknown name is our own bug. */
  cost(event: string): number;
}

/** One translation that missed the lookup table. The processor reuses the object: read it during the call, do not keep it. */
export interface TranslationRequest {
  /** Linear address shifted right by 12, as an unsigned number below 2^52. */
  page: number;
  /** Instruction fetch; otherwise data. */
  fetch: boolean;
  write: boolean;
  /** The walk ended in a page fault: nothing is filled, and what is cached of the address is dropped (SDM 3A §4.10.4.1). */
  faulted: boolean;
  /** The first-stage leaf has G set and CR4.PGE is on. */
  global: boolean;
  /** 0 = root operation. */
  vpid: number;
  /** Log2 size of the smallest leaf of all stages: what one TLB entry covers. 12, 21, 22 or 30. */
  pageShift: number;
  /** Log2 size of the first-stage leaf alone (after a fault: of what the last entry read would map): the reach of each level. */
  leafShift: number;
  /** Entries read by the first stage, 0 (no paging) to 4. */
  levels: number;
  /** Machine address of each entry read, root first. */
  readonly entries: Float64Array;
  /** Guest-physical address of each entry read; the same as `entries` without a second stage. */
  readonly guestEntries: Float64Array;
  /** Log2 size of the second-stage leaf under each entry. */
  readonly guestEntryShifts: Uint8Array;
  /** Second stages composed: 0 without virtualization. */
  secondStages: number;
  /** Guest-physical address of the byte accessed, and log2 size of the second-stage leaf under it. */
  guestPhysical: number;
  guestShift: number;
}

export function newTranslationRequest(): TranslationRequest {
  return {
    page: 0,
    fetch: false,
    write: false,
    faulted: false,
    global: false,
    vpid: 0,
    pageShift: 12,
    leafShift: 12,
    levels: 0,
    entries: new Float64Array(4),
    guestEntries: new Float64Array(4),
    guestEntryShifts: new Uint8Array(4),
    secondStages: 0,
    guestPhysical: 0,
    guestShift: 12,
  };
}

/** The modelled TLB and walk caches of one processor. Never decides what an access does, only what it costs. */
export interface TranslationModel {
  /** Cost of the translation; fills the TLB. */
  lookup(request: TranslationRequest): number;
  /**
   * One access of host code to a synthetic page of its own (named by platform/cpu.ts SyntheticPage).
   * `guestShift`: log2 size of the second-stage leaves of the domain that the host code runs in, ignored without second
   * stages. `global`: CR4.PGE is on, so that the hypervisor's pages are global.
   */
  touch(page: string, index: number, vpid: number, secondStages: number, guestShift: number, global: boolean): number;
  /** MOV CR3: drops what is not global. */
  flushNonGlobal(vpid: number): void;
  /** CR4.PGE toggled, CR0.PG changed and the like: drops global entries too. Second-stage caches stay. */
  flushAll(vpid: number): void;
  /** INVLPG: drops the page, global or not, and the walk caches of this VPID. */
  flushPage(vpid: number, page: number): void;
  /** The second-stage tables of this VPID changed (INVEPT): drops its combined entries and second-stage caches. */
  flushSecondStage(vpid: number): void;
  /** VM entry or exit; a model without VPIDs drops everything. */
  transition(vpid: number): void;
}

/** Receives everything that is charged, by name; the sum of all parts is the cycle counter's advance outside instruction rows. */
export interface CostLedger {
  /**
   * `event` is a name of the cost table, or `translation` for what {@link TranslationModel} answered.
   * `layer`: the platform layer of the hypervisor that pays (PlatformCpu.layer); undefined = the code that runs now.
   */
  charge(event: string, count: number, twelfths: number, layer?: number): void;
  /**
   * The processor goes from one privilege level to another; cycles (twelfths) and instructions until here belong to the
   * former. Both are the processor's counters, not differences.
   */
  privilege(from: number, to: number, cycles: bigint, instructions: bigint): void;
  /** A PV guest goes between kernel and user, both at CPL 3; counters as for {@link privilege}. */
  guestMode(mode: 'kernel' | 'user', cycles: bigint, instructions: bigint): void;
}

/** Everything is free: for tests, and for machines whose time does not matter. */
export const FREE_COSTS: CostModel = { cost: () => 0 };

export const FREE_TRANSLATION: TranslationModel = {
  lookup: () => 0,
  touch: () => 0,
  flushNonGlobal() {},
  flushAll() {},
  flushPage() {},
  flushSecondStage() {},
  transition() {},
};

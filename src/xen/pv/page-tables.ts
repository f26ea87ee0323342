/**
 * Page tables of paravirtual guests: what makes a frame a page table, and what it stops being one for.
 * A table is checked entry by entry when it becomes a table (validate), each present entry then holding references on
 * what it points at; a lower table is validated on the way. When its last use ends, the entries give them back
 * (invalidate). Between the two no guest can write it (frame-table.ts: one type at a time), so that the processor may
 * walk it as it is. Checked changes of single entries are in update-entry.ts.
 * Sources: Xen docs/misc/pv-memory model as stated by public/xen.h (MMU_*, MMUEXT_PIN_*), SDM 3A §4.5.
 */
import { EACCES, EBUSY, EINVAL, EPERM } from '../../xen-abi/errno.ts';
import type { PlatformCpu } from '../../platform/cpu.ts';
import type { Domain } from '../domain.ts';
import { FrameFlag, Owner, PageType, type PageTypeHooks } from '../frame-table.ts';
import type { FrameTable } from '../frame-table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { Cost, freeTable, validateTable } from './cost-rows.ts';
import { acceptSegdescFrame } from './descriptor.ts';
import {
  CACHE_FLAGS,
  ENTRIES,
  FIRST_XEN_SLOT,
  FRAME_BYTES,
  INVALID_FRAME,
  LAST_XEN_SLOT,
  P,
  RW,
  adjustL1High,
  adjustL1Low,
  adjustUpperLow,
  entryFrame,
  upperFlagsAllowed,
} from './guest-entry.ts';
import { TranslationFlush } from './translation-flush.ts';
import type { XenSlots } from './xen-slots.ts';

/** Entries of other tables of the same level that may point at one table; keeps the count in its 16 bits. */
const MAX_LINEAR_USES = 0x7000;

export interface PageTableOptions {
  /** R8; `pv-linear-pt=0` switches it off. */
  readonly linearTables: boolean;
  /** R10: user pages become global, so that they outlive MOV CR3. False is an ablation of the timing model. */
  readonly userPagesGlobal: boolean;
}

export class PageTables implements PageTypeHooks {
  readonly hypervisor: Hypervisor;
  readonly frames: FrameTable;
  readonly flush: TranslationFlush;
  readonly slots: XenSlots;
  readonly options: PageTableOptions;
  /** A descriptor-table frame has lost a mapping: shadows of LDTs must not keep it (descriptor-tables.ts). */
  segdescUnmapped: (owner: Domain, frame: number) => void = () => {};

  constructor(hypervisor: Hypervisor, slots: XenSlots, options: PageTableOptions) {
    this.hypervisor = hypervisor;
    this.frames = hypervisor.frames;
    this.flush = new TranslationFlush(hypervisor);
    this.slots = slots;
    this.options = options;
  }

  /** Processor that pays for what happens: the one that has entered the hypervisor. */
  get payer(): PlatformCpu | undefined {
    return this.hypervisor.entered;
  }

  // What the frame table asks.

  validate(frame: number, type: PageType): number {
    const owner = this.hypervisor.domains.get(this.frames.owner[frame] as number);
    if (owner === undefined || owner.kind !== 'pv') return -EINVAL;
    this.payer?.touch('frame-table', frame);
    this.payer?.touch('page-table', frame);
    switch (type) {
      case PageType.l1:
        return this.#validateL1(frame, owner);
      case PageType.l2:
      case PageType.l3:
      case PageType.l4:
        return this.#validateUpper(type, frame, owner);
      case PageType.segdesc:
        return acceptSegdescFrame(this.hypervisor.memory, frame) ? 0 : -EINVAL;
      default:
        return -EINVAL;
    }
  }

  invalidate(frame: number, type: PageType): void {
    if (type < PageType.l1 || type > PageType.l4) return;
    this.payer?.touch('page-table', frame);
    const owner = this.hypervisor.domains.get(this.frames.owner[frame] as number);
    const released = this.#releaseEntries(type, frame, owner, ENTRIES);
    this.payer?.charge(freeTable[type] as string);
    if (released > 0) this.payer?.charge(Cost.freeEntry, released);
  }

  /**
   * R12. A table that becomes writable needs no flush: translations through it ended when the entries that led to it
   * were changed (updates of L2..L4 flush), or with the CR3 load that replaced its root.
   */
  typeChange(frame: number, from: PageType, to: PageType): void {
    if (to === PageType.writable && from !== PageType.none) return;
    this.flush.flushUsersOf(frame);
  }

  // Validation.

  #validateL1(frame: number, owner: Domain): number {
    const { memory } = this.hypervisor;
    const halves = this.#halves(frame);
    const base = frame * FRAME_BYTES;
    let present = 0;
    for (let i = 0; i < ENTRIES; i++) {
      const low = halves[2 * i] as number;
      if ((low & P) === 0) continue;
      const high = halves[2 * i + 1] as number;
      const result = this.takeL1(low, high, owner, owner.id);
      if (result < 0) {
        this.#releaseEntries(1, frame, owner, i);
        return result;
      }
      present++;
      const adjusted = adjustL1Low(low, high, this.options.userPagesGlobal);
      if (adjusted !== low) memory.writeU32(base + 8 * i, adjusted);
      const adjustedHigh = adjustL1High(low, high);
      if (adjustedHigh !== high) memory.writeU32(base + 8 * i + 4, adjustedHigh);
    }
    this.#chargeValidation(1, present);
    return 0;
  }

  #validateUpper(level: number, frame: number, owner: Domain): number {
    const { memory } = this.hypervisor;
    const halves = this.#halves(frame);
    const base = frame * FRAME_BYTES;
    let present = 0;
    for (let i = 0; i < ENTRIES; i++) {
      if (level === 4 && i === FIRST_XEN_SLOT) i = LAST_XEN_SLOT + 1;
      const low = halves[2 * i] as number;
      if ((low & P) === 0) continue;
      const result = this.takeUpper(level, low, halves[2 * i + 1] as number, frame, owner);
      if (result < 0) {
        this.#releaseEntries(level, frame, owner, i);
        return result;
      }
      present++;
      const adjusted = adjustUpperLow(level, low);
      if (adjusted !== low) memory.writeU32(base + 8 * i, adjusted);
    }
    if (level === 4) this.slots.fill(frame, owner);
    this.#chargeValidation(level, present);
    return 0;
  }

  #chargeValidation(level: number, present: number): void {
    this.payer?.charge(validateTable[level] as string);
    if (present > 0) this.payer?.charge(Cost.validateEntry, present);
  }

  /** Gives back what the first `count` entries of a table hold; returns how many were present. */
  #releaseEntries(level: number, frame: number, owner: Domain | undefined, count: number): number {
    const halves = this.#halves(frame);
    let present = 0;
    for (let i = 0; i < count; i++) {
      if (level === 4 && i === FIRST_XEN_SLOT) i = LAST_XEN_SLOT + 1;
      if (i >= count) break;
      const low = halves[2 * i] as number;
      if ((low & P) === 0) continue;
      present++;
      if (level === 1) this.releaseL1(low, halves[2 * i + 1] as number, owner);
      else this.releaseUpper(level, low, halves[2 * i + 1] as number, frame);
    }
    return present;
  }

  /** 512 entries as pairs of 32-bit halves, low first: reading them allocates nothing. */
  #halves(frame: number): Uint32Array {
    const entries = this.hypervisor.memory.frameEntries(frame);
    return new Uint32Array(entries.buffer, entries.byteOffset, 2 * ENTRIES);
  }

  // References of single entries.

  /**
   * References for an L1 entry in a table of `tableOwner` that maps a frame of `pageOwner` (a domain, Owner.io or
   * Owner.xen). 0, or -EINVAL (flags, impossible frame), -EPERM (memory-mapped I/O that is not the domain's),
   * -EACCES (other cacheability for a frame of the hypervisor), -EBUSY (not that owner's, or in use as a table).
   */
  takeL1(low: number, high: number, tableOwner: Domain, pageOwner: number): number {
    if ((low & P) === 0) return 0;
    const { frames } = this;
    const frame = entryFrame(low, high);
    if ((low & CACHE_FLAGS) !== 0 && !mayChooseCacheability(tableOwner)) return -EINVAL;
    if (!frames.exists(frame) || frames.owner[frame] === Owner.io) {
      if (frame === INVALID_FRAME) return -EINVAL;
      const holder = pageOwner === Owner.io ? tableOwner : this.hypervisor.domains.get(pageOwner);
      const permitted = holder?.ioFrames.some((range) => frame >= range.first && frame <= range.last) ?? false;
      return permitted ? 0 : -EPERM;
    }
    this.payer?.touch('frame-table', frame);
    if (pageOwner === Owner.xen && ((low & RW) !== 0 || !this.slots.isM2pFrame(frame))) return -EBUSY;
    if ((low & CACHE_FLAGS) !== 0 && frames.has(frame, FrameFlag.xenHeap)) return -EACCES;
    if (!frames.getPage(frame, pageOwner)) return -EBUSY;
    if ((low & RW) !== 0 && frames.getPageType(frame, PageType.writable) < 0) {
      frames.putPage(frame);
      return -EBUSY;
    }
    return 0;
  }

  /** Gives back what a present L1 entry holds. `tableOwner` is undefined when the domain is no more. */
  releaseL1(low: number, high: number, tableOwner: Domain | undefined): void {
    if ((low & P) === 0) return;
    const { frames } = this;
    const frame = entryFrame(low, high);
    if (!frames.exists(frame) || frames.owner[frame] === Owner.io) return;
    if ((low & RW) !== 0) {
      frames.putPageAndType(frame);
      return;
    }
    if (
      frames.type[frame] === PageType.segdesc &&
      frames.typeReferences[frame] !== 0 &&
      tableOwner !== undefined &&
      frames.owner[frame] === tableOwner.id
    )
      this.segdescUnmapped(tableOwner, frame);
    frames.putPage(frame);
  }

  /**
   * References for an entry of `container`, a table of `level` 2..4: a table one level below, or by R8 one of the same
   * level. 0, or -EINVAL; errors of validating a lower table come through.
   */
  takeUpper(level: number, low: number, high: number, container: number, owner: Domain): number {
    if ((low & P) === 0) return 0;
    if (!upperFlagsAllowed(low, high)) return -EINVAL;
    const { frames } = this;
    const target = entryFrame(low, high);
    if (!frames.getPage(target, owner.id)) return -EINVAL;
    this.payer?.touch('frame-table', target);
    const result = frames.getPageType(target, (level - 1) as PageType);
    if (result === 0) return 0;
    if (frames.type[target] !== level || frames.typeReferences[target] === 0 || !this.options.linearTables) {
      frames.putPage(target);
      return result;
    }
    // R8: a linear page table.
    if ((low & RW) !== 0) {
      frames.putPage(target);
      return -EINVAL;
    }
    if (target === container) {
      frames.putPage(target); // a table that maps itself needs no reference: it lives while it is in use
      return 0;
    }
    const uses = frames.linearUses[target] as number;
    const ownUses = frames.linearUses[container] as number;
    if (!frames.has(target, FrameFlag.validated) || uses < 0 || uses >= MAX_LINEAR_USES || ownUses > 0) {
      frames.putPage(target);
      return -EINVAL;
    }
    frames.typeReferences[target] = (frames.typeReferences[target] as number) + 1;
    frames.linearUses[target] = uses + 1;
    frames.linearUses[container] = ownUses - 1;
    return 0;
  }

  releaseUpper(level: number, low: number, high: number, container: number): void {
    if ((low & P) === 0) return;
    const { frames } = this;
    const target = entryFrame(low, high);
    if (target === container) return;
    if (frames.type[target] === level) {
      frames.linearUses[target] = (frames.linearUses[target] as number) - 1;
      frames.linearUses[container] = (frames.linearUses[container] as number) + 1;
    }
    frames.putPageAndType(target);
  }
}

/** Only domains with devices choose PWT, PCD and PAT (R5). */
export function mayChooseCacheability(domain: Domain): boolean {
  return domain.ioFrames.length > 0 || domain.ioPorts.length > 0;
}

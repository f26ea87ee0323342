/**
 * One entry for every machine frame: who owns it, how often it is referenced, and as what it is used.
 * This is the security model of paravirtual paging: a frame has one type at a time, the type changes only while nobody
 * uses it, and page tables are validated when they become page tables, so no guest can write a table it uses.
 *
 * Two counts, as in Xen's struct page_info. The general count keeps the frame from being freed; `allocated` frames hold
 * one reference for being in a domain. The type count counts uses as the current type; each use also holds a general
 * reference, which the caller takes first ({@link FrameTable.getPageAndType}).
 * Validation of table types (recursion over entries, linear tables) belongs to pv/: it fills {@link PageTypeHooks}.
 */

import { assert } from '../base/errors.ts';
import { EBUSY, EINVAL } from '../xen-abi/errno.ts';

export const PageType = { none: 0, l1: 1, l2: 2, l3: 3, l4: 4, segdesc: 5, writable: 6 } as const;
export type PageType = (typeof PageType)[keyof typeof PageType];
export const pageTypeNames = ['none', 'L1', 'L2', 'L3', 'L4', 'segdesc', 'writable'] as const;

/** Owners that are not domains. Domain ids are 0..0x7fef. */
export const Owner = { none: -1, io: 0x7ff1, xen: 0x7ff2 } as const;

/** Bits of {@link FrameTable.flags}. */
export const FrameFlag = {
  /** The frame belongs to a domain's allocation, which holds one general reference. */
  allocated: 1,
  /** A pin holds one type reference (MMUEXT_PIN_Lx_TABLE). */
  pinned: 2,
  /** The frame has been checked for its present type. Always set with type `writable` and a count. */
  validated: 4,
  /** Given to its owner by the hypervisor (shared_info, grant table): does not count as the domain's memory. */
  xenHeap: 8,
} as const;

export interface PageTypeHooks {
  /**
   * Checks `frame` for `type` and takes the references of its entries. Runs with type count 1 and `validated` clear.
   * Returns 0 or a negative errno, with no reference left behind.
   */
  validate(frame: number, type: PageType): number;
  /** Drops the references of the entries of a validated `frame`; its count has just reached 0. */
  invalidate(frame: number, type: PageType): void;
  /** An unused frame is about to change its type: stale writable translations must be gone afterwards. */
  typeChange(frame: number, from: PageType, to: PageType): void;
}

/** Plain counting, for hypervisors without paravirtual domains and for tests: nothing can become a table. */
export const noPageTables: PageTypeHooks = {
  validate: () => -EINVAL,
  invalidate: () => {},
  typeChange: () => {},
};

export class FrameTable {
  readonly frameCount: number;
  /** Domain id or a value of {@link Owner}. */
  readonly owner: Int32Array;
  readonly references: Uint32Array;
  /** A {@link PageType}; stays when the type count returns to 0, so that re-use as the same type is cheap. */
  readonly type: Uint8Array;
  readonly typeReferences: Uint32Array;
  readonly flags: Uint8Array;
  /** For pv/: uses by linear page tables. Positive: entries of other tables of the same level point here; negative: this table points at others. */
  readonly linearUses: Int16Array;
  /** {@link flushClock} when the frame's last use as its type ended (R12). */
  readonly flushStamp: Uint32Array;
  /** Counts full flushes of translations (pv/translation-flush.ts). Starts at 1, so that stamp 0 means never used. */
  flushClock = 1;

  hooks: PageTypeHooks = noPageTables;
  /** Called when the last general reference is gone; the frame still names its owner. Set by the hypervisor. */
  freed: (frame: number) => void = () => {};

  constructor(frameCount: number) {
    this.frameCount = frameCount;
    this.owner = new Int32Array(frameCount).fill(Owner.none);
    this.references = new Uint32Array(frameCount);
    this.type = new Uint8Array(frameCount);
    this.typeReferences = new Uint32Array(frameCount);
    this.flags = new Uint8Array(frameCount);
    this.linearUses = new Int16Array(frameCount);
    this.flushStamp = new Uint32Array(frameCount);
  }

  /** Whether `frame` is one of the table, whatever it holds. Anything from a guest goes through here first. */
  exists(frame: number): boolean {
    return Number.isSafeInteger(frame) && frame >= 0 && frame < this.frameCount;
  }

  has(frame: number, flag: number): boolean {
    return ((this.flags[frame] ?? 0) & flag) !== 0;
  }

  set(frame: number, flag: number, on: boolean): void {
    const flags = this.flags[frame] ?? 0;
    this.flags[frame] = on ? flags | flag : flags & ~flag;
  }

  /** Takes a general reference if the frame is alive and belongs to `owner`. */
  getPage(frame: number, owner: number): boolean {
    if (!this.exists(frame) || this.owner[frame] !== owner || this.references[frame] === 0) return false;
    this.references[frame] = (this.references[frame] as number) + 1;
    return true;
  }

  /** Gives a general reference back; the last one frees the frame. */
  putPage(frame: number): void {
    const count = this.references[frame] as number;
    assert(count > 0, () => `frame ${frame} put without a reference`);
    this.references[frame] = count - 1;
    if (count > 1) return;
    assert(this.typeReferences[frame] === 0, () => `frame ${frame} freed while used as ${this.describe(frame)}`);
    this.flushStamp[frame] = this.flushClock;
    this.freed(frame);
  }

  /**
   * Takes a type reference; the caller holds a general one. 0, or -EINVAL when the frame is in use as another type or
   * fails validation, -EBUSY when its validation is under way (a table that refers to itself, pv/ decides).
   */
  getPageType(frame: number, type: PageType): number {
    const count = this.typeReferences[frame] as number;
    if (count > 0) {
      if (this.type[frame] !== type) return -EINVAL;
      if (!this.has(frame, FrameFlag.validated)) return -EBUSY;
      this.typeReferences[frame] = count + 1;
      return 0;
    }
    if (this.type[frame] !== type) {
      this.hooks.typeChange(frame, this.type[frame] as PageType, type);
      this.type[frame] = type;
    }
    this.typeReferences[frame] = 1;
    if (type !== PageType.writable) {
      this.set(frame, FrameFlag.validated, false);
      const result = this.hooks.validate(frame, type);
      if (result < 0) {
        this.typeReferences[frame] = 0;
        this.type[frame] = PageType.none;
        return result;
      }
    }
    this.set(frame, FrameFlag.validated, true);
    return 0;
  }

  putPageType(frame: number): void {
    const count = this.typeReferences[frame] as number;
    assert(count > 0, () => `frame ${frame} put without a type reference`);
    this.typeReferences[frame] = count - 1;
    if (count > 1) return;
    this.set(frame, FrameFlag.validated, false);
    this.flushStamp[frame] = this.flushClock;
    const type = this.type[frame] as PageType;
    if (type !== PageType.writable && type !== PageType.none) this.hooks.invalidate(frame, type);
  }

  /** Both references, or neither. -EINVAL when the frame does not belong to `owner`. */
  getPageAndType(frame: number, owner: number, type: PageType): number {
    if (!this.getPage(frame, owner)) return -EINVAL;
    const result = this.getPageType(frame, type);
    if (result < 0) this.putPage(frame);
    return result;
  }

  putPageAndType(frame: number): void {
    this.putPageType(frame);
    this.putPage(frame);
  }

  /** Ends the frame's membership in its domain's allocation; it is freed when nobody else refers to it. False if it had ended before. */
  putAllocation(frame: number): boolean {
    if (!this.has(frame, FrameFlag.allocated)) return false;
    this.set(frame, FrameFlag.allocated, false);
    this.putPage(frame);
    return true;
  }

  /** For messages: `owner 3 refs 2 L1 x 1 pinned`. */
  describe(frame: number): string {
    if (!this.exists(frame)) return 'no such frame';
    const flags = Object.entries(FrameFlag).filter(([, bit]) => this.has(frame, bit));
    const type = pageTypeNames[this.type[frame] as PageType];
    const counts = `owner ${this.owner[frame]} refs ${this.references[frame]} ${type} x ${this.typeReferences[frame]}`;
    return [counts, ...flags.map(([name]) => name)].join(' ');
  }
}

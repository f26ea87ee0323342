/**
 * Dom0's view of memory: its own pages by virtual address, and a window of pages through which it sees frames of other
 * domains. The window lies in Dom0's image; its level-1 entries are found once by walking Dom0's own page tables (an
 * entry's frame becomes a virtual address through the machine-to-physical table), and are then rewritten:
 *  - a foreign frame: mmu_update of the entry with the other domain as foreign domain id, as privcmd does;
 *  - a grant: GNTTABOP_map_grant_ref with the virtual address of the window's page, as gntdev does.
 * Frames given out by the hypervisor are never assumed to be contiguous.
 * Sources: Xen public/xen.h "mmu_update", public/grant_table.h.
 */

import { assert, BackendError } from '../../base/errors.ts';
import {
  GNTMAP_host_map,
  GNTST_okay,
  GNTTABOP_map_grant_ref,
  GNTTABOP_unmap_grant_ref,
  gnttab_map_grant_ref,
  gnttab_unmap_grant_ref,
} from '../../xen-abi/grant-table.ts';
import type { SharedPage } from '../../xen-abi/io/byte-ring.ts';
import { HYPERVISOR_VIRT_START, PAGE_BYTES } from '../../xen-abi/start-of-day.ts';
import { Hypercall, MMU_NORMAL_PT_UPDATE, MMUEXT_TLB_FLUSH_LOCAL } from '../../xen-abi/xen.ts';
import { type Hypercalls, hypercallError } from './hypercalls.ts';

/** Present, writable, accessed, dirty; Xen adds the user bit to every entry of a 64-bit PV domain. */
const leafFlags = 0x63n;
const frameMask = 0x000f_ffff_ffff_f000n;

/** Plain data: which pages of the window are in use, and where their entries are. */
export interface WindowState {
  /** Machine address of the level-1 entry of each page of the window. */
  entries: bigint[];
  used: boolean[];
}

export class Dom0Memory {
  readonly #calls: Hypercalls;
  /** Virtual address of PFN 0, and of the window. */
  readonly #virtBase: bigint;
  readonly #window: bigint;
  readonly state: WindowState;

  constructor(calls: Hypercalls, options: { virtBase: bigint; window: bigint; state: WindowState }) {
    this.#calls = calls;
    this.#virtBase = options.virtBase;
    this.#window = options.window;
    this.state = options.state;
  }

  /** Finds the entries of the window. @param rootTable virtual address of the level-4 table (start_info.pt_base). */
  findEntries(rootTable: bigint, pages: number): void {
    this.state.entries = Array.from({ length: pages }, (_, i) => this.#entryAddress(rootTable, this.#address(i)));
    this.state.used = Array.from({ length: pages }, () => false);
  }

  read(address: bigint, length: number): Uint8Array {
    const bytes = this.#calls.port.readVirtual(address, length);
    assert(bytes !== undefined, () => `Dom0 reads 0x${address.toString(16)}, which is not mapped`);
    return bytes;
  }

  write(address: bigint, bytes: Uint8Array): void {
    const written = this.#calls.port.writeVirtual(address, bytes);
    assert(written, () => `Dom0 writes 0x${address.toString(16)}, which is not mapped writable`);
  }

  /** A mapped page as rings see it. */
  page(address: bigint): SharedPage {
    const u32 = new Uint8Array(4);
    return {
      read: (offset, length) => (length === 0 ? u32.subarray(0, 0) : this.read(address + BigInt(offset), length)),
      write: (offset, bytes) => this.write(address + BigInt(offset), bytes),
      readU32: (offset) => view(this.read(address + BigInt(offset), 4)).getUint32(0, true),
      writeU32: (offset, value) => {
        view(u32).setUint32(0, value, true);
        this.write(address + BigInt(offset), u32);
      },
    };
  }

  /** Pages that {@link withFrames} can show at once. */
  get freeWindowPages(): number {
    return freeRuns(this.state.used).reduce((most, { length }) => Math.max(most, length), 0);
  }

  /**
   * Shows frames of another domain, side by side and writable, while `use` runs.
   * @throws {BackendError} when the window is full or the hypervisor refuses; nothing stays mapped.
   */
  withFrames<T>(domain: number, frames: readonly bigint[], use: (address: bigint) => T): T {
    const slot = this.#take(frames.length);
    try {
      this.#setEntries(slot, frames, domain);
      return use(this.#address(slot));
    } finally {
      this.#clearEntries(slot, frames.length);
      for (let i = 0; i < frames.length; i++) this.state.used[slot + i] = false;
    }
  }

  /** Maps a granted page for long. @returns the address and the handle, or the status (GNTST_*, below 0). */
  mapGrant(domain: number, reference: number): { address: bigint; handle: number } | number {
    const slot = this.#take(1);
    const address = this.#address(slot);
    // A mapping drops what the entry held, so the page underneath is taken away first.
    this.#clearEntries(slot, 1);
    this.#calls.begin();
    const values = { host_addr: address, flags: GNTMAP_host_map, ref: reference, dom: domain };
    const at = this.#calls.place(gnttab_map_grant_ref.write(values));
    const result = Number(this.#calls.port.hypercall(Hypercall.grant_table_op, BigInt(GNTTABOP_map_grant_ref), at, 1n));
    const out = gnttab_map_grant_ref.read(this.#calls.fetch(at, gnttab_map_grant_ref.size()));
    if (result === 0 && out.status === GNTST_okay) return { address, handle: out.handle };
    this.state.used[slot] = false;
    if (result < 0) throw hypercallError(`grant_table_op.map_grant_ref of domain ${domain}`, result);
    return out.status;
  }

  unmapGrant(address: bigint, handle: number): void {
    this.#calls.begin();
    const at = this.#calls.place(gnttab_unmap_grant_ref.write({ host_addr: address, handle }));
    const result = Number(this.#calls.port.hypercall(Hypercall.grant_table_op, BigInt(GNTTABOP_unmap_grant_ref), at, 1n));
    const { status } = gnttab_unmap_grant_ref.read(this.#calls.fetch(at, gnttab_unmap_grant_ref.size()));
    if (result < 0 || status !== GNTST_okay) throw hypercallError('grant_table_op.unmap_grant_ref', result < 0 ? result : status);
    this.state.used[Number((address - this.#window) / BigInt(PAGE_BYTES))] = false;
  }

  #address(slot: number): bigint {
    return this.#window + BigInt(slot * PAGE_BYTES);
  }

  /** The smallest gap that is large enough, so that large ones stay. */
  #take(count: number): number {
    const fitting = freeRuns(this.state.used).filter(({ length }) => length >= count);
    if (fitting.length === 0)
      throw new BackendError('WINDOW_FULL', `Dom0 has no ${count} pages in a row left to map frames of other domains`);
    const { start } = fitting.reduce((best, run) => (run.length < best.length ? run : best));
    for (let i = 0; i < count; i++) this.state.used[start + i] = true;
    return start;
  }

  #setEntries(slot: number, frames: readonly bigint[], domain: number): void {
    const updates = frames.map((frame, i) => ({
      pointer: (this.state.entries[slot + i] as bigint) | BigInt(MMU_NORMAL_PT_UPDATE),
      value: (frame << 12n) | leafFlags,
    }));
    for (const part of parts(updates, this.#calls.capacity(16))) {
      const { result, done } = this.#calls.mmuUpdate(part, domain);
      if (result < 0) throw hypercallError(`mmu_update mapping frame ${part[done]?.value} of domain ${domain}`, result);
    }
    this.#flush();
  }

  #clearEntries(slot: number, count: number): void {
    const updates = this.state.entries.slice(slot, slot + count).map((pointer) => ({ pointer, value: 0n }));
    for (const part of parts(updates, this.#calls.capacity(16))) {
      const { result } = this.#calls.mmuUpdate(part);
      assert(result === 0, () => `Dom0 cannot clear its own page-table entries: errno ${-result}`);
    }
    this.#flush();
  }

  #flush(): void {
    const result = this.#calls.mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0n);
    assert(result === 0, () => `MMUEXT_TLB_FLUSH_LOCAL failed with errno ${-result}`);
  }

  /** Machine address of the level-1 entry for a virtual address. */
  #entryAddress(rootTable: bigint, address: bigint): bigint {
    let table = rootTable;
    let frame = 0n;
    for (const level of [4, 3, 2]) {
      const entry = this.#u64(table + entryOffset(address, level));
      assert((entry & 1n) !== 0n, () => `Dom0's image is not mapped at 0x${address.toString(16)}`);
      frame = (entry & frameMask) >> 12n;
      table = this.#virtBase + (this.#physicalOf(frame) << 12n);
    }
    return (frame << 12n) + entryOffset(address, 1);
  }

  /** PFN of an own machine frame: the machine-to-physical table has one u64 a frame. */
  #physicalOf(frame: bigint): bigint {
    return this.#u64(HYPERVISOR_VIRT_START + frame * 8n);
  }

  #u64(address: bigint): bigint {
    return view(this.read(address, 8)).getBigUint64(0, true);
  }
}

/** Byte offset in its table of the entry for `address`. */
function entryOffset(address: bigint, level: number): bigint {
  return ((address >> BigInt(3 + 9 * level)) & 0x1ffn) * 8n;
}

function freeRuns(used: readonly boolean[]): { start: number; length: number }[] {
  const runs: { start: number; length: number }[] = [];
  let start = 0;
  for (let i = 0; i <= used.length; i++) {
    if (i < used.length && !used[i]) continue;
    if (i > start) runs.push({ start, length: i - start });
    start = i + 1;
  }
  return runs;
}

function* parts<T>(list: readonly T[], most: number): Generator<T[]> {
  for (let at = 0; at < list.length; at += most) yield list.slice(at, at + most);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

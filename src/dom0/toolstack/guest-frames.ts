/**
 * The frames of a domain that is being built, by PFN, and writing into them: each chunk of frames is mapped side by side
 * into Dom0's window, written, and unmapped. The domain gets its memory in 2 MiB extents where the hypervisor has them,
 * in single frames otherwise. Source: Xen public/memory.h XENMEM_populate_physmap.
 */

import { ConfigError } from '../../base/errors.ts';
import { XENMEM_populate_physmap, xen_memory_reservation } from '../../xen-abi/memory.ts';
import { PAGE_BYTES } from '../../xen-abi/start-of-day.ts';
import { Hypercall } from '../../xen-abi/xen.ts';
import type { Dom0Kernel } from '../kernel/kernel.ts';

const extentOrder = 9;
const extentPages = 1 << extentOrder;
/** Frames written at once, if the window has room for them. */
const chunkPages = 64;

export class GuestFrames {
  readonly domid: number;
  readonly #kernel: Dom0Kernel;
  /** MFN by PFN. */
  readonly mfns: bigint[] = [];

  constructor(kernel: Dom0Kernel, domid: number) {
    this.#kernel = kernel;
    this.domid = domid;
  }

  /** Gives the domain PFNs 0..pages-1. @throws {ConfigError} when there is not enough memory. */
  populate(pages: number): void {
    while (this.mfns.length < pages) {
      const left = pages - this.mfns.length;
      const large = left >= extentPages ? this.#populate(Math.floor(left / extentPages), extentOrder) : 0;
      if (large > 0) continue;
      const small = this.#populate(Math.min(left, extentPages), 0);
      if (small === 0)
        throw new ConfigError(`not enough memory: ${this.mfns.length} of ${pages} pages for domain ${this.domid} were there`);
    }
  }

  mfn(pfn: number): bigint {
    const mfn = this.mfns[pfn];
    if (mfn === undefined) throw new ConfigError(`domain ${this.domid} has no page ${pfn}`);
    return mfn;
  }

  /** Writes whole pages from `pfn` on; `fill` puts the content of a chunk into zeroed bytes. */
  write(pfn: number, pages: number, fill: (into: Uint8Array, firstPage: number) => void): void {
    const chunk = Math.max(1, Math.min(chunkPages, this.#kernel.memory.freeWindowPages));
    for (let at = 0; at < pages; at += chunk) {
      const count = Math.min(chunk, pages - at);
      const bytes = new Uint8Array(count * PAGE_BYTES);
      fill(bytes, at);
      const frames = Array.from({ length: count }, (_, i) => this.mfn(pfn + at + i));
      this.#kernel.memory.withFrames(this.domid, frames, (address) => this.#kernel.memory.write(address, bytes));
    }
  }

  /** Asks for extents that continue the domain's memory. @returns how many it got. */
  #populate(extents: number, order: number): number {
    const { calls } = this.#kernel;
    calls.begin();
    const count = Math.min(extents, calls.capacity(8));
    const list = new BigUint64Array(count);
    for (let i = 0; i < count; i++) list[i] = BigInt(this.mfns.length + (i << order));
    const extentStart = calls.place(new Uint8Array(list.buffer));
    const { result } = calls.operation(Hypercall.memory_op, XENMEM_populate_physmap, xen_memory_reservation, {
      extent_start: extentStart,
      nr_extents: BigInt(count),
      extent_order: order,
      domid: this.domid,
    });
    const done = Math.max(0, result);
    const frames = new BigUint64Array(calls.fetch(extentStart, 8 * done).slice().buffer);
    for (const first of frames) for (let i = 0; i < 1 << order; i++) this.mfns.push(first + BigInt(i));
    return done;
  }
}

/**
 * How host code acts as a PV domain. A {@link GuestPort} is everything that such a domain can do, and no more than a
 * kernel made of instructions can: hypercalls, and its own virtual memory through its own page tables. Dom0's services
 * stand on it; the hypervisor's side is `xen/host-guest.ts`. Foreign frames are reached as a real Dom0 reaches them:
 * by mmu_update of an own L1 entry with a foreign domain id, or by a grant mapping.
 *
 * Start of day: the hypervisor builds the domain from {@link HostGuest.image} as if it had loaded an ELF kernel with
 * VIRT_BASE = virtBase and one zeroed segment of `pages` pages from PFN 0 (Xen public/xen.h "Start-of-day memory
 * layout"). P2M list, start_info, page tables and boot stack follow it in the first mapping, as for every PV domain.
 *
 * Events (Xen public/xen.h struct vcpu_info): the domain starts with evtchn_upcall_mask set, on vCPU 0.
 *  1. The hypervisor calls `start` once. When it returns, the vCPU blocks (SCHEDOP_block: the mask is cleared).
 *  2. Whenever evtchn_upcall_pending is set and the mask is clear, it sets the mask, calls `upcall`, and clears the mask
 *     when that returns, as an upcall frame and the iret from it would. If pending is set again, it calls again.
 *  3. The host code clears evtchn_upcall_pending, the selector and the port bits itself, in its mapped shared_info.
 * Each call runs to its end: no promise, generator or closure holds progress, so that between calls all of the host
 * code's state is plain data in the object, or bytes in the domain's memory.
 */

import type { Persistent } from '../base/persist.ts';

export interface GuestPort {
  /** Virtual address of start_info (what a guest finds in RSI). */
  readonly startInfo: bigint;

  /**
   * Issues hypercall `number` with up to six register arguments, each 0..2^64-1; pointers are virtual addresses of the
   * domain. Long calls are restarted inside, as the re-executed SYSCALL would be.
   * @returns the result as a signed 64-bit number: a negative errno, zero or positive. A hypercall that ends the domain
   * (SCHEDOP_shutdown) returns 0; the host code then returns and is not called again.
   */
  hypercall(number: number, ...args: bigint[]): bigint;

  /**
   * Copies `length` bytes from the domain's virtual memory, the machine-to-physical table at
   * HYPERVISOR_VIRT_START included (readable to all PV guests). The range may cross pages.
   * @returns undefined when a page is not mapped; nothing is copied then.
   */
  readVirtual(address: bigint, length: number): Uint8Array | undefined;

  /**
   * Copies bytes into the domain's virtual memory.
   * @returns false when a page is not mapped or not writable; earlier pages may have been written, as by instructions.
   */
  writeVirtual(address: bigint, bytes: Uint8Array): boolean;
}

/** Host code that plays a PV domain with one vCPU. `restore` is followed by {@link attach}, not by `start`. */
export interface HostGuest extends Persistent {
  readonly image: HostGuestImage;
  /** First call: start_info is at `port.startInfo`. */
  start(port: GuestPort): void;
  /** Events are deliverable. */
  upcall(port: GuestPort): void;
  /** Gives the host code its live port after a restore; must not act. */
  attach(port: GuestPort): void;
}

/** What the hypervisor builds the domain from, in place of an ELF image. */
export interface HostGuestImage {
  readonly virtBase: bigint;
  /** Zeroed pages from virtBase on, mapped writable; the domain's nr_pages must be larger. */
  readonly pages: number;
}

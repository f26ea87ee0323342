/**
 * Page-table entries of paravirtual guests, as pairs of 32-bit halves (numbers, so that scans allocate nothing):
 * which flags a guest may set (R5), and what the hypervisor changes in an entry before it stands in the table (R10).
 * Sources: SDM 3A §4.5 (4-level paging), Xen public/xen.h (MMU_*), include/asm page flags as the guest reads them back.
 */

/** Flags in the low half. */
export const P = 0x001;
export const RW = 0x002;
export const US = 0x004;
export const PWT = 0x008;
export const PCD = 0x010;
export const A = 0x020;
export const D = 0x040;
/** PAT in an L1 entry, page size in the others. */
export const PAT = 0x080;
export const G = 0x100;
export const CACHE_FLAGS = PWT | PCD | PAT;

/** Flags in the high half: bit 52, set by the hypervisor in kernel pages; bits 52..62; bit 63. */
export const GUEST_KERNEL = 0x0010_0000;
export const AVAIL_HIGH = 0x7ff0_0000;
export const NX = 0x8000_0000;

/** L4 slots of the hypervisor. */
export const FIRST_XEN_SLOT = 256;
export const LAST_XEN_SLOT = 271;

export const ENTRIES = 512;
export const FRAME_BYTES = 4096;

/** Bits 12..51 as a frame number, up to 2^40 - 1. */
export function entryFrame(low: number, high: number): number {
  return (low >>> 12) + (high & 0xf_ffff) * 0x10_0000;
}

export const INVALID_FRAME = 2 ** 40 - 1;

/** Low half of an entry for `frame` with flags in bits 0..11. */
export function entryLow(frame: number, flags: number): number {
  return (((frame % 0x10_0000) << 12) | flags) >>> 0;
}

export function entryHigh(frame: number): number {
  return Math.floor(frame / 0x10_0000);
}

/** The same entry for another frame. */
export function entryFor(frame: number, low: number, high: number): { low: number; high: number } {
  return { low: entryLow(frame, low & 0xfff), high: ((high & ~0xf_ffff) | entryHigh(frame)) >>> 0 };
}

/** R5 for L2..L4: P RW US A D AVAIL and NX, nothing else; page size never. */
export function upperFlagsAllowed(low: number, high: number): boolean {
  return (low & (PWT | PCD | PAT | G)) === 0 && (high & AVAIL_HIGH) === 0;
}

/**
 * R10 for a present L1 entry, low half. A page is the kernel's when US is clear, or when the guest writes back an entry
 * that was marked so. Both sorts get US; the user's also G (an ablation: not), the kernel's never.
 */
export function adjustL1Low(low: number, high: number, userGlobal: boolean): number {
  return !userGlobal || isKernelPage(low, high) ? ((low | US) & ~G) >>> 0 : (low | US | G) >>> 0;
}

export function adjustL1High(low: number, high: number): number {
  return isKernelPage(low, high) ? (high | GUEST_KERNEL) >>> 0 : high;
}

function isKernelPage(low: number, high: number): boolean {
  return (low & US) === 0 || (high & GUEST_KERNEL) !== 0;
}

/** R10 for a present entry of L2..L4. */
export function adjustUpperLow(level: number, low: number): number {
  return (level === 4 ? low | US | A : low | US) >>> 0;
}

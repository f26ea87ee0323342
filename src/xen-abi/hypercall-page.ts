/**
 * The hypercall page: 128 slots of 32 bytes, slot n calls hypercall n. Filled at build time on the frame that the
 * HYPERCALL_PAGE note names, and again whenever a guest writes its address to MSR 0x40000000.
 * Source: Xen public/xen.h "Hypercall numbers", docs/guest-guide/x86/hypercall-abi.
 */

const SLOT_BYTES = 32;
const SLOTS = 128;
const HYPERCALL_iret = 23;

/** push rcx; push r11; mov eax, n; syscall; pop r11; pop rcx; ret. The iret slot is jumped to and never returns. */
export function hypercallPage64(): Uint8Array {
  const page = new Uint8Array(SLOTS * SLOT_BYTES);
  for (let n = 0; n < SLOTS; n++) {
    page.set(
      n === HYPERCALL_iret
        ? [0x51, 0x41, 0x53, 0x50, 0xb8, n, 0, 0, 0, 0x0f, 0x05] // push rcx; push r11; push rax; mov eax, 23; syscall
        : [0x51, 0x41, 0x53, 0xb8, n, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3],
      n * SLOT_BYTES,
    );
  }
  return page;
}

/**
 * Bits of CR0, CR3, CR4, XCR0, the debug registers and EFER.
 * Sources: SDM 3A §2.5 (control registers), §2.6 (XCR0), §2.2.1 (EFER), SDM 3B §18.2 (debug registers); AMD APM 2 §3.1.7 (EFER).
 */

export const Cr0 = {
  /** Protection enable. */
  PE: 1 << 0,
  /** Monitor coprocessor: WAIT tests TS. */
  MP: 1 << 1,
  /** Emulation: x87 instructions raise #NM, SSE ones #UD. */
  EM: 1 << 2,
  /** Task switched. */
  TS: 1 << 3,
  /** Extension type, reads as one. */
  ET: 1 << 4,
  /** Numeric error: x87 errors raise #MF. */
  NE: 1 << 5,
  /** Write protect: supervisor writes obey read-only pages. */
  WP: 1 << 16,
  /** Alignment mask. */
  AM: 1 << 18,
  /** Not write-through. */
  NW: 1 << 29,
  /** Cache disable. */
  CD: 1 << 30,
  /** Paging; positive, unlike `1 << 31`. */
  PG: 0x8000_0000,
} as const;

/** CR3 in 4-level paging: the address of the top table, and control bits. */
export const Cr3 = {
  PWT: 1 << 3,
  PCD: 1 << 4,
  /** Process-context identifier, when CR4.PCIDE is on. */
  PCID_MASK: 0xfff,
  /** Do not flush on load, when CR4.PCIDE is on. */
  NO_FLUSH: 1n << 63n,
} as const;

export const Cr4 = {
  /** Virtual-8086 mode extensions. */
  VME: 1 << 0,
  /** Protected-mode virtual interrupts. */
  PVI: 1 << 1,
  /** RDTSC and RDTSCP at CPL 0 only. */
  TSD: 1 << 2,
  /** Debugging extensions: DR4 and DR5 raise #UD. */
  DE: 1 << 3,
  /** Page size extensions: 4-MiB pages of 32-bit paging. */
  PSE: 1 << 4,
  /** Physical address extension. */
  PAE: 1 << 5,
  /** Machine-check enable. */
  MCE: 1 << 6,
  /** Page global enable. */
  PGE: 1 << 7,
  /** RDPMC at all privilege levels. */
  PCE: 1 << 8,
  /** FXSAVE, FXRSTOR and SSE on. */
  OSFXSR: 1 << 9,
  /** SSE errors raise #XM, not #UD. */
  OSXMMEXCPT: 1 << 10,
  /** SGDT, SIDT, SLDT, SMSW, STR at CPL 0 only. */
  UMIP: 1 << 11,
  /** 57-bit linear addresses. */
  LA57: 1 << 12,
  VMXE: 1 << 13,
  SMXE: 1 << 14,
  /** RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. */
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  /** XSAVE and XCR0. */
  OSXSAVE: 1 << 18,
  /** Supervisor-mode execution prevention. */
  SMEP: 1 << 20,
  /** Supervisor-mode access prevention. */
  SMAP: 1 << 21,
  /** Protection keys of user pages. */
  PKE: 1 << 22,
} as const;

export const Efer = {
  /** SYSCALL and SYSRET. */
  SCE: 1 << 0,
  /** Long mode enable. */
  LME: 1 << 8,
  /** Long mode active, read-only. */
  LMA: 1 << 10,
  /** No-execute pages. */
  NXE: 1 << 11,
  /** SVM enable (AMD). */
  SVME: 1 << 12,
  /** Fast FXSAVE and FXRSTOR (AMD). */
  FFXSR: 1 << 14,
} as const;

export const Xcr0 = {
  X87: 1 << 0,
  SSE: 1 << 1,
  AVX: 1 << 2,
} as const;

/** DR6: what raised #DB. */
export const Dr6 = {
  B0: 1 << 0,
  B1: 1 << 1,
  B2: 1 << 2,
  B3: 1 << 3,
  /** Access to a debug register under DR7.GD. */
  BD: 1 << 13,
  /** Single step. */
  BS: 1 << 14,
  /** Task switch. */
  BT: 1 << 15,
  /** Value after reset; the bits read as one. */
  RESET: 0xffff_0ff0,
} as const;

/** DR7: breakpoint control. */
export const Dr7 = {
  /** Local and global enables of the four breakpoints, two bits each. */
  ENABLE_MASK: 0xff,
  LE: 1 << 8,
  GE: 1 << 9,
  /** General detect. */
  GD: 1 << 13,
  /** Value after reset. */
  RESET: 0x400,
} as const;

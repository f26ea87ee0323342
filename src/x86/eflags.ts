/**
 * Bits of RFLAGS.
 * Sources: SDM 1 §3.4.3 Figure 3-8, SDM 3A §2.3.
 */

/** Names of the RFLAGS bits and their masks. */
export const Flag = {
  /** Carry. */
  CF: 1 << 0,
  /** Reads as one. */
  RESERVED_ONE: 1 << 1,
  /** Parity of the low byte. */
  PF: 1 << 2,
  /** Auxiliary carry, out of bit 3. */
  AF: 1 << 4,
  /** Zero. */
  ZF: 1 << 6,
  /** Sign. */
  SF: 1 << 7,
  /** Trap: #DB after the next instruction. */
  TF: 1 << 8,
  /** Interrupt enable. */
  IF: 1 << 9,
  /** Direction of string instructions: set = downwards. */
  DF: 1 << 10,
  /** Overflow. */
  OF: 1 << 11,
  /** I/O privilege level, two bits. */
  IOPL: 3 << 12,
  /** Nested task. */
  NT: 1 << 14,
  /** Resume: suppresses instruction breakpoints once. */
  RF: 1 << 16,
  /** Virtual-8086 mode. */
  VM: 1 << 17,
  /** Alignment check, and access to user pages under SMAP. */
  AC: 1 << 18,
  /** Virtual interrupt flag. */
  VIF: 1 << 19,
  /** Virtual interrupt pending. */
  VIP: 1 << 20,
  /** Can be changed if CPUID exists. */
  ID: 1 << 21,
} as const;

/** The six status flags: OF, SF, ZF, AF, PF, CF. */
export const STATUS_FLAGS = Flag.OF | Flag.SF | Flag.ZF | Flag.AF | Flag.PF | Flag.CF;

/** Position of the IOPL field. */
export const IOPL_SHIFT = 12;

/** Every bit that RFLAGS implements. */
export const IMPLEMENTED_FLAGS =
  STATUS_FLAGS |
  Flag.RESERVED_ONE |
  Flag.TF |
  Flag.IF |
  Flag.DF |
  Flag.IOPL |
  Flag.NT |
  Flag.RF |
  Flag.VM |
  Flag.AC |
  Flag.VIF |
  Flag.VIP |
  Flag.ID;

/** One letter a status flag, as the opcode rows write undefined flags. */
export const STATUS_FLAG_LETTERS: Readonly<Record<string, number>> = {
  o: Flag.OF,
  s: Flag.SF,
  z: Flag.ZF,
  a: Flag.AF,
  p: Flag.PF,
  c: Flag.CF,
};

/**
 * Segment, system and gate descriptors, and selectors.
 *
 *      31       24 23  22 21  20 19     16 15 14 13 12 11   8 7        0
 *     | base 31:24 | G |DB| L |AVL| limit  | P | DPL | S | type| base 23:16 |   high doubleword
 *     |            base 15:0               |          limit 15:0            |   low doubleword
 *
 * System descriptors and gates of IA-32e mode take 16 bytes; the upper 8 hold bits 63:32 of base or offset.
 * Sources: SDM 3A §3.4.2 (selectors), §3.4.5 (segment descriptors), §3.5 Table 3-2 (system types), §5.8.3 (call gates),
 * §6.11 and §6.14.1 (IDT gates), §7.2.3 (TSS descriptors).
 */

export const Selector = {
  RPL_MASK: 3,
  /** Table indicator: set for the LDT. */
  TI: 4,
  /** Offset of the descriptor in its table. */
  INDEX_MASK: 0xfff8,
} as const;

/**
 * Segment attributes as the processor keeps them: bits 8..23 of the high doubleword shifted right by 8, limit bits cleared
 * (the access-rights format of VMX, SDM 3C Table 25-2).
 */
export const Attribute = {
  TYPE_MASK: 0xf,
  /** Accessed; of code and data segments. */
  ACCESSED: 1 << 0,
  /** Readable code, writable data. */
  READ_WRITE: 1 << 1,
  /** Conforming code, expand-down data. */
  CONFORMING_EXPAND_DOWN: 1 << 2,
  /** Code; clear: data. */
  CODE: 1 << 3,
  /** Code or data; clear: system. */
  S: 1 << 4,
  DPL_SHIFT: 5,
  DPL_MASK: 3 << 5,
  P: 1 << 7,
  AVL: 1 << 12,
  /** 64-bit code. */
  L: 1 << 13,
  /** Default operation size 32 bits; big stack. */
  DB: 1 << 14,
  /** Limit in pages. */
  G: 1 << 15,
  MASK: 0xf0ff,
} as const;

/** Types of system descriptors (S = 0). */
export const SystemType = {
  TSS16_AVAILABLE: 0x1,
  LDT: 0x2,
  TSS16_BUSY: 0x3,
  CALL_GATE16: 0x4,
  TASK_GATE: 0x5,
  INTERRUPT_GATE16: 0x6,
  TRAP_GATE16: 0x7,
  /** 32-bit, or 64-bit in IA-32e mode, from here on. */
  TSS_AVAILABLE: 0x9,
  TSS_BUSY: 0xb,
  CALL_GATE: 0xc,
  INTERRUPT_GATE: 0xe,
  TRAP_GATE: 0xf,
} as const;

/** The busy bit of a TSS descriptor, in its high doubleword. */
export const TSS_BUSY_BIT = 1 << 9;
/** The accessed bit of a code or data descriptor, in its high doubleword. */
export const ACCESSED_BIT = 1 << 8;

export interface SegmentDescriptor {
  readonly base: bigint;
  /** Last valid offset in bytes: scaled by G. */
  readonly limit: number;
  /** {@link Attribute} bits. */
  readonly attributes: number;
}

export function descriptorAttributes(high: number): number {
  return (high >>> 8) & Attribute.MASK;
}

/** Limit in bytes of a descriptor. */
export function descriptorLimit(low: number, high: number): number {
  const limit = (high & 0x000f_0000) | (low & 0xffff);
  return (high >>> 8) & Attribute.G ? limit * 4096 + 4095 : limit;
}

/** 32-bit base of a descriptor. */
export function descriptorBase(low: number, high: number): number {
  return ((high & 0xff00_0000) | ((high & 0xff) << 16) | (low >>> 16)) >>> 0;
}

/** Reads an 8-byte descriptor; `upper`, bits 63:32 of the base, comes with the 16-byte ones. */
export function parseSegmentDescriptor(low: number, high: number, upper = 0): SegmentDescriptor {
  return {
    base: (BigInt(upper >>> 0) << 32n) | BigInt(descriptorBase(low, high)),
    limit: descriptorLimit(low, high),
    attributes: descriptorAttributes(high),
  };
}

/** The 8 bytes of a descriptor with bits 31:0 of its base. With Attribute.G the limit loses its low 12 bits. */
export function buildSegmentDescriptor({ base, limit, attributes }: SegmentDescriptor): bigint {
  const units = attributes & Attribute.G ? Math.floor(limit / 4096) : limit;
  const low = BigInt(units & 0xffff) | ((base & 0xffffn) << 16n);
  const high = ((base >> 16n) & 0xffn) | (BigInt(attributes & Attribute.MASK) << 8n) | BigInt(units & 0xf_0000) | (base & 0xff00_0000n);
  return low | (high << 32n);
}

/** The 16 bytes (low half, high half) of a TSS or LDT descriptor of IA-32e mode. */
export function buildSystemDescriptor(descriptor: SegmentDescriptor): readonly [bigint, bigint] {
  return [buildSegmentDescriptor(descriptor), (descriptor.base >> 32n) & 0xffff_ffffn];
}

export interface GateDescriptor {
  readonly selector: number;
  readonly offset: bigint;
  /** One of {@link SystemType}. */
  readonly type: number;
  readonly dpl: number;
  readonly present: boolean;
  /** Interrupt stack table index, 0 = none (IA-32e mode). */
  readonly ist: number;
  /** Parameter count of a 16- or 32-bit call gate. */
  readonly parameters: number;
}

/** Reads a gate; `upper`, bits 63:32 of the offset, comes with the 16-byte ones. */
export function parseGateDescriptor(low: number, high: number, upper = 0): GateDescriptor {
  const offset = ((high & 0xffff_0000) | (low & 0xffff)) >>> 0;
  const type = (high >>> 8) & 0xf;
  return {
    selector: low >>> 16,
    offset: (BigInt(upper >>> 0) << 32n) | BigInt(offset),
    type,
    dpl: (high >>> 13) & 3,
    present: (high & 0x8000) !== 0,
    ist: high & 7,
    parameters: high & 0x1f,
  };
}

/** The 16 bytes (low half, high half) of a gate of IA-32e mode; the low half alone is a gate of 8 bytes. */
export function buildGateDescriptor(gate: GateDescriptor): readonly [bigint, bigint] {
  const access = (gate.present ? 0x80 : 0) | (gate.dpl << 5) | gate.type;
  const low = (gate.offset & 0xffffn) | (BigInt(gate.selector) << 16n);
  const high = BigInt(gate.ist | gate.parameters) | (BigInt(access) << 8n) | (gate.offset & 0xffff_0000n);
  return [low | (high << 32n), (gate.offset >> 32n) & 0xffff_ffffn];
}

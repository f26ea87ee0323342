/**
 * The state of one processor: one table of fields in the machine's WebAssembly memory, addressed from a base, so that
 * generated code is shared by all processors of a machine. Every reader (engines, mmu, snapshots) takes offsets from here.
 *
 * A processor occupies {@link CPU_STRIDE} bytes:
 *   +0x00000  the fields below
 *   +0x08000  a lookup table that stays empty, for code whose every data access must take the slow path
 *   +0x10000  lookup table of translations for CPL 0..2 ({@link LOOKUP_ENTRIES} entries of {@link LOOKUP_ENTRY_BYTES})
 *   +0x18000  lookup table of translations for CPL 3
 *
 * A lookup entry is { readTag, writeTag, fetchTag, addend }, four i64. A tag is the linear page address (bits 63:12) with
 * the current {@link 'tlbGeneration'} in bits 10:0; bit 11 is set by an engine in a writeTag to divert writes to a page
 * that holds translated code, and is not part of the architectural state. host address = linear address + addend.
 * index = (linear >> 12) & (LOOKUP_ENTRIES - 1). Flushing everything increments the generation.
 */

export const CPU_STRIDE = 0x20000;
export const LOOKUP_EMPTY = 0x8000;
export const LOOKUP_SUPERVISOR = 0x10000;
export const LOOKUP_USER = 0x18000;
export const LOOKUP_ENTRIES = 1024;
export const LOOKUP_ENTRY_BYTES = 32;
/** Bit of a writeTag that diverts writes to the slow path; kept out of hashes. */
export const TAG_TRAP_WRITES = 0x800n;
export const TAG_GENERATION_MASK = 0x7ffn;

type FieldType = 'u8' | 'u32' | 'u64';

/** [name, type, count]. Order is layout; each field is aligned to its size. */
const FIELDS = [
  // General registers in encoding order, then a slot that always reads as zero, then RIP: all reachable as "register" offsets.
  ['gpr', 'u64', 16],
  ['zero', 'u64', 1],
  ['rip', 'u64', 1],
  ['rflags', 'u64', 1],
  // ES CS SS DS FS GS, then a base that is always zero (flat segments of 64-bit mode).
  ['segmentBase', 'u64', 6],
  ['flatBase', 'u64', 1],
  // Masks for 16-, 32- and 64-bit addresses: constants, so that an address mask is one load.
  ['addressMask', 'u64', 3],
  // Time, in twelfths of a cycle, instructions retired, and the deadline of the current run.
  ['cycles', 'u64', 1],
  ['instructions', 'u64', 1],
  ['deadline', 'u64', 1],
  // Translation lookup.
  ['tlbGeneration', 'u64', 1],
  ['lookupTable', 'u32', 1], // address of the table of the current privilege
  ['fetchTable', 'u32', 1], // decode table of the current fetch page, 0 = ask again (engine cache)
  ['fetchPage', 'u64', 1], // linear page that instruction fetch last asked for; all ones = none
  ['codeBase', 'u64', 1], // base of CS outside 64-bit mode, else 0 (engine cache)
  ['codePage', 'u64', 1], // RIP = codePage + offset in the fetch page (engine cache)
  ['timeLimit', 'u64', 1], // cycles at which the running generated code stops (engine cache)
  ['longestRun', 'u64', 1], // twelfths after which generated code returns in any case, below 2^31 (engine cache)
  ['stepping', 'u64', 1], // 1 while generated code executes one instruction only (engine cache)
  ['stoppedAt', 'u64', 1], // function slot of the instruction before which time ran out (engine cache)
  // Status flags while generated code runs (interpreter/deferred-flags.ts; engine cache).
  ['flagResult', 'u64', 1],
  ['flagCarry', 'u64', 1],
  ['flagCarries', 'u64', 1],
  ['fetchAddend', 'u64', 1], // host address = linear address + fetchAddend within fetchPage
  ['repeatActive', 'u64', 1], // 1 while a repeated string instruction stands between two elements
  // Exit and fault reporting from engines to the run loop.
  ['exitReason', 'u32', 1],
  ['faultVector', 'u32', 1],
  ['faultErrorCode', 'u32', 1],
  ['faultHasErrorCode', 'u32', 1],
  ['faultAddress', 'u64', 1],
  ['slowAddress', 'u64', 1], // linear address of the access that an engine's slow path handles
  ['slowStore', 'u64', 3], // destination of a pending slow store: linear address, size, host address of second part
  ['loadScratch', 'u64', 4], // operand of a slow load
  ['storeScratch', 'u64', 4], // operand of a slow store until it is committed
  // Segments: selector, limit (inclusive bytes), attributes (descriptor bits 8..15, 20..23 shifted right by 8).
  ['segmentSelector', 'u32', 6],
  ['segmentLimit', 'u32', 6],
  ['segmentAttributes', 'u32', 6],
  // Non-zero when an access through the segment needs a check of limit or type (never in 64-bit mode).
  ['segmentCheck', 'u8', 8],
  // Privilege and mode, derived from CS, CR0 and EFER by cpu/mode.ts whenever these change.
  ['cpl', 'u32', 1],
  ['codeMode', 'u32', 1], // 64, 32 or 16
  ['stackMask', 'u64', 1], // mask of RSP by SS.B
  ['longMode', 'u32', 1], // EFER.LMA
  ['interruptShadow', 'u32', 1],
  ['halted', 'u32', 1],
  ['nmiBlocked', 'u32', 1],
  ['nmiPending', 'u32', 1],
  ['debugHits', 'u32', 1], // B0..B3 of data and I/O breakpoints that the instruction just executed has met
  ['pendingInterrupt', 'u32', 1], // level of the interrupt input: 1 = an unmasked request waits at the controller
  ['vpid', 'u32', 1], // 0 = root operation
  // Control registers and descriptor tables.
  ['cr0', 'u64', 1],
  ['cr2', 'u64', 1],
  ['cr3', 'u64', 1],
  ['cr4', 'u64', 1],
  ['cr8', 'u64', 1],
  ['xcr0', 'u64', 1],
  ['dr', 'u64', 8],
  ['pdpte', 'u64', 5], // PAE paging: the four entries as loaded, then the CR3 that they belong to, bit 0 set when valid
  ['gdtrBase', 'u64', 1],
  ['gdtrLimit', 'u32', 1],
  ['idtrLimit', 'u32', 1],
  ['idtrBase', 'u64', 1],
  ['ldtrSelector', 'u32', 1],
  ['ldtrLimit', 'u32', 1],
  ['ldtrAttributes', 'u32', 1],
  ['ldtrBase', 'u64', 1],
  ['trSelector', 'u32', 1],
  ['trLimit', 'u32', 1],
  ['trAttributes', 'u32', 1],
  ['trBase', 'u64', 1],
  // MSRs that the processor itself uses.
  ['efer', 'u64', 1],
  ['star', 'u64', 1],
  ['lstar', 'u64', 1],
  ['cstar', 'u64', 1],
  ['fmask', 'u64', 1],
  ['kernelGsBase', 'u64', 1],
  ['sysenterCs', 'u64', 1],
  ['sysenterEsp', 'u64', 1],
  ['sysenterEip', 'u64', 1],
  ['pat', 'u64', 1],
  ['tscAux', 'u64', 1],
  ['tscOffset', 'u64', 1],
  ['apicBase', 'u64', 1],
  ['miscEnable', 'u64', 1],
  ['mtrr', 'u64', 28], // base and mask of 8 variable ranges, 11 fixed ranges, default type
  ['machineCheck', 'u64', 2], // MCG_STATUS, MCG_CTL
  // Floating point.
  ['mxcsr', 'u64', 1], // 32 bits; a word, so that definitions read it as a field
  ['mxcsrMask', 'u64', 1], // bits that MXCSR has, by CPUID model
  ['emmsKeeps', 'u64', 1], // bits of the x87 status word that EMMS leaves, by CPUID model
  // As for MXCSR, words of 64 bits.
  ['fpuControl', 'u64', 1],
  ['fpuStatus', 'u64', 1], // TOP in bits 13:11
  ['fpuTag', 'u64', 1], // one bit a physical register, 1 = not empty
  ['xmm', 'u64', 32], // 16 registers, low half first; 16-byte aligned
  ['ymmHigh', 'u64', 32], // bits 255:128 of the 16 vector registers, laid out as xmm
  ['st', 'u64', 16], // 8 physical registers: significand, then sign and exponent
] as const satisfies readonly (readonly [string, FieldType, number])[];

export type FieldName = (typeof FIELDS)[number][0];

const SIZE: Record<FieldType, number> = { u8: 1, u32: 4, u64: 8 };

/** Byte offset of each field from the processor's base. */
export const OFFSET: Readonly<Record<FieldName, number>> = (() => {
  const offsets = {} as Record<FieldName, number>;
  let at = 0;
  for (const [name, type, count] of FIELDS) {
    const align = name === 'xmm' || name === 'ymmHigh' ? 16 : SIZE[type];
    at = (at + align - 1) & -align;
    offsets[name] = at;
    at += SIZE[type] * count;
  }
  return offsets;
})();

export const FIELD_TABLE: readonly (readonly [FieldName, FieldType, number])[] = FIELDS;

/** Fields that belong to an engine or hold constants: left out of snapshots and hashes. */
export const TRANSIENT_FIELDS: ReadonlySet<FieldName> = new Set<FieldName>([
  'zero',
  'flatBase',
  'addressMask',
  'deadline',
  'lookupTable',
  'fetchTable',
  'codeBase',
  'codePage',
  'timeLimit',
  'longestRun',
  'stepping',
  'stoppedAt',
  'flagResult',
  'flagCarry',
  'flagCarries',
  'exitReason',
  'faultVector',
  'faultErrorCode',
  'faultHasErrorCode',
  'faultAddress',
  'slowAddress',
  'slowStore',
  'loadScratch',
  'storeScratch',
  'segmentCheck',
  'stackMask',
  'mxcsrMask',
  'emmsKeeps',
]);

/**
 * Typed views of one processor's fields. `u64[index64('rip')]` style access is what hot host code uses; the named
 * getters are for everything else.
 */
export class CpuState {
  readonly base: number;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  readonly i64: BigInt64Array;

  constructor(memory: WebAssembly.Memory, base: number) {
    this.base = base;
    this.u8 = new Uint8Array(memory.buffer, base, CPU_STRIDE);
    this.u32 = new Uint32Array(memory.buffer, base, CPU_STRIDE >> 2);
    this.u64 = new BigUint64Array(memory.buffer, base, CPU_STRIDE >> 3);
    this.i64 = new BigInt64Array(memory.buffer, base, CPU_STRIDE >> 3);
    this.u64[(OFFSET.addressMask >> 3) + 0] = 0xffffn;
    this.u64[(OFFSET.addressMask >> 3) + 1] = 0xffff_ffffn;
    this.u64[(OFFSET.addressMask >> 3) + 2] = 0xffff_ffff_ffff_ffffn;
  }

  get(name: FieldName, index = 0): bigint {
    return this.u64[(OFFSET[name] >> 3) + index];
  }
  set(name: FieldName, value: bigint, index = 0): void {
    this.u64[(OFFSET[name] >> 3) + index] = value;
  }
  get32(name: FieldName, index = 0): number {
    return this.u32[(OFFSET[name] >> 2) + index];
  }
  set32(name: FieldName, value: number, index = 0): void {
    this.u32[(OFFSET[name] >> 2) + index] = value;
  }
}

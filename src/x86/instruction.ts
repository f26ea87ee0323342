/**
 * The decoded form of one instruction: what the decoder produces and every reader (engines, disassembler, coverage
 * tests, cost table) consumes. Plain data, no behaviour.
 * Sources: SDM 2A §2 (instruction format), §3.1 (notation of opcode and operand columns).
 */

/** Code segment width: 64-bit mode, 32-bit (CS.D = 1) or 16-bit (CS.D = 0) code. */
export type CodeMode = 64 | 32 | 16;

/** Segment registers by their encoding in Sreg fields (SDM 2A §3.1.1.3). */
export const Segment = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const;
export type SegmentIndex = 0 | 1 | 2 | 3 | 4 | 5;

/** Index that stands for "no register" in a memory operand, and for RIP as base. */
export const NO_REGISTER = -1;
export const RIP_REGISTER = 16;

/**
 * How an operand is written in a row, in the notation of the manual with `v` for "16, 32 or 64 by operand size"
 * and `z` for "16 or 32 (32 also under REX.W)":
 *   r/m8 r/m16 r/m32 r/m64 r/mv r/mz  r8 r16 r32 r64 rv  (ModRM.reg, or the low opcode bits with +r)
 *   m m8 m16 m32 m64 m128 mv  m16:v (far pointer in memory)  moffs8 moffsv  memory only
 *   imm8 imm16 immz immv imm8s (sign-extended imm8)  rel8 relz  ptr16:z  1 (the constant one)
 *   AL AX eAX(=accumulator of operand size) CL DX ...  fixed registers;  ES CS SS DS FS GS;  Sreg CRn DRn
 *   xmm xmm/m32 xmm/m64 xmm/m128 ymm ymm/m256
 *   xmm/is4 ymm/is4 (register in an immediate byte)  vm32x/m64 (VSIB: 32-bit indices in an xmm, elements of 64 bits) vm64y/m32 ...
 */
export type OperandNotation = string;

export type OperandKind =
  | 'register' // general register
  | 'memory'
  | 'immediate'
  | 'relative' // branch displacement, in `Instruction.immediate`
  | 'far-pointer' // ptr16:16/32: offset in `immediate`, selector in `immediate2`
  | 'segment'
  | 'control'
  | 'debug'
  | 'xmm'
  | 'ymm'
  | 'mmx'
  | 'x87';

export interface Operand {
  readonly kind: OperandKind;
  /** Width in bits: 8, 16, 32, 64, 80, 128, 256; for far pointers the width of the offset. */
  readonly width: number;
  /** Register number 0..15 for register-like kinds; 0 otherwise. */
  readonly index: number;
  /** True for AH, CH, DH, BH (`index` 0..3 then names the register whose bits 15:8 are meant). */
  readonly high: boolean;
}

export interface MemoryOperand {
  /** Segment in effect (override or default). */
  readonly segment: SegmentIndex;
  /** 0..15, {@link RIP_REGISTER} or {@link NO_REGISTER}. */
  readonly base: number;
  /** 0..15 or {@link NO_REGISTER}, which a VSIB operand has too: its index is the last of the instruction's operands. */
  readonly index: number;
  /** log2 of the scale: 0..3. */
  readonly scale: number;
  /** Sign-extended displacement; for moffs and 16-/32-bit absolute addresses the zero-extended address. */
  readonly displacement: bigint;
}

/** What the row's operand columns say about access, one letter group an operand: 'r', 'w', 'rw', or '' (address only). */
export type OperandAccess = 'r' | 'w' | 'rw' | '';

export interface OpcodeRow {
  /** Position in the table, dense from 0: the key of engine handler tables. */
  readonly id: number;
  /** Opcode column, e.g. `81 /0 iz`, `REX.W 0F C7 /1`, `F3 0F 10 /r`, `40+r`. */
  readonly opcode: string;
  readonly mnemonic: string;
  readonly operands: readonly OperandNotation[];
  readonly access: readonly OperandAccess[];
  /** Where the row exists. */
  readonly modes: 'all' | '64' | 'legacy';
  /** CPUID feature that must be on, else #UD (or the fall-back row); undefined = always there. */
  readonly feature: string | undefined;
  /** LOCK is accepted on the memory form. */
  readonly lockable: boolean;
  /** String instruction: F2/F3 repeat it. On other rows F2/F3 that are not part of the opcode are ignored. */
  readonly repeatable: boolean;
  /** #UD in real-address and virtual-8086 mode (the decoder knows only the code width, so engines check this). */
  readonly protectedOnly: boolean;
  /** Status flags left undefined (mask of RFLAGS bits), masked only in comparisons with a host processor. */
  readonly undefinedFlags: number;
  /** Cost class, a key of timing/cost-model. */
  readonly cost: string;
  /** Operand size in 64-bit mode when no prefix says otherwise: 32, or 64 for near branches and stack operations. */
  readonly defaultSize64: 32 | 64;
  /** Encoded with VEX: the upper half of a vector register that it writes is cleared. */
  readonly vex: boolean;
  /** The memory operand has a vector of indices (VSIB). */
  readonly vectorIndex: boolean;
}

export interface Instruction {
  readonly row: OpcodeRow;
  /** Bytes, 1..15. */
  readonly length: number;
  readonly mode: CodeMode;
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: 16 | 32 | 64;
  readonly lock: boolean;
  /** Last of F2/F3 seen, when it is not part of the opcode: repeat prefix of string instructions. */
  readonly repeat: '' | 'rep' | 'repne';
  readonly operands: readonly Operand[];
  readonly memory: MemoryOperand | undefined;
  /** First immediate, displacement of a relative branch, or far offset; sign- or zero-extended to 64 bits as the row says. */
  readonly immediate: bigint;
  /** Second immediate (ENTER) or selector of a far pointer. */
  readonly immediate2: number;
}

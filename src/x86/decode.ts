/**
 * The instruction decoder: bytes at the instruction pointer to an {@link Instruction}.
 *
 * The bytes may end in the middle of an instruction (the next page is not there yet): the answer is then
 * `need-more-bytes`, but only when the missing bytes decide something: an undefined opcode is told as soon as it is
 * known. An instruction is not limited to what hypervisors or compilers write: redundant prefixes, ignored prefixes
 * and reserved encodings behave as on processors.
 * DEVIATION: 66 on near branches in 64-bit mode is ignored as on Intel processors; AMD truncates RIP to 16 bits.
 * Sources: SDM 2A §2.1 (prefixes, ModRM, SIB), §2.2.1 (REX, RIP-relative), §2.3 (VEX), SDM 3A Table 6-2 (priority:
 * a page fault of a fetch comes before #GP for more than 15 bytes and before #UD), SDM 2A LOCK (#UD rules).
 */

import {
  type CodeMode,
  type Instruction,
  type MemoryOperand,
  NO_REGISTER,
  type Operand,
  RIP_REGISTER,
  Segment,
  type SegmentIndex,
} from './instruction.ts';
import { type EncodedRow, type OperandEncoding, PrefixKind, Source, Width } from './opcode-row.ts';
import { OpcodeIndex, opcodeKey } from './opcode-table.ts';
import {
  BYTE_REGISTERS_LEGACY,
  BYTE_REGISTERS_REX,
  controlRegisters,
  debugRegisters,
  farPointerOperand,
  generalRegisters,
  immediateOperand,
  MMX_REGISTERS,
  memoryOperand,
  relativeOperand,
  SEGMENT_REGISTERS,
  X87_REGISTERS,
  XMM_REGISTERS,
  YMM_REGISTERS,
} from './operands.ts';

/** Longest instruction; a longer one raises #GP(0). */
export const MAX_INSTRUCTION_LENGTH = 15;

/** `undefined`: #UD. `too-long`: #GP(0). `need-more-bytes`: ask again with the bytes of the next page, or raise #PF. */
export type DecodeFailure = 'undefined' | 'too-long' | 'need-more-bytes';
export type DecodeResult = Instruction | DecodeFailure;

const REX_W = 8;
const REX_R = 4;
const REX_X = 2;
const REX_B = 1;

/** Base and index of 16-bit addressing by ModRM.rm (SDM 2A Table 2-1). */
const BASE_16 = [3, 3, 5, 5, 6, 7, 5, 3];
const INDEX_16 = [6, 7, 6, 7, NO_REGISTER, NO_REGISTER, NO_REGISTER, NO_REGISTER];

const IMPLIED_BASE = { si: 6, 'es:di': 7, di: 7, bx: 3, ax: 0 } as const;

/** Mandatory prefix by the pp field of VEX. */
const VEX_PREFIX_KIND = [PrefixKind.NONE, PrefixKind.P66, PrefixKind.PF3, PrefixKind.PF2];

/** No two of a gather's destination, mask and index are one register (SDM 2C VGATHERDPS). */
function distinctRegisters(operands: readonly Operand[]): boolean {
  const registers = operands.filter(({ kind }) => kind !== 'memory').map(({ index }) => index);
  return new Set(registers).size === registers.length;
}

/** MOV from and to control registers: with CR8_LEGACY, LOCK before CR0 names CR8 (APM 3 MOV CRn). */
const CONTROL_MOVES: ReadonlySet<number> = new Set([opcodeKey(false, 1, 0x20), opcodeKey(false, 1, 0x22)]);

/** Decoder for one set of CPUID features. Its fields are the cursor of the instruction at hand. */
export class Decoder {
  private readonly index: OpcodeIndex;
  private readonly hasLegacyCr8: boolean;

  private bytes: Uint8Array = new Uint8Array(0);
  private start = 0;
  private position = 0;
  private limit = 0;
  private mode: CodeMode = 64;

  // Prefixes.
  private rex = 0;
  private hasRex = false;
  private operandSizePrefix = false;
  private prefixKind: number = PrefixKind.NONE;
  private segment = -1;
  private addressSize: 16 | 32 | 64 = 64;
  private vvvv = 0;
  private vvvvNamed = false;
  private vexL = 1;
  private vexW = false;
  /** Index register of a VSIB operand. */
  private vectorIndex = 0;

  // What follows the opcode.
  private opcode = 0;
  private namesCr8 = false;
  private modrm = 0;
  private memory: MemoryOperand | undefined = undefined;
  private operandSize: 16 | 32 | 64 = 32;
  private immediate = 0n;
  private immediate2 = 0;

  constructor(features: ReadonlySet<string>) {
    this.index = new OpcodeIndex(features);
    this.hasLegacyCr8 = features.has('CR8_LEGACY');
  }

  /** Decodes the instruction at `bytes[offset]`, of which `available` bytes (more than 15 do no harm) may be read. */
  decode(bytes: Uint8Array, offset: number, available: number, mode: CodeMode): DecodeResult {
    this.bytes = bytes;
    this.start = offset;
    this.position = offset;
    this.limit = offset + Math.min(available, MAX_INSTRUCTION_LENGTH, bytes.length - offset);
    this.mode = mode;
    this.rex = 0;
    this.hasRex = false;
    this.operandSizePrefix = false;
    this.prefixKind = PrefixKind.NONE;
    this.segment = -1;
    this.memory = undefined;
    this.immediate = 0n;
    this.immediate2 = 0;

    let lock = false;
    let addressSizePrefix = false;
    let opcode = 0;
    prefixes: for (;;) {
      if (this.position >= this.limit) return this.outOfBytes();
      opcode = bytes[this.position++] as number;
      switch (opcode) {
        case 0x66:
          this.operandSizePrefix = true;
          break;
        case 0x67:
          addressSizePrefix = true;
          break;
        case 0xf0:
          lock = true;
          break;
        case 0xf2:
          this.prefixKind = PrefixKind.PF2;
          break;
        case 0xf3:
          this.prefixKind = PrefixKind.PF3;
          break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
          // In 64-bit mode these are null prefixes: they do not even cancel FS or GS.
          if (mode !== 64) this.segment = (opcode >> 3) & 3;
          break;
        case 0x64:
        case 0x65:
          this.segment = opcode - 0x60;
          break;
        default:
          if (mode === 64 && (opcode & 0xf0) === 0x40) {
            this.rex = opcode;
            this.hasRex = true;
            continue;
          }
          break prefixes;
      }
      // REX counts only directly before the opcode.
      this.rex = 0;
      this.hasRex = false;
    }
    if (mode === 64) this.addressSize = addressSizePrefix ? 32 : 64;
    else this.addressSize = addressSizePrefix === (mode === 32) ? 16 : 32;

    let map = 0;
    let vex = false;
    if (opcode === 0x0f) {
      if (this.position >= this.limit) return this.outOfBytes();
      opcode = bytes[this.position++] as number;
      map = 1;
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3;
        if (this.position >= this.limit) return this.outOfBytes();
        opcode = bytes[this.position++] as number;
      }
    } else if (opcode === 0xc4 || opcode === 0xc5) {
      // Outside 64-bit mode C4 and C5 are LES and LDS unless the next byte looks like a register form.
      if (this.position >= this.limit) return this.outOfBytes();
      vex = mode === 64 || (bytes[this.position] as number) >= 0xc0;
      if (vex) {
        if (lock || this.operandSizePrefix || this.prefixKind !== PrefixKind.NONE || this.hasRex) return 'undefined';
        const payload = bytes[this.position++] as number;
        let last = payload;
        map = 1;
        this.rex = payload & 0x80 ? 0 : REX_R;
        if (opcode === 0xc4) {
          map = payload & 0x1f;
          this.rex = (~payload >> 5) & 7;
          if (this.position >= this.limit) return this.outOfBytes();
          last = bytes[this.position++] as number;
          if (last & 0x80) this.rex |= REX_W;
          if (map < 1 || map > 3) return 'undefined';
        }
        this.vexL = last & 4 ? 2 : 1;
        this.vexW = (this.rex & REX_W) !== 0;
        if (mode !== 64) this.rex = 0; // general registers have no more than 32 bits and 8 numbers
        this.hasRex = true;
        this.vvvv = (~last >> 3) & (mode === 64 ? 15 : 7);
        this.vvvvNamed = (last & 0x78) !== 0x78;
        this.prefixKind = VEX_PREFIX_KIND[last & 3] as number;
        if (this.position >= this.limit) return this.outOfBytes();
        opcode = bytes[this.position++] as number;
      }
    }
    this.opcode = opcode;
    return this.finish(opcodeKey(vex, map, opcode), lock);
  }

  private finish(key: number, lock: boolean): DecodeResult {
    const candidates = this.index.candidates(this.mode, key);
    const prefixKind = this.prefixKind === PrefixKind.NONE && this.operandSizePrefix ? PrefixKind.P66 : this.prefixKind;
    if ((candidates.prefixes & prefixKind) === 0) return 'undefined';
    this.namesCr8 = lock && this.hasLegacyCr8 && CONTROL_MOVES.has(key);
    const refusesLock = lock && !this.namesCr8;
    if (refusesLock && !candidates.lockable) return 'undefined';

    let rows = candidates.rows;
    if (candidates.hasModrm) {
      if (this.position >= this.limit) return this.outOfBytes();
      const modrm = this.bytes[this.position++] as number;
      this.modrm = modrm;
      rows = candidates.byModrm[((modrm >> 3) & 7) | (modrm >= 0xc0 ? 8 : 0)] as readonly EncodedRow[];
    } else {
      this.modrm = 0;
    }
    const row = this.select(rows, prefixKind);
    if (row === undefined) return 'undefined';
    const encoding = row.encoding;
    if (refusesLock && (!row.lockable || this.modrm >= 0xc0)) return 'undefined';
    // A VEX.vvvv that names no operand must be 1111b (SDM 2A §2.3.5.6).
    if (encoding.vex && this.vvvvNamed && !encoding.operands.some(({ source }) => source === Source.VEX_VVVV)) return 'undefined';

    // VSIB takes a SIB byte (SDM 2A §2.3.12).
    if (row.vectorIndex && ((this.modrm & 7) !== 4 || this.addressSize === 16)) return 'undefined';

    if (candidates.hasModrm) {
      if (this.modrm < 0xc0 && !encoding.anyMod && !this.readMemory(row.vectorIndex)) return this.outOfBytes();
    }
    if (encoding.impliedMemory !== '') this.implyMemory(encoding.impliedMemory);

    const operands: Operand[] = [];
    for (const operand of encoding.operands) {
      const read = this.readOperand(operand, encoding.anyMod, row);
      if (typeof read === 'string') return read;
      operands.push(read);
    }
    if (row.vectorIndex && !distinctRegisters(operands)) return 'undefined';
    const repeat = row.repeatable ? this.prefixKind : PrefixKind.NONE;
    return {
      row,
      length: this.position - this.start,
      mode: this.mode,
      operandSize: this.operandSize,
      addressSize: this.addressSize,
      lock,
      repeat: repeat === PrefixKind.PF3 ? 'rep' : repeat === PrefixKind.PF2 ? 'repne' : '',
      operands,
      memory: this.memory,
      immediate: this.immediate,
      immediate2: this.immediate2,
    };
  }

  /** The bytes ran out: past the 15th it is the length, else the page's end. */
  private outOfBytes(): DecodeFailure {
    return this.limit - this.start >= MAX_INSTRUCTION_LENGTH ? 'too-long' : 'need-more-bytes';
  }

  /** First row whose conditions hold; sets `operandSize` for it. */
  private select(rows: readonly EncodedRow[], prefixKind: number): EncodedRow | undefined {
    for (const row of rows) {
      const encoding = row.encoding;
      if ((encoding.prefixes & prefixKind) === 0) continue;
      const wide = encoding.vex ? this.vexW : (this.rex & REX_W) !== 0;
      if ((encoding.rexW & (wide ? 2 : 1)) === 0) continue;
      if (encoding.vex && (encoding.vexL & this.vexL) === 0) continue;
      if (encoding.rm >= 0 && encoding.rm !== (this.modrm & 7)) continue;
      if (encoding.noRexB && this.rex & REX_B) continue;
      if ((encoding.addressSizes & this.addressSize) === 0) continue;
      const operandSize = this.operandSizeFor(row);
      if ((encoding.operandSizes & operandSize) === 0) continue;
      this.operandSize = operandSize;
      return row;
    }
    return undefined;
  }

  private operandSizeFor(row: EncodedRow): 16 | 32 | 64 {
    const encoding = row.encoding;
    const wide = (this.rex & REX_W) !== 0;
    if (encoding.force64 && this.mode === 64) return 64;
    if (encoding.vex || encoding.sizeByRexW) return wide ? 64 : 32;
    if (wide) return encoding.max32 ? 32 : 64;
    const prefixed = this.operandSizePrefix && encoding.prefixes !== PrefixKind.P66;
    if (this.mode === 64) return prefixed ? 16 : row.defaultSize64;
    return prefixed === (this.mode === 32) ? 16 : 32;
  }

  /** Reads SIB and displacement of a memory form; false when bytes run out. */
  private readMemory(vectorIndex: boolean): boolean {
    return this.addressSize === 16 ? this.readMemory16() : this.readMemory32(vectorIndex);
  }

  private readMemory16(): boolean {
    const mod = this.modrm >> 6;
    const rm = this.modrm & 7;
    if (mod === 0 && rm === 6) {
      if (this.position + 2 > this.limit) return false;
      this.setMemory(Segment.DS, NO_REGISTER, NO_REGISTER, 0, BigInt(this.unsigned(2)));
      return true;
    }
    if (this.position + mod > this.limit) return false;
    const base = BASE_16[rm] as number;
    const segment = base === 5 ? Segment.SS : Segment.DS;
    this.setMemory(segment, base, INDEX_16[rm] as number, 0, mod === 0 ? 0n : BigInt(this.signed(mod)));
    return true;
  }

  private readMemory32(vectorIndex: boolean): boolean {
    const mod = this.modrm >> 6;
    const rm = this.modrm & 7;
    let base = rm | (this.rex & REX_B ? 8 : 0);
    let index: number = NO_REGISTER;
    let scale = 0;
    let baseLow = rm;
    if (rm === 4) {
      if (this.position >= this.limit) return false;
      const sib = this.bytes[this.position++] as number;
      index = ((sib >> 3) & 7) | (this.rex & REX_X ? 8 : 0);
      if (vectorIndex) this.vectorIndex = index;
      if (index === 4 || vectorIndex) index = NO_REGISTER;
      scale = sib >> 6;
      baseLow = sib & 7;
      base = baseLow | (this.rex & REX_B ? 8 : 0);
    }
    const absolute = mod === 0 && baseLow === 5;
    const size = mod === 1 ? 1 : mod === 2 || absolute ? 4 : 0;
    if (this.position + size > this.limit) return false;
    if (absolute) {
      const relative = rm === 5 && this.mode === 64;
      // A plain 32-bit address is zero-extended; with an index or in 64-bit addressing it is a displacement.
      const plain = index === NO_REGISTER && !relative && this.addressSize === 32;
      const displacement = BigInt(plain ? this.unsigned(4) : this.signed(4));
      this.setMemory(Segment.DS, relative ? RIP_REGISTER : NO_REGISTER, index, scale, displacement);
      return true;
    }
    const segment = base === 4 || base === 5 ? Segment.SS : Segment.DS;
    this.setMemory(segment, base, index, scale, size === 0 ? 0n : BigInt(this.signed(size)));
    return true;
  }

  private setMemory(defaultSegment: SegmentIndex, base: number, index: number, scale: number, displacement: bigint): void {
    const segment = this.segment < 0 ? defaultSegment : (this.segment as SegmentIndex);
    this.memory = { segment, base, index, scale, displacement };
  }

  private implyMemory(implied: keyof typeof IMPLIED_BASE): void {
    if (implied === 'es:di') this.segment = Segment.ES; // no override reaches the destination of strings
    this.setMemory(Segment.DS, IMPLIED_BASE[implied], NO_REGISTER, 0, 0n);
  }

  private readOperand(operand: OperandEncoding, anyMod: boolean, row: EncodedRow): Operand | DecodeFailure {
    switch (operand.source) {
      case Source.MODRM_RM:
        if (this.modrm < 0xc0 && !anyMod) return memoryOperand(this.bits(operand.memoryWidth));
        return this.register(operand, this.modrm & 7, REX_B);
      case Source.MODRM_REG:
        return this.register(operand, (this.modrm >> 3) & 7, REX_R, row);
      case Source.OPCODE_LOW:
        return this.register(operand, this.opcode & 7, REX_B);
      case Source.VEX_VVVV:
        return this.numbered(operand, this.vvvv);
      case Source.VECTOR_INDEX:
        return this.numbered(operand, this.vectorIndex);
      case Source.IMMEDIATE_REGISTER:
        if (this.position >= this.limit) return this.outOfBytes();
        return this.numbered(operand, ((this.bytes[this.position++] as number) >> 4) & (this.mode === 64 ? 15 : 7));
      case Source.FIXED:
        if (operand.registers === 'x87') return X87_REGISTERS[operand.index] as Operand;
        if (operand.registers === 'segment') return SEGMENT_REGISTERS[operand.index] as Operand;
        if (operand.width === 8) return BYTE_REGISTERS_REX[operand.index] as Operand;
        return generalRegisters(this.bits(operand.width))[operand.index] as Operand;
      case Source.ONE:
        this.immediate = 1n;
        return immediateOperand(8);
      case Source.IMPLIED_MEMORY:
        return memoryOperand(this.bits(operand.memoryWidth));
      default:
        return this.readConstant(operand);
    }
  }

  /** Register operand of a field with 4 bits. */
  private numbered(operand: OperandEncoding, index: number): Operand {
    if (operand.registers === 'register') return generalRegisters(this.bits(operand.width))[index] as Operand;
    return (operand.registers === 'ymm' ? YMM_REGISTERS : XMM_REGISTERS)[index] as Operand;
  }

  /** Register operand of a field with 3 bits and the REX bit that extends it. */
  private register(operand: OperandEncoding, low: number, rexBit: number, row?: EncodedRow): Operand | 'undefined' {
    const extended = low | (this.rex & rexBit ? 8 : 0);
    switch (operand.registers) {
      case 'register':
        if (operand.width === 8) return (this.hasRex ? BYTE_REGISTERS_REX : BYTE_REGISTERS_LEGACY)[extended] as Operand;
        return generalRegisters(this.bits(operand.width))[extended] as Operand;
      case 'xmm':
        return XMM_REGISTERS[extended] as Operand;
      case 'ymm':
        return YMM_REGISTERS[extended] as Operand;
      case 'mmx':
        return MMX_REGISTERS[low] as Operand;
      case 'x87':
        return X87_REGISTERS[low] as Operand;
      case 'segment':
        // REX.R is ignored; CS cannot be loaded.
        if (low > 5 || (low === Segment.CS && row?.access[0] === 'w' && row.operands[0] === 'Sreg')) return 'undefined';
        return SEGMENT_REGISTERS[low] as Operand;
      case 'control':
        if (this.namesCr8) return extended === 0 ? (controlRegisters(this.operandSize)[8] as Operand) : 'undefined';
        if (extended === 1 || (extended > 4 && extended !== 8)) return 'undefined';
        return controlRegisters(this.operandSize)[extended] as Operand;
      case 'debug':
        if (extended > 7) return 'undefined';
        return debugRegisters(this.operandSize)[extended] as Operand;
    }
  }

  /** Immediates, displacements of branches, far pointers and absolute offsets. */
  private readConstant(operand: OperandEncoding): Operand | DecodeFailure {
    if (operand.source === Source.OFFSET) {
      const size = this.addressSize >> 3;
      if (this.position + size > this.limit) return this.outOfBytes();
      const address = size === 8 ? this.unsigned64() : BigInt(this.unsigned(size));
      this.setMemory(Segment.DS, NO_REGISTER, NO_REGISTER, 0, address);
      return memoryOperand(this.bits(operand.width));
    }
    const width = this.bits(operand.width);
    const size = width >> 3;
    const total = operand.source === Source.FAR_POINTER ? size + 2 : size;
    if (this.position + total > this.limit) return this.outOfBytes();
    switch (operand.source) {
      case Source.RELATIVE:
        this.immediate = BigInt(this.signed(size));
        return relativeOperand(width);
      case Source.FAR_POINTER:
        this.immediate = BigInt(this.unsigned(size));
        this.immediate2 = this.unsigned(2);
        return farPointerOperand(width);
      case Source.SIGNED_IMMEDIATE:
        this.immediate = size === 8 ? BigInt.asIntN(64, this.unsigned64()) : BigInt(this.signed(size));
        return immediateOperand(width);
      case Source.SECOND_IMMEDIATE:
        this.immediate2 = this.unsigned(size);
        return immediateOperand(width);
      default:
        this.immediate = BigInt(this.unsigned(size));
        return immediateOperand(width);
    }
  }

  /** Resolves a width of the table to bits for the operand size at hand. */
  private bits(width: number): number {
    if (width >= 0) return width;
    if (width === Width.V) return this.operandSize;
    if (width === Width.Z) return this.operandSize === 16 ? 16 : 32;
    return this.operandSize === 64 ? 64 : 32;
  }

  private unsigned(size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[this.position + i] as number);
    this.position += size;
    return value;
  }

  private signed(size: number): number {
    const value = this.unsigned(size);
    const sign = 2 ** (size * 8 - 1);
    return value >= sign ? value - 2 * sign : value;
  }

  private unsigned64(): bigint {
    const low = this.unsigned(4);
    return (BigInt(this.unsigned(4)) << 32n) | BigInt(low);
  }
}

/**
 * Encodes one instruction of an opcode row: the inverse of x86/decode.ts, for generated programs. The caller chooses
 * sizes, registers and immediates; what it chose is checked by decoding the bytes again.
 * Sources: SDM 2A §2.1 (format), §2.2.1 (REX), §2.3 (VEX).
 */
import { type EncodedRow, PrefixKind, Source, Width } from '../../x86/opcode-row.ts';

/** A 32-bit field whose value is known when the program is laid out. */
export interface Fixup {
  /** Offset of the field in the instruction. */
  readonly at: number;
  /** `rip`: to the data address `address`; `branch8`, `branch32`: to the unit's target; `absolute`: the target's address. */
  readonly kind: 'rip' | 'branch8' | 'branch32' | 'absolute';
  readonly address: number;
}

export interface Piece {
  readonly bytes: number[];
  readonly fixups: Fixup[];
}

/** How a memory operand is addressed. Registers that it uses have been loaded before. */
export type Addressing =
  | { readonly form: 'registers'; readonly base: number; readonly index: number; readonly scale: number; readonly displacement: number }
  | { readonly form: 'absolute'; readonly address: number }
  | { readonly form: 'rip'; readonly address: number }
  /** 16-bit addressing by ModRM.rm; 6 with mod 0 is a displacement alone. */
  | { readonly form: 'word'; readonly rm: number; readonly mod: number; readonly displacement: number };

export interface Fields {
  /** Index register of a VSIB operand, which takes the place of the addressing's own. */
  readonly vectorIndex?: number;
  readonly mode: 64 | 32;
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: 16 | 32 | 64;
  readonly lock: boolean;
  /** 0, F2 or F3: a repeat prefix. */
  readonly repeat: number;
  /** 0 or a segment override. */
  readonly segment: number;
  /** Undefined: the register form. */
  readonly memory: Addressing | undefined;
  readonly reg: number;
  /** Register of ModRM.rm in the register form, or the one in the opcode. */
  readonly rm: number;
  readonly vvvv: number;
  /** Immediates in order, taken modulo their width. */
  readonly immediates: readonly bigint[];
  /** Adds a REX prefix without bits: byte registers 4 to 7 are then SPL to DIL. */
  readonly plainRex: boolean;
}

const SIZE_PREFIX = 0x66;
const ADDRESS_PREFIX = 0x67;

export function widthBits(width: number, operandSize: number): number {
  if (width >= 0) return width;
  if (width === Width.V) return operandSize;
  if (width === Width.Z) return operandSize === 16 ? 16 : 32;
  return operandSize === 64 ? 64 : 32;
}

export function encodeRow(row: EncodedRow, fields: Fields): Piece {
  const { encoding } = row;
  const { memory } = fields;
  const long = fields.mode === 64;
  const bytes: number[] = [];
  const fixups: Fixup[] = [];
  const regField = encoding.digit >= 0 ? encoding.digit : fields.reg;
  const rmField = encoding.rm >= 0 ? encoding.rm : fields.rm;
  const base = memory?.form === 'registers' ? memory.base : 0;
  const index = fields.vectorIndex ?? (memory?.form === 'registers' ? memory.index : -1);
  const wide = encoding.rexW === 2 || (encoding.rexW === 3 && fields.operandSize === 64 && (row.defaultSize64 !== 64 || encoding.vex));
  const rexW = long && wide ? 8 : 0;
  const rexR = encoding.digit < 0 && fields.reg > 7 ? 4 : 0;
  const rexX = index > 7 ? 2 : 0;
  const usesRm = encoding.lowRegister || (encoding.hasModrm && memory === undefined);
  const rexB = (usesRm && rmField > 7) || base > 7 ? 1 : 0;

  if (fields.lock) bytes.push(0xf0);
  if (fields.repeat !== 0) bytes.push(fields.repeat);
  if (fields.segment !== 0) bytes.push(fields.segment);
  if (fields.addressSize !== fields.mode) bytes.push(ADDRESS_PREFIX);
  if (encoding.vex) {
    // Where W or L means nothing it may be anything.
    const sized = encoding.operands.some(({ width, registers }) => width < 0 || registers === 'register');
    const w = encoding.rexW === 2 || (encoding.rexW === 3 && (sized ? fields.operandSize === 64 : fields.plainRex)) ? 0x80 : 0;
    const l = encoding.vexL === 2 || (encoding.vexL === 3 && fields.plainRex) ? 4 : 0;
    const pp = [PrefixKind.NONE, PrefixKind.P66, PrefixKind.PF3, PrefixKind.PF2].indexOf(encoding.prefixes as 1);
    bytes.push(0xc4, (~((rexR | rexX | rexB) << 5) & 0xe0) | encoding.map, w | ((~fields.vvvv & 15) << 3) | l | pp);
  } else {
    if (encoding.prefixes === PrefixKind.P66 || fields.operandSize === 16) bytes.push(SIZE_PREFIX);
    if (encoding.prefixes === PrefixKind.PF3) bytes.push(0xf3);
    if (encoding.prefixes === PrefixKind.PF2) bytes.push(0xf2);
    const rex = rexW | rexR | rexX | rexB;
    if (long && (rex !== 0 || fields.plainRex)) bytes.push(0x40 | rex);
    if (encoding.map > 0) bytes.push(0x0f);
    if (encoding.map === 2) bytes.push(0x38);
    if (encoding.map === 3) bytes.push(0x3a);
  }
  bytes.push(encoding.lowRegister ? encoding.byte | (rmField & 7) : encoding.byte);
  if (encoding.hasModrm) {
    if (memory === undefined) bytes.push(0xc0 | ((regField & 7) << 3) | (rmField & 7));
    else encodeMemory(memory, index, regField & 7, long, bytes, fixups);
  }
  let next = 0;
  for (const operand of encoding.operands) {
    const bits = operand.source === Source.OFFSET ? fields.addressSize : widthBits(operand.width, fields.operandSize);
    switch (operand.source) {
      case Source.RELATIVE:
        fixups.push({ at: bytes.length, kind: bits === 8 ? 'branch8' : 'branch32', address: 0 });
        append(bytes, 0n, bits);
        break;
      case Source.FAR_POINTER:
        fixups.push({ at: bytes.length, kind: 'absolute', address: 0 });
        append(bytes, 0n, bits);
        append(bytes, fields.immediates[next++] ?? 0n, 16);
        break;
      case Source.IMMEDIATE_REGISTER:
        bytes.push((fields.vvvv ^ 5) << 4);
        break;
      case Source.OFFSET:
        append(bytes, BigInt(memory?.form === 'absolute' ? memory.address : 0), bits);
        break;
      case Source.IMMEDIATE:
      case Source.SIGNED_IMMEDIATE:
      case Source.SECOND_IMMEDIATE:
        append(bytes, fields.immediates[next++] ?? 0n, bits);
        break;
      default:
        break;
    }
  }
  return { bytes, fixups };
}

function encodeMemory(memory: Addressing, index: number, reg: number, long: boolean, bytes: number[], fixups: Fixup[]): void {
  const modrm = (mod: number, rm: number): number => bytes.push((mod << 6) | (reg << 3) | rm);
  switch (memory.form) {
    case 'rip':
      modrm(0, 5);
      fixups.push({ at: bytes.length, kind: 'rip', address: memory.address });
      append(bytes, 0n, 32);
      return;
    case 'absolute':
      if (long) {
        modrm(0, 4);
        bytes.push(0x25);
      } else modrm(0, 5);
      append(bytes, BigInt(memory.address), 32);
      return;
    case 'word':
      modrm(memory.mod, memory.rm);
      if (memory.mod === 1) append(bytes, BigInt(memory.displacement), 8);
      if (memory.mod === 2 || (memory.mod === 0 && memory.rm === 6)) append(bytes, BigInt(memory.displacement), 16);
      return;
    case 'registers': {
      const { base, scale, displacement } = memory;
      const needsDisplacement = displacement !== 0 || (base & 7) === 5;
      const short = displacement >= -128 && displacement < 128;
      const mod = needsDisplacement ? (short ? 1 : 2) : 0;
      if (index >= 0 || (base & 7) === 4) {
        modrm(mod, 4);
        bytes.push((scale << 6) | ((index >= 0 ? index & 7 : 4) << 3) | (base & 7));
      } else modrm(mod, base & 7);
      if (mod !== 0) append(bytes, BigInt(displacement), short ? 8 : 32);
    }
  }
}

export function append(bytes: number[], value: bigint, bits: number): void {
  if (bits <= 32) {
    const word = Number(BigInt.asUintN(bits, value));
    for (let shift = 0; shift < bits; shift += 8) bytes.push((word >>> shift) & 0xff);
    return;
  }
  for (let shift = 0; shift < bits; shift += 8) bytes.push(Number((value >> BigInt(shift)) & 0xffn));
}

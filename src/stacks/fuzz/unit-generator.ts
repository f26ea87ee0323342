/**
 * Draws one unit for an opcode row: sizes, form, registers, an address inside the data window (or, in a program's last
 * place, sometimes none) and the way to write it, with the preparations that the row's mnemonic needs.
 */
import { STATUS_FLAGS } from '../../x86/eflags.ts';
import type { Decoder } from '../../x86/decode.ts';
import type { Instruction } from '../../x86/instruction.ts';
import { type EncodedRow, PrefixKind, Source } from '../../x86/opcode-row.ts';
import { type Choices, oneIn, pick } from './choices.ts';
import { type Addressing, append, encodeRow, type Fields, widthBits } from './encode-row.ts';
import { flagEffects } from './flag-effects.ts';
import { type Preparation, prepare } from './preparations.ts';
import { DATA_WINDOW, STACK_TOP, type Unit } from './program.ts';
import { UnitBuilder } from './unit-builder.ts';
import { integer } from './values.ts';
import { withX87 } from './x87-effects.ts';

const RSP = 4;
const ATTEMPTS = 40;
const LOW_DATA = 0x8000;
/** Where a gather's indices are put. */
const INDICES = 0x22800;
/** Places where an access faults, or comes close to it. */
const EDGES: readonly number[] = [0x23ff0, 0x31ff0, 0x7ff0, 0x11ff0, 0, 0x12000, 0x40000, 0x1fffc];
const NON_CANONICAL: readonly bigint[] = [0x8000_0000_0000n, 0x7fff_ffff_ffff_fff8n, 0xffff_7fff_ffff_fff0n];
const MAY_BE_MISALIGNED = /^(MOVU|MOVDQU|LDDQU|PCMP.STR|V(?!MOVA|MOVDQA|MOVNT))/;
/** Register 16-byte operands of CMPXCHG16B and FXSAVE images need their alignment too. */
const SIXTEEN_BYTES = 128;

export interface UnitContext {
  readonly mode: 64 | 32;
  readonly choices: Choices;
  readonly decoder: Decoder;
}

/** A unit for `row`, or undefined when no attempt gives one (in this mode). */
export function drawUnit(context: UnitContext, row: EncodedRow, wild: boolean): Unit | undefined {
  if (row.modes !== 'all' && (row.modes === '64') !== (context.mode === 64)) return undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const unit = attemptUnit(context, row, wild);
    if (unit !== undefined) return unit;
  }
  return undefined;
}

function attemptUnit({ mode, choices, decoder }: UnitContext, row: EncodedRow, mayFault: boolean): Unit | undefined {
  const { encoding } = row;
  const unit = new UnitBuilder(mode, choices);
  // Bit offsets reach far beyond the operand's address, also into what the host has mapped.
  const wild = mayFault && !/^BT[CRS]?$/.test(row.mnemonic);
  const memoryForm = drawForm(row, choices);
  const sizes = operandSizes(row, mode);
  let operandSize = pick(choices, sizes);
  const first = encoding.operands[0];
  const shape = () => ({
    mnemonic: row.mnemonic,
    opcode: row.opcode,
    operandSize,
    width: first === undefined ? 0 : widthBits(memoryForm ? first.memoryWidth : first.width, operandSize),
    memoryForm,
    wild,
  });
  const preparation = prepare(unit, shape());
  const { operandSizes: narrowed } = preparation;
  if (narrowed !== undefined && !narrowed.includes(operandSize)) {
    const possible = narrowed.filter((size) => sizes.includes(size));
    if (possible.length === 0) return undefined;
    // What was prepared may depend on the size: another attempt will draw a right one.
    if (unit.pieces.length > 0) return undefined;
    operandSize = pick(choices, possible);
  }
  const hasMemory = memoryForm && preparation.registerForm !== true && encoding.hasModrm;
  const offset = encoding.operands.some(({ source }) => source === Source.OFFSET);
  if (preparation.registerForm === true && (encoding.forms & 2) === 0) return undefined;
  const width = memoryWidth(row, operandSize);
  let memory: Addressing | undefined;
  let addressSize: 16 | 32 | 64 = mode;
  if (hasMemory || offset) {
    if (oneIn(choices, 12) && encoding.addressSizes === 112 && preparation.address === undefined) addressSize = mode === 64 ? 32 : 16;
    const address = preparation.address ?? drawAddress(choices, row, width, addressSize, wild);
    storeContents(unit, address, preparation);
    memory = offset ? { form: 'absolute', address } : drawAddressing(unit, address, addressSize, wild && preparation.address === undefined);
  } else if (encoding.addressSizes !== 112) addressSize = encoding.addressSizes as 16 | 32 | 64;
  else if (encoding.impliedMemory !== '' && oneIn(choices, 8) && mode === 64) addressSize = 32;

  const count = mode === 64 ? 16 : 8;
  const gather = row.vectorIndex ? gatherRegisters(unit, memory) : undefined;
  if (row.vectorIndex && gather === undefined) return undefined;
  const registerCount = (registers: string): number => (registers === 'register' || registers === 'xmm' || registers === 'ymm' ? count : 8);
  const regClass = encoding.operands.find(({ source }) => source === Source.MODRM_REG)?.registers ?? 'register';
  const rmClass =
    encoding.operands.find(({ source }) => source === Source.MODRM_RM || source === Source.OPCODE_LOW)?.registers ?? 'register';
  const scaled = gather && memory?.form === 'registers' ? { ...memory, scale: choices.below(4) } : memory;
  const fields: Fields = {
    mode,
    operandSize,
    addressSize,
    lock: row.lockable && memory !== undefined && oneIn(choices, 6),
    repeat: preparation.repeat ?? 0,
    segment: oneIn(choices, 24) && memory !== undefined ? pick(choices, [0x3e, 0x36, 0x26]) : 0,
    memory: scaled,
    ...(gather && { vectorIndex: gather.index }),
    reg: gather?.destination ?? preparation.reg ?? drawSegment(row, choices) ?? choices.below(registerCount(regClass)),
    rm: preparation.rm ?? choices.below(registerCount(rmClass)),
    vvvv: gather?.mask ?? (encoding.operands.some(({ source }) => source === Source.VEX_VVVV) ? choices.below(count) : 0),
    immediates: preparation.immediates ?? [integer(choices), integer(choices)],
    plainRex: oneIn(choices, 8),
  };
  const piece = encodeRow(row, fields);
  const decoded = decodePiece(decoder, piece.bytes, mode);
  if (decoded === undefined || decoded.row !== row) return undefined;
  if (writesStackPointer(decoded) && !(row.mnemonic === 'POP' && wild)) {
    if (oneIn(choices, 2)) return undefined;
    unit.instruction(piece);
    restoreStack(unit, choices);
  } else {
    unit.instruction(piece);
    if (preparation.restoreStack === true) restoreStack(unit, choices);
  }
  preparation.after?.(unit);
  const effects = withX87(flagEffects(decoded), row.mnemonic);
  return {
    rowId: row.id,
    pieces: unit.pieces,
    main: unit.main,
    effects:
      preparation.defines === undefined ? effects : { ...effects, reads: effects.reads, defines: effects.defines | preparation.defines },
    ahead: preparation.ahead ?? 0,
  };
}

function decodePiece(decoder: Decoder, bytes: readonly number[], mode: 64 | 32): Instruction | undefined {
  const padded = new Uint8Array(16).fill(0xcc);
  padded.set(bytes);
  const decoded = decoder.decode(padded, 0, padded.length, mode);
  return typeof decoded === 'string' || decoded.length !== bytes.length ? undefined : decoded;
}

function drawForm({ encoding }: EncodedRow, choices: Choices): boolean {
  if (!encoding.hasModrm || encoding.anyMod) return false;
  if (encoding.forms === 3) return oneIn(choices, 2);
  return (encoding.forms & 1) !== 0;
}

/** Sizes that mean something for a row; branches keep the mode's, since processors differ in what 66 does to them. */
function operandSizes({ encoding, defaultSize64 }: EncodedRow, mode: 64 | 32): readonly (16 | 32 | 64)[] {
  const branch = encoding.force64;
  if (branch) return [mode];
  const dependent = encoding.operandSizes !== 112 || encoding.operands.some(({ width, memoryWidth }) => width < 0 || memoryWidth < 0);
  const rexW = mode === 64 && encoding.rexW === 2;
  if (rexW) return [64];
  if (!dependent && encoding.prefixes !== PrefixKind.ANY) return [32];
  if (!dependent) return mode === 64 && defaultSize64 === 64 ? [64] : [32];
  const all: (16 | 32 | 64)[] = [];
  const sizedByW = encoding.vex || encoding.sizeByRexW;
  if (!sizedByW && encoding.prefixes !== PrefixKind.P66) all.push(16);
  if (mode === 32 || defaultSize64 === 32) all.push(32);
  if (mode === 64 && !encoding.max32 && encoding.rexW !== 1) all.push(64);
  const allowed = all.filter((size) => (encoding.operandSizes & size) !== 0);
  return allowed.length === 0 ? [32] : allowed;
}

function memoryWidth({ encoding }: EncodedRow, operandSize: number): number {
  const operand = encoding.operands.find(
    ({ source, memoryWidth: bits }) => (source === Source.MODRM_RM || source === Source.OFFSET) && bits !== 0,
  );
  return operand === undefined ? 64 : widthBits(operand.memoryWidth, operandSize);
}

function drawAddress(choices: Choices, row: EncodedRow, width: number, addressSize: number, wild: boolean): number {
  const bytes = Math.max(width >> 3, 1);
  const low = addressSize === 16;
  const base = low ? LOW_DATA : DATA_WINDOW.start;
  const aligned = width >= SIXTEEN_BYTES && !MAY_BE_MISALIGNED.test(row.mnemonic) && !(wild && oneIn(choices, 4));
  let address: number;
  if (wild && oneIn(choices, 3) && !low) address = pick(choices, EDGES) + choices.below(32);
  else if (oneIn(choices, 6) && !low) address = 0x21000 - choices.below(bytes + 1);
  else address = base + choices.below(DATA_WINDOW.length - 64);
  return aligned ? address & -bytes : address;
}

function storeContents(unit: UnitBuilder, address: number, { contents = [] }: Preparation): void {
  contents.forEach((value, n) => {
    if (value === 'target') unit.storeTarget(address + 4 * n);
    else unit.store(address + 4 * n, value);
  });
}

/** Loads what the address is made of. */
function drawAddressing(unit: UnitBuilder, address: number, addressSize: 16 | 32 | 64, wild: boolean): Addressing {
  const { choices, mode } = unit;
  if (addressSize === 16) return wordAddressing(unit, address);
  const way = choices.below(8);
  if (way === 0) return { form: 'absolute', address };
  if (way === 1 && mode === 64 && addressSize === 64) return { form: 'rip', address };
  const base = unit.freeRegister();
  unit.loaded.add(base);
  const displacement = pick(choices, [0, choices.below(256) - 128, choices.below(256) - 128, choices.below(0x20000) - 0x10000]);
  if (wild && mode === 64 && addressSize === 64 && oneIn(choices, 8)) {
    unit.loadWide(base, pick(choices, NON_CANONICAL));
    return { form: 'registers', base, index: -1, scale: 0, displacement: 0 };
  }
  if (way < 5) {
    unit.load(base, address - displacement);
    return { form: 'registers', base, index: -1, scale: 0, displacement };
  }
  const index = unit.freeRegister();
  const scale = choices.below(4);
  const steps = choices.below(64) - 32;
  unit.loadSigned(index, steps);
  unit.load(base, address - displacement - steps * 2 ** scale);
  return { form: 'registers', base, index, scale, displacement };
}

/** SDM 2A Table 2-1: [BX+SI], [DI], [BP+disp], [BX+disp] and a displacement alone. */
function wordAddressing(unit: UnitBuilder, address: number): Addressing {
  const { choices } = unit;
  const displacement = choices.below(200) - 100;
  const free = (register: number): boolean => !unit.loaded.has(register);
  switch (choices.below(5)) {
    case 1:
      if (!free(3) || !free(6)) break;
      unit.load(3, (choices.u32() << 16) | (address - 300));
      unit.load(6, 300);
      return { form: 'word', rm: 0, mod: 0, displacement: 0 };
    case 2:
      if (!free(7)) break;
      unit.load(7, address);
      return { form: 'word', rm: 5, mod: 0, displacement: 0 };
    case 3:
      if (!free(5)) break;
      unit.load(5, address - displacement);
      return { form: 'word', rm: 6, mod: 1, displacement };
    case 4:
      if (!free(3)) break;
      unit.load(3, address - displacement * 4);
      return { form: 'word', rm: 7, mod: 2, displacement: displacement * 4 };
    default:
      break;
  }
  return { form: 'word', rm: 6, mod: 0, displacement: address };
}

/**
 * Registers of a gather, all different, with small indices in the index register: loaded from memory that holds eight
 * doublewords or four quadwords. Undefined when the address is no base register and displacement.
 */
function gatherRegisters(
  unit: UnitBuilder,
  memory: Addressing | undefined,
): { destination: number; mask: number; index: number } | undefined {
  if (memory?.form !== 'registers' || memory.index >= 0) return undefined;
  const { choices } = unit;
  const first = choices.below(8);
  // Pairs of doublewords that are right as indices of 32 and of 64 bits.
  for (let n = 0; n < 4; n++) {
    const value = choices.below(16) - 4;
    unit.store(INDICES + n * 8, value);
    unit.store(INDICES + n * 8 + 4, value < 0 ? -1 : 0);
  }
  const index = (first + 1) % 8;
  // VMOVDQU ymm, m256.
  const load = unit.mode === 64 ? [0xc5, 0xfe, 0x6f, (index << 3) | 4, 0x25] : [0xc5, 0xfe, 0x6f, (index << 3) | 5];
  append(load, BigInt(INDICES), 32);
  unit.raw(...load);
  return { destination: first, mask: (first + 2) % 8, index };
}

/** Segment registers that may be loaded or stored, control registers that exist. */
function drawSegment({ encoding, operands }: EncodedRow, choices: Choices): number | undefined {
  if (operands.includes('CRn')) return pick(choices, [0, 2, 3, 4, 8]);
  if (!encoding.operands.some(({ source, registers }) => source === Source.MODRM_REG && registers === 'segment')) return undefined;
  return operands[0] === 'Sreg' ? pick(choices, [0, 2, 3, 4, 5]) : choices.below(6);
}

function writesStackPointer({ operands, row }: Instruction): boolean {
  return operands.some(
    (operand, n) => operand.kind === 'register' && operand.index === RSP && !operand.high && (row.access[n] ?? '').includes('w'),
  );
}

function restoreStack(unit: UnitBuilder, choices: Choices): void {
  unit.load(RSP, STACK_TOP - choices.below(16) * 8);
}

/** An instruction that defines every status flag: CMP of two registers. */
export function flagSettingUnit({ mode, choices, decoder }: UnitContext, rowId: number): Unit {
  const unit = new UnitBuilder(mode, choices);
  const bytes = [0x39, 0xc0 | (choices.below(8) << 3) | choices.below(8)];
  unit.instruction({ bytes, fixups: [] });
  const decoded = decodePiece(decoder, bytes, mode);
  if (decoded === undefined) throw new Error('CMP does not decode');
  return { rowId, pieces: unit.pieces, main: 0, effects: { reads: 0, defines: STATUS_FLAGS, undefines: 0 }, ahead: 0 };
}

/** FXAM defines all condition codes. */
export function conditionSettingUnit({ mode, choices }: UnitContext, rowId: number, defines: number): Unit {
  const unit = new UnitBuilder(mode, choices);
  unit.instruction({ bytes: [0xd9, 0xe5], fixups: [] });
  return { rowId, pieces: unit.pieces, main: 0, effects: { reads: 0, defines, undefines: 0 }, ahead: 0 };
}

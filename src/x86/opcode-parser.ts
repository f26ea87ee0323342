/**
 * Parser of opcode rows: turns the text of opcodes/*.ts into rows with their encoding.
 *
 * A line is `opcode | mnemonic operands | access | attributes`; the last two columns may be left out.
 * - opcode: prefixes (NP = no 66/F2/F3, NFx = no F2/F3, 66, F2, F3, REX.W, W0 = no REX.W, REX.B0 = no REX.B,
 *   o16/o32/o64 = only this operand size, a16/a32/a64 = only this address size), VEX.L.pp.map.W, opcode bytes, then
 *   `/r`, `/digit`, `+r`, a fixed ModRM byte, or `C0+i` (register form with a register in the low bits);
 *   L is LZ or 128, 256, or LIG (ignored), W is W0, W1, or WIG (ignored; the default);
 *   ib, iw, iz, iv, cb, cz, cp repeat what the operands say.
 * - access: one of r, w, rw, - (address or nothing) an operand.
 * - attributes: lock, rep, 64, legacy, protected (not recognised in real-address and virtual-8086 mode), reg or mem
 *   (form of ModRM), anymod (mod ignored), d64 (operand size 64 by default in 64-bit mode), f64 (always), max32
 *   (never more than 32), mem=si|es:di|di|bx|ax (implied address), u=letters (undefined flags), cost=, feature=.
 * A line `@ attributes access=r,w` gives defaults for the lines below it, up to the next one.
 * Sources: SDM 2A §3.1.1 (notation), SDM 2D §A.2 (operand codes).
 */
import { STATUS_FLAG_LETTERS } from './eflags.ts';
import type { OperandAccess } from './instruction.ts';
import {
  type EncodedRow,
  type OperandEncoding,
  PrefixKind,
  type RegisterClass,
  type RowEncoding,
  Source,
  type SourceCode,
  Width,
} from './opcode-row.ts';

const ALL_SIZES = 16 | 32 | 64;
const PREFIX_TOKENS: ReadonlyMap<string, number> = new Map<string, number>([
  ['NP', PrefixKind.NONE],
  ['NFx', PrefixKind.NONE | PrefixKind.P66],
  ['66', PrefixKind.P66],
  ['F3', PrefixKind.PF3],
  ['F2', PrefixKind.PF2],
]);
const REGISTER_CLASSES: Readonly<Record<string, RegisterClass>> = { r: 'register', xmm: 'xmm', ymm: 'ymm', mm: 'mmx' };
const VECTOR_WIDTHS: Readonly<Partial<Record<RegisterClass, number>>> = { xmm: 128, ymm: 256, mmx: 64 };
const VEX_LENGTHS: Readonly<Record<string, number>> = { LZ: 1, '128': 1, '256': 2, LIG: 3 };
const VEX_W: Readonly<Record<string, number>> = { W0: 1, W1: 2, WIG: 3 };
const VEX_MAPS: Readonly<Record<string, number>> = { '0F': 1, '0F38': 2, '0F3A': 3 };
const FIXED_REGISTERS: Readonly<Record<string, readonly [RegisterClass, number, number]>> = {
  AL: ['register', 8, 0],
  CL: ['register', 8, 1],
  AX: ['register', 16, 0],
  DX: ['register', 16, 2],
  eAX: ['register', Width.V, 0],
  ES: ['segment', 16, 0],
  CS: ['segment', 16, 1],
  SS: ['segment', 16, 2],
  DS: ['segment', 16, 3],
  FS: ['segment', 16, 4],
  GS: ['segment', 16, 5],
  'ST(0)': ['x87', 80, 0],
};
const IMPLIED_ADDRESSES = ['si', 'es:di', 'di', 'bx', 'ax'] as const;

/** What the opcode column says, collected while its tokens are read. */
interface OpcodeColumn {
  map: number;
  byte: number;
  vex: boolean;
  vexL: number;
  prefixes: number;
  hasModrm: boolean;
  forms: number;
  digit: number;
  rm: number;
  rexW: number;
  noRexB: boolean;
  operandSizes: number;
  addressSizes: number;
  lowRegister: boolean;
}

function parseOpcodeColumn(text: string): OpcodeColumn {
  const column: OpcodeColumn = {
    map: 0,
    byte: 0,
    vex: false,
    vexL: 0,
    prefixes: PrefixKind.ANY,
    hasModrm: false,
    forms: 3,
    digit: -1,
    rm: -1,
    rexW: 3,
    noRexB: false,
    operandSizes: ALL_SIZES,
    addressSizes: ALL_SIZES,
    lowRegister: false,
  };
  const tokens = text.split(' ');
  let at = 0;
  while (parsePrefixToken(column, tokens[at] as string)) at++;
  const first = tokens[at] as string;
  if (first.startsWith('VEX.')) {
    const [, length, prefix, map, w] = first.split('.') as [string, string, string, string, string | undefined];
    column.vex = true;
    column.vexL = VEX_LENGTHS[length] as number;
    column.rexW = VEX_W[w ?? 'WIG'] as number;
    column.prefixes = PREFIX_TOKENS.get(prefix) as number;
    column.map = VEX_MAPS[map] as number;
    at++;
  } else if (first === '0F') {
    at++;
    column.map = 1;
    const second = tokens[at];
    if ((second === '38' || second === '3A') && tokens.length > at + 1) {
      column.map = second === '38' ? 2 : 3;
      at++;
    }
  }
  const opcode = tokens[at++] as string;
  column.byte = Number.parseInt(opcode, 16);
  column.lowRegister = opcode.length > 2;
  const form = tokens[at];
  if (form === undefined) return column;
  if (form[0] === '/') {
    column.hasModrm = true;
    if (form !== '/r') column.digit = Number(form[1]);
  } else if (form < 'G') {
    // Upper-case hexadecimal; the codes of immediates are lower-case.
    const modrm = Number.parseInt(form, 16);
    column.hasModrm = true;
    column.forms = 2;
    column.digit = (modrm >> 3) & 7;
    if (form.length === 2) column.rm = modrm & 7;
  }
  return column;
}

/** Takes a token that stands before the opcode; false for the first that does not. */
function parsePrefixToken(column: OpcodeColumn, token: string): boolean {
  const prefixes = PREFIX_TOKENS.get(token);
  if (prefixes !== undefined) column.prefixes = prefixes;
  else if (token === 'REX.W') column.rexW = 2;
  else if (token === 'W0') column.rexW = 1;
  else if (token === 'REX.B0') column.noRexB = true;
  else if (token[0] === 'o') column.operandSizes = Number(token.slice(1));
  else if (token[0] === 'a') column.addressSizes = Number(token.slice(1));
  else return false;
  return true;
}

function parseWidth(text: string, all: number): number {
  if (text === '') return all;
  if (text === 'v') return Width.V;
  if (text === 'z') return Width.Z;
  if (text === 'y') return Width.Y;
  return Number(text);
}

const REGISTER_NOTATION = /^(r|xmm|ymm|mm)(\d+|[vzy])?(?:\/m(\d+|[vzy]))?$/;
const VECTOR_MEMORY_NOTATION = /^vm(?:32|64)([xy])\/m(\d+)$/;
const MEMORY_ALTERNATIVE = /\/m|^v?m\d/;

/**
 * VEX: the fields of the register operands that have no memory alternative, in their order (SDM 2A §3.1.1.1 and the
 * operand encoding tables). A destination in ModRM.rm is followed by vvvv, then reg.
 */
function vexFields(operands: readonly string[], { digit }: OpcodeColumn): SourceCode[] {
  const registers = operands.filter((operand) => /^(?:r|xmm|ymm)(?:\d+|[vzy])?$/.test(operand)).length;
  const rm = operands.findIndex((operand) => MEMORY_ALTERNATIVE.test(operand));
  if (digit >= 0) return [Source.VEX_VVVV, Source.MODRM_RM];
  if (rm === 0) return registers === 1 ? [Source.MODRM_REG] : [Source.VEX_VVVV, Source.MODRM_REG];
  return rm < 0 && registers === 2 ? [Source.MODRM_REG, Source.MODRM_RM] : [Source.MODRM_REG, Source.VEX_VVVV, Source.MODRM_RM];
}

/** Reads the operand column; `column` tells which fields of the encoding are there to take registers from. */
function parseOperands(operands: readonly string[], column: OpcodeColumn): OperandEncoding[] {
  const result: OperandEncoding[] = [];
  const special = operands.some((operand) => operand === 'Sreg' || operand === 'CRn' || operand === 'DRn');
  const fields: SourceCode[] = column.vex
    ? vexFields(operands, column)
    : column.digit >= 0 || special
      ? [Source.MODRM_RM]
      : [Source.MODRM_REG, Source.MODRM_RM];
  let vectorIndex: RegisterClass | undefined;
  const add = (source: SourceCode, registers: RegisterClass, width: number, memoryWidth = width, index = 0): void => {
    result.push({ source, registers, width, memoryWidth, index });
  };
  for (const operand of operands) {
    const fixed = FIXED_REGISTERS[operand];
    if (fixed !== undefined) {
      add(Source.FIXED, fixed[0], fixed[1], fixed[1], fixed[2]);
    } else if (operand === '1') {
      add(Source.ONE, 'register', 8);
    } else if (operand === 'Sreg') {
      add(Source.MODRM_REG, 'segment', 16);
    } else if (operand === 'CRn') {
      add(Source.MODRM_REG, 'control', Width.Y);
    } else if (operand === 'DRn') {
      add(Source.MODRM_REG, 'debug', Width.Y);
    } else if (operand === 'ST(i)') {
      add(Source.MODRM_RM, 'x87', 80);
    } else if (operand.startsWith('imm')) {
      const signed = operand === 'imm8s' || operand === 'immz' || operand === 'immv';
      const width = operand === 'imm8s' ? 8 : parseWidth(operand.slice(3), 0);
      const second = result.some((other) => other.source === Source.IMMEDIATE);
      add(signed ? Source.SIGNED_IMMEDIATE : second ? Source.SECOND_IMMEDIATE : Source.IMMEDIATE, 'register', width);
    } else if (operand.startsWith('rel')) {
      add(Source.RELATIVE, 'register', parseWidth(operand.slice(3), 0));
    } else if (operand === 'ptr16:z') {
      add(Source.FAR_POINTER, 'register', Width.Z);
    } else if (operand.startsWith('moffs')) {
      add(Source.OFFSET, 'register', parseWidth(operand.slice(5), 0));
    } else if (operand === 'm16:v') {
      add(Source.MODRM_RM, 'register', 0, Width.V);
    } else if (operand.endsWith('/is4')) {
      const registers = operand.startsWith('ymm') ? 'ymm' : 'xmm';
      add(Source.IMMEDIATE_REGISTER, registers, registers === 'ymm' ? 256 : 128);
    } else if (VECTOR_MEMORY_NOTATION.test(operand)) {
      const [, index, width] = VECTOR_MEMORY_NOTATION.exec(operand) as unknown as [string, string, string];
      vectorIndex = index === 'y' ? 'ymm' : 'xmm';
      add(Source.MODRM_RM, 'register', 0, Number(width));
    } else if (operand[0] === 'm' && operand[1] !== 'm') {
      const width = parseWidth(operand.slice(1), 0);
      add(column.hasModrm ? Source.MODRM_RM : Source.IMPLIED_MEMORY, 'register', 0, width);
    } else {
      const match = REGISTER_NOTATION.exec(operand.replace(/^r\/m(\d+|[vzy])$/, 'r$1/m$1'));
      if (match === null) throw new Error(`opcode row operand ${operand}`);
      const [, kind, size, memorySize] = match;
      const registers = REGISTER_CLASSES[kind as string] as RegisterClass;
      const width = VECTOR_WIDTHS[registers] ?? parseWidth(size ?? '', 0);
      if (memorySize !== undefined) {
        add(Source.MODRM_RM, registers, width, parseWidth(memorySize, width));
      } else if (column.lowRegister) {
        add(Source.OPCODE_LOW, registers, width);
      } else {
        const field = fields.shift() as SourceCode;
        add(field, registers, width, field === Source.MODRM_RM ? 0 : width);
      }
    }
  }
  if (vectorIndex !== undefined) add(Source.VECTOR_INDEX, vectorIndex, vectorIndex === 'ymm' ? 256 : 128);
  return result;
}

/** Forms of ModRM that the operands leave possible: bit 0 memory, bit 1 register. */
function formsOf(operands: readonly OperandEncoding[]): number {
  let forms = 3;
  for (const operand of operands) {
    if (operand.source !== Source.MODRM_RM) continue;
    if (operand.registers === 'register' && operand.width === 0) forms &= 1;
    else if (operand.registers === 'x87' || operand.memoryWidth === 0) forms &= 2;
  }
  return forms;
}

interface Attributes {
  access: string;
  undefinedFlags: number;
  cost: string;
  feature: string | undefined;
  modes: 'all' | '64' | 'legacy';
  lock: boolean;
  repeatable: boolean;
  protectedOnly: boolean;
  forms: number;
  anyMod: boolean;
  default64: boolean;
  force64: boolean;
  max32: boolean;
  impliedMemory: RowEncoding['impliedMemory'];
}

const NO_ATTRIBUTES: Attributes = {
  access: '',
  undefinedFlags: 0,
  cost: 'other',
  feature: undefined,
  modes: 'all',
  lock: false,
  repeatable: false,
  protectedOnly: false,
  forms: 3,
  anyMod: false,
  default64: false,
  force64: false,
  max32: false,
  impliedMemory: '',
};

function parseAttributes(text: string, defaults: Attributes): Attributes {
  if (text === '') return defaults;
  const result = { ...defaults };
  for (const token of text.split(' ')) {
    const equals = token.indexOf('=');
    const value = token.slice(equals + 1);
    switch (equals < 0 ? token : token.slice(0, equals)) {
      case 'lock':
        result.lock = true;
        break;
      case 'rep':
        result.repeatable = true;
        break;
      case '64':
      case 'legacy':
        result.modes = token as '64' | 'legacy';
        break;
      case 'protected':
        result.protectedOnly = true;
        break;
      case 'reg':
        result.forms = 2;
        break;
      case 'mem':
        if (equals < 0) result.forms = 1;
        else result.impliedMemory = IMPLIED_ADDRESSES.find((name) => name === value) ?? '';
        break;
      case 'anymod':
        result.anyMod = true;
        break;
      case 'd64':
        result.default64 = true;
        break;
      case 'f64':
        result.force64 = true;
        break;
      case 'max32':
        result.max32 = true;
        break;
      case 'access':
        result.access = value.replaceAll(',', ' ');
        break;
      case 'u':
        result.undefinedFlags = 0;
        for (const letter of value) result.undefinedFlags |= STATUS_FLAG_LETTERS[letter] ?? 0;
        break;
      case 'cost':
        result.cost = value;
        break;
      case 'feature':
        result.feature = value;
        break;
      default:
        throw new Error(`opcode row attribute ${token}`);
    }
  }
  return result;
}

const ACCESS: Readonly<Record<string, OperandAccess>> = { r: 'r', w: 'w', rw: 'rw', '-': '' };

/** What an operand column means for one shape of opcode column: shared by all rows that write the same. */
interface OperandColumn {
  readonly operands: readonly string[];
  readonly encodings: readonly OperandEncoding[];
  readonly forms: number;
  readonly sizeByRexW: boolean;
}

/** Parses lines; columns that were seen before are not parsed again. */
class OpcodeParser {
  readonly rows: EncodedRow[] = [];
  private defaults = NO_ATTRIBUTES;
  private readonly attributes = new Map<string, Attributes>();
  private readonly operandColumns = new Map<string, OperandColumn>();
  private readonly accesses = new Map<string, readonly OperandAccess[]>();

  line(line: string): void {
    if (line[0] === '@') {
      this.defaults = parseAttributes(line.slice(2), NO_ATTRIBUTES);
      this.attributes.clear();
    } else if (line !== '') {
      this.row(line);
    }
  }

  private row(line: string): void {
    // Columns stand between ` | `; the first space of an empty one is that of the bar before it.
    const first = line.indexOf(' |');
    const second = line.indexOf(' |', first + 3);
    const third = second < 0 ? -1 : line.indexOf(' |', second + 2);
    const opcode = line.slice(0, first);
    const instruction = line.slice(first + 3, second < 0 ? undefined : second);
    const access = second < 0 ? '' : line.slice(second + 3, third < 0 ? undefined : third);
    const attributeText = third < 0 ? '' : line.slice(third + 3);
    const space = instruction.indexOf(' ');
    const attributes = this.attributesOf(attributeText);
    const column = parseOpcodeColumn(opcode);
    const { operands, encodings, forms, sizeByRexW } = this.operandsOf(space < 0 ? '' : instruction.slice(space + 1), column);
    this.rows.push({
      id: this.rows.length,
      opcode,
      mnemonic: space < 0 ? instruction : instruction.slice(0, space),
      operands,
      access: this.accessOf(access === '' ? attributes.access : access, operands.length),
      modes: attributes.modes,
      feature: attributes.feature,
      lockable: attributes.lock,
      repeatable: attributes.repeatable,
      protectedOnly: attributes.protectedOnly,
      undefinedFlags: attributes.undefinedFlags,
      cost: attributes.cost,
      defaultSize64: attributes.default64 || attributes.force64 ? 64 : 32,
      vex: column.vex,
      vectorIndex: encodings.at(-1)?.source === Source.VECTOR_INDEX,
      encoding: {
        map: column.map,
        byte: column.byte,
        vex: column.vex,
        vexL: column.vexL,
        prefixes: column.prefixes,
        hasModrm: column.hasModrm,
        forms: attributes.anyMod ? 3 : forms & column.forms & attributes.forms,
        anyMod: attributes.anyMod,
        digit: column.digit,
        rm: column.rm,
        rexW: column.rexW,
        noRexB: column.noRexB,
        operandSizes: column.operandSizes,
        addressSizes: column.addressSizes,
        lowRegister: column.lowRegister,
        force64: attributes.force64,
        max32: attributes.max32,
        sizeByRexW,
        operands: encodings,
        impliedMemory: attributes.impliedMemory,
      },
    });
  }

  private attributesOf(text: string): Attributes {
    let attributes = this.attributes.get(text);
    if (attributes === undefined) {
      attributes = parseAttributes(text, this.defaults);
      this.attributes.set(text, attributes);
    }
    return attributes;
  }

  private operandsOf(text: string, column: OpcodeColumn): OperandColumn {
    const shape = (column.digit >= 0 ? 1 : 0) | (column.vex ? 2 : 0) | (column.lowRegister ? 4 : 0) | (column.hasModrm ? 8 : 0);
    const key = `${shape}${text}`;
    let known = this.operandColumns.get(key);
    if (known === undefined) {
      const operands = text === '' ? [] : text.split(', ');
      const encodings = parseOperands(operands, column);
      const hasWidth = (width: number): boolean => encodings.some((operand) => operand.width === width || operand.memoryWidth === width);
      known = { operands, encodings, forms: formsOf(encodings), sizeByRexW: hasWidth(Width.Y) && !hasWidth(Width.V) };
      this.operandColumns.set(key, known);
    }
    return known;
  }

  private accessOf(text: string, count: number): readonly OperandAccess[] {
    const key = `${count}${text}`;
    let access = this.accesses.get(key);
    if (access === undefined) {
      const letters = text.split(' ');
      access = Array.from({ length: count }, (_, index) => ACCESS[letters[index] ?? 'r'] ?? 'r');
      this.accesses.set(key, access);
    }
    return access;
  }
}

/** Parses the rows of all given texts, numbered from 0 in their order. */
export function parseOpcodeRows(texts: readonly string[]): readonly EncodedRow[] {
  const parser = new OpcodeParser();
  for (const text of texts) for (const line of text.split('\n')) parser.line(line);
  return parser.rows;
}

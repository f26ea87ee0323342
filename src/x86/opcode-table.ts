/**
 * The instruction table: every row, parsed once, and the index through which the decoder finds candidates.
 * The index is built an opcode at a time, on first use, for one set of CPUID features: rows of missing features are
 * left out of it, so that an encoding falls back to an older row (LZCNT to BSR) or is undefined.
 * Sources: SDM 2A §2, SDM 2D §A (opcode maps).
 */

import type { CodeMode } from './instruction.ts';
import { parseOpcodeRows } from './opcode-parser.ts';
import { type EncodedRow, PrefixKind } from './opcode-row.ts';
import { AVX_OPCODES } from './opcodes/avx.ts';
import { AVX2_OPCODES } from './opcodes/avx2.ts';
import { FMA_OPCODES } from './opcodes/fma.ts';
import { MMX_OPCODES } from './opcodes/mmx.ts';
import { ARITHMETIC_OPCODES, CONTROL_OPCODES, MOVE_OPCODES, STRING_OPCODES } from './opcodes/one-byte.ts';
import { CONVERSION_OPCODES, FLOATING_POINT_OPCODES, XMM_INTEGER_OPCODES, XMM_MOVE_OPCODES } from './opcodes/sse.ts';
import { BMI_OPCODES, CONDITIONAL_OPCODES, INTEGER_OPCODES, STATE_OPCODES, SYSTEM_OPCODES } from './opcodes/two-byte.ts';
import { X87_OPCODES } from './opcodes/x87.ts';

/** All rows; a row's `id` is its position. */
export const OPCODE_ROWS: readonly EncodedRow[] = parseOpcodeRows([
  ARITHMETIC_OPCODES,
  MOVE_OPCODES,
  CONTROL_OPCODES,
  STRING_OPCODES,
  CONDITIONAL_OPCODES,
  INTEGER_OPCODES,
  SYSTEM_OPCODES,
  STATE_OPCODES,
  BMI_OPCODES,
  FLOATING_POINT_OPCODES,
  XMM_MOVE_OPCODES,
  CONVERSION_OPCODES,
  XMM_INTEGER_OPCODES,
  MMX_OPCODES,
  X87_OPCODES,
  AVX_OPCODES,
  AVX2_OPCODES,
  FMA_OPCODES,
]);

/** Every feature that a row asks for: the set of a processor that has all that this table knows. */
export const ALL_ROW_FEATURES: ReadonlySet<string> = new Set(
  OPCODE_ROWS.flatMap((row) => (row.feature === undefined ? [] : [row.feature])),
);

/** Number of opcodes in all maps: four legacy maps and four VEX maps of 256. */
const OPCODE_KEYS = 8 * 256;

/** Key of an opcode in the index. */
export function opcodeKey(vex: boolean, map: number, byte: number): number {
  return ((vex ? 4 : 0) + map) * 256 + byte;
}

function groupByOpcode(rows: readonly EncodedRow[]): readonly (readonly EncodedRow[])[] {
  const groups: EncodedRow[][] = Array.from({ length: OPCODE_KEYS }, () => []);
  for (const row of rows) {
    const { vex, map, byte, lowRegister } = row.encoding;
    const low = lowRegister ? 8 : 1;
    for (let i = 0; i < low; i++) groups[opcodeKey(vex, map, byte + i)]?.push(row);
  }
  return groups;
}

const ROWS_BY_OPCODE = groupByOpcode(OPCODE_ROWS);

/** Candidates of one opcode in one mode. */
export interface OpcodeCandidates {
  readonly hasModrm: boolean;
  /** Union of the rows' mandatory prefix kinds: tells some undefined opcodes before ModRM is read. */
  readonly prefixes: number;
  /** Some row accepts LOCK. */
  readonly lockable: boolean;
  /** Without ModRM: the rows, most specific first. */
  readonly rows: readonly EncodedRow[];
  /** With ModRM: the rows of `reg | (mod == 3) << 3`, most specific first. */
  readonly byModrm: readonly (readonly EncodedRow[])[];
}

const NO_CANDIDATES: OpcodeCandidates = { hasModrm: false, prefixes: 0, lockable: false, rows: [], byModrm: [] };

/** Rows that need a prefix, a fixed ModRM byte or a group digit come before rows that take all. */
function specificity(row: EncodedRow): number {
  const { prefixes, rm, digit } = row.encoding;
  return (prefixes === PrefixKind.ANY ? 0 : 4) + (rm >= 0 ? 2 : 0) + (digit >= 0 ? 1 : 0);
}

/** Rows of vectors in VEX need AVX beside their own feature (AES, FMA). */
function isOffered(row: EncodedRow, features: ReadonlySet<string>): boolean {
  const vector = row.encoding.vex && row.encoding.operands.some(({ registers }) => registers === 'xmm' || registers === 'ymm');
  return (row.feature === undefined || features.has(row.feature)) && (!vector || features.has('AVX'));
}

function existsIn(row: EncodedRow, mode: CodeMode): boolean {
  return row.modes === 'all' || (row.modes === '64') === (mode === 64);
}

/** Lookup of candidate rows by mode and opcode for one set of features. */
export class OpcodeIndex {
  private readonly features: ReadonlySet<string>;
  private readonly entries: (OpcodeCandidates | undefined)[] = new Array(3 * OPCODE_KEYS).fill(undefined);

  constructor(features: ReadonlySet<string>) {
    this.features = features;
  }

  candidates(mode: CodeMode, key: number): OpcodeCandidates {
    const at = (mode >> 5) * OPCODE_KEYS + key;
    const known = this.entries[at];
    if (known !== undefined) return known;
    const built = this.build(mode, key);
    this.entries[at] = built;
    return built;
  }

  private build(mode: CodeMode, key: number): OpcodeCandidates {
    const rows = (ROWS_BY_OPCODE[key] ?? [])
      .filter((row) => existsIn(row, mode) && isOffered(row, this.features))
      .sort((a, b) => specificity(b) - specificity(a));
    if (rows.length === 0) return NO_CANDIDATES;
    const hasModrm = rows.some((row) => row.encoding.hasModrm);
    const byModrm: EncodedRow[][] = [];
    if (hasModrm) {
      for (let at = 0; at < 16; at++) {
        const form = at < 8 ? 1 : 2;
        byModrm.push(rows.filter(({ encoding }) => (encoding.forms & form) !== 0 && (encoding.digit < 0 || encoding.digit === (at & 7))));
      }
    }
    return {
      hasModrm,
      prefixes: rows.reduce((mask, row) => mask | row.encoding.prefixes, 0),
      lockable: rows.some((row) => row.lockable),
      rows,
      byModrm,
    };
  }
}

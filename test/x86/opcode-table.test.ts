/**
 * The table against itself: its columns agree with one another, and every row can be reached.
 */

import { describe, expect, it } from 'vitest';
import { FEATURE_BITS } from '../../src/x86/cpuid-leaves.ts';
import { Decoder } from '../../src/x86/decode.ts';
import { STATUS_FLAGS } from '../../src/x86/eflags.ts';
import { parseOpcodeRows } from '../../src/x86/opcode-parser.ts';
import type { EncodedRow } from '../../src/x86/opcode-row.ts';
import { ALL_ROW_FEATURES, OPCODE_ROWS } from '../../src/x86/opcode-table.ts';
import { encodeRow, existsInMode } from './encode-row.ts';

const COSTS =
  /^(alu|mov|lea|mul|i?div(8|16|32|64)|branch|call|ret|string|xchg|divsd|mulsd|addsd|sqrtsd|sse|syscall|iret|int|cr|msr|invlpg|io|cpuid|rdtsc|hlt|other)$/;

function nameOf(row: EncodedRow): string {
  return `${row.opcode} ${row.mnemonic} ${row.operands.join(', ')}`;
}

/** Immediate codes of the opcode column that the operand column asks for. */
function immediateCodes(operands: readonly string[]): string[] {
  const codes: Readonly<Record<string, string>> = {
    imm8: 'ib',
    imm8s: 'ib',
    imm16: 'iw',
    immz: 'iz',
    immv: 'iv',
    rel8: 'cb',
    relz: 'cz',
    'ptr16:z': 'cp',
  };
  return operands.flatMap((operand) => codes[operand] ?? []);
}

describe('the instruction table', () => {
  it('numbers its rows densely from 0', () => {
    expect(OPCODE_ROWS.map(({ id }) => id)).toEqual(OPCODE_ROWS.map((_, at) => at));
    expect(OPCODE_ROWS.length).toBeGreaterThan(1000);
  });

  it('writes the codes of immediates in the opcode column as the operand column has them', () => {
    for (const row of OPCODE_ROWS) {
      const written = row.opcode.split(' ').filter((token) => /^(i[bwzv]|c[bzp])$/.test(token));
      expect(written, nameOf(row)).toEqual(immediateCodes(row.operands));
    }
  });

  it('states one access an operand, and none but reading for constants', () => {
    for (const row of OPCODE_ROWS) {
      expect(row.access.length, nameOf(row)).toBe(row.operands.length);
      row.operands.forEach((operand, at) => {
        if (/^(imm|rel|ptr|1$)/.test(operand)) expect(row.access[at], nameOf(row)).toBe('r');
      });
    }
  });

  it('accepts LOCK only on rows that write memory', () => {
    for (const row of OPCODE_ROWS.filter(({ lockable }) => lockable)) {
      const memory = row.operands.findIndex((operand) => /^m\d|\/m/.test(operand));
      expect(row.access[memory], nameOf(row)).toBe('rw');
    }
  });

  it('knows the CPUID bit of every feature, and only status flags as undefined', () => {
    for (const row of OPCODE_ROWS) {
      if (row.feature !== undefined) expect(FEATURE_BITS.has(row.feature), nameOf(row)).toBe(true);
      expect(row.undefinedFlags & ~STATUS_FLAGS, nameOf(row)).toBe(0);
      expect(row.cost, nameOf(row)).toMatch(COSTS);
    }
  });

  it('decodes the encoding of every row to that row, in every mode where it exists', () => {
    const decoder = new Decoder(ALL_ROW_FEATURES);
    for (const mode of [64, 32, 16] as const) {
      for (const row of OPCODE_ROWS) {
        // Other digits of groups with hints are NOP; digit 0 is the hint itself.
        if (!existsInMode(row, mode) || /^0F (18|0D) \/r$/.test(row.opcode)) continue;
        for (const memory of [true, false]) {
          const bytes = encodeRow(row, mode, memory);
          const result = decoder.decode(bytes, 0, bytes.length, mode);
          const found = typeof result === 'string' ? result : nameOf(result.row as EncodedRow);
          expect(found, `${mode}: ${Buffer.from(bytes).toString('hex')}`).toBe(nameOf(row));
          expect(typeof result === 'string' ? 0 : result.length).toBe(bytes.length);
        }
      }
    }
  });

  it('refuses lines that it does not understand', () => {
    expect(() => parseOpcodeRows(['00 /r | ADD r/m8, q8'])).toThrow('operand q8');
    expect(() => parseOpcodeRows(['00 /r | ADD r/m8, r8 | rw r | locked'])).toThrow('attribute locked');
  });
});

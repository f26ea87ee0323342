/** What CPUID models claim and what is executed must agree. */
import { describe, expect, it } from 'vitest';
import { cpuid } from '../../../src/cpu/cpuid/model.ts';
import { CPUID_MODELS, DEFAULT, WESTMERE, X86_64_V2, ZEN3 } from '../../../src/cpu/cpuid/models.ts';
import { instructionDefinitions } from '../../../src/cpu/instructions/index.ts';
import { systemHandler } from '../../../src/cpu/system/execute.ts';
import type { Instruction, OpcodeRow } from '../../../src/x86/instruction.ts';
import { mmxKey } from '../../../src/cpu/definition.ts';
import { OPCODE_ROWS } from '../../../src/x86/opcode-table.ts';

const STATE = { apicId: 3, processors: 4, osxsave: true, xcr0: 3n };

describe('the features of a model', () => {
  const definitions = instructionDefinitions();
  /** What dispatch looks an instruction of the row up by. */
  const keyOf = (row: OpcodeRow): string => (row.operands.some((operand) => /^mm\b/.test(operand)) ? mmxKey(row.mnemonic) : row.mnemonic);
  for (const model of [WESTMERE, X86_64_V2, DEFAULT]) {
    it(`${model.name}: every instruction of a claimed feature is executed`, () => {
      const missing = OPCODE_ROWS.filter((row) => row.feature !== undefined && model.features.has(row.feature))
        .filter((row) => !definitions.has(keyOf(row)) && systemHandler({ row, operands: [] } as unknown as Instruction) === undefined)
        .map((row) => row.mnemonic);
      expect([...new Set(missing)]).toEqual([]);
    });
  }
});

describe('CPUID', () => {
  it('answers zero above its leaves, and shows no hypervisor', () => {
    for (const model of CPUID_MODELS.values()) {
      for (const leaf of [0x4000_0000, 0x4000_0100, 0x8fff_fffe, 0x1234]) expect(cpuid(model, leaf, 0, STATE)).toEqual([0, 0, 0, 0]);
      expect(cpuid(model, 1, 0, STATE)[2] >>> 31).toBe(0);
    }
  });

  it('packs family and model as the vendors do', () => {
    expect(cpuid(WESTMERE, 1, 0, STATE)[0].toString(16)).toBe('206c2');
    expect(cpuid(ZEN3, 1, 0, STATE)[0].toString(16)).toBe('a00f11');
  });

  it('reports the APIC id, the number of processors, and OSXSAVE as CR4 has it', () => {
    const [, ebx, ecx] = cpuid(WESTMERE, 1, 0, STATE);
    expect([ebx >>> 24, (ebx >>> 16) & 0xff, (ecx >>> 27) & 1]).toEqual([3, 4, 1]);
    expect((cpuid(WESTMERE, 1, 0, { ...STATE, osxsave: false })[2] >>> 27) & 1).toBe(0);
  });

  it('spells the brand in three leaves', () => {
    const bytes = Buffer.alloc(48);
    [0x8000_0002, 0x8000_0003, 0x8000_0004].forEach((leaf, n) => {
      cpuid(WESTMERE, leaf, 0, STATE).forEach((word, i) => {
        bytes.writeUInt32LE(word >>> 0, n * 16 + i * 4);
      });
    });
    expect(bytes.toString('latin1').replace(/\0+$/, '')).toBe(WESTMERE.brand);
  });
});

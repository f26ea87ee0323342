/** PAE paging: Intel processors keep the PDPTEs from the load of CR3, AMD ones read them on each walk. */
import { describe, expect, it } from 'vitest';
import { DEFAULT, ZEN3 } from '../../../src/cpu/cpuid/models.ts';
import { walkTables } from '../../../src/cpu/mmu/walk.ts';
import { Access } from '../../../src/cpu/mmu/walk-result.ts';
import { updateMode } from '../../../src/cpu/mode.ts';
import { writeCr3 } from '../../../src/cpu/system/control-registers.ts';
import type { CpuidModel } from '../../../src/cpu/cpuid/model.ts';
import { Cr0, Cr4 } from '../../../src/x86/control-registers.ts';
import { recorded, testProcessor } from '../support/test-processor.ts';

const POINTERS = 0x1000;
const DIRECTORY = 0x2000;

function paePaging(cpuid: CpuidModel) {
  const test = testProcessor({ cpuid });
  const { processor, memory } = test;
  memory.writeU64(POINTERS, BigInt(DIRECTORY) | 1n);
  memory.writeU64(DIRECTORY, 0x87n); // 2 MiB at 0
  processor.state.set('cr0', BigInt((Cr0.PE | Cr0.PG) >>> 0));
  processor.state.set('cr4', BigInt(Cr4.PAE));
  updateMode(processor);
  return test;
}

describe('PDPTE registers', () => {
  it.each([
    [DEFAULT, true],
    [ZEN3, false],
  ] as const)('of $name hold until the next load of CR3: %s', (cpuid, held) => {
    const { processor, memory } = paePaging(cpuid);
    expect(writeCr3(processor, BigInt(POINTERS))).toBe(true);
    expect(walkTables(processor, 0x1234n, Access.READ, false, false)).toBe(true);
    memory.writeU64(POINTERS, 0n);
    expect(walkTables(processor, 0x1234n, Access.READ, false, false)).toBe(held);
    expect(writeCr3(processor, BigInt(POINTERS))).toBe(true);
    expect(walkTables(processor, 0x1234n, Access.READ, false, false)).toBe(false);
  });

  it('with reserved bits are refused by MOV CR3 on Intel and by the walk on AMD', () => {
    for (const [cpuid, loads] of [
      [DEFAULT, false],
      [ZEN3, true],
    ] as const) {
      const { processor, memory } = paePaging(cpuid);
      memory.writeU64(POINTERS, BigInt(DIRECTORY) | 3n);
      expect(writeCr3(processor, BigInt(POINTERS))).toBe(loads);
      if (!loads) expect(recorded(processor)).toBe('13(0)');
      else {
        expect(walkTables(processor, 0n, Access.READ, false, false)).toBe(false);
        expect(processor.walk.errorCode).toBe(9);
      }
    }
  });
});

describe('address line 20', () => {
  it('held low takes bit 20 out of operands and of table addresses', () => {
    const { processor, memory } = paePaging(DEFAULT);
    memory.writeU64(DIRECTORY, 0x100087n & ~0x1f_e000n);
    processor.a20Masked = true;
    writeCr3(processor, BigInt(POINTERS + 0x10_0000));
    expect(walkTables(processor, 0x10_1234n, Access.READ, false, false)).toBe(true);
    expect(processor.walk.machine).toBe(0x1234);
    processor.a20Masked = false;
    expect(walkTables(processor, 0x10_1234n, Access.READ, false, false)).toBe(true);
    expect(processor.walk.machine).toBe(0x10_1234);
  });
});

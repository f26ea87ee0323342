/** Spot checks of the tables of bits against values that are written down elsewhere (boot code, dumps, the manual's figures). */

import { describe, expect, it } from 'vitest';
import { Cr0, Cr4, Efer } from '../../src/x86/control-registers.ts';
import { FEATURE_BITS, featureMask } from '../../src/x86/cpuid-leaves.ts';
import { Flag, IMPLEMENTED_FLAGS, STATUS_FLAGS } from '../../src/x86/eflags.ts';
import { Msr, msrName } from '../../src/x86/msr-index.ts';
import { isCanonical, levelShift, Pte, PTE_ADDRESS_MASK, tableIndex } from '../../src/x86/page-table-entry.ts';
import { generalRegisterName } from '../../src/x86/registers.ts';

describe('bits of registers', () => {
  it('make up the values that a 64-bit kernel runs with', () => {
    expect(Cr0.PG + Cr0.AM + Cr0.WP + Cr0.NE + Cr0.ET + Cr0.MP + Cr0.PE).toBe(0x8005_0033);
    expect(Cr4.PAE | Cr4.PGE | Cr4.OSFXSR | Cr4.OSXMMEXCPT).toBe(0x6a0);
    expect(Cr4.SMEP | Cr4.SMAP).toBe(0x30_0000);
    expect(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE).toBe(0xd01);
  });

  it('of RFLAGS are the 18 that exist', () => {
    expect(STATUS_FLAGS).toBe(0x8d5);
    expect(IMPLEMENTED_FLAGS).toBe(0x3f_7fd7);
    expect(Flag.RESERVED_ONE).toBe(2);
  });
});

describe('paging facts', () => {
  it('split a linear address into its indices', () => {
    const linear = 0xffff_8300_0040_5123n;
    expect([4, 3, 2, 1].map((level) => tableIndex(linear, level))).toEqual([262, 0, 2, 5]);
    expect(levelShift(2)).toBe(21);
  });

  it('cover all bits of an entry that maps a page', () => {
    expect(Pte.P | Pte.RW | Pte.US | Pte.PWT | Pte.PCD | Pte.A | Pte.D | Pte.PAT | Pte.G | Pte.AVAILABLE).toBe(0xfffn);
    expect(PTE_ADDRESS_MASK & Pte.XD).toBe(0n);
  });

  it('tell canonical addresses', () => {
    expect([0n, 0x7fff_ffff_ffffn, 0xffff_8000_0000_0000n, -1n].map(isCanonical)).toEqual([true, true, true, true]);
    expect([0x8000_0000_0000n, 0xffff_7fff_ffff_ffffn, 1n << 63n].map(isCanonical)).toEqual([false, false, false]);
  });
});

describe('CPUID features', () => {
  it('have a place of their own each', () => {
    const places = [...FEATURE_BITS.values()].map((place) => JSON.stringify(place));
    expect(new Set(places).size).toBe(places.length);
  });

  it('become the register values of their leaf', () => {
    const features = new Set(['FPU', 'TSC', 'MSR', 'CMOV', 'SSE2', 'SSE3', 'LM', 'ERMS']);
    expect(featureMask(features, 1, 0, 'edx')).toBe(0x0400_8031);
    expect(featureMask(features, 1, 0, 'ecx')).toBe(1);
    expect(featureMask(features, 0x8000_0001, 0, 'edx')).toBe(0x2000_0000);
    expect(featureMask(features, 7, 0, 'ebx')).toBe(0x200);
    expect(featureMask(new Set(['HYPERVISOR']), 1, 0, 'ecx')).toBe(0x8000_0000);
  });
});

describe('names', () => {
  it('of registers follow their width', () => {
    expect([64, 32, 16, 8].map((width) => generalRegisterName(5, width))).toEqual(['rbp', 'ebp', 'bp', 'bpl']);
    expect(generalRegisterName(1, 8, true)).toBe('ch');
    expect(generalRegisterName(9, 8)).toBe('r9b');
  });

  it('of MSRs are known both ways', () => {
    expect(msrName(Msr.IA32_LSTAR)).toBe('IA32_LSTAR');
    expect(msrName(0x1234)).toBe('MSR 0x1234');
  });
});

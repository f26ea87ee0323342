/** Page walks: rights and error codes as a table, accessed and dirty bits, page sizes, modes, second stages. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { walkTables } from '../../../src/cpu/mmu/walk.ts';
import { Access } from '../../../src/cpu/mmu/walk-result.ts';
import { setSecondStages } from '../../../src/cpu/mmu/second-stage.ts';
import { updateMode } from '../../../src/cpu/mode.ts';
import type { Processor } from '../../../src/cpu/processor.ts';
import { WESTMERE } from '../../../src/cpu/cpuid/models.ts';
import type { PhysicalMemory } from '../../../src/memory/physical-memory.ts';
import { Cr0, Cr4, Efer } from '../../../src/x86/control-registers.ts';
import { Pte } from '../../../src/x86/page-table-entry.ts';
import { enterLongMode, leafAddress, PML4, RAM_BYTES, setEntry, testProcessor } from '../support/test-processor.ts';

type Kind = 'read' | 'write' | 'fetch';
const ACCESS = { read: Access.READ, write: Access.WRITE, fetch: Access.FETCH };

/** Machine address, or `#PF(code)`. */
function walk(processor: Processor, linear: number | bigint, kind: Kind, user: boolean, implicit = false): string {
  const done = walkTables(processor, BigInt(linear), ACCESS[kind], user, implicit);
  return done ? processor.walk.machine.toString(16) : `#PF(${processor.walk.errorCode.toString(16)})`;
}

const PAGE = 0x123000;

describe('rights of a 4-KiB page in 4-level paging', () => {
  const P = Pte.P;
  const rows: [string, bigint, Kind, 'user' | 'supervisor', number, string][] = [
    // leaf flags, access, privilege, CR4 and CR0.WP as below, result
    ['absent', 0n, 'read', 'user', 0, '#PF(4)'],
    ['absent', 0n, 'write', 'supervisor', 0, '#PF(2)'],
    ['absent', 0n, 'fetch', 'user', 0, '#PF(14)'],
    ['supervisor page', P | Pte.RW, 'read', 'user', 0, '#PF(5)'],
    ['supervisor page', P | Pte.RW, 'write', 'supervisor', 0, '123045'],
    ['read-only page', P | Pte.US, 'read', 'user', 0, '123045'],
    ['read-only page', P | Pte.US, 'write', 'user', 0, '#PF(7)'],
    ['read-only page under WP', P | Pte.US, 'write', 'supervisor', 0, '#PF(3)'],
    ['no-execute page', P | Pte.US | Pte.XD, 'fetch', 'user', 0, '#PF(15)'],
    ['no-execute page', P | Pte.US | Pte.XD, 'read', 'user', 0, '123045'],
    ['user page without SMEP', P | Pte.US, 'fetch', 'supervisor', 0, '123045'],
    ['user page under SMEP', P | Pte.US, 'fetch', 'supervisor', Cr4.SMEP, '#PF(11)'],
    ['user page under SMAP', P | Pte.US, 'read', 'supervisor', Cr4.SMAP, '#PF(1)'],
    ['user page under SMAP', P | Pte.US, 'fetch', 'supervisor', Cr4.SMAP, '123045'],
    ['reserved address bit', P | Pte.US | (1n << 51n), 'read', 'user', 0, '#PF(d)'],
    ['reserved address bit', P | (1n << 46n), 'write', 'supervisor', 0, '#PF(b)'],
  ];
  for (const [name, flags, kind, who, cr4, expected] of rows) {
    it(`gives ${expected} for a ${kind} by ${who} of a ${name}`, () => {
      const test = testProcessor();
      enterLongMode(test);
      const { processor, memory } = test;
      memory.writeU64(leafAddress(PAGE), BigInt(PAGE) | flags);
      processor.state.set('cr4', processor.state.get('cr4') | BigInt(cr4));
      expect(walk(processor, PAGE + 0x45, kind, who === 'user')).toBe(expected);
    });
  }

  it('lets the supervisor write read-only pages without CR0.WP', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory } = test;
    memory.writeU64(leafAddress(PAGE), BigInt(PAGE) | P);
    processor.state.set('cr0', processor.state.get('cr0') & ~BigInt(Cr0.WP));
    expect(walk(processor, PAGE, 'write', false)).toBe('123000');
    expect(walk(processor, PAGE, 'write', true)).toBe('#PF(7)');
  });

  it('treats XD as reserved, and reports no fetch, while EFER.NXE is off', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory } = test;
    processor.state.set('efer', processor.state.get('efer') & ~BigInt(Efer.NXE));
    memory.writeU64(leafAddress(PAGE), BigInt(PAGE) | P | Pte.XD);
    expect(walk(processor, PAGE, 'read', false)).toBe('#PF(9)');
    memory.writeU64(leafAddress(PAGE), 0n);
    expect(walk(processor, PAGE, 'fetch', true)).toBe('#PF(4)');
  });

  it('lets SMAP be suspended by RFLAGS.AC, but not for implicit accesses', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor } = test;
    processor.state.set('cr4', processor.state.get('cr4') | BigInt(Cr4.SMAP));
    processor.state.set('rflags', 1n << 18n);
    expect(walk(processor, PAGE, 'read', false)).toBe('123000');
    expect(walk(processor, PAGE, 'read', true, true)).toBe('#PF(1)');
  });

  it('combines the rights of all levels', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory } = test;
    setEntry(memory, 0x2000, 0, 0x3000n | Pte.P | Pte.US);
    expect(walk(processor, PAGE, 'write', true)).toBe('#PF(7)');
    setEntry(memory, 0x2000, 0, 0x3000n | Pte.P | Pte.RW);
    expect(walk(processor, PAGE, 'read', true)).toBe('#PF(5)');
    setEntry(memory, PML4, 0, 0x2000n | Pte.P | Pte.RW | Pte.US | Pte.XD);
    expect(walk(processor, PAGE, 'fetch', false)).toBe('#PF(11)');
  });

  it('refuses a page-size bit in the top table', () => {
    const test = testProcessor();
    enterLongMode(test);
    setEntry(test.memory, PML4, 0, 0x2000n | Pte.P | Pte.PS);
    expect(walk(test.processor, PAGE, 'read', false)).toBe('#PF(9)');
  });
});

describe('accessed and dirty bits', () => {
  it('are set on a walk that succeeds, D only by a write, and on no other', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory } = test;
    memory.writeU64(PML4, 0x2000n | Pte.P | Pte.RW | Pte.US);
    walk(processor, PAGE, 'read', true);
    expect(memory.readU64(PML4) & Pte.A).toBe(Pte.A);
    expect(memory.readU64(leafAddress(PAGE)) & (Pte.A | Pte.D)).toBe(Pte.A);
    walk(processor, PAGE, 'write', true);
    expect(memory.readU64(leafAddress(PAGE)) & (Pte.A | Pte.D)).toBe(Pte.A | Pte.D);
    expect(processor.walk.dirty).toBe(true);

    memory.writeU64(leafAddress(0x200000), 0x200000n | Pte.P);
    expect(walk(processor, 0x200000, 'write', true)).toBe('#PF(7)');
    expect(memory.readU64(leafAddress(0x200000)) & (Pte.A | Pte.D)).toBe(0n);
  });

  it('are written to the table only when they change', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory } = test;
    walk(processor, PAGE, 'write', true);
    const written: number[] = [];
    memory.codeFrames.fill(1);
    memory.onCodeWrite = (address) => written.push(address);
    walk(processor, PAGE, 'write', true);
    walk(processor, PAGE + 0x1000, 'read', true);
    expect(written).toEqual([leafAddress(PAGE + 0x1000)]);
  });
});

describe('large pages', () => {
  it('of 2 MiB take address bits from the linear address and report their size', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory } = test;
    setEntry(memory, 0x3000, 2, 0x400000n | Pte.P | Pte.RW | Pte.PS | Pte.G | Pte.PAT_LARGE);
    expect(walk(processor, 0x4abcde, 'write', false)).toBe('4abcde');
    expect(processor.walk.leafShift).toBe(21);
    expect(processor.walk.levels).toBe(3);
    expect(processor.walk.global).toBe(true);
    expect(memory.readU64(0x3000 + 16) & (Pte.A | Pte.D)).toBe(Pte.A | Pte.D);
    setEntry(memory, 0x3000, 2, 0x402000n | Pte.P | Pte.PS);
    expect(walk(processor, 0x4abcde, 'read', false)).toBe('#PF(9)');
  });

  it('of 1 GiB exist where the processor has them', () => {
    for (const [gigabyte, expected] of [
      [true, '123456'],
      [false, '#PF(9)'],
    ] as const) {
      const model = { ...WESTMERE, hasGigabytePages: gigabyte };
      const test = testProcessor({ cpuid: model });
      enterLongMode(test);
      setEntry(test.memory, 0x2000, 5, Pte.P | Pte.RW | Pte.PS);
      expect(walk(test.processor, 0x1_4012_3456n, 'read', false)).toBe(expected);
    }
  });
});

describe('other paging modes', () => {
  it('give the physical address without paging', () => {
    const { processor } = testProcessor();
    expect(walk(processor, 0xfee00020, 'write', false)).toBe('fee00020');
  });

  it('walk three levels in PAE paging, whose top entries have no rights', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory } = test;
    const { state } = processor;
    state.set('efer', BigInt(Efer.NXE));
    state.set('cr3', 0x2020n);
    memory.writeU64(0x2020, 0x3000n | Pte.P);
    updateMode(processor);
    expect(walk(processor, PAGE, 'write', true)).toBe('123000');
    expect(processor.walk.levels).toBe(3);
    memory.writeU64(0x2020, 0x3000n | Pte.P | Pte.RW);
    expect(walk(processor, PAGE, 'write', true)).toBe('#PF(f)');
    memory.writeU64(0x2020, 0x3000n | Pte.P);
    memory.writeU64(leafAddress(PAGE), BigInt(PAGE) | Pte.P | (1n << 62n));
    expect(walk(processor, PAGE, 'read', false)).toBe('#PF(9)');
  });

  it('walk two levels of 32-bit entries, with 4-MiB pages under PSE', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory } = test;
    const { state } = processor;
    state.set('efer', 0n);
    state.set('cr4', BigInt(Cr4.PSE));
    updateMode(processor);
    state.set('cr3', 0x10000n);
    memory.writeU32(0x10000, 0x11000 | 7);
    memory.writeU32(0x11000 + 0x123 * 4, 0x456000 | 5);
    expect(walk(processor, 0x123045, 'read', true)).toBe('456045');
    expect(walk(processor, 0x123045, 'write', true)).toBe('#PF(7)');
    memory.writeU32(0x10004, 0x400000 | 0x87);
    expect(walk(processor, 0x7654321, 'read', true)).toBe('#PF(4)');
    expect(walk(processor, 0x654321, 'write', true)).toBe('654321');
    expect(memory.readU32(0x10004) & 0x60).toBe(0x60);
    state.set('cr4', 0n);
    memory.writeU32(0x400000 + 0x254 * 4, 0x7000 | 7);
    expect(walk(processor, 0x654321, 'read', true)).toBe('7321');
  });
});

describe('second stages', () => {
  it('compose in order, over tables and pages alike', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory } = test;
    // Together 0x100 frames down; the other way round the first stage would map nothing.
    const shift = (by: number, leafShift: 12 | 21) => ({
      machineFrame: (frame: number) => (frame + by < 0 ? -1 : frame + by),
      writable: () => true,
      leafShift: () => leafShift,
      generation: 0,
    });
    setSecondStages(processor, [shift(0x80, 21), shift(-0x180, 12)]);
    processor.state.set('cr3', BigInt(PML4 + 0x100000));
    for (const table of [PML4, 0x2000]) memory.writeU64(table, memory.readU64(table) + 0x100000n);
    memory.writeU64(0x3000, memory.readU64(0x3000) + 0x100000n);
    memory.writeU64(leafAddress(PAGE), BigInt(PAGE) | Pte.P | Pte.RW | Pte.US);
    expect(walk(processor, PAGE + 4, 'write', true)).toBe('23004');
    expect(processor.walk.guestPhysical).toBe(PAGE + 4);
    expect(processor.walk.stageShift).toBe(12);
    expect([...processor.walk.guestEntries].slice(0, 2)).toEqual([PML4 + 0x100000, 0x102000]);
    expect([...processor.walk.entries].slice(0, 2)).toEqual([PML4, 0x2000]);
  });
});

/** A page walker in the manual's words, over bigints, for 4-level paging without large pages' PAT and protection keys. */
function naiveWalk(
  memory: PhysicalMemory,
  cr3: bigint,
  linear: bigint,
  kind: Kind,
  user: boolean,
  wp: boolean,
): { address: bigint } | { code: number } {
  const code = (bits: number) => ({ code: bits | (kind === 'write' ? 2 : 0) | (user ? 4 : 0) | (kind === 'fetch' ? 16 : 0) });
  let table = cr3;
  let us = true;
  let rw = true;
  let xd = false;
  for (let level = 4n; ; level--) {
    const shift = 12n + 9n * (level - 1n);
    const at = Number(table + ((linear >> shift) & 511n) * 8n);
    const entry = at + 8 <= RAM_BYTES ? memory.readU64(at) : BigInt.asUintN(64, -1n);
    if ((entry & 1n) === 0n) return code(0);
    const large = (entry & 0x80n) !== 0n && level !== 1n;
    const low = (1n << shift) - 1n;
    let reserved = (entry & 0x000f_c000_0000_0000n) !== 0n;
    if (large) reserved ||= level === 4n || (entry & low & ~0x1fffn) !== 0n;
    if (reserved) return code(9);
    us &&= (entry & 4n) !== 0n;
    rw &&= (entry & 2n) !== 0n;
    xd ||= entry >> 63n !== 0n;
    if (level === 1n || large) {
      const denied = (user && !us) || (kind === 'write' && !rw && (user || wp)) || (kind === 'fetch' && xd);
      if (denied) return code(1);
      return { address: (entry & 0x000f_ffff_ffff_f000n & ~low) | (linear & low) };
    }
    table = entry & 0x000f_ffff_ffff_f000n;
  }
}

describe('walkTables against a naive page walker', () => {
  const test = testProcessor();
  enterLongMode(test);
  const { processor, memory } = test;
  test.bus.memoryValue = 0xffff_ffff_ffff_ffffn;

  it('agrees on arbitrary entries at every level', () => {
    const flags = fc.array(fc.constantFrom(1n, 1n, 1n, 2n, 2n, 4n, 4n, 0x80n, 0x100n, 1n << 63n, 1n << 50n, 0x20n), { maxLength: 9 });
    const entry = (frames: number[]) =>
      fc
        .record({ frame: fc.constantFrom(...frames), flags })
        .map(({ frame, flags: bits }) => bits.reduce((sum, bit) => sum | bit, BigInt(frame) << 12n));
    const input = fc.record({
      pml4e: entry([0x102]),
      pdpte: entry([0x103, 0x40000, 0]),
      pde: entry([0x104, 0x200, 0x600]),
      pte: entry([0x123, 0x7ff, 0x10]),
      linear: fc.bigInt(0n, 0xffff_ffffn),
      kind: fc.constantFrom<Kind>('read', 'write', 'fetch'),
      user: fc.boolean(),
      wp: fc.boolean(),
    });
    fc.assert(
      fc.property(input, ({ pml4e, pdpte, pde, pte, linear, kind, user, wp }) => {
        processor.state.set('cr3', 0x101000n);
        processor.state.set('cr0', BigInt((Cr0.PE | Cr0.PG | (wp ? Cr0.WP : 0)) >>> 0));
        const place = (table: number, level: bigint, value: bigint) =>
          memory.writeU64(table * 4096 + Number((linear >> (12n + 9n * (level - 1n))) & 511n) * 8, value);
        place(0x101, 4n, pml4e);
        place(0x102, 3n, pdpte);
        place(0x103, 2n, pde);
        place(0x104, 1n, pte);
        const expected = naiveWalk(memory, 0x101000n, linear, kind, user, wp);
        const got = walkTables(processor, linear, ACCESS[kind], user, false)
          ? { address: BigInt(processor.walk.machine) }
          : { code: processor.walk.errorCode };
        expect(got).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });
});

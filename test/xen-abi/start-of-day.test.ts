import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/base/errors.ts';
import { hypercallPage64 } from '../../src/xen-abi/hypercall-page.ts';
import {
  encodeStartInfo,
  firstRegisters,
  forEachTableEntry,
  type PvKernel,
  planStartOfDay,
  type Region,
  type StartOfDayPlan,
} from '../../src/xen-abi/start-of-day.ts';

const grub: PvKernel = { virtBase: 0n, virtStart: 0n, virtEnd: 0x49_4478n, entry: 0n, initP2m: undefined, modStartPfn: false };
const linux: PvKernel = {
  virtBase: 0xffff_ffff_8000_0000n,
  virtStart: 0xffff_ffff_8100_0000n,
  virtEnd: 0xffff_ffff_84a0_0000n,
  entry: 0xffff_ffff_8307_91c0n,
  initP2m: 0x80_0000_0000n,
  modStartPfn: true,
};
const plan = (kernel: PvKernel, totalPages: number, ramdiskBytes = 0, initialDomain = false): StartOfDayPlan =>
  planStartOfDay({ kernel, totalPages, ramdiskBytes, initialDomain });
const region = (p: StartOfDayPlan, name: Region['name']): Region | undefined => p.regions.find((candidate) => candidate.name === name);

describe('start of day (public/xen.h, "Start-of-day memory layout")', () => {
  it('lays GRUB out as Xen’s builder does: 64 MiB', () => {
    const p = plan(grub, 0x4000);
    expect(p.regions.map(({ name, pfn, pages }) => [name, pfn, pages])).toEqual([
      ['kernel', 0, 0x495],
      ['p2m', 0x495, 0x20],
      ['start-info', 0x4b5, 1],
      ['xenstore', 0x4b6, 1],
      ['console', 0x4b7, 1],
      ['page-tables', 0x4b8, 7],
      ['boot-stack', 0x4bf, 1],
    ]);
    expect([p.mappingEnd, p.stackTop, p.tables[0]?.pfn, p.tables.map(({ level }) => level)]).toEqual([
      0x80_0000n,
      0x4c_0000n,
      0x4b8,
      [4, 3, 2, 1, 1, 1, 1],
    ]);
  });

  it('lays Linux out as Xen’s builder does: 256 MiB, ramdisk and P2M list outside the mapping', () => {
    const p = plan(linux, 0x10000, 0x47_7010);
    expect([region(p, 'start-info')?.virtual, region(p, 'console')?.virtual, region(p, 'boot-stack')?.virtual]).toEqual([
      0xffff_ffff_84a0_0000n,
      0xffff_ffff_84a0_2000n,
      0xffff_ffff_84a2_c000n,
    ]);
    expect([region(p, 'page-tables')?.pages, p.mappingEnd]).toEqual([0x29, 0xffff_ffff_84c0_0000n]);
    expect(region(p, 'ramdisk')).toEqual({ name: 'ramdisk', pfn: 0x4c00, pages: 0x478, virtual: undefined });
    expect(p.p2m).toEqual({ virtual: 0x80_0000_0000n, pfn: 0x5078, listPages: 0x80, frames: 0x83 });
    expect(p.tables.slice(0x29).map(({ pfn, level }) => [pfn, level])).toEqual([
      [0x50f8, 3],
      [0x50f9, 2],
      [0x50fa, 1],
    ]);
    expect([p.modStart, p.modLength]).toEqual([0x4c00n, 0x47_8000]);
  });

  it('Dom0 has no ring pages, and its ramdisk follows the kernel unless it may stay unmapped', () => {
    const p = plan(grub, 0x4000, 5000, true);
    expect(p.regions.map(({ name }) => name)).toEqual(['kernel', 'ramdisk', 'p2m', 'start-info', 'page-tables', 'boot-stack']);
    expect([p.modStart, p.modLength]).toEqual([0x49_5000n, 5000]);
  });

  it('every page of the mapping is mapped once, tables read-only, and all tables hang on the L4', () => {
    for (const p of [plan(grub, 0x4000), plan(linux, 0x10000, 1), plan(linux, 0x10000, 1, true)]) {
      const tables = new Map(p.tables.map(({ pfn }) => [pfn, new Map<number, [number, number]>()]));
      forEachTableEntry(p, (table, index, target, flags) => tables.get(table)?.set(index, [target, flags]));
      const walk = (va: bigint): [number, number] | undefined => {
        let at: [number, number] | undefined = [p.tables[0]?.pfn as number, 0];
        for (let level = 4; level > 0 && at !== undefined; level--)
          at = tables.get(at[0])?.get(Number((va >> BigInt(3 + 9 * level)) & 511n));
        return at;
      };
      const isTable = new Set(p.tables.map(({ pfn }) => pfn));
      for (let va = p.kernel.virtBase; va < p.mappingEnd; va += 4096n) {
        const pfn = Number((va - p.kernel.virtBase) / 4096n);
        expect(walk(va)).toEqual([pfn, isTable.has(pfn) ? 0x21 : 0x23]);
      }
      expect(walk(p.p2m.virtual)?.[0]).toBe(p.p2m.pfn);
      expect(walk(p.mappingEnd)).toBeUndefined();
    }
  });

  it('start_info holds what the offsets of its structure say', () => {
    const p = plan(linux, 0x10000, 0x1001);
    const bytes = encodeStartInfo(p, {
      flags: 0,
      sharedInfoMfn: 0x123,
      storeMfn: 5,
      storePort: 1,
      consoleMfn: 6,
      consolePort: 2,
      commandLine: 'root=/dev/xvda1',
    });
    const view = new DataView(bytes.buffer);
    const text = (at: number, length: number): string => new TextDecoder().decode(bytes.subarray(at, at + length)).replace(/\0+$/, '');
    expect([bytes.length, text(0, 32), text(128, 1024)]).toEqual([1168, 'xen-3.0-x86_64', 'root=/dev/xvda1']);
    expect([32, 40, 56, 72, 88, 96, 104, 112, 120, 1152, 1160].map((at) => view.getBigUint64(at, true))).toEqual([
      0x10000n,
      0x12_3000n,
      5n,
      6n,
      p.pageTableVirtual,
      0x29n,
      0x80_0000_0000n,
      BigInt(region(p, 'ramdisk')?.pfn as number),
      0x2000n,
      BigInt(p.p2m.pfn),
      0x83n,
    ]);
    expect([48, 64, 80].map((at) => view.getUint32(at, true))).toEqual([8, 1, 2]);
    expect(firstRegisters(p)).toEqual({
      rip: linux.entry,
      rsp: p.stackTop,
      rsi: p.startInfoVirtual,
      cs: 0xe033,
      ss: 0xe02b,
      rflags: 0x202n,
    });
  });

  it.each<[string, Partial<PvKernel>, number]>([
    ['too little memory for the kernel', {}, 0x400],
    ['too little memory for what lies behind it', {}, 0x4c0],
    ['an entry point outside', { entry: 0x100_0000n }, 0x4000],
    ['an end before the start', { virtEnd: 0n }, 0x4000],
    ['a base that is not page aligned', { virtBase: 8n, virtStart: 8n }, 0x4000],
    [
      'the hypervisor’s addresses',
      {
        virtBase: 0xffff_8000_0000_0000n,
        virtStart: 0xffff_8000_0000_0000n,
        virtEnd: 0xffff_8000_0000_1000n,
        entry: 0xffff_8000_0000_0000n,
      },
      0x4000,
    ],
    [
      'no address at all',
      { virtBase: 0x1_0000_0000_0000n, virtStart: 0x1_0000_0000_0000n, virtEnd: 0x1_0000_0000_1000n, entry: 0x1_0000_0000_0000n },
      0x4000,
    ],
    [
      'a mapping that would reach the top',
      {
        virtBase: 0xffff_ffff_ffff_f000n,
        virtStart: 0xffff_ffff_ffff_f000n,
        virtEnd: 0xffff_ffff_ffff_ffffn,
        entry: 0xffff_ffff_ffff_f000n,
      },
      0x4000,
    ],
  ])('refuses %s in one line', (_name, change, pages) => {
    expect(() => plan({ ...grub, ...change }, pages)).toThrow(ConfigError);
  });
});

describe('the hypercall page (hypercall-abi)', () => {
  it('has 128 slots of which 23 does not return', () => {
    const page = hypercallPage64();
    expect(page.length).toBe(4096);
    expect([...page.subarray(127 * 32, 127 * 32 + 15)]).toEqual([
      0x51, 0x41, 0x53, 0xb8, 127, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3, 0,
    ]);
    expect([...page.subarray(23 * 32, 23 * 32 + 12)]).toEqual([0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05, 0]);
  });
});

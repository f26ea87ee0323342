import { describe, expect, it } from 'vitest';
import { parseElf } from '../../src/base/elf.ts';
import { readPvImage, readXenKernelInfo, XEN_ELFNOTE } from '../../src/xen-abi/elf-notes.ts';
import { ascii, buildElf, concat, elfNote } from '../support/elf-builder.ts';

const good: Record<number, string | bigint> = {
  [XEN_ELFNOTE.XEN_VERSION]: 'xen-3.0',
  [XEN_ELFNOTE.LOADER]: 'generic',
  [XEN_ELFNOTE.GUEST_OS]: 'test',
};

function kernel(notes: Record<number, string | bigint>, options: { machine?: number; physical?: bigint } = {}) {
  const code = { virtual: 0x1000n, physical: options.physical ?? 0x1000n, data: ascii('code'), memoryBytes: 0x2000n };
  const data = concat(...Object.entries(notes).map(([type, value]) => elfNote(Number(type), value)));
  return parseElf(buildElf({ entry: 0x1000n, machine: options.machine, segments: [code, { type: 4, virtual: 0n, data }] }));
}

describe('the notes of a PV kernel', () => {
  it('default to base 0, no hypercall page and the entry of the ELF header', () => {
    expect(readPvImage(kernel(good)).kernel).toEqual({
      virtBase: 0n,
      virtStart: 0x1000n,
      virtEnd: 0x3000n,
      entry: 0x1000n,
      initP2m: undefined,
      modStartPfn: false,
    });
    expect(readXenKernelInfo(kernel(good))).toMatchObject({ hypercallPage: undefined, paddrOffset: 0n, source: 'notes' });
  });

  it('place segments at p_paddr - PADDR_OFFSET + VIRT_BASE', () => {
    const base = 0xffffffff80000000n;
    const notes = { ...good, 3: base, 4: 0x100000n, 1: base + 0x1010n, 15: 0x8000000000n, 16: 1n, 2: base + 0x2000n };
    const image = readPvImage(kernel(notes, { physical: 0x101000n }));
    expect(image.kernel).toMatchObject({ virtBase: base, virtStart: base + 0x1000n, virtEnd: base + 0x3000n, entry: base + 0x1010n });
    expect(image.kernel).toMatchObject({ initP2m: 0x8000000000n, modStartPfn: true });
    expect(image.info.hypercallPage).toBe(base + 0x2000n);
  });

  it('list features, those with ! as required', () => {
    const info = readXenKernelInfo(kernel({ ...good, [XEN_ELFNOTE.FEATURES]: '!writable_page_tables|pae_pgdir_above_4gb|of_tomorrow' }));
    expect([info.supportedFeatures, info.requiredFeatures]).toEqual([0b10001, 1]);
  });

  it.each<[string, Record<number, string | bigint>]>([
    ['wants hypervisor interface "xen-2.0"', { ...good, 5: 'xen-2.0' }],
    ['wants hypervisor interface ""', { 8: 'generic' }],
    ['wants loader ""', { 5: 'xen-3.0' }],
    ['PADDR_OFFSET without VIRT_BASE', { ...good, 4: 0n }],
    ['requires the feature "of_tomorrow"', { ...good, 10: '!of_tomorrow' }],
    ['requires auto_translated_physmap', { ...good, 10: '!auto_translated_physmap' }],
    ['Xen ELF note 3 has 5 bytes, but is a number', { ...good, 3: 'abcd' }],
    ['HYPERCALL_PAGE 0x10000 is outside', { ...good, 2: 0x10000n }],
    ['HYPERCALL_PAGE 0x1010 is not page aligned', { ...good, 2: 0x1010n }],
  ])('are refused with "%s"', (message, notes) => {
    expect(() => readPvImage(kernel(notes))).toThrow(message);
  });

  it('of a linux kernel need no generic loader', () => {
    expect(readPvImage(kernel({ 5: 'xen-3.0', 6: 'linux' })).info.guestOs).toBe('linux');
  });

  it('of another machine are refused', () => {
    expect(() => readPvImage(kernel(good, { machine: 183 }))).toThrow('ELF machine 183');
    expect(() => readPvImage(kernel(good, { machine: 3 }))).toThrow('32-bit PV kernel');
  });

  it('are looked for in segments, then sections, then __xen_guest, and belong to "Xen" only', () => {
    const strings = ascii(
      'GUEST_OS=GNU Mach,XEN_VER=xen-3.0,VIRT_BASE=0x40000000,ELF_PADDR_OFFSET=0x40000000,HYPERCALL_PAGE=0x2,LOADER=generic\0',
    );
    const segments = [{ virtual: 0x40000000n, data: ascii('code'), memoryBytes: 0x3000n }];
    const legacy = { name: '__xen_guest', type: 1, data: strings };
    const impostor = { name: '.note.Xen', type: 7, data: elfNote(5, 'xen-3.0', 'name') };
    const image = readPvImage(parseElf(buildElf({ entry: 0x40000000n, segments, sections: [impostor, legacy] })));
    expect(image.info).toMatchObject({ source: '__xen_guest', guestOs: 'GNU Mach', hypercallPage: 0x40002000n, entry: 0x40000000n });
    expect(image.kernel.virtStart).toBe(0x40000000n);
    const noted = { name: '.note.Xen', type: 7, data: concat(...Object.entries(good).map(([t, v]) => elfNote(Number(t), v))) };
    expect(readXenKernelInfo(parseElf(buildElf({ segments, sections: [noted, legacy] }))).source).toBe('notes');
    expect(() => readXenKernelInfo(parseElf(buildElf({ segments, sections: [impostor] })))).toThrow('no Xen ELF notes');
    const garbled = { ...legacy, data: ascii('VIRT_BASE=many\0') };
    expect(() => readXenKernelInfo(parseElf(buildElf({ segments, sections: [garbled] })))).toThrow('VIRT_BASE=many is not a number');
  });
});

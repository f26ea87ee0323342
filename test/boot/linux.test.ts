import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/base/errors.ts';
import { loadKernel } from '../../src/boot/load-kernel.ts';
import { buildElf } from '../support/elf-builder.ts';

const MIB = 1 << 20;

function memoryOf(size: number) {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  return {
    size,
    bytes,
    view,
    writeBytes: (address: number, part: Uint8Array): void => bytes.set(part, address),
    writeU32: (address: number, value: number): void => view.setUint32(address, value, true),
  };
}

/** A bzImage with two setup sectors and a body of marked bytes. */
function bzImage(change: (view: DataView) => void = () => {}): Uint8Array {
  const image = new Uint8Array(3 * 512 + 1000).fill(0x90, 3 * 512);
  const view = new DataView(image.buffer);
  image[0x1f1] = 2;
  view.setUint16(0x1fe, 0xaa55, true);
  image[0x201] = 0x6a;
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x20f, true);
  image[0x211] = 1;
  view.setUint32(0x214, 0x10_0000, true);
  view.setUint32(0x22c, 0x7fff_ffff, true);
  image[0x234] = 1;
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x258, BigInt(16 * MIB), true);
  view.setUint32(0x260, 8 * MIB, true);
  change(view);
  return image;
}
const options = { name: 'vmlinuz', commandLine: 'console=ttyS0 quiet', processors: 2 };

describe('the Linux boot protocol', () => {
  it('places kernel, command line, ramdisk and zero page, and enters 32-bit code with the page in ESI', () => {
    const memory = memoryOf(64 * MIB);
    const ramdisk = Uint8Array.of(1, 2, 3);
    const start = loadKernel(memory, bzImage(), { ...options, ramdisk });
    expect(start).toMatchObject({ entry: 16 * MIB, codeSelector: 0x10 });
    expect(memory.bytes[16 * MIB]).toBe(0x90);
    const zero = start.esi as number;
    const commandLine = memory.view.getUint32(zero + 0x228, true);
    expect(new TextDecoder().decode(memory.bytes.subarray(commandLine, commandLine + 20))).toBe('console=ttyS0 quiet\0');
    const at = memory.view.getUint32(zero + 0x218, true);
    expect(at % 4096).toBe(0);
    expect([...memory.bytes.subarray(at, at + memory.view.getUint32(zero + 0x21c, true))]).toEqual([1, 2, 3]);
    expect(memory.bytes[zero + 0x210]).toBe(0xff);
    const rsdp = Number(memory.view.getBigUint64(zero + 0x70, true));
    expect(memory.bytes[rsdp]).toBe('R'.charCodeAt(0));
    expect(memory.view.getBigUint64((start.gdt?.base ?? 0) + 0x10, true)).toBe(0x00cf_9b00_0000_ffffn);
  });

  it('describes all RAM but the BIOS area', () => {
    const memory = memoryOf(64 * MIB);
    const zero = loadKernel(memory, bzImage(), options).esi as number;
    const ranges = Array.from({ length: memory.bytes[zero + 0x1e8] }, (_, n) => {
      const at = zero + 0x2d0 + n * 20;
      return [
        Number(memory.view.getBigUint64(at, true)),
        Number(memory.view.getBigUint64(at + 8, true)),
        memory.view.getUint32(at + 16, true),
      ];
    });
    expect(ranges.filter(([, , type]) => type === 1).map(([base, length]) => [base, base + length])).toEqual([
      [0, 0x9_fc00],
      [MIB, 64 * MIB],
    ]);
  });

  it.each([
    ['a protocol that is too old', (view: DataView) => view.setUint16(0x206, 0x204, true), /2\.04/],
    ['a kernel for low memory', (view: DataView) => view.setUint8(0x211, 0), /zImage/],
    ['too little memory', (view: DataView) => view.setUint32(0x260, 60 * MIB, true), /needs 76 MiB/],
    ['a command line that is too long', (view: DataView) => view.setUint32(0x238, 5, true), /5 bytes/],
    ['a header that claims more sectors than there are', (view: DataView) => view.setUint8(0x1f1, 200), /cut off/],
  ])('refuses %s in one line', (_what, change, message) => {
    const load = (): unknown => loadKernel(memoryOf(64 * MIB), bzImage(change), options);
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(message);
  });

  it('refuses a ramdisk for which there is no room', () => {
    expect(() => loadKernel(memoryOf(32 * MIB), bzImage(), { ...options, ramdisk: new Uint8Array(9 * MIB) })).toThrow(
      /ramdisk: does not fit/,
    );
  });
});

describe('a kernel without any known header', () => {
  it('is refused', () => {
    expect(() => loadKernel(memoryOf(MIB * 2), new Uint8Array(1000), options)).toThrow(
      /no multiboot header, no Linux header and no PVH note/,
    );
  });
});

describe('an ELF kernel with a PVH entry', () => {
  /** Note 18 of owner Xen. */
  function note(entry: number): Uint8Array {
    const bytes = new Uint8Array(20);
    const view = new DataView(bytes.buffer);
    [4, 4, 18, 0x006e6558, entry].forEach((word, n) => {
      view.setUint32(4 * n, word, true);
    });
    return bytes;
  }
  const image = buildElf({
    segments: [{ virtual: 0xffff_ffff_8100_0000n, physical: BigInt(16 * MIB), data: Uint8Array.of(0x90, 0xf4), memoryBytes: 0x3000n }],
    sections: [{ name: '.notes', type: 7, data: note(16 * MIB + 1) }],
  });

  it('starts at its note with the start info in EBX', () => {
    const memory = memoryOf(64 * MIB);
    memory.bytes.fill(0xee, 16 * MIB, 17 * MIB);
    const start = loadKernel(memory, image, { ...options, ramdisk: Uint8Array.of(7, 8) });
    expect(start.entry).toBe(16 * MIB + 1);
    expect([...memory.bytes.subarray(16 * MIB, 16 * MIB + 3)]).toEqual([0x90, 0xf4, 0]);
    const info = start.ebx as number;
    const u32 = (at: number): number => memory.view.getUint32(info + at, true);
    const u64 = (at: number): number => Number(memory.view.getBigUint64(info + at, true));
    expect([u32(0), u32(4), u32(12), u32(48)]).toEqual([0x336e_c578, 1, 1, 4]);
    const ramdisk = Number(memory.view.getBigUint64(u64(16), true));
    expect([...memory.bytes.subarray(ramdisk, ramdisk + 2)]).toEqual([7, 8]);
    expect(new TextDecoder().decode(memory.bytes.subarray(u64(24), u64(24) + 13))).toBe('console=ttyS0');
    expect(memory.bytes[u64(32)]).toBe('R'.charCodeAt(0));
    expect(Number(memory.view.getBigUint64(u64(40), true))).toBe(0);
  });

  it('is refused when it does not fit', () => {
    expect(() => loadKernel(memoryOf(16 * MIB), image, options)).toThrow(/does not fit/);
  });
});

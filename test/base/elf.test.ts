import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { notesOfSections, notesOfSegments, parseElf, parseNotes, symbolsOf } from '../../src/base/elf.ts';
import { ConfigError } from '../../src/base/errors.ts';
import { ascii, buildElf, concat, elfNote } from '../support/elf-builder.ts';

const symbol = new Uint8Array(24);
new DataView(symbol.buffer).setUint32(0, 1, true);
symbol[4] = 0x12;
new DataView(symbol.buffer).setBigUint64(8, 0x1010n, true);
new DataView(symbol.buffer).setBigUint64(16, 5n, true);
const file = buildElf({
  entry: 0x1000n,
  segments: [
    { virtual: 0x1000n, physical: 0x2000n, data: ascii('code'), memoryBytes: 0x3000n },
    { type: 4, virtual: 0n, data: concat(elfNote(5, 'xen-3.0'), elfNote(3, 0n)) },
  ],
  sections: [
    { name: '.strtab', type: 3, data: ascii('\0main\0') },
    { name: '.symtab', type: 2, data: symbol, link: 1 },
    { name: '.note', type: 7, data: elfNote(1, 0x10n, 'name') },
  ],
});

describe('parseElf', () => {
  it('reads header, segments, sections, notes and symbols of a 64-bit file', () => {
    const image = parseElf(file);
    expect(image).toMatchObject({ bits: 64, type: 2, machine: 62, entry: 0x1000n });
    expect(image.segments[0]).toMatchObject({ virtual: 0x1000n, physical: 0x2000n, data: ascii('code'), memoryBytes: 0x3000n, flags: 7 });
    expect(image.sections.map(({ name }) => name)).toEqual(['', '.strtab', '.symtab', '.note', '.shstrtab']);
    expect(notesOfSegments(image).map(({ owner, type }) => [owner, type])).toEqual([
      ['Xen', 5],
      ['Xen', 3],
    ]);
    expect(notesOfSections(image).map(({ owner }) => owner)).toEqual(['name']);
    expect(symbolsOf(image)).toEqual([{ name: 'main', address: 0x1010n, sizeBytes: 5n, type: 2 }]);
  });

  const patched = (at: number, ...bytes: number[]) => {
    const copy = file.slice();
    copy.set(bytes, at);
    return copy;
  };
  it.each<[string, Uint8Array]>([
    ['not an ELF file', ascii('MZ')],
    ['identification is cut', file.subarray(0, 10)],
    ['header is cut', file.subarray(0, 60)],
    ['class 3 is neither', patched(4, 3)],
    ['not little-endian', patched(5, 2)],
    ['program header has 8 bytes', patched(54, 8)],
    ['section header table at', file.subarray(0, file.length - 8)],
    ['program header table at 0xffffffffffffffff', patched(32, ...new Array(8).fill(0xff))],
    ['larger in the file than in memory', patched(64 + 40, 1, 0)],
    ['wraps around', patched(64 + 16, ...new Array(8).fill(0xff))],
    ['a segment at 0xff', patched(64 + 8, ...new Array(8).fill(0xff))],
  ])('refuses a file with the message "%s"', (message, bytes) => {
    const error = thrown(() => parseElf(bytes));
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toContain('\n');
  });

  it('answers arbitrary bytes and arbitrary damage with an image or a ConfigError, never with another error', () => {
    const damage = fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 12 }).map((changes) => {
      const copy = file.slice();
      for (const [at, byte] of changes) copy[at] = byte;
      return copy;
    });
    const header = fc.uint8Array({ maxLength: 300 }).map((rest) => concat(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46), rest));
    fc.assert(
      fc.property(fc.oneof(damage, header, fc.uint8Array()), (bytes) => {
        const error = thrown(() => {
          const image = parseElf(bytes);
          notesOfSegments(image);
          notesOfSections(image);
          symbolsOf(image);
        });
        if (error !== undefined) expect(error).toBeInstanceOf(ConfigError);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('parseNotes', () => {
  it('pads owner and descriptor to 4 bytes each', () => {
    expect(parseNotes(concat(elfNote(9, 'yes'), elfNote(6, 'GNU Mach', 'ab'))).map(({ owner, descriptor }) => [owner, descriptor])).toEqual(
      [
        ['Xen', ascii('yes\0')],
        ['ab', ascii('GNU Mach\0')],
      ],
    );
  });

  it('refuses a descriptor that reaches behind the section', () => {
    expect(() => parseNotes(elfNote(9, 'yes').subarray(0, 18))).toThrow('a note of type 9 reaches behind');
  });
});

function thrown(act: () => void): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}

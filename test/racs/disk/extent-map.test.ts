import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../../src/racs/disk/crc32.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../../src/racs/disk/checkpoint.ts';
import { ExtentMap, regionSectors } from '../../../src/racs/disk/extent-map.ts';
import { decodeRecords, encodeRecord } from '../../../src/racs/disk/journal.ts';
import { decodeFooter, encodeFooter } from '../../../src/racs/disk/segment.ts';
import { bodyBytes } from '../../../src/racs/object-store.ts';

/** Around the border of two regions, so that extents cross it. */
const base = regionSectors - 40;
const size = 80;

const step = fc.record({
  at: fc.integer({ min: 0, max: size - 1 }),
  count: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 60 })),
  segment: fc.integer({ min: 0, max: 5 }),
  offset: fc.integer({ min: 0, max: 100 }),
});

function flatten(map: ExtentMap): string[] {
  return map
    .lookup(base, size)
    .flatMap(({ count, segment, offset }) => Array.from({ length: count }, (_, i) => (segment === 0 ? '-' : `${segment}:${offset + i}`)));
}

describe('an extent map', () => {
  it('agrees with one place per sector, tells what was dropped, and its copies stay as they were', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.nat(80), (steps, copyAt) => {
        const live = new Map<number, number>();
        const map = new ExtentMap((segment, sectors) => live.set(segment, live.get(segment)! - sectors));
        const model = new Array<string>(size).fill('-');
        let copy: { map: ExtentMap; expected: string[] } | null = null;
        steps.forEach(({ at, count: wanted, segment, offset }, i) => {
          if (i === copyAt) copy = { map: map.copy(), expected: [...model] };
          const count = Math.min(wanted, size - at);
          if (segment !== 0) live.set(segment, (live.get(segment) ?? 0) + count);
          map.set(base + at, count, segment, offset);
          for (let s = 0; s < count; s++) model[at + s] = segment === 0 ? '-' : `${segment}:${offset + s}`;
        });
        expect(flatten(map)).toEqual(model);
        if (copy) expect(flatten((copy as { map: ExtentMap }).map)).toEqual((copy as { expected: string[] }).expected);
        for (const [segment, count] of live) expect(count).toBe(model.filter((place) => place.startsWith(`${segment}:`)).length);
      }),
      { numRuns: 300 },
    );
  });

  it('joins sequential writes into one extent', () => {
    const map = new ExtentMap();
    for (let i = 0; i < 1000; i++) map.set(8 * i, 8, 3, 8 * i);
    expect(map.extentCount).toBe(1);
  });

  it('comes back from a checkpoint, and a damaged one is refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat(), async (steps, damage) => {
        const map = new ExtentMap();
        for (const { at, count, segment, offset } of steps) map.set(base + at, count, segment, offset);
        const segments = new Map([1, 2, 3, 4, 5].map((segment) => [segment, 100 + segment]));
        const bytes = await bodyBytes(encodeCheckpoint({ number: 5, segments, map }));
        const back = decodeCheckpoint(bytes, 'x');
        expect([back.number, back.segments, flatten(back.map)]).toEqual([5, segments, flatten(map)]);
        const broken = bytes.slice();
        broken[damage % broken.length]! ^= 1;
        expect(() => decodeCheckpoint(broken, 'x')).toThrow(/^x: /);
        expect(() => decodeCheckpoint(bytes.slice(0, damage % bytes.length), 'x')).toThrow(/^x: /);
      }),
      { numRuns: 100 },
    );
  });
});

describe('a segment footer', () => {
  it('comes back, and a damaged one is refused', () => {
    const footer = {
      disk: '000102030405060708090a0b0c0d0e0f',
      epoch: 3,
      number: 9,
      dataSectors: 12,
      entries: [
        { first: 2 ** 40, count: 8, offset: 0 },
        { first: 5, count: 2 ** 31, offset: null },
      ],
    };
    const bytes = encodeFooter(footer);
    expect(decodeFooter(bytes, 'x')).toEqual(footer);
    for (let i = 0; i < bytes.length; i++) expect(() => decodeFooter(bytes.with(i, bytes[i]! ^ 0x10), 'x')).toThrow(/^x: /);
  });
});

describe('journal records', () => {
  const file = Uint8Array.from(
    [
      ...encodeRecord({ kind: 'begin', sequence: 7, disk: 'ab', epoch: 2 }),
      ...encodeRecord({ kind: 'write', sequence: 8, first: 2 ** 33, data: new Uint8Array(1024).fill(9) }),
      ...encodeRecord({ kind: 'discard', sequence: 9, first: 4, count: 5 }),
    ].flatMap((piece) => [...piece]),
  );

  it('come back', () => {
    expect([...decodeRecords(file)]).toEqual([
      { kind: 'begin', sequence: 7, disk: 'ab', epoch: 2 },
      { kind: 'write', sequence: 8, first: 2 ** 33, data: new Uint8Array(1024).fill(9) },
      { kind: 'discard', sequence: 9, first: 4, count: 5 },
    ]);
  });

  it('end before the first one that is cut or damaged', () => {
    const ends = [0, 544, 544 + 1056, file.length];
    for (let i = 0; i < file.length; i += 13) {
      const whole = ends.filter((end) => end <= i).length - 1;
      expect([...decodeRecords(file.slice(0, i))]).toHaveLength(whole);
      expect([...decodeRecords(file.with(i, file[i]! ^ 1))]).toHaveLength(whole);
    }
  });
});

describe('CRC-32', () => {
  it('is that of zlib, also in pieces', () => {
    const check = new TextEncoder().encode('123456789');
    expect(crc32(check)).toBe(0xcbf43926);
    expect(crc32(check.subarray(5), crc32(check.subarray(0, 5)))).toBe(0xcbf43926);
  });
});

import { describe, expect, it } from 'vitest';
import type { Domain } from '../../../src/xen/domain.ts';
import { maxGuestFrames, Physmap } from '../../../src/xen/hvm/physmap.ts';

const physmap = (largestLeaf: 12 | 21): Physmap => new Physmap({ p2m: undefined } as unknown as Domain, largestLeaf);

function mapRun(map: Physmap, guestFrame: number, frame: number, count: number): void {
  for (let i = 0; i < count; i++) expect(map.set(guestFrame + i, frame + i)).toBe(true);
}

describe('the guest-physical map of a full domain', () => {
  it('has a 2 MiB leaf where 512 aligned frames map 512 aligned frames in order', () => {
    const map = physmap(21);
    mapRun(map, 512, 1024, 512);
    expect(map.leafShift(512)).toBe(21);
    expect(map.leafShift(1023)).toBe(21);
    expect(map.machineFrame(700)).toBe(1212);
  });

  it.each([
    ['the machine frames are not aligned', 1025, () => {}],
    ['one frame is missing', 1024, (map: Physmap) => map.set(600, -1)],
    ['one frame is another', 1024, (map: Physmap) => map.set(600, 9000)],
  ])('has small leaves where %s', (_why, first, change) => {
    const map = physmap(21);
    mapRun(map, 512, first, 512);
    change(map);
    expect(map.leafShift(512)).toBe(12);
  });

  it('splits and joins a large leaf with its entries', () => {
    const map = physmap(21);
    mapRun(map, 0, 512, 512);
    expect(map.leafShift(5)).toBe(21);
    map.set(5, -1);
    expect(map.leafShift(6)).toBe(12);
    map.set(5, 517);
    expect(map.leafShift(6)).toBe(21);
  });

  it('never has large leaves when the flavour does not use them', () => {
    const map = physmap(12);
    mapRun(map, 0, 512, 512);
    expect(map.leafShift(0)).toBe(12);
  });

  it('grows, and counts a generation for each change', () => {
    const map = physmap(21);
    const before = map.generation;
    expect(map.set(100_000, 7)).toBe(true);
    expect(map.set(100_000, 7)).toBe(true);
    expect(map.machineFrame(100_000)).toBe(7);
    expect(map.machineFrame(100_001)).toBe(-1);
    expect(map.generation).toBe(before + 1);
  });

  it.each([-1, 0.5, maxGuestFrames, Number.NaN, 2 ** 60])('has no guest frame %s', (frame) => {
    expect(physmap(21).set(frame, 1)).toBe(false);
    expect(physmap(21).machineFrame(frame)).toBe(-1);
  });
});

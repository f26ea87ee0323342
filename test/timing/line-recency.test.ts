import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineRecency, Recency } from '../../src/timing/line-recency.ts';
import { itKeepsThePersistContract } from '../support/persist-contract.ts';

/** The same by a plain list, most recent first. */
function plainList(near: number, middle: number): (line: number) => Recency {
  let lines: number[] = [];
  return (line) => {
    const at = lines.indexOf(line);
    lines = [line, ...lines.filter((other) => other !== line)].slice(0, middle);
    if (at < 0) return Recency.FAR;
    return at < near ? Recency.NEAR : Recency.MIDDLE;
  };
}

describe('recency of cache lines', () => {
  it('is near up to 256 lines back, middle up to 2,048, far beyond', () => {
    const lines = new LineRecency(256, 2048);
    const readAll = (count: number) => {
      for (let line = 1; line < count; line++) lines.read(line, 0);
      return lines.read(0, 0);
    };
    expect(readAll(10)).toBe(Recency.FAR);
    expect(readAll(256)).toBe(Recency.NEAR);
    expect(readAll(257)).toBe(Recency.MIDDLE);
    expect(readAll(2048)).toBe(Recency.MIDDLE);
    expect(readAll(2049)).toBe(Recency.FAR);
  });

  it('answers like a list of the most recent lines, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 24 }), { maxLength: 400 }), (order) => {
        const lines = new LineRecency(4, 12);
        const list = plainList(4, 12);
        for (const line of order) expect(lines.read(line * 4096, line % 3)).toBe(list(line));
      }),
    );
  });

  it('tells lines with one number and different tags apart', () => {
    const lines = new LineRecency(4, 12);
    lines.read(7, 1);
    expect([lines.read(7, 2), lines.read(7, 1)]).toEqual([Recency.FAR, Recency.NEAR]);
  });

  it('forgets everything when cleared', () => {
    const lines = new LineRecency(4, 12);
    for (let line = 0; line < 30; line++) lines.read(line, 0);
    lines.clear();
    expect([lines.read(29, 0), lines.read(29, 0)]).toEqual([Recency.FAR, Recency.NEAR]);
  });

  itKeepsThePersistContract({
    create: () => new LineRecency(4, 12),
    disturb: (lines) => {
      for (let line = 0; line < 40; line++) lines.read(line % 17, line % 2);
    },
  });
});

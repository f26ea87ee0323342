import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EntryCache } from '../../src/timing/entry-cache.ts';
import { itKeepsThePersistContract } from '../support/persist-contract.ts';

describe('a set-associative cache of entries', () => {
  it('replaces the least recently used entry of a set, and only of that set', () => {
    const cache = new EntryCache('test', 4, 2);
    for (const page of [0, 4, 1]) cache.insert(page, 0, 1, false);
    expect(cache.find(0, 0, 1)).toBe(true);
    cache.insert(8, 0, 1, false);
    expect([0, 4, 8, 1].map((page) => cache.holds(page, 0, 1))).toEqual([true, false, true, true]);
  });

  it('tells spaces and high halves apart', () => {
    const cache = new EntryCache('test', 4, 2);
    cache.insert(5, 7, 1, false);
    expect([cache.find(5, 7, 1), cache.find(5, 7, 2), cache.find(5, 6, 1)]).toEqual([true, false, false]);
  });

  it('answers like a list of the most recent entries of each set, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 300 }), (pages) => {
        const cache = new EntryCache('test', 4, 3);
        const sets: number[][] = [[], [], [], []];
        for (const page of pages) {
          const set = sets[page & 3]!;
          const known = set.includes(page);
          expect(cache.find(page, 0, 0)).toBe(known);
          if (!known) cache.insert(page, 0, 0, false);
          sets[page & 3] = [page, ...set.filter((other) => other !== page)].slice(0, 3);
        }
      }),
    );
  });

  it('drops by space, and spares global entries unless told', () => {
    const cache = new EntryCache('test', 1, 8);
    cache.insert(1, 0, 1, true);
    cache.insert(2, 0, 1, false);
    cache.insert(3, 0, 2, false);
    cache.dropSpaces(0xffff, 1, false);
    expect([1, 2].map((page) => cache.holds(page, 0, 1))).toEqual([true, false]);
    expect(cache.holds(3, 0, 2)).toBe(true);
    cache.dropSpaces(0xffff, 1, true);
    expect(cache.occupied).toBe(1);
  });

  itKeepsThePersistContract({
    create: () => new EntryCache('test', 4, 2),
    disturb: (cache) => {
      for (let page = 0; page < 11; page++) cache.insert(page, page % 3, page % 2, page % 4 === 0);
      cache.find(10, 1, 0);
    },
  });
});

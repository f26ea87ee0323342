import { beforeEach, describe, expect, it } from 'vitest';
import { CostTable } from '../../src/timing/cost-model.ts';
import { newTranslationRequest, type TranslationRequest } from '../../src/timing/model.ts';
import { priorValues } from '../../src/timing/parameters.ts';
import { ModelledTlb, PENDING_MISSES } from '../../src/timing/translation-model.ts';
import { itKeepsThePersistContract } from '../support/persist-contract.ts';

const costs = new CostTable({ ...priorValues, k_ept: 1 });

/** A translation of `page` through tables that lie together, as an operating system's do. */
function request(page: number, options: Partial<TranslationRequest> = {}): TranslationRequest {
  const built = Object.assign(newTranslationRequest(), { page, levels: 4, guestPhysical: page * 4096, ...options });
  if (built.pageShift > built.leafShift) built.pageShift = built.leafShift;
  for (let i = 0; i < built.levels; i++) {
    const bits = built.leafShift - 12 + 9 * (built.levels - 1 - i);
    const entry = Math.floor(page / 2 ** bits);
    built.guestEntries[i] = 0x10_7000 * (i + 1) + (Math.floor(entry / 512) % 200) * 4096 + (entry % 512) * 8;
    built.entries[i] = built.guestEntries[i]! + 0x4000_0000;
    built.guestEntryShifts[i] = built.guestShift;
  }
  return built;
}

let tlb: ModelledTlb;
beforeEach(() => {
  tlb = new ModelledTlb(costs);
});
const inCycles = (r: TranslationRequest) => tlb.lookup(r) / 12;

describe('the modelled TLB', () => {
  it('charges a walk once, and nothing while the entry is there', () => {
    expect(inCycles(request(0x400))).toBe(4 * 42);
    expect(inCycles(request(0x400))).toBe(0);
  });

  it('reads the leaf alone when the table of the neighbouring page is cached, from a near line', () => {
    tlb.lookup(request(0x400));
    expect(inCycles(request(0x401))).toBe(4);
    expect(inCycles(request(0x500))).toBe(42);
  });

  it('reads two levels for another table below the same one, all four far away', () => {
    tlb.lookup(request(0x400));
    expect(inCycles(request(0x600))).toBe(4 + 42);
    expect(inCycles(request(0x400 + 2 ** 27 * 3))).toBe(4 + 3 * 42);
  });

  it('holds 512 small pages in sets of four, for code and data together', () => {
    for (let page = 0; page < 512; page++) tlb.lookup(request(page, { fetch: page % 2 === 0 }));
    expect([0, 1, 511].map((page) => tlb.holds(page, 0))).toEqual([true, true, true]);
    tlb.lookup(request(512));
    expect([0, 1, 512].map((page) => tlb.holds(page, 0))).toEqual([false, true, true]);
  });

  it('holds 7 large pages of code and 32 of data', () => {
    const large = (i: number, fetch: boolean) => request(i * 512, { levels: 3, leafShift: 21, pageShift: 21, fetch });
    for (let i = 0; i < 8; i++) tlb.lookup(large(i, true));
    expect([0, 1, 7].map((i) => tlb.holds(i * 512 + 3, 0))).toEqual([false, true, true]);
    for (let i = 100; i < 132; i++) tlb.lookup(large(i, false));
    expect([100, 131].map((i) => tlb.holds(i * 512, 0))).toEqual([true, true]);
    tlb.lookup(large(132, false));
    expect(tlb.holds(100 * 512, 0)).toBe(false);
  });

  it('enters a large page as small ones where the second stage has small leaves: an entry is the smaller of both', () => {
    tlb.lookup(request(0x400, { levels: 3, leafShift: 21, pageShift: 12, secondStages: 1, guestShift: 12, vpid: 1 }));
    expect([0x400, 0x401].map((page) => tlb.holds(page, 1))).toEqual([true, false]);
    tlb.lookup(request(0x800, { levels: 3, leafShift: 21, pageShift: 21, secondStages: 1, guestShift: 21, vpid: 1 }));
    expect([0x800, 0x801].map((page) => tlb.holds(page, 1))).toEqual([true, true]);
  });

  it('costs nothing without paging and without second stages', () => {
    expect(inCycles(request(5, { levels: 0 }))).toBe(0);
    expect(tlb.pending[PENDING_MISSES]).toBe(0);
  });
});

describe('a walk that faults', () => {
  const faulting = (page: number, options: Partial<TranslationRequest> = {}) => request(page, { faulted: true, ...options });

  it('costs its references, fills nothing, and makes the retry walk from the root (SDM 3A §4.10.4.1)', () => {
    tlb.lookup(request(0x400));
    expect(inCycles(faulting(0x401))).toBe(4);
    expect(tlb.holds(0x401, 0)).toBe(false);
    tlb.pending.fill(0);
    expect(inCycles(request(0x401))).toBe(4 * 4);
    expect(tlb.pending[0]).toBe(4);
  });

  it('drops the entry of a page whose rights it broke, global or not', () => {
    tlb.lookup(request(0x400, { global: true }));
    expect(inCycles(faulting(0x400))).toBe(4);
    expect(tlb.holds(0x400, 0)).toBe(false);
  });

  it('reads no more than the levels that are there, and no page behind them', () => {
    const before = inCycles(faulting(0x4000_0000, { levels: 2, leafShift: 30, pageShift: 30, secondStages: 1, vpid: 1 }));
    expect(before).toBeGreaterThan(0);
    expect(tlb.pending.slice(0, 3).reduce((a, b) => a + b)).toBe(2);
    expect(tlb.pending.slice(3, 6).reduce((a, b) => a + b)).toBe(2 * 4);
  });
});

describe('content of pages', () => {
  /** Cost of a walk whose lines were read before 300 look-ups of one page. */
  const afterWork = (linesPerPage: number) => {
    const model = new ModelledTlb(costs, { linesPerPage });
    model.lookup(request(0x400));
    for (let i = 0; i < 300; i++) model.lookup(request(0x80_0000, { guestPhysical: i * 4096 }));
    model.flushAll(0);
    return model.lookup(request(0x400)) / 12;
  };

  it('ages the lines of walks when it is told to, and not by default', () => {
    expect([afterWork(0), afterWork(1), afterWork(8)]).toEqual([4 * 4, 4 * 10, 4 * 42]);
  });
});

describe('the second stage', () => {
  const guest = { secondStages: 1, vpid: 1 };

  it('of 4 KiB leaves adds 4 references for each page that the walk meets, of 2 MiB leaves 3', () => {
    // Tables lie in four frames, the target in a fifth: 5 walks of the second stage, which share their upper lines.
    const count = (shift: number) => {
      tlb = new ModelledTlb(costs);
      tlb.lookup(request(0x12345678, { ...guest, guestShift: shift, pageShift: Math.min(12, shift) }));
      return tlb.pending.slice(3, 6).reduce((a, b) => a + b);
    };
    expect(count(12)).toBe(5 * 4);
    // The four tables share one 2 MiB leaf each with their neighbours: 0x107000 to 0x41c000 are three leaves.
    expect(count(21)).toBe((3 + 1) * 3);
  });

  it('is almost free when warm: the cache of guest-physical pages survives MOV CR3 and INVLPG', () => {
    tlb.lookup(request(0x400, guest));
    tlb.flushNonGlobal(1);
    tlb.pending.fill(0);
    expect(inCycles(request(0x400, guest))).toBe(4 * 4);
    expect(Array.from(tlb.pending)).toEqual([4, 0, 0, 0, 0, 0, 1]);
    tlb.flushPage(1, 0x400);
    expect(inCycles(request(0x400, guest))).toBe(4 * 4);
  });

  it('is walked again after its tables changed', () => {
    tlb.lookup(request(0x400, guest));
    tlb.flushSecondStage(1);
    tlb.pending.fill(0);
    tlb.lookup(request(0x400, guest));
    expect(tlb.pending[3]).toBe(5 * 4);
  });

  it('costs k_ept times as much, and leaves the guest part alone', () => {
    const first = (k: number) => new ModelledTlb(new CostTable({ ...priorValues, k_ept: k })).lookup(request(0x400, guest)) / 12;
    const alone = inCycles(request(0x400));
    expect(first(2) - alone).toBeCloseTo(2 * (first(1) - alone), 0);
  });

  it('composes: two stages cost more than one, and a second one is not walked for a cached page', () => {
    const once = new ModelledTlb(costs).lookup(request(0x400, guest));
    const twice = new ModelledTlb(costs);
    expect(twice.lookup(request(0x400, { ...guest, secondStages: 2 }))).toBeGreaterThan(2 * once);
    twice.flushNonGlobal(1);
    expect(twice.lookup(request(0x400, { ...guest, secondStages: 2 })) / 12).toBe(16);
  });

  it('is walked more often with a smaller cache', () => {
    const references = (small: number) => {
      const model = new ModelledTlb(costs, { secondStageEntries: { small, large: 32 } });
      for (let round = 0; round < 2; round++) {
        for (let page = 0; page < 100; page++) model.lookup(request(0x1000 + page, guest));
        model.flushNonGlobal(1);
      }
      return model.pending.slice(3, 6).reduce((a, b) => a + b);
    };
    expect(references(16)).toBeGreaterThan(references(256));
  });

  it('is free as an ablation, and still counted', () => {
    const free = new ModelledTlb(costs, { freeSecondStage: true });
    expect(free.lookup(request(0x400, guest)) / 12).toBe(4 * 42);
    expect(free.pending.slice(3, 6).reduce((a, b) => a + b)).toBe(20);
  });
});

describe('flushes', () => {
  const GLOBAL = 0x1000;
  const LOCAL = 0x2000;
  const OTHER = 0x3000;
  beforeEach(() => {
    tlb.lookup(request(GLOBAL, { global: true, vpid: 1 }));
    tlb.lookup(request(LOCAL, { vpid: 1 }));
    tlb.lookup(request(OTHER, { vpid: 2 }));
  });
  const held = () => [tlb.holds(GLOBAL, 1), tlb.holds(LOCAL, 1), tlb.holds(OTHER, 2)];

  it.each<[string, (tlb: ModelledTlb) => void, boolean[]]>([
    ['MOV CR3 spares global entries and other VPIDs', (t) => t.flushNonGlobal(1), [true, false, true]],
    ['CR4.PGE drops global entries too', (t) => t.flushAll(1), [false, false, true]],
    ['INVLPG drops its page, global or not', (t) => t.flushPage(1, GLOBAL), [false, true, true]],
    ['INVLPG of another VPID drops nothing here', (t) => t.flushPage(2, GLOBAL), [true, true, true]],
    ['INVEPT drops what was composed from the second stage', (t) => t.flushSecondStage(1), [false, false, true]],
    ['a VM exit keeps everything, with VPIDs', (t) => t.transition(0), [true, true, true]],
  ])('%s', (_, flush, expected) => {
    expect(held()).toEqual([true, true, true]);
    flush(tlb);
    expect(held()).toEqual(expected);
  });

  it('by MOV CR3 drop the upper levels, also those of global pages (SDM 3A §4.10.4.1)', () => {
    tlb.flushNonGlobal(1);
    tlb.pending.fill(0);
    tlb.lookup(request(GLOBAL + 1, { vpid: 1 }));
    expect(tlb.pending.slice(0, 3).reduce((a, b) => a + b)).toBe(4);
  });

  it('at a VM exit drop everything without VPIDs', () => {
    const without = new ModelledTlb(costs, { vpid: false });
    without.lookup(request(GLOBAL, { global: true, vpid: 1 }));
    without.transition(0);
    expect(without.holds(GLOBAL, 1)).toBe(false);
  });
});

describe("a hypervisor's own pages", () => {
  const touch = (kind: string, index: number, vpid = 0, stages = 0, shift = 52, global = true) =>
    tlb.touch(kind, index, vpid, stages, shift, global) / 12;

  it('cost a walk when they are not in the TLB: three levels for large pages, four for the vCPU', () => {
    expect([touch('text', 0), touch('text', 0)]).toEqual([3 * 42, 0]);
    expect(touch('vcpu', 0)).toBeGreaterThan(3 * 4);
    expect(tlb.pending[PENDING_MISSES]).toBe(2);
  });

  it('of 65,536 frames have their frame-table entries in one large page', () => {
    touch('frame-table', 0);
    expect(touch('frame-table', 65_535)).toBe(0);
    expect(touch('frame-table', 65_536)).toBeGreaterThan(0);
  });

  it('cost an inner hypervisor more on 4 KiB second-stage leaves than on 2 MiB ones, and a bare one least', () => {
    const work = (stages: number, shift: number) => {
      tlb = new ModelledTlb(costs);
      let cycles = 0;
      for (let frame = 0; frame < 4096; frame += 64)
        cycles += touch('frame-table', frame, 1, stages, shift) + touch('page-table', frame, 1, stages, shift);
      return cycles;
    };
    expect(work(0, 52)).toBeLessThan(work(1, 21));
    expect(work(1, 21)).toBeLessThan(work(1, 12));
  });

  it('are dropped by MOV CR3 where the hypervisor runs without global pages', () => {
    touch('heap', 0, 1, 1, 21, false);
    touch('text', 0, 1, 1, 21, true);
    tlb.flushNonGlobal(1);
    expect(touch('text', 0, 1, 1, 21, true)).toBe(0);
    expect(touch('heap', 0, 1, 1, 21, false)).toBeGreaterThan(0);
  });

  it('push guest pages out of the TLB', () => {
    tlb.lookup(request(0x80));
    for (let i = 0; i < 4; i++) touch('vcpu', 0x80 + 128 * i);
    expect(tlb.holds(0x80, 0)).toBe(false);
  });

  it('have names: another one is our own bug', () => {
    expect(() => touch('attic', 0)).toThrow('no synthetic page is named attic');
  });
});

describe('state of the modelled TLB', () => {
  itKeepsThePersistContract({
    create: () => new ModelledTlb(costs),
    disturb: (model) => {
      for (let page = 0; page < 3000; page += 7)
        model.lookup(request(page * 31, { vpid: page % 3, secondStages: page % 3 === 0 ? 0 : 1, global: page % 5 === 0 }));
      for (let i = 0; i < 9; i++) model.touch('text', i, 1, 1, 21, true);
      model.flushNonGlobal(1);
    },
  });

  it('leads to the same costs after it was restored', async () => {
    const { restoreStream, saveStream } = await import('../../src/base/persist.ts');
    const again = new ModelledTlb(costs);
    for (let page = 0; page < 900; page++) tlb.lookup(request(page * 13, { vpid: 1, secondStages: 1 }));
    restoreStream(
      saveStream((writer) => tlb.save(writer)),
      (reader) => again.restore(reader),
    );
    for (let page = 0; page < 900; page++) {
      const r = request(page * 11, { vpid: 1, secondStages: 1 });
      expect(again.lookup(r)).toBe(tlb.lookup(r));
    }
  });
});

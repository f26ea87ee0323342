import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameAllocator } from '../../src/xen/frame-allocator.ts';
import { FrameFlag, FrameTable, Owner, PageType } from '../../src/xen/frame-table.ts';

function owned(frames = 4): FrameTable {
  const table = new FrameTable(frames);
  for (let frame = 0; frame < frames; frame++) {
    table.owner[frame] = 1;
    table.references[frame] = 1;
    table.flags[frame] = FrameFlag.allocated;
  }
  table.freed = (frame) => {
    table.owner[frame] = Owner.none;
    table.type[frame] = PageType.none;
  };
  return table;
}

describe('the frame table', () => {
  it('gives a reference to the owner only, and never on a free frame', () => {
    const table = owned();
    expect([table.getPage(0, 1), table.getPage(0, 2), table.getPage(99, 1), table.getPage(-1, 1)]).toEqual([true, false, false, false]);
    expect([table.getPage(1.5, 1), table.getPage(Number.NaN, 1)]).toEqual([false, false]);
    table.putPage(0);
    expect(table.putAllocation(0)).toBe(true);
    expect([table.owner[0], table.getPage(0, 1), table.putAllocation(0)]).toEqual([Owner.none, false, false]);
  });

  it('keeps types exclusive: a table is not writable, a writable page is no table', () => {
    const table = owned();
    table.hooks = { validate: () => 0, invalidate: () => {}, typeChange: () => {} };
    expect(table.getPageAndType(0, 1, PageType.writable)).toBe(0);
    expect(table.getPageAndType(0, 1, PageType.l1)).toBe(-22);
    expect(table.references[0]).toBe(2);
    table.putPageAndType(0);
    expect(table.getPageAndType(0, 1, PageType.l1)).toBe(0);
    expect(table.getPageAndType(0, 1, PageType.writable)).toBe(-22);
    expect(table.getPageAndType(0, 1, PageType.l2)).toBe(-22);
  });

  it('validates at the first use of a type and invalidates after the last', () => {
    const table = owned();
    const seen: string[] = [];
    table.hooks = {
      validate: (frame, type) => {
        seen.push(`validate ${frame} ${type} ${table.has(frame, FrameFlag.validated)}`);
        return 0;
      },
      invalidate: (frame, type) => seen.push(`invalidate ${frame} ${type}`),
      typeChange: (frame, from, to) => seen.push(`change ${frame} ${from} ${to}`),
    };
    table.flushClock = 7;
    for (let i = 0; i < 2; i++) table.getPageAndType(0, 1, PageType.l1);
    for (let i = 0; i < 2; i++) table.putPageAndType(0);
    table.getPageAndType(0, 1, PageType.l1);
    expect(seen).toEqual(['change 0 0 1', 'validate 0 1 false', 'invalidate 0 1', 'validate 0 1 false']);
    expect(table.flushStamp[0]).toBe(7);
  });

  it('leaves nothing behind when validation fails', () => {
    const table = owned();
    table.hooks = { validate: () => -22, invalidate: () => {}, typeChange: () => {} };
    expect(table.getPageAndType(0, 1, PageType.l3)).toBe(-22);
    expect([table.references[0], table.typeReferences[0], table.type[0]]).toEqual([1, 0, PageType.none]);
  });

  it('says that a table is busy while it is being validated', () => {
    const table = owned();
    let inside: number | undefined;
    table.hooks = {
      validate: (frame) => {
        inside = table.getPageType(frame, PageType.l2);
        return 0;
      },
      invalidate: () => {},
      typeChange: () => {},
    };
    table.getPageAndType(0, 1, PageType.l2);
    expect(inside).toBe(-16);
  });
});

describe('the frame allocator', () => {
  it('gives the highest free frame, and the highest aligned run, below a limit', () => {
    const allocator = new FrameAllocator(100);
    for (let frame = 0; frame < 100; frame++) allocator.release(frame);
    expect([allocator.allocate(), allocator.allocate(50), allocator.allocateRun(16, 16), allocator.allocateRun(4, 4, 20)]).toEqual([
      99, 49, 80, 16,
    ]);
    expect([allocator.allocate(0), allocator.allocateRun(64, 64), allocator.free]).toEqual([-1, -1, 100 - 22]);
  });

  it('never gives a frame twice and finds every free one', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('one' as const), limit: fc.option(fc.integer({ min: 0, max: 80 }), { nil: undefined }) }),
      fc.record({ kind: fc.constant('run' as const), order: fc.integer({ min: 0, max: 4 }) }),
      fc.record({ kind: fc.constant('release' as const), pick: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const allocator = new FrameAllocator(70);
        const free = new Set<number>();
        for (let frame = 3; frame < 70; frame++) {
          allocator.release(frame);
          free.add(frame);
        }
        const taken: number[] = [];
        const take = (first: number, count: number): void => {
          for (let frame = first; frame < first + count; frame++) {
            expect(free.delete(frame)).toBe(true);
            taken.push(frame);
          }
        };
        for (const each of steps) {
          if (each.kind === 'one') {
            const limit = each.limit ?? 70;
            const below = [...free].filter((frame) => frame < limit);
            const frame = each.limit === undefined ? allocator.allocate() : allocator.allocate(each.limit);
            expect(frame).toBe(below.length === 0 ? -1 : Math.max(...below));
            if (frame >= 0) take(frame, 1);
          } else if (each.kind === 'run') {
            const count = 1 << each.order;
            const first = allocator.allocateRun(count, count);
            if (first >= 0) {
              expect(first % count).toBe(0);
              take(first, count);
            }
          } else if (taken.length > 0) {
            const [frame] = taken.splice(each.pick % taken.length, 1) as [number];
            allocator.release(frame);
            free.add(frame);
          }
          expect(allocator.free).toBe(free.size);
        }
      }),
    );
  });
});

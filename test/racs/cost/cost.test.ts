import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { costChart } from '../../../src/racs/cost/chart.ts';
import { internetArchiveTrace, publishedAssumptions } from '../../../src/racs/cost/internet-archive.ts';
import { costOf, type Layout, smallestCode, switchingAdvantage } from '../../../src/racs/cost/model.ts';
import { charge, type PriceTable, tiered, withoutDiscounts } from '../../../src/racs/cost/price-table.ts';
import { allPriceTables, priceSets } from '../../../src/racs/cost/prices.ts';
import { costReport } from '../../../src/racs/cost/report.ts';
import { parseTrace } from '../../../src/racs/cost/trace.ts';

const one: Layout = { name: 'one', k: 1, n: 1 };
const mirror: Layout = { name: 'mirror', k: 1, n: 2 };
const paper: Layout = { name: '(8, 9)', k: 8, n: 9 };

const everyGB = (perGB: number) => [{ upToGB: Number.POSITIVE_INFINITY, perGB }];
const simple: PriceTable = {
  id: 'simple',
  provider: 'Simple',
  asOf: '2020-01',
  sources: [],
  storage: everyGB(0.1),
  trafficIn: everyGB(0.2),
  trafficOut: everyGB(0.3),
  perThousandPuts: 10,
  perThousandGets: 1,
};

describe('a bill', () => {
  it('takes each tier for its own slice', () => {
    const tiers = [
      { upToGB: 10, perGB: 3 },
      { upToGB: 20, perGB: 2 },
      { upToGB: Number.POSITIVE_INFINITY, perGB: 1 },
    ];
    expect([0, 5, 10, 15, 20, 100].map((amount) => tiered(tiers, amount))).toEqual([0, 15, 30, 40, 50, 130]);
  });

  it('adds storage, traffic and requests', () => {
    const bill = charge(simple, { storedGB: 100, objects: 5, inGB: 10, outGB: 20, puts: 3000, gets: 7000 });
    expect(bill).toEqual({ storage: 10, traffic: 8, requests: 37, total: 55 });
  });

  it('counts small objects, small stores and free traffic as the table says', () => {
    const table = { ...simple, minimumObjectBytes: 4096, minimumStoredGB: 2, freeOutPerStored: 3 };
    expect(charge(table, { storedGB: 1, objects: 10, inGB: 0, outGB: 4, puts: 0, gets: 0 })).toMatchObject({ storage: 0.2, traffic: 0.3 });
    expect(charge(table, { storedGB: 1, objects: 1e9, inGB: 0, outGB: 3, puts: 0, gets: 0 })).toMatchObject({ storage: 409.6, traffic: 0 });
    expect(charge(table, { storedGB: 0, objects: 0, inGB: 0, outGB: 0, puts: 0, gets: 0 }).total).toBe(0);
  });
});

describe('the price tables', () => {
  it('have a date, a source for everything, rising tiers without a gap, and ids of their own', () => {
    for (const table of allPriceTables) {
      expect(table.asOf).toMatch(/^20\d\d-\d\d$/);
      expect(table.sources.length).toBeGreaterThan(0);
      for (const tiers of [table.storage, table.trafficIn, table.trafficOut]) {
        const ends = tiers.map(({ upToGB }) => upToGB);
        expect(ends).toEqual([...new Set(ends)].sort((a, b) => a - b));
        expect(ends.at(-1)).toBe(Number.POSITIVE_INFINITY);
      }
    }
    expect(new Set(allPriceTables.map(({ id }) => id)).size).toBe(allPriceTables.length);
  });
});

describe('the cost of a layout', () => {
  const trace = parseTrace('month,in_gb,out_gb,puts,gets\n1,100,40,1000,400\n');

  it('is the table times the trace for one provider, and S out and in again to leave it', () => {
    const cost = costOf(one, [simple], trace);
    expect(cost.total).toEqual({ storage: 10, traffic: 32, requests: 10.4, total: 52.4 });
    expect(cost.switching.worst).toBeCloseTo(100 * 0.3 + 100 * 0.2 + 1000 * (0.001 + 0.01), 9);
    expect(cost.switching.withoutLeaver).toBeNull();
  });

  it('is two of everything but reads for mirroring, and no cheaper to leave', () => {
    const cost = costOf(mirror, [simple], trace);
    expect(cost.total).toEqual({ storage: 20, traffic: 52, requests: 20.4, total: 92.4 });
    expect(cost.switching.worst).toBeCloseTo(costOf(one, [simple], trace).switching.worst, 9);
  });

  it('is n/k of storage and of traffic in for (k, n), the same traffic out, and 1/k of the bytes to leave', () => {
    const cost = costOf({ name: '', k: 4, n: 6 }, [simple], trace);
    expect(cost.total.storage).toBeCloseTo(15, 9);
    expect(cost.total.traffic).toBeCloseTo(150 * 0.2 + 40 * 0.3, 9);
    expect(cost.total.requests).toBeCloseTo(60 + 1.6, 9);
    expect(cost.switching.worst).toBeCloseTo(25 * 0.5 + 1000 * 0.011, 9);
    expect(cost.switching.withoutLeaver).toBeCloseTo(100 * 0.3 + 4000 * 0.001 + 25 * 0.2 + 10, 9);
  });

  it('reads from the providers that are cheapest to read from', () => {
    const dear = { ...simple, id: 'dear', trafficOut: everyGB(3) };
    const cost = costOf({ name: '', k: 2, n: 3 }, [dear, simple], trace); // dear, simple, dear: one dear read is needed
    expect(cost.total.traffic).toBeCloseTo(150 * 0.2 + 20 * 0.3 + 20 * 3, 9);
  });

  it.each([
    [0, 1],
    [3, 2],
    [1, 33],
    [1.5, 2],
  ])('refuses (%s, %s)', (k, n) => {
    expect(() => costOf({ name: '', k, n }, [simple], trace)).toThrow(/1 <= k <= n <= 32/);
  });
});

describe('the finding of the paper: by the choice of (k, n) leaving costs at least 7 times less (RACS, abstract)', () => {
  const tables = [...priceSets['2007'], ...priceSets['2010']];

  it.each(tables.map((table) => [table.id, table] as const))(
    'holds for (8, 9) at the prices of %s without volume discounts',
    (_, table) => {
      const trace = internetArchiveTrace();
      const flat = [withoutDiscounts(table)];
      expect(switchingAdvantage(costOf(one, flat, trace), costOf(paper, flat, trace))).toBeGreaterThanOrEqual(7);
    },
  );

  it.each(tables.map((table) => [table.id, table] as const))(
    'holds with the volume discounts of %s for a code of at most ten providers',
    (_, table) => {
      const trace = internetArchiveTrace();
      const code = smallestCode(7, [table], trace)!;
      expect(code.n).toBeLessThanOrEqual(10);
      const factor = switchingAdvantage(costOf(one, [table], trace), costOf(code, [table], trace));
      expect(factor).toBeGreaterThanOrEqual(7);
      const smaller = { name: '', k: code.k - 1, n: code.n - 1 };
      expect(switchingAdvantage(costOf(one, [table], trace), costOf(smaller, [table], trace))).toBeLessThan(7);
    },
  );

  it('does not hang on what the trace assumes: scale, ratios, shape, and objects of 4 MB or more', () => {
    fc.assert(
      fc.property(
        fc.record({
          months: fc.integer({ min: 1, max: 36 }),
          peakOutGB: fc.double({ min: 100, max: 9000, noNaN: true }),
          readsPerWriteBytes: fc.double({ min: 0.2, max: 5, noNaN: true }),
          readsPerWriteRequests: fc.double({ min: 0.2, max: 5, noNaN: true }),
          meanObjectMB: fc.double({ min: 4, max: 100, noNaN: true }),
          seed: fc.bigInt({ min: 0n, max: 1000n }),
        }),
        ({ meanObjectMB, ...assumed }) => {
          // Requests such that the mean written object has that size.
          const peakIn = assumed.peakOutGB / assumed.readsPerWriteBytes;
          const peakRequests = ((peakIn * 1000) / meanObjectMB) * (1 + assumed.readsPerWriteRequests);
          const trace = internetArchiveTrace({ ...publishedAssumptions, ...assumed, peakRequests });
          const flat = [withoutDiscounts(priceSets['2010'][0])];
          expect(switchingAdvantage(costOf(one, flat, trace), costOf(paper, flat, trace))).toBeGreaterThanOrEqual(7);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('costs less than an eighth more storage, and mirroring twice', () => {
    const trace = internetArchiveTrace();
    const tables = [priceSets['2010'][0]];
    const [a, b, c] = [one, mirror, paper].map((layout) => costOf(layout, tables, trace).total.storage);
    expect(c! / a!).toBeLessThanOrEqual(1.1251);
    expect(b! / a!).toBeCloseTo(2, 9);
  });
});

describe('the synthetic trace', () => {
  it('has the published length and peaks, and says what is assumed', () => {
    const trace = internetArchiveTrace();
    expect(trace.months).toHaveLength(18);
    expect(Math.max(...trace.months.map(({ outGB }) => outGB))).toBe(4500);
    const requests = trace.months.map(({ puts, gets }) => puts + gets);
    expect(Math.abs(Math.max(...requests) - 120_000)).toBeLessThanOrEqual(1);
    expect(trace.notes.join(' ')).toContain('assumed');
    expect(internetArchiveTrace()).toEqual(trace);
  });
});

describe('a trace file', () => {
  it('is read with comments, initial amounts and columns in any order', () => {
    const trace = parseTrace(
      '# mine\ninitial_gb,10\ninitial_objects,3\nmonth,out_gb,in_gb,puts,gets,deleted_gb,deletes\n2024-01,2,1,3,4,5,6 # x\n',
    );
    expect(trace).toMatchObject({
      initialGB: 10,
      initialObjects: 3,
      months: [{ month: '2024-01', inGB: 1, outGB: 2, puts: 3, gets: 4, deletedGB: 5, deletes: 6 }],
    });
  });

  it.each([
    ['', 'no months'],
    ['2024-01,1,2,3,4', 'line 1'],
    ['month,in_gb,out_gb,puts\n', 'gets is missing'],
    ['month,in_gb,out_gb,puts,gets,size\n', 'unknown column size'],
    ['month,in_gb,out_gb,puts,gets\n1,2,3,4\n', 'line 2: 5 values expected, found 4'],
    ['month,in_gb,out_gb,puts,gets\n1,2,3,-4,5\n', 'puts must be a number'],
    ['month,in_gb,out_gb,puts,gets,deleted_gb\n1,2,3,4,5,6\n', 'more is deleted'],
  ])('%j is refused: %s', (text, message) => {
    expect(() => parseTrace(text)).toThrow(message);
  });
});

describe('the report and the chart', () => {
  const trace = internetArchiveTrace();
  const costs = [one, mirror, { ...paper, name: '(8, 9) <&>' }].map((layout) => costOf(layout, priceSets['2010'], trace));

  it('name every layout, the factor, and every source', () => {
    const text = costReport(costs, trace).join('\n');
    expect(text).toMatch(/^\(8, 9\).* \d+\.\d .*$/m);
    for (const { provider } of priceSets['2010']) expect(text).toContain(provider);
    expect(text).toContain('assumed');
  });

  it('are drawn with one line a layout and panel, inside the drawing, with text escaped', () => {
    const svg = costChart(costs, 'a & b');
    const lines = [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points]) => points!.split(' '));
    expect(lines.map((points) => points.length)).toEqual(new Array(6).fill(18));
    for (const point of lines.flat()) {
      const [x, y] = point.split(',').map(Number);
      expect(x! >= 0 && x! <= 860 && y! >= 0 && y! <= 700).toBe(true);
    }
    expect(svg).toContain('(8, 9) &lt;&amp;&gt;');
    expect(svg).toContain('a &amp; b');
  });
});

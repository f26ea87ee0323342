/**
 * The paper's question: what does it cost to keep an archive, and what to leave one of its providers, with one provider,
 * with full copies at several, and with (k, n) shares?
 *
 * Per month and provider, for an archive of S GB:
 *
 *     layout      stored     in        out                          requests
 *     one         S          in        out                          as asked
 *     n copies    S each     in each   out, at the cheapest         each put n times, each get once
 *     (k, n)      S/k each   in/k each out/k at the cheapest k      each put n times, each get k times
 *
 * Leaving a provider at the end of a month moves what it holds to a newcomer: out of the leaver (S, S or S/k), into the
 * newcomer, a GET and a PUT per object, at the prices that come on top of the month's own traffic. Where redundancy
 * allows, an array may instead rebuild the shares without reading from the leaver, when its price to leave has gone up
 * or when it is dead: that reads k shares per object at the others (`withoutLeaver`).
 *
 * Left out: the proxy's own traffic, minimum storage durations, and metadata (hundreds of bytes an object).
 */

import { assert, ConfigError } from '../../base/errors.ts';
import { addBills, type Bill, charge, type PriceTable, type Usage } from './price-table.ts';
import type { Trace, TraceMonth } from './trace.ts';

/** One copy is one provider; `k` 1 with `n` above 1 is full mirroring. */
export interface Layout {
  name: string;
  k: number;
  n: number;
}

export interface LayoutCost {
  layout: Layout;
  /** The providers by index; the same table may stand for several. */
  providers: readonly PriceTable[];
  months: readonly { month: string; bill: Bill; storedGB: number; switching: Switching }[];
  total: Bill;
  /** After the last month. */
  switching: Switching;
}

/** What leaving costs, in dollars. */
export interface Switching {
  /** To leave the provider that is dearest to leave, reading from it: what a contract locks in. */
  worst: number;
  /** The mean over the providers. */
  mean: number;
  /** To leave the first provider without reading a byte from it; null where there is no redundancy. */
  withoutLeaver: number | null;
}

/** @param tables dealt out to the n providers in turn, and the newcomer takes the next. */
export function costOf(layout: Layout, tables: readonly PriceTable[], trace: Trace): LayoutCost {
  const { k, n } = layout;
  if (!Number.isInteger(k) || !Number.isInteger(n) || k < 1 || n < k || n > 32)
    throw new ConfigError(`(${k}, ${n}): 1 <= k <= n <= 32 is needed`);
  assert(tables.length > 0, 'no price tables');
  const providers = Array.from({ length: n }, (_, i) => tables[i % tables.length]!);
  const newcomer = tables[n % tables.length]!;
  let storedGB = trace.initialGB;
  let objects = trace.initialObjects;
  const months = trace.months.map((month) => {
    storedGB += month.inGB - month.deletedGB;
    objects += month.puts - month.deletes;
    const usages = usagesOf(layout, providers, month, storedGB, Math.max(0, objects));
    const bill = addBills(usages.map((usage, i) => charge(providers[i]!, usage)));
    return { month: month.month, bill, storedGB, switching: switchingOf(layout, providers, newcomer, usages) };
  });
  const total = addBills(months.map(({ bill }) => bill));
  return { layout, providers, months, total, switching: months.at(-1)!.switching };
}

/** How many times cheaper `array` is to leave than `one`. */
export function switchingAdvantage(one: LayoutCost, array: LayoutCost): number {
  return one.switching.worst / array.switching.worst;
}

/** The smallest (k, k + 1) that is at least `factor` times cheaper to leave than one provider; null when none with k <= 31 is. */
export function smallestCode(factor: number, tables: readonly PriceTable[], trace: Trace): Layout | null {
  const one = costOf({ name: 'one provider', k: 1, n: 1 }, tables, trace);
  for (let k = 2; k <= 31; k++) {
    const layout = { name: `(${k}, ${k + 1})`, k, n: k + 1 };
    if (switchingAdvantage(one, costOf(layout, tables, trace)) >= factor) return layout;
  }
  return null;
}

function usagesOf({ k, n }: Layout, providers: readonly PriceTable[], month: TraceMonth, storedGB: number, objects: number): Usage[] {
  const idle = { storedGB: storedGB / k, objects, inGB: month.inGB / k, outGB: 0, puts: month.puts, gets: 0 };
  const reading = { ...idle, outGB: month.outGB / k, gets: month.gets };
  // Every reader takes the same share of the bytes, so the k providers with the least extra cost are the cheapest choice.
  const extra = providers.map((table, i) => ({ i, cost: charge(table, reading).total - charge(table, idle).total }));
  const readers = new Set(
    extra
      .sort((a, b) => a.cost - b.cost || a.i - b.i)
      .slice(0, k)
      .map(({ i }) => i),
  );
  return Array.from({ length: n }, (_, i) => (readers.has(i) ? reading : idle));
}

function switchingOf(layout: Layout, providers: readonly PriceTable[], newcomer: PriceTable, usages: readonly Usage[]): Switching {
  const arrival = (usage: Usage): number => extraCost(newcomer, emptyUsage, { inGB: usage.storedGB, puts: usage.objects });
  const leaving = providers.map((table, i) => {
    const usage = usages[i]!;
    return extraCost(table, usage, { outGB: usage.storedGB, gets: usage.objects }) + arrival(usage);
  });
  return {
    worst: Math.max(...leaving),
    mean: leaving.reduce((sum, cost) => sum + cost, 0) / leaving.length,
    withoutLeaver: withoutLeaver(layout, providers, usages, arrival(usages[0]!)),
  };
}

function withoutLeaver({ k, n }: Layout, providers: readonly PriceTable[], usages: readonly Usage[], arrival: number): number | null {
  if (n === k) return null;
  const reads = providers
    .slice(1)
    .map((table, i) => extraCost(table, usages[i + 1]!, { outGB: usages[i + 1]!.storedGB, gets: usages[i + 1]!.objects }))
    .sort((a, b) => a - b)
    .slice(0, k);
  return reads.reduce((sum, cost) => sum + cost, arrival);
}

const emptyUsage: Usage = { storedGB: 0, objects: 0, inGB: 0, outGB: 0, puts: 0, gets: 0 };

/** Traffic and requests that come on top of a month, at the tiers that the month has reached. */
function extraCost(table: PriceTable, base: Usage, more: Partial<Usage>): number {
  const added = { ...base };
  for (const [name, value] of Object.entries(more)) added[name as keyof Usage] += value;
  return charge(table, added).total - charge(table, base).total;
}

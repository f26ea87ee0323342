/**
 * What a provider charges, as data, and the arithmetic of a bill. Amounts are US dollars and decimal gigabytes (10^9),
 * as providers advertise them; a month is a month.
 */

import { assert } from '../../base/errors.ts';

/** A slice of the month's amount at one price; the last tier of a list has no end. */
export interface Tier {
  /** The tier ends here, in GB of the month's total; Infinity for the last one. */
  upToGB: number;
  perGB: number;
}

/**
 * How far a number can be trusted: `official` from the provider's own page, `secondary` from a page that quotes it,
 * `recalled` from general knowledge, to be checked before anybody relies on it.
 */
export type Trust = 'official' | 'secondary' | 'recalled';

export interface PriceTable {
  /** Key on the command line. */
  id: string;
  provider: string;
  /** When these prices held, as YYYY-MM. */
  asOf: string;
  sources: readonly { what: string; where: string; trust: Trust }[];
  /** Per GB and month. */
  storage: readonly Tier[];
  /** Into the provider. */
  trafficIn: readonly Tier[];
  /** Out of the provider. */
  trafficOut: readonly Tier[];
  perThousandPuts: number;
  perThousandGets: number;
  /** Objects below this are billed as if they had it. */
  minimumObjectBytes?: number;
  /** A bill never stands for less storage than this. */
  minimumStoredGB?: number;
  /** Outgoing traffic up to this share of what is stored costs nothing. */
  freeOutPerStored?: number;
}

/** What one provider did in one month. */
export interface Usage {
  storedGB: number;
  objects: number;
  inGB: number;
  outGB: number;
  puts: number;
  gets: number;
}

export interface Bill {
  storage: number;
  traffic: number;
  requests: number;
  total: number;
}

export function charge(table: PriceTable, usage: Usage): Bill {
  const storage = tiered(table.storage, billedStorageGB(table, usage));
  const freeOut = (table.freeOutPerStored ?? 0) * usage.storedGB;
  const traffic = tiered(table.trafficIn, usage.inGB) + tiered(table.trafficOut, Math.max(0, usage.outGB - freeOut));
  const requests = (usage.puts * table.perThousandPuts + usage.gets * table.perThousandGets) / 1000;
  return { storage, traffic, requests, total: storage + traffic + requests };
}

/** The month's amount through the tiers. */
export function tiered(tiers: readonly Tier[], amountGB: number): number {
  let from = 0;
  let sum = 0;
  for (const { upToGB, perGB } of tiers) {
    if (amountGB <= from) return sum;
    sum += (Math.min(amountGB, upToGB) - from) * perGB;
    from = upToGB;
  }
  assert(amountGB <= from, 'the last tier of a price table must be endless');
  return sum;
}

/**
 * The table without volume discounts: each list at its dearest tier. Who moves a whole archive at once reaches the
 * cheap tiers sooner than who moves a share of it, so discounts shrink the advantage of shares.
 */
export function withoutDiscounts(table: PriceTable): PriceTable {
  const dearest = (tiers: readonly Tier[]): Tier[] => [
    { upToGB: Number.POSITIVE_INFINITY, perGB: Math.max(...tiers.map(({ perGB }) => perGB)) },
  ];
  return { ...table, storage: dearest(table.storage), trafficIn: dearest(table.trafficIn), trafficOut: dearest(table.trafficOut) };
}

export function addBills(bills: readonly Bill[]): Bill {
  const sum = (of: keyof Bill): number => bills.reduce((total, bill) => total + bill[of], 0);
  return { storage: sum('storage'), traffic: sum('traffic'), requests: sum('requests'), total: sum('total') };
}

function billedStorageGB(table: PriceTable, { storedGB, objects }: Usage): number {
  const floorGB = ((table.minimumObjectBytes ?? 0) * objects) / 1e9;
  return Math.max(storedGB, floorGB, storedGB > 0 ? (table.minimumStoredGB ?? 0) : 0);
}

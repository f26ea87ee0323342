/**
 * The comparison as lines of text: one row a layout, the finding, and what is assumed. Plain data in, plain lines out.
 */

import { type LayoutCost, switchingAdvantage } from './model.ts';
import type { PriceTable } from './price-table.ts';
import type { Trace } from './trace.ts';

const headings = ['layout', 'storage', 'traffic', 'requests', 'total', 'to leave one', 'times cheaper', 'without reading from it'];

/** @param costs the first one is what the others are compared with. */
export function costReport(costs: readonly LayoutCost[], trace: Trace): string[] {
  const one = costs[0]!;
  const rows = costs.map((cost) => [
    cost.layout.name,
    dollars(cost.total.storage),
    dollars(cost.total.traffic),
    dollars(cost.total.requests),
    dollars(cost.total.total),
    dollars(cost.switching.worst),
    cost === one ? '' : times(switchingAdvantage(one, cost)),
    cost.switching.withoutLeaver === null ? 'impossible' : dollars(cost.switching.withoutLeaver),
  ]);
  const last = one.months.at(-1)!;
  return [
    `${trace.months.length} months, ${Math.round(last.storedGB)} GB stored at the end; dollars`,
    '',
    ...table([headings, ...rows]),
    '',
    ...trace.notes.map((note) => `trace: ${note}`),
    ...sources(costs.flatMap(({ providers }) => providers)),
  ];
}

/** One line per table and source. */
export function sources(tables: readonly PriceTable[]): string[] {
  return [...new Set(tables)].flatMap(({ provider, asOf, sources: all }) =>
    all.map(({ what, where, trust }) => `prices: ${provider}, ${asOf}: ${what} [${trust}: ${where}]`),
  );
}

function dollars(amount: number): string {
  return amount.toFixed(2);
}

/** Where leaving costs nothing either way, no factor can be named. */
function times(factor: number): string {
  return Number.isFinite(factor) ? factor.toFixed(1) : 'free';
}

/** Pads columns: names to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

/**
 * `paravane racs cost`: what keeping an archive costs, and leaving one of its providers, with one provider, full copies,
 * and (k, n) shares. Prints a table, or JSON; draws a chart on demand.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../../base/errors.ts';
import { costChart } from '../../../racs/cost/chart.ts';
import { internetArchiveTrace } from '../../../racs/cost/internet-archive.ts';
import { costOf, type Layout, smallestCode, switchingAdvantage } from '../../../racs/cost/model.ts';
import { type PriceTable, withoutDiscounts } from '../../../racs/cost/price-table.ts';
import { allPriceTables, type PriceSetName, priceSets } from '../../../racs/cost/prices.ts';
import { costReport } from '../../../racs/cost/report.ts';
import { parseTrace, type Trace } from '../../../racs/cost/trace.ts';
import { printText } from '../../print.ts';

/** The advantage that the paper's abstract claims. */
const publishedFactor = 7;

export function builder(y: Argv): Argv {
  return y
    .option('trace', { type: 'string', describe: 'months of an archive as CSV: month,in_gb,out_gb,puts,gets[,deleted_gb,deletes]' })
    .option('model', { choices: ['internet-archive'], describe: 'a synthetic trace instead' })
    .conflicts('trace', 'model')
    .option('prices', { choices: Object.keys(priceSets), default: '2010', describe: 'set of price tables' })
    .option('providers', {
      type: 'string',
      describe: `price tables to deal out, comma-separated: ${allPriceTables.map(({ id }) => id).join(', ')}`,
    })
    .option('code', { type: 'string', default: '2,3;4,5;8,9', describe: 'codes to compare, as k,n;k,n' })
    .option('copies', { type: 'number', default: 2, describe: 'providers of full mirroring' })
    .option('flat', { type: 'boolean', default: false, describe: 'leave volume discounts out' })
    .option('json', { type: 'boolean', default: false, describe: 'print everything as JSON' })
    .option('svg', { type: 'string', describe: 'draw the comparison into this file' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const trace = argv.trace === undefined ? internetArchiveTrace() : readTrace(String(argv.trace));
  const chosen = chooseTables(argv.providers === undefined ? undefined : String(argv.providers), argv.prices as PriceSetName);
  const tables = argv.flat ? chosen.map(withoutDiscounts) : chosen;
  const copies = Number(argv.copies);
  const layouts: Layout[] = [
    { name: 'one provider', k: 1, n: 1 },
    { name: `${copies} copies`, k: 1, n: copies },
    ...parseCodes(String(argv.code)),
  ];
  const costs = layouts.map((layout) => costOf(layout, tables, trace));
  const code = smallestCode(publishedFactor, tables, trace);
  if (argv.json) {
    const rows = costs.map((cost) => ({
      layout: cost.layout,
      providers: cost.providers.map(({ id }) => id),
      total: cost.total,
      switching: cost.switching,
      advantage: switchingAdvantage(costs[0]!, cost),
      months: cost.months,
    }));
    printText(JSON.stringify({ trace, smallestCodeWithPublishedFactor: code, costs: rows, tables }, null, 2));
  } else {
    for (const line of costReport(costs, trace)) printText(line);
    printText('');
    printText(
      code === null
        ? `no (k, k + 1) makes leaving ${publishedFactor} times cheaper at these prices`
        : `leaving becomes at least ${publishedFactor} times cheaper from ${code.name} on${argv.flat ? '' : ' (volume discounts counted; --flat leaves them out)'}`,
    );
  }
  if (argv.svg !== undefined)
    writeSvg(
      String(argv.svg),
      costChart(costs, `What an archive costs, and leaving a provider (${tables.map(({ id }) => id).join(', ')})`),
    );
  return 0;
}

function readTrace(path: string): Trace {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
  return parseTrace(text);
}

function writeSvg(path: string, svg: string): void {
  try {
    writeFileSync(path, svg);
  } catch (error) {
    throw new ConfigError(`${path}: cannot be written (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
}

function chooseTables(names: string | undefined, set: PriceSetName): readonly PriceTable[] {
  // The paper compares at one price level; a set of today is dealt out over its providers.
  if (names === undefined) return set === 'current' ? priceSets.current : [priceSets[set][0]];
  return names.split(',').map((name) => {
    const found = allPriceTables.find(({ id }) => id === name.trim());
    if (!found) throw new ConfigError(`--providers ${name}: one of ${allPriceTables.map(({ id }) => id).join(', ')} is expected`);
    return found;
  });
}

function parseCodes(text: string): Layout[] {
  return text.split(';').map((each) => {
    const match = /^\s*(\d+)\s*,\s*(\d+)\s*$/.exec(each);
    if (!match) throw new ConfigError(`--code ${each}: k,n is expected`);
    return { name: `(${match[1]}, ${match[2]})`, k: Number(match[1]), n: Number(match[2]) };
  });
}

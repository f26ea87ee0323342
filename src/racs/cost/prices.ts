/**
 * Price tables with their dates and sources. `2010` is what the paper's readers paid, as far as it can be found; the
 * paper's own table is not available to us, and rows marked `recalled` are general knowledge. `current` is 2026, from
 * secondary pages where no official one is named: check before publishing.
 */

import type { PriceTable, Tier } from './price-table.ts';

const flat = (perGB: number): Tier[] => [{ upToGB: Number.POSITIVE_INFINITY, perGB }];
const TB = 1000;

const s3In2010: PriceTable = {
  id: 's3-2010',
  provider: 'Amazon S3, US Standard',
  asOf: '2010-06',
  sources: [
    {
      what: 'storage 0.15, in 0.10, PUT 0.01 per 1000, GET 0.01 per 10000',
      where: 'The Guardian, 2007-10-12, quoting Amazon',
      trust: 'secondary',
    },
    {
      what: 'in was free until 2010-10-31; the list price is used, since a plan to leave outlives an offer',
      where: 'AWS FAQ of 2010',
      trust: 'official',
    },
    { what: 'out 0.15, 0.11, 0.09, 0.08; storage tiers above 50 TB', where: 'general knowledge of the list of 2010', trust: 'recalled' },
  ],
  storage: [
    { upToGB: 50 * TB, perGB: 0.15 },
    { upToGB: 100 * TB, perGB: 0.14 },
    { upToGB: 500 * TB, perGB: 0.13 },
    { upToGB: Number.POSITIVE_INFINITY, perGB: 0.105 },
  ],
  trafficIn: flat(0.1),
  trafficOut: [
    { upToGB: 10 * TB, perGB: 0.15 },
    { upToGB: 50 * TB, perGB: 0.11 },
    { upToGB: 150 * TB, perGB: 0.09 },
    { upToGB: Number.POSITIVE_INFINITY, perGB: 0.08 },
  ],
  perThousandPuts: 0.01,
  perThousandGets: 0.001,
};

const s3In2007: PriceTable = {
  id: 's3-2007',
  provider: 'Amazon S3',
  asOf: '2007-10',
  sources: [{ what: 'all', where: 'The Guardian, 2007-10-12, quoting Amazon', trust: 'secondary' }],
  storage: flat(0.15),
  trafficIn: flat(0.1),
  trafficOut: [
    { upToGB: 10 * TB, perGB: 0.18 },
    { upToGB: 50 * TB, perGB: 0.16 },
    { upToGB: Number.POSITIVE_INFINITY, perGB: 0.13 },
  ],
  perThousandPuts: 0.01,
  perThousandGets: 0.001,
};

const rackspaceIn2010: PriceTable = {
  id: 'rackspace-2010',
  provider: 'Rackspace Cloud Files',
  asOf: '2010-06',
  sources: [
    {
      what: 'storage 0.15, in 0.08, out 0.22; requests for objects of 250 KB and more free',
      where: 'general knowledge',
      trust: 'recalled',
    },
  ],
  storage: flat(0.15),
  trafficIn: flat(0.08),
  trafficOut: flat(0.22),
  perThousandPuts: 0,
  perThousandGets: 0,
};

const s3Now: PriceTable = {
  id: 's3',
  provider: 'AWS S3 Standard us-east-1',
  asOf: '2026-05',
  sources: [{ what: 'all', where: 'youngju.dev, 2026-05-14; flowverify.co', trust: 'secondary' }],
  storage: [
    { upToGB: 50 * TB, perGB: 0.023 },
    { upToGB: 500 * TB, perGB: 0.022 },
    { upToGB: Number.POSITIVE_INFINITY, perGB: 0.021 },
  ],
  trafficIn: flat(0),
  trafficOut: [
    { upToGB: 100, perGB: 0 },
    { upToGB: 10.1 * TB, perGB: 0.09 },
    { upToGB: 50 * TB, perGB: 0.085 },
    { upToGB: 150 * TB, perGB: 0.07 },
    { upToGB: Number.POSITIVE_INFINITY, perGB: 0.05 },
  ],
  perThousandPuts: 0.005,
  perThousandGets: 0.0004,
};

const gcsNow: PriceTable = {
  id: 'gcs',
  provider: 'Google Cloud Storage Standard, single region',
  asOf: '2026-04',
  sources: [
    {
      what: 'storage, out (0.12 down to 0.08; where the middle tier ends is recalled)',
      where: 'leanopstech GCS, 2026-04-09',
      trust: 'secondary',
    },
    { what: 'operations', where: 'learnmandu.com', trust: 'secondary' },
  ],
  storage: flat(0.02),
  trafficIn: flat(0),
  trafficOut: [
    { upToGB: 1 * TB, perGB: 0.12 },
    { upToGB: 10 * TB, perGB: 0.11 },
    { upToGB: Number.POSITIVE_INFINITY, perGB: 0.08 },
  ],
  perThousandPuts: 0.005,
  perThousandGets: 0.0004,
};

const azureNow: PriceTable = {
  id: 'azure',
  provider: 'Azure Blob Hot LRS',
  asOf: '2026-05',
  sources: [{ what: 'all', where: 'finout.io; cloudlaya.com; learnmandu.com (operations)', trust: 'secondary' }],
  storage: flat(0.018),
  trafficIn: flat(0),
  trafficOut: flat(0.087),
  perThousandPuts: 0.005,
  perThousandGets: 0.0004,
};

const r2Now: PriceTable = {
  id: 'r2',
  provider: 'Cloudflare R2',
  asOf: '2026-05',
  sources: [{ what: 'all', where: 'cloudflare-docs r2/pricing.mdx', trust: 'official' }],
  storage: flat(0.015),
  trafficIn: flat(0),
  trafficOut: flat(0),
  perThousandPuts: 0.0045,
  perThousandGets: 0.00036,
};

const b2Now: PriceTable = {
  id: 'b2',
  provider: 'Backblaze B2',
  asOf: '2026-05',
  sources: [
    {
      what: 'storage, out free up to three times what is stored, GET',
      where: 'leanopstech B2, April 2026; softwarepeeks, May 2026',
      trust: 'secondary',
    },
    { what: 'PUT free: no price was found', where: 'general knowledge', trust: 'recalled' },
  ],
  storage: flat(0.006),
  trafficIn: flat(0),
  trafficOut: flat(0.01),
  perThousandPuts: 0,
  perThousandGets: 0.0004,
  freeOutPerStored: 3,
};

const wasabiNow: PriceTable = {
  id: 'wasabi',
  provider: 'Wasabi (90 days of each object are paid for; the model leaves that out)',
  asOf: '2026-07',
  sources: [{ what: 'all', where: 'api-evangelist/wasabi plans file', trust: 'secondary' }],
  storage: flat(0.00799),
  trafficIn: flat(0),
  trafficOut: flat(0),
  perThousandPuts: 0,
  perThousandGets: 0,
  minimumObjectBytes: 4096,
  minimumStoredGB: 1 * TB,
};

/** Sets by name. The first table of a set is the one provider that is compared with the arrays. */
export const priceSets = {
  '2007': [s3In2007],
  '2010': [s3In2010, rackspaceIn2010],
  current: [s3Now, gcsNow, azureNow, r2Now, b2Now, wasabiNow],
} as const satisfies Record<string, readonly PriceTable[]>;

export type PriceSetName = keyof typeof priceSets;

export const allPriceTables: readonly PriceTable[] = Object.values(priceSets).flat();

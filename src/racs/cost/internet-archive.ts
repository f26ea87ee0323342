/**
 * A synthetic trace in the place of the paper's, 18 months of the Internet Archive's FTP site, whose numbers were never
 * published with it. Known (papers on RACS, poster): 18 months; two plots whose axes end at 4.5 and 0.12, units cut off.
 * Assumed, and written into the notes of the trace, so that every report says it:
 *
 * 1. 4.5 is terabytes a month and the peak of outgoing traffic; 0.12 is millions of requests a month and their peak.
 * 2. Reads exceed writes 1.6 to 1 in bytes and 2.8 to 1 in requests (recalled from the paper's text, not verified).
 * 3. Traffic grows steadily over the months to the peak at the end, with a swing of a fifth from month to month; the
 *    shape is fixed by a seed. Nothing is deleted and nothing was there before.
 *
 * The finding (switching cost) hangs on none of them: tests vary scale, ratios and shape.
 */

import { nextBelow, seedRandom } from '../../base/random.ts';
import type { Trace, TraceMonth } from './trace.ts';

export interface ArchiveAssumptions {
  months: number;
  peakOutGB: number;
  peakRequests: number;
  readsPerWriteBytes: number;
  readsPerWriteRequests: number;
  seed: bigint;
}

export const publishedAssumptions: ArchiveAssumptions = {
  months: 18,
  peakOutGB: 4500,
  peakRequests: 120_000,
  readsPerWriteBytes: 1.6,
  readsPerWriteRequests: 2.8,
  seed: 2010n,
};

export function internetArchiveTrace(assumptions: ArchiveAssumptions = publishedAssumptions): Trace {
  const { months, peakOutGB, peakRequests, readsPerWriteBytes, readsPerWriteRequests, seed } = assumptions;
  const chance = seedRandom(seed);
  // From 40 % of the peak to the peak, each month scaled by 0.8 to 1; the last is the peak itself.
  const shape = Array.from({ length: months }, (_, i) => {
    const trend = 0.4 + (0.6 * (i + 1)) / months;
    return i === months - 1 ? 1 : trend * (0.8 + nextBelow(chance, 200) / 1000);
  });
  const gets = (level: number): number => Math.round((level * peakRequests * readsPerWriteRequests) / (1 + readsPerWriteRequests));
  return {
    notes: [
      `synthetic: ${months} months (published) in the place of the Internet Archive's trace, which is not available`,
      `assumed: outgoing peak ${peakOutGB} GB and ${peakRequests} requests a month (the published axes end at 4.5 and 0.12, without units)`,
      `assumed: reads to writes ${readsPerWriteBytes} to 1 in bytes, ${readsPerWriteRequests} to 1 in requests; steady growth; nothing deleted`,
    ],
    initialGB: 0,
    initialObjects: 0,
    months: shape.map(
      (level, i): TraceMonth => ({
        month: `month ${i + 1}`,
        inGB: (level * peakOutGB) / readsPerWriteBytes,
        outGB: level * peakOutGB,
        puts: Math.round((level * peakRequests) / (1 + readsPerWriteRequests)),
        gets: gets(level),
        deletedGB: 0,
        deletes: 0,
      }),
    ),
  };
}

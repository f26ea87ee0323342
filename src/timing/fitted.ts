/**
 * Values of the fitted parameters. Written by `npm run -s fit -- --write`; not edited by hand.
 */

import type { FittedFile } from './fitted-file.ts';

export const fitted: FittedFile = {
  plan: 'lecture',
  columns: ['baseline', 'pv', 'kvm', 'hvm'],
  values: { k_sys: 130, k_fork: 104400, k_entry: 0.278379, k_mmu: 0.615543, k_ept: 2 },
  fittedNames: ['k_sys', 'k_fork', 'k_entry', 'k_mmu', 'k_ept'],
  guestSlopes: {
    'null call': { k_sys: 0.86856, k_fork: 0 },
    'fork proc': { k_sys: 2.6, k_fork: 0.89033 },
  },
  residuals: [
    {
      parameter: 'k_sys',
      row: 'null call',
      stack: 'baseline',
      table: 'lecture2012',
      published: 0.19,
      measured: 0.1899,
      ratio: 0.99948,
    },
    {
      parameter: 'k_fork',
      row: 'fork proc',
      stack: 'baseline',
      table: 'lecture2012',
      published: 65,
      measured: 64.969,
      ratio: 0.99952,
    },
    {
      parameter: 'k_entry',
      row: 'null call',
      stack: 'pv',
      table: 'lecture2012',
      published: 0.37,
      measured: 0.36948,
      ratio: 0.99859,
    },
    {
      parameter: 'k_mmu',
      row: 'fork proc',
      stack: 'pv',
      table: 'lecture2012',
      published: 250,
      measured: 249.97,
      ratio: 0.99986,
    },
    {
      parameter: 'k_ept',
      row: 'fork proc',
      stack: 'kvm',
      table: 'lecture2012',
      published: 87,
      measured: 65.337,
      ratio: 0.751,
    },
    {
      parameter: 'k_ept',
      row: 'fork proc',
      stack: 'hvm',
      table: 'lecture2012',
      published: 79,
      measured: 66.511,
      ratio: 0.84191,
    },
  ],
  warnings: ['k_ept stopped at its bound 2: its cells cannot be met'],
};

/**
 * Values of the fitted parameters. Written by `npm run -s fit -- --write`; not edited by hand.
 */

import type { FittedFile } from './fitted-file.ts';

export const fitted: FittedFile = {
  plan: 'none',
  columns: [],
  values: { k_sys: 350, k_fork: 80000, k_entry: 0.35, k_mmu: 0.65, k_ept: 1 },
  fittedNames: [],
  guestSlopes: {},
  residuals: [],
  warnings: ['not fitted yet: prior values'],
};

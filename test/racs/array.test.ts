import { describe } from 'vitest';
import { itKeepsTheObjectStoreContract } from '../support/object-store-contract.ts';
import { memoryArray } from '../support/racs.ts';

describe.each([
  [1, 1],
  [2, 3],
  [3, 5],
])('an array of code (%i, %i) in memory', (k, n) => {
  itKeepsTheObjectStoreContract(() => memoryArray({ coding: { k, n } }).array);
});

describe('an array with tiny segments', () => {
  itKeepsTheObjectStoreContract(() => memoryArray({ segmentBytes: 3 }).array);
});

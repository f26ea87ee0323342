import { describe } from 'vitest';
import { MemoryObjectStore } from '../../src/racs/memory-object-store.ts';
import { itKeepsTheObjectStoreContract } from '../support/object-store-contract.ts';

describe('objects in memory', () => {
  itKeepsTheObjectStoreContract(() => new MemoryObjectStore());
});

describe('objects in memory without conditions and metadata', () => {
  itKeepsTheObjectStoreContract(() => new MemoryObjectStore({ capabilities: { conditionalPut: false, metadata: false } }));
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { FaultStore } from '../../../src/racs/fault-store.ts';
import { MemoryObjectStore } from '../../../src/racs/memory-object-store.ts';
import { compareKeys } from '../../../src/racs/object-store.ts';
import { ConditionalRegister } from '../../../src/racs/register/conditional-register.ts';
import { PaxosRegister } from '../../../src/racs/register/paxos-register.ts';
import { keyOfName, nameOfKey } from '../../../src/racs/register/register-names.ts';
import { DirectoryStore } from '../../../src/racs/store/directory-store.ts';
import { itKeepsTheCommitRegisterContract } from '../../support/commit-register-contract.ts';
import { TestClock, testChance } from '../../support/racs.ts';

const chance = testChance();
const root = await mkdtemp(join(tmpdir(), 'racs-register-'));
afterAll(() => rm(root, { recursive: true }));

describe('registers by conditional writes in memory', () => {
  itKeepsTheCommitRegisterContract({ create: () => new ConditionalRegister(new MemoryObjectStore(), { chance }) });
});

describe('registers by conditional writes in a directory', () => {
  let path = '';
  itKeepsTheCommitRegisterContract({
    async create() {
      path = await mkdtemp(join(root, 'd'));
      return new ConditionalRegister(new DirectoryStore({ path, sync: false }), { chance });
    },
    second: () => new ConditionalRegister(new DirectoryStore({ path, sync: false }), { chance }),
  });
});

describe.each([1, 3, 5])('registers by a majority of %i stores', (count) => {
  let stores: MemoryObjectStore[] = [];
  const clock = new TestClock();
  itKeepsTheCommitRegisterContract({
    create() {
      stores = Array.from({ length: count }, () => new MemoryObjectStore());
      return new PaxosRegister(stores, { clock, chance });
    },
    second: () => new PaxosRegister(stores, { clock, chance }),
  });
});

describe('registers by a majority of three stores, one of which is out', () => {
  const clock = new TestClock();
  itKeepsTheCommitRegisterContract({
    create() {
      const stores = Array.from(
        { length: 3 },
        (_, i) => new FaultStore(new MemoryObjectStore(), { clock, seed: 1n, faults: { outage: i === 1 } }),
      );
      return new PaxosRegister(stores, { clock, chance });
    },
  });
});

describe('names of registers as keys', () => {
  const name = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('a', '/', '.', '!', '[', '\\', '~', '\x7f', ' ', ']') }),
  );

  it('come back, keep order and prefixes, and have no empty or dotted segments', () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        if (!a.isWellFormed() || !b.isWellFormed()) return;
        expect(nameOfKey(keyOfName(a))).toBe(a);
        expect(Math.sign(compareKeys(keyOfName(a), keyOfName(b)))).toBe(Math.sign(compareKeys(a, b)));
        expect(keyOfName(a + b).startsWith(keyOfName(a))).toBe(true);
        expect(`r${keyOfName(a)}`.split('/').some((segment) => ['', '.', '..'].includes(segment))).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { DirectoryStore } from '../../../src/racs/store/directory-store.ts';
import { pathPieces } from '../../../src/racs/store/file-names.ts';
import { itKeepsTheObjectStoreContract } from '../../support/object-store-contract.ts';

const root = await mkdtemp(join(tmpdir(), 'racs-dir-'));
afterAll(() => rm(root, { recursive: true }));

describe('a directory as a store', () => {
  itKeepsTheObjectStoreContract(async () => new DirectoryStore({ path: await mkdtemp(join(root, 's')), sync: false }));

  it('writes nothing outside, whatever the key is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('..', '/etc/x', 'a/../../b', '.', '\\..\\')), (key) => {
        if (key === '' || !key.isWellFormed()) return;
        for (const piece of pathPieces(key)) expect(piece).toMatch(/^[=+][A-Za-z0-9_%-]{1,200}$/);
      }),
    );
  });

  it('leaves no temporary files, locks or folders behind', async () => {
    const path = await mkdtemp(join(root, 't'));
    const store = new DirectoryStore({ path });
    const key = 'k'.repeat(500);
    const { etag } = await store.put(key, new Uint8Array(3));
    await store.put(key, new Uint8Array(4), { ifMatch: etag });
    await expect(store.put(key, new Uint8Array(5), { ifNoneMatch: '*' })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
    expect((await readdir(path, { recursive: true })).filter((name) => /tmp|lock/.test(name))).toEqual([]);
    await store.delete(key);
    expect(await readdir(path)).toEqual([]);
  });
});

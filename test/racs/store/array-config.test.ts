import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { scrub } from '../../../src/racs/repair.ts';
import { type ArrayConfig, openArray, readArrayConfig } from '../../../src/racs/store/array-config.ts';

const root = await mkdtemp(join(tmpdir(), 'racs-config-'));
afterAll(() => rm(root, { recursive: true }));

async function config(change: Partial<ArrayConfig> = {}): Promise<ArrayConfig> {
  const folder = await mkdtemp(join(root, 'a'));
  const providers = ['a', 'b', 'c'].map((id) => ({ id, type: 'directory' as const, path: join(folder, id), sync: false }));
  return { array: 'test', k: 2, n: 3, providers, register: { type: 'directory', path: join(folder, 'register') }, ...change };
}

const text = (value: string) => new TextEncoder().encode(value);

describe('an array from a configuration', () => {
  it.each<ArrayConfig['register']>([
    { type: 'majority' },
    { type: 'provider', provider: 'b' },
    { type: 'majority', providers: ['a', 'c'] },
  ])('keeps objects from one opening to the next, with the register %j', async (register) => {
    const made = await config({ register });
    const array = await openArray(made, { init: true });
    await array.put('key', text('value'), { metadata: { a: 'b' } });
    await array.close();
    const path = join(root, 'config.json');
    await writeFile(path, JSON.stringify(made));
    const again = await openArray(await readArrayConfig(path));
    const { info, body } = await again.get('key');
    expect([new TextDecoder().decode(body), info.metadata]).toEqual(['value', { a: 'b' }]);
    await again.close();
  });

  it('reads on without one of its directories', async () => {
    const made = await config({ register: { type: 'majority' } });
    const array = await openArray(made, { init: true });
    await array.put('key', text('value'));
    const first = made.providers[0] as { path: string };
    await rm(first.path, { recursive: true });
    expect(new TextDecoder().decode((await array.get('key')).body)).toBe('value');
    await expect(array.put('key', text('new'))).rejects.toMatchObject({ code: 'TOO_FEW_SHARES' });
    expect(new TextDecoder().decode((await array.get('key')).body)).toBe('value');
    await mkdir(first.path);
    expect(await scrub(array, { repair: true })).toMatchObject({ bad: 1, written: 1 });
    await array.close();
  });

  const directory = (c: ArrayConfig, i: number): { id: string; path: string } => c.providers[i] as { id: string; path: string };

  it.each<[string, (c: ArrayConfig) => unknown, RegExp]>([
    ['names one provider twice', (c) => c.providers.push(c.providers[0]!), /provider a is there twice/],
    ['names one directory twice', (c) => Object.assign(c.providers[2]!, { path: directory(c, 0).path }), /a and c are the same directory/],
    [
      'names one directory twice by a link',
      async (c) => {
        await rm(directory(c, 2).path, { recursive: true });
        await symlink(directory(c, 1).path, directory(c, 2).path);
      },
      /b and c are the same directory/,
    ],
    ['has another name', (c) => Object.assign(c, { array: 'other' }), /belongs to the array test, not to other/],
    [
      'has its providers exchanged',
      (c) => [Object.assign(c.providers[0]!, { id: 'b' }), Object.assign(c.providers[1]!, { id: 'a' })],
      /is the provider . of this array/,
    ],
    ['has too few providers', (c) => c.providers.pop(), /2 providers take shares, but the code \(2, 3\) needs 3/],
    ['has no such code', (c) => Object.assign(c, { k: 4 }), /no code \(4, 3\)/],
    [
      'names a directory that is not there',
      (c) => Object.assign(c.providers[0]!, { path: `${directory(c, 0).path}-none` }),
      /no directory/,
    ],
    ['names an unknown type', (c) => Object.assign(c.providers[0]!, { type: 'tape' }), /no type tape/],
    [
      'names a register at an unknown provider',
      (c) => Object.assign(c, { register: { type: 'provider', provider: 'z' } }),
      /no provider z/,
    ],
    ['has a wrong quorum', (c) => Object.assign(c, { writeQuorum: 1 }), /write quorum 1 is not in 2..3/],
  ])('is refused when it %s', async (_, change, message) => {
    const made = await config();
    await (await openArray(made, { init: true })).close();
    await change(made);
    const error = await openArray(made).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'ConfigError' });
    expect((error as Error).message).toMatch(message);
  });

  it('is refused at a provider that cannot be a register, and says why', async () => {
    const made = await config({ register: { type: 'provider', provider: 'a' } });
    const wrap = (store: Parameters<NonNullable<Parameters<typeof openArray>[1]>['wrap'] & object>[0]) =>
      Object.assign(Object.create(store), {
        name: 'liar',
        capabilities: store.capabilities,
        // Ignores conditions, as some servers do.
        put: (key: string, body: Uint8Array) => store.put(key, body),
        get: store.get.bind(store),
        list: store.list.bind(store),
        delete: store.delete.bind(store),
        close: store.close.bind(store),
      });
    await expect(openArray(made, { init: true, wrap })).rejects.toThrow(/cannot hold it: .*racing conditional writes \(create\) won/);
  });
});

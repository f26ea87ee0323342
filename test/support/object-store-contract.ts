/**
 * What every ObjectStore must do (src/racs/object-store.ts). A test file calls {@link itKeepsTheObjectStoreContract}
 * once per kind of store; `create` gives an empty store. Against a slow server `runs` bounds the property tests;
 * `longestKey` is for stores under a prefix. An
 * `emulator` may order by UTF-16 and take a backslash for a slash, as Azurite does; the array uses neither.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bodyBytes, compareKeys, type ObjectStore } from '../../src/racs/object-store.ts';

const text = (value: string) => new TextEncoder().encode(value);
const plain = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function* pieces(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield text(part);
}

export function itKeepsTheObjectStoreContract(
  create: () => ObjectStore | Promise<ObjectStore>,
  options: { runs?: number; longestKey?: number; emulator?: boolean } = {},
): void {
  it('gives back what was put, with size and etag, and no alias of either buffer', async () => {
    const store = await create();
    const body = text('hello');
    const put = await store.put('a', body);
    body.fill(0);
    const got = await store.get('a');
    expect(plain(got.body)).toBe('hello');
    expect([got.first, got.info.key, got.info.size, got.info.etag]).toEqual([0, 'a', 5, put.etag]);
    expect(put.etag).not.toMatch(/"|^$/);
    got.body.fill(0);
    expect(plain((await store.get('a')).body)).toBe('hello');
    expect(await store.head('a')).toMatchObject({ key: 'a', size: 5, etag: put.etag });
  });

  it('keeps an empty object, and a body that comes in pieces', async () => {
    const store = await create();
    await store.put('empty', new Uint8Array(0));
    expect((await store.get('empty')).body.length).toBe(0);
    await store.put('pieces', pieces('one ', '', 'two'));
    expect(plain((await store.get('pieces')).body)).toBe('one two');
    const stream = await store.getStream('pieces', { range: { first: 2, end: 6 } });
    expect([stream.first, stream.length, stream.info.size]).toEqual([2, 4, 7]);
    expect(plain(await bodyBytes(stream.body))).toBe('e tw');
  });

  it.each([
    ['from the middle', { first: 2, end: 4 }, 2, 'cd'],
    ['open at the end', { first: 3 }, 3, 'def'],
    ['past the end', { first: 4, end: 99 }, 4, 'ef'],
    ['of the last bytes', { suffix: 2 }, 4, 'ef'],
    ['of more last bytes than there are', { suffix: 99 }, 0, 'abcdef'],
  ])('serves a range %s', async (_, range, first, expected) => {
    const store = await create();
    await store.put('r', text('abcdef'));
    const got = await store.get('r', { range });
    expect([plain(got.body), got.first, got.info.size]).toEqual([expected, first, 6]);
  });

  it('refuses a range that begins past the end', async () => {
    const store = await create();
    await store.put('r', text('abc'));
    await expect(store.get('r', { range: { first: 3 } })).rejects.toMatchObject({ code: 'INVALID_RANGE' });
  });

  it('says NOT_FOUND for what is not there, and deletes it without complaint', async () => {
    const store = await create();
    await expect(store.get('none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store.getStream('none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store.head('none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await store.delete('none');
    await store.put('some', text('x'));
    await store.delete('some');
    await expect(store.get('some')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('replaces an object and its etag', async () => {
    const store = await create();
    const { etag } = await store.put('a', text('one'));
    const second = await store.put('a', text('three'));
    expect(second.etag).not.toBe(etag);
    expect(plain((await store.get('a')).body)).toBe('three');
    await expect(store.get('a', { ifMatch: etag })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
    expect(plain((await store.get('a', { ifMatch: second.etag })).body)).toBe('three');
  });

  it('creates only what is absent and replaces only the version named, or says that it has no conditions', async () => {
    const store = await create();
    if (!store.capabilities.conditionalPut) {
      await expect(store.put('c', text('1'), { ifNoneMatch: '*' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      await expect(store.put('c', text('1'), { ifMatch: 'x' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      return;
    }
    await expect(store.put('c', text('0'), { ifMatch: 'x' })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
    const { etag } = await store.put('c', text('1'), { ifNoneMatch: '*' });
    await expect(store.put('c', text('2'), { ifNoneMatch: '*' })).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
      mayHaveHappened: false,
    });
    const next = await store.put('c', text('3'), { ifMatch: etag });
    await expect(store.put('c', text('4'), { ifMatch: etag })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
    expect(plain((await store.get('c')).body)).toBe('3');
    // Some services have conditional puts and no conditional deletes.
    const refused = await store.delete('c', { ifMatch: etag }).catch((error: unknown) => error);
    expect((refused as { code?: string }).code).toMatch(/^(PRECONDITION_FAILED|UNSUPPORTED)$/);
    expect(plain((await store.get('c')).body)).toBe('3');
    await store.delete('c', (refused as { code?: string }).code === 'UNSUPPORTED' ? {} : { ifMatch: next.etag });
    await expect(store.head('c')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('lets one of many racing conditional writers win', async () => {
    const store = await create();
    if (!store.capabilities.conditionalPut) return;
    const race = async (condition: { ifNoneMatch: '*' } | { ifMatch: string }): Promise<string> => {
      // New content each time: where an etag is a hash, the same content is the same version.
      const content = (i: number): string => `${i} ${JSON.stringify(condition)}`;
      const answers = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => store.put('race', text(content(i)), condition)));
      const winners = answers.flatMap((answer, i) => (answer.status === 'fulfilled' ? [{ i, etag: answer.value.etag }] : []));
      expect(winners).toHaveLength(1);
      for (const answer of answers) {
        // A server may fail under the race; then it must not claim that nothing happened.
        const lost = answer.status === 'rejected' && answer.reason.code !== 'PRECONDITION_FAILED';
        if (lost) expect(answer.reason).toMatchObject({ retryable: true, mayHaveHappened: true });
      }
      expect(plain((await store.get('race')).body)).toBe(content(winners[0]!.i));
      return winners[0]!.etag;
    };
    const etag = await race({ ifNoneMatch: '*' });
    await race({ ifMatch: etag });
  });

  it('keeps metadata if it says so', async () => {
    const store = await create();
    await store.put('m', text('x'), { contentType: 'text/plain', metadata: { colour: 'grün' } });
    const info = await store.head('m');
    if (store.capabilities.metadata) expect(info).toMatchObject({ contentType: 'text/plain', metadata: { colour: 'grün' } });
    else expect(info.metadata).toBeUndefined();
  });

  it('lists in order of UTF-8 bytes, by prefix, in pages', async () => {
    const store = await create();
    const keys = ['b/1', 'a', 'b/2', 'b', 'b/10', 'c/ü', 'c/ é', 'b-', 'c/\u{1f600}', 'd/e/f'];
    if (!options.emulator) keys.push('c/\uff5e');
    for (const key of keys) await store.put(key, text(key));
    const sorted = [...keys].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
    const all = await store.list();
    expect(all.entries.map(({ key }) => key)).toEqual(sorted);
    expect(all.truncated).toBe(false);
    expect(all.entries.every(({ key, size }) => size === text(key).length)).toBe(true);
    const seen: string[] = [];
    for (let startAfter = ''; ; ) {
      const page = await store.list({ startAfter, limit: 2 });
      expect(page.entries.length).toBeLessThanOrEqual(2);
      seen.push(...page.entries.map(({ key }) => key));
      if (!page.truncated) break;
      startAfter = page.entries.at(-1)!.key;
    }
    expect(seen).toEqual(sorted);
    expect((await store.list({ prefix: 'b/' })).entries.map(({ key }) => key)).toEqual(['b/1', 'b/10', 'b/2']);
    expect((await store.list({ prefix: 'b/', startAfter: 'b/1', limit: 1 })).entries.map(({ key }) => key)).toEqual(['b/10']);
    expect((await store.list({ prefix: 'none' })).entries).toEqual([]);
    await expect(store.list({ limit: 0 })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it.each([
    ['with nothing in it', ''],
    ['with U+0000', 'a\0b'],
    ['of a lone surrogate', 'a\ud800'],
    ['of 1025 bytes', 'x'.repeat(1025)],
  ])('refuses a key %s', async (_, key) => {
    const store = await create();
    await expect(store.put(key, text('x'))).rejects.toMatchObject({ code: 'INVALID_KEY' });
    await expect(store.get(key)).rejects.toMatchObject({ code: 'INVALID_KEY' });
  });

  it('takes awkward keys for names and nothing else', async () => {
    const store = await create();
    const keys = [
      '../up',
      '/root',
      'a//b',
      '.',
      '..',
      'a/../b',
      'a/./b',
      'a/',
      '%2e%2e',
      'a b+c',
      'quo\'te"',
      ...(options.emulator ? [] : ['back\\slash']),
      'x'.repeat(options.longestKey ?? 1024),
      'nl\n',
      '<&>',
    ];
    for (const key of keys) await store.put(key, text(key));
    for (const key of keys) expect(plain((await store.get(key)).body)).toBe(key);
    expect((await store.list()).entries.map(({ key }) => key)).toEqual([...keys].sort(compareKeys));
    for (const key of keys) await store.delete(key);
    expect((await store.list()).entries).toEqual([]);
  });

  it('ends a call whose signal has fired', async () => {
    const store = await create();
    const controller = new AbortController();
    controller.abort();
    await expect(store.put('a', text('x'), { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(store.get('a', { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('agrees with a map after any sequence of puts and deletes', async () => {
    const key = fc.constantFrom('a', 'a/b', 'a/c', 'b', 'é', 'z/../y');
    const step = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), key, body: fc.uint8Array({ maxLength: 40 }) }),
      fc.record({ kind: fc.constant('delete' as const), key }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        const store = await create();
        for (const { key: old } of (await store.list()).entries) await store.delete(old);
        const model = new Map<string, Uint8Array>();
        for (const s of steps) {
          if (s.kind === 'delete') {
            await store.delete(s.key);
            model.delete(s.key);
          } else {
            await store.put(s.key, s.body);
            model.set(s.key, s.body);
          }
        }
        expect((await store.list()).entries.map(({ key: k }) => k)).toEqual([...model.keys()].sort(compareKeys));
        for (const [k, body] of model) expect(Buffer.compare((await store.get(k)).body, body)).toBe(0);
      }),
      { numRuns: options.runs ?? 20 },
    );
  });

  it('refuses calls after it was closed', async () => {
    const store = await create();
    await store.close();
    await expect(store.get('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
}

/**
 * What every CommitRegister must do (src/racs/register/commit-register.ts). `create` gives a register without names;
 * `second`, when the kind allows it, opens the same registers again as another process would.
 */

import { expect, it } from 'vitest';
import { absentVersion, type CommitRegister } from '../../src/racs/register/commit-register.ts';

const text = (value: string) => new TextEncoder().encode(value);
const plain = (bytes: Uint8Array | null) => (bytes === null ? null : new TextDecoder().decode(bytes));

export interface RegisterKind {
  create(): CommitRegister | Promise<CommitRegister>;
  second?(first: CommitRegister): CommitRegister | Promise<CommitRegister>;
}

export function itKeepsTheCommitRegisterContract({ create, second }: RegisterKind): void {
  it('reads a name never written as absent', async () => {
    const register = await create();
    expect(await register.read('none')).toEqual({ version: absentVersion, value: null });
    expect((await register.list()).entries).toEqual([]);
  });

  it('sets only over the version named, and says what is there otherwise', async () => {
    const register = await create();
    const one = await register.set('a', absentVersion, text('1'));
    if (!one.done) throw new Error('refused');
    const again = await register.set('a', absentVersion, text('x'));
    expect(again).toMatchObject({ done: false, current: { version: one.version } });
    const two = await register.set('a', one.version, text('2'));
    if (!two.done) throw new Error('refused');
    expect(two.version).not.toBe(one.version);
    expect((await register.set('a', one.version, text('late'))).done).toBe(false);
    const state = await register.read('a');
    expect([state.version, plain(state.value)]).toEqual([two.version, '2']);
    expect((await register.set('b', 'no version of b', text('x')).catch(() => ({ done: false }))).done).toBe(false);
    expect((await register.read('b')).value).toBeNull();
  });

  it('keeps an empty value apart from none, and binary and large ones whole', async () => {
    const register = await create();
    await register.set('empty', absentVersion, new Uint8Array(0));
    expect((await register.read('empty')).value).toEqual(new Uint8Array(0));
    const large = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) ^ (i >> 8));
    await register.set('large', absentVersion, large);
    expect(Buffer.compare((await register.read('large')).value!, large)).toBe(0);
    await expect(register.set('huge', absentVersion, new Uint8Array(1_000_001))).rejects.toMatchObject({ code: 'TOO_LARGE' });
  });

  it('lists names in order of UTF-8 bytes, by prefix, in pages, with values', async () => {
    const register = await create();
    const names = ['k/b', 'k/a', 'k', 'k/é', 'k/\u{1f600}', 'k/\uff5e', 'k/a/1', 'l', '../k', 'k/ %2f'];
    for (const name of names) expect((await register.set(name, absentVersion, text(name))).done).toBe(true);
    const sorted = [...names].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
    const all = await register.list();
    expect(all.entries.map(({ name }) => name)).toEqual(sorted);
    expect(all.entries.map(({ state }) => plain(state.value))).toEqual(sorted);
    expect(all.entries[0]!.state.version).toBe((await register.read(sorted[0]!)).version);
    const seen: string[] = [];
    for (let startAfter = ''; ; ) {
      const page = await register.list({ prefix: 'k/', startAfter, limit: 2 });
      seen.push(...page.entries.map(({ name }) => name));
      if (!page.truncated) break;
      startAfter = page.entries.at(-1)!.name;
    }
    expect(seen).toEqual(sorted.filter((name) => name.startsWith('k/')));
  });

  it('lets one of 16 racing sets win, each round', async () => {
    const register = await create();
    const other = second ? await second(register) : register;
    for (let round = 0, version = absentVersion; round < 3; round++) {
      const answers = await Promise.allSettled(
        Array.from({ length: 16 }, (_, i) => (i % 2 ? register : other).set('race', version, text(`${round}.${i}`))),
      );
      const winners = answers.flatMap((answer, i) => (answer.status === 'fulfilled' && answer.value.done ? [i] : []));
      expect(winners).toHaveLength(1);
      const state = await other.read('race');
      expect(plain(state.value)).toBe(`${round}.${winners[0]}`);
      version = state.version;
    }
    if (other !== register) await other.close();
  });

  it('counts right when many add to one register at once', async () => {
    const register = await create();
    const other = second ? await second(register) : register;
    // Each adds a mark of its own, so that after a lost answer it can see whether it has been counted.
    const add = async (through: CommitRegister, mark: string): Promise<void> => {
      for (;;) {
        const state = await through.read('count');
        const marks = plain(state.value) ?? '';
        if (marks.includes(mark)) return;
        const result = await through.set('count', state.version, text(marks + mark)).catch((error: { mayHaveHappened?: boolean }) => {
          if (!error.mayHaveHappened) throw error;
          return { done: false };
        });
        if (result.done) return;
      }
    };
    await Promise.all([...'abcdef'].map((mark, i) => add(i % 2 ? register : other, mark)));
    expect([...plain((await register.read('count')).value)!].sort().join('')).toBe('abcdef');
    if (other !== register) await other.close();
  });

  it('refuses calls after it was closed', async () => {
    const register = await create();
    await register.close();
    await expect(register.read('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
}

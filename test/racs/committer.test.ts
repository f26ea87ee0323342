import { describe, expect, it } from 'vitest';
import { commit, type NextManifest } from '../../src/racs/committer.ts';
import { decodeManifest, keptIds, type Manifest, recentAfter } from '../../src/racs/manifest.ts';
import { StoreError } from '../../src/racs/object-store.ts';
import type { CommitRegister, RegisterState, SetResult } from '../../src/racs/register/commit-register.ts';
import { MemoryRegister } from '../../src/racs/register/memory-register.ts';
import { newId } from '../../src/racs/share-format.ts';
import { TestClock, testChance } from '../support/racs.ts';

const clock = new TestClock();
const chance = testChance();
const fresh = () => newId(clock.now(), chance);

const write =
  (id: string): NextManifest =>
  (current) => ({
    v: 1,
    id,
    time: 0,
    size: 0,
    etag: id,
    parts: [],
    recent: recentAfter(current),
    ...(current?.floor !== undefined && { floor: current.floor }),
  });

/** The first set goes through `around`; everything else is plain. */
function firstSet(inner: CommitRegister, around: (set: () => Promise<SetResult>) => Promise<SetResult>): CommitRegister {
  let first = true;
  return {
    ...{ name: 'x', read: inner.read.bind(inner), list: inner.list.bind(inner), close: inner.close.bind(inner) },
    set: (...args) => {
      if (!first) return inner.set(...args);
      first = false;
      return around(() => inner.set(...args));
    },
  };
}

const lost = () => new StoreError('TIMEOUT', 'lost', { mayHaveHappened: true });
const now = async (register: CommitRegister): Promise<Manifest> => decodeManifest(((await register.read('k')) as RegisterState).value)!;

describe('a commit whose answer is lost', () => {
  it('is done once when it went through', async () => {
    const register = new MemoryRegister();
    const id = fresh();
    const faulty = firstSet(register, async (set) => {
      await set();
      throw lost();
    });
    await commit(faulty, 'k', write(id), { clock });
    expect(await now(register)).toMatchObject({ id, recent: [] });
  });

  it('is not done again over somebody who came after it', async () => {
    const register = new MemoryRegister();
    const [id, other] = [fresh(), fresh()];
    const faulty = firstSet(register, async (set) => {
      await set();
      await commit(register, 'k', write(other), { clock });
      throw lost();
    });
    expect((await commit(faulty, 'k', write(id), { clock })).manifest?.id).toBe(other);
    expect(await now(register)).toMatchObject({ id: other, recent: [id] });
  });

  it('is done again when it did not go through, and the late first one then changes nothing', async () => {
    const register = new MemoryRegister();
    const id = fresh();
    let late: (() => Promise<SetResult>) | undefined;
    const faulty = firstSet(register, async (set) => {
      late = set;
      throw lost();
    });
    await commit(faulty, 'k', write(id), { clock });
    const other = fresh();
    await commit(register, 'k', write(other), { clock });
    expect((await late!()).done).toBe(false);
    expect(await now(register)).toMatchObject({ id: other, recent: [id] });
  });

  it('goes over somebody who was there first', async () => {
    const register = new MemoryRegister();
    const [id, other] = [fresh(), fresh()];
    const faulty = firstSet(register, async (set) => {
      await commit(register, 'k', write(other), { clock });
      await set();
      throw lost();
    });
    await commit(faulty, 'k', write(id), { clock });
    expect(await now(register)).toMatchObject({ id, recent: [other] });
  });

  it('is reported as unclear when too much happened meanwhile to tell', async () => {
    const register = new MemoryRegister();
    await commit(register, 'k', write(fresh()), { clock });
    const faulty = firstSet(register, async (set) => {
      await set();
      for (let i = 0; i <= keptIds; i++) await commit(register, 'k', write(fresh()), { clock });
      throw lost();
    });
    await expect(commit(faulty, 'k', write(fresh()), { clock })).rejects.toMatchObject({ code: 'UNAVAILABLE', mayHaveHappened: true });
  });

  it('is refused, not unclear, when the version was fenced', async () => {
    const register = new MemoryRegister();
    const id = fresh();
    clock.advance(1000);
    await commit(register, 'k', (current) => ({ ...write(fresh())(current)!, gone: true, floor: clock.now() - 500 }), { clock });
    await expect(commit(register, 'k', write(id), { clock })).rejects.toMatchObject({ code: 'UNAVAILABLE', mayHaveHappened: false });
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Store } from '../../src/xenstore/store.ts';
import { walk } from '../../src/xenstore/tree.ts';
import { itKeepsThePersistContract } from '../support/persist-contract.ts';
import { Session } from './session.ts';

describe('a transaction', () => {
  it('sees its own writes and nobody else does before it commits', () => {
    const session = new Session();
    const id = session.begin(0);
    expect(id).not.toBe(0);
    session.inTransaction(id, 0, 'WRITE', '/a', '1');
    expect([session.inTransaction(id, 0, 'READ', '/a'), session.request(0, 'READ', '/a')]).toEqual(['1', 'ENOENT']);
    expect(session.inTransaction(id, 0, 'TRANSACTION_END', 'T')).toBe('OK');
    expect(session.request(0, 'READ', '/a')).toBe('1');
    expect(session.inTransaction(id, 0, 'READ', '/a')).toBe('ENOENT');
  });

  it('keeps the snapshot that it began with', () => {
    const session = new Session();
    session.request(0, 'WRITE', '/a', 'old');
    const id = session.begin(0);
    session.request(0, 'WRITE', '/a', 'new');
    expect(session.inTransaction(id, 0, 'READ', '/a')).toBe('old');
  });

  it('leaves nothing when it is aborted, and its events never fire', () => {
    const session = new Session();
    session.request(0, 'WATCH', '/a', 't');
    session.events();
    const id = session.begin(0);
    session.inTransaction(id, 0, 'WRITE', '/a', '1');
    expect(session.inTransaction(id, 0, 'TRANSACTION_END', 'F')).toBe('OK');
    expect([session.request(0, 'READ', '/a'), session.events()]).toEqual(['ENOENT', []]);
  });

  it('fires its events when it commits, in the order of its changes', () => {
    const session = new Session();
    session.request(0, 'WATCH', '/a', 't');
    session.events();
    const id = session.begin(0);
    session.inTransaction(id, 0, 'WRITE', '/a/x', '1');
    session.inTransaction(id, 0, 'RM', '/a/x');
    expect(session.events()).toEqual([]);
    session.inTransaction(id, 0, 'TRANSACTION_END', 'T');
    expect(session.events()).toEqual(['0: /a/x t', '0: /a/x t']);
  });

  it('does not nest', () => {
    const session = new Session();
    expect(session.inTransaction(session.begin(0), 0, 'TRANSACTION_START', '')).toBe('EBUSY');
  });

  type Request = [name: 'READ' | 'WRITE' | 'RM' | 'MKDIR' | 'SET_PERMS' | 'DIRECTORY', ...strings: string[]];
  it.each<[string, Request, Request, 'OK' | 'EAGAIN']>([
    ['the same node is written', ['WRITE', '/a/x', '1'], ['WRITE', '/a/x', '2'], 'EAGAIN'],
    ['what it read is written', ['READ', '/a/x'], ['WRITE', '/a/x', '2'], 'EAGAIN'],
    ['what it read is written with the same value', ['READ', '/a/x'], ['WRITE', '/a/x', 'x'], 'EAGAIN'],
    ['a node that it missed is created', ['READ', '/a/new'], ['WRITE', '/a/new', '1'], 'EAGAIN'],
    ['a listing that it read grows', ['DIRECTORY', '/a'], ['MKDIR', '/a/new'], 'EAGAIN'],
    ['what it read is removed', ['READ', '/a/x'], ['RM', '/a'], 'EAGAIN'],
    ['a descendant of what it removes is written', ['RM', '/a'], ['WRITE', '/a/x', '2'], 'EAGAIN'],
    ['something is created below what it removes', ['RM', '/a'], ['WRITE', '/a/x/new', '2'], 'EAGAIN'],
    ['both create children of one node', ['WRITE', '/a/m', ''], ['WRITE', '/a/n', ''], 'EAGAIN'],
    ['permissions of what it read change', ['READ', '/a/x'], ['SET_PERMS', '/a/x', 'b0'], 'EAGAIN'],
    ['a sibling is written', ['WRITE', '/a/x', '1'], ['WRITE', '/a/y', '2'], 'OK'],
    ['a node below what it read is written', ['READ', '/a'], ['WRITE', '/a/x', '2'], 'OK'],
    ['another tree changes', ['RM', '/a'], ['WRITE', '/b/x', '2'], 'OK'],
    ['others only read', ['WRITE', '/a/x', '1'], ['READ', '/a/x'], 'OK'],
  ])('ends when meanwhile %s', (_title, mine, theirs, answer) => {
    const session = new Session();
    for (const path of ['/a/x', '/a/y', '/b/x']) session.request(0, 'WRITE', path, 'x');
    const id = session.begin(0);
    session.inTransaction(id, 0, ...mine);
    session.request(0, ...theirs);
    expect(session.inTransaction(id, 0, 'TRANSACTION_END', 'T')).toBe(answer);
    const [, path] = mine;
    if (answer === 'OK' && mine[0] === 'WRITE') expect(session.request(0, 'READ', path as string)).toBe(mine[2]);
    if (theirs[0] === 'WRITE') expect(session.request(0, 'READ', theirs[1] as string)).toBe(theirs[2]);
  });

  it('whose clients committed in any interleaving equals running the committed ones one after the other (serializability)', () => {
    const path = fc.constantFrom('/a', '/a/b', '/a/b/c', '/d', '/d/e', '/f');
    const step = fc.oneof(
      fc.record({ name: fc.constant('WRITE' as const), path, value: fc.constantFrom('1', '2', '3') }),
      fc.record({ name: fc.constantFrom('READ' as const, 'RM' as const, 'MKDIR' as const, 'DIRECTORY' as const), path }),
    );
    type Step = { name: 'WRITE' | 'READ' | 'RM' | 'MKDIR' | 'DIRECTORY'; path: string; value?: string };
    const strings = ({ path, value }: Step): string[] => (value === undefined ? [path] : [path, value]);
    const client = fc.array(step, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(
        fc.array(client, { minLength: 2, maxLength: 4 }),
        fc.array(fc.nat(3), { maxLength: 30 }),
        fc.array(step, { maxLength: 4 }),
        (clients, schedule, before) => {
          const session = new Session();
          const oneByOne = new Session();
          for (const each of before) {
            session.request(0, each.name, ...strings(each));
            oneByOne.request(0, each.name, ...strings(each));
          }
          const running = clients.map((steps) => ({
            steps: [...steps] as Step[],
            id: session.begin(0),
            answers: [] as string[],
            done: false,
          }));
          const turn = (which: number): void => {
            const one = running[which % running.length]!;
            if (one.done) return;
            const next = one.steps.shift();
            if (next !== undefined) {
              one.answers.push(session.inTransaction(one.id, 0, next.name, ...strings(next)));
              return;
            }
            one.done = true;
            if (session.inTransaction(one.id, 0, 'TRANSACTION_END', 'T') !== 'OK') return;
            const again = clients[which % running.length]!.map((each) => oneByOne.request(0, each.name, ...strings(each)));
            expect(one.answers).toEqual(again);
          };
          for (const which of schedule) turn(which);
          for (const which of running.keys()) while (!running[which]!.done) turn(which);
          expect(contents(session.store)).toEqual(contents(oneByOne.store));
          expect(session.store.owned).toEqual(new Map([[0, contents(session.store).length]]));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('the store as a component', () => {
  itKeepsThePersistContract({
    create: () => new Store(),
    disturb: (store) => {
      const session = new Session(store);
      session.request(0, 'WRITE', '/local/domain/5/name', 'guest');
      session.request(0, 'SET_PERMS', '/local/domain/5', 'n5', 'r6');
      session.request(0, 'SET_PERMS', '@releaseDomain', 'r0');
      session.request(0, 'INTRODUCE', '5', '1', '2');
      session.request(5, 'WATCH', 'data', 't');
      const id = session.begin(5);
      session.inTransaction(id, 5, 'WRITE', 'data', 'x');
      session.request(0, 'WRITE', '/other', 'y');
    },
  });
});

function contents(store: Store): string[] {
  const lines: string[] = [];
  walk(store.root, [], (node, path) => lines.push(`/${path.join('/')}=${String.fromCharCode(...node.value)}`));
  // Children that two transactions created may come in another order than one by one.
  return lines.sort();
}

import { describe, expect, it } from 'vitest';
import { Session } from './session.ts';

function watched(...watches: [domid: number, path: string, token: string][]): Session {
  const session = new Session();
  session.request(0, 'MKDIR', '/local/domain/5');
  session.request(0, 'SET_PERMS', '/local/domain/5', 'n5');
  for (const watch of watches) session.request(watch[0], 'WATCH', watch[1], watch[2]);
  return session;
}

describe('a watch', () => {
  it('fires once when it is registered, also on a node that does not exist', () => {
    expect(watched([5, '/none', 't']).events()).toEqual(['5: /none t']);
  });

  it('is EEXIST as the same pair, and another one with another token', () => {
    const session = watched([5, 'a', 't']);
    expect([session.request(5, 'WATCH', 'a', 't'), session.request(5, 'WATCH', 'a', 'u')]).toEqual(['EEXIST', 'OK']);
    // The relative and the absolute spelling are the same path.
    expect(session.request(5, 'WATCH', '/local/domain/5/a', 't')).toBe('EEXIST');
  });

  it.each<[string, [number, string, string], string[][], string[]]>([
    [
      'a change at its path and below',
      [0, '/a', 't'],
      [
        ['WRITE', '/a', '1'],
        ['WRITE', '/a/b/c', '2'],
        ['WRITE', '/ab', '3'],
      ],
      ['0: /a t', '0: /a/b/c t'],
    ],
    [
      'the same value again',
      [0, '/a', 't'],
      [
        ['WRITE', '/a', '1'],
        ['WRITE', '/a', '1'],
      ],
      ['0: /a t', '0: /a t'],
    ],
    [
      'creation by MKDIR, but not MKDIR of what exists',
      [0, '/a', 't'],
      [
        ['MKDIR', '/a'],
        ['MKDIR', '/a'],
      ],
      ['0: /a t'],
    ],
    [
      'new permissions',
      [0, '/a', 't'],
      [
        ['MKDIR', '/a'],
        ['SET_PERMS', '/a', 'b0'],
      ],
      ['0: /a t', '0: /a t'],
    ],
    [
      'removal of a node above, with its own path',
      [0, '/a/b', 't'],
      [
        ['WRITE', '/a/b/c', ''],
        ['RM', '/a'],
      ],
      ['0: /a/b/c t', '0: /a/b t'],
    ],
    [
      'removal of a node below, once',
      [0, '/a', 't'],
      [
        ['WRITE', '/a/b/c', ''],
        ['RM', '/a/b'],
      ],
      ['0: /a/b/c t', '0: /a/b t'],
    ],
    [
      'nothing that was missing already',
      [0, '/a/x', 't'],
      [
        ['WRITE', '/a/b', ''],
        ['RM', '/a'],
      ],
      [],
    ],
    [
      'everything, at the root',
      [0, '/', 't'],
      [
        ['WRITE', '/q', ''],
        ['RM', '/q'],
      ],
      ['0: /q t', '0: /q t'],
    ],
    ['relative paths for a relative watch', [5, 'a', 't'], [['WRITE', '/local/domain/5/a/b', '1']], ['5: a/b t']],
  ])('fires for %s', (_title, watch, requests, events) => {
    const session = watched(watch);
    session.events();
    for (const [name, ...strings] of requests) session.request(0, name as 'WRITE', ...strings);
    expect(session.events()).toEqual(events);
  });

  it('does not fire for nodes that the watcher may not read', () => {
    const session = watched([5, '/', 't']);
    session.events();
    session.request(0, 'WRITE', '/secret', 'x');
    session.request(0, 'RM', '/secret');
    expect(session.events()).toEqual([]);
    session.request(0, 'WRITE', '/open', 'x');
    session.request(0, 'SET_PERMS', '/open', 'r0');
    session.request(0, 'SET_PERMS', '/open', 'n0');
    expect(session.events()).toEqual(['5: /open t', '5: /open t']);
  });

  it('goes with UNWATCH (ENOENT when there is none), with RESET_WATCHES, and with the connection', () => {
    const session = watched([5, 'a', 't'], [5, 'b', 't']);
    expect([
      session.request(5, 'UNWATCH', 'a', 'u'),
      session.request(5, 'UNWATCH', 'a', 't'),
      session.request(5, 'UNWATCH', 'a', 't'),
    ]).toEqual(['ENOENT', 'OK', 'ENOENT']);
    const id = session.begin(5);
    expect(session.request(5, 'RESET_WATCHES', '')).toBe('OK');
    session.events();
    session.request(5, 'WRITE', 'b', '');
    expect(session.events()).toEqual([]);
    expect(session.inTransaction(id, 5, 'READ', 'b')).toBe('ENOENT');
  });

  it('on a special name is for Domain 0, until that grants it', () => {
    const session = watched([0, '@releaseDomain', 'gone'], [0, '@introduceDomain', 'come']);
    expect(session.events()).toEqual(['0: @releaseDomain gone', '0: @introduceDomain come']);
    expect(session.request(5, 'WATCH', '@releaseDomain', 't')).toBe('EACCES');
    session.request(0, 'SET_PERMS', '@releaseDomain', 'n0', 'r5');
    expect(session.request(5, 'WATCH', '@releaseDomain', 't')).toBe('OK');
    session.events();
    session.request(0, 'INTRODUCE', '6', '1', '2');
    session.request(0, 'INTRODUCE', '6', '1', '3');
    expect(session.events()).toEqual(['0: @introduceDomain come']);
    session.request(0, 'RELEASE', '6');
    expect(session.events()).toEqual(['0: @releaseDomain gone', '5: @releaseDomain t']);
    expect(session.host).toEqual(['introduce 6 1 2', 'introduce 6 1 3', 'release 6']);
  });
});

describe('the release of a domain', () => {
  it('removes its nodes with all below, its name in lists, its watches and its transactions', () => {
    const session = watched([5, 'a', 't'], [0, '/local', 'w']);
    session.request(0, 'INTRODUCE', '5', '1', '2');
    session.request(5, 'WRITE', 'a/b', '1');
    session.request(0, 'WRITE', '/shared', 's');
    session.request(0, 'SET_PERMS', '/shared', 'n0', 'b5', 'r6');
    session.begin(5);
    session.events();
    session.request(0, 'RELEASE', '5');
    expect(session.events()).toEqual(['0: /local/domain/5 w']);
    expect(session.request(0, 'READ', '/local/domain/5')).toBe('ENOENT');
    expect(session.request(0, 'GET_PERMS', '/shared')).toBe('n0|r6|');
    expect([...session.store.connections.values()].map(({ domid }) => domid)).toEqual([0]);
    expect(session.store.owned.get(5)).toBeUndefined();
  });
});

import { describe, expect, it } from 'vitest';
import { XS } from '../../src/xen-abi/io/xs-wire.ts';
import { encodeText } from '../../src/xenstore/wire.ts';
import { type Name, Session } from './session.ts';

/** A store with /local/domain/5 owned by domain 5, /local/domain/6 owned by 6, and /tool closed to both. */
function twoDomains(): Session {
  const session = new Session();
  for (const domid of [5, 6]) {
    session.request(0, 'MKDIR', `/local/domain/${domid}`);
    session.request(0, 'SET_PERMS', `/local/domain/${domid}`, `n${domid}`);
  }
  session.request(0, 'WRITE', '/tool/version', '4.17');
  session.events();
  return session;
}

describe('a request', () => {
  type Row = [title: string, steps: [domid: number, name: Name | number, strings: string[], answer: string][]];
  it.each<Row>([
    [
      'WRITE then READ gives the value, without a NUL',
      [
        [0, 'WRITE', ['/a/b', 'x y'], 'OK'],
        [0, 'READ', ['/a/b'], 'x y'],
      ],
    ],
    [
      'WRITE creates missing parents with an empty value',
      [
        [0, 'WRITE', ['/a/b', 'x'], 'OK'],
        [0, 'READ', ['/a'], ''],
      ],
    ],
    [
      'DIRECTORY lists names in the order of creation',
      [
        [0, 'WRITE', ['/a/z', ''], 'OK'],
        [0, 'WRITE', ['/a/b', ''], 'OK'],
        [0, 'WRITE', ['/a/z', '1'], 'OK'],
        [0, 'DIRECTORY', ['/a'], 'z|b|'],
      ],
    ],
    [
      'DIRECTORY of a leaf is empty',
      [
        [0, 'WRITE', ['/a', ''], 'OK'],
        [0, 'DIRECTORY', ['/a'], ''],
      ],
    ],
    [
      'a missing node is ENOENT',
      [
        [0, 'READ', ['/a'], 'ENOENT'],
        [0, 'DIRECTORY', ['/a'], 'ENOENT'],
        [0, 'GET_PERMS', ['/a'], 'ENOENT'],
      ],
    ],
    [
      'a missing node below one that may not be read is EACCES',
      [
        [5, 'READ', ['/tool/none'], 'EACCES'],
        [5, 'READ', ['none'], 'ENOENT'],
      ],
    ],
    [
      "a relative path begins at the caller's home",
      [
        [5, 'WRITE', ['data/x', '1'], 'OK'],
        [0, 'READ', ['/local/domain/5/data/x'], '1'],
      ],
    ],
    [
      'a foreign home is closed',
      [
        [5, 'WRITE', ['data', '1'], 'OK'],
        [6, 'READ', ['/local/domain/5/data'], 'EACCES'],
        [6, 'WRITE', ['/local/domain/5/data', '2'], 'EACCES'],
        [6, 'RM', ['/local/domain/5/data'], 'EACCES'],
        [6, 'MKDIR', ['/local/domain/5/new'], 'EACCES'],
      ],
    ],
    [
      'MKDIR of a node that exists is OK and keeps its value',
      [
        [0, 'WRITE', ['/a', 'v'], 'OK'],
        [0, 'MKDIR', ['/a'], 'OK'],
        [0, 'READ', ['/a'], 'v'],
      ],
    ],
    [
      'RM takes all below away',
      [
        [0, 'WRITE', ['/a/b/c', 'v'], 'OK'],
        [0, 'RM', ['/a'], 'OK'],
        [0, 'READ', ['/a/b/c'], 'ENOENT'],
      ],
    ],
    [
      'RM of a missing node is OK with a parent, ENOENT without',
      [
        [0, 'RM', ['/a'], 'OK'],
        [0, 'RM', ['/a/b'], 'ENOENT'],
      ],
    ],
    ['RM of the root is EINVAL', [[0, 'RM', ['/'], 'EINVAL']]],
    [
      'children inherit permissions, with an unprivileged creator as owner',
      [
        [0, 'SET_PERMS', ['/local/domain/5', 'n5', 'r6'], 'OK'],
        [5, 'WRITE', ['a', ''], 'OK'],
        [5, 'GET_PERMS', ['a'], 'n5|r6|'],
        [0, 'SET_PERMS', ['/local/domain/5/a', 'r0', 'b5'], 'OK'],
        [5, 'WRITE', ['a/b', ''], 'OK'],
        [5, 'GET_PERMS', ['a/b'], 'r5|b5|'],
        [0, 'WRITE', ['/local/domain/5/a/c', ''], 'OK'],
        [0, 'GET_PERMS', ['/local/domain/5/a/c'], 'r0|b5|'],
      ],
    ],
    [
      'letters give exactly their rights',
      [
        [5, 'WRITE', ['r', '1'], 'OK'],
        [5, 'SET_PERMS', ['r', 'n5', 'r6'], 'OK'],
        [6, 'READ', ['/local/domain/5/r'], '1'],
        [6, 'WRITE', ['/local/domain/5/r', ''], 'EACCES'],
        [5, 'SET_PERMS', ['r', 'w5'], 'OK'],
        [6, 'READ', ['/local/domain/5/r'], 'EACCES'],
        [6, 'WRITE', ['/local/domain/5/r', '2'], 'OK'],
        [5, 'SET_PERMS', ['r', 'b5', 'n6'], 'OK'],
        [6, 'READ', ['/local/domain/5/r'], 'EACCES'],
        [7, 'READ', ['/local/domain/5/r'], '2'],
      ],
    ],
    [
      'SET_PERMS belongs to the owner, who may not give the node away',
      [
        [5, 'WRITE', ['a', ''], 'OK'],
        [5, 'SET_PERMS', ['a', 'b5'], 'OK'],
        [6, 'SET_PERMS', ['/local/domain/5/a', 'b6'], 'EACCES'],
        [5, 'SET_PERMS', ['a', 'n6'], 'EPERM'],
        [0, 'SET_PERMS', ['/local/domain/5/a', 'n6'], 'OK'],
      ],
    ],
    [
      'SET_PERMS needs a list of well-formed entries',
      [
        [0, 'SET_PERMS', ['/tool'], 'EINVAL'],
        [0, 'SET_PERMS', ['/tool', 'x1'], 'EINVAL'],
        [0, 'SET_PERMS', ['/tool', 'n'], 'EINVAL'],
        [0, 'SET_PERMS', ['/tool', 'n65536'], 'EINVAL'],
      ],
    ],
    [
      'only Domain 0 may introduce, release, resume, set a target, control',
      [
        [5, 'INTRODUCE', ['6', '1', '1'], 'EACCES'],
        [5, 'RELEASE', ['6'], 'EACCES'],
        [5, 'RESUME', ['6'], 'EACCES'],
        [5, 'SET_TARGET', ['6', '5'], 'EACCES'],
        [5, 'CONTROL', ['help'], 'EACCES'],
        [0, 'CONTROL', ['help'], 'help\nprint\n'],
        [0, 'CONTROL', ['nothing'], 'EINVAL'],
      ],
    ],
    [
      'GET_DOMAIN_PATH and IS_DOMAIN_INTRODUCED',
      [
        [5, 'GET_DOMAIN_PATH', ['12'], '/local/domain/12|'],
        [0, 'IS_DOMAIN_INTRODUCED', ['5'], 'F|'],
        [0, 'INTRODUCE', ['5', '77', '3'], 'OK'],
        [0, 'IS_DOMAIN_INTRODUCED', ['5'], 'T|'],
        [0, 'IS_DOMAIN_INTRODUCED', ['0'], 'T|'],
        [0, 'GET_DOMAIN_PATH', ['x'], 'EINVAL'],
      ],
    ],
    [
      'INTRODUCE again on another page is EINVAL; a failure of the host is passed on',
      [
        [0, 'INTRODUCE', ['5', '77', '3'], 'OK'],
        [0, 'INTRODUCE', ['5', '78', '3'], 'EINVAL'],
        [0, 'INTRODUCE', ['666', '1', '1'], 'EIO'],
        [0, 'IS_DOMAIN_INTRODUCED', ['666'], 'F|'],
        [0, 'INTRODUCE', ['40000', '1', '1'], 'EINVAL'],
      ],
    ],
    [
      'RELEASE, RESUME and SET_TARGET of unknown domains are ENOENT',
      [
        [0, 'RELEASE', ['9'], 'ENOENT'],
        [0, 'RESUME', ['9'], 'ENOENT'],
        [0, 'SET_TARGET', ['9', '5'], 'ENOENT'],
      ],
    ],
    [
      'a target lends its rights',
      [
        [6, 'READ', ['name'], 'ENOENT'],
        [5, 'WRITE', ['name', 'n'], 'OK'],
        [6, 'READ', ['/local/domain/5/name'], 'EACCES'],
        [0, 'INTRODUCE', ['5', '1', '1'], 'OK'],
        [0, 'INTRODUCE', ['6', '1', '1'], 'OK'],
        [0, 'SET_TARGET', ['6', '5'], 'OK'],
        [6, 'READ', ['/local/domain/5/name'], 'n'],
      ],
    ],
    [
      'unknown and server-only types are ENOSYS',
      [
        [0, 20, [''], 'ENOSYS'],
        [0, 99, [''], 'ENOSYS'],
        [0, 'WATCH_EVENT', ['a', 'b'], 'ENOSYS'],
        [0, 'ERROR', ['a'], 'ENOSYS'],
      ],
    ],
    [
      'wrong numbers of strings are EINVAL',
      [
        [0, 'READ', ['/a', 'b'], 'EINVAL'],
        [0, 'READ', [], 'EINVAL'],
        [0, 'WATCH', ['/a'], 'EINVAL'],
        [0, 'UNWATCH', ['/a', 'b', 'c'], 'EINVAL'],
        [0, 'INTRODUCE', ['1', '2'], 'EINVAL'],
        [0, 'TRANSACTION_END', ['X'], 'EINVAL'],
      ],
    ],
    ['TRANSACTION_END without a transaction is ENOENT', [[0, 'TRANSACTION_END', ['T'], 'ENOENT']]],
    [
      'special names are not nodes',
      [
        [0, 'READ', ['@releaseDomain'], 'EINVAL'],
        [0, 'WRITE', ['@x', ''], 'EINVAL'],
        [0, 'GET_PERMS', ['@releaseDomain'], 'n0|'],
        [0, 'SET_PERMS', ['@releaseDomain', 'n0', 'r5'], 'OK'],
        [0, 'GET_PERMS', ['@releaseDomain'], 'n0|r5|'],
        [5, 'SET_PERMS', ['@releaseDomain', 'b5'], 'EACCES'],
        [0, 'GET_PERMS', ['@other'], 'ENOENT'],
      ],
    ],
    [
      'DIRECTORY_PART gives a generation, names, and an empty name at the end',
      [
        [0, 'WRITE', ['/d/one', ''], 'OK'],
        [0, 'WRITE', ['/d/two', ''], 'OK'],
        [0, 'DIRECTORY_PART', ['/d', '4'], expect.stringMatching(/^\d+\|two\|\|$/)],
        [0, 'DIRECTORY_PART', ['/d', '99'], expect.stringMatching(/^\d+\|\|$/)],
      ],
    ],
  ])('%s', (_title, steps) => {
    const session = twoDomains();
    expect(steps.map(([domid, name, strings]) => session.request(domid, name, ...strings))).toEqual(steps.map(([, , , answer]) => answer));
  });

  it.each(['', 'a/', '/a/', '//', '/a//b', '/a b', '/\u00e4', '/a.b', `/${'x'.repeat(3071)}`, 'x'.repeat(2048)])(
    'with the path %j is EINVAL',
    (path) => {
      expect(twoDomains().request(0, 'WRITE', path, 'x')).toBe('EINVAL');
    },
  );

  it('may use the longest path', () => {
    const path = `/${'x'.repeat(3070)}`;
    const session = new Session();
    expect([session.request(0, 'WRITE', path, 'v'), session.request(0, 'READ', path)]).toEqual(['OK', 'v']);
  });

  it('WRITE is binary safe, READ gives every byte back, and WRITE without a NUL is EINVAL', () => {
    const session = new Session();
    const value = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
    expect(session.request(0, 'WRITE', '/bin', value)).toBe('OK');
    expect(session.request(0, 'READ', '/bin')).toBe(value.replaceAll('\0', '|'));
    expect(session.raw(0, { type: XS.WRITE, requestId: 1, transactionId: 0, payload: encodeText('/a') })).toBe('EINVAL');
    expect(session.raw(0, { type: XS.READ, requestId: 1, transactionId: 0, payload: encodeText('/bin') })).toBe('EINVAL');
  });

  it('DIRECTORY of more than a message is E2BIG, and DIRECTORY_PART gives it in whole names', () => {
    const session = new Session();
    const names = Array.from({ length: 600 }, (_, i) => `node-${i}-${'x'.repeat(i % 7)}`);
    for (const name of names) session.request(0, 'WRITE', `/d/${name}`, '');
    expect(session.request(0, 'DIRECTORY', '/d')).toBe('E2BIG');
    let all = '';
    for (;;) {
      const [, ...part] = session.request(0, 'DIRECTORY_PART', '/d', String(all.length)).split('|');
      all += part
        .slice(0, -1)
        .map((name) => (name === '' ? '' : `${name}|`))
        .join('');
      if (part.at(-2) === '') break;
    }
    expect(all).toBe(names.map((name) => `${name}|`).join(''));
  });
});

describe('quotas of an unprivileged domain', () => {
  const filled = (count: number, each: (i: number, session: Session) => string): string[] => {
    const session = twoDomains();
    return Array.from({ length: count }, (_, i) => each(i, session));
  };
  it.each<[string, number, (i: number, session: Session) => string, string]>([
    ['129 watches are E2BIG', 129, (i, s) => s.request(5, 'WATCH', 'a', `t${i}`), 'E2BIG'],
    ['11 open transactions are ENOSPC', 11, (_, s) => s.request(5, 'TRANSACTION_START', ''), 'ENOSPC'],
    [
      'the 1000th node below the home, with it the 1001st, is ENOSPC',
      1000,
      (i, s) => s.request(5, 'WRITE', `d${i % 20}/n${i}`, ''),
      'ENOSPC',
    ],
  ])('%s', (_title, count, each, error) => {
    const answers = filled(count, each);
    expect(answers).toContain(error);
    expect(answers[0]).not.toBe(error);
  });

  it('limit owned nodes exactly, and give room back when nodes go', () => {
    const session = twoDomains();
    // The home itself belongs to the domain: 999 more fit.
    const answers = Array.from({ length: 999 }, (_, i) => session.request(5, 'MKDIR', `d${i % 99}${i < 99 ? '' : `/${i}`}`));
    expect(new Set(answers)).toEqual(new Set(['OK']));
    expect(session.request(5, 'MKDIR', 'more')).toBe('ENOSPC');
    expect(session.request(0, 'MKDIR', '/local/domain/5/from-dom0')).toBe('OK');
    expect(session.request(5, 'RM', 'd0/99')).toBe('OK');
    expect(session.request(5, 'MKDIR', 'more')).toBe('ENOSPC');
    expect(session.request(5, 'RM', 'd0')).toBe('OK');
    expect(session.request(5, 'MKDIR', 'more')).toBe('OK');
  });

  it('limit a node to 2048 bytes and a list to 5 entries', () => {
    const session = twoDomains();
    expect(session.request(5, 'WRITE', 'v', 'x'.repeat(2015))).toBe('OK');
    expect(session.request(5, 'WRITE', 'v', 'x'.repeat(2016))).toBe('ENOSPC');
    expect(session.request(0, 'WRITE', '/local/domain/5/v', 'x'.repeat(4000))).toBe('OK');
    expect(session.request(5, 'SET_PERMS', 'w', 'n5')).toBe('ENOENT');
    session.request(5, 'WRITE', 'w', '');
    expect(session.request(5, 'SET_PERMS', 'w', 'n5', 'r1', 'r2', 'r3', 'r4')).toBe('OK');
    expect(session.request(5, 'SET_PERMS', 'w', 'n5', 'r1', 'r2', 'r3', 'r4', 'r6')).toBe('ENOSPC');
  });

  it('limit what one transaction touches', () => {
    const session = twoDomains();
    const id = session.begin(5);
    const answers = Array.from({ length: 1030 }, (_, i) => session.inTransaction(id, 5, 'READ', `n${i}`));
    expect([answers[0], answers[1023], answers[1024]]).toEqual(['ENOENT', 'ENOENT', 'ENOSPC']);
  });
});

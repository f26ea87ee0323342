import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Session } from './session.ts';

/** The tree as a flat list of paths, written as plainly as possible: what Domain 0 sees. */
class Model {
  readonly nodes = new Map<string, string>([
    ['/', ''],
    ['/tool', ''],
    ['/tool/xenstored', ''],
  ]);

  request(name: string, path: string, value = ''): string {
    const exists = this.nodes.has(path);
    switch (name) {
      case 'READ':
        return this.nodes.get(path) ?? 'ENOENT';
      case 'DIRECTORY':
        return exists
          ? this.#children(path)
              .map((child) => `${child}|`)
              .join('')
          : 'ENOENT';
      case 'WRITE':
      case 'MKDIR': {
        if (name === 'MKDIR' && exists) return 'OK';
        const names = path.split('/').filter((each) => each !== '');
        names.forEach((_, i) => {
          const ancestor = `/${names.slice(0, i + 1).join('/')}`;
          if (!this.nodes.has(ancestor)) this.nodes.set(ancestor, '');
        });
        this.nodes.set(path, value);
        return 'OK';
      }
      case 'RM': {
        if (path === '/') return 'EINVAL';
        if (!exists) return this.nodes.has(parentOf(path)) ? 'OK' : 'ENOENT';
        for (const each of [...this.nodes.keys()]) if (each === path || each.startsWith(`${path}/`)) this.nodes.delete(each);
        return 'OK';
      }
      default:
        throw new Error(name);
    }
  }

  #children(path: string): string[] {
    return [...this.nodes.keys()]
      .filter((each) => each !== '/' && parentOf(each) === path)
      .map((each) => each.slice(each.lastIndexOf('/') + 1));
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

describe('the store', () => {
  const path = fc.array(fc.constantFrom('a', 'b', 'c', 'tool'), { maxLength: 4 }).map((names) => `/${names.join('/')}`);
  const request = fc.record({
    name: fc.constantFrom('READ' as const, 'DIRECTORY' as const, 'WRITE' as const, 'MKDIR' as const, 'RM' as const),
    path,
    value: fc.constantFrom('', '1', '2'),
  });

  it('answers Domain 0 as a flat list of paths would', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
        const session = new Session();
        const model = new Model();
        for (const { name, path, value } of requests) {
          const strings = name === 'WRITE' ? [path, value] : [path];
          expect([name, path, session.request(0, name, ...strings)]).toEqual([
            name,
            path,
            model.request(name, path, name === 'WRITE' ? value : ''),
          ]);
        }
        expect(session.store.owned.get(0)).toBe(model.nodes.size);
      }),
      { numRuns: 300 },
    );
  });

  it('tells a watch of exactly the changes at or below its path', () => {
    fc.assert(
      fc.property(path, fc.array(request, { maxLength: 25 }), (watched, requests) => {
        const session = new Session();
        const model = new Model();
        session.request(0, 'WATCH', watched, 't');
        session.events();
        for (const { name, path, value } of requests) {
          const before = new Map(model.nodes);
          const strings = name === 'WRITE' ? [path, value] : [path];
          session.request(0, name, ...strings);
          model.request(name, path, name === 'WRITE' ? value : '');
          const below = (each: string): boolean => watched === '/' || each === watched || each.startsWith(`${watched}/`);
          const removed = name === 'RM' && before.has(path) && !model.nodes.has(path);
          const wrote = name === 'WRITE' || (name === 'MKDIR' && !before.has(path));
          const expected: string[] = [];
          if ((wrote || removed) && below(path)) expected.push(`0: ${path} t`);
          // A node above is removed: the watch hears of its own node, if that was there.
          else if (removed && watched.startsWith(`${path}/`) && before.has(watched)) expected.push(`0: ${watched} t`);
          expect([name, path, session.events()]).toEqual([name, path, expected]);
        }
      }),
      { numRuns: 300 },
    );
  });
});

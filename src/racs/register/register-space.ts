/** The registers of another CommitRegister under a prefix, so that several users share one without meeting. */

import type { CommitRegister, RegisterListing } from './commit-register.ts';

export function spaceOf(register: CommitRegister, space: string): CommitRegister {
  const prefix = `${space}/`;
  return {
    name: `${register.name} ${space}`,
    read: (name, options) => register.read(prefix + name, options),
    set: (name, expected, value, options) => register.set(prefix + name, expected, value, options),
    async list({ prefix: inner = '', startAfter, ...rest } = {}): Promise<RegisterListing> {
      const after = startAfter === undefined || startAfter === '' ? {} : { startAfter: prefix + startAfter };
      const { entries, truncated } = await register.list({ ...rest, ...after, prefix: prefix + inner });
      return { entries: entries.map(({ name, state }) => ({ name: name.slice(prefix.length), state })), truncated };
    },
    async close() {},
  };
}

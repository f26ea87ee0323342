/**
 * Who may do what with a node. The first entry names the owner, who may do everything, and its letter is what everybody
 * may who is not listed; the other entries are for one domain each. Domain 0 may do everything.
 * Source: Xen docs/misc/xenstore.txt "permissions", GET_PERMS and SET_PERMS.
 */

import { XsError } from './wire.ts';

export type Letter = 'n' | 'r' | 'w' | 'b';

export interface Permission {
  readonly domid: number;
  readonly letter: Letter;
}

/** At least one entry: the owner's. */
export type Permissions = readonly Permission[];

export type Access = 'read' | 'write' | 'owner';

/** Whose rights count: a domain and, for a device-model domain, the one that it serves (SET_TARGET). */
export interface Subject {
  readonly domid: number;
  readonly target: number | undefined;
}

export const rootPermissions: Permissions = [{ domid: 0, letter: 'n' }];

export function isPrivileged(subject: Subject): boolean {
  return subject.domid === 0;
}

export function ownerOf(permissions: Permissions): number {
  return (permissions[0] as Permission).domid;
}

export function permits(permissions: Permissions, subject: Subject, access: Access): boolean {
  if (isPrivileged(subject)) return true;
  const owner = ownerOf(permissions);
  if (owner === subject.domid || (subject.target !== undefined && owner === subject.target)) return true;
  if (access === 'owner') return false;
  const own = permissions.find(({ domid }, i) => i > 0 && (domid === subject.domid || domid === subject.target));
  const { letter } = own ?? (permissions[0] as Permission);
  return letter === 'b' || letter === (access === 'read' ? 'r' : 'w');
}

/** `n5`, `b0`. @throws {XsError} EINVAL. */
export function parsePermission(text: string): Permission {
  const match = /^([nrwb])(\d{1,5})$/.exec(text);
  const domid = Number(match?.[2]);
  if (match === null || domid > 0xffff) throw new XsError('EINVAL');
  return { domid, letter: match[1] as Letter };
}

export function formatPermission({ domid, letter }: Permission): string {
  return `${letter}${domid}`;
}

/** What a new child of a node gets: the same list, but an unprivileged creator owns what it creates. */
export function inheritedBy(subject: Subject, parent: Permissions): Permissions {
  if (isPrivileged(subject)) return parent;
  return [{ ...(parent[0] as Permission), domid: subject.domid }, ...parent.slice(1)];
}

/**
 * Names of nodes: what is allowed, and what a relative one means.
 * Source: Xen docs/misc/xenstore.txt "XENSTORE_REL_PATH_MAX", "nodes".
 */

import { XENSTORE_ABS_PATH_MAX, XENSTORE_REL_PATH_MAX } from '../xen-abi/io/xs-wire.ts';
import { XsError } from './wire.ts';

/** Names below the root; [] is the root itself. */
export type Path = readonly string[];

export const INTRODUCE_DOMAIN = '@introduceDomain';
export const RELEASE_DOMAIN = '@releaseDomain';

export function domainPath(domid: number): string {
  return `/local/domain/${domid}`;
}

/**
 * The absolute text of a path as a client wrote it.
 * @param special whether names that begin with `@` are possible here (watches and permissions).
 * @throws {XsError} EINVAL for a name that cannot be.
 */
export function canonicalPath(text: string, domid: number, special = false): string {
  if (text.startsWith('@')) {
    if (special && /^@[A-Za-z0-9\-_@/]+$/.test(text) && text.length < XENSTORE_REL_PATH_MAX) return text;
    throw new XsError('EINVAL');
  }
  const relative = !text.startsWith('/');
  if (relative && text.length >= XENSTORE_REL_PATH_MAX) throw new XsError('EINVAL');
  const absolute = relative ? `${domainPath(domid)}/${text}` : text;
  if (absolute.length >= XENSTORE_ABS_PATH_MAX) throw new XsError('EINVAL');
  if (absolute !== '/' && !/^(\/[A-Za-z0-9\-_@]+)+$/.test(absolute)) throw new XsError('EINVAL');
  return absolute;
}

/** @param absolute a canonical path that is not special. */
export function pathOf(absolute: string): Path {
  return absolute === '/' ? [] : absolute.slice(1).split('/');
}

export function textOf(path: Path): string {
  return `/${path.join('/')}`;
}

/** True for `ancestor` itself and everything below it. */
export function isAtOrBelow(ancestor: string, text: string): boolean {
  if (ancestor === '/') return text.startsWith('/');
  return text === ancestor || (text.startsWith(ancestor) && text[ancestor.length] === '/');
}

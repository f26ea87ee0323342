/**
 * Limits for unprivileged domains, so that none can fill the store or keep it busy. The defaults are those of 4.17's
 * xenstored. Source: Xen docs/man/xenstored options; names as its `quota` command prints them.
 * Left out: the limits on outstanding requests and on memory, since requests are answered at once here.
 */

import { isPrivileged, type Subject } from './permissions.ts';
import type { Node } from './tree.ts';
import { XsError } from './wire.ts';

export interface Quota {
  /** Nodes that a domain owns. */
  readonly nodes: number;
  readonly watches: number;
  /** Bytes of one node: a header of 24, 8 for each permission, the value, the names of the children with their NULs. */
  readonly nodeBytes: number;
  readonly transactions: number;
  /** Nodes that one transaction touches. */
  readonly transactionNodes: number;
  /** Entries of a permission list. */
  readonly permissions: number;
}

export const defaultQuota: Quota = {
  nodes: 1000,
  watches: 128,
  nodeBytes: 2048,
  transactions: 10,
  transactionNodes: 1024,
  permissions: 5,
};

/** @throws {XsError} ENOSPC when the node has become too large for what this subject may make. */
export function checkNodeBytes(quota: Quota, subject: Subject, node: Node): void {
  if (isPrivileged(subject)) return;
  let bytes = 24 + 8 * node.permissions.length + node.value.length;
  for (const name of node.children.keys()) bytes += name.length + 1;
  if (bytes >= quota.nodeBytes) throw new XsError('ENOSPC');
}

/** @throws {XsError} with `code` when an unprivileged subject has `count` already and `limit` is reached. */
export function checkCount(subject: Subject, count: number, limit: number, code: 'ENOSPC' | 'E2BIG'): void {
  if (!isPrivileged(subject) && count >= limit) throw new XsError(code);
}

/**
 * Transactions: a snapshot that sees its own writes, and a commit that fails with EAGAIN when a node that it touched has
 * changed since. "Touched" are nodes read, looked for in vain, written, created, removed, and the parents whose list of
 * children changed. What did not conflict is merged, so transactions in different parts of the tree do not disturb each
 * other. Source: Xen docs/misc/xenstore.txt TRANSACTION_START, TRANSACTION_END.
 */

import { pathOf } from './path.ts';
import { lookup, mergeTrees, type Node } from './tree.ts';
import type { Change } from './watch.ts';

/** What reading and writing works on: the store itself, or a transaction's snapshot. */
export interface View {
  root: Node;
  /** Nodes owned by each domain, counted in this view alone: the store's total, or a transaction's difference. */
  readonly owned: Map<number, number>;
}

export interface Transaction extends View {
  readonly base: Node;
  /** Paths touched, with the generation that the snapshot has there; -1 for no node. */
  readonly touched: Map<string, number>;
  /** Fired when it commits. */
  readonly changes: Change[];
}

export function beginTransaction(root: Node): Transaction {
  return { root, base: root, owned: new Map(), touched: new Map(), changes: [] };
}

export function generationAt(root: Node, path: string): number {
  return lookup(root, pathOf(path))?.generation ?? -1;
}

/** The root after the commit, or undefined when there is a conflict. */
export function commit(transaction: Transaction, current: Node, version: number): Node | undefined {
  if (current.version !== transaction.base.version) {
    for (const [path, generation] of transaction.touched) {
      if (generationAt(current, path) !== generation) return undefined;
    }
  }
  return mergeTrees(transaction.base, transaction.root, current, version);
}

export function addOwned(owned: Map<number, number>, domid: number, count: number): void {
  const sum = (owned.get(domid) ?? 0) + count;
  if (sum === 0) owned.delete(domid);
  else owned.set(domid, sum);
}

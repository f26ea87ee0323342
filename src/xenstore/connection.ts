/** One client of the store: a domain, or a program in Domain 0 with a connection of its own. Plain data. */

import type { Transaction } from './transaction.ts';
import type { Watch, Watcher } from './watch.ts';

export interface Connection extends Watcher {
  readonly id: number;
  readonly domid: number;
  /** The domain that this one serves (SET_TARGET), whose rights it then has too. */
  target: number | undefined;
  readonly watches: Watch[];
  readonly transactions: Map<number, Transaction>;
  /** Ids are per connection and never 0. */
  nextTransaction: number;
}

export function newConnection(id: number, domid: number): Connection {
  return { id, domid, target: undefined, watches: [], transactions: new Map(), nextTransaction: 1 };
}

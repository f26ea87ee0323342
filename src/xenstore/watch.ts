/**
 * Watches: a connection asks to hear of changes at a path and below it.
 *  1. A pair of path and token exists once per connection (EEXIST); it fires once when it is registered.
 *  2. It fires for each change at or below its path with the changed path; when a node above is removed, for its own
 *     node with its own path. A relative watch gets relative paths.
 *  3. `@introduceDomain` and `@releaseDomain` fire for domains; only Domain 0 may watch them until it grants more.
 *  4. An event goes only to who may read the node. For a removal the removed node's list counts, for a change of the
 *     list the old or the new one.
 * Sources: Xen docs/misc/xenstore.txt "Watches"; XSA-115 for 4.
 */

import { XENSTORE_PAYLOAD_MAX, XS } from '../xen-abi/io/xs-wire.ts';
import { domainPath, isAtOrBelow } from './path.ts';
import { type Permissions, permits, type Subject } from './permissions.ts';
import { encodeStrings, type Packet } from './wire.ts';

export interface Watch {
  /** Canonical. */
  readonly path: string;
  readonly relative: boolean;
  readonly token: string;
}

/** Who has watches: a connection. */
export interface Watcher extends Subject {
  readonly id: number;
  readonly watches: readonly Watch[];
}

/** Something that watches may fire for. */
export interface Change {
  readonly path: string;
  /** Descendants of a removed node: only watches on exactly this path fire. */
  readonly exact: boolean;
  /** Permission lists of which one must let the watcher read. */
  readonly readableBy: readonly Permissions[];
}

/** A packet that the store sends of its own accord. */
export interface Delivery {
  readonly connection: number;
  readonly packet: Packet;
}

export function eventsFor(connections: Iterable<Watcher>, changes: readonly Change[]): Delivery[] {
  const deliveries: Delivery[] = [];
  if (changes.length === 0) return deliveries;
  for (const change of changes) {
    for (const connection of connections) {
      if (!change.readableBy.some((permissions) => permits(permissions, connection, 'read'))) continue;
      for (const watch of connection.watches) {
        if (change.exact ? watch.path !== change.path : !isAtOrBelow(watch.path, change.path)) continue;
        deliveries.push(...watchEvent(connection, watch, change.path));
      }
    }
  }
  return deliveries;
}

/** The event for a path at or below the watch's; none when it would be too long for a message. */
export function watchEvent(connection: Watcher, watch: Watch, path: string): Delivery[] {
  const home = `${domainPath(connection.domid)}/`;
  const shown = watch.relative && path.startsWith(home) ? path.slice(home.length) : path;
  const payload = encodeStrings(shown, watch.token);
  if (payload.length > XENSTORE_PAYLOAD_MAX) return [];
  return [{ connection: connection.id, packet: { type: XS.WATCH_EVENT, requestId: 0, transactionId: 0, payload } }];
}

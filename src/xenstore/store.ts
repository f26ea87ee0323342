/**
 * The store: the tree, its clients, and the operations on nodes that messages are made of. Operations check permissions
 * and quotas, note what a transaction touches, and collect the changes that watches fire for. They throw
 * {@link XsError}, before anything has changed.
 * Sources: Xen docs/misc/xenstore.txt, docs/misc/xenstore-paths.pandoc.
 */

import type { Persistent, SaveReader, SaveWriter } from '../base/persist.ts';
import { type Connection, newConnection } from './connection.ts';
import { INTRODUCE_DOMAIN, type Path, RELEASE_DOMAIN, textOf } from './path.ts';
import {
  type Access,
  inheritedBy,
  isPrivileged,
  ownerOf,
  type Permissions,
  permits,
  rootPermissions,
  type Subject,
} from './permissions.ts';
import { checkCount, checkNodeBytes, defaultQuota, type Quota } from './quota.ts';
import { addOwned, beginTransaction, commit, generationAt, type Transaction, type View } from './transaction.ts';
import { addChild, lookup, type Node, nearest, newNode, removeNode, replaceNode, walk } from './tree.ts';
import { type Change, type Delivery, eventsFor } from './watch.ts';
import { XsError } from './wire.ts';

/** A domain that INTRODUCE has made known. */
export interface IntroducedDomain {
  readonly gfn: bigint;
  readonly port: number;
}

/** What the store asks of whoever connects it to domains. */
export interface StoreHost {
  /** Connects a domain's ring: undefined when done, or the error for the client. */
  introduce(domid: number, gfn: bigint, port: number): 'EINVAL' | 'ENOENT' | 'EIO' | undefined;
  /** The domain's connection is to end; its ring is unmapped. */
  release(domid: number): void;
  /** The domain may report its next shutdown again (RESUME). */
  resume(domid: number): void;
}

const empty = new Uint8Array(0);

export class Store implements Persistent, View {
  readonly quota: Quota;
  root: Node;
  /** Source of generations and versions. */
  counter = 1;
  readonly owned = new Map<number, number>();
  readonly special = new Map<string, Permissions>([
    [INTRODUCE_DOMAIN, rootPermissions],
    [RELEASE_DOMAIN, rootPermissions],
  ]);
  readonly connections = new Map<number, Connection>();
  readonly introduced = new Map<number, IntroducedDomain>();
  #nextConnection = 1;

  constructor(quota: Quota = defaultQuota) {
    this.quota = quota;
    this.root = newNode(rootPermissions, empty, 0);
    addOwned(this.owned, 0, 1);
    // Every store has this node; clients of newer interfaces look for it (xenstore-paths "/tool/xenstored").
    this.root = addChild(this.root, [], 'tool', newNode(rootPermissions, empty, 1), 1);
    this.root = addChild(this.root, ['tool'], 'xenstored', newNode(rootPermissions, empty, 1), 1);
    addOwned(this.owned, 0, 2);
  }

  connect(domid: number): Connection {
    const connection = newConnection(this.#nextConnection++, domid);
    this.connections.set(connection.id, connection);
    return connection;
  }

  /** Drops a connection with its watches and transactions. */
  disconnect(id: number): void {
    this.connections.delete(id);
  }

  /** Reads a node with the rights of the client. @throws {XsError} ENOENT, EACCES. */
  read(view: View, subject: Subject, path: Path, access: Access = 'read'): Node {
    const node = lookup(view.root, path);
    this.touch(view, subject, path);
    if (node === undefined) throw this.#missing(view, subject, path, access);
    if (!permits(node.permissions, subject, access)) throw new XsError('EACCES');
    return node;
  }

  /** WRITE: parents that are missing are created empty. */
  write(view: View, subject: Subject, path: Path, value: Uint8Array): Change[] {
    const node = lookup(view.root, path);
    if (node === undefined) return this.#create(view, subject, path, value);
    if (!permits(node.permissions, subject, 'write')) throw new XsError('EACCES');
    checkNodeBytes(this.quota, subject, { ...node, value });
    this.touch(view, subject, path);
    view.root = replaceNode(view.root, path, { value }, this.next());
    return [changeAt(path, node.permissions)];
  }

  /** MKDIR: nothing happens to a node that exists and may be written. */
  makeDirectory(view: View, subject: Subject, path: Path): Change[] {
    const node = lookup(view.root, path);
    if (node === undefined) return this.#create(view, subject, path, empty);
    this.touch(view, subject, path);
    if (!permits(node.permissions, subject, 'write')) throw new XsError('EACCES');
    return [];
  }

  /** RM: the node and all below. A missing node is no error if its parent exists. */
  remove(view: View, subject: Subject, path: Path): Change[] {
    if (path.length === 0) throw new XsError('EINVAL');
    this.touch(view, subject, path);
    const node = lookup(view.root, path);
    if (node === undefined) {
      const error = this.#missing(view, subject, path, 'write');
      this.touch(view, subject, path.slice(0, -1)); // whether the parent exists decides the answer
      if (error.code === 'ENOENT' && lookup(view.root, path.slice(0, -1)) !== undefined) return [];
      throw error;
    }
    if (!permits(node.permissions, subject, 'write')) throw new XsError('EACCES');
    const below: { node: Node; path: Path }[] = [];
    walk(node, path, (at, itsPath) => below.push({ node: at, path: itsPath }));
    this.touch(view, subject, path.slice(0, -1));
    for (const each of below) this.touch(view, subject, each.path);
    for (const each of below) addOwned(view.owned, ownerOf(each.node.permissions), -1);
    view.root = removeNode(view.root, path, this.next());
    return below.map((each) => ({ ...changeAt(each.path, each.node.permissions), exact: each.path !== path }));
  }

  setPermissions(view: View, subject: Subject, path: Path, permissions: Permissions): Change[] {
    const node = this.read(view, subject, path, 'owner');
    this.#checkPermissionList(subject, permissions);
    const [before, after] = [ownerOf(node.permissions), ownerOf(permissions)];
    if (before !== after && !isPrivileged(subject)) throw new XsError('EPERM');
    checkNodeBytes(this.quota, subject, { ...node, permissions });
    view.root = replaceNode(view.root, path, { permissions }, this.next());
    addOwned(view.owned, before, -1);
    addOwned(view.owned, after, 1);
    return [{ path: textOf(path), exact: false, readableBy: [node.permissions, permissions] }];
  }

  setSpecialPermissions(subject: Subject, name: string, permissions: Permissions): void {
    if (!isPrivileged(subject)) throw new XsError('EACCES');
    if (!this.special.has(name)) throw new XsError('ENOENT');
    this.special.set(name, permissions);
  }

  begin(connection: Connection): number {
    checkCount(connection, connection.transactions.size, this.quota.transactions, 'ENOSPC');
    const id = connection.nextTransaction;
    connection.nextTransaction = id === 0xffff_ffff ? 1 : id + 1;
    if (connection.transactions.has(id)) throw new XsError('EBUSY');
    connection.transactions.set(id, beginTransaction(this.root));
    return id;
  }

  /** Commits and forgets the transaction. @throws {XsError} EAGAIN on a conflict, ENOSPC when an owner would have too many nodes. */
  end(connection: Connection, id: number): Change[] {
    const transaction = connection.transactions.get(id);
    if (transaction === undefined) throw new XsError('ENOENT');
    connection.transactions.delete(id);
    const root = commit(transaction, this.root, this.next());
    if (root === undefined) throw new XsError('EAGAIN');
    for (const [domid, count] of transaction.owned) {
      if (count > 0 && !isPrivileged(connection) && domid !== 0 && (this.owned.get(domid) ?? 0) + count > this.quota.nodes)
        throw new XsError('ENOSPC');
    }
    this.root = root;
    for (const [domid, count] of transaction.owned) addOwned(this.owned, domid, count);
    return transaction.changes;
  }

  /** What a domain leaves behind: its nodes go with all below them, and no list names it any more. */
  forgetDomain(domid: number): Change[] {
    const changes: Change[] = [];
    const dom0: Subject = { domid: 0, target: undefined };
    const owned: Path[] = [];
    const listed: { path: Path; node: Node }[] = [];
    walk(this.root, [], (node, path) => {
      if (ownerOf(node.permissions) === domid) owned.push(path);
      else if (node.permissions.some((entry) => entry.domid === domid)) listed.push({ path, node });
    });
    for (const path of owned) if (lookup(this.root, path) !== undefined) changes.push(...this.remove(this, dom0, path));
    for (const { path, node } of listed) {
      if (lookup(this.root, path) === undefined) continue;
      const permissions = node.permissions.filter((entry) => entry.domid !== domid);
      this.root = replaceNode(this.root, path, { permissions }, this.next());
    }
    return changes;
  }

  fire(changes: readonly Change[]): Delivery[] {
    return eventsFor([...this.connections.values()], changes);
  }

  /** Events of `@introduceDomain` and `@releaseDomain`. */
  fireSpecial(name: string): Delivery[] {
    const permissions = this.special.get(name);
    return permissions === undefined ? [] : this.fire([{ path: name, exact: true, readableBy: [permissions] }]);
  }

  next(): number {
    return ++this.counter;
  }

  /** Notes that a transaction depends on the node at `path`. */
  touch(view: View, subject: Subject, path: Path): void {
    if (view === this) return;
    const transaction = view as Transaction;
    const text = textOf(path);
    if (transaction.touched.has(text)) return;
    checkCount(subject, transaction.touched.size, this.quota.transactionNodes, 'ENOSPC');
    transaction.touched.set(text, generationAt(transaction.base, text));
  }

  /** ENOENT only for who may know that the node is missing: who has the right to its nearest ancestor. */
  #missing(view: View, subject: Subject, path: Path, access: Access): XsError {
    const { node } = nearest(view.root, path);
    return new XsError(permits(node.permissions, subject, access) ? 'ENOENT' : 'EACCES');
  }

  #create(view: View, subject: Subject, path: Path, value: Uint8Array): Change[] {
    const { node: parent, depth } = nearest(view.root, path);
    if (!permits(parent.permissions, subject, 'write')) throw new XsError('EACCES');
    const permissions = inheritedBy(subject, parent.permissions);
    const owner = ownerOf(permissions);
    const count = path.length - depth;
    const total = (this.owned.get(owner) ?? 0) + (view === this ? 0 : (view.owned.get(owner) ?? 0));
    checkCount(subject, total + count - 1, this.quota.nodes, 'ENOSPC');
    checkNodeBytes(this.quota, subject, newNode(permissions, value, 0));
    checkNodeBytes(this.quota, subject, { ...parent, children: new Map(parent.children).set(path[depth] as string, parent) });
    for (let length = depth; length <= path.length; length++) this.touch(view, subject, path.slice(0, length));
    for (let at = depth; at < path.length; at++) {
      const last = at === path.length - 1;
      const generation = this.next();
      const child = newNode(permissions, last ? value : empty, generation);
      view.root = addChild(view.root, path.slice(0, at), path[at] as string, child, generation);
    }
    addOwned(view.owned, owner, count);
    return [changeAt(path, permissions)];
  }

  #checkPermissionList(subject: Subject, permissions: Permissions): void {
    if (permissions.length === 0) throw new XsError('EINVAL');
    checkCount(subject, permissions.length - 1, this.quota.permissions, 'ENOSPC');
  }

  save(writer: SaveWriter): void {
    writer.section('xenstore', 1, () => {
      writer.safeInteger(this.counter);
      writer.safeInteger(this.#nextConnection);
      writer.plain(this.root);
      writer.plain(this.owned);
      writer.plain(this.special);
      writer.plain(this.introduced);
      writer.plain(this.connections);
    });
  }

  restore(reader: SaveReader): void {
    reader.section('xenstore', 1, () => {
      this.counter = reader.safeInteger();
      this.#nextConnection = reader.safeInteger();
      this.root = reader.plain<Node>();
      refill(this.owned, reader.plain());
      refill(this.special, reader.plain());
      refill(this.introduced, reader.plain());
      // Records leave undefined members out.
      const connections = reader.plain<Map<number, Connection>>();
      for (const connection of connections.values()) connection.target ??= undefined;
      refill(this.connections, connections);
    });
  }
}

function changeAt(path: Path, permissions: Permissions): Change {
  return { path: textOf(path), exact: false, readableBy: [permissions] };
}

function refill<K, V>(into: Map<K, V>, from: Map<K, V>): void {
  into.clear();
  for (const [key, value] of from) into.set(key, value);
}

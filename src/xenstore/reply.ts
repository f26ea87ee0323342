/**
 * The answer to a request: `reply(store, connection, request)`. It changes nothing but the store and the connection,
 * reaches domains only through {@link StoreHost}, and gives back what is to be sent, so that tests are rows.
 * The table below is the protocol: one row per message with its handler.
 * Sources: Xen public/io/xs_wire.h, docs/misc/xenstore.txt.
 */

import { XENSTORE_PAYLOAD_MAX, XS, type XsErrorName } from '../xen-abi/io/xs-wire.ts';
import type { Connection } from './connection.ts';
import { canonicalPath, domainPath, INTRODUCE_DOMAIN, type Path, pathOf, RELEASE_DOMAIN } from './path.ts';
import { formatPermission, isPrivileged, type Permission, parsePermission, permits } from './permissions.ts';
import { checkCount } from './quota.ts';
import type { Store, StoreHost } from './store.ts';
import type { View } from './transaction.ts';
import { type Change, type Delivery, watchEvent } from './watch.ts';
import { decodeStrings, decodeText, encodeStrings, encodeText, type Packet, XsError } from './wire.ts';

export interface Reply {
  readonly response: Packet;
  /** Watch events, to be sent after the response, in this order. */
  readonly events: readonly Delivery[];
}

interface Call {
  readonly store: Store;
  readonly host: StoreHost;
  readonly connection: Connection;
  readonly payload: Uint8Array;
  readonly transactionId: number;
  /** The store, or the snapshot of the request's transaction. */
  readonly view: View;
  /** Changes of a transaction wait for its commit; others fire at once. */
  readonly changed: (changes: readonly Change[]) => void;
  readonly events: Delivery[];
}

type Handler = (call: Call) => Uint8Array;

const ok = (): Uint8Array => encodeStrings('OK');

const handlers: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [XS.CONTROL, privileged(control)],
  [XS.DIRECTORY, directory],
  [XS.READ, (call) => call.store.read(call.view, call.connection, onlyPath(call)).value],
  [XS.GET_PERMS, getPermissions],
  [XS.WATCH, watch],
  [XS.UNWATCH, unwatch],
  [XS.TRANSACTION_START, transactionStart],
  [XS.TRANSACTION_END, transactionEnd],
  [XS.INTRODUCE, privileged(introduce)],
  [XS.RELEASE, privileged(release)],
  [XS.GET_DOMAIN_PATH, (call) => encodeStrings(domainPath(domidOf(strings(call, 1)[0])))],
  [XS.WRITE, write],
  [XS.MKDIR, changing(({ store, view, connection }, path) => store.makeDirectory(view, connection, path))],
  [XS.RM, changing(({ store, view, connection }, path) => store.remove(view, connection, path))],
  [XS.SET_PERMS, setPermissions],
  [XS.IS_DOMAIN_INTRODUCED, (call) => encodeStrings(isIntroduced(call.store, domidOf(strings(call, 1)[0])) ? 'T' : 'F')],
  [XS.RESUME, privileged(resume)],
  [XS.SET_TARGET, privileged(setTarget)],
  [XS.RESET_WATCHES, resetWatches],
  [XS.DIRECTORY_PART, directoryPart],
]);

/** Answers one request. Errors are answers too; only a bug of ours throws. */
export function reply(store: Store, connection: Connection, request: Packet, host: StoreHost): Reply {
  const events: Delivery[] = [];
  const respond = (type: number, payload: Uint8Array): Reply => ({ response: { ...request, type, payload }, events });
  try {
    const handler = handlers.get(request.type);
    if (handler === undefined) throw new XsError('ENOSYS');
    const { transactionId, payload } = request;
    const transaction = connection.transactions.get(transactionId);
    if (transactionId !== 0 && transaction === undefined) throw new XsError('ENOENT');
    const changed = (changes: readonly Change[]): void => {
      if (transaction === undefined) events.push(...store.fire(changes));
      else transaction.changes.push(...changes);
    };
    const answer = handler({ store, host, connection, payload, transactionId, view: transaction ?? store, changed, events });
    if (answer.length > XENSTORE_PAYLOAD_MAX) throw new XsError('E2BIG');
    return respond(request.type, answer);
  } catch (error) {
    if (!(error instanceof XsError)) throw error;
    return respond(XS.ERROR, encodeStrings(error.code satisfies XsErrorName));
  }
}

/** `@releaseDomain` and the end of what a domain had; called for RELEASE, and by xenstored when the hypervisor says so. */
export function domainGone(store: Store, domid: number, host: StoreHost): Delivery[] {
  host.release(domid);
  store.introduced.delete(domid);
  for (const connection of [...store.connections.values()]) if (connection.domid === domid && domid !== 0) store.disconnect(connection.id);
  return [...store.fire(store.forgetDomain(domid)), ...store.fireSpecial(RELEASE_DOMAIN)];
}

function directory(call: Call): Uint8Array {
  return encodeStrings(...call.store.read(call.view, call.connection, onlyPath(call)).children.keys());
}

/** Generation of the node, then as many whole names from `offset` on as fit; an empty name marks the end. */
function directoryPart(call: Call): Uint8Array {
  const [text, offset] = strings(call, 2) as [string, string];
  const node = call.store.read(call.view, call.connection, pathOf(canonicalPath(text, call.connection.domid)));
  const names = encodeStrings(...node.children.keys());
  const start = decimal(offset);
  const generation = encodeStrings(String(node.generation));
  const rest = names.subarray(Math.min(start, names.length));
  const room = XENSTORE_PAYLOAD_MAX - generation.length - 1;
  if (rest.length <= room) return concat(generation, rest, Uint8Array.of(0));
  return concat(generation, rest.subarray(0, rest.lastIndexOf(0, room - 1) + 1));
}

function getPermissions(call: Call): Uint8Array {
  const { store, connection } = call;
  const text = canonicalPath(strings(call, 1)[0] as string, connection.domid, true);
  if (!text.startsWith('@')) return encodeStrings(...store.read(call.view, connection, pathOf(text)).permissions.map(formatPermission));
  const permissions = store.special.get(text);
  if (permissions === undefined) throw new XsError('ENOENT');
  if (!isPrivileged(connection)) throw new XsError('EACCES');
  return encodeStrings(...permissions.map(formatPermission));
}

function setPermissions(call: Call): Uint8Array {
  const [name, ...entries] = strings(call, 2, Number.POSITIVE_INFINITY);
  const permissions = entries.map(parsePermission) as [Permission, ...Permission[]];
  const text = canonicalPath(name as string, call.connection.domid, true);
  if (text.startsWith('@')) call.store.setSpecialPermissions(call.connection, text, permissions);
  else call.changed(call.store.setPermissions(call.view, call.connection, pathOf(text), permissions));
  return ok();
}

function write(call: Call): Uint8Array {
  const end = call.payload.indexOf(0);
  if (end < 0) throw new XsError('EINVAL');
  const path = pathOf(canonicalPath(decodeText(call.payload.subarray(0, end)), call.connection.domid));
  call.changed(call.store.write(call.view, call.connection, path, call.payload.slice(end + 1)));
  return ok();
}

function watch({ store, connection, payload, events }: Call): Uint8Array {
  const [text, token] = exactly(payload, 2) as [string, string];
  const path = canonicalPath(text, connection.domid, true);
  const special = path.startsWith('@');
  if (special && !isPrivileged(connection)) {
    const permissions = store.special.get(path);
    if (permissions === undefined || !permits(permissions, connection, 'read')) throw new XsError('EACCES');
  }
  if (connection.watches.some((each) => each.path === path && each.token === token)) throw new XsError('EEXIST');
  checkCount(connection, connection.watches.length, store.quota.watches, 'E2BIG');
  const added = { path, relative: !special && !text.startsWith('/'), token };
  connection.watches.push(added);
  events.push(...watchEvent(connection, added, path));
  return ok();
}

function unwatch({ connection, payload }: Call): Uint8Array {
  const [text, token] = exactly(payload, 2) as [string, string];
  const path = canonicalPath(text, connection.domid, true);
  const at = connection.watches.findIndex((each) => each.path === path && each.token === token);
  if (at < 0) throw new XsError('ENOENT');
  connection.watches.splice(at, 1);
  return ok();
}

function transactionStart({ store, connection, transactionId }: Call): Uint8Array {
  if (transactionId !== 0) throw new XsError('EBUSY'); // no transaction inside another
  return encodeStrings(String(store.begin(connection)));
}

function transactionEnd({ store, connection, payload, transactionId, events }: Call): Uint8Array {
  const [answer] = exactly(payload, 1);
  if (answer !== 'T' && answer !== 'F') throw new XsError('EINVAL');
  if (transactionId === 0) throw new XsError('ENOENT');
  if (answer === 'F') connection.transactions.delete(transactionId);
  else events.push(...store.fire(store.end(connection, transactionId)));
  return ok();
}

function introduce(call: Call): Uint8Array {
  const [domid, gfn, port] = strings(call, 3) as [string, string, string];
  const id = domidOf(domid);
  const frame = BigInt(decimal(gfn));
  const channel = decimal(port);
  const known = call.store.introduced.get(id);
  // A domain that is known may be introduced again (it came back from suspend), on the same page only.
  if (known !== undefined && known.gfn !== frame) throw new XsError('EINVAL');
  const error = call.host.introduce(id, frame, channel);
  if (error !== undefined) throw new XsError(error);
  call.store.introduced.set(id, { gfn: frame, port: channel });
  if (known === undefined) call.events.push(...call.store.fireSpecial(INTRODUCE_DOMAIN));
  return ok();
}

function release(call: Call): Uint8Array {
  const domid = domidOf(strings(call, 1)[0]);
  if (!call.store.introduced.has(domid)) throw new XsError('ENOENT');
  call.events.push(...domainGone(call.store, domid, call.host));
  return ok();
}

function resume(call: Call): Uint8Array {
  const domid = domidOf(strings(call, 1)[0]);
  if (!call.store.introduced.has(domid)) throw new XsError('ENOENT');
  call.host.resume(domid);
  return ok();
}

function setTarget(call: Call): Uint8Array {
  const [domid, target] = strings(call, 2).map(domidOf) as [number, number];
  if (!call.store.introduced.has(domid) || !call.store.introduced.has(target)) throw new XsError('ENOENT');
  for (const connection of call.store.connections.values()) if (connection.domid === domid) connection.target = target;
  return ok();
}

function resetWatches({ connection }: Call): Uint8Array {
  connection.watches.length = 0;
  connection.transactions.clear();
  return ok();
}

/** CONTROL: of the many commands of real servers only `help`, and `print`, whose text goes nowhere. */
function control({ payload }: Call): Uint8Array {
  const [command] = decodeStrings(payload) ?? [decodeText(payload)];
  if (command === 'help') return encodeText('help\nprint\n');
  if (command === 'print') return ok();
  throw new XsError('EINVAL');
}

function isIntroduced(store: Store, domid: number): boolean {
  return domid === 0 || domid === 0x7ff0 || store.introduced.has(domid);
}

function privileged(handler: Handler): Handler {
  return (call) => {
    if (!isPrivileged(call.connection)) throw new XsError('EACCES');
    return handler(call);
  };
}

function changing(operation: (call: Call, path: Path) => Change[]): Handler {
  return (call) => {
    call.changed(operation(call, onlyPath(call)));
    return ok();
  };
}

function onlyPath(call: Call): Path {
  return pathOf(canonicalPath(strings(call, 1)[0] as string, call.connection.domid));
}

/** The strings of the payload, at least `least` and at most `most` of them. @throws {XsError} EINVAL. */
function strings({ payload }: Call, least: number, most = least): string[] {
  const list = decodeStrings(payload);
  if (list === undefined || list.length < least || list.length > most) throw new XsError('EINVAL');
  return list;
}

function exactly(payload: Uint8Array, count: number): string[] {
  const list = decodeStrings(payload);
  if (list?.length !== count) throw new XsError('EINVAL');
  return list;
}

function decimal(text: string | undefined): number {
  if (text === undefined || !/^\d{1,15}$/.test(text)) throw new XsError('EINVAL');
  return Number(text);
}

function domidOf(text: string | undefined): number {
  const domid = decimal(text);
  // Up to DOMID_SELF; ids from DOMID_FIRST_RESERVED on are no domains (Xen public/xen.h).
  if (domid > 0x7ff0) throw new XsError('EINVAL');
  return domid;
}

function concat(...pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

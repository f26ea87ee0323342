/** A conversation with a store in the words of a shell, for rows of tests: `request(5, 'WRITE', '/a', 'x')` gives `OK`. */

import { XS } from '../../src/xen-abi/io/xs-wire.ts';
import type { Connection } from '../../src/xenstore/connection.ts';
import { reply } from '../../src/xenstore/reply.ts';
import { Store, type StoreHost } from '../../src/xenstore/store.ts';
import { decodeText, encodeStrings, encodeText, type Packet } from '../../src/xenstore/wire.ts';

export type Name = keyof typeof XS;

export class Session {
  readonly store: Store;
  /** Calls of the host, as text. */
  readonly host: string[] = [];
  /** Events since the last look, as `connection: path token`. */
  #events: string[] = [];
  readonly #connections = new Map<number, Connection>();

  constructor(store = new Store()) {
    this.store = store;
  }

  connection(domid: number): Connection {
    let connection = this.#connections.get(domid);
    if (connection === undefined) {
      connection = this.store.connect(domid);
      this.#connections.set(domid, connection);
    }
    return connection;
  }

  /** Sends a message; strings get a NUL each, but the value of WRITE does not. Gives the answer with NULs shown as `|`. */
  request(domid: number, name: Name | number, ...strings: string[]): string {
    return this.inTransaction(0, domid, name, ...strings);
  }

  inTransaction(transactionId: number, domid: number, name: Name | number, ...strings: string[]): string {
    const type = typeof name === 'number' ? name : XS[name];
    const payload = name === 'WRITE' && strings.length === 2 ? encodeText(`${strings[0]}\0${strings[1]}`) : encodeStrings(...strings);
    return this.raw(domid, { type, requestId: 7, transactionId, payload });
  }

  raw(domid: number, packet: Packet): string {
    const { response, events } = reply(this.store, this.connection(domid), packet, this.hostCalls());
    for (const { connection, packet: event } of events) {
      const [path, token] = decodeText(event.payload).split('\0');
      this.#events.push(`${this.store.connections.get(connection)?.domid}: ${path} ${token}`);
    }
    if (response.requestId !== packet.requestId || response.transactionId !== packet.transactionId) return 'answer to something else';
    const text = decodeText(response.payload).replaceAll('\0', '|');
    if (response.type === XS.ERROR) return text.slice(0, -1);
    return response.type === packet.type ? text.replace(/^OK\|$/, 'OK') : `type ${response.type}`;
  }

  begin(domid: number): number {
    return Number(this.request(domid, 'TRANSACTION_START', '').replace('|', ''));
  }

  events(): string[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  hostCalls(): StoreHost {
    return {
      introduce: (domid, gfn, port) => {
        this.host.push(`introduce ${domid} ${gfn} ${port}`);
        return domid === 666 ? 'EIO' : undefined;
      },
      release: (domid) => this.host.push(`release ${domid}`),
      resume: (domid) => this.host.push(`resume ${domid}`),
    };
  }
}

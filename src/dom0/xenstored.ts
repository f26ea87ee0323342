/**
 * xenstored: the store with its clients. Domains talk through their ring page (mapped by the domain's grant reference 1,
 * which the builder seeds) and an event channel; programs in Dom0 call `request`.
 *
 * Serving a ring (Xen public/io/xs_wire.h):
 *  1. Answers that wait go first; while some do not fit, no further request is taken, so a domain cannot pile them up.
 *  2. Requests are taken as they come, in pieces; each whole one is answered, and its events go to the rings of others.
 *  3. Each side is notified after its index moved. Indices that cannot be, and messages above 4096 bytes, end the service
 *     of that ring with an error word in the page.
 * VIRQ_DOM_EXC says that some domain has shut down or died: getdomaininfo says which, and @releaseDomain fires.
 */

import { BackendError } from '../base/errors.ts';
import type { Persistent, SaveReader, SaveWriter } from '../base/persist.ts';
import { XEN_DOMCTL_getdomaininfo, XEN_DOMINF_dying, XEN_DOMINF_shutdown, xen_domctl_getdomaininfo } from '../xen-abi/domctl.ts';
import { GNTTAB_RESERVED_XENSTORE } from '../xen-abi/grant-table.ts';
import { putBytes, takeBytes } from '../xen-abi/io/byte-ring.ts';
import {
  XENSTORE_ERROR,
  XENSTORE_ERROR_PROTO,
  XENSTORE_ERROR_RINGIDX,
  XENSTORE_SERVER_FEATURE_ERROR,
  XENSTORE_SERVER_FEATURES,
  XS,
  xenstoreRing,
} from '../xen-abi/io/xs-wire.ts';
import type { Connection } from '../xenstore/connection.ts';
import { RELEASE_DOMAIN } from '../xenstore/path.ts';
import { domainGone, reply } from '../xenstore/reply.ts';
import { Store, type StoreHost } from '../xenstore/store.ts';
import type { Delivery } from '../xenstore/watch.ts';
import { decodeText, encodePacket, encodeStrings, encodeText, takePacket, XsError } from '../xenstore/wire.ts';
import type { Dom0Kernel } from './kernel/kernel.ts';

/** The ring of one introduced domain. Plain data. */
interface DomainRing {
  readonly domid: number;
  connection: number;
  readonly page: bigint;
  readonly grant: number;
  port: number;
  /** Bytes of a request that is not whole yet, and of answers that do not fit yet. */
  input: Uint8Array;
  output: Uint8Array;
  /** False after an error of the peer: nothing is read or written any more. */
  serving: boolean;
  /** The domain's shutdown has been announced. */
  shutdownSeen: boolean;
}

/** An event for a program in Dom0. */
export interface LocalEvent {
  readonly path: string;
  readonly token: string;
}

/** A ring whose peer takes no answers while watches go on firing is given up here. */
const outputLimitBytes = 1 << 20;

export class Xenstored implements Persistent {
  readonly store = new Store();
  readonly #kernel: Dom0Kernel;
  readonly #rings = new Map<number, DomainRing>();
  /** Connection of the programs in Dom0, and the events that wait for them. */
  #local: number;
  #localEvents: LocalEvent[] = [];

  constructor(kernel: Dom0Kernel) {
    this.#kernel = kernel;
    this.#local = this.store.connect(0).id;
  }

  /** A request by Dom0's own programs. @throws {XsError} with the store's answer. */
  request(type: number, ...strings: readonly string[]): string {
    return this.#locally(type, encodeStrings(...strings));
  }

  write(path: string, value: string): void {
    this.#locally(XS.WRITE, encodeText(`${path}\0${value}`));
  }

  /** The value, or undefined when there is no such node. */
  read(path: string): string | undefined {
    try {
      return this.request(XS.READ, path);
    } catch (error) {
      if (error instanceof XsError && error.code === 'ENOENT') return undefined;
      throw error;
    }
  }

  takeLocalEvents(): LocalEvent[] {
    const events = this.#localEvents;
    this.#localEvents = [];
    return events;
  }

  /** Serves the ring of a domain until nothing moves. */
  serve(domid: number): void {
    const ring = this.#rings.get(domid);
    if (ring === undefined || !ring.serving) return;
    const page = this.#kernel.memory.page(ring.page);
    for (;;) {
      let moved = this.#flush(ring);
      while (ring.serving && ring.output.length === 0) {
        const bytes = takeBytes(page, xenstoreRing.req, xenstoreRing.req.size);
        if (bytes === undefined) this.#giveUp(ring, XENSTORE_ERROR_RINGIDX);
        else if (bytes.length > 0) {
          moved = true;
          ring.input = concat(ring.input, bytes);
        }
        if (!this.#answerOne(ring)) break;
        moved = this.#flush(ring) || moved;
      }
      if (!moved || !ring.serving) return;
      this.#kernel.events.send(ring.port);
    }
  }

  /** VIRQ_DOM_EXC: looks at every introduced domain. @returns those that have shut down or died since the last look. */
  lookForDeadDomains(): number[] {
    const changed: number[] = [];
    for (const ring of [...this.#rings.values()]) {
      this.#kernel.calls.begin();
      const { result, domain, out } = this.#kernel.calls.domctl(XEN_DOMCTL_getdomaininfo, ring.domid, xen_domctl_getdomaininfo);
      // An id that is free gives the next higher domain (4.17).
      const dead = result < 0 || domain !== ring.domid || (out !== undefined && (out.flags & XEN_DOMINF_dying) !== 0);
      if (dead) {
        changed.push(ring.domid);
        this.#deliver(domainGone(this.store, ring.domid, this.host()));
      } else if (out !== undefined && (out.flags & XEN_DOMINF_shutdown) !== 0 && !ring.shutdownSeen) {
        ring.shutdownSeen = true;
        changed.push(ring.domid);
        this.#deliver(this.store.fireSpecial(RELEASE_DOMAIN));
      }
    }
    return changed;
  }

  host(): StoreHost {
    return {
      introduce: (domid, _gfn, port) => this.#introduce(domid, port),
      release: (domid) => this.#release(domid),
      resume: (domid) => {
        const ring = this.#rings.get(domid);
        if (ring !== undefined) ring.shutdownSeen = false;
      },
    };
  }

  save(writer: SaveWriter): void {
    writer.section('xenstored', 1, () => {
      this.store.save(writer);
      writer.u32(this.#local);
      writer.plain(this.#localEvents);
      writer.plain(this.#rings);
    });
  }

  restore(reader: SaveReader): void {
    reader.section('xenstored', 1, () => {
      this.store.restore(reader);
      this.#local = reader.u32();
      this.#localEvents = reader.plain();
      this.#rings.clear();
      for (const [domid, ring] of reader.plain<Map<number, DomainRing>>()) this.#rings.set(domid, ring);
    });
  }

  #introduce(domid: number, remotePort: number): 'EINVAL' | undefined {
    const known = this.#rings.get(domid);
    if (known !== undefined) {
      const port = this.#bind(domid, remotePort);
      if (port === undefined) return 'EINVAL';
      this.#kernel.events.close(known.port);
      known.port = port;
      return undefined;
    }
    const grant = this.#kernel.memory.mapGrant(domid, GNTTAB_RESERVED_XENSTORE);
    if (typeof grant === 'number') return 'EINVAL';
    const port = this.#bind(domid, remotePort);
    if (port === undefined) {
      this.#kernel.memory.unmapGrant(grant.address, grant.handle);
      return 'EINVAL';
    }
    const page = this.#kernel.memory.page(grant.address);
    page.writeU32(XENSTORE_SERVER_FEATURES, XENSTORE_SERVER_FEATURE_ERROR);
    this.#rings.set(domid, {
      domid,
      connection: this.store.connect(domid).id,
      page: grant.address,
      grant: grant.handle,
      port,
      input: new Uint8Array(0),
      output: new Uint8Array(0),
      serving: true,
      shutdownSeen: false,
    });
    return undefined;
  }

  /** Undefined when the port is not one that the domain has left for Dom0. */
  #bind(domid: number, remotePort: number): number | undefined {
    try {
      return this.#kernel.events.bindInterdomain(domid, remotePort, { kind: 'xenstore', domid });
    } catch (error) {
      if (error instanceof BackendError) return undefined;
      throw error;
    }
  }

  #release(domid: number): void {
    const ring = this.#rings.get(domid);
    if (ring === undefined) return;
    this.#rings.delete(domid);
    this.#kernel.events.close(ring.port);
    this.#kernel.memory.unmapGrant(ring.page, ring.grant);
  }

  #locally(type: number, payload: Uint8Array): string {
    const connection = this.store.connections.get(this.#local) as Connection;
    const { response, events } = reply(this.store, connection, { type, requestId: 0, transactionId: 0, payload }, this.host());
    this.#deliver(events);
    const text = decodeText(response.payload);
    if (response.type === XS.ERROR) throw new XsError(text.slice(0, -1) as XsError['code']);
    return text;
  }

  /** Answers the first whole request that has come. @returns false when there is none. */
  #answerOne(ring: DomainRing): boolean {
    const taken = takePacket(ring.input);
    if (taken.kind === 'incomplete') return false;
    if (taken.kind === 'oversized') {
      this.#giveUp(ring, XENSTORE_ERROR_PROTO);
      return false;
    }
    ring.input = taken.rest;
    const connection = this.store.connections.get(ring.connection) as Connection;
    const { response, events } = reply(this.store, connection, taken.packet, this.host());
    ring.output = concat(ring.output, encodePacket(response));
    this.#deliver(events, ring);
    return true;
  }

  /** Sends events to their clients; the ring that is being served is flushed by its own loop. */
  #deliver(events: readonly Delivery[], serving?: DomainRing): void {
    const touched = new Set<DomainRing>();
    for (const { connection, packet } of events) {
      if (connection === this.#local) {
        const [path = '', token = ''] = decodeText(packet.payload).split('\0');
        this.#localEvents.push({ path, token });
        continue;
      }
      const ring = this.#rings.values().find((each) => each.connection === connection);
      if (ring === undefined || !ring.serving) continue;
      ring.output = concat(ring.output, encodePacket(packet));
      if (ring.output.length > outputLimitBytes) this.#giveUp(ring, XENSTORE_ERROR_PROTO);
      else touched.add(ring);
    }
    for (const ring of touched) if (ring !== serving && this.#flush(ring)) this.#kernel.events.send(ring.port);
  }

  /** Puts what fits into the ring. @returns whether anything moved. */
  #flush(ring: DomainRing): boolean {
    if (ring.output.length === 0 || !ring.serving) return false;
    const count = putBytes(this.#kernel.memory.page(ring.page), xenstoreRing.rsp, ring.output);
    if (count === undefined) {
      this.#giveUp(ring, XENSTORE_ERROR_RINGIDX);
      return false;
    }
    ring.output = ring.output.slice(count);
    return count > 0;
  }

  #giveUp(ring: DomainRing, error: number): void {
    ring.serving = false;
    ring.input = new Uint8Array(0);
    ring.output = new Uint8Array(0);
    this.#kernel.memory.page(ring.page).writeU32(XENSTORE_ERROR, error);
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

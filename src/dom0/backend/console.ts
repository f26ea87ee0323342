/**
 * The console backend: empties the console ring of every domain into an injected outlet and fills its other half from an
 * injected source. The ring is always drained at once, since guests spin on a full one. The page is mapped by the
 * domain's grant reference 0, which the builder seeds. Source: Xen public/io/console.h.
 */

import type { Persistent, SaveReader, SaveWriter } from '../../base/persist.ts';
import { GNTTAB_RESERVED_CONSOLE } from '../../xen-abi/grant-table.ts';
import { putBytes, ringLevel, takeBytes } from '../../xen-abi/io/byte-ring.ts';
import { CONSOLE_CONNECTION, consoleRing, XENCONSOLE_CONNECTED } from '../../xen-abi/io/console.ts';
import type { Dom0Kernel } from '../kernel/kernel.ts';

/** Where console output goes and input comes from: the outside, by domain. */
export interface ConsoleOutlet {
  /** Bytes as the guest wrote them; kept by nobody else. */
  output(domid: number, bytes: Uint8Array): void;
  /** Input that has come for the domain, at most `most` bytes; empty when there is none. */
  input(domid: number, most: number): Uint8Array;
}

interface ConsoleState {
  readonly domid: number;
  readonly page: bigint;
  readonly grant: number;
  readonly port: number;
  /** False after corrupt indices: nothing is moved any more. */
  serving: boolean;
}

export class ConsoleBackend implements Persistent {
  readonly #kernel: Dom0Kernel;
  readonly #outlet: ConsoleOutlet;
  readonly #consoles = new Map<number, ConsoleState>();

  constructor(kernel: Dom0Kernel, outlet: ConsoleOutlet) {
    this.#kernel = kernel;
    this.#outlet = outlet;
  }

  /** Connects a domain's console. @returns false when its page is not granted. */
  attach(domid: number, remotePort: number): boolean {
    const grant = this.#kernel.memory.mapGrant(domid, GNTTAB_RESERVED_CONSOLE);
    if (typeof grant === 'number') return false;
    const port = this.#kernel.events.bindInterdomain(domid, remotePort, { kind: 'console', domid });
    this.#consoles.set(domid, { domid, page: grant.address, grant: grant.handle, port, serving: true });
    this.#kernel.memory.page(grant.address).writeU32(CONSOLE_CONNECTION, XENCONSOLE_CONNECTED);
    return true;
  }

  /** Takes the last output and lets the page go. */
  detach(domid: number): void {
    const console = this.#consoles.get(domid);
    if (console === undefined) return;
    this.#move(console);
    this.#consoles.delete(domid);
    this.#kernel.events.close(console.port);
    this.#kernel.memory.unmapGrant(console.page, console.grant);
  }

  /** Moves what there is, both ways; notifies when an index moved. */
  serve(domid: number): void {
    const console = this.#consoles.get(domid);
    if (console !== undefined && this.#move(console)) this.#kernel.events.send(console.port);
  }

  serveAll(): void {
    for (const domid of [...this.#consoles.keys()]) this.serve(domid);
  }

  save(writer: SaveWriter): void {
    writer.section('console-backend', 1, () => writer.plain(this.#consoles));
  }

  restore(reader: SaveReader): void {
    reader.section('console-backend', 1, () => {
      this.#consoles.clear();
      for (const [domid, console] of reader.plain<Map<number, ConsoleState>>()) this.#consoles.set(domid, console);
    });
  }

  #move(console: ConsoleState): boolean {
    if (!console.serving) return false;
    const page = this.#kernel.memory.page(console.page);
    const bytes = takeBytes(page, consoleRing.out, consoleRing.out.size);
    const level = ringLevel(page, consoleRing.in);
    if (bytes === undefined || level === undefined) {
      console.serving = false;
      return false;
    }
    if (bytes.length > 0) this.#outlet.output(console.domid, bytes);
    const room = consoleRing.in.size - level;
    const input = room > 0 ? this.#outlet.input(console.domid, room) : new Uint8Array(0);
    if (input.length > 0) putBytes(page, consoleRing.in, input);
    return bytes.length > 0 || input.length > 0;
  }
}

/**
 * The small kernel under Dom0's services: it divides the image that the hypervisor gave it, and holds hypercalls, memory
 * and events. Its state is plain data; the live port comes with `attach`.
 *
 *     page of the image   use
 *     0                   shared_info, mapped over it at start
 *     1..16               hypercall arguments
 *     17..                window onto frames of other domains; the own frames underneath stay unused
 */

import { assert } from '../../base/errors.ts';
import type { Persistent, SaveReader, SaveWriter } from '../../base/persist.ts';
import type { GuestPort, HostGuestImage } from '../../xen-abi/guest-port.ts';
import { PAGE_BYTES, START_INFO_BYTES } from '../../xen-abi/start-of-day.ts';
import { Hypercall, UVMF_INVLPG } from '../../xen-abi/xen.ts';
import { Dom0Events, type PortUse } from './events.ts';
import { Hypercalls } from './hypercalls.ts';
import { Dom0Memory, type WindowState } from './memory.ts';

const argumentPages = 16;
const windowFirstPage = 1 + argumentPages;

/** Two pages for each domain with console and xenstore, and 64 for building: enough for 96 domains. */
const windowPages = 256;

export const dom0Image: HostGuestImage = { virtBase: 0xffff_ffff_8000_0000n, pages: windowFirstPage + windowPages };

const pageAddress = (page: number): bigint => dom0Image.virtBase + BigInt(page * PAGE_BYTES);

interface Parts {
  readonly calls: Hypercalls;
  readonly memory: Dom0Memory;
  readonly events: Dom0Events;
}

export class Dom0Kernel implements Persistent {
  readonly #window: WindowState = { entries: [], used: [] };
  readonly #uses = new Map<number, PortUse>();
  #parts: Parts | undefined;

  get calls(): Hypercalls {
    return this.#live().calls;
  }

  get memory(): Dom0Memory {
    return this.#live().memory;
  }

  get events(): Dom0Events {
    return this.#live().events;
  }

  /** Connects to the hypervisor without acting. */
  attach(port: GuestPort): void {
    const calls = new Hypercalls(port, pageAddress(1), argumentPages * PAGE_BYTES);
    const memory = new Dom0Memory(calls, { virtBase: dom0Image.virtBase, window: pageAddress(windowFirstPage), state: this.#window });
    this.#parts = { calls, memory, events: new Dom0Events(calls, memory, { sharedInfo: pageAddress(0), uses: this.#uses }) };
  }

  /** First start: maps shared_info and finds the window. */
  start(port: GuestPort): void {
    this.attach(port);
    const startInfo = this.memory.read(port.startInfo, START_INFO_BYTES);
    const fields = new DataView(startInfo.buffer, startInfo.byteOffset);
    const sharedInfoEntry = fields.getBigUint64(40, true) | 0x63n; // a machine address; present, writable, accessed, dirty
    const result = port.hypercall(Hypercall.update_va_mapping, pageAddress(0), sharedInfoEntry, UVMF_INVLPG);
    assert(result === 0n, () => `Dom0 cannot map its shared_info: errno ${-result}`);
    this.memory.findEntries(fields.getBigUint64(88, true), windowPages);
  }

  save(writer: SaveWriter): void {
    writer.section('dom0-kernel', 1, () => {
      writer.plain({ entries: this.#window.entries, used: this.#window.used });
      writer.plain(this.#uses);
    });
  }

  restore(reader: SaveReader): void {
    reader.section('dom0-kernel', 1, () => {
      Object.assign(this.#window, reader.plain<WindowState>());
      this.#uses.clear();
      for (const [port, use] of reader.plain<Map<number, PortUse>>()) this.#uses.set(port, use);
    });
  }

  #live(): Parts {
    assert(this.#parts !== undefined, 'Dom0 has no port yet');
    return this.#parts;
  }
}

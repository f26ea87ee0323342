/**
 * Event channels of Dom0: its shared_info page, the ports that it has bound, and the scan for pending ones.
 *
 * Scan (Xen public/event_channel.h, 2-level ABI):
 *  1. Clear evtchn_upcall_pending, then take evtchn_pending_sel (read and clear).
 *  2. In each selected word, take every pending bit whose mask bit is clear: clear it, and handle its port.
 * A bit that is set meanwhile sets the selector again, and the hypervisor calls again.
 */

import {
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_virq,
  EVTCHNOP_close,
  EVTCHNOP_send,
  evtchn_bind_interdomain,
  evtchn_bind_virq,
  evtchn_close,
  evtchn_send,
} from '../../xen-abi/event-channel.ts';
import { shared_info, vcpu_info } from '../../xen-abi/xen.ts';
import type { Hypercalls } from './hypercalls.ts';
import type { Dom0Memory } from './memory.ts';

/** What a bound port means to Dom0. Plain data. */
export type PortUse =
  | { readonly kind: 'virq'; readonly virq: number }
  | { readonly kind: 'xenstore'; readonly domid: number }
  | { readonly kind: 'console'; readonly domid: number };

export class Dom0Events {
  readonly #calls: Hypercalls;
  readonly #memory: Dom0Memory;
  readonly #sharedInfo: bigint;
  readonly uses: Map<number, PortUse>;

  constructor(calls: Hypercalls, memory: Dom0Memory, options: { sharedInfo: bigint; uses: Map<number, PortUse> }) {
    this.#calls = calls;
    this.#memory = memory;
    this.#sharedInfo = options.sharedInfo;
    this.uses = options.uses;
  }

  bindVirq(virq: number): number {
    const { port } = this.#calls.eventChannel(EVTCHNOP_bind_virq, evtchn_bind_virq, { virq, vcpu: 0 });
    this.uses.set(port, { kind: 'virq', virq });
    return port;
  }

  /** Joins a port that the other domain has left unbound for Dom0. It is pending at once. */
  bindInterdomain(domid: number, remotePort: number, use: PortUse): number {
    const values = { remote_dom: domid, remote_port: remotePort };
    const port = this.#calls.eventChannel(EVTCHNOP_bind_interdomain, evtchn_bind_interdomain, values).local_port;
    this.uses.set(port, use);
    return port;
  }

  send(port: number): void {
    this.#calls.eventChannel(EVTCHNOP_send, evtchn_send, { port });
  }

  close(port: number): void {
    this.uses.delete(port);
    this.#calls.eventChannel(EVTCHNOP_close, evtchn_close, { port });
  }

  /** Takes all pending events, in the order of their ports. */
  takePending(): PortUse[] {
    const found: PortUse[] = [];
    const info = this.#sharedInfo;
    this.#memory.write(info + BigInt(vcpu_info.offset('evtchn_upcall_pending')), Uint8Array.of(0));
    const selectorAt = info + BigInt(vcpu_info.offset('evtchn_pending_sel'));
    const selector = this.#u64(selectorAt);
    this.#setU64(selectorAt, 0n);
    for (let word = 0; word < 64; word++) {
      if (((selector >> BigInt(word)) & 1n) === 0n) continue;
      const pendingAt = info + BigInt(shared_info.offset('evtchn_pending') + 8 * word);
      const masked = this.#u64(info + BigInt(shared_info.offset('evtchn_mask') + 8 * word));
      const pending = this.#u64(pendingAt);
      this.#setU64(pendingAt, pending & masked);
      for (let bit = 0; bit < 64; bit++) {
        if ((((pending & ~masked) >> BigInt(bit)) & 1n) === 0n) continue;
        const use = this.uses.get(64 * word + bit);
        if (use !== undefined) found.push(use);
      }
    }
    return found;
  }

  #u64(address: bigint): bigint {
    const bytes = this.#memory.read(address, 8);
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  }

  #setU64(address: bigint, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.#memory.write(address, bytes);
  }
}

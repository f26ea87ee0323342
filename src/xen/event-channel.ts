/**
 * Event channels: the ports of a domain and what each is bound to. The ABI that guests see (2-level bitmaps) is in
 * event-delivery.ts, the hypercall in hypercall/event-channel-op.ts.
 * Source: Xen public/event_channel.h.
 */

/** EVTCHNSTAT_*, also what EVTCHNOP_status reports. */
export const PortState = { free: 0, unbound: 1, interdomain: 2, pirq: 3, virq: 4, ipi: 5 } as const;
export type PortState = (typeof PortState)[keyof typeof PortState];

export interface Port {
  state: PortState;
  /** vCPU of the owner that is notified. */
  vcpu: number;
  /** unbound: who may bind; interdomain: the peer's domain. */
  remoteDomain: number;
  /** interdomain: the peer's port. */
  remotePort: number;
  /** virq and pirq: its number. */
  source: number;
}

export interface EventChannels {
  /** Index = port number; port 0 is never given out. Grows on demand. */
  readonly ports: Port[];
  /** Ports 1..maxPort may be used: the ABI's limit and createdomain's, whichever is lower. */
  maxPort: number;
}

export function newPort(): Port {
  return { state: PortState.free, vcpu: 0, remoteDomain: 0, remotePort: 0, source: 0 };
}

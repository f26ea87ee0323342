/**
 * Event channels: the ports of a domain, what each is bound to, and how ports are bound, sent on and closed. The words
 * that guests see are in event-delivery.ts, the hypercall's structures in hypercall/event-channel-op.ts.
 * Functions return a port or 0, or a negative errno.
 * Source: Xen public/event_channel.h.
 */

import { EBUSY, EEXIST, EINVAL, ENOENT, ENOSPC, EPERM, ESRCH } from '../xen-abi/errno.ts';
import { NR_VIRQS, VIRQ_ARGO, VIRQ_DEBUG, VIRQ_TIMER, VIRQ_XENOPROF, VIRQ_XENPMU } from '../xen-abi/xen.ts';
import { type Domain, type EventChannels, type Port, PortState } from './domain.ts';

import { clearPending, setPending, unmaskPort } from './event-delivery.ts';
import type { Hypervisor } from './hypervisor.ts';

export type { EventChannels, Port } from './domain.ts';
export { PortState } from './domain.ts';

const portsPerBucket = 64;

export function newEventChannels(maxPort: number): EventChannels {
  return { ports: newBucket(), maxPort };
}

function newBucket(): Port[] {
  return Array.from({ length: portsPerBucket }, () => ({
    state: PortState.free,
    vcpu: 0,
    remoteDomain: 0,
    remotePort: 0,
    source: 0,
  }));
}

/** A port number that may be looked at; it may be free. */
export function validPort(domain: Domain, port: number): Port | undefined {
  return domain.events.ports[port];
}

/** Highest port of the 2-level ABI, or of the domain if that is lower. */
export function highestPort(domain: Domain): number {
  return Math.min(domain.events.maxPort, domain.addressSize === 32 ? 1023 : 4095);
}

/** The lowest free port, not yet bound; or -ENOSPC. */
function freePort(domain: Domain): number {
  if (domain.dying !== 0) return -EINVAL;
  const { ports } = domain.events;
  let port = 1;
  while (port < ports.length && ports[port]?.state !== PortState.free) port++;
  if (port > highestPort(domain)) return -ENOSPC;
  if (port === ports.length) ports.push(...newBucket());
  return port;
}

function bind(domain: Domain, port: number, binding: Partial<Port> & { state: PortState }): number {
  Object.assign(domain.events.ports[port] as Port, {
    vcpu: 0,
    remoteDomain: 0,
    remotePort: 0,
    source: 0,
    ...binding,
  });
  return port;
}

export function allocateUnbound(domain: Domain, remoteDomain: number): number {
  const port = freePort(domain);
  return port < 0 ? port : bind(domain, port, { state: PortState.unbound, remoteDomain });
}

export function bindInterdomain(hypervisor: Hypervisor, domain: Domain, remoteDomain: number, remotePort: number): number {
  const remote = hypervisor.domains.get(remoteDomain);
  if (remote === undefined) return -ESRCH;
  const port = freePort(domain);
  if (port < 0) return port;
  const peer = validPort(remote, remotePort);
  if (peer?.state !== PortState.unbound || peer.remoteDomain !== domain.id) return -EINVAL;
  bind(domain, port, { state: PortState.interdomain, remoteDomain: remote.id, remotePort });
  peer.state = PortState.interdomain;
  peer.remoteDomain = domain.id;
  peer.remotePort = port;
  // Something may have been sent while the peer was unbound and dropped: the binder looks once.
  setPending(hypervisor, domain, port);
  return port;
}

/** VIRQs of a vCPU; the others are delivered to vCPU 0 of the one domain that handles them. */
export function isVcpuVirq(virq: number): boolean {
  return virq === VIRQ_TIMER || virq === VIRQ_DEBUG || virq === VIRQ_XENOPROF || virq === VIRQ_XENPMU;
}

export function bindVirq(domain: Domain, virq: number, vcpuId: number): number {
  if (virq >= NR_VIRQS) return -EINVAL;
  if (!isVcpuVirq(virq) && vcpuId !== 0) return -EINVAL;
  const vcpu = domain.vcpus[vcpuId];
  if (vcpu === undefined) return -ENOENT;
  if (vcpu.virqPorts[virq] !== 0) return -EEXIST;
  if (!isVcpuVirq(virq) && virq !== VIRQ_ARGO && domain.id !== 0) return -EBUSY;
  const port = freePort(domain);
  if (port < 0) return port;
  bind(domain, port, { state: PortState.virq, vcpu: vcpuId, source: virq });
  vcpu.virqPorts[virq] = port;
  return port;
}

export function bindIpi(domain: Domain, vcpuId: number): number {
  if (domain.vcpus[vcpuId] === undefined) return -ENOENT;
  const port = freePort(domain);
  return port < 0 ? port : bind(domain, port, { state: PortState.ipi, vcpu: vcpuId });
}

/** No domain has physical interrupts here. */
export function bindPirq(domain: Domain): number {
  return domain.privileged ? -EINVAL : -EPERM;
}

export function closePort(hypervisor: Hypervisor, domain: Domain, port: number): number {
  const entry = validPort(domain, port);
  if (entry === undefined || entry.state === PortState.free) return -EINVAL;
  if (entry.state === PortState.virq) {
    const vcpu = domain.vcpus[entry.vcpu];
    // A global VIRQ may have been moved by bind_vcpu: it stays registered on vCPU 0.
    const holder = isVcpuVirq(entry.source) ? vcpu : domain.vcpus[0];
    if (holder?.virqPorts[entry.source] === port) holder.virqPorts[entry.source] = 0;
  }
  if (entry.state === PortState.interdomain) {
    const peer = hypervisor.domains.get(entry.remoteDomain)?.events.ports[entry.remotePort];
    if (peer !== undefined) {
      peer.state = PortState.unbound;
      peer.remoteDomain = domain.id;
      peer.remotePort = 0;
    }
  }
  clearPending(hypervisor, domain, port);
  bind(domain, port, { state: PortState.free });
  return 0;
}

export function closeAllPorts(hypervisor: Hypervisor, domain: Domain): void {
  for (let port = 1; port < domain.events.ports.length; port++) closePort(hypervisor, domain, port);
}

export function sendEvent(hypervisor: Hypervisor, domain: Domain, port: number): number {
  const entry = validPort(domain, port);
  switch (entry?.state) {
    case PortState.interdomain: {
      const remote = hypervisor.domains.get(entry.remoteDomain);
      if (remote !== undefined) setPending(hypervisor, remote, entry.remotePort);
      return 0;
    }
    case PortState.ipi:
      setPending(hypervisor, domain, port);
      return 0;
    case PortState.unbound:
      return 0; // dropped: the binder finds its port pending
    default:
      return -EINVAL;
  }
}

export function unmask(hypervisor: Hypervisor, domain: Domain, port: number): number {
  if (validPort(domain, port) === undefined) return -EINVAL;
  unmaskPort(hypervisor, domain, port);
  return 0;
}

/** Moves the notification of a port to another vCPU. Per-vCPU sources stay where they are. */
export function bindVcpu(domain: Domain, port: number, vcpuId: number): number {
  if (domain.vcpus[vcpuId] === undefined) return -ENOENT;
  const entry = validPort(domain, port);
  const movable =
    entry !== undefined &&
    entry.state !== PortState.free &&
    entry.state !== PortState.ipi &&
    !(entry.state === PortState.virq && isVcpuVirq(entry.source));
  if (!movable) return -EINVAL;
  entry.vcpu = vcpuId;
  return 0;
}

/**
 * Delivery of events in the 2-level ABI: from a port that becomes pending to a vCPU that takes the upcall.
 *
 *     set evtchn_pending[port]         stop if it was set
 *     unless evtchn_mask[port]:
 *       set evtchn_pending_sel[word]   stop if it was set
 *       set evtchn_upcall_pending      stop if it was set
 *       wake and kick the vCPU
 *     and in any case wake vCPUs that poll the port
 *
 * Guests share these words and change them with atomic instructions; here nothing runs between our reads and writes.
 * Source: Xen public/event_channel.h, public/xen.h "Event channel endpoints".
 */

import { shared_info, vcpu_info } from '../xen-abi/xen.ts';
import type { Domain } from './domain.ts';
import type { Hypervisor } from './hypervisor.ts';
import { kick, unblock } from './scheduler.ts';
import { frameBytes, vcpuInfoAddress } from './shared-info.ts';
import type { Vcpu } from './vcpu.ts';

/** Makes `port` of `domain` pending. Called for every event, whoever raises it. */
export function setPending(hypervisor: Hypervisor, domain: Domain, port: number): void {
  if (domain.dying !== 0 || hypervisor.kind(domain).consumeEvent?.(hypervisor, domain, port) === true) return;
  hypervisor.entered?.charge('xen.event_send');
  const merged = setBit(hypervisor, pendingAddress(domain), port);
  for (const observer of hypervisor.observers) observer.event?.(domain, port, merged);
  if (!merged && !isMasked(hypervisor, domain, port)) notify(hypervisor, domain, port);
  wakePollers(hypervisor, domain, port);
}

/** EVTCHNOP_unmask: clears the mask and raises the event again if it is pending. */
export function unmaskPort(hypervisor: Hypervisor, domain: Domain, port: number): void {
  clearBit(hypervisor, maskAddress(domain), port);
  if (isPending(hypervisor, domain, port)) notify(hypervisor, domain, port);
}

export function isPending(hypervisor: Hypervisor, domain: Domain, port: number): boolean {
  return testBit(hypervisor, pendingAddress(domain), port);
}

export function isMasked(hypervisor: Hypervisor, domain: Domain, port: number): boolean {
  return testBit(hypervisor, maskAddress(domain), port);
}

/** A port is given back: its pending bit goes too, so that the next user does not find it set. */
export function clearPending(hypervisor: Hypervisor, domain: Domain, port: number): void {
  clearBit(hypervisor, pendingAddress(domain), port);
}

/** Sets evtchn_upcall_pending and, if it was clear, wakes the vCPU. */
export function markEventsPending(hypervisor: Hypervisor, vcpu: Vcpu): void {
  const address = vcpuInfoAddress(vcpu);
  if (address < 0) return;
  if (hypervisor.memory.readU8(address) !== 0) return;
  hypervisor.memory.writeU8(address, 1);
  unblock(hypervisor, vcpu);
  kick(hypervisor, vcpu);
}

/** Raises a per-vCPU VIRQ if the guest has bound it. */
export function sendVcpuVirq(hypervisor: Hypervisor, vcpu: Vcpu, virq: number): void {
  const port = vcpu.virqPorts[virq] as number;
  if (port !== 0) setPending(hypervisor, vcpu.domain, port);
}

/** Raises a global VIRQ at the domain that handles it, Dom0 (VIRQs are bound on its vCPU 0). */
export function sendGlobalVirq(hypervisor: Hypervisor, virq: number): void {
  const vcpu = hypervisor.domains.get(0)?.vcpus[0];
  if (vcpu !== undefined) sendVcpuVirq(hypervisor, vcpu, virq);
}

function notify(hypervisor: Hypervisor, domain: Domain, port: number): void {
  const vcpu = domain.vcpus[domain.events.ports[port]?.vcpu ?? 0];
  if (vcpu === undefined) return;
  const address = vcpuInfoAddress(vcpu);
  if (address < 0) return;
  const selector = Math.floor(port / domain.addressSize);
  const set = setBit(hypervisor, address + vcpu_info.offset('evtchn_pending_sel', domain.addressSize), selector);
  if (!set) markEventsPending(hypervisor, vcpu);
}

function wakePollers(hypervisor: Hypervisor, domain: Domain, port: number): void {
  for (const vcpu of domain.vcpus) {
    if (vcpu.polling?.includes(port)) unblock(hypervisor, vcpu);
  }
}

function pendingAddress(domain: Domain): number {
  return domain.sharedInfoFrame * frameBytes + shared_info.offset('evtchn_pending', domain.addressSize);
}

function maskAddress(domain: Domain): number {
  return domain.sharedInfoFrame * frameBytes + shared_info.offset('evtchn_mask', domain.addressSize);
}

function testBit(hypervisor: Hypervisor, base: number, bit: number): boolean {
  return ((hypervisor.memory.readU8(base + (bit >>> 3)) >>> (bit & 7)) & 1) === 1;
}

/** Returns the bit's old value. */
function setBit(hypervisor: Hypervisor, base: number, bit: number): boolean {
  const address = base + (bit >>> 3);
  const old = hypervisor.memory.readU8(address);
  if (((old >>> (bit & 7)) & 1) === 1) return true;
  hypervisor.memory.writeU8(address, old | (1 << (bit & 7)));
  return false;
}

function clearBit(hypervisor: Hypervisor, base: number, bit: number): void {
  const address = base + (bit >>> 3);
  hypervisor.memory.writeU8(address, hypervisor.memory.readU8(address) & ~(1 << (bit & 7)));
}

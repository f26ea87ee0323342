/**
 * Counts and checks of the hypervisor's books, for tests and for reports: that everything is free after a domain has
 * gone, and that reference counts agree with each other at any time between two guest instructions.
 */

import { PortState } from './event-channel.ts';
import { FrameFlag, Owner, PageType } from './frame-table.ts';
import type { Hypervisor } from './hypervisor.ts';

export interface Census {
  readonly freeFrames: number;
  /** Frames by owner: domain ids, and the values of Owner. */
  readonly frames: ReadonlyMap<number, number>;
  readonly domains: number;
  /** Ports in use, unbound ones included, and per domain. */
  readonly ports: number;
  readonly portsOf: ReadonlyMap<number, number>;
  /** Grant entries in use by somebody, and mappings held. */
  readonly activeGrants: number;
  readonly grantMappings: number;
}

export function census(hypervisor: Hypervisor): Census {
  const frames = new Map<number, number>();
  for (const owner of hypervisor.frames.owner) frames.set(owner, (frames.get(owner) ?? 0) + 1);
  const portsOf = new Map<number, number>();
  let ports = 0;
  let activeGrants = 0;
  let grantMappings = 0;
  for (const domain of hypervisor.domains.values()) {
    const used = domain.events.ports.filter((port) => port.state !== PortState.free).length;
    portsOf.set(domain.id, used);
    ports += used;
    activeGrants += domain.grants.active.size;
    grantMappings += domain.grants.mappings.size;
  }
  return {
    freeFrames: hypervisor.allocator.free,
    frames,
    domains: hypervisor.domains.size,
    ports,
    portsOf,
    activeGrants,
    grantMappings,
  };
}

/** What is wrong with the books, one line each; empty when they are consistent. */
export function audit(hypervisor: Hypervisor): string[] {
  return [...auditFrames(hypervisor), ...auditPorts(hypervisor), ...auditGrants(hypervisor)];
}

function auditFrames(hypervisor: Hypervisor): string[] {
  const { frames, allocator, domains } = hypervisor;
  const problems: string[] = [];
  const owned = new Map<number, { own: number; xenHeap: number }>();
  for (let frame = 0; frame < frames.frameCount; frame++) {
    const bad = (what: string): void => {
      problems.push(`frame ${frame} ${what}: ${frames.describe(frame)}`);
    };
    const owner = frames.owner[frame] as number;
    const references = frames.references[frame] as number;
    const uses = frames.typeReferences[frame] as number;
    const allocated = frames.has(frame, FrameFlag.allocated);
    if (owner === Owner.none) {
      if (references !== 0 || uses !== 0 || frames.flags[frame] !== 0) bad('is free but used');
      if (!allocator.isFree(frame)) bad('is lost');
      continue;
    }
    if (allocator.isFree(frame)) bad('is owned but free');
    if (owner === Owner.io) continue;
    if (references === 0) bad('is owned without a reference');
    if (references < uses + (allocated ? 1 : 0)) bad('has fewer references than uses');
    if (uses > 0 && frames.type[frame] === PageType.none) bad('is used without a type');
    if (uses > 0 && !frames.has(frame, FrameFlag.validated)) bad('is used without validation');
    if (frames.has(frame, FrameFlag.pinned) && uses === 0) bad('is pinned without a use');
    if (owner === Owner.xen) continue;
    const counts = owned.get(owner) ?? { own: 0, xenHeap: 0 };
    if (frames.has(frame, FrameFlag.xenHeap)) counts.xenHeap++;
    else counts.own++;
    owned.set(owner, counts);
    if (!domains.has(owner)) bad('belongs to no domain');
  }
  for (const domain of domains.values()) {
    const counts = owned.get(domain.id) ?? { own: 0, xenHeap: 0 };
    if (counts.own !== domain.totalPages) {
      problems.push(`domain ${domain.id} has ${counts.own} frames, its account says ${domain.totalPages}`);
    }
    if (counts.xenHeap !== domain.xenHeapPages) {
      problems.push(`domain ${domain.id} has ${counts.xenHeap} shared frames, its account says ${domain.xenHeapPages}`);
    }
  }
  return problems;
}

function auditPorts(hypervisor: Hypervisor): string[] {
  const problems: string[] = [];
  for (const domain of hypervisor.domains.values()) {
    domain.events.ports.forEach((port, number) => {
      if (port.state !== PortState.interdomain) return;
      const peer = hypervisor.domains.get(port.remoteDomain)?.events.ports[port.remotePort];
      const mutual = peer?.state === PortState.interdomain && peer.remoteDomain === domain.id && peer.remotePort === number;
      if (!mutual) problems.push(`port ${domain.id}:${number} has no peer ${port.remoteDomain}:${port.remotePort}`);
    });
    for (const vcpu of domain.vcpus) {
      vcpu.virqPorts.forEach((number, virq) => {
        const port = domain.events.ports[number];
        if (number !== 0 && (port?.state !== PortState.virq || port.source !== virq)) {
          problems.push(`virq ${virq} of ${domain.id}.${vcpu.id} is bound to port ${number}, which is not its port`);
        }
      });
    }
  }
  return problems;
}

/** The uses that granting domains count must be the mappings that others hold. */
function auditGrants(hypervisor: Hypervisor): string[] {
  const held = new Map<string, number>();
  for (const domain of hypervisor.domains.values()) {
    for (const mapping of domain.grants.mappings.values()) {
      const parts = (mapping.flags & 1) + ((mapping.flags >> 1) & 1);
      const key = `${mapping.domain}:${mapping.reference}`;
      held.set(key, (held.get(key) ?? 0) + parts);
    }
  }
  const problems: string[] = [];
  for (const domain of hypervisor.domains.values()) {
    for (const [reference, active] of domain.grants.active) {
      const key = `${domain.id}:${reference}`;
      const counted = active.hostRead + active.hostWrite + active.deviceRead + active.deviceWrite;
      if (counted !== (held.get(key) ?? 0)) {
        problems.push(`grant ${key} counts ${counted} uses, but ${held.get(key) ?? 0} are held`);
      }
      held.delete(key);
    }
  }
  for (const [key, parts] of held) if (parts > 0) problems.push(`grant ${key} is held ${parts} times but not counted`);
  return problems;
}

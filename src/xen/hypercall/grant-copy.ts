/**
 * GNTTABOP_copy: copies within a page from one frame to another, each named by a grant or as the caller's own frame.
 * The work horse of network backends.
 */

import * as abi from '../../xen-abi/grant-table.ts';
import type { Values } from '../../xen-abi/layout.ts';
import { DOMID_SELF } from '../../xen-abi/xen.ts';
import type { Domain } from '../domain.ts';
import { acquireEntry, countUse, getUse, putUse, settleEntry } from '../grant-table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

const frameBytes = 4096;

/** One side of a copy while it is held. */
interface Side {
  readonly frame: number;
  readonly release: () => void;
}

export function copyGrant(hypervisor: Hypervisor, vcpu: Vcpu, request: Values<typeof abi.gnttab_copy.fields>): number {
  const { len, source_offset: from, dest_offset: to } = request;
  if (from + len > frameBytes || to + len > frameBytes) return abi.GNTST_bad_copy_arg;
  const sourceIsGrant = (request.flags & abi.GNTCOPY_source_gref) !== 0;
  const source = hold(hypervisor, vcpu, request.source_u, request.source_domid, sourceIsGrant, true);
  if (typeof source === 'number') return source;
  const destinationIsGrant = (request.flags & abi.GNTCOPY_dest_gref) !== 0;
  const destination = hold(hypervisor, vcpu, request.dest_u, request.dest_domid, destinationIsGrant, false);
  if (typeof destination !== 'number') {
    const bytes = hypervisor.memory.readBytes(source.frame * frameBytes + from, len);
    hypervisor.memory.writeBytes(destination.frame * frameBytes + to, bytes);
    destination.release();
  }
  source.release();
  return typeof destination === 'number' ? destination : abi.GNTST_okay;
}

function hold(hypervisor: Hypervisor, vcpu: Vcpu, name: bigint, domid: number, isGrant: boolean, readonly: boolean): Side | number {
  // Frames by number are the caller's own only.
  if (!isGrant && domid !== DOMID_SELF) return abi.GNTST_permission_denied;
  const owner = domid === DOMID_SELF ? vcpu.domain : hypervisor.domains.get(domid);
  if (owner === undefined) return abi.GNTST_bad_domain;
  if (isGrant) return holdGrant(hypervisor, vcpu, owner, Number(BigInt.asUintN(32, name)), readonly);
  const frame = owner.p2m === undefined ? Number(name) : (owner.p2m[Number(name)] ?? -1);
  if (!getUse(hypervisor, owner, frame, readonly)) return abi.GNTST_bad_page;
  return { frame, release: () => putUse(hypervisor, frame, readonly) };
}

function holdGrant(hypervisor: Hypervisor, vcpu: Vcpu, owner: Domain, reference: number, readonly: boolean): Side | number {
  const active = acquireEntry(hypervisor, owner, reference, vcpu.domain, readonly);
  if (typeof active === 'number') return active;
  if (!getUse(hypervisor, owner, active.frame, readonly)) {
    settleEntry(hypervisor, owner, reference);
    return abi.GNTST_bad_page;
  }
  const flags = abi.GNTMAP_host_map | (readonly ? abi.GNTMAP_readonly : 0);
  countUse(active, flags, 1);
  const release = (): void => {
    countUse(active, flags, -1);
    settleEntry(hypervisor, owner, reference);
    putUse(hypervisor, active.frame, readonly);
  };
  return { frame: active.frame, release };
}

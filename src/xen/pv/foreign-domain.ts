/**
 * Whose frames a paging hypercall speaks of: the domain numbers of mmu_update, mmuext_op and
 * update_va_mapping_otherdomain, with the rights to name them.
 * Source: Xen public/xen.h (DOMID_SELF, DOMID_IO, DOMID_XEN).
 */
import { EPERM, ESRCH } from '../../xen-abi/errno.ts';
import { DOMID_IO, DOMID_SELF, DOMID_XEN } from '../../xen-abi/xen.ts';
import type { Domain } from '../domain.ts';
import { Owner } from '../frame-table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { entryFor, entryFrame, P } from './guest-entry.ts';

/** Domain id, Owner.io or Owner.xen; or -ESRCH, -EPERM. */
export function resolveOwner(hypervisor: Hypervisor, caller: Domain, domid: number): number {
  if (domid === DOMID_SELF || domid === caller.id) return caller.id;
  if (domid === DOMID_IO) return Owner.io;
  if (domid === DOMID_XEN) return caller.privileged ? Owner.xen : -EPERM;
  const domain = hypervisor.domains.get(domid);
  if (domain === undefined || domain.dying === 2) return -ESRCH;
  return caller.privileged || domain.controlledBy === caller.id ? domain.id : -EPERM;
}

/**
 * An L1 entry for a page of `owner` with the machine frame that it means: a full domain's pages are named by guest
 * frames, as its toolstack knows no others. Undefined: it has no such page.
 */
export function machineEntry(
  hypervisor: Hypervisor,
  caller: Domain,
  owner: number,
  low: number,
  high: number,
): { low: number; high: number } | undefined {
  const p2m = owner === caller.id ? undefined : hypervisor.domains.get(owner)?.p2m;
  if (p2m === undefined || (low & P) === 0) return { low, high };
  const frame = p2m[entryFrame(low, high)] ?? -1;
  return frame < 0 ? undefined : entryFor(frame, low, high);
}

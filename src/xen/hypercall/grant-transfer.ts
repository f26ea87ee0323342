/**
 * GNTTABOP_transfer: gives a frame away to a domain that has offered to accept one. Obsolete, PV only.
 * The receiver's entry (GTF_accept_transfer) says who may give; it is told the frame and that the transfer is complete.
 */

import * as abi from '../../xen-abi/grant-table.ts';
import type { Values } from '../../xen-abi/layout.ts';
import { FrameFlag } from '../frame-table.ts';
import { entryAddress } from '../grant-table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

export function transferGrant(hypervisor: Hypervisor, vcpu: Vcpu, request: Values<typeof abi.gnttab_transfer.fields>): number {
  const { frames, memory } = hypervisor;
  const { domain } = vcpu;
  const frame = Number(request.mfn);
  if (!frames.exists(frame) || frames.owner[frame] !== domain.id || domain.kind !== 'pv') return abi.GNTST_bad_page;
  // Only a frame that nothing refers to but the domain's allocation can change its owner.
  const movable = frames.references[frame] === 1 && frames.has(frame, FrameFlag.allocated) && !frames.has(frame, FrameFlag.xenHeap);
  if (!movable) return abi.GNTST_bad_page;
  const receiver = hypervisor.domains.get(request.domid);
  if (receiver === undefined || receiver === domain) return abi.GNTST_bad_domain;
  if (receiver.dying !== 0 || receiver.totalPages >= receiver.maxPages) return abi.GNTST_general_error;
  const entry = entryAddress(receiver.grants, request.ref);
  if (entry < 0) return abi.GNTST_bad_gntref;
  const flags = memory.readU16(entry);
  const accepts = flags === abi.GTF_accept_transfer && memory.readU16(entry + 2) === domain.id;
  if (!accepts) return abi.GNTST_general_error;
  memory.writeU16(entry, flags | abi.GTF_transfer_committed);
  frames.owner[frame] = receiver.id;
  domain.totalPages--;
  receiver.totalPages++;
  memory.writeU32(entry + 4, frame);
  memory.writeU16(entry, flags | abi.GTF_transfer_committed | abi.GTF_transfer_completed);
  return abi.GNTST_okay;
}

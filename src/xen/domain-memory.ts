/**
 * Frames that become part of a domain: its own memory, and pages that the hypervisor gives it.
 */

import { assert } from '../base/errors.ts';
import type { Domain } from './domain.ts';
import { FrameFlag, Owner, PageType } from './frame-table.ts';
import type { Hypervisor } from './hypervisor.ts';

/**
 * Gives a frame of the hypervisor to a domain to read and write (shared_info, grant tables). It stays of type writable,
 * so that it can never become a table, and does not count as the domain's memory.
 */
export function shareXenFrame(hypervisor: Hypervisor, domain: Domain, frame: number): void {
  const { frames } = hypervisor;
  hypervisor.memory.zeroFrame(frame);
  frames.owner[frame] = domain.id;
  frames.references[frame] = 2; // membership and the use as writable
  frames.type[frame] = PageType.writable;
  frames.typeReferences[frame] = 1;
  frames.flags[frame] = FrameFlag.allocated | FrameFlag.xenHeap | FrameFlag.validated;
  domain.xenHeapPages++;
}

/** Ends the hypervisor's own use of a frame given by {@link shareXenFrame}. */
export function unshareXenFrame(hypervisor: Hypervisor, frame: number): void {
  if (!hypervisor.frames.has(frame, FrameFlag.xenHeap)) return;
  hypervisor.frames.putPageAndType(frame);
  hypervisor.frames.putAllocation(frame);
}

/** Adds free frames to a domain's memory. Each then has the one reference of its allocation. */
export function assignFrames(hypervisor: Hypervisor, domain: Domain, first: number, count: number): void {
  const { frames } = hypervisor;
  for (let frame = first; frame < first + count; frame++) {
    assert(frames.owner[frame] === Owner.none, () => `frame ${frame} assigned twice: ${frames.describe(frame)}`);
    frames.owner[frame] = domain.id;
    frames.references[frame] = 1;
    frames.flags[frame] = FrameFlag.allocated;
  }
  domain.totalPages += count;
}

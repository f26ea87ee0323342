/**
 * Grant tables: the pages in which a domain offers frames to others, the uses of its entries (`active`), and the
 * handles of what it has mapped itself (`mappings`). Entries are taken and given back here; the hypercall that does so
 * is hypercall/grant-table-op.ts, the page-table side the domain kind's mapGrant and unmapGrant.
 * Source: Xen public/grant_table.h (the numbered steps in its comments).
 */

import {
  GNTST_bad_gntref,
  GNTST_general_error,
  GTF_permit_access,
  GTF_readonly,
  GTF_reading,
  GTF_type_mask,
  GTF_writing,
  grant_entry_v1,
} from '../xen-abi/grant-table.ts';
import type { ActiveGrant, Domain, GrantMapping, GrantTable } from './domain.ts';
import { shareXenFrame, unshareXenFrame } from './domain-memory.ts';
import { PageType } from './frame-table.ts';
import type { Hypervisor } from './hypervisor.ts';

export type { ActiveGrant, GrantMapping, GrantTable } from './domain.ts';

export const entryBytes = grant_entry_v1.size();
export const entriesPerFrame = 4096 / entryBytes;
const maptrackEntriesPerFrame = 256;

export function newGrantTable(maxFrames: number, maxMaptrackFrames: number, maxVersion: 1 | 2): GrantTable {
  return {
    version: 1,
    maxVersion,
    maxFrames,
    maxMappings: maxMaptrackFrames * maptrackEntriesPerFrame,
    frames: [],
    active: new Map(),
    mappings: new Map(),
    handleHint: 0,
  };
}

/** Makes the shared table `count` frames long. False when that is beyond its limit or there is no memory. */
export function growGrantTable(hypervisor: Hypervisor, domain: Domain, count: number): boolean {
  const { grants } = domain;
  if (count > grants.maxFrames) return false;
  while (grants.frames.length < count) {
    const frame = hypervisor.allocator.allocate();
    if (frame < 0) return false;
    shareXenFrame(hypervisor, domain, frame);
    grants.frames.push(frame);
  }
  return true;
}

/** Of a domain that goes away: its uses of others' grants end, then its own table. */
export function destroyGrantTable(hypervisor: Hypervisor, domain: Domain): void {
  for (const mapping of domain.grants.mappings.values()) {
    const granter = hypervisor.domains.get(mapping.domain);
    if (granter === undefined) continue;
    // The references of host mappings went with the page tables; those of device mappings go here.
    releaseUse(hypervisor, granter, mapping, mapping.flags, false);
  }
  domain.grants.mappings.clear();
  domain.grants.handleHint = 0;
  for (const frame of domain.grants.frames) unshareXenFrame(hypervisor, frame);
  domain.grants.frames.length = 0;
}

/**
 * Drops the handles of grants of a domain that is no more. Such a handle is left when the guest has overwritten the page
 * table entry of the mapping instead of unmapping it.
 */
export function forgetGranter(domain: Domain, granter: number): void {
  const { grants } = domain;
  for (const [handle, mapping] of grants.mappings) {
    if (mapping.domain !== granter) continue;
    grants.mappings.delete(handle);
    grants.handleHint = Math.min(grants.handleHint, handle);
  }
}

/** Machine address of entry `reference`, or -1 beyond the table. */
export function entryAddress(grants: GrantTable, reference: number): number {
  const frame = grants.frames[Math.floor(reference / entriesPerFrame)];
  return frame === undefined ? -1 : frame * 4096 + (reference % entriesPerFrame) * entryBytes;
}

/**
 * Takes entry `reference` of `granter` into use by `user`: checks that it grants what is wanted and marks it in the
 * shared page, so that the granter cannot revoke it meanwhile. Counts nothing yet. The active record, or GNTST_*.
 */
export function acquireEntry(
  hypervisor: Hypervisor,
  granter: Domain,
  reference: number,
  user: Domain,
  readonly: boolean,
): ActiveGrant | number {
  const { memory } = hypervisor;
  const address = entryAddress(granter.grants, reference);
  if (address < 0) return GNTST_bad_gntref;
  const flags = memory.readU16(address);
  const active = granter.grants.active.get(reference);
  if (active !== undefined && active.domain !== user.id) return GNTST_general_error;
  const written = active !== undefined && active.hostWrite + active.deviceWrite > 0;
  if (active === undefined || (!readonly && !written)) {
    if ((flags & GTF_type_mask) !== GTF_permit_access) return GNTST_general_error;
    if (memory.readU16(address + 2) !== user.id) return GNTST_general_error;
    if (!readonly && (flags & GTF_readonly) !== 0) return GNTST_general_error;
    memory.writeU16(address, flags | GTF_reading | (readonly ? 0 : GTF_writing));
  }
  if (active !== undefined) return active;
  const fresh: ActiveGrant = {
    frame: grantedFrame(granter, memory.readU32(address + 4)),
    domain: user.id,
    hostRead: 0,
    hostWrite: 0,
    deviceRead: 0,
    deviceWrite: 0,
  };
  granter.grants.active.set(reference, fresh);
  return fresh;
}

/** An entry of a domain with guest-physical memory names a guest frame. -1: it has none there, and no reference can be had. */
function grantedFrame(granter: Domain, frame: number): number {
  return granter.p2m === undefined ? frame : (granter.p2m[frame] ?? -1);
}

/** Clears the marks of an entry that nobody uses any more (in that way), and forgets unused ones. */
export function settleEntry(hypervisor: Hypervisor, granter: Domain, reference: number): void {
  const active = granter.grants.active.get(reference);
  if (active === undefined) return;
  const address = entryAddress(granter.grants, reference);
  const writes = active.hostWrite + active.deviceWrite;
  const used = writes + active.hostRead + active.deviceRead > 0;
  if (address >= 0) {
    const keep = (used ? GTF_reading : 0) | (writes > 0 ? GTF_writing : 0);
    const flags = hypervisor.memory.readU16(address);
    hypervisor.memory.writeU16(address, (flags & ~(GTF_reading | GTF_writing)) | keep);
  }
  if (!used) granter.grants.active.delete(reference);
}

const deviceMap = 1;
const hostMap = 2;
const readonlyMap = 4;

/** Counts a mapping's uses up (`by` 1) or down (-1). */
export function countUse(active: ActiveGrant, flags: number, by: 1 | -1): void {
  const access = (flags & readonlyMap) !== 0 ? 'Read' : 'Write';
  if ((flags & hostMap) !== 0) active[`host${access}`] += by;
  if ((flags & deviceMap) !== 0) active[`device${access}`] += by;
}

/**
 * Ends the parts `flags` (host_map, device_map) of a mapping: counts, the frame's references and the entry's marks.
 * `dropHost` false: the host part's references have gone another way.
 */
export function releaseUse(hypervisor: Hypervisor, granter: Domain, mapping: GrantMapping, flags: number, dropHost = true): void {
  const active = granter.grants.active.get(mapping.reference);
  if (active === undefined) return;
  const parts = flags & mapping.flags & (deviceMap | hostMap);
  const readonly = (mapping.flags & readonlyMap) !== 0;
  countUse(active, parts | (mapping.flags & readonlyMap), -1);
  mapping.flags &= ~parts;
  const { frame } = active;
  settleEntry(hypervisor, granter, mapping.reference);
  if ((parts & deviceMap) !== 0) putUse(hypervisor, frame, readonly);
  if ((parts & hostMap) !== 0 && dropHost) putUse(hypervisor, frame, readonly);
}

/** References of one part of a mapping: a page, and if writable a type reference. False: the frame cannot be had. */
export function getUse(hypervisor: Hypervisor, granter: Domain, frame: number, readonly: boolean): boolean {
  const { frames } = hypervisor;
  if (granter.dying !== 0) return false;
  return readonly ? frames.getPage(frame, granter.id) : frames.getPageAndType(frame, granter.id, PageType.writable) === 0;
}

export function putUse(hypervisor: Hypervisor, frame: number, readonly: boolean): void {
  if (readonly) hypervisor.frames.putPage(frame);
  else hypervisor.frames.putPageAndType(frame);
}

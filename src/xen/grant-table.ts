/**
 * Grant tables: the pages in which a domain offers frames to others, and the handles of what it has mapped itself.
 * Hypercall: hypercall/grant-table-op.ts. Source: Xen public/grant_table.h.
 */

/** Uses that pin one entry of a granting domain's table, for all mappings together (`act` in Xen). */
export interface ActiveGrant {
  /** Machine frame the pins refer to. */
  frame: number;
  /** Domain that uses it. */
  domain: number;
  /** Pin counts by purpose: host mapping and device mapping, read-only and writable. */
  hostRead: number;
  hostWrite: number;
  deviceRead: number;
  deviceWrite: number;
  /** Sub-page grants of version 2. */
  start: number;
  length: number;
}

/** A mapping that the domain made of another's (or its own) grant: one maptrack entry. */
export interface GrantMapping {
  domain: number;
  reference: number;
  /** GNTMAP_* flags of what is still mapped: device_map 1, host_map 2, readonly 4. */
  flags: number;
}

export interface GrantTable {
  /** 1 or 2. */
  version: 1 | 2;
  maxVersion: 1 | 2;
  readonly maxFrames: number;
  readonly maxMaptrackFrames: number;
  /** Machine frames of the shared table and, in version 2, of the status array. */
  readonly frames: number[];
  readonly statusFrames: number[];
  readonly active: Map<number, ActiveGrant>;
  /** Handle -> mapping. Handles are given out lowest free first. */
  readonly mappings: Map<number, GrantMapping>;
}

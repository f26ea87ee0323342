/**
 * GNTTABOP_map_grant_ref and its ends: unmap_grant_ref, unmap_and_replace. A mapping has up to two parts, for the
 * processor (host_map) and for devices (device_map); each holds its own references on the frame and ends by itself
 * (XSA-224). There are no devices with addresses of their own: a device part is its references.
 */

import * as abi from '../../xen-abi/grant-table.ts';
import type { Values } from '../../xen-abi/layout.ts';
import type { Domain } from '../domain.ts';
import { acquireEntry, countUse, type GrantMapping, getUse, putUse, releaseUse, settleEntry } from '../grant-table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

const parts = abi.GNTMAP_device_map | abi.GNTMAP_host_map;

export function mapGrantRef(hypervisor: Hypervisor, vcpu: Vcpu, request: Values<typeof abi.gnttab_map_grant_ref.fields>): void {
  const { domain } = vcpu;
  const flags = request.flags & (parts | abi.GNTMAP_readonly);
  const readonly = (flags & abi.GNTMAP_readonly) !== 0;
  if ((flags & parts) === 0) {
    request.status = abi.GNTST_bad_gntref;
    return;
  }
  const granter = hypervisor.domains.get(request.dom);
  if (granter === undefined) {
    request.status = abi.GNTST_bad_domain;
    return;
  }
  const handle = freeHandle(domain);
  if (handle < 0) {
    request.status = abi.GNTST_no_space;
    return;
  }
  const active = acquireEntry(hypervisor, granter, request.ref, domain, readonly);
  if (typeof active === 'number') {
    request.status = active;
    return;
  }
  const status = mapParts(hypervisor, vcpu, request, granter, active.frame, flags);
  if (status === abi.GNTST_okay) {
    countUse(active, flags, 1);
    domain.grants.mappings.set(handle, {
      domain: granter.id,
      reference: request.ref,
      flags: flags | (request.flags & abi.GNTMAP_contains_pte),
    });
    request.handle = handle;
    request.dev_bus_addr = BigInt(active.frame) << 12n;
  }
  settleEntry(hypervisor, granter, request.ref);
  request.status = status;
}

/** Takes the references of all parts, and makes the processor's mapping. Nothing is left of it on failure. */
function mapParts(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  request: Values<typeof abi.gnttab_map_grant_ref.fields>,
  granter: Domain,
  frame: number,
  flags: number,
): number {
  const readonly = (flags & abi.GNTMAP_readonly) !== 0;
  const device = (flags & abi.GNTMAP_device_map) !== 0;
  if (device && !getUse(hypervisor, granter, frame, readonly)) return abi.GNTST_general_error;
  if ((flags & abi.GNTMAP_host_map) === 0) return abi.GNTST_okay;
  let status: number = abi.GNTST_general_error;
  if (getUse(hypervisor, granter, frame, readonly)) {
    status = hypervisor.kind(vcpu.domain).mapGrant(hypervisor, vcpu, {
      address: request.host_addr,
      containsPte: (request.flags & abi.GNTMAP_contains_pte) !== 0,
      frame,
      readonly,
      application: (request.flags & abi.GNTMAP_application_map) !== 0,
      availableBits: request.flags >>> 16,
    });
    if (status !== abi.GNTST_okay) putUse(hypervisor, frame, readonly);
  }
  if (status !== abi.GNTST_okay && device) putUse(hypervisor, frame, readonly);
  return status;
}

export function unmapGrantRef(hypervisor: Hypervisor, vcpu: Vcpu, request: Values<typeof abi.gnttab_unmap_grant_ref.fields>): number {
  return unmap(hypervisor, vcpu, request.handle, request.host_addr, request.dev_bus_addr, undefined);
}

export function unmapAndReplace(hypervisor: Hypervisor, vcpu: Vcpu, request: Values<typeof abi.gnttab_unmap_and_replace.fields>): number {
  return unmap(hypervisor, vcpu, request.handle, request.host_addr, 0n, request.new_addr);
}

function unmap(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  handle: number,
  hostAddress: bigint,
  deviceAddress: bigint,
  replacement: bigint | undefined,
): number {
  const { grants } = vcpu.domain;
  const { mappings } = grants;
  const mapping = mappings.get(handle);
  if (mapping === undefined) return abi.GNTST_bad_handle;
  const granter = hypervisor.domains.get(mapping.domain);
  const active = granter?.grants.active.get(mapping.reference);
  if (granter === undefined || active === undefined) return abi.GNTST_bad_domain;
  let ended = 0;
  if (deviceAddress !== 0n && (mapping.flags & abi.GNTMAP_device_map) !== 0) {
    if (deviceAddress !== BigInt(active.frame) << 12n) return abi.GNTST_general_error;
    ended |= abi.GNTMAP_device_map;
  }
  if (hostAddress !== 0n && (mapping.flags & abi.GNTMAP_host_map) !== 0) {
    const status = unmapHost(hypervisor, vcpu, mapping, active.frame, hostAddress, replacement);
    if (status !== abi.GNTST_okay) return status;
    ended |= abi.GNTMAP_host_map;
  }
  releaseUse(hypervisor, granter, mapping, ended);
  if ((mapping.flags & parts) === 0) {
    mappings.delete(handle);
    grants.handleHint = Math.min(grants.handleHint, handle);
  }
  return abi.GNTST_okay;
}

function unmapHost(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  mapping: GrantMapping,
  frame: number,
  address: bigint,
  replacement: bigint | undefined,
): number {
  const request = {
    address,
    containsPte: (mapping.flags & abi.GNTMAP_contains_pte) !== 0,
    frame,
    readonly: (mapping.flags & abi.GNTMAP_readonly) !== 0,
    application: false,
    availableBits: 0,
  };
  return hypervisor.kind(vcpu.domain).unmapGrant(hypervisor, vcpu, request, replacement);
}

function freeHandle({ grants }: Domain): number {
  let handle = grants.handleHint;
  while (handle < grants.maxMappings && grants.mappings.has(handle)) handle++;
  grants.handleHint = handle;
  return handle < grants.maxMappings ? handle : -1;
}

/**
 * HYPERVISOR_grant_table_op (20): each operation takes an array of structures and leaves a status in each; the call
 * itself fails only for what no structure can say. Version 1 tables.
 * Source: Xen public/grant_table.h.
 */

import { EFAULT, EINVAL, ENOSYS, ESRCH } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/grant-table.ts';
import type { Fields, Struct, Values } from '../../xen-abi/layout.ts';
import { DOMID_SELF } from '../../xen-abi/xen.ts';
import type { Domain } from '../domain.ts';
import { entryAddress, entryBytes, growGrantTable } from '../grant-table.ts';
import { copyToGuest, guestArrayOk, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { faultResult, loadStruct, mayControl, storeStruct, storeWord } from './arguments.ts';
import { copyGrant } from './grant-copy.ts';
import { mapGrantRef, unmapAndReplace, unmapGrantRef } from './grant-map.ts';
import { transferGrant } from './grant-transfer.ts';
import { type Hypercall, type HypercallResult, result, subOperation } from './table.ts';

export const grantTableOp: Hypercall = {
  number: 20,
  name: 'grant_table_op',
  argumentCount: 3,
  // Each element has a row that contains the call's entry; a call without elements costs its entry.
  cost: 'own',
  suffix: subOperation(abi.grantTableOpNames),
  handler(hypervisor, vcpu, args) {
    const command = Number(BigInt.asUintN(32, args[0] ?? 0n));
    const pointer = args[1] ?? 0n;
    const count = BigInt.asIntN(32, args[2] ?? 0n);
    if (!hasElements(command) || count <= 0n) hypervisor.cpuOf(vcpu).charge('xen.null_hypercall');
    if (count < 0n) return BigInt(-EINVAL);
    const each = <F extends Fields>(type: Struct<F>, run: (request: Values<F>) => void): HypercallResult =>
      eachElement(hypervisor, vcpu, pointer, count, type, run);
    switch (command) {
      case abi.GNTTABOP_map_grant_ref:
        return each(abi.gnttab_map_grant_ref, (request) => mapGrantRef(hypervisor, vcpu, request));
      case abi.GNTTABOP_unmap_grant_ref:
        return each(abi.gnttab_unmap_grant_ref, (request) => {
          request.status = unmapGrantRef(hypervisor, vcpu, request);
        });
      case abi.GNTTABOP_unmap_and_replace:
        return each(abi.gnttab_unmap_and_replace, (request) => {
          request.status = unmapAndReplace(hypervisor, vcpu, request);
        });
      case abi.GNTTABOP_setup_table:
        return count === 1n ? setupTable(hypervisor, vcpu, pointer) : BigInt(-EINVAL);
      case abi.GNTTABOP_transfer:
        return each(abi.gnttab_transfer, (request) => {
          request.status = transferGrant(hypervisor, vcpu, request);
        });
      case abi.GNTTABOP_copy:
        return each(abi.gnttab_copy, (request) => {
          request.status = copyGrant(hypervisor, vcpu, request);
        });
      case abi.GNTTABOP_query_size:
        return count === 1n ? each(abi.gnttab_query_size, (request) => querySize(hypervisor, vcpu, request)) : BigInt(-EINVAL);
      case abi.GNTTABOP_set_version:
        return setVersion(hypervisor, vcpu, pointer);
      case abi.GNTTABOP_get_version:
        return getVersion(hypervisor, vcpu, pointer);
      case abi.GNTTABOP_swap_grant_ref:
        return each(abi.gnttab_swap_grant_ref, (request) => {
          request.status = swapEntries(hypervisor, vcpu.domain, request.ref_a, request.ref_b);
        });
      case abi.GNTTABOP_get_status_frames:
        return each(abi.gnttab_get_status_frames, (request) => {
          request.status = abi.GNTST_general_error; // version 1 tables have no status frames
        });
      default:
        hypervisor.unknown(vcpu.domain, 'sub-operation', `grant_table_op.${command}`);
        return BigInt(-ENOSYS);
    }
  },
};

function hasElements(command: number): boolean {
  const single: readonly number[] = [abi.GNTTABOP_setup_table, abi.GNTTABOP_set_version, abi.GNTTABOP_get_version];
  return command < abi.grantTableOpNames.length && command !== abi.GNTTABOP_dump_table && !single.includes(command);
}

/** Runs `run` on each structure of the array and writes it back. Stops at the first bad pointer. */
function eachElement<F extends Fields>(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  pointer: bigint,
  count: bigint,
  type: Struct<F>,
  run: (request: Values<F>) => void,
): HypercallResult {
  const size = type.size(vcpu.domain.addressSize);
  if (!guestArrayOk(vcpu, pointer, count, size)) return BigInt(-EFAULT);
  for (let i = 0n; i < count; i++) {
    const address = pointer + i * BigInt(size);
    const bytes = loadFromGuest(hypervisor, vcpu, address, size);
    if (bytes === undefined) return BigInt(-EFAULT);
    const request = type.read(bytes, vcpu.domain.addressSize);
    hypervisor.cpuOf(vcpu).charge('xen.grant_op');
    run(request);
    const stored = copyToGuest(hypervisor, vcpu, address, type.write(request, bytes, vcpu.domain.addressSize));
    if (stored < 0) return BigInt(stored);
  }
  return 0n;
}

/** The domain whose table an operation names, or a status. */
function tableOwner(hypervisor: Hypervisor, vcpu: Vcpu, domid: number): Domain | number {
  if (domid === DOMID_SELF) return vcpu.domain;
  const domain = hypervisor.domains.get(domid);
  if (domain === undefined) return abi.GNTST_bad_domain;
  return mayControl(vcpu.domain, domain) ? domain : abi.GNTST_permission_denied;
}

function setupTable(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.gnttab_setup_table);
  if (request === undefined) return faultResult;
  const owner = tableOwner(hypervisor, vcpu, request.dom);
  let status: number = abi.GNTST_okay;
  if (typeof owner === 'number') status = owner;
  else if (owner.dying !== 0 || !growGrantTable(hypervisor, owner, request.nr_frames)) {
    status = abi.GNTST_general_error;
  } else {
    const word = BigInt(vcpu.domain.addressSize / 8);
    for (let i = 0; i < request.nr_frames && status === abi.GNTST_okay; i++) {
      const frame = BigInt(owner.grants.frames[i] as number);
      const stored = storeWord(hypervisor, vcpu, request.frame_list + BigInt(i) * word, frame);
      if (stored < 0) status = abi.GNTST_bad_virt_addr;
    }
  }
  return result(storeStruct(hypervisor, vcpu, pointer, abi.gnttab_setup_table, { ...request, status }));
}

function querySize(hypervisor: Hypervisor, vcpu: Vcpu, request: Values<typeof abi.gnttab_query_size.fields>): void {
  const owner = tableOwner(hypervisor, vcpu, request.dom);
  if (typeof owner === 'number') {
    request.status = owner;
    return;
  }
  request.nr_frames = owner.grants.frames.length;
  request.max_nr_frames = owner.grants.maxFrames;
  request.status = abi.GNTST_okay;
}

/** Only version 1 exists: version 2 is as if switched off for every domain. */
function setVersion(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.gnttab_set_version);
  if (request === undefined) return faultResult;
  if (request.version !== 1 && request.version !== 2) return BigInt(-EINVAL);
  if (request.version === 2) return BigInt(-ENOSYS);
  return result(storeStruct(hypervisor, vcpu, pointer, abi.gnttab_set_version, { version: 1 }));
}

function getVersion(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.gnttab_get_version);
  if (request === undefined) return faultResult;
  const owner = tableOwner(hypervisor, vcpu, request.dom);
  if (typeof owner === 'number') return BigInt(-ESRCH);
  return result(storeStruct(hypervisor, vcpu, pointer, abi.gnttab_get_version, { ...request, version: 1 }));
}

function swapEntries(hypervisor: Hypervisor, domain: Domain, a: number, b: number): number {
  const { memory } = hypervisor;
  const first = entryAddress(domain.grants, a);
  const second = entryAddress(domain.grants, b);
  if (first < 0 || second < 0) return abi.GNTST_bad_gntref;
  if (domain.grants.active.has(a) || domain.grants.active.has(b)) return abi.GNTST_eagain;
  const entry = memory.readBytes(first, entryBytes);
  memory.writeBytes(first, memory.readBytes(second, entryBytes));
  memory.writeBytes(second, entry);
  return abi.GNTST_okay;
}

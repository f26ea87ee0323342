/**
 * HYPERVISOR_hvm_op (34): parameters of full domains and the vectors of their event upcalls.
 * Who may do what: a guest on itself reads and sets the parameters named in `ownWrite` and `ownRead`; a toolstack those
 * of the domains that it controls; -EINVAL for domains of another kind, and for parameters that do not exist.
 * Source: Xen public/hvm/hvm_op.h, hvm/params.h.
 */

import { EEXIST, EINVAL, ENOENT, ENOSYS, EPERM, ESRCH } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/hvm.ts';
import { DOMID_SELF } from '../../xen-abi/xen.ts';
import { loadStruct, faultResult, storeField, targetDomain } from '../hypercall/arguments.ts';
import { type Hypercall, type HypercallResult, result, subOperation } from '../hypercall/table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import type { FullDomain } from './full-domain.ts';

const ownWrite: ReadonlySet<number> = new Set([0, 2, 15, 18, 19, 34, 36, 37]);
const ownRead: ReadonlySet<number> = new Set([...ownWrite, 1, 17, 35]);
/** Set once: another value is refused. */
const writeOnce: ReadonlySet<number> = new Set([5, 6, 32, 33, 38]);
const deprecated: ReadonlySet<number> = new Set([3, 7, 8, 13, 20, 21, 22, 23, 24, 25, 26, 30]);
const lowestVector = 16;

/** The row; `fullOf` finds a full domain's part, undefined for other domains. */
export function hvmOp(fullOf: (id: number) => FullDomain | undefined): Hypercall {
  return {
    number: 34,
    name: 'hvm_op',
    argumentCount: 2,
    suffix: subOperation(abi.hvmOpNames),
    handler(hypervisor, vcpu, args) {
      const [command = 0n, pointer = 0n] = args;
      switch (Number(BigInt.asUintN(32, command))) {
        case abi.HVMOP_set_param:
          return parameter(hypervisor, vcpu, pointer, fullOf, true);
        case abi.HVMOP_get_param:
          return parameter(hypervisor, vcpu, pointer, fullOf, false);
        case abi.HVMOP_flush_tlbs:
          if (pointer !== 0n || fullOf(vcpu.domain.id) === undefined) return BigInt(-EINVAL);
          for (const other of vcpu.domain.vcpus) if (other.running) hypervisor.cpuOf(other).flushTranslations();
          return 0n;
        case abi.HVMOP_set_evtchn_upcall_vector: {
          const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_hvm_evtchn_upcall_vector);
          if (request === undefined) return faultResult;
          const full = fullOf(vcpu.domain.id);
          if (full === undefined || request.vector < lowestVector) return BigInt(-EINVAL);
          const target = full.vcpus[request.vcpu];
          if (target === undefined) return BigInt(-ENOENT);
          target.upcallVector = request.vector;
          return 0n;
        }
        default:
          hypervisor.unknown(vcpu.domain, 'sub-operation', `hvm_op.${command}`);
          return BigInt(-ENOSYS);
      }
    },
  };
}

function parameter(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  pointer: bigint,
  fullOf: (id: number) => FullDomain | undefined,
  set: boolean,
): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_hvm_param);
  if (request === undefined) return faultResult;
  const { index } = request;
  if (index >= abi.HVM_NR_PARAMS || deprecated.has(index)) return BigInt(-EINVAL);
  const named = request.domid === DOMID_SELF ? vcpu.domain : hypervisor.domains.get(request.domid);
  if (named === undefined) return BigInt(-ESRCH);
  // The kind is looked at before the rights.
  const full = fullOf(named.id);
  if (full === undefined) return BigInt(-EINVAL);
  const target = targetDomain(hypervisor, vcpu, request.domid);
  if (typeof target === 'number') return result(target);
  if (target === vcpu.domain && !(set ? ownWrite : ownRead).has(index)) return BigInt(-EPERM);
  const old = full.params[index] as bigint;
  if (!set) return result(storeField(hypervisor, vcpu, pointer, abi.xen_hvm_param, 'value', old));
  if (writeOnce.has(index) && old !== 0n && old !== request.value) return BigInt(-EEXIST);
  full.params[index] = request.value;
  return 0n;
}

/**
 * HYPERVISOR_xen_version (17): who the hypervisor is and what it offers. It answers as 4.17 does, whose toolstack
 * interface it speaks. All fixed buffers are zero behind the string (XSA-122).
 * Source: Xen public/version.h, features.h.
 */

import { EINVAL, ENODATA, ENOSYS, EPERM } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/version.ts';
import { VMASST_TYPE_pae_extended_cr3 } from '../../xen-abi/xen.ts';
import type { Domain } from '../domain.ts';
import { copyToGuest, hypervisorStart } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { faultResult, loadStruct, storeField, storeWord } from './arguments.ts';
import { type Hypercall, result, subOperation } from './table.ts';

const major = 4;
const minor = 17;
const extraVersion = '.5';
const compileInfo = ['paravane', 'paravane', 'localdomain', 'Thu Jan  1 00:00:00 UTC 1970'] as const;
const changeset = 'unavailable';
const pageSize = 4096;
const denied = '<denied>';

export const xenVersion: Hypercall = {
  number: 17,
  name: 'xen_version',
  argumentCount: 2,
  suffix: subOperation(abi.versionOpNames),
  handler(hypervisor, vcpu, args) {
    const [command = 0n, pointer = 0n] = args;
    const { domain } = vcpu;
    const string = (text: string, length: number): bigint => {
      const bytes = new Uint8Array(length);
      bytes.set(new TextEncoder().encode(text).subarray(0, length - 1));
      return result(copyToGuest(hypervisor, vcpu, pointer, bytes));
    };
    switch (Number(BigInt.asUintN(32, command))) {
      case abi.XENVER_version:
        return BigInt((major << 16) | minor);
      case abi.XENVER_extraversion:
        return string(extraVersion, abi.XEN_EXTRAVERSION_LEN);
      case abi.XENVER_compile_info:
        return result(copyToGuest(hypervisor, vcpu, pointer, compileInfoImage()));
      case abi.XENVER_capabilities:
        return string(capabilities(hypervisor), abi.XEN_CAPABILITIES_INFO_LEN);
      case abi.XENVER_changeset:
        return string(changeset, abi.XEN_CHANGESET_INFO_LEN);
      case abi.XENVER_platform_parameters: {
        const start = domain.addressSize === 32 ? BigInt(domain.compatHoleStart) : hypervisorStart;
        return result(storeWord(hypervisor, vcpu, pointer, start));
      }
      case abi.XENVER_get_features: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.xen_feature_info);
        if (request === undefined) return faultResult;
        if (request.submap_idx !== 0) return BigInt(-EINVAL);
        return result(storeField(hypervisor, vcpu, pointer, abi.xen_feature_info, 'submap', features(domain)));
      }
      case abi.XENVER_pagesize:
        return pointer === 0n ? BigInt(pageSize) : BigInt(-EINVAL);
      case abi.XENVER_guest_handle:
        return result(copyToGuest(hypervisor, vcpu, pointer, domain.handle));
      case abi.XENVER_commandline:
        return string(domain.privileged ? (hypervisor.options.commandLine ?? '') : denied, abi.XEN_COMMANDLINE_LEN);
      case abi.XENVER_build_id:
        return BigInt(domain.privileged ? -ENODATA : -EPERM);
      default:
        hypervisor.unknown(domain, 'sub-operation', `xen_version.${command}`);
        return BigInt(-ENOSYS);
    }
  },
};

/** Kinds of guests that may be built; the toolstack refuses all others. */
export function capabilities(hypervisor: Hypervisor): string {
  const types: string[] = [];
  if (hypervisor.kinds.has('pv')) types.push('xen-3.0-x86_64');
  if (hypervisor.kinds.has('full')) types.push('hvm-3.0-x86_32', 'hvm-3.0-x86_32p', 'hvm-3.0-x86_64');
  return types.map((type) => `${type} `).join('');
}

export function features(domain: Domain): number {
  const bit = (feature: number): number => 1 << feature;
  if (domain.kind === 'full') {
    return (
      bit(abi.XENFEAT_writable_page_tables) |
      bit(abi.XENFEAT_auto_translated_physmap) |
      bit(abi.XENFEAT_hvm_callback_vector) |
      bit(abi.XENFEAT_hvm_safe_pvclock) |
      bit(abi.XENFEAT_memory_op_vnode_supported) |
      bit(abi.XENFEAT_not_direct_mapped)
    );
  }
  let map =
    bit(abi.XENFEAT_mmu_pt_update_preserve_ad) |
    bit(abi.XENFEAT_highmem_assist) |
    bit(abi.XENFEAT_gnttab_map_avail_bits) |
    bit(abi.XENFEAT_memory_op_vnode_supported) |
    bit(abi.XENFEAT_direct_mapped);
  if ((domain.vmAssist & (1n << BigInt(VMASST_TYPE_pae_extended_cr3))) !== 0n) {
    map |= bit(abi.XENFEAT_pae_pgdir_above_4gb);
  }
  if (domain.id === 0) map |= bit(abi.XENFEAT_dom0);
  return map;
}

function compileInfoImage(): Uint8Array {
  const lengths = abi.XEN_COMPILE_INFO_LENGTHS;
  const image = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  lengths.forEach((length, i) => {
    image.set(new TextEncoder().encode(compileInfo[i]).subarray(0, length - 1), at);
    at += length;
  });
  return image;
}

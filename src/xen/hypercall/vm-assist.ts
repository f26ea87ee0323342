/**
 * HYPERVISOR_vm_assist (21): switches of compatibility with old guests. All types are accepted from 64-bit guests too;
 * 4gb_segments and its notification have no effect on a 64-bit hypervisor.
 * Source: Xen public/xen.h VMASST_*.
 */

import { EINVAL, ENOSYS } from '../../xen-abi/errno.ts';
import { VMASST_CMD_disable, VMASST_CMD_enable, VMASST_TYPE_m2p_strict, VMASST_TYPE_runstate_update_flag } from '../../xen-abi/xen.ts';
import type { Hypercall } from './table.ts';

const typeNames = [
  '4gb_segments',
  '4gb_segments_notify',
  'writable_pagetables',
  'pae_extended_cr3',
  'architectural_iopl',
  'runstate_update_flag',
] as const;
const lastLowType = VMASST_TYPE_runstate_update_flag;

export const vmAssist: Hypercall = {
  number: 21,
  name: 'vm_assist',
  argumentCount: 2,
  suffix([command = 0n, type = 0n]) {
    const verb = ['enable', 'disable'][Number(BigInt.asUintN(32, command))] ?? command.toString();
    const name = type === BigInt(VMASST_TYPE_m2p_strict) ? 'm2p_strict' : typeNames[Number(BigInt.asUintN(16, type))];
    return `.${verb}(${name ?? type})`;
  },
  handler(hypervisor, vcpu, args) {
    const command = Number(BigInt.asUintN(32, args[0] ?? 0n));
    const type = BigInt.asUintN(32, args[1] ?? 0n);
    const { domain } = vcpu;
    const low = domain.kind === 'full' ? type === BigInt(lastLowType) : type <= BigInt(lastLowType);
    const strict = type === BigInt(VMASST_TYPE_m2p_strict) && domain.kind === 'pv' && domain.addressSize === 64;
    if (command !== VMASST_CMD_enable && command !== VMASST_CMD_disable) {
      hypervisor.unknown(domain, 'sub-operation', `vm_assist.${command}`);
      return BigInt(-ENOSYS);
    }
    if (!low && !strict) return BigInt(-EINVAL);
    if (command === VMASST_CMD_enable) domain.vmAssist |= 1n << type;
    else domain.vmAssist &= ~(1n << type);
    return 0n;
  },
};

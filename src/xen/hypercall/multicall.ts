/**
 * HYPERVISOR_multicall (13): runs a list of hypercalls and writes each result into its entry. It goes on after entries
 * that fail; an entry that leaves without a result (iret, the end of the domain) ends it there (XSA-213).
 * Source: Xen public/xen.h struct multicall_entry.
 */

import { EFAULT, EINVAL } from '../../xen-abi/errno.ts';
import { Hypercall as Numbers, multicall_entry } from '../../xen-abi/xen.ts';
import { guestArrayOk, loadFromGuest } from '../guest-access.ts';
import { storeField } from './arguments.ts';
import { callHypercall } from './dispatch.ts';
import type { Hypercall } from './table.ts';

const ownNumber = BigInt(Numbers.multicall);
const stackSwitch = BigInt(Numbers.stack_switch);

export const multicall: Hypercall = {
  number: Numbers.multicall,
  name: 'multicall',
  argumentCount: 2,
  // Entries charge their own rows. The row of stack_switch contains a list with nothing else (timing-model §4).
  cost: 'own',
  handler(hypervisor, vcpu, args) {
    const [list = 0n, count = 0n] = args;
    const abi = vcpu.domain.addressSize;
    const size = multicall_entry.size(abi);
    const calls = BigInt.asUintN(32, count);
    let charged = false;
    const charge = (): void => {
      if (!charged) hypervisor.cpuOf(vcpu).charge('xen.multicall');
      charged = true;
    };
    const isList = guestArrayOk(vcpu, list, calls, size);
    if (calls === 0n || !isList) charge();
    if (!isList) return BigInt(-EFAULT);
    for (let i = 0n; i < calls; i++) {
      const address = list + i * BigInt(size);
      const bytes = loadFromGuest(hypervisor, vcpu, address, size);
      if (bytes === undefined) return BigInt(-EFAULT);
      const entry = multicall_entry.read(bytes, abi);
      if (entry.op !== stackSwitch) charge();
      const entryArgs = [entry.arg0, entry.arg1, entry.arg2, entry.arg3, entry.arg4, entry.arg5];
      // Lists do not nest.
      let outcome =
        entry.op === ownNumber ? BigInt(-EINVAL) : callHypercall(hypervisor, vcpu, entry.op, entryArgs, false);
      // A continuation inside a list goes on at once.
      while (outcome === 'restart') outcome = callHypercall(hypervisor, vcpu, entry.op, entryArgs, false);
      if (outcome === 'no-result') return 'no-result';
      const stored = storeField(hypervisor, vcpu, address, multicall_entry, 'result', BigInt.asUintN(abi, outcome));
      if (stored < 0) return BigInt(stored);
    }
    return 0n;
  },
};

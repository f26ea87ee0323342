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
import { proceedWith } from './proceed.ts';
import type { Hypercall } from './table.ts';

const ownNumber = BigInt(Numbers.multicall);
/** Entries handled before the list restarts, so that time goes on for others. */
const sliceEntries = 256n;
const argumentNames = ['arg0', 'arg1', 'arg2', 'arg3', 'arg4', 'arg5'] as const;
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
    const proceed = proceedWith(hypervisor, vcpu, Numbers.multicall, args);
    for (let i = 0n; i < calls; i++) {
      const address = list + i * BigInt(size);
      if (i === sliceEntries && proceed([address, calls - i])) return 'restart';
      const bytes = loadFromGuest(hypervisor, vcpu, address, size);
      if (bytes === undefined) return BigInt(-EFAULT);
      const entry = multicall_entry.read(bytes, abi);
      if (entry.op !== stackSwitch) charge();
      const entryArgs = [entry.arg0, entry.arg1, entry.arg2, entry.arg3, entry.arg4, entry.arg5];
      // Lists do not nest.
      let outcome = entry.op === ownNumber ? BigInt(-EINVAL) : callHypercall(hypervisor, vcpu, entry.op, entryArgs, false);
      // A continuation inside a list: the entry is changed to what is left, and the list goes on with it.
      if (outcome === 'restart' && proceed([address, calls - i])) {
        for (const [at, name] of argumentNames.entries()) {
          const kept = storeField(hypervisor, vcpu, address, multicall_entry, name, entryArgs[at] as bigint);
          if (kept < 0) return BigInt(kept);
        }
        return 'restart';
      }
      while (outcome === 'restart') outcome = callHypercall(hypervisor, vcpu, entry.op, entryArgs, false);
      if (outcome === 'no-result') return 'no-result';
      const stored = storeField(hypervisor, vcpu, address, multicall_entry, 'result', BigInt.asUintN(abi, outcome));
      if (stored < 0) return BigInt(stored);
    }
    return 0n;
  },
};

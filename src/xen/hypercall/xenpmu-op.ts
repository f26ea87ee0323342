/** HYPERVISOR_xenpmu_op (40): the virtual performance counters, which are switched off, as 4.17 answers then. */

import { EOPNOTSUPP } from '../../xen-abi/errno.ts';
import { type Hypercall, subOperation } from './table.ts';

export const xenpmuOp: Hypercall = {
  number: 40,
  name: 'xenpmu_op',
  argumentCount: 2,
  suffix: subOperation(['mode_get', 'mode_set', 'feature_get', 'feature_set', 'init', 'finish', 'lvtpc_set', 'flush']),
  handler: () => BigInt(-EOPNOTSUPP),
};

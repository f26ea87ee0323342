/** The hypercalls that both kinds of domains share. Paging, traps and descriptors are the rows of pv/. */

import { consoleIo } from './console-io.ts';
import { domctl } from './domctl.ts';
import { eventChannelOp, eventChannelOpCompat } from './event-channel-op.ts';
import { grantTableOp } from './grant-table-op.ts';
import { memoryOp } from './memory-op.ts';
import { multicall } from './multicall.ts';
import { physdevOp } from './physdev-op.ts';
import { schedOp, schedOpCompat } from './sched-op.ts';
import { sysctl } from './sysctl.ts';
import type { Hypercall } from './table.ts';
import { setTimerOp } from './timer-op.ts';
import { vcpuOp } from './vcpu-op.ts';
import { vmAssist } from './vm-assist.ts';
import { xenpmuOp } from './xenpmu-op.ts';
import { xenVersion } from './xen-version.ts';

export const coreHypercalls: readonly Hypercall[] = [
  schedOpCompat,
  memoryOp,
  multicall,
  setTimerOp,
  eventChannelOpCompat,
  xenVersion,
  consoleIo,
  grantTableOp,
  vmAssist,
  vcpuOp,
  schedOp,
  eventChannelOp,
  physdevOp,
  sysctl,
  domctl,
  xenpmuOp,
];

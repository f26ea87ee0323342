/**
 * Brings a hypervisor to life on a platform: the hypercall table from the core's rows and the kinds', the frame table's
 * ends tied to the domains, ring 0 of every cpu owned. Afterwards all cpus wait for the first domain (build-dom0.ts).
 */

import type { Platform } from '../platform/platform.ts';
import { frameFreed } from './domain-lifecycle.ts';
import { coreHypercalls } from './hypercall/core-hypercalls.ts';
import { hypercallTable } from './hypercall/table.ts';
import { Hypervisor, type HypervisorOptions } from './hypervisor.ts';
import { leave, RingZero } from './ring-zero.ts';

export function startHypervisor(platform: Platform, options: HypervisorOptions): Hypervisor {
  const rows = options.kinds.map((kind) => kind.hypercalls);
  const table = hypercallTable(coreHypercalls, options.hypercalls ?? [], ...rows);
  const hypervisor = new Hypervisor(platform, options, table);
  hypervisor.frames.freed = (frame) => frameFreed(hypervisor, frame);
  for (const kind of options.kinds) kind.start(hypervisor);
  const owner = new RingZero(hypervisor);
  for (const cpu of platform.cpus) {
    cpu.owner = owner;
    leave(hypervisor, cpu);
  }
  return hypervisor;
}

/**
 * The table with one thing changed, as data: what changes, where, and what was published about it. A stack reads the
 * settings that concern it; an ablation that a stack cannot build is refused there in one line.
 * Source: timing model, "What earns trust", ablations.
 */

import { ConfigError } from '../base/errors.ts';
import type { CostOverrides } from '../timing/cost-model.ts';
import type { Stack } from '../timing/published.ts';
import type { TlbOptions } from '../timing/translation-model.ts';

export interface AblationSettings {
  readonly costs?: CostOverrides;
  readonly tlb?: TlbOptions;
  /** How a hypervisor in a domain drops all translations. Default `cr3`. */
  readonly nestedFlush?: 'cr3' | 'cr4-pge';
  /** Log2 size of second-stage leaves by bottom layer. Default: KVM 12, Xen 21. */
  readonly secondStageLeafShift?: { readonly kvm?: 12 | 21; readonly hvm?: 12 | 21 };
  /** User pages of PV guests are global. Default true. */
  readonly userPagesGlobal?: boolean;
  /** Words added to the guest's command line. */
  readonly guestArguments?: readonly string[];
}

export interface Ablation {
  readonly name: string;
  readonly changes: string;
  /** Columns that can differ. */
  readonly stacks: readonly Stack[];
  /** What was published, or undefined: nothing to compare with. */
  readonly anchor: string | undefined;
  readonly settings: AblationSettings;
}

const nested: readonly Stack[] = ['pv/kvm', 'pv/hvm'];
const virtualized: readonly Stack[] = ['kvm', 'pv/kvm', 'hvm', 'pv/hvm'];
const paravirtual: readonly Stack[] = ['pv', 'pv/kvm', 'pv/hvm'];
const all: readonly Stack[] = ['baseline', 'pv', 'kvm', 'pv/kvm', 'hvm', 'pv/hvm'];

export const ablations: readonly Ablation[] = [
  {
    name: 'pge-toggle',
    changes: 'the nested hypervisor flushes by toggling CR4.PGE, as the released patches do: two exits in a Xen HVM guest',
    stacks: nested,
    anchor: 'EuroSys 2012 §5.1: "overheads increase to 70 %"; its 2p/0K row adds 645 cycles, less than two exits, so that table had it off',
    settings: { nestedFlush: 'cr4-pge' },
  },
  {
    name: 'free-second-stage',
    changes: 'references to second-stage tables cost nothing',
    stacks: virtualized,
    anchor: 'nested fork must come down to PV and the exits',
    settings: { tlb: { freeSecondStage: true } },
  },
  {
    name: 'ept-leaf-swapped',
    changes: 'KVM maps guests by 2 MiB leaves, Xen by 4 KiB',
    stacks: virtualized,
    anchor: undefined,
    settings: { secondStageLeafShift: { kvm: 21, hvm: 12 } },
  },
  {
    name: 'ept-leaf-2m',
    changes: 'both map guests by 2 MiB leaves',
    stacks: virtualized,
    anchor: undefined,
    settings: { secondStageLeafShift: { kvm: 21, hvm: 21 } },
  },
  {
    name: 'no-vpid',
    changes: 'translations are not tagged, so that each exit drops them all',
    stacks: virtualized,
    anchor: undefined,
    settings: { tlb: { vpid: false } },
  },
  {
    name: 'content-ages-walks',
    changes: "eight lines of each page's own content compete with paging structures for the caches, at every look-up",
    stacks: all,
    anchor: undefined,
    settings: { tlb: { linesPerPage: 8 } },
  },
  {
    name: 'user-not-global',
    changes: 'user pages of PV guests are not global, so that switches between user and kernel drop them',
    stacks: paravirtual,
    anchor: undefined,
    settings: { userPagesGlobal: false },
  },
  {
    name: 'tick-1000',
    changes: 'PV guests tick at 1000 Hz as the others do',
    stacks: paravirtual,
    anchor: undefined,
    settings: { guestArguments: ['tick=1000'] },
  },
  {
    name: 'tick-250',
    changes: 'all guests tick at 250 Hz',
    stacks: all,
    anchor: undefined,
    settings: { guestArguments: ['tick=250'] },
  },
  {
    name: 'xen-3.1-tables',
    changes: 'L2 and L3 tables are validated in 7,000 instructions and freed in 5,000: no preemption check per entry',
    stacks: paravirtual,
    anchor: undefined,
    settings: { costs: { 'xen.validate_l2': 7000, 'xen.validate_l3': 7000, 'xen.free_l2': 5000, 'xen.free_l3': 5000 } },
  },
];

/** @throws {ConfigError} when no ablation has the name. */
export function findAblation(name: string): Ablation {
  const found = ablations.find((ablation) => ablation.name === name);
  if (found === undefined) throw new ConfigError(`no ablation is named ${name}; there are ${ablations.map((a) => a.name).join(', ')}`);
  return found;
}

/**
 * What the hardware does at ring crossings, control registers, page walks and exits, in cycles; and what the lower
 * hypervisor takes to handle an exit, the same for Xen and KVM.
 *
 * `walk.*` rows are one reference of a page walk by where its line is found (translation-model.ts); the second-stage ones
 * are multiplied by k_ept. Every exit charges `vm_exit` for the transition and one `vm_handle_*` row, so that these rows
 * are the exits by reason.
 * Sources: timing model, "Events and costs" and "Exits by cause"; ATC12 = Agesen et al., USENIX ATC 2012, Table 1 and §9;
 * TUR = Ben-Yehuda et al., OSDI 2010; 7CPU = 7-cpu.com, Westmere; AGNER = Agner Fog 2021-08-17; others as named.
 */

import { assumed, type CostRow, sourced } from './cost-row.ts';

const delivery = 'Torvalds 2014 (Haswell 715, Core Duo 700), Xeon E5 v3 440 (lastweek.io/notes/xperf)';
const handled = 'TUR: root handling of an exit 1,500';
const inAll = 'ATC12 §9: hardware and software service of one exit 3,000, less the transition of 761';

export const hardwareCosts: readonly CostRow[] = [
  sourced('hardware', 'syscall', 40, [35, 75], 'half of SYSCALL + SYSRET: 70 (x86.lol 2019), 150 (FlexSC)'),
  sourced('hardware', 'sysret', 40, [35, 75], 'half of SYSCALL + SYSRET: 70 (x86.lol 2019), 150 (FlexSC)'),
  assumed('hardware', 'sysenter', 40, [35, 75], 'as SYSCALL'),
  assumed('hardware', 'sysexit', 40, [35, 75], 'as SYSRET'),
  sourced('hardware', 'exception_delivery', 600, [440, 715], delivery),
  sourced('hardware', 'interrupt_delivery', 600, [440, 715], `${delivery}; interrupts as #PF`),
  sourced('hardware', 'iret', 300, [240, 330], 'Torvalds 2014 (Haswell 330, Core Duo 240), Xeon E5 v3 270 (lastweek.io/notes/xperf)'),
  sourced('hardware', 'far_transfer', 74, [67, 120], 'AGNER, Nehalem: far JMP 67, CALL 74, RET 120'),
  assumed(
    'hardware',
    'mov_cr3',
    100,
    [80, 200],
    'kernel documentation of KAISER: about a hundred cycles; refills come from the modelled TLB',
  ),
  assumed('hardware', 'invlpg', 200, [100, 400], 'LKML May 2012: 140 ns assumed, comparable to a CR3 write'),
  assumed('hardware', 'mov_cr4', 200, [100, 400], 'as INVLPG'),
  assumed('hardware', 'mov_cr0', 100, [50, 200], 'as MOV CR3'),
  assumed('hardware', 'clts', 100, [50, 200], 'as MOV CR3'),
  assumed('hardware', 'mov_from_cr', 10, [2, 40], 'no barrier: a few cycles'),
  assumed('hardware', 'wrmsr', 100, [80, 300], 'as MOV CR3; FS_BASE and GS_BASE'),
  assumed('hardware', 'rdmsr', 60, [30, 200], 'about half of WRMSR'),
  assumed('hardware', 'swapgs', 10, [5, 40], 'no serialization'),
  sourced('hardware', 'cpuid', 200, [100, 250], 'AGNER: CPUID about 200 on Nehalem; 100 in TUR'),
  assumed('hardware', 'port_io', 2000, [1000, 3300], 'one access on the legacy bus, about .7 us; 3,209 on a Pentium 4 (Adams and Agesen)'),
  assumed('hardware', 'apic_access', 50, [20, 200], 'uncached access to the local APIC'),
  assumed('hardware', 'hlt', 50, [20, 500], 'entering and leaving the halted state'),
  assumed('hardware', 'wbinvd', 200_000, [50_000, 2_000_000], 'depends on dirty lines; no benchmark uses it'),

  sourced('walk', 'walk.guest.near', 4, [4, 4], '7CPU: L1 data cache'),
  sourced('walk', 'walk.guest.middle', 10, [7, 10], '7CPU: L2 cache'),
  sourced('walk', 'walk.guest.far', 42, [40, 46], '7CPU: L3 cache'),
  { ...sourced('walk', 'walk.second_stage.near', 4, [4, 4], '7CPU: L1 data cache'), factor: 'k_ept' },
  { ...sourced('walk', 'walk.second_stage.middle', 10, [7, 10], '7CPU: L2 cache'), factor: 'k_ept' },
  { ...sourced('walk', 'walk.second_stage.far', 42, [40, 46], '7CPU: L3 cache'), factor: 'k_ept' },

  sourced('exit', 'vm_exit', 761, [700, 800], 'ATC12 Table 1, Westmere: exit and entry'),
  sourced('exit', 'vm_handle_cr', 1500, [1000, 2250], handled),
  sourced('exit', 'vm_handle_cpuid', 1500, [1000, 2250], handled),
  sourced('exit', 'vm_handle_port', 2250, [1500, 12_000], `${inAll}; TUR has 12 K with a device in user space`),
  sourced('exit', 'vm_handle_apic', 2250, [1500, 6000], inAll),
  sourced('exit', 'vm_handle_interrupt', 3000, [1500, 64_000], 'ATC12 §9; TUR has 64 K with the work of the host timer'),
  assumed('exit', 'vm_handle_interrupt_window', 1500, [1000, 2250], `${handled}; as a control register`),
  assumed('exit', 'vm_handle_hlt', 1500, [1000, 6000], `${handled}; without the scheduler's work`),
  assumed('exit', 'vm_handle_msr', 1500, [1000, 2250], `${handled}; as a control register`),
  assumed('exit', 'vm_handle_invlpg', 1500, [1000, 2250], `${handled}; as a control register`),
  assumed('exit', 'vm_handle_vmcall', 1500, [1000, 3000], `${handled}; the hypercall's own path comes on top`),
  assumed('exit', 'vm_handle_second_stage_violation', 2250, [1500, 6000], `${inAll}; populating a page`),
  assumed('exit', 'vm_handle_triple_fault', 1500, [1000, 2250], 'the domain ends; the cost does not matter'),

  sourced('time', 'idle', 1 / 12, [1 / 12, 1 / 12], 'time passed in HLT, in twelfths of a cycle: not work'),
];

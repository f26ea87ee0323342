/**
 * Xen's own paths, in instructions: counted in Xen 4.17 under QEMU -icount with mitigations off, per call, by subtraction
 * of a loop without it. `k_entry` and `k_mmu` turn them into cycles. A row of a hypercall holds its entry, dispatch and
 * exit. The hardware's part (SYSCALL, IRET, MOV CR3, INVLPG) is charged by the hardware rows, and what the path touches
 * goes through the modelled TLB.
 *
 * Rows that the document gives as one figure for two events are split here; the split is assumed, the sum is the figure.
 * Rows without a figure are by analogy, class `assumed`, with a range.
 * Sources: timing model, "Events and costs".
 */

import { type CostRow, counted, estimated } from './cost-row.ts';

const icount = 'counted in Xen 4.17 under QEMU -icount, mitigations off';
const noPreemption = 'Xen 3.1 has no preemption check per entry';

export const hypervisorCosts: readonly CostRow[] = [
  // System-call bounce + iret 690, user-fault bounce + iret 844. IRET is a hypercall that also reads a frame and
  // switches tables: 50 more than the null hypercall.
  counted('k_entry', 'xen.syscall_bounce', 360, `${icount}: 690 with iret`),
  counted('k_entry', 'xen.user_fault_bounce', 514, `${icount}: 844 with iret`),
  counted('k_entry', 'xen.iret', 330, `${icount}: part of 690 and 844, as the null hypercall and 50 for its frame`),
  counted('k_entry', 'xen.kernel_fault_bounce', 410, icount),
  counted('k_entry', 'xen.null_hypercall', 280, icount),
  estimated(
    'k_entry',
    'xen.emulate_privileged_op',
    1200,
    [600, 2500],
    'kernel-fault entry, fetch and decode of the instruction; no bounce',
  ),
  estimated('k_entry', 'xen.interrupt', 700, [400, 1500], 'entry, acknowledge, softirq check, exit: between a fault bounce and two'),
  estimated('k_entry', 'xen.event_upcall', 250, [130, 410], 'frame for the event callback: a kernel-fault bounce less its entry and exit'),
  estimated('k_entry', 'xen.event_send', 250, [120, 500], 'finding the port and marking it, beside the hypercall'),
  estimated('k_entry', 'xen.schedule', 800, [400, 2000], 'choice of the next vCPU and switch of its context'),
  estimated('k_entry', 'xen.multicall', 300, [200, 500], 'null hypercall and the loop over its entries'),
  estimated('k_entry', 'xen.passthrough', 600, [300, 1500], 'null hypercall, copy of arguments, copy of results'),
  estimated('k_entry', 'xen.grant_op', 700, [350, 1500], 'null hypercall and one entry of a batch'),
  estimated('k_entry', 'xen.page_fault_fixup', 410, [200, 800], 'a fault that Xen answers itself: as the kernel-fault bounce'),

  counted('k_mmu', 'xen.update_va_mapping', 899, icount),
  counted('k_mmu', 'xen.update_va_mapping_invlpg', 965, icount),
  counted('k_mmu', 'xen.update_va_mapping_tlb_flush', 985, icount),
  counted('k_mmu', 'xen.update_va_mapping_empty_to_present', 755, icount),
  counted('k_mmu', 'xen.trapped_pte_store', 1830, icount),
  counted('k_mmu', 'xen.mmu_update_l1', 922, icount),
  estimated('k_mmu', 'xen.mmu_update_l2', 922, [600, 1500], 'as an L1 entry; the table below is validated by its own row'),
  estimated('k_mmu', 'xen.mmu_update_l3', 922, [600, 1500], 'as an L1 entry; the table below is validated by its own row'),
  estimated('k_mmu', 'xen.mmu_update_l4', 922, [600, 1500], 'as an L1 entry; the table below is validated by its own row'),
  estimated('k_mmu', 'xen.mmu_update_next', 640, [400, 922], 'each further entry of one call: an L1 update less the null hypercall'),
  estimated('k_mmu', 'xen.mmu_update_machphys', 400, [280, 700], 'null hypercall and one store'),
  counted('k_mmu', 'xen.invlpg_local', 491, icount),
  counted('k_mmu', 'xen.invlpg_multi', 664, icount),
  counted('k_mmu', 'xen.flush_local', 515, icount),
  counted('k_mmu', 'xen.flush_multi', 703, icount),
  estimated('k_mmu', 'xen.mmuext_op', 491, [350, 700], 'any other operation: as INVLPG_LOCAL'),
  estimated('k_mmu', 'xen.pin', 491, [350, 700], 'as INVLPG_LOCAL; the tables are validated by their own rows'),
  estimated('k_mmu', 'xen.unpin', 491, [350, 700], 'as INVLPG_LOCAL; the tables are freed by their own rows'),
  estimated('k_mmu', 'xen.new_baseptr', 450, [300, 900], 'half of the pair NEW_BASEPTR and NEW_USER_BASEPTR of a new root: 900'),
  estimated('k_mmu', 'xen.new_user_baseptr', 450, [300, 900], 'half of the pair NEW_BASEPTR and NEW_USER_BASEPTR of a new root: 900'),
  counted('k_mmu', 'xen.multicall_stack_switch', 434, icount),
  counted('k_mmu', 'xen.set_segment_base', 253, icount),
  counted('k_mmu', 'xen.validate_l1', 9650, icount),
  counted('k_mmu', 'xen.validate_l2', 20_900, `${icount}; ${noPreemption}: 7,000`, [7000, 20_900]),
  counted('k_mmu', 'xen.validate_l3', 19_400, `${icount}; ${noPreemption}: 7,000`, [7000, 19_400]),
  counted('k_mmu', 'xen.validate_l4', 8000, icount),
  counted('k_mmu', 'xen.free_l1', 8450, icount),
  counted('k_mmu', 'xen.free_l2', 19_700, `${icount}; ${noPreemption}: 5,000`, [5000, 19_700]),
  counted('k_mmu', 'xen.free_l3', 20_700, `${icount}; ${noPreemption}: 5,000`, [5000, 20_700]),
  counted('k_mmu', 'xen.free_l4', 11_300, icount),
  counted('k_mmu', 'xen.validate_entry', 187, icount),
  counted('k_mmu', 'xen.free_entry', 145, icount),
];

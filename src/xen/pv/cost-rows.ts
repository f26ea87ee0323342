/**
 * Names of the cost rows that the paravirtual paths charge (timing-model §4); their cycles are in timing/cost-model.
 * A row of a hypercall contains its entry and exit; hardware parts (SYSCALL, IRET, CR3, INVLPG) are charged by the
 * platform operations or, where none stands for them, by the rows of `Hardware`.
 */
export const Cost = {
  syscallBounce: 'xen.syscall_bounce',
  userFaultBounce: 'xen.user_fault_bounce',
  kernelFaultBounce: 'xen.kernel_fault_bounce',
  iret: 'xen.iret',
  nullHypercall: 'xen.null_hypercall',
  eventUpcall: 'xen.event_upcall',
  /** A fault that is answered without the guest hearing of it. */
  faultFixup: 'xen.page_fault_fixup',
  schedule: 'xen.schedule',
  emulate: 'xen.emulate_privileged_op',
  updateVaMapping: 'xen.update_va_mapping',
  updateVaMappingInvlpg: 'xen.update_va_mapping_invlpg',
  updateVaMappingFlush: 'xen.update_va_mapping_tlb_flush',
  updateVaMappingFill: 'xen.update_va_mapping_empty_to_present',
  trappedStore: 'xen.trapped_pte_store',
  /** Further entries of one mmu_update; the first has the row of its table's level. */
  mmuUpdateNext: 'xen.mmu_update_next',
  mmuUpdateMachphys: 'xen.mmu_update_machphys',
  mmuextOp: 'xen.mmuext_op',
  pin: 'xen.pin',
  unpin: 'xen.unpin',
  invlpgLocal: 'xen.invlpg_local',
  invlpgMulti: 'xen.invlpg_multi',
  flushLocal: 'xen.flush_local',
  flushMulti: 'xen.flush_multi',
  /** Half of the row for a pair NEW_BASEPTR and NEW_USER_BASEPTR. */
  newBaseptr: 'xen.new_baseptr',
  newUserBaseptr: 'xen.new_user_baseptr',
  stackSwitch: 'xen.multicall_stack_switch',
  setSegmentBase: 'xen.set_segment_base',
  validateEntry: 'xen.validate_entry',
  freeEntry: 'xen.free_entry',
} as const;

/** Hardware that no platform operation stands for: ways back to the guest, and the exchange of its GS bases. */
export const Hardware = { iret: 'iret', sysret: 'sysret', swapgs: 'swapgs' } as const;

export const mmuUpdate: readonly string[] = [
  'xen.mmu_update_l1',
  'xen.mmu_update_l1',
  'xen.mmu_update_l2',
  'xen.mmu_update_l3',
  'xen.mmu_update_l4',
];
export const validateTable: readonly string[] = ['', 'xen.validate_l1', 'xen.validate_l2', 'xen.validate_l3', 'xen.validate_l4'];
export const freeTable: readonly string[] = ['', 'xen.free_l1', 'xen.free_l2', 'xen.free_l3', 'xen.free_l4'];

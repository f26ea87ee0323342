/* Page typing: a frame is a page table of one level, a descriptor page, writable memory, or none of these, never two at once.
 * Story: a guest tries to get a page table that it can write, a table that maps what it does not own, or one level used as another.
 * Must happen: the errno of each rule (R1 to R16), the memory unchanged, and correct uses keep working in between. */
#include "hostile.h"

static long pin(int level, void *p) { return mmuext(level - 1, mfn_of(p), 0); }
static long unpin(void *p) { return mmuext(4, mfn_of(p), 0); }
static u64 e(void *p, u64 flags) { return mfn_of(p) << 12 | flags; }
static void wr64(u64 *p, u64 v) { __asm__ volatile("movq %1,%0" : "=m"(*p) : "r"(v) : "memory"); }
static void wr64_odd(u8 *p, u64 v) { wr64((u64 *)(p + 4), v); }
static void wr32(u32 *p, u64 v) { __asm__ volatile("movl %k1,%0" : "=m"(*p) : "r"(v) : "memory"); }
static void wr8(u8 *p, u64 v) { __asm__ volatile("movb %b1,%0" : "=m"(*p) : "q"(v) : "memory"); }
static u64 xchg(u64 *p, u64 v) { __asm__ volatile("xchgq %0,%1" : "+r"(v), "+m"(*p) : : "memory"); return v; }
static u64 cas(u64 *p, u64 old, u64 v) { __asm__ volatile("lock cmpxchgq %2,%1" : "+a"(old), "+m"(*p) : "r"(v) : "memory"); return old; }
static void lockor(u64 *p, u64 v) { __asm__ volatile("lock orq %1,%0" : "+m"(*p) : "r"(v) : "memory"); }

/* a read-only page with one entry, tried as a table of the given level */
static long try_pin(int level, u64 entry0)
{
    u64 *t = page();
    t[3] = entry0;
    ro(t);
    long r = pin(level, t);
    if (!r) unpin(t);
    rw(t);
    return r;
}

void run(void)
{
    void *data = page(), *other = page();
    u64 *l1 = page(), *l2 = page(), *l3 = page(), *l4 = page();

    /* R1, R2, R13: writable xor table */
    l1[0] = e(data, KRW);
    check("pin_l1_while_mapped_writable", pin(1, l1), -EINVAL);
    check("make_read_only", ro(l1), 0);
    check("pin_l1", pin(1, l1), 0);
    check("pin_twice", pin(1, l1), -EINVAL);
    check("pin_as_another_level", pin(2, l1), -EINVAL);
    check("map_a_table_writable", rw(l1), -EBUSY);
    check("map_a_table_writable_elsewhere", set_map(other, e(l1, KRW)), -EBUSY);
    check("map_a_table_read_only_elsewhere", set_map(other, e(l1, KRO)), 0);
    check("table_of_itself_writable", mmu_update(maddr_of(l1) + 8, e(l1, KRW)), -EBUSY);
    check("table_of_itself_read_only", mmu_update(maddr_of(l1) + 8, e(l1, KRO)), 0);
    /* observed on 4.17: for the hardware domain the emulation does not depend on the assist, as it also serves read-only MMIO */
    int always = is_dom0;
    check("write_to_a_table_page", guarded(wr64, &l1[5], e(data, KRO)), always ? -1 : 14);
    check("written_entry_was_adjusted", l1[5] & 0xfff, always ? KRO | P_US : 0);
    check("write_writable_mapping_of_a_table", guarded(wr64, &l1[5], e(l1, KRW)), 14);
    check("write_error_code", trap.w[2], 3);
    check("clear_page_of_a_table", mmuext(16, mfn_of(l1), 0), -EINVAL);
    check("copy_page_onto_a_table", mmuext(17, mfn_of(l1), mfn_of(data)), -EINVAL);

    /* R10: what is read back */
    check("read_back_kernel_entry", (l1[0] & 0xfff) == (KRW | P_US), 1);
    note("read_back_kernel_entry_bits", l1[0] & ~0x000ffffffffff000UL);
    check("store_user_entry", mmu_update(maddr_of(l1) + 16, e(data, KRW | P_US)), 0);
    check("read_back_user_entry_is_global", l1[2] & 0xfff, KRW | P_US | 0x100);

    /* R4, R5: what an L1 entry may hold */
    check("l1_pat_bit", mmu_update(maddr_of(l1) + 24, e(data, KRO | P_PSE)), is_dom0 ? 0 : -EINVAL);
    mmu_update(maddr_of(l1) + 24, 0);
    check("l1_cache_disabled", mmu_update(maddr_of(l1) + 24, e(data, KRO | 0x10)), is_dom0 ? 0 : -EINVAL);
    mmu_update(maddr_of(l1) + 24, 0);
    check("l1_available_high", mmu_update(maddr_of(l1) + 24, e(data, KRO | 1UL << 59)), 0);
    check("l1_no_execute", mmu_update(maddr_of(l1) + 24, e(data, KRO | P_NX)), 0);
    check("l1_absent_frame", mmu_update(maddr_of(l1) + 24, 0xfffffffff000 | KRO), -EPERM);
    check("l1_entry_kept_after_refusal", l1[3] >> 12 & 0xfffffffff, mfn_of(data));
    check("l1_not_present_anything", mmu_update(maddr_of(l1) + 32, 0), 0);
    check("update_command_4", mmu_update(maddr_of(l1) + 32 + 4, 0), -ENOSYS);

    /* R3: levels */
    check("l2_mapped_writable", (l2[7] = e(l1, TABLE), pin(2, l2)), -EINVAL);
    ro(l2);
    check("pin_l2", pin(2, l2), 0);
    check("l2_entry_to_data", mmu_update(maddr_of(l2), e(data, TABLE)), -EINVAL);
    check("l2_superpage", mmu_update(maddr_of(l2), e(l1, TABLE | P_PSE)), -EINVAL);
    check("l2_global", mmu_update(maddr_of(l2), e(l1, TABLE | 0x100)), -EINVAL);
    check("l2_cache_disabled", mmu_update(maddr_of(l2), e(l1, TABLE | 0x10)), -EINVAL);
    check("l2_no_execute", mmu_update(maddr_of(l2), e(l1, TABLE | P_NX)), 0);
    check("l2_read_back", l2[0] & 0xfff, TABLE);
    check("l2_absent_frame", mmu_update(maddr_of(l2), 0xfffffffff000 | TABLE), -EINVAL);
    check("l2_to_l2_writable_bit", mmu_update(maddr_of(l2) + 8, e(l2, TABLE)), -EINVAL);
    check("l2_to_itself_read_only", mmu_update(maddr_of(l2) + 8, e(l2, P_P | P_US | P_A)), 0);
    mmu_update(maddr_of(l2) + 8, 0);
    l3[1] = e(l2, TABLE);
    ro(l3);
    check("l3_holding_an_l2", pin(3, l3), 0);
    check("l3_entry_to_an_l1", mmu_update(maddr_of(l3) + 16, e(l1, TABLE)), -EINVAL);
    l4[2] = e(l3, TABLE);
    ro(l4);
    check("l4_holding_an_l3", pin(4, l4), 0);
    check("l4_entry_to_an_l2", mmu_update(maddr_of(l4) + 24, e(l2, TABLE)), -EINVAL);
    /* R7: slots of the hypervisor */
    check("l4_slot_256", mmu_update(maddr_of(l4) + 256 * 8, e(l3, TABLE)), -EINVAL);
    check("l4_slot_271", mmu_update(maddr_of(l4) + 271 * 8, e(l3, TABLE)), -EINVAL);
    check("l4_slot_272", mmu_update(maddr_of(l4) + 272 * 8, e(l3, TABLE)), 0);
    check("l4_slot_261_was_filled", (l4[261] & P_P) != 0, 1);
    check("l4_slot_256_is_filled_when_used", l4[256], 0);
    check("l4_slot_272_cleared", mmu_update(maddr_of(l4) + 272 * 8, 0), 0);
    /* R8: linear page tables, a second L4 */
    u64 *m4 = page();
    ro(m4);
    check("pin_an_empty_l4", pin(4, m4), 0);
    check("l4_linear_writable", mmu_update(maddr_of(m4), e(l4, TABLE)), -EINVAL);
    long lin = mmu_update(maddr_of(m4), e(l4, P_P | P_US | P_A));
    check2("l4_linear_read_only", lin, 0, -EINVAL);
    if (!lin) check("l4_linear_no_chains", mmu_update(maddr_of(l4), e(m4, P_P | P_US | P_A)), -EINVAL);
    mmu_update(maddr_of(m4), 0);
    /* R15: roots */
    check("new_baseptr_of_data", mmuext(5, mfn_of(data), 0), -EINVAL);
    check("new_baseptr_of_an_l3", mmuext(5, mfn_of(l3), 0), -EINVAL);
    check("new_user_baseptr_of_an_l1", mmuext(15, mfn_of(l1), 0), -EINVAL);
    check("new_user_baseptr", mmuext(15, mfn_of(m4), 0), 0);
    check("unpin_the_user_root", unpin(m4), 0);
    check("user_root_still_a_table", rw(m4), -EBUSY);
    check("new_user_baseptr_none", mmuext(15, 0, 0), 0);
    check("user_root_free_again", rw(m4), 0);
    /* taking it apart: counts must come out right */
    check("unpin_l4", unpin(l4), 0);
    check("l4_free", rw(l4), 0);
    check("l3_still_pinned", rw(l3), -EBUSY);
    check("unpin_l3", unpin(l3), 0);
    check("l3_free", rw(l3), 0);
    check("unpin_l2", unpin(l2), 0);
    check("l2_free", rw(l2), 0);
    check("unpin_l1", unpin(l1), 0);
    check("unpin_twice", unpin(l1), -EINVAL);
    set_map(other, e(other, KRW));
    check("l1_free", rw(l1), 0);
    check("l1_was_left_as_it_was", l1[2] >> 12 & 0xfffffffff, mfn_of(data));

    /* promotion validates every entry */
    check("promote_l1_good", try_pin(1, e(data, KRW)), 0);
    check("promote_l1_of_a_table", (ro(l1), l1 = l1, try_pin(1, 0xfffffffff000 | KRW)), -EPERM);
    rw(l1);
    check("promote_l2_superpage", try_pin(2, e(data, TABLE | P_PSE)), -EINVAL);
    check("promote_l2_of_writable_data", try_pin(2, e(data, TABLE)), -EINVAL);
    check("promote_l3_of_writable_data", try_pin(3, e(data, TABLE)), -EINVAL);
    check("promote_l4_of_writable_data", try_pin(4, e(data, TABLE)), -EINVAL);
    check("promote_l2_reserved_bits", try_pin(2, e(data, TABLE | 0x10)), -EINVAL);

    /* L1 tables in use: the writable_pagetables assist */
    u64 *pte = pte_of(data), was = *pte;
    check("store_without_assist", guarded(wr64, pte, was), always ? -1 : 14);
    check("assist_on", HC(H_vm_assist, 0, 2), 0);
    check("store_with_assist", guarded(wr64, pte, was & ~P_RW), -1);
    check("stored", *pte & P_RW, 0);
    check("store_was_validated", guarded(wr64, pte, e(l1, KRW)), -1);
    check("store_takes_effect", (((volatile u64 *)data)[0], (long)(*pte >> 12 & 0xfffffffff)), mfn_of(l1));
    check("xchg_with_assist", guarded(xchg, pte, was), -1);
    check("xchg_old_value", guard_result >> 12 & 0xfffffffff, mfn_of(l1));
    check("cmpxchg_with_assist", guarded(cas, pte, *pte, was & ~P_RW), -1);
    check("cmpxchg_stored", *pte & P_RW, 0);
    check("lock_or_with_assist", guarded(lockor, pte, P_RW), -1);
    check("lock_or_stored", *pte & P_RW, P_RW);
    check("byte_store_with_assist", guarded(wr8, pte, (was & 0xff) & ~P_D), -1);
    check("dword_store_with_assist", guarded(wr32, pte, (u32)was), -1);
    check("refused_entry_faults", guarded(wr64, pte, 0xfffffffff000 | KRW), 14);
    check("refused_entry_error_code", trap.w[2], 3);
    check("refused_entry_cr2", sh->vcpu[0].cr2, (s64)(u64)pte);
    check("store_of_a_writable_table_faults", guarded(wr64, pte, e(pte, KRW)), 14);
    check("unaligned_store_faults", guarded(wr64_odd, pte, 0), 14);
    check("entry_kept", *pte >> 12 & 0xfffffffff, mfn_of(data));
    u64 *pde_page = (u64 *)(VIRT_BASE + (M2P[((u64 *)si->pt_base)[511] << 12 >> 24] << 12));
    check("assist_not_for_l3", guarded(wr64, &pde_page[5], 0), 14);
    check("assist_not_for_l4", guarded(wr64, &((u64 *)si->pt_base)[5], 0), 14);
    check("assist_off", HC(H_vm_assist, 1, 2), 0);
    check("store_without_assist_again", guarded(wr64, pte, was), always ? -1 : 14);
    set_map(data, was);

    /* M2P and other frames of the machine */
    check("m2p_not_ours", mmu_update(0xfffffff001, 1), -EINVAL);
    u64 old = M2P[mfn_of(data)];
    check("m2p_ours", mmu_update(maddr_of(data) | 1, 12345), 0);
    check("m2p_written", M2P[mfn_of(data)], 12345);
    mmu_update(maddr_of(data) | 1, old);
    check("m2p_write", guarded(wr64, &M2P[mfn_of(data)], 0), 14);
    check("m2p_write_error_code", trap.w[2], 3);
    check("unknown_update_type", mmu_update(maddr_of(data) | 3, 7), 0);   /* NO_TRANSLATE: a plain store here */

    /* descriptor pages */
    u64 *gdt = page(), frames[1] = { mfn_of(gdt) };
    check("gdt_mapped_writable", HC(H_set_gdt, frames, 8), -EINVAL);
    ro(gdt);
    check("gdt", HC(H_set_gdt, frames, 8), 0);
    check("gdt_page_writable", rw(gdt), -EBUSY);
    check("descriptor_code", HC(H_update_descriptor, maddr_of(gdt) + 8, 0x00af9a000000ffff), 0);
    check("descriptor_dpl_raised", gdt[1] >> 45 & 3, 3);
    check("descriptor_tss", HC(H_update_descriptor, maddr_of(gdt) + 16, 0x0000890000000067), -EINVAL);
    check("descriptor_interrupt_gate", HC(H_update_descriptor, maddr_of(gdt) + 16, 0x00008e0000080000), -EINVAL);
    check("descriptor_ldt", HC(H_update_descriptor, maddr_of(gdt) + 16, 0x0000820000000067), -EINVAL);
    check("descriptor_not_present", HC(H_update_descriptor, maddr_of(gdt) + 16, 0x0000090000000067), 0);
    check("gdt_none", HC(H_set_gdt, 0, 0), 0);
    check("gdt_page_free", rw(gdt), 0);
    gdt[3] = 0x0000890000000067;
    ro(gdt);
    check("gdt_with_a_tss", HC(H_set_gdt, frames, 8), -EINVAL);
    rw(gdt);
    /* the foreign world */
    check("shared_info_as_l1", mmuext(0, si->shared_info >> 12, 0), -EINVAL);
    struct mmuext_op op = { 0, 0, mfn_of(data), 0 };
    check("pin_for_nobody", HC(H_mmuext_op, &op, 1, 0, 1234), -ESRCH);
}

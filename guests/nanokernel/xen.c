/* The Xen PV side of pv_ops, for domU (console ring) and dom0 (console_io). Page tables are updated one entry at a time, never
 * batched, in the way and order of Linux 2.6.18-xen: update_va_mapping for entries of the current address space, a plain store
 * or XCHG (which Xen's writable_pagetables assist traps) where that kernel did so, one update_va_mapping per table page to change
 * its protection around pin and unpin. */
#include "xen.h"

static struct start_info *si;
static u8 shared_page[PAGE] __attribute__((section(".bss.pool"), aligned(4096)));
#define SH ((volatile struct shared_info *)shared_page)
static struct console_ring *ring;
static u32 timer_port;
static u64 period, next_tick, all_cpus = 1;
extern char x_event[], x_syscall[], xen_return[], x_failsafe[];
extern u64 x_exc_table[20];

#define CHECK(call, what) do { long r_ = (call); if (r_ < 0) panic("%s failed with -%u at line %u", (u64)(what), (u64)-r_, (u64)__LINE__); } while (0)

static u64 maddr(void *p) { return pfn_to_mfn(__pa(p) >> 12) << 12 | (__pa(p) & 4095); }

/* ---- hypercalls of the MMU ---- */
static void uvm(u64 va, u64 pte, u64 flags) { cnt.uvm_flags[flags]++; CHECK(HC(HC_update_va_mapping, va, pte, flags, 0), "update_va_mapping"); }
static void mmuext(struct mmuext_op *op, u64 n)
{
    for (u64 i = 0; i < n; i++) cnt.mmuext[op[i].cmd]++;
    CHECK(HC(HC_mmuext_op, op, n, NULL, DOMID_SELF), "mmuext_op");
}
static void mmuext1(u32 cmd, u64 arg1, u64 arg2) { struct mmuext_op op = { cmd, 0, arg1, arg2 }; mmuext(&op, 1); }
static void mmu_update1(u64 *entry, u64 val)
{
    struct mmu_update u = { maddr(entry), val };
    cnt.mmu_entries++;
    CHECK(HC(HC_mmu_update, &u, 1, NULL, DOMID_SELF), "mmu_update");
}
static void table_ro(void *t) { uvm((u64)t, mk_pte(t, P_KERNEL_RO), UVMF_NONE); }
static void table_rw(void *t) { uvm((u64)t, mk_pte(t, P_KERNEL), UVMF_NONE); }

static void x_set_pte(struct mm *mm, u64 va, u64 *p, u64 v) { if (mm == current->mm) uvm(va, v, UVMF_NONE); else { cnt.trapped_stores += mm->pinned; store64(p, v); } }
static void x_set_access(struct mm *mm, u64 va, u64 *p, u64 v) { (void)mm; (void)p; uvm(va, v, UVMF_INVLPG); }
static void x_store_pte(struct mm *mm, u64 *p, u64 v) { cnt.trapped_stores += mm->pinned; store64(p, v); }
static u64 x_xchg_pte(struct mm *mm, u64 *p, u64 v) { cnt.trapped_stores += mm->pinned; return xchg64(p, v); }
static void x_populate(struct mm *mm, u64 *e, u64 *u, void *t)
{
    u64 v = mk_pte(t, P_TABLE);
    if (mm->pinned) {
        table_ro(t);
        mmu_update1(e, v);
        if (u) mmu_update1(u, v);
    } else {
        store64(e, v);
        if (u) store64(u, v);
    }
}
static void x_flush_page(u64 va) { mmuext1(MMUEXT_INVLPG_MULTI, va, (u64)&all_cpus); }
static void x_flush_mm(struct mm *mm) { (void)mm; mmuext1(MMUEXT_TLB_FLUSH_MULTI, 0, (u64)&all_cpus); }
static void x_switch_mm(struct mm *mm)
{
    struct mmuext_op op[2] = { { MMUEXT_NEW_BASEPTR, 0, maddr(mm->l4) >> 12, 0 }, { MMUEXT_NEW_USER_BASEPTR, 0, maddr(mm->user_l4) >> 12, 0 } };
    mmuext(op, 2);
}
static void x_pin(struct mm *mm)
{
    mm_walk(mm, table_ro);
    uvm((u64)mm->l4, mk_pte(mm->l4, P_KERNEL_RO), UVMF_TLB_FLUSH);
    uvm((u64)mm->user_l4, mk_pte(mm->user_l4, P_KERNEL_RO), UVMF_TLB_FLUSH);
    mmuext1(MMUEXT_PIN_L4_TABLE, maddr(mm->l4) >> 12, 0);
    mmuext1(MMUEXT_PIN_L4_TABLE, maddr(mm->user_l4) >> 12, 0);
    mm->pinned = 1;
}
static void x_exit_mm(struct mm *mm)
{
    if (current->active_mm == mm) { current->active_mm = &init_mm; x_switch_mm(&init_mm); }
    if (!mm->pinned) return;
    mmuext1(MMUEXT_UNPIN_TABLE, maddr(mm->l4) >> 12, 0);
    mmuext1(MMUEXT_UNPIN_TABLE, maddr(mm->user_l4) >> 12, 0);
    table_rw(mm->l4);
    table_rw(mm->user_l4);
    mm_walk(mm, table_rw);
    mmuext1(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    mm->pinned = 0;
}
static void x_exit_done(struct mm *mm) { (void)mm; }

/* ---- tasks ---- */
static void x_set_fs(u64 base) { CHECK(HC(HC_set_segment_base, SEGBASE_FS, base, 0, 0), "set_segment_base"); }
static void x_switch_task(struct task *t)
{
    struct multicall_entry m = { .op = HC_stack_switch, .args = { XEN_SS, t->kstack_top } };
    cnt.multicall_entries++;
    CHECK(HC(HC_multicall, &m, 1, 0, 0), "multicall");
    if (t->fs_base) x_set_fs(t->fs_base);
}
static u64 x_cr2(void) { return SH->vcpu[0].cr2; }

/* ---- time and events ---- */
static u32 lowest_bit(u64 v) { u64 r; __asm__("bsfq %1,%0" : "=r"(r) : "rm"(v)); return r; }   /* gcc would emit TZCNT */
static u64 now(void)
{
    volatile struct vcpu_time *t = &SH->vcpu[0].time;
    u64 ns;
    u32 v;
    do {
        v = t->version;
        barrier();
        u64 d = rdtsc() - t->tsc_timestamp;
        d = t->shift >= 0 ? d << t->shift : d >> -t->shift;
        ns = t->system_time + muldiv(d, t->mul, 1UL << 32);
        barrier();
    } while (v & 1 || v != t->version);
    return ns;
}
static void x_tick(struct regs *r)
{
    u64 t = now();
    cnt.ticks++;
    jiffies++;
    do next_tick += period; while (next_tick <= t);
    cnt.tick_hypercalls++;
    HC(HC_set_timer_op, next_tick, 0, 0, 0);
    sched_tick((r->cs & 3) == 3);
}
void xen_upcall(struct regs *r)
{
    SH->vcpu[0].pending = 0;
    u64 sel = xchg64((u64 *)&SH->vcpu[0].sel, 0);
    while (sel) {
        u32 word = lowest_bit(sel);
        sel &= sel - 1;
        u64 bits;
        while ((bits = SH->evtchn_pending[word] & ~SH->evtchn_mask[word])) {
            u32 bit = lowest_bit(bits);
            __asm__ volatile("lock btrq %1,%0" : "+m"(*(u64 *)&SH->evtchn_pending[word]) : "r"((u64)bit) : "memory");
            if (word * 64 + bit == timer_port) x_tick(r);
        }
    }
}
static void x_idle(void)
{
    HC(HC_sched_op, SCHEDOP_block, NULL, 0, 0);      /* unmasks, and returns when something was delivered */
    SH->vcpu[0].mask = 1;
    barrier();
}
static void x_tick_start(u64 hz)
{
    volatile struct vcpu_time *t = &SH->vcpu[0].time;
    struct bind_virq b = { 0, 0, 0 };
    tsc_khz = (1000000UL << 32) / t->mul;
    tsc_khz = t->shift >= 0 ? tsc_khz >> t->shift : tsc_khz << -t->shift;
    HC(HC_vcpu_op, 7, 0, NULL, 0);                   /* stop the periodic timer */
    CHECK(HC(HC_event_channel_op, 1, &b, 0, 0), "bind_virq");
    timer_port = b.port;
    SH->evtchn_mask[timer_port / 64] &= ~(1UL << timer_port % 64);
    period = 1000000000 / hz;
    next_tick = now() + period;
    HC(HC_set_timer_op, next_tick, 0, 0, 0);
}

/* ---- console ---- */
static void x_write(const char *s, u64 n)
{
    if (!ring) { HC(HC_console_io, 0, n, s, 0); return; }
    volatile struct console_ring *c = ring;
    u32 port = si->console_evtchn;
    while (n) {
        u32 prod = c->out_prod;
        while (n && prod - c->out_cons < sizeof c->out) { ring->out[prod++ & (sizeof c->out - 1)] = *s++; n--; }
        barrier();
        c->out_prod = prod;
        HC(HC_event_channel_op, 4, &port, 0, 0);
        if (n) HC(HC_sched_op, SCHEDOP_yield, NULL, 0, 0);
    }
}
static void x_shutdown(u32 reason)
{
    for (u32 i = 0; ring && i < 10000 && ((volatile struct console_ring *)ring)->out_cons != ring->out_prod; i++) HC(HC_sched_op, SCHEDOP_yield, NULL, 0, 0);
    HC(HC_sched_op, SCHEDOP_shutdown, &reason, 0, 0);
}
static void x_poweroff(void) { x_shutdown(0); }
static void x_crash(void) { x_shutdown(3); }
void x_failsafe_c(void) { panic("failsafe callback"); }

static const struct pv_ops xen_ops = {
    "xen-pv", XEN_CS, XEN_SS, x_set_pte, x_set_access, x_store_pte, x_xchg_pte, x_populate, x_flush_page, x_flush_mm, x_pin, x_exit_mm, x_exit_done,
    x_switch_mm, x_switch_task, x_set_fs, x_idle, x_cr2, x_write, x_poweroff, x_crash, x_tick_start,
};

/* Maps what the builder's first mapping leaves out, one L1 table after the other, as Linux builds its direct map. */
static void map_memory(void)
{
    u64 end = si->nr_pages < MAX_PFN ? si->nr_pages : MAX_PFN, first = __pa(image_end) >> 12;
    while (first < end && pte_lookup(&init_mm, VIRT_BASE + (first << 12))) first += 512 - first % 512;
    for (u64 pfn = first; pfn < end; pfn += 512) {
        u64 *table = page_zalloc();
        for (u64 i = 0; i < 512 && pfn + i < end; i++) table[i] = mk_pte(__va((pfn + i) << 12), P_KERNEL);
        u64 va = VIRT_BASE + (pfn << 12), *t = init_mm.l4;
        for (int level = 4; level > 2; level--) t = pte_page(t[va >> (12 + 9 * (level - 1)) & 511]);
        table_ro(table);
        mmu_update1(&t[va >> 21 & 511], mk_pte(table, P_TABLE));
    }
    mm_scatter(first, end);
}
void xen_init(void *start_info)
{
    static struct trap_info traps[21];
    u32 n = 0;
    si = start_info;
    pv = xen_ops;
    pv_return = (void (*)(void))xen_return;
    is_pv = 1;
    p2m = (u64 *)si->mfn_list;
    m2p = (u64 *)M2P_START;
    if (!(si->flags & SIF_INITDOMAIN)) ring = pte_page(si->console_mfn << 12);
    set_cmdline(si->cmd_line);
    uvm((u64)shared_page, si->shared_info | P_KERNEL, UVMF_INVLPG);
    for (u32 i = 0; i < 64; i++) SH->evtchn_mask[i] = ~0UL;
    for (u32 i = 0; i < 20; i++)
        if (i != 2 && i != 8 && i != 9 && i != 15 && i != 18) traps[n++] = (struct trap_info){ i, (i == 3 || i == 4 ? 3 : 0) | 4, XEN_CS, x_exc_table[i] };
    CHECK(HC(HC_set_trap_table, traps, 0, 0, 0), "set_trap_table");
    struct callback_register cb[3] = { { 0, 1, 0, (u64)x_event }, { 1, 1, 0, (u64)x_failsafe }, { 2, 1, 0, (u64)x_syscall } };
    for (u32 i = 0; i < 3; i++) CHECK(HC(HC_callback_op, 0, &cb[i], 0, 0), "callback_op");
    CHECK(HC(HC_vm_assist, 0, 2, 0, 0), "vm_assist");                                    /* writable_pagetables */
    CHECK(HC(HC_set_segment_base, SEGBASE_GS_KERNEL, &pda, 0, 0), "set_segment_base");
    init_mm.l4 = (u64 *)si->pt_base;
    mm_init();
    init_mm.user_l4 = page_zalloc();
    table_ro(init_mm.user_l4);
    mmuext1(MMUEXT_PIN_L4_TABLE, maddr(init_mm.user_l4) >> 12, 0);
    map_memory();
    kmain();
}

/* What the kernel counts about itself, and the stand-in budget.
 * kfork=N: N stand-in instructions per fork iteration in whole steps of 100, split over fault, fork, exit and switch as
 * 1/2, 1/4, 1/5, 1/20; one fork iteration has 51 faults and 2 switches, so one fault gets N/102 and one switch N/40.
 * Remainders are carried within an iteration and dropped at its start, so every iteration executes the same number. */
#include "kernel.h"

struct counters cnt;
static struct counters snap;
_Static_assert(__builtin_offsetof(struct counters, tick_iret) == 40 && __builtin_offsetof(struct counters, hypercall) == 48, "entry.S knows these");

/* ---- stand-in ---- */
#define STANDIN_STEP 100
#define NTEXT 40
#define NDATA 70
struct standin { u64 text, text_first, text_end, data, data_first, data_end; };
extern char standin_text[];
void *standin_pages[NDATA];                             /* standin.S knows the name */
extern void standin_run(struct standin *s, u64 steps);
static struct standin kinds[4];
static u64 budget[4], share[4];
u64 ksys_units;

static void kind_init(int k, u64 t0, u64 t1, u64 d0, u64 d1)
{
    u64 t = (u64)standin_text, d = (u64)standin_pages;
    kinds[k] = (struct standin){ t + t0 * 8, t + t0 * 8, t + t1 * 8, d + d0 * 8, d + d0 * 8, d + d1 * 8 };
}
void standin_init(void)
{
    for (int i = 0; i < NDATA; i++) standin_pages[i] = page_zalloc();
    kind_init(S_FAULT, 0, 20, 0, 35);
    kind_init(S_FORK, 20, 30, 35, 52);
    kind_init(S_EXIT, 30, 38, 52, 66);
    kind_init(S_SWITCH, 38, NTEXT, 66, NDATA);
    share[S_FAULT] = opt_kfork / 102;
    share[S_FORK] = opt_kfork / 4;
    share[S_EXIT] = opt_kfork / 5;
    share[S_SWITCH] = opt_kfork / 40;
    ksys_units = opt_ksys / 5;
}
void standin_reset(void)
{
    for (int i = 0; i < 4; i++) {
        budget[i] = 0;
        kinds[i].text = kinds[i].text_first;
        kinds[i].data = kinds[i].data_first;
    }
}
void standin(int k)
{
    u64 b = budget[k] + share[k], steps = b / STANDIN_STEP;
    budget[k] = b - steps * STANDIN_STEP;
    if (!steps) return;
    cnt.standin_steps += steps;
    standin_run(&kinds[k], steps);
}

/* ---- reports ---- */
static const char *const hnames[64] = {
    [0] = "set_trap_table", [1] = "mmu_update", [2] = "set_gdt", [3] = "stack_switch", [4] = "set_callbacks", [12] = "memory_op",
    [13] = "multicall", [14] = "update_va_mapping", [15] = "set_timer_op", [17] = "xen_version", [18] = "console_io", [21] = "vm_assist",
    [24] = "vcpu_op", [25] = "set_segment_base", [26] = "mmuext_op", [29] = "sched_op", [30] = "callback_op", [32] = "event_channel_op",
};
static const char *const mnames[20] = {
    "PIN_L1", "PIN_L2", "PIN_L3", "PIN_L4", "UNPIN", "NEW_BASEPTR", "TLB_FLUSH_LOCAL", "INVLPG_LOCAL", "TLB_FLUSH_MULTI", "INVLPG_MULTI",
    "TLB_FLUSH_ALL", "INVLPG_ALL", "FLUSH_CACHE", "SET_LDT", "op14", "NEW_USER_BASEPTR", "op16", "op17", "op18", "op19",
};
static const char *const row_names[8] = { "double-div", "null-call", "fork-proc", "page-fault", "ctx-2p0k" };
const char *row_name(u64 r) { return r < 5 ? row_names[r] : "unknown"; }

/* the marks' own crossings are left out: the return of the first, the entry of the second */
void count_begin(u64 row) { (void)row; standin_reset(); snap = cnt; snap.exits_user++; snap.iret++; }
static struct counters d, first;
static u64 reps_seen, reps_differ, row_seen = ~0UL;
static const u64 tick_words = 2;         /* the last fields of the structure: ticks, tick_hypercalls */
void count_end(u64 row)
{
    u64 *a = (u64 *)&cnt, *b = (u64 *)&snap, *c = (u64 *)&d;
    for (u32 i = 0; i < sizeof d / 8; i++) c[i] = a[i] - b[i];
    d.entries_user--;
    d.syscalls--;
    d.standin_sys -= ksys_units;
    if (row != row_seen) { row_seen = row; reps_seen = reps_differ = 0; first = d; }
    reps_seen++;
    a = (u64 *)&d; b = (u64 *)&first;
    for (u32 i = 0; i < sizeof d / 8 - tick_words; i++)
        if (a[i] != b[i] && i != 5 && i != 6 + 15) { reps_differ++; break; }   /* tick_iret and set_timer_op depend on time */
}
static u64 div_n;                        /* 0: totals, else per-iteration thousandths */
static void item(const char *k, u64 v) { if (div_n && !v) return; if (div_n) kprintf(" %s=%m", k, v * 1000 / div_n); else kprintf(" %s=%u", k, v); }
static void table(void)
{
    kputs(" hypercalls:");
    for (int i = 0; i < 64; i++) if (d.hypercall[i] && i != 15) item(hnames[i] ? hnames[i] : "other", d.hypercall[i]);
    kputs(" mmuext:");
    for (int i = 0; i < 20; i++) if (d.mmuext[i]) item(mnames[i], d.mmuext[i]);
    kputs(" uvm:");
    if (is_pv) { item("none", d.uvm_flags[0]); item("tlb_flush", d.uvm_flags[1]); item("invlpg", d.uvm_flags[2]); }
    kputs(" pv:");
    if (is_pv) { item("trapped_stores", d.trapped_stores); item("mmu_update_entries", d.mmu_entries); item("multicall_entries", d.multicall_entries); }
    kputs(" faults:");
    item("exec", d.f_exec); item("read", d.f_read); item("cow", d.f_cow); item("reuse", d.f_reuse); item("anon", d.f_anon); item("private", d.f_private);
    item("kernel", d.f_kernel); item("child", d.f_child); item("parent", d.f_parent);
    kputs(" other:");
    item("switches", d.switches); item("iret", d.iret); item("entries_from_user", d.entries_user); item("exits_to_user", d.exits_user);
    item("syscalls", d.syscalls); item("pages_copied", d.pages_copied); item("pages_zeroed", d.pages_zeroed); item("standin_steps", d.standin_steps);
    item("standin_sys", d.standin_sys);
    if (d.forks) {
        kputs(" fork:");
        item("forks", d.forks); item("vmas", d.fork_vmas); item("ptes_copied", d.ptes_copied); item("wrprotected", d.wrprotected);
        item("l3_at_fork", d.fork_l3); item("l2_at_fork", d.fork_l2); item("l1_at_fork", d.fork_l1);
        item("l3_at_exit", d.exit_l3); item("l2_at_exit", d.exit_l2); item("l1_at_exit", d.exit_l1);
        item("file_ptes_zapped", d.file_ptes_zapped); item("anon_ptes_zapped", d.anon_ptes_zapped);
    }
    kputs("\n");
}
void count_report(u64 row, u64 iters)
{
    div_n = 0;
    kprintf("COUNT %s iters=%u", row_name(row), iters);
    table();
    div_n = iters;
    kprintf("PERITER %s iters=%u", row_name(row), iters);
    table();
    kprintf("TICKS %s ticks=%u tick_hypercalls=%u tick_iret=%u reps_counted=%u reps_differing=%u\n", row_name(row), d.ticks, d.tick_hypercalls, d.tick_iret,
            reps_seen, reps_differ);
}

/* Types, layout constants and declarations shared by the whole nanokernel.
 * The kernel lives at VIRT_BASE + physical (or pseudo-physical) address in both worlds, and maps all memory there up to
 * MAX_PFN (Linux's direct map). A pool in .bss serves until that is done; then pages come from all over the memory. Sources of the numbers: SDM 3A ch. 4, 6; Xen public headers. */
#ifndef KERNEL_H
#define KERNEL_H
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long u64; typedef long s64;
#define NULL ((void *)0)
#define VERSION "1.0"

#define VIRT_BASE 0xffffffff80000000UL
#define PAGE 4096UL
#define MAX_PFN 65536           /* 256 MiB; memory beyond is not used */
#define POOL_PAGES 640
#define SCATTER_PAGES 1024      /* pages in use at most once they are scattered */
#define __va(pa) ((void *)(VIRT_BASE + (u64)(pa)))
#define __pa(va) ((u64)(va) - VIRT_BASE)

/* page-table entry bits (SDM 3A §4.5) */
#define P_P 0x1UL
#define P_RW 0x2UL
#define P_US 0x4UL
#define P_A 0x20UL
#define P_D 0x40UL
#define P_PSE 0x80UL
#define P_G 0x100UL
#define P_NX (1UL << 63)
#define P_TABLE (P_P | P_RW | P_US | P_A | P_D)
#define P_KERNEL (P_P | P_RW | P_A | P_D)
#define P_KERNEL_RO (P_P | P_A | P_D)
#define P_ADDR 0x000ffffffffff000UL

/* ---- saved registers: what entry.S pushes, lowest address first ---- */
struct regs {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u64 err, rip, cs, rflags, rsp, ss;
};

/* ---- counters: everything the kernel counts about itself (counters.c) ---- */
struct counters {
    u64 entries_user, exits_user, iret, syscalls, standin_sys, tick_iret;   /* entry.S and standin.S know these offsets */
    u64 hypercall[64];          /* by hypercall number */
    u64 mmuext[20];             /* entries by command */
    u64 uvm_flags[3];           /* update_va_mapping: none, TLB_FLUSH, INVLPG */
    u64 mmu_entries, multicall_entries;
    u64 trapped_stores;         /* stores and XCHGs into a page table that is read-only to us */
    u64 f_exec, f_read, f_cow, f_reuse, f_anon, f_private, f_kernel, f_parent, f_child;
    u64 pages_copied, pages_zeroed, ptes_copied, wrprotected;
    u64 switches;
    u64 forks, fork_l3, fork_l2, fork_l1, fork_vmas, exit_l3, exit_l2, exit_l1, file_ptes_zapped, anon_ptes_zapped;
    u64 standin_steps;
    u64 ticks, tick_hypercalls;
};
extern struct counters cnt;

/* ---- memory management ---- */
struct file { const char *name; u8 *image; u32 npages; void *page[64]; };   /* image NULL: blank */
enum { V_R = 1, V_W = 2, V_X = 4, V_SHARED = 8 };
struct vma { struct vma *next; u64 start, end; u32 flags; u32 anon_vma; struct file *file; u64 pgoff; };
struct mm {
    u64 *l4, *user_l4;          /* PV only: user_l4 is a second root without kernel entries */
    struct vma *vmas;
    struct vma *cache;
    u32 pinned, nvmas;
    u32 n[5];                   /* tables by level */
};
extern struct mm init_mm;
extern u16 page_ref[MAX_PFN];
extern u64 *p2m, *m2p;          /* NULL: identity (native) */

static inline u64 pfn_to_mfn(u64 pfn) { return p2m ? p2m[pfn] : pfn; }
static inline u64 mfn_to_pfn(u64 mfn) { return m2p ? m2p[mfn] : mfn; }
static inline u64 mk_pte(void *page, u64 bits) { return pfn_to_mfn(__pa(page) >> 12) << 12 | bits; }
static inline void *pte_page(u64 e) { return __va(mfn_to_pfn((e & P_ADDR) >> 12) << 12); }

extern u8 image_end[];
void mm_init(void);
void mm_scatter(u64 first_pfn, u64 end_pfn);
void *page_alloc(void), *page_zalloc(void);
void page_put(void *page);
static inline u16 *refp(void *page) { return &page_ref[__pa(page) >> 12]; }
static inline void page_zero(void *p) { u64 n = 512; __asm__ volatile("rep stosq" : "+D"(p), "+c"(n) : "a"(0UL) : "memory"); }
static inline void page_copy(void *d, const void *s) { u64 n = 512; __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n) : : "memory"); }
struct mm *mm_new(void), *mm_dup(struct mm *old);
void mm_exit(struct mm *mm), mm_drop(struct mm *mm);
struct vma *vma_add(struct mm *mm, u64 start, u64 end, u32 flags, struct file *f, u64 pgoff);
struct vma *vma_find(struct mm *mm, u64 va);
long mm_unmap(struct mm *mm, u64 start), mm_protect(struct mm *mm, u64 start, u32 flags);
u64 *pte_lookup(struct mm *mm, u64 va);
typedef void (*table_fn)(void *table);
void mm_walk(struct mm *mm, table_fn fn);

/* ---- tasks ---- */
enum { T_FREE, T_RUN, T_SLEEP, T_ZOMBIE };
struct task {
    u64 ksp;                    /* saved kernel stack pointer: first, entry.S uses it */
    u64 kstack_top;
    struct mm *mm, *active_mm;
    struct task *parent;
    u32 state, pid;
    u64 fs_base, set_tid, clear_tid, exit_code;
    s64 slice;
    void *wait_on;
};
struct pda { struct task *current; u64 kstack_top, user_rsp, need_resched; };   /* at GS base in kernel mode */
extern struct pda pda;
#define current (pda.current)
#define NTASKS 6
void sched_init(void), schedule(void), sched_tick(int user), wake(void *what), sleep_on(void *what);
void schedule_tail(void);
long do_fork(struct regs *r, u64 set_tid);
void do_exit(u64 code) __attribute__((noreturn));
long do_wait4(u64 pid);
struct task *task_create(struct mm *mm, u64 entry, u64 rsp);
void switch_stacks(struct task *prev, struct task *next);
void idle_loop(void) __attribute__((noreturn));

/* ---- the paravirt layer: the only difference between the two worlds ---- */
struct pv_ops {
    const char *name;
    u64 user_cs, user_ss;
    void (*set_pte)(struct mm *mm, u64 va, u64 *ptep, u64 val);            /* empty to present, or after a clear */
    void (*set_access)(struct mm *mm, u64 va, u64 *ptep, u64 val);         /* more rights on the same page */
    void (*store_pte)(struct mm *mm, u64 *ptep, u64 val);                  /* plain store, possibly into a live table */
    u64 (*xchg_pte)(struct mm *mm, u64 *ptep, u64 val);
    void (*populate)(struct mm *mm, u64 *entry, u64 *user_entry, void *table);
    void (*flush_page)(u64 va);
    void (*flush_mm)(struct mm *mm);
    void (*pin)(struct mm *mm);
    void (*exit_mm)(struct mm *mm);                                        /* before the tables are torn down */
    void (*exit_done)(struct mm *mm);                                      /* after the pages are gone */
    void (*switch_mm)(struct mm *next);
    void (*switch_task)(struct task *next);
    void (*set_fs)(u64 base);
    void (*idle)(void);                                                    /* wait for an interrupt, return masked */
    u64 (*cr2)(void);
    void (*write)(const char *s, u64 n);
    void (*poweroff)(void), (*crash)(void);
    void (*tick_start)(u64 hz);
};
extern struct pv_ops pv;
extern void (*volatile pv_return)(void);
void native_init(u32 magic, u32 *mbi), xen_init(void *start_info);
void native_timer_irq(void), xen_upcall(struct regs *r);
extern int is_pv;
extern u64 tsc_khz;
extern volatile u64 jiffies;
void kmain(void) __attribute__((noreturn));
void set_cmdline(const char *s);
int opt_has(const char *row);
u64 opt_num(const char *key, u64 def);
extern u64 opt_kfork, opt_ksys;

/* ---- stand-in work (standin.S, counters.c) ---- */
enum { S_FAULT, S_FORK, S_EXIT, S_SWITCH };
void standin(int kind);
void standin_reset(void);

/* ---- console and reports ---- */
void kputs(const char *s), kprintf(const char *fmt, ...), kflush(void);
void panic(const char *fmt, ...) __attribute__((noreturn));
void count_begin(u64 row), count_end(u64 row), count_report(u64 row, u64 iters);
u64 muldiv(u64 a, u64 b, u64 c);

/* ---- small things ---- */
void *memset(void *d, int c, u64 n), *memcpy(void *d, const void *s, u64 n);
static inline u64 rdtsc(void) { u32 a, d; __asm__ volatile("rdtsc" : "=a"(a), "=d"(d)); return (u64)d << 32 | a; }
static inline u64 xchg64(u64 *p, u64 v) { __asm__ volatile("xchgq %0,%1" : "+r"(v), "+m"(*p) : : "memory"); return v; }
static inline void store64(u64 *p, u64 v) { __asm__ volatile("movq %1,%0" : "=m"(*p) : "r"(v) : "memory"); }
#define barrier() __asm__ volatile("" ::: "memory")
#endif

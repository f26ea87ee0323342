/* The native side of pv_ops: IDT, TSS, 8259, 8254, 16550, SYSCALL MSRs. One L4 per address space; kernel entries are the boot
 * tables' 2 MiB global pages. Sources: SDM 3A ch. 2, 4, 6; 8259A, 8254 and 16550 data sheets; PIIX4 PM1a for power-off. */
#include "kernel.h"

static inline void outb(u16 p, u8 v) { __asm__ volatile("outb %0,%1" : : "a"(v), "Nd"(p)); }
static inline void outw(u16 p, u16 v) { __asm__ volatile("outw %0,%1" : : "a"(v), "Nd"(p)); }
static inline u8 inb(u16 p) { u8 v; __asm__ volatile("inb %1,%0" : "=a"(v) : "Nd"(p)); return v; }
static inline void wrmsr(u32 m, u64 v) { __asm__ volatile("wrmsr" : : "c"(m), "a"((u32)v), "d"((u32)(v >> 32))); }
static inline void invlpg(u64 va) { __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory"); }
static inline u64 read_cr3(void) { u64 v; __asm__ volatile("mov %%cr3,%0" : "=r"(v)); return v; }
static inline void write_cr3(u64 v) { __asm__ volatile("mov %0,%%cr3" : : "r"(v) : "memory"); }

extern u64 boot_l4[512];
extern u8 tss[104];
extern char n_syscall[], n_timer[], n_spurious[], native_return[];
extern u64 n_exc_table[20];
static struct { u16 lo, sel; u8 ist, type; u16 mid; u32 hi, zero; } idt[256];

static void gate(u32 n, u64 a, u32 dpl) { idt[n].lo = a; idt[n].sel = 8; idt[n].ist = 0; idt[n].type = 0x8e | dpl << 5; idt[n].mid = a >> 16; idt[n].hi = a >> 32; }
static void lidt(u16 limit, void *base) { struct { u16 l; u64 b; } __attribute__((packed)) d = { limit, (u64)base }; __asm__ volatile("lidt %0" : : "m"(d)); }

/* ---- page tables: plain memory ---- */
static void n_set_pte(struct mm *mm, u64 va, u64 *p, u64 v) { (void)mm; (void)va; store64(p, v); }
static void n_set_access(struct mm *mm, u64 va, u64 *p, u64 v) { (void)mm; store64(p, v); invlpg(va); }
static void n_store_pte(struct mm *mm, u64 *p, u64 v) { (void)mm; store64(p, v); }
static u64 n_xchg_pte(struct mm *mm, u64 *p, u64 v) { (void)mm; return xchg64(p, v); }
static void n_populate(struct mm *mm, u64 *e, u64 *u, void *t) { (void)mm; (void)u; store64(e, mk_pte(t, P_TABLE)); }
static void n_flush_page(u64 va) { invlpg(va); }
static void n_flush_mm(struct mm *mm) { (void)mm; write_cr3(read_cr3()); }
static void n_nothing(struct mm *mm) { (void)mm; }
static void n_switch_mm(struct mm *mm) { write_cr3(__pa(mm->l4)); }
static void n_set_fs(u64 base) { wrmsr(0xC0000100, base); }
static void n_switch_task(struct task *t) { *(u64 *)(tss + 4) = t->kstack_top; if (t->fs_base) n_set_fs(t->fs_base); }
static u64 n_cr2(void) { u64 v; __asm__ volatile("mov %%cr2,%0" : "=r"(v)); return v; }
static void n_idle(void) { __asm__ volatile("sti; hlt; cli" : : : "memory"); }

static void n_write(const char *s, u64 n) { while (n--) { while (!(inb(0x3fd) & 0x20)); outb(0x3f8, *s++); } }
static void n_poweroff(void) { outw(0x604, 0x2000); for (;;) __asm__ volatile("cli; hlt"); }
static void n_crash(void) { lidt(0, NULL); __asm__ volatile("int3"); }                   /* triple fault */

void native_timer(struct regs *r)
{
    outb(0x20, 0x20);
    cnt.ticks++;
    jiffies++;
    sched_tick(r->cs & 3);
}
static void n_tick_start(u64 hz)
{
    u32 div = (1193182 + hz / 2) / hz;
    outb(0x20, 0x11); outb(0xa0, 0x11); outb(0x21, 0x20); outb(0xa1, 0x28); outb(0x21, 4); outb(0xa1, 2); outb(0x21, 1); outb(0xa1, 1);
    outb(0x21, 0xfe); outb(0xa1, 0xff);                                                  /* IRQ 0 only */
    outb(0x43, 0x34); outb(0x40, div); outb(0x40, div >> 8);                             /* channel 0, mode 2 */
    /* TSC rate: from one tick edge over 20 ticks, by the rate that the divisor really gives */
    u64 j, t0, n = 20;
    n_idle();
    j = jiffies; t0 = rdtsc();
    while (jiffies < j + n) n_idle();
    tsc_khz = muldiv(rdtsc() - t0, 1193182, n * div * 1000);
}

struct pv_ops pv;
void (*volatile pv_return)(void);
int is_pv;
static const struct pv_ops native_ops = {
    "native", 0x23, 0x1b, n_set_pte, n_set_access, n_store_pte, n_xchg_pte, n_populate, n_flush_page, n_flush_mm, n_nothing, n_nothing, n_flush_mm,
    n_switch_mm, n_switch_task, n_set_fs, n_idle, n_cr2, n_write, n_poweroff, n_crash, n_tick_start,
};

void native_init(u32 magic, u32 *mbi)
{
    pv = native_ops;
    pv_return = (void (*)(void))native_return;
    mbi = __va(mbi);
    if (magic == 0x2BADB002 && mbi[0] & 4) set_cmdline(__va((u64)mbi[4]));
    outb(0x3f9, 0); outb(0x3fb, 0x80); outb(0x3f8, 1); outb(0x3f9, 0); outb(0x3fb, 3); outb(0x3fa, 7); outb(0x3fc, 3);
    for (u32 i = 0; i < 20; i++) gate(i, n_exc_table[i], i == 3 || i == 4 ? 3 : 0);
    for (u32 i = 32; i < 48; i++) gate(i, (u64)n_spurious, 0);
    gate(32, (u64)n_timer, 0);
    lidt(sizeof idt - 1, idt);
    wrmsr(0xC0000081, 0x08UL << 32);                                                     /* STAR: SYSCALL cs 8, ss 0x10 */
    wrmsr(0xC0000082, (u64)n_syscall);                                                   /* LSTAR */
    wrmsr(0xC0000084, 0x40700);                                                          /* FMASK: TF IF DF AC */
    wrmsr(0xC0000101, (u64)&pda);                                                        /* GS base: kernel now, */
    wrmsr(0xC0000102, 0);                                                                /* user after SWAPGS */
    init_mm.l4 = boot_l4;
    mm_init();
    if (magic == 0x2BADB002 && mbi[0] & 1) mm_scatter((__pa(image_end) + PAGE - 1) >> 12, (0x100000 + (u64)mbi[2] * 1024) >> 12);
    kmain();
}
void do_fatal(struct regs *r, u64 vector)
{
    panic("exception %u error %x rip %x cs %x rsp %x rflags %x", vector, r->err, r->rip, r->cs & 0xffff, r->rsp, r->rflags);
}

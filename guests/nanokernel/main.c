/* Command line, the system-call table, the layout of the benchmark process, kmain. */
#include "kernel.h"

u64 tsc_khz;
volatile u64 jiffies;
u64 opt_kfork, opt_ksys;
#define DEFAULT_KFORK 150000
#define DEFAULT_KSYS 150
static char cmdline[1024];
void standin_init(void);
const char *row_name(u64 r);

/* ---- options: key=value words, separated by blanks ---- */
void set_cmdline(const char *s) { u32 i = 0; for (; s && s[i] && i < sizeof cmdline - 1; i++) cmdline[i] = s[i]; cmdline[i] = 0; }
static const char *opt_find(const char *key)
{
    for (const char *p = cmdline; *p;) {
        const char *a = p, *k = key;
        while (*k && *a == *k) a++, k++;
        if (!*k && *a == '=') return a + 1;
        while (*p && *p != ' ') p++;
        while (*p == ' ') p++;
    }
    return NULL;
}
static int opt_word(const char *key)
{
    for (const char *p = cmdline; *p;) {
        const char *a = p, *k = key;
        while (*k && *a == *k) a++, k++;
        if (!*k && (!*a || *a == ' ')) return 1;
        while (*p && *p != ' ') p++;
        while (*p == ' ') p++;
    }
    return 0;
}
u64 opt_num(const char *key, u64 def)
{
    const char *s = opt_find(key);
    if (!s || *s < '0' || *s > '9') return def;
    u64 v = 0;
    while (*s >= '0' && *s <= '9') v = v * 10 + *s++ - '0';
    return v;
}
int opt_has(const char *row)
{
    const char *s = opt_find("rows");
    if (!s) return 1;
    while (*s && *s != ' ') {
        const char *a = s, *r = row;
        while (*r && *a == *r) a++, r++;
        if (!*r && (*a == ',' || *a == ' ' || !*a)) return 1;
        while (*s && *s != ',' && *s != ' ') s++;
        if (*s == ',') s++;
    }
    return 0;
}

/* ---- pipes: 16 bytes deep, whole tokens of one byte ---- */
static struct pipe { u8 b[16]; u32 r, w; } pipes[4];
static u32 npipes;
static long sys_pipe(void) { return npipes < 4 ? (long)npipes++ : -24; }
static long sys_read(u64 fd, u8 *p, u64 n)
{
    if (fd >= npipes || n != 1) return -9;
    struct pipe *q = &pipes[fd];
    while (q->r == q->w) sleep_on(q);
    *p = q->b[q->r++ % 16];
    return 1;
}
static long sys_write(u64 fd, const u8 *p, u64 n)
{
    if (fd >= npipes || n != 1) return -9;
    struct pipe *q = &pipes[fd];
    if (q->w - q->r == 16) return -11;
    q->b[q->w++ % 16] = *p;
    wake(q);
    return 1;
}

/* ---- the files: images linked into the kernel and blank ones, copied into the page cache at start (no disk) ---- */
extern u8 img_bin_text[], img_bin_text_end[], img_bin_data[], img_bin_data_end[], img_ld[], img_ld_end[], img_libc[], img_libc_end[], img_libm[], img_libm_end[];
#define PF_PAGES 64
static struct file f_bin = { "bin", img_bin_text, 7 }, f_bindata = { "bin", img_bin_data, 2 }, f_ld = { "ld.so", img_ld, 11 },
    f_lddata = { "ld.so", NULL, 2 }, f_libc = { "libc.so", img_libc, 24 }, f_libcdata = { "libc.so", NULL, 4 },
    f_libm = { "libm.so", img_libm, 6 }, f_libmdata = { "libm.so", NULL, 2 }, f_locale = { "locale-archive", NULL, 4 },
    f_ctype = { "LC_CTYPE", NULL, 2 }, f_gconv = { "gconv.cache", NULL, 2 }, f_misc = { "nscd", NULL, 1 },
    f_pf = { "pagefault.dat", NULL, PF_PAGES };
static struct file *const files[] = { &f_bin, &f_bindata, &f_ld, &f_lddata, &f_libc, &f_libcdata, &f_libm, &f_libmdata, &f_locale, &f_ctype, &f_gconv, &f_misc, &f_pf };

static void files_init(void)
{
    for (u32 f = 0; f < sizeof files / sizeof *files; f++)
        for (u32 i = 0; i < files[f]->npages; i++) {
            files[f]->page[i] = page_zalloc();
            if (files[f]->image) page_copy(files[f]->page[i], files[f]->image + i * PAGE);
        }
}

static long sys_mmap(u64 where)          /* the page-fault row's file, shared, read only */
{
    vma_add(current->mm, where, where + PF_PAGES * PAGE, V_R | V_SHARED, &f_pf, 0);
    return where;
}
static long sys_munmap(u64 where) { return mm_unmap(current->mm, where); }
static long sys_mprotect(u64 start, u64 flags) { return mm_protect(current->mm, start, flags); }
static long sys_getppid(void) { return current->parent ? current->parent->pid : 0; }
static long sys_fork(u64 set_tid, u64 b, u64 c, struct regs *r) { (void)b; (void)c; return do_fork(r, set_tid); }
static long sys_exit(u64 code) { do_exit(code); }
static long sys_wait4(u64 pid) { return do_wait4(pid); }
static long sys_set_fs(u64 base) { current->fs_base = base; pv.set_fs(base); return 0; }
static long sys_set_clear_tid(u64 p) { current->clear_tid = p; return current->pid; }
static long sys_mark(u64 begin, u64 row) { if (begin) count_begin(row); else count_end(row); return 0; }
static long sys_option(u64 which)
{
    switch (which) {
    case 0: return opt_num("reps", 5);
    case 1: return opt_num("iters", 1);
    case 2: case 3: case 4: case 5: case 6: return opt_has(row_name(which - 2));
    }
    return -22;
}
struct result { u64 row, rep, iters, ops, t0, t1, o0, o1; };
static long sys_report(struct result *u)
{
    struct result r = *u;
    u64 t = r.t1 - r.t0, o = r.o1 - r.o0, net = t > o ? t - o : 0;
    kprintf("ROW %s rep=%u iters=%u ops=%u t0=%x t1=%x", row_name(r.row), r.rep, r.iters, r.ops, r.t0, r.t1);
    if (r.o1) kprintf(" o0=%x o1=%x", r.o0, r.o1);
    kprintf(" cycles=%m ns=%m\n", muldiv(net, 1000, r.ops), muldiv(muldiv(net, 1000000, tsc_khz), 1000, r.ops));
    return 0;
}
static long sys_counts(u64 row, u64 iters) { count_report(row, iters); return 0; }
static long sys_poweroff(u64 code)
{
    if (code) panic("benchmark process failed with %u", code);
    kputs("DONE\n");
    kflush();
    if (opt_word("nohalt")) for (;;) pv.idle();
    pv.poweroff();
    for (;;) barrier();
}
typedef long (*sysfn)();
#define NR_SYSCALLS 32
const sysfn syscall_table[NR_SYSCALLS] = {
    [0] = (sysfn)sys_getppid, [1] = (sysfn)sys_fork, [2] = (sysfn)sys_exit, [3] = (sysfn)sys_wait4, [4] = (sysfn)sys_mmap, [5] = (sysfn)sys_munmap,
    [6] = (sysfn)sys_mprotect, [7] = (sysfn)sys_pipe, [8] = (sysfn)sys_read, [9] = (sysfn)sys_write, [10] = (sysfn)sys_set_fs,
    [11] = (sysfn)sys_set_clear_tid, [12] = (sysfn)sys_mark, [13] = (sysfn)sys_option, [14] = (sysfn)sys_report, [15] = (sysfn)sys_counts,
    [16] = (sysfn)sys_poweroff,
    [17] = (sysfn)sys_getppid, [18] = (sysfn)sys_getppid, [19] = (sysfn)sys_getppid, [20] = (sysfn)sys_getppid, [21] = (sysfn)sys_getppid,
    [22] = (sysfn)sys_getppid, [23] = (sysfn)sys_getppid, [24] = (sysfn)sys_getppid, [25] = (sysfn)sys_getppid, [26] = (sysfn)sys_getppid,
    [27] = (sysfn)sys_getppid, [28] = (sysfn)sys_getppid, [29] = (sysfn)sys_getppid, [30] = (sysfn)sys_getppid, [31] = (sysfn)sys_getppid,
};

/* ---- 27 VMAs, laid out as a dynamically linked program of CentOS 5 was; user/user.ld and user/user.h know the addresses ---- */
#include "user/layout.h"
static struct mm *bench_mm(void)
{
    struct mm *m = mm_new();
    vma_add(m, BIN_TEXT, BIN_TEXT + 7 * PAGE, V_R | V_X, &f_bin, 0);
    vma_add(m, BIN_DATA, BIN_DATA + 2 * PAGE, V_R | V_W, &f_bindata, 0);
    vma_add(m, BIN_BSS, BIN_BSS + 4 * PAGE, V_R | V_W, NULL, 0);
    vma_add(m, HEAP, HEAP + 33 * PAGE, V_R | V_W, NULL, 0);
    vma_add(m, LD_TEXT, LD_TEXT + 11 * PAGE, V_R | V_X, &f_ld, 0);
    vma_add(m, LD_DATA, LD_DATA + PAGE, V_R | V_W, &f_lddata, 0);
    vma_add(m, LD_DATA + PAGE, LD_DATA + 2 * PAGE, V_R | V_W, &f_lddata, 1);
    vma_add(m, LIBC_TEXT, LIBC_TEXT + 24 * PAGE, V_R | V_X, &f_libc, 0);
    vma_add(m, LIBC_TEXT + 24 * PAGE, LIBC_DATA, 0, NULL, 0);
    vma_add(m, LIBC_DATA, LIBC_DATA + 2 * PAGE, V_R | V_W, &f_libcdata, 0);
    vma_add(m, LIBC_DATA + 2 * PAGE, LIBC_DATA + 4 * PAGE, V_R | V_W, &f_libcdata, 2);
    vma_add(m, LIBC_BSS, LIBC_BSS + 5 * PAGE, V_R | V_W, NULL, 0);
    vma_add(m, LIBM_TEXT, LIBM_TEXT + 6 * PAGE, V_R | V_X, &f_libm, 0);
    vma_add(m, LIBM_TEXT + 6 * PAGE, LIBM_DATA, 0, NULL, 0);
    vma_add(m, LIBM_DATA, LIBM_DATA + PAGE, V_R | V_W, &f_libmdata, 0);
    vma_add(m, LIBM_DATA + PAGE, LIBM_DATA + 2 * PAGE, V_R | V_W, &f_libmdata, 1);
    vma_add(m, TLS, TLS + 2 * PAGE, V_R | V_W, NULL, 0);
    vma_add(m, LOCALE, LOCALE + 4 * PAGE, V_R, &f_locale, 0);
    vma_add(m, CTYPE, CTYPE + 2 * PAGE, V_R, &f_ctype, 0);
    vma_add(m, GCONV, GCONV + 2 * PAGE, V_R, &f_gconv, 0);
    vma_add(m, MISC, MISC + PAGE, V_R, &f_misc, 0);
    vma_add(m, ANON2, ANON2 + 2 * PAGE, V_R | V_W, NULL, 0);
    vma_add(m, ANON3, ANON3 + PAGE, V_R | V_W, NULL, 0);
    vma_add(m, ANON4, ANON4 + PAGE, V_R, NULL, 0);
    vma_add(m, STACK_TOP - 21 * PAGE, STACK_TOP, V_R | V_W, NULL, 0);
    vma_add(m, VDSO, VDSO + PAGE, V_R | V_X, &f_misc, 0);
    vma_add(m, ANON5, ANON5 + PAGE, V_R | V_W, NULL, 0);
    return m;
}

static const char *hypervisor_below(void)
{
    u32 a = 0x40000000, b, c, d;
    if (is_pv) return "Xen (PV)";
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (b == 0x566e6558 && c == 0x65584d4d && d == 0x4d4d566e) return "Xen (full)";
    if (b == 0x4b4d564b && c == 0x564b4d56 && d == 0x4d) return "KVM";
    if (b == 0x54474354 && c == 0x43544743) return "TCG";
    return "none";
}
void kmain(void)
{
    opt_kfork = opt_num("kfork", DEFAULT_KFORK);
    opt_ksys = opt_num("ksys", DEFAULT_KSYS);
    u64 hz = opt_num("tick", is_pv ? 250 : 1000);
    kprintf("nanokernel %s on %s\n", VERSION, pv.name);
    standin_init();
    files_init();
    sched_init();
    pv.tick_start(hz);
    if (img_bin_text_end - img_bin_text != 7 * PAGE || img_bin_data_end - img_bin_data != 2 * PAGE || img_ld_end - img_ld != 11 * PAGE ||
        img_libc_end - img_libc != 24 * PAGE || img_libm_end - img_libm != 6 * PAGE) panic("image sizes");
    kprintf("CONFIG hypervisor=%s tick=%u tsc_khz=%u kfork=%u ksys=%u reps=%u iters=%u\n", hypervisor_below(), hz, tsc_khz, opt_kfork, opt_ksys,
            opt_num("reps", 5), opt_num("iters", 1));
    if (opt_word("panic")) panic("asked for on the command line");
    struct mm *m = bench_mm();
    pv.pin(m);
    task_create(m, BIN_TEXT, STACK_TOP - 64);
    idle_loop();
}

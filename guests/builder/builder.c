/* A dom0 that does nothing but build one PV DomU, serve its console and bury it, all by hypercalls. The DomU's ELF64 kernel is dom0's
 * initrd; its command line is what follows `--` on dom0's. Used to let real Xen judge the guests as DomU, and as an example of what a
 * toolstack must do. Order and layout follow libxenguest as the interface documents describe it; structures: Xen public/domctl.h
 * (interface version 0x15, Xen 4.17), arch-x86/xen.h. Start-up code and console are those of ../hostile. */
#include "hostile.h"

enum { DOMCTL_create = 1, DOMCTL_destroy = 2, DOMCTL_unpause = 4, DOMCTL_getdomaininfo = 5, DOMCTL_max_mem = 11, DOMCTL_setvcpucontext = 12,
       DOMCTL_max_vcpus = 15, DOMCTL_hypercall_init = 22 };
struct domctl { u32 cmd, version; u16 domain, pad[3]; union { u8 b[128]; u32 w[32]; u64 q[16]; } u; };
struct sysctl { u32 cmd, version; u8 u[128]; };
struct elf { u8 ident[16]; u16 type, machine; u32 version; u64 entry, phoff, shoff; u32 flags; u16 ehsize, phentsize, phnum; };
struct phdr { u32 type, flags; u64 offset, vaddr, paddr, filesz, memsz, align; };

#define MAX_PAGES 16384
static u64 mfns[MAX_PAGES];
static u32 domid;
static u8 window[PAGE] __attribute__((aligned(4096))), console[PAGE] __attribute__((aligned(4096)));
static u64 window_pte, note_entry, note_hypercall, note_base;

static long must(const char *what, long r)
{
    if (r < 0) { say("BUILDER %s failed with %d\n", what, r); say("VERDICT FAILURE\n"); power(0); }
    return r;
}
static struct domctl dc;
static long domctl(u32 cmd) { dc.cmd = cmd; dc.version = 0x15; dc.domain = domid; return HC(H_domctl, &dc); }
static u64 free_pages(void)
{
    static struct sysctl s;
    s.cmd = 3; s.version = 0x15;
    must("physinfo", HC(H_sysctl, &s));
    return *(u64 *)(s.u + 48);
}
/* a frame of the new domain at a fixed address of ours; 0 gives the window back */
static void *map_frame(u8 *where, u64 mfn)
{
    struct mmu_update m = { (u64)pte_of(where) , 0 };
    m.ptr = maddr_of(pte_of(where));
    m.val = mfn << 12 | KRW;
    must("map foreign frame", HC(H_mmu_update, &m, 1, 0, domid));
    mmuext(7, (u64)where, 0);
    return where;
}
static void *map_pfn(u64 pfn) { return map_frame(window, mfns[pfn]); }
static void store(u64 pfn, u64 off, const void *src, u64 n)
{
    while (n) {
        u64 part = PAGE - (off & 4095);
        if (part > n) part = n;
        memcpy((u8 *)map_pfn(pfn + (off >> 12)) + (off & 4095), src, part);
        src = (const u8 *)src + part; off += part; n -= part;
    }
}
static void store64(u64 pfn, u64 index, u64 v) { store(pfn, index * 8, &v, 8); }

static void read_notes(const u8 *p, u64 n)
{
    for (const u8 *end = p + n; p + 12 <= end;) {
        const u32 *h = (const u32 *)p;
        const u8 *desc = p + 12 + ((h[0] + 3) & ~3u);
        if (h[0] == 4 && *(const u32 *)(p + 12) == 0x006e6558) {           /* "Xen" */
            u64 v = h[1] == 8 ? *(const u64 *)desc : h[1] == 4 ? *(const u32 *)desc : 0;
            if (h[2] == 1) note_entry = v;
            if (h[2] == 2) note_hypercall = v;
            if (h[2] == 3) note_base = v;
        }
        p = desc + ((h[1] + 3) & ~3u);
    }
}
static u64 option(const char *key, u64 def)
{
    for (const char *p = si->cmd_line; *p; p++) {
        const char *a = p, *b = key;
        if (p[0] == '-' && p[1] == '-') break;
        while (*b && *a == *b) a++, b++;
        if (*b) continue;
        u64 v = 0;
        while (*a >= '0' && *a <= '9') v = v * 10 + *a++ - '0';
        return v;
    }
    return def;
}
static const char *domu_cmdline(void)
{
    for (const char *p = si->cmd_line; *p; p++)
        if (p[0] == '-' && p[1] == '-' && (!p[2] || p[2] == ' ')) return p[2] ? p + 3 : p + 2;
    return "";
}
static u32 alloc_unbound(void)
{
    struct { u16 dom, remote; u32 port; } a = { domid, 0, 0 };
    must("alloc_unbound", HC(H_event_channel_op, 6, &a));
    return a.port;
}

static void build(u64 nr)
{
    struct elf *e = (struct elf *)si->mod_start;
    if (si->mod_len < sizeof *e || *(u32 *)e->ident != 0x464c457f || e->ident[4] != 2) must("ELF64 kernel", -ENOENT);

    /* the domain */
    memset(&dc, 0, sizeof dc);
    dc.u.w[7] = 1;                                            /* max_vcpus */
    dc.u.w[8] = dc.u.w[9] = dc.u.w[10] = ~0u;                 /* default limits */
    dc.u.w[11] = 1;                                           /* grant tables version 1 */
    domid = 0;
    must("createdomain", domctl(DOMCTL_create));
    domid = dc.domain;
    memset(&dc, 0, sizeof dc);
    dc.u.w[0] = 1;
    must("max_vcpus", domctl(DOMCTL_max_vcpus));
    dc.u.q[0] = nr * 4;
    must("max_mem", domctl(DOMCTL_max_mem));
    u32 store_port = alloc_unbound(), console_port = alloc_unbound();

    /* memory */
    for (u64 i = 0; i < nr; i++) mfns[i] = i;
    struct { void *extents; u64 n; u32 order, flags; u16 dom; } res = { mfns, nr, 0, 0, domid };
    if (must("populate_physmap", HC(H_memory_op, 6, &res)) != (long)nr) must("populate_physmap: pages", -E2BIG);

    /* image and layout, everything page aligned behind the kernel */
    u64 kend = 0;
    for (u32 i = 0; i < e->phnum; i++) {
        struct phdr *p = (struct phdr *)((u8 *)e + e->phoff + i * e->phentsize);
        if (p->type == 4) read_notes((u8 *)e + p->offset, p->filesz);
        if (p->type == 1 && p->paddr + p->memsz > kend) kend = p->paddr + p->memsz;
    }
    u64 base = note_base, p2m = (kend + 4095) >> 12, info = p2m + (nr * 8 + 4095) / 4096, xs = info + 1, con = info + 2, pt = info + 3, n1 = 0, stack, end;
    do {
        n1++;
        stack = pt + 3 + n1;
        end = (stack + 1 + 128 + 1023) & ~1023UL;             /* 512 KiB of room, to a 4 MiB boundary */
    } while (n1 * 512 < end);
    if (end > nr) must("memory", -E2BIG);
    for (u64 i = 0; i <= stack; i++) memset(map_pfn(i), 0, PAGE);
    for (u32 i = 0; i < e->phnum; i++) {
        struct phdr *p = (struct phdr *)((u8 *)e + e->phoff + i * e->phentsize);
        if (p->type == 1) store(p->paddr >> 12, p->paddr & 4095, (u8 *)e + p->offset, p->filesz);
    }
    store(p2m, 0, mfns, nr * 8);
    /* page tables: L4, L3, L2, the L1s; themselves mapped read-only */
    store64(pt, base >> 39 & 511, mfns[pt + 1] << 12 | TABLE);
    store64(pt + 1, base >> 30 & 511, mfns[pt + 2] << 12 | TABLE);
    for (u64 i = 0; i < n1; i++) store64(pt + 2, (base >> 21 & 511) + i, mfns[pt + 3 + i] << 12 | TABLE);
    for (u64 i = 0; i < end; i++) {
        int table = i >= pt && i < stack;
        store64(pt + 3 + i / 512, i % 512, mfns[i] << 12 | P_P | P_A | (table ? 0 : P_RW));
    }
    static struct start_info s;
    memcpy(s.magic, "xen-3.0-x86_64", 15);
    domctl(DOMCTL_getdomaininfo);
    u64 shared = dc.u.q[6];
    s.nr_pages = nr; s.shared_info = shared << 12; s.store_mfn = mfns[xs]; s.store_evtchn = store_port; s.console_mfn = mfns[con];
    s.console_evtchn = console_port; s.pt_base = base + (pt << 12); s.nr_pt_frames = 3 + n1; s.mfn_list = base + (p2m << 12);
    const char *c = domu_cmdline();
    for (u32 i = 0; c[i] && i < 1023; i++) s.cmd_line[i] = c[i];
    store(info, 0, &s, sizeof s);
    if (note_hypercall) {
        dc.u.q[0] = mfns[(note_hypercall - base) >> 12];
        must("hypercall_init", domctl(DOMCTL_hypercall_init));
    }
    struct shared_info *si_page = map_frame(window, shared);
    memset(si_page, 0, PAGE);
    for (u32 i = 0; i < 32; i++) si_page->vcpu[i].mask = 1;
    must("give the window back", set_map(window, window_pte));
    struct mmuext_op op = { 3, 0, mfns[pt], 0 };
    must("pin the root", HC(H_mmuext_op, &op, 1, 0, domid));

    static u8 ctx[5168] __attribute__((aligned(16)));
    *(u32 *)(ctx + 512) = 1 << 2 | 1 << 5;                    /* in kernel, online */
    *(u64 *)(ctx + 520 + 104) = base + (info << 12);          /* rsi */
    *(u64 *)(ctx + 520 + 128) = note_entry ? note_entry : e->entry;
    *(u16 *)(ctx + 520 + 136) = 0xe033;
    *(u64 *)(ctx + 520 + 144) = 0x202;
    *(u64 *)(ctx + 520 + 152) = base + (stack << 12) + PAGE;
    *(u64 *)(ctx + 520 + 160) = 0xe02b;
    *(u64 *)(ctx + 4968) = 0xe02b;
    *(u64 *)(ctx + 4976) = base + (stack << 12) + PAGE;
    *(u64 *)(ctx + 4984 + 24) = mfns[pt] << 12;
    *(u64 *)(ctx + 5048 + 48) = 0xffff0ff0;
    *(u64 *)(ctx + 5048 + 56) = 0x400;
    memset(&dc, 0, sizeof dc);
    dc.u.q[1] = (u64)ctx;
    must("setvcpucontext", domctl(DOMCTL_setvcpucontext));
    map_frame(console, mfns[con]);
    struct { u16 dom, pad; u32 remote, local; } b = { domid, 0, console_port, 0 };
    must("bind_interdomain", HC(H_event_channel_op, 0, &b));
    struct { u32 virq, vcpu, port; } v = { 3, 0, 0 };         /* DOM_EXC */
    must("bind_virq", HC(H_event_channel_op, 1, &v));
    say("BUILDER domain %d pages=%d kernel_end=%x p2m=%d start_info=%d tables=%d stack=%d end=%d\n", (s64)domid, (s64)nr, kend, p2m, info, pt, stack, end);
    must("unpause", domctl(DOMCTL_unpause));

    volatile struct { u8 in[1024], out[2048]; u32 in_cons, in_prod, out_cons, out_prod; } *r = (void *)console;
    u32 ports[2] = { b.local, v.port }, flags;
    struct { u32 *ports; u32 n, pad; u64 timeout; } poll = { ports, 2, 0, 0 };
    do {
        for (u32 i = 0; i < 2; i++) sh->evtchn_pending[ports[i] / 64] &= ~(1UL << ports[i] % 64);
        must("getdomaininfo", domctl(DOMCTL_getdomaininfo));
        flags = dc.u.w[1];
        int moved = 0;
        for (; r->out_cons != r->out_prod; moved = 1) { char t[2] = { r->out[r->out_cons & 2047], 0 }; if (t[0] != '\r') say("%s", t); r->out_cons++; }
        if (moved) HC(H_event_channel_op, 4, &b.local);
        else if (!(flags & 4)) HC(H_sched_op, 3, &poll);
    } while (!(flags & 4) || r->out_cons != r->out_prod);
    say("BUILDER domain %d shut down with reason %d\n", (s64)domid, (s64)(flags >> 16 & 0xff));
    for (u32 i = 0; i < 2; i++) HC(H_event_channel_op, 3, &ports[i]);
    must("give the console page back", set_map(console, mfn_of(console) << 12 | KRW));
    must("destroydomain", domctl(DOMCTL_destroy));
}
void run(void)
{
    window_pte = mfn_of(window) << 12 | KRW;
    u64 before = free_pages();
    build(option("mem=", 16) * 256);
    u64 after = before, tries = 0;
    for (; (after = free_pages()) != before && tries < 1000; tries++) HC(H_sched_op, 0, 0);
    say("BUILDER free pages before=%d after=%d\n", (s64)before, (s64)after);
    power(0);
}

/* The common part of the hostile guests: console, hypercall, pages, verdicts. */
#include "hostile.h"
struct start_info *si;
int is_dom0;
static u8 shared_page[PAGE] __attribute__((aligned(4096)));
volatile struct shared_info *sh = (void *)shared_page;
static u8 pool[96][PAGE] __attribute__((aligned(4096)));
static u32 used, passed, failed;
extern u64 door_table[];
struct trap_info { u8 vector, flags; u16 cs; u64 address; };

long hcall(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    long r;
    __asm__ volatile("syscall" : "=a"(r), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8) : "0"(nr) : "rcx", "r11", "memory");
    return r;
}
/* ---- console ---- */
static struct { u8 in[1024], out[2048]; volatile u32 in_cons, in_prod, out_cons, out_prod; } *ring;
static char buf[512];
static u32 len;
static void flush(void)
{
    if (!ring) { HC(H_console_io, 0, len, buf); len = 0; return; }
    u32 port = si->console_evtchn;
    for (u32 i = 0; i < len; i++) {
        while (ring->out_prod - ring->out_cons >= 2048) { HC(H_event_channel_op, 4, &port); HC(H_sched_op, 0, 0); }
        ring->out[ring->out_prod & 2047] = buf[i];
        __asm__ volatile("" ::: "memory");
        ring->out_prod++;
    }
    HC(H_event_channel_op, 4, &port);
    len = 0;
}
static void put(char c) { if (c == '\n') put('\r'); buf[len++] = c; if (c == '\n' || len >= 500) flush(); }
static void num(u64 v, u32 base) { char t[24]; u32 n = 0; do { u32 d = v % base; t[n++] = d < 10 ? '0' + d : 'a' + d - 10; v /= base; } while (v); while (n) put(t[--n]); }
void say(const char *f, ...)
{
    __builtin_va_list ap;
    __builtin_va_start(ap, f);
    for (; *f; f++) {
        if (*f != '%') { put(*f); continue; }
        f++;
        if (*f == 's') { const char *s = __builtin_va_arg(ap, const char *); while (*s) put(*s++); }
        else if (*f == 'x') { put('0'); put('x'); num(__builtin_va_arg(ap, u64), 16); }
        else { s64 v = __builtin_va_arg(ap, s64); if (v < 0) { put('-'); v = -v; } num(v, 10); }
    }
    __builtin_va_end(ap);
}
static void value(s64 v) { if (v > -4096 && v < 4096) say("%d", v); else say("%x", v); }
void check2(const char *name, s64 got, s64 want, s64 alt)
{
    if (got == want || got == alt) { passed++; say("PASS %s\n", name); return; }
    failed++;
    say("FAIL %s got=", name); value(got); say(" want="); value(want);
    if (alt != want) { say(" or="); value(alt); }
    say("\n");
}
void check(const char *name, s64 got, s64 want) { check2(name, got, want, want); }
void note(const char *name, s64 got) { say("NOTE %s got=", name); value(got); say("\n"); }
void power(u32 reason)
{
    for (u32 i = 0; ring && i < 10000 && ring->out_cons != ring->out_prod; i++) HC(H_sched_op, 0, 0);
    for (;;) HC(H_sched_op, 2, &reason);
}
void finish(void)
{
    say("TOTAL passed=%d failed=%d\n", (s64)passed, (s64)failed);
    say("VERDICT %s\n", failed ? "FAILURE" : "SUCCESS");
    power(0);
}
void unexpected(void)
{
    say("UNEXPECTED TRAP vector=%d rsp=%x frame=%x %x %x %x %x %x %x %x cr2=%x\n", trap.vector, trap.rsp, trap.w[0], trap.w[1], trap.w[2], trap.w[3],
        trap.w[4], trap.w[5], trap.w[6], trap.w[7], sh->vcpu[0].cr2);
    failed++;
    finish();
}
/* ---- pages ---- */
void *memset(void *d, int c, u64 n) { void *r = d; __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory"); return r; }
void *memcpy(void *d, const void *s, u64 n) { void *r = d; __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory"); return r; }
void *page(void) { if (used == 96) { say("FAIL out of pages\n"); failed++; finish(); } return pool[used++]; }
u64 mfn_of(void *p) { return ((u64 *)si->mfn_list)[((u64)p - VIRT_BASE) >> 12]; }
u64 maddr_of(void *p) { return mfn_of(p) << 12 | ((u64)p & 4095); }
long set_map(void *va, u64 pte) { return HC(H_update_va_mapping, va, pte, 2); }
long ro(void *p) { return set_map(p, mfn_of(p) << 12 | KRO); }
long rw(void *p) { return set_map(p, mfn_of(p) << 12 | KRW); }
u64 *pte_of(void *va)
{
    u64 *t = (u64 *)si->pt_base, a = (u64)va;
    for (int s = 39; s > 12; s -= 9) t = (u64 *)(VIRT_BASE + (M2P[t[a >> s & 511] << 12 >> 24] << 12));
    return &t[a >> 12 & 511];
}
long mmuext(u32 cmd, u64 arg1, u64 arg2) { struct mmuext_op op = { cmd, 0, arg1, arg2 }; return HC(H_mmuext_op, &op, 1, 0, DOMID_SELF); }
long mmu_update(u64 ptr, u64 val) { struct mmu_update u = { ptr, val }; return HC(H_mmu_update, &u, 1, 0, DOMID_SELF); }
int chosen(const char *name)
{
    const char *p = si->cmd_line, *k = "case=";
    for (; *p; p++) {
        const char *a = p, *b = k;
        while (*b && *a == *b) a++, b++;
        if (*b) continue;
        while (*name && *a == *name) a++, name++;
        return !*name && (!*a || *a == ' ');
    }
    return 0;
}
void init(struct start_info *s)
{
    static struct trap_info t[40];
    u32 n = 0;
    si = s;
    is_dom0 = s->flags >> 1 & 1;
    if (!is_dom0) ring = (void *)(VIRT_BASE + (M2P[s->console_mfn] << 12));
    set_map(shared_page, s->shared_info | KRW);
    for (u32 i = 0; i < 64; i++) sh->evtchn_mask[i] = ~0UL;
    HC(H_vcpu_op, 7, 0, 0);
    for (u32 i = 0; i < 32; i++) t[n++] = (struct trap_info){ i, i == 3 || i == 4 ? 3 : 0, 0xe033, door_table[i] };
    t[n++] = (struct trap_info){ 0x80, 3, 0xe033, door_table[32] };
    t[n++] = (struct trap_info){ 0x81, 3 | 4, 0xe033, door_table[33] };
    HC(H_set_trap_table, t);
    HC(H_set_callbacks, door_table[35], door_table[36], door_table[34]);
    HC(H_stack_switch, 0xe02b, kstack_top);
    run();
    finish();
}

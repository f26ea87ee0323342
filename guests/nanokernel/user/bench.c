/* The benchmark process: lmbench's method, written afresh. Per row a fixed iteration count, one warm-up, then `reps` repetitions;
 * the time stamps are RDTSC read here, in user mode. All of this compiles into one page (user.ld), so that the child of fork-proc
 * executes exactly the pages listed in user.S. */
#include "layout.h"
typedef unsigned long u64; typedef unsigned int u32; typedef unsigned char u8;

enum { GETPPID, FORK, EXIT, WAIT4, MMAP, MUNMAP, MPROTECT, PIPE, READ, WRITE, SET_FS, SET_CLEAR_TID, MARK, OPTION, REPORT, COUNTS, POWEROFF };
enum { DOUBLE_DIV, NULL_CALL, FORK_PROC, PAGE_FAULT, CTX };

static inline long sys3(u64 n, u64 a, u64 b, u64 c)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
static inline u64 rdtsc(void) { u32 a, d; __asm__ volatile("rdtsc" : "=a"(a), "=d"(d) : : "memory"); return (u64)d << 32 | a; }
extern void touch_all(void), parent_touch(void), double_div(u64 n);
extern void child_path(void) __attribute__((noreturn));

struct result { u64 row, rep, iters, ops, t0, t1, o0, o1; };
#define TID (TLS + 0x2d0)
#define CLEAR_TID (TLS + 4096 + 0x2d0)
#define PF_PAGES 64

static __attribute__((noinline)) void fork_once(void)
{
    long pid = sys3(FORK, TID, 0, 0);
    if (pid == 0) child_path();
    if (sys3(WAIT4, pid, 0, 0) != pid) sys3(POWEROFF, 2, 0, 0);
    parent_touch();
}
static void null_call(u64 n) { while (n--) sys3(GETPPID, 0, 0, 0); }
static void fork_proc(u64 n) { while (n--) fork_once(); }
static void map_unmap(u64 n, int touch)                 /* each turn unmaps the file and maps it again */
{
    while (n--) {
        if (touch)
            for (u64 i = 0; i < PF_PAGES; i++) *(volatile u8 *)(PF_MAP + (i * 37 % PF_PAGES) * 4096);   /* not in order */
        sys3(MUNMAP, PF_MAP, 0, 0);
        sys3(MMAP, PF_MAP, 0, 0);
    }
}
static void token_alone(u64 n, u64 p) { u8 t = 1; while (n--) { sys3(WRITE, p, (u64)&t, 1); sys3(READ, p, (u64)&t, 1); } }
static void token_ring(u64 n, u64 p) { u8 t = 1; while (n--) { sys3(WRITE, p, (u64)&t, 1); sys3(READ, p + 1, (u64)&t, 1); } }

static void work(u64 row, u64 n, u64 p)
{
    switch (row) {
    case DOUBLE_DIV: double_div(n); break;
    case NULL_CALL: null_call(n); break;
    case FORK_PROC: fork_proc(n); break;
    case PAGE_FAULT: map_unmap(n, 1); break;
    case CTX: token_ring(n, p); break;
    }
}
static void run_row(u64 row, u64 iters, u64 ops, u64 warm, u64 reps)
{
    struct result r;
    u64 p = 0;
    long pid = 0;
    if (row == PAGE_FAULT) sys3(MMAP, PF_MAP, 0, 0);
    if (row == CTX) {
        p = sys3(PIPE, 0, 0, 0);
        sys3(PIPE, 0, 0, 0);
        pid = sys3(FORK, 0, 0, 0);
        if (pid == 0) {                                 /* the partner: passes every token on; token 0 ends it */
            u8 t;
            do { sys3(READ, p, (u64)&t, 1); sys3(WRITE, p + 1, (u64)&t, 1); } while (t);
            sys3(EXIT, 0, 0, 0);
        }
    }
    work(row, warm, p);
    for (u64 rep = 0; rep < reps; rep++) {
        r.o0 = r.o1 = 0;
        if (row == PAGE_FAULT) { r.o0 = rdtsc(); map_unmap(iters, 0); r.o1 = rdtsc(); }
        if (row == CTX) { r.o0 = rdtsc(); token_alone(iters * 2, p); r.o1 = rdtsc(); }
        sys3(MARK, 1, row, 0);
        r.t0 = rdtsc();
        work(row, iters, p);
        r.t1 = rdtsc();
        sys3(MARK, 0, row, 0);
        r.row = row; r.rep = rep; r.iters = iters; r.ops = iters * ops;
        sys3(REPORT, (u64)&r, 0, 0);
    }
    sys3(COUNTS, row, iters, 0);
    if (row == PAGE_FAULT) sys3(MUNMAP, PF_MAP, 0, 0);
    if (row == CTX) {
        u8 t = 0;
        sys3(WRITE, p, (u64)&t, 1);
        sys3(READ, p + 1, (u64)&t, 1);
        sys3(WAIT4, pid, 0, 0);
    }
}
void bench_main(void)
{
    u64 reps = sys3(OPTION, 0, 0, 0), scale = sys3(OPTION, 1, 0, 0);
    touch_all();
    /* what ld.so does after relocation: relro pages become read-only, though private */
    sys3(MPROTECT, LD_DATA, 1, 0);
    sys3(MPROTECT, LIBC_DATA, 1, 0);
    sys3(MPROTECT, LIBM_DATA, 1, 0);
    *(volatile u64 *)TLS = TLS;
    sys3(SET_FS, TLS, 0, 0);
    sys3(SET_CLEAR_TID, CLEAR_TID, 0, 0);
    if (sys3(OPTION, 2, 0, 0)) run_row(DOUBLE_DIV, 500 * scale, 100, 50, reps);
    if (sys3(OPTION, 3, 0, 0)) run_row(NULL_CALL, 1000 * scale, 1, 100, reps);
    if (sys3(OPTION, 4, 0, 0)) run_row(FORK_PROC, 10 * scale, 1, 3, reps);
    if (sys3(OPTION, 5, 0, 0)) run_row(PAGE_FAULT, 4 * scale, PF_PAGES, 1, reps);
    if (sys3(OPTION, 6, 0, 0)) run_row(CTX, 100 * scale, 2, 10, reps);
    sys3(POWEROFF, 0, 0, 0);
}

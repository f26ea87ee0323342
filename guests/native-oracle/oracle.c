/*
 * The host's own processor as an oracle: runs programs of user code from a complete state and tells the complete state
 * that they end in. Linux on x86-64 only. Built on demand: gcc -O2 -o oracle oracle.c
 *
 * Programs and answers are exchanged in batches over stdin and stdout, little-endian, as src/cli/host-processor.ts does:
 *   -> u32 count, then count requests          <- u32 changed doublewords, one answer, then that many { u32 address, value }
 * Memory is that of src/stacks/vectors/user-machine.ts, mapped at the same addresses. After a program everything that it
 * changed is put back, so that the next begins from the same background.
 *
 * A program is entered with IRETQ, which loads RIP, CS, RFLAGS, RSP and SS at once, also for 32-bit code (CS 0x23). It ends
 * with a signal: the int3 that every byte without code is, or a fault. The handler runs on a stack of its own, takes the
 * registers from the context that the kernel saved, and has the kernel return to the loop instead.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE_BYTES 0x1000
#define DATA_BYTES 0x400
#define STACK_BYTES 0x200

struct request {
    uint32_t mode, code_length;
    uint64_t gpr[16]; /* encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
    uint64_t rflags;
    uint8_t fx[512]; /* FXSAVE image */
    uint8_t ymm_high[256]; /* bits 255:128 of the vector registers; not looked at without AVX */
    uint8_t data[DATA_BYTES], stack[STACK_BYTES], code[CODE_BYTES];
};

struct answer {
    uint64_t gpr[16];
    uint64_t rip, rflags, vector, error, cr2;
    uint8_t fx[512];
    uint8_t ymm_high[256];
};

static const struct region { uint32_t start, length; uint8_t background; } regions[] = {
    {0x8000, 0x1000, 0}, {0x10000, 0x2000, 0xcc}, {0x20000, 0x4000, 0}, {0x30000, 0x2000, 0},
};
#define REGIONS (sizeof regions / sizeof *regions)
#define CODE 0x10000
#define DATA 0x20e00
#define STACK 0x30f00

static struct request request;
static struct answer answer;
static uint8_t *before[REGIONS];

/* Read by the entry code below, so not static to the compiler's eye. */
uint64_t oracle_gpr[16];
uint64_t oracle_frame[5];
uint64_t oracle_host_rsp;
uint8_t oracle_fx[512] __attribute__((aligned(64)));
uint8_t oracle_ymm_high[256];
uint32_t oracle_has_avx;
static uint64_t host_fs, host_gs;

extern void oracle_enter(void);
extern char oracle_leave[];
__asm__(
    ".text\n.globl oracle_enter\noracle_enter:\n"
    "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, oracle_host_rsp(%rip)\n"
    "fxrstor64 oracle_fx(%rip)\n"
    "cmpl $0, oracle_has_avx(%rip)\nje 1f\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "vinsertf128 $1, oracle_ymm_high+16*\\n(%rip), %ymm\\n, %ymm\\n\n"
    ".endr\n1:\n"
    "mov $0x2b, %eax\nmov %eax, %ds\nmov %eax, %es\nmov %eax, %fs\nmov %eax, %gs\n"
    "lea oracle_frame(%rip), %rsp\n"
    "mov oracle_gpr+0(%rip), %rax\nmov oracle_gpr+8(%rip), %rcx\nmov oracle_gpr+16(%rip), %rdx\nmov oracle_gpr+24(%rip), %rbx\n"
    "mov oracle_gpr+40(%rip), %rbp\nmov oracle_gpr+48(%rip), %rsi\nmov oracle_gpr+56(%rip), %rdi\n"
    "mov oracle_gpr+64(%rip), %r8\nmov oracle_gpr+72(%rip), %r9\nmov oracle_gpr+80(%rip), %r10\nmov oracle_gpr+88(%rip), %r11\n"
    "mov oracle_gpr+96(%rip), %r12\nmov oracle_gpr+104(%rip), %r13\nmov oracle_gpr+112(%rip), %r14\nmov oracle_gpr+120(%rip), %r15\n"
    "iretq\n"
    ".globl oracle_leave\noracle_leave:\n"
    "mov oracle_host_rsp(%rip), %rsp\n"
    "fninit\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

/* The thread's segment bases may be anything here: no library calls, and the bases are put back first. */
static void __attribute__((optimize("no-stack-protector"))) on_signal(int number, siginfo_t *info, void *context) {
    (void)info;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_arch_prctl), "D"(ARCH_SET_FS), "S"(host_fs) : "rcx", "r11", "memory");
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_arch_prctl), "D"(ARCH_SET_GS), "S"(host_gs) : "rcx", "r11", "memory");
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    for (int n = 0; n < 16; n++) answer.gpr[n] = g[order[n]];
    answer.rip = g[REG_RIP];
    answer.rflags = g[REG_EFL];
    int fault = number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE || number == SIGTRAP;
    answer.vector = fault ? (uint64_t)g[REG_TRAPNO] : 0x100 + (uint64_t)number;
    answer.error = g[REG_ERR];
    answer.cr2 = g[REG_TRAPNO] == 14 ? g[REG_CR2] : 0;
    const uint8_t *from = (const uint8_t *)uc->uc_mcontext.fpregs;
    for (int n = 0; n < 512; n++) answer.fx[n] = from[n];
    /* The XSAVE header follows, with a bit for each component that is not in its initial state (SDM 1 §13.4.2). */
    int upper = oracle_has_avx && (from[512] & 4);
    for (int n = 0; n < 256; n++) answer.ymm_high[n] = upper ? from[576 + n] : 0;
    /* Masked exceptions and round to nearest for what follows. */
    uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
    fp[0] = 0x7f, fp[1] = 3, fp[2] = 0, fp[3] = 0, fp[24] = 0x80, fp[25] = 0x1f, fp[26] = 0, fp[27] = 0;
    g[REG_RIP] = (greg_t)(uintptr_t)oracle_leave;
    g[REG_EFL] = 0x202;
    g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffff) | 0x33;
    g[REG_CSGSFS] = (g[REG_CSGSFS] & 0x0000ffffffffffffL) | (0x2bL << 48);
}

static void die(const char *what) {
    perror(what);
    exit(2);
}

static void receive(void *into, size_t length) {
    uint8_t *at = into;
    while (length > 0) {
        size_t got = fread(at, 1, length, stdin);
        if (got == 0) exit(0);
        at += got;
        length -= got;
    }
}

static void put(uint32_t address, const void *bytes, size_t length) {
    memcpy((void *)(uintptr_t)address, bytes, length);
    for (size_t n = 0; n < REGIONS; n++)
        if (address >= regions[n].start && address < regions[n].start + regions[n].length)
            memcpy(before[n] + (address - regions[n].start), bytes, length);
}

static void run(void) {
    static uint32_t changes[0x9000 / 4 * 2];
    static uint32_t code_before;
    uint32_t length = request.code_length > code_before ? request.code_length : code_before;
    if (length > CODE_BYTES) length = CODE_BYTES;
    put(DATA, request.data, DATA_BYTES);
    put(STACK, request.stack, STACK_BYTES);
    put(CODE, request.code, length);
    code_before = request.code_length;
    memcpy(oracle_gpr, request.gpr, sizeof oracle_gpr);
    memcpy(oracle_fx, request.fx, sizeof oracle_fx);
    memcpy(oracle_ymm_high, request.ymm_high, sizeof oracle_ymm_high);
    oracle_frame[0] = CODE;
    oracle_frame[1] = request.mode == 64 ? 0x33 : 0x23;
    oracle_frame[2] = request.rflags;
    oracle_frame[3] = request.gpr[4];
    oracle_frame[4] = 0x2b;
    struct itimerval limit = {{0, 0}, {2, 0}};
    setitimer(ITIMER_REAL, &limit, NULL);
    oracle_enter();
    limit.it_value.tv_sec = 0;
    setitimer(ITIMER_REAL, &limit, NULL);

    uint32_t count = 0;
    for (size_t n = 0; n < REGIONS; n++) {
        uint32_t *now = (uint32_t *)(uintptr_t)regions[n].start, *old = (uint32_t *)before[n];
        for (uint32_t k = 0; k < regions[n].length / 4; k++) {
            if (now[k] == old[k]) continue;
            changes[count * 2] = regions[n].start + k * 4;
            changes[count * 2 + 1] = now[k];
            count++;
            now[k] = old[k];
        }
    }
    fwrite(&count, sizeof count, 1, stdout);
    fwrite(&answer, sizeof answer, 1, stdout);
    fwrite(changes, 8, count, stdout);
}

int main(void) {
    for (size_t n = 0; n < REGIONS; n++) {
        int rights = PROT_READ | PROT_WRITE | (regions[n].background ? PROT_EXEC : 0);
        void *at = (void *)(uintptr_t)regions[n].start;
        if (mmap(at, regions[n].length, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0) != at) die("mmap");
        memset(at, regions[n].background, regions[n].length);
        before[n] = malloc(regions[n].length);
        memset(before[n], regions[n].background, regions[n].length);
    }
    oracle_has_avx = __builtin_cpu_supports("avx") != 0;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &host_fs);
    syscall(SYS_arch_prctl, ARCH_GET_GS, &host_gs);
    stack_t stack = {.ss_sp = malloc(1 << 18), .ss_size = 1 << 18};
    if (sigaltstack(&stack, NULL) != 0) die("sigaltstack");
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGALRM};
    for (size_t n = 0; n < sizeof signals / sizeof *signals; n++)
        if (sigaction(signals[n], &action, NULL) != 0) die("sigaction");
    for (;;) {
        uint32_t count;
        receive(&count, sizeof count);
        while (count-- > 0) {
            receive(&request, sizeof request);
            run();
        }
        fflush(stdout);
    }
}

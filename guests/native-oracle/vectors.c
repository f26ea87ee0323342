/*
 * The host's own processor as an oracle for vector registers: runs one instruction from a given state with ymm registers
 * and tells the state after it. Linux on x86-64 with AVX only. Built on demand: gcc -O2 -o vectors vectors.c
 *
 * Requests and answers go over stdin and stdout, little-endian, as test/cpu/avx/host-vectors.ts does; there are as many
 * answers as requests. Memory is that of src/stacks/vectors/user-machine.ts: code at 0x10000, data at 0x20000 to 0x23fff,
 * of which the window around a page boundary holds the request's bytes; everything else is zero.
 *
 * The instruction is entered with IRETQ, also in 32-bit code (CS 0x23), and ends with a signal: the int3 behind it, or a
 * fault. The handler takes the registers from the context that the kernel saved and has it return to the loop instead.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x10000
#define CODE_BYTES 0x2000
#define DATA 0x20000
#define DATA_BYTES 0x4000
#define WINDOW 0x20e00
#define WINDOW_BYTES 0x400
#define TAIL_BYTES 64

struct request {
    uint32_t mode, code_length;
    uint64_t gpr[16]; /* encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
    uint64_t rflags, mxcsr;
    uint64_t ymm[16][4];
    uint8_t window[WINDOW_BYTES], code[64];
};

struct answer {
    uint64_t gpr[16];
    uint64_t rip, rflags, vector, error, cr2, mxcsr;
    uint64_t ymm[16][4];
    uint8_t window[WINDOW_BYTES], tail[TAIL_BYTES];
};

static struct request request;
static struct answer answer;

/* Read by the entry code below, so not static to the compiler's eye. */
uint64_t vectors_gpr[16];
uint64_t vectors_frame[5];
uint64_t vectors_host_rsp;
/* XSAVE area: legacy region, header, upper halves (SDM 1 §13.4). */
uint8_t vectors_area[832] __attribute__((aligned(64)));

extern void vectors_enter(void);
extern char vectors_leave[];
__asm__(
    ".text\n.globl vectors_enter\nvectors_enter:\n"
    "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, vectors_host_rsp(%rip)\n"
    "mov $7, %eax\nxor %edx, %edx\nxrstor64 vectors_area(%rip)\n"
    "mov $0x2b, %eax\nmov %eax, %ds\nmov %eax, %es\n"
    "lea vectors_frame(%rip), %rsp\n"
    "mov vectors_gpr+0(%rip), %rax\nmov vectors_gpr+8(%rip), %rcx\nmov vectors_gpr+16(%rip), %rdx\nmov vectors_gpr+24(%rip), %rbx\n"
    "mov vectors_gpr+40(%rip), %rbp\nmov vectors_gpr+48(%rip), %rsi\nmov vectors_gpr+56(%rip), %rdi\n"
    "mov vectors_gpr+64(%rip), %r8\nmov vectors_gpr+72(%rip), %r9\nmov vectors_gpr+80(%rip), %r10\nmov vectors_gpr+88(%rip), %r11\n"
    "mov vectors_gpr+96(%rip), %r12\nmov vectors_gpr+104(%rip), %r13\nmov vectors_gpr+112(%rip), %r14\nmov vectors_gpr+120(%rip), %r15\n"
    "iretq\n"
    ".globl vectors_leave\nvectors_leave:\n"
    "mov vectors_host_rsp(%rip), %rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)info;
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    for (int n = 0; n < 16; n++) answer.gpr[n] = g[order[n]];
    answer.rip = g[REG_RIP];
    answer.rflags = g[REG_EFL];
    answer.vector = number == SIGALRM ? 0x100 : (uint64_t)g[REG_TRAPNO];
    answer.error = g[REG_ERR];
    answer.cr2 = g[REG_TRAPNO] == 14 ? g[REG_CR2] : 0;
    uint8_t *area = (uint8_t *)uc->uc_mcontext.fpregs;
    uint64_t present = *(uint64_t *)(area + 512);
    uint32_t mxcsr;
    memcpy(&mxcsr, area + 24, 4);
    answer.mxcsr = mxcsr;
    for (int n = 0; n < 16; n++) {
        memset(answer.ymm[n], 0, 32);
        if (present & 2) memcpy(&answer.ymm[n][0], area + 160 + n * 16, 16);
        if (present & 4) memcpy(&answer.ymm[n][2], area + 576 + n * 16, 16);
    }
    /* Masked exceptions and round to nearest for what follows. */
    mxcsr = 0x1f80;
    memcpy(area + 24, &mxcsr, 4);
    g[REG_RIP] = (greg_t)(uintptr_t)vectors_leave;
    g[REG_EFL] = 0x202;
    g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffff) | 0x33;
    g[REG_CSGSFS] = (g[REG_CSGSFS] & 0x0000ffffffffffffL) | (0x2bL << 48);
}

static void die(const char *what) {
    perror(what);
    exit(2);
}

static void map(uintptr_t start, size_t length, int rights) {
    void *at = mmap((void *)start, length, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
    if (at != (void *)start) die("mmap");
}

static void run(void) {
    memset((void *)CODE, 0xcc, 128);
    memcpy((void *)CODE, request.code, request.code_length);
    memset((void *)DATA, 0, DATA_BYTES);
    memcpy((void *)WINDOW, request.window, WINDOW_BYTES);
    memcpy(vectors_gpr, request.gpr, sizeof vectors_gpr);
    memset(vectors_area, 0, sizeof vectors_area);
    vectors_area[0] = 0x7f, vectors_area[1] = 3;
    uint32_t mxcsr = request.mxcsr;
    memcpy(vectors_area + 24, &mxcsr, 4);
    vectors_area[512] = 7;
    for (int n = 0; n < 16; n++) {
        memcpy(vectors_area + 160 + n * 16, &request.ymm[n][0], 16);
        memcpy(vectors_area + 576 + n * 16, &request.ymm[n][2], 16);
    }
    vectors_frame[0] = CODE;
    vectors_frame[1] = request.mode == 64 ? 0x33 : 0x23;
    vectors_frame[2] = request.rflags;
    vectors_frame[3] = request.gpr[4];
    vectors_frame[4] = 0x2b;
    vectors_enter();
    memcpy(answer.window, (void *)WINDOW, WINDOW_BYTES);
    memcpy(answer.tail, (void *)(DATA + DATA_BYTES - TAIL_BYTES), TAIL_BYTES);
    fwrite(&answer, sizeof answer, 1, stdout);
}

int main(void) {
    if (!__builtin_cpu_supports("avx2")) return 3;
    map(CODE, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
    map(DATA, DATA_BYTES, PROT_READ | PROT_WRITE);
    map(0x8000, 0x1000, PROT_READ | PROT_WRITE);
    map(0x30000, 0x2000, PROT_READ | PROT_WRITE);
    stack_t stack = {.ss_sp = malloc(1 << 18), .ss_size = 1 << 18};
    if (sigaltstack(&stack, NULL) != 0) die("sigaltstack");
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (size_t n = 0; n < sizeof signals / sizeof *signals; n++)
        if (sigaction(signals[n], &action, NULL) != 0) die("sigaction");
    while (fread(&request, sizeof request, 1, stdin) == 1) run();
    return 0;
}

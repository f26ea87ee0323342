/* Start, the pages of code that a dynamically linked program runs through, the child's path, the double-div kernel.
 * The child touches what lat_proc's child was measured to touch: 28 text pages, 7 pages of read-only data, 11 private pages written
 * from user mode (2 more are written by the kernel: CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID). */
#include "layout.h"
.section .text.start,"ax"
.globl start
start:
  xor %ebp, %ebp
  call bench_main
  ud2

/* one routine per page, at a different offset in each */
.macro CHAIN section, name, from, to
  .section \section,"ax"
  .altmacro
  CHAIN_LOOP \name, \from, \to
  .noaltmacro
.endm
.macro CHAIN_LOOP name, n, to
  .balign 4096, 0xcc
  .skip (((\n * 176) % 3328) & ~15)+16, 0xcc
  .globl \name\()_\n
\name\()_\n:
  lea 1(%rdi), %rax
  add %rdi, %rax
  imul %rax, %rdi
  xor %rax, %rdi
  ret
  .if \to - \n
  CHAIN_LOOP \name, %(\n + 1), \to
  .endif
.endm
CHAIN .bin_chain, bin, 2, 4
CHAIN .bin_chain2, bin, 6, 6
CHAIN .ld_chain, ld, 0, 10
CHAIN .libc_chain, libc, 0, 23
CHAIN .libm_chain, libm, 0, 5

.macro GO names:vararg
  .irp f, \names
  movabs $\f, %rax
  call *%rax
  .endr
.endm
.macro RD addr:vararg
  movabs $(\addr), %rdx
  add (%rdx), %rdi
.endm
.macro WR addr:vararg
  movabs $(\addr), %rdx
  mov %rdi, (%rdx)
.endm

/* everything once, so that 57 file pages and 26 anonymous pages are resident: called by the parent before the rows */
.section .child,"ax"
.globl touch_all, child_path, parent_touch
touch_all:
  GO bin_2, bin_3, bin_4, bin_6
  GO ld_0, ld_1, ld_2, ld_3, ld_4, ld_5, ld_6, ld_7, ld_8, ld_9, ld_10
  GO libc_0, libc_1, libc_2, libc_3, libc_4, libc_5, libc_6, libc_7, libc_8, libc_9, libc_10, libc_11
  GO libc_12, libc_13, libc_14, libc_15, libc_16, libc_17, libc_18, libc_19, libc_20, libc_21, libc_22, libc_23
  GO libm_0, libm_1, libm_2, libm_3, libm_4, libm_5
  .irp n, 0, 1, 2, 3
  RD LOCALE+\n*4096
  .endr
  .irp a, BIN_TEXT+5*4096, CTYPE, CTYPE+4096, GCONV, GCONV+4096, MISC
  RD \a
  .endr
  .irp a, BIN_DATA+64, BIN_DATA+4096, BIN_BSS, HEAP, HEAP+4096, HEAP+2*4096, HEAP+3*4096, HEAP+4*4096
  WR \a
  .endr
  .irp a, LD_DATA, LD_DATA+4096, LIBC_DATA, LIBC_DATA+4096, LIBC_DATA+2*4096, LIBC_DATA+3*4096, LIBC_BSS, LIBC_BSS+4096, LIBC_BSS+2*4096
  WR \a
  .endr
  .irp a, LIBM_DATA, LIBM_DATA+4096, TLS, TLS+4096, ANON2, ANON3, STACK_2, STACK_3
  WR \a
  .endr
  ret

/* 28 text pages: binary 0 (the caller), 1 (here), 2 to 4; ld.so 0 to 5; libc 0 to 13; libm 0 to 2. Ends in exit(0). */
child_path:
  xor %edi, %edi
  mov %fs:0, %rax                        /* the TLS base must have followed us */
  movabs $TLS, %rdx
  cmp (%rdx), %rax
  mov $1, %edi
  jne 9f
  GO bin_2, ld_0, ld_1, ld_2, libc_0, libc_1, libc_2
  WR BIN_DATA+64
  WR BIN_BSS
  RD BIN_TEXT+5*4096
  GO ld_3, ld_4, ld_5, libc_3, libc_4, libc_5, libc_6
  RD LD_TEXT+6*4096
  WR LD_DATA+4096
  WR LIBC_DATA+2*4096
  WR LIBC_BSS
  RD LIBC_TEXT+14*4096
  RD LIBC_TEXT+15*4096
  GO libm_0, libm_1, libm_2, libc_7, libc_8, libc_9, libc_10
  WR LIBM_DATA+4096
  WR HEAP
  WR HEAP+4096
  RD LOCALE
  RD LOCALE+4096
  RD GCONV
  WR ANON2
  WR STACK_2
  GO bin_3, bin_4, libc_11, libc_12, libc_13
  xor %edi, %edi
9: mov $2, %eax                          /* exit */
  syscall
  ud2

/* the parent's three pages after wait: stack (it got here by a call), libc data, heap */
parent_touch:
  WR LIBC_DATA+2*4096
  WR HEAP
  ret

/* double double_div(u64 iters rdi): 100 dependent divisions an iteration, x = g / x, two of lmbench's kind of operands */
.section .text,"ax"
.globl double_div
double_div:
  movsd div_g(%rip), %xmm0
  movsd div_f(%rip), %xmm1
1:
.rept 50
  movapd %xmm0, %xmm2
  divsd %xmm1, %xmm2
  movapd %xmm0, %xmm1
  divsd %xmm2, %xmm1
.endr
  dec %rdi
  jnz 1b
  movsd %xmm1, div_out
  ret
.section .rodata
.balign 8
div_g: .double 3.14159265358979
div_f: .double 2.71828182845905
.data
.balign 8
div_out: .quad 0
.section .note.GNU-stack,"",@progbits

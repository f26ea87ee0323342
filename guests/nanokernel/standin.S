/* STAND-IN WORK. Linux does much that this kernel lacks (VMA trees, slab, files, security hooks). In its place this code executes
 * instructions and touches memory: 40 text pages, one small routine in each, and 70 data pages. It computes nothing of use.
 *
 * One step is exactly 100 instructions: 16 of the dispatcher below and 84 of one routine, which works on one data page
 * (per 8 instructions: 2 loads, 1 store, 4 ALU, 1 taken branch). Steps go round-robin through the pages of their kind.
 * One unit of standin_sys is exactly 5 instructions (1 load, 3 ALU, 1 taken branch). */
#define cnt_standin_sys cnt+32
.section .standin,"ax"
.macro STEP n
.balign 4096, 0xcc
.skip (((\n * 208) % 3072) & ~15)+16, 0xcc
standin_step_\n:
  mov $10, %ecx
1: mov 64(%rdi), %rax
  add 128(%rdi), %rax
  lea 1(%rax,%rcx), %r8
  xor %r8, %rdx
  mov %rdx, 192(%rdi)
  add %rax, %r9
  dec %ecx
  jnz 1b
  xor %eax, %eax
  xor %edx, %edx
  ret
.endm
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39
STEP \n
.endr
.balign 4096, 0xcc

.text
/* void standin_run(struct standin *rdi, u64 steps rsi): struct = text cursor, text first, text end, data cursor, first, end (pointers to pointers) */
.globl standin_run
standin_run:
  push %rbx
  mov %rdi, %rbx
1: mov (%rbx), %r10                      /* 16 instructions a step outside the routine */
  mov 24(%rbx), %rdi
  mov (%rdi), %rdi
  call *(%r10)
  add $8, %r10
  cmp 16(%rbx), %r10
  cmove 8(%rbx), %r10
  mov %r10, (%rbx)
  mov 24(%rbx), %r11
  add $8, %r11
  cmp 40(%rbx), %r11
  cmove 32(%rbx), %r11
  mov %r11, 24(%rbx)
  nop
  dec %rsi
  jnz 1b
  pop %rbx
  ret

/* on the system-call path: rcx units; preserves rax, rdi, rsi, rdx */
.globl standin_sys
.balign 64
standin_sys:
  add %rcx, cnt_standin_sys
  mov standin_pages, %r8
1: mov (%r8), %r9
  add %r9, %r10
  xor %r10, %r11
  dec %rcx
  jnz 1b
  ret

.section .rodata
.balign 8
.globl standin_text
standin_text:
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39
  .quad standin_step_\n
.endr
.section .note.GNU-stack,"",@progbits

/* Traps, interrupts, system calls, context switch. Two sets of doors, one house:
 * native doors come through the IDT or LSTAR and do SWAPGS; Xen's doors find the bounce frame (rcx, r11, [error], rip, cs|mask,
 * rflags, rsp, ss; Xen public/arch-x86/xen-x86_64.h) on the right stack with GS already swapped. In both, cs RPL 0 means kernel.
 * Every return to user mode, from system calls too, is by IRET (native) or the iret hypercall (PV). The kernel runs with
 * interrupts (events) masked; only the idle loop opens them. */
#define REGS_CS 136
#define REGS_ERR 120
#define cnt_entries_user cnt
#define cnt_exits_user cnt+8
#define cnt_iret cnt+16
#define cnt_syscalls cnt+24
#define cnt_tick_iret cnt+40
#define pda_need_resched pda+24
.section .text.entry,"ax"

.macro SAVE_ALL                          /* error code already pushed */
  push %rdi; push %rsi; push %rdx; push %rcx; push %rax; push %r8; push %r9; push %r10; push %r11
  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15
  cld
.endm
.macro RESTORE_ALL
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx
  pop %r11; pop %r10; pop %r9; pop %r8; pop %rax; pop %rcx; pop %rdx; pop %rsi; pop %rdi
.endm

/* ---- native doors ---- */
.macro NDOOR name, haserr, target
.globl n_\name
n_\name:
  .if !\haserr
  push $0
  .endif
  testb $3, 16(%rsp)
  jz 1f
  swapgs
1: SAVE_ALL
  jmp \target
.endm
.macro XDOOR name, haserr, target
.globl x_\name
x_\name:
  pop %rcx
  pop %r11
  .if !\haserr
  push $0
  .endif
  SAVE_ALL
  jmp \target
.endm
NDOOR page_fault, 1, common_page_fault
XDOOR page_fault, 1, common_page_fault
NDOOR timer, 0, common_timer
NDOOR spurious, 0, ret_to_context
XDOOR event, 0, common_event

common_page_fault:
  testb $3, REGS_CS(%rsp)
  jz 1f
  incq cnt_entries_user
1: mov %rsp, %rdi
  call do_page_fault
  jmp ret_to_context
common_timer:
  mov %rsp, %rdi
  call native_timer
  jmp ret_from_tick
common_event:
  mov %rsp, %rdi
  call xen_upcall
ret_from_tick:
  incq cnt_tick_iret
  testb $3, REGS_CS(%rsp)
  jz 2f
  cmpq $0, pda_need_resched
  je 2f
  call schedule
2: RESTORE_ALL
  jmp *pv_return

/* fatal exceptions: vector in the error slot's upper half would lose the code, so it goes in %rsi */
.macro FATAL n, haserr
n_exc\n:
  .if !\haserr
  push $0
  .endif
  testb $3, 16(%rsp)
  jz 1f
  swapgs
1: SAVE_ALL
  mov $\n, %esi
  jmp common_fatal
x_exc\n:
  pop %rcx
  pop %r11
  .if !\haserr
  push $0
  .endif
  SAVE_ALL
  mov $\n, %esi
  jmp common_fatal
.endm
.irp n,0,1,2,3,4,5,6,7,9,15,16,18,19
FATAL \n, 0
.endr
.irp n,8,10,11,12,13,17
FATAL \n, 1
.endr
common_fatal:
  mov %rsp, %rdi
  call do_fatal
  ud2

/* ---- system calls: number rax, arguments rdi rsi rdx; result rax ---- */
.globl n_syscall, x_syscall, ret_from_fork
n_syscall:
  swapgs
  mov %rsp, %gs:16
  mov %gs:8, %rsp
  push $0x1b
  push %gs:16
  push %r11
  push $0x23
  push %rcx
  push $0
  jmp common_syscall
x_syscall:
  pop %rcx
  pop %r11
  push $0
common_syscall:
  SAVE_ALL
  incq cnt_entries_user
  incq cnt_syscalls
  mov ksys_units, %rcx
  test %rcx, %rcx
  jz 1f
  call standin_sys
1: cmp $32, %rax
  jae 2f
  mov %rsp, %rcx                         /* 4th argument: the saved registers */
  call *syscall_table(,%rax,8)
  mov %rax, 80(%rsp)
  jmp ret_to_context
2: movq $-38, 80(%rsp)
ret_to_context:
  testb $3, REGS_CS(%rsp)
  jz 1f
  cmpq $0, pda_need_resched
  jne 3f
  incq cnt_exits_user
1: incq cnt_iret
  RESTORE_ALL
  jmp *pv_return
3: call schedule
  jmp ret_to_context
ret_from_fork:
  call schedule_tail
  jmp ret_to_context

.globl x_failsafe
x_failsafe:
  call x_failsafe_c
  ud2

/* ---- the two ways back; on entry the error code is on top of the frame ---- */
.globl native_return, xen_return
native_return:
  testb $3, 16(%rsp)
  jz 1f
  swapgs
1: add $8, %rsp
  iretq
xen_return:
  movq $0, (%rsp)                        /* flags word of the iret hypercall; its stub pushes rcx, r11, rax */
  jmp hypercall_page + 23*32

/* void switch_stacks(struct task *prev, struct task *next) */
.globl switch_stacks
switch_stacks:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp, (%rdi)
  mov (%rsi), %rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret

.section .rodata
.globl n_exc_table, x_exc_table
.balign 8
n_exc_table:
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13
  .quad n_exc\n
.endr
  .quad n_page_fault
.irp n,15,16,17,18,19
  .quad n_exc\n
.endr
x_exc_table:
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13
  .quad x_exc\n
.endr
  .quad x_page_fault
.irp n,15,16,17,18,19
  .quad x_exc\n
.endr
.section .note.GNU-stack,"",@progbits

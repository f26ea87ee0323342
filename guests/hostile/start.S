/* Start-up code of the hostile guests: Xen notes, entry, trap doors that record the exact bounce frame, a guarded call, a way into
 * user mode. Frame layout: Xen public/arch-x86/xen-x86_64.h; notes: Xen public/elfnote.h. */
VIRT_BASE = 0xffffffff80000000
.macro NOTE type, val:vararg
  .section .note.Xen,"a",@note
  .balign 4
  .long 4, 2f - 1f, \type
  .asciz "Xen"
1: \val
2: .balign 4
.endm
NOTE 6, .asciz "hostile"
NOTE 5, .asciz "xen-3.0"
NOTE 8, .asciz "generic"
NOTE 3, .quad VIRT_BASE
NOTE 4, .quad 0
NOTE 1, .quad start
NOTE 2, .quad hypercall_page

.section .text.hypercall,"ax"
.balign 4096
.globl hypercall_page
hypercall_page: .fill 4096, 1, 0xcc

.text
.globl start, guarded, door_table, go_user, sp_call
start:
  cld
  mov %rsi, %rdi
  mov $stack_top, %rsp
  xor %ebp, %ebp
  call init
  ud2

/* long guarded(fn rdi, a rsi, b rdx, c rcx): calls fn(a, b, c); -1 if it came back, else the vector of the trap (256 syscall,
 * 257 event, 258 failsafe). The trap leaves `trap` filled in and resumes here; no iret is needed in kernel mode. */
guarded:
  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15
  mov %rsp, guard_sp
  mov %rdi, %rax
  mov %rsi, %rdi
  mov %rdx, %rsi
  mov %rcx, %rdx
  call *%rax
  mov %rax, guard_result
  mov $-1, %rax
guard_out:
  movq $0, guard_sp
  cld
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx
  ret

/* trap record: vector, rsp at entry, rax, then ten words from rsp */
.macro DOOR n
door_\n:
  mov %rax, trap+16
  mov $\n, %eax
  mov %rax, trap
  jmp door_common
.endm
.altmacro
.macro DOORS from, to
  DOOR \from
  .if \to-\from
  DOORS %(\from+1), \to
  .endif
.endm
DOORS 0, 31
DOOR 128
DOOR 129
DOOR 256
DOOR 257
DOOR 258
.noaltmacro
door_common:
  mov %rsp, trap+8
  .irp k,0,1,2,3,4,5,6,7,8,9,10
  mov 8*\k(%rsp), %rax
  mov %rax, trap+24+8*\k
  .endr
  mov %rdi, trap+112
  mov %rsi, trap+120
  mov guard_sp, %rax
  test %rax, %rax
  jz 1f
  mov %rax, %rsp
  mov trap, %rax
  jmp guard_out
1: mov $stack_top, %rsp
  call unexpected
  ud2

/* void go_user(struct user_frame *rdi): nine words rax r11 rcx flags rip cs rflags rsp ss, to the iret hypercall */
go_user:
  mov %rdi, %rsp
  mov $23, %eax
  syscall
  ud2
/* void sp_call(fn rdi, arg rsi, rsp rdx): fn(arg) on another stack; does not come back except by a trap */
sp_call:
  mov %rdx, %rsp
  mov %rdi, %rax
  mov %rsi, %rdi
  call *%rax
  ud2

.section .rodata
.balign 8
door_table:
.altmacro
.macro DT from, to
  .quad door_\from
  .if \to-\from
  DT %(\from+1), \to
  .endif
.endm
DT 0, 31
.quad door_128, door_129, door_256, door_257, door_258
.noaltmacro
.bss
.globl trap, guard_sp, guard_result, stack_top, kstack_top
.balign 16
trap: .skip 128
guard_sp: .skip 8
guard_result: .skip 8
.balign 4096
.skip 16384
stack_top:
.skip 8192
kstack_top:
.section .note.GNU-stack,"",@progbits

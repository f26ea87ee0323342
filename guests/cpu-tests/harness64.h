/* The harness of 64-bit code, as harness32.h: verdicts, fault handlers, macros. The program starts in 32-bit code, which
 * maps the first GiB to itself with 2-MiB pages that all may use, and enters long mode. */
#include "verdict.h"

KCS = 0x08
KDS = 0x10
UCS32 = 0x1b
UDS = 0x23
UCS = 0x2b

/* Offsets in `got`: the registers, vector, error code, and the frame. */
GOT_RAX = 14*8
GOT_RCX = 13*8
GOT_RDX = 12*8
GOT_RBX = 11*8
GOT_RSI = 9*8
GOT_RDI = 8*8
GOT_R11 = 4*8
GOT_VECTOR = 15*8
GOT_CODE = 16*8
GOT_RIP = 17*8
GOT_CS = 18*8
GOT_RFLAGS = 19*8
GOT_RSP = 20*8
GOT_SS = 21*8
GOT_WORDS = 22

.macro CHECK name, got, want
  .pushsection .rodata
7777: .asciz "\name"
  .popsection
  pushq \want
  pushq \got
  pushq $7777b
  call check
.endm

/* The registers as the instruction under test finds them; changes no flag. */
.macro SNAPSHOT
  movq %rax, before+112
  movq %rcx, before+104
  movq %rdx, before+96
  movq %rbx, before+88
  movq %rbp, before+80
  movq %rsi, before+72
  movq %rdi, before+64
  movq %r8, before+56
  movq %r9, before+48
  movq %r10, before+40
  movq %r11, before+32
  movq %r12, before+24
  movq %r13, before+16
  movq %r14, before+8
  movq %r15, before+0
  movq %rsp, before+15*8
.endm

.macro EXPECT name, want, setup, instruction
  movq $8f, expected_rip
  movq $9f, recover
  movq %rsp, recover_rsp
  movq $NONE, result
  \setup
  SNAPSHOT
8: \instruction
9: CHECK \name, result, $(\want)
.endm

.macro EXPECT_NOT_TCG name, want, setup, instruction
  .pushsection .rodata
7777: .asciz "\name"
  .popsection
  cmpl $0, is_tcg
  je 7f
  pushq $7777b
  call skip
  jmp 5f
7: EXPECT \name, \want, "\setup", "\instruction"
5:
.endm

.macro ENTER_USER label, selector=UCS
  pushq $UDS
  pushq $user_stack_top
  pushq user_flags
  pushq $\selector
  pushq $\label
  iretq
.endm

.macro EXPECT_USER name, want, setup, instruction
  movq $8f, expected_rip
  movq $9f, recover
  movq %rsp, recover_rsp
  ENTER_USER 6f
6: \setup
  SNAPSHOT
8: \instruction
  int $DONE
9: CHECK \name, result, $(\want)
.endm

/* The same in 32-bit code of compatibility mode. */
.macro EXPECT_COMPATIBLE name, want, setup, instruction
  movq $8f, expected_rip
  movq $9f, recover
  movq %rsp, recover_rsp
  ENTER_USER 6f, UCS32
.code32
6: \setup
8: \instruction
  int $DONE
.code64
9: CHECK \name, result, $(\want)
.endm

.macro UNTIL_FAULT label
  movq $0, expected_rip
  movq $\label, recover
  movq %rsp, recover_rsp
  movq $NONE, result
.endm

.macro WRITE_MSR index, value
  movl $\index, %ecx
  movl $(\value), %eax
  xorl %edx, %edx
  wrmsr
.endm

.text
.code32
.globl start
start:
  cli
  cld
  movl $stack_top, %esp
  movl $page_tables, %edi
  movl $0x1800, %ecx
  xorl %eax, %eax
  rep stosl
  movl $(level3+7), level4
  movl $(level2+7), level3
  movl $level2, %edi
  movl $0x87, %eax
  movl $512, %ecx
1: movl %eax, (%edi)
  addl $0x200000, %eax
  addl $8, %edi
  loop 1b
  movl $0x20, %eax
  movl %eax, %cr4
  movl $level4, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x901, %eax /* NXE, LME, SCE */
  wrmsr
  movl %cr0, %eax
  andl $0x9fffffff, %eax
  orl $0x80010020, %eax /* PG, WP, NE */
  movl %eax, %cr0
  lgdt gdt_pointer
  ljmp $KCS, $1f
.code64
1: movl $KDS, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl %eax, %fs
  movl %eax, %gs
  movb $0xff, %al
  outb %al, $0x21
  outb %al, $0xa1
  movq $stubs, %rax
  movq $idt, %rdi
  movl $VECTORS, %ecx
1: movl %eax, %edx
  andl $0xffff, %edx
  orl $(KCS<<16), %edx
  movl %edx, (%rdi)
  movl %eax, %edx
  andl $0xffff0000, %edx
  orl $0x8e00, %edx
  movl %edx, 4(%rdi)
  movq $0, 8(%rdi)
  addq $16, %rax
  addq $16, %rdi
  loop 1b
  movb $0xee, idt+DONE*16+5
  lidt idt_pointer
  xorl %eax, %eax
  cpuid
  cmpl $0x68747541, %ebx /* "Auth" */
  sete is_amd
  movl $1, %eax
  cpuid
  btl $31, %ecx
  jnc main
  movl $0x40000000, %eax
  cpuid
  cmpl $0x54474354, %ebx /* "TCGT" */
  sete is_tcg
  jmp main

put_char: /* AL */
  pushq %rdx
  movb %al, %ah
  movl $(COM1+5), %edx
1: inb %dx, %al
  testb $0x20, %al
  jz 1b
  movl $COM1, %edx
  movb %ah, %al
  outb %al, %dx
  popq %rdx
  ret
put_string: /* RSI */
  lodsb
  testb %al, %al
  jz 1f
  call put_char
  jmp put_string
1: ret
put_hex: /* RBX */
  movl $16, %ecx
  xorl %edi, %edi
1: rolq $4, %rbx
  movb %bl, %al
  andb $15, %al
  jnz 2f
  testl %edi, %edi
  jnz 2f
  cmpl $1, %ecx
  jne 3f
2: incl %edi
  cmpb $10, %al
  jb 4f
  addb $('a'-'0'-10), %al
4: addb $'0', %al
  call put_char
3: loop 1b
  ret

.macro SAVE_FEW
  pushq %rax
  pushq %rbx
  pushq %rcx
  pushq %rdx
  pushq %rsi
  pushq %rdi
.endm
.macro RESTORE_FEW
  popq %rdi
  popq %rsi
  popq %rdx
  popq %rcx
  popq %rbx
  popq %rax
.endm

check: /* name, got, want on the stack; keeps all registers */
  SAVE_FEW
  cld
  movq $0, recover
  movq 64(%rsp), %rax
  cmpq 72(%rsp), %rax
  jne 1f
  incq passed
  movq $text_pass, %rsi
  call put_string
  movq 56(%rsp), %rsi
  call put_string
  jmp 2f
1: incq failed
  movq $text_fail, %rsi
  call put_string
  movq 56(%rsp), %rsi
  call put_string
  movq $text_got, %rsi
  call put_string
  movq 64(%rsp), %rbx
  call put_hex
  movq $text_want, %rsi
  call put_string
  movq 72(%rsp), %rbx
  call put_hex
2: movb $10, %al
  call put_char
  RESTORE_FEW
  ret $24

skip: /* name on the stack */
  SAVE_FEW
  movq $text_skip, %rsi
  call put_string
  movq 56(%rsp), %rsi
  call put_string
  movb $10, %al
  call put_char
  RESTORE_FEW
  ret $8

finish:
  movq $text_total, %rsi
  call put_string
  movq passed, %rbx
  call put_hex
  movq $text_failed, %rsi
  call put_string
  movq failed, %rbx
  call put_hex
  movq $text_failure, %rsi
  cmpq $0, failed
  jne 1f
  movq $text_success, %rsi
1: call put_string
power_off:
  movl $PM1A, %edx
  movl $SLEEP, %eax
  outw %ax, %dx
  cli
1: hlt
  jmp 1b

.balign 16
stubs:
vector = 0
.rept VECTORS
  .balign 16
  .if vector < 32
    .if ((WITH_CODE >> vector) & 1) == 0
      pushq $0
    .endif
  .else
    pushq $0
  .endif
  pushq $vector
  jmp common
  vector = vector + 1
.endr

common:
  pushq %rax
  pushq %rcx
  pushq %rdx
  pushq %rbx
  pushq %rbp
  pushq %rsi
  pushq %rdi
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  cld
  movq %rsp, %rsi
  movq $got, %rdi
  movl $GOT_WORDS, %ecx
  rep movsq
  movq hook, %rax
  testq %rax, %rax
  jz 1f
  jmp *%rax
common_without_hook:
1: movq got+GOT_VECTOR, %rcx
  movq $NONE, %rax
  cmpl $DONE, %ecx
  je 3f
  movl %ecx, %eax
  shll $16, %eax
  cmpl $32, %ecx
  jae 2f
  movl $WITH_CODE, %edx
  btl %ecx, %edx
  jnc 2f
  orl $0x1000000, %eax
  orl got+GOT_CODE, %eax
2: movq expected_rip, %rdx
  testq %rdx, %rdx
  jz 3f
  cmpq %rdx, got+GOT_RIP
  je 4f
  orl $ELSEWHERE, %eax
  jmp 3f
4: cmpb $UCS32, got+GOT_CS
  je 3f
  /* A fault leaves every register. */
  movq got+GOT_RSP, %rcx
  cmpq %rcx, before+15*8
  jne 5f
  movq $got, %rsi
  movq $before, %rdi
  movl $15, %ecx
  repe cmpsq
  je 3f
5: orl $CHANGED, %eax
3: movq %rax, result
  cmpq $0, recover
  je unexpected
  movl $KDS, %eax
  movl %eax, %ss
  movl %eax, %ds
  movl %eax, %es
  movq recover_rsp, %rsp
  pushq $2
  popfq
  jmp *recover

resume:
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rdi
  popq %rsi
  popq %rbp
  popq %rbx
  popq %rdx
  popq %rcx
  popq %rax
  addq $16, %rsp
  iretq

unexpected:
  movq $text_unexpected, %rsi
  call put_string
  movq result, %rbx
  call put_hex
  movb $' ', %al
  call put_char
  movq got+GOT_RIP, %rbx
  call put_hex
  movq $text_failure, %rsi
  call put_string
  jmp power_off

.data
.balign 8
passed: .quad 0
failed: .quad 0
recover: .quad 0
recover_rsp: .quad 0
expected_rip: .quad 0
result: .quad 0
hook: .quad 0
is_tcg: .quad 0
is_amd: .quad 0
user_flags: .quad 2
before: .fill 16, 8, 0
got: .fill GOT_WORDS, 8, 0
idt_pointer: .word VECTORS*16-1
  .quad idt
text_pass: .asciz "PASS "
text_fail: .asciz "FAIL "
text_skip: .asciz "SKIP "
text_got: .asciz " got "
text_want: .asciz " want "
text_total: .asciz "TOTAL passed 0x"
text_failed: .asciz " failed 0x"
text_success: .asciz "\nVERDICT SUCCESS\n"
text_failure: .asciz "\nVERDICT FAILURE\n"
text_unexpected: .asciz "UNEXPECTED "
.bss
.balign 4096
page_tables:
level4: .skip 4096
level3: .skip 4096
level2: .skip 4096
test_level1: .skip 4096
test_level2: .skip 4096
other_level1: .skip 4096
.skip 8192
stack_top:
.skip 8192
inner_stack_top:
.skip 4096
ist_stack_top:
.skip 8192
user_stack_top:
.balign 16
idt: .skip VECTORS*16
.text
.code64

/* The harness of 32-bit code: verdicts on the serial port, fault handlers that note what happened and go on at `recover`,
 * and macros for tests at CPL 0 and CPL 3.
 *
 *   CHECK name, got, want                   compares two 32-bit values
 *   EXPECT name, want, setup, instruction   runs an instruction at CPL 0: the result must be `want`
 *   EXPECT_USER ...                         the same at CPL 3
 */
#include "verdict.h"

KCS = 0x08
KDS = 0x10
UCS = 0x1b
UDS = 0x23

/* Offsets in `got`, which holds the registers of PUSHA, then vector, error code and the frame of the fault. */
GOT_EDI = 0
GOT_ESI = 4
GOT_EBX = 16
GOT_EDX = 20
GOT_ECX = 24
GOT_EAX = 28
GOT_VECTOR = 32
GOT_CODE = 36
GOT_EIP = 40
GOT_CS = 44
GOT_EFLAGS = 48
GOT_ESP = 52
GOT_SS = 56
GOT_ES = 60
GOT_DS = 64
GOT_FS = 68
GOT_GS = 72
GOT_WORDS = 19

.macro CHECK name, got, want
  .pushsection .rodata
7777: .asciz "\name"
  .popsection
  pushl \want
  pushl \got
  pushl $7777b
  call check
.endm

/* The registers as the instruction under test finds them; changes no flag. */
.macro SNAPSHOT
  movl %edi, before+GOT_EDI
  movl %esi, before+GOT_ESI
  movl %ebp, before+8
  movl %esp, before_esp
  movl %ebx, before+GOT_EBX
  movl %edx, before+GOT_EDX
  movl %ecx, before+GOT_ECX
  movl %eax, before+GOT_EAX
.endm

.macro EXPECT name, want, setup, instruction
  movl $8f, expected_eip
  movl $9f, recover
  movl %esp, recover_esp
  movl $NONE, result
  \setup
  SNAPSHOT
8: \instruction
9: CHECK \name, result, $(\want)
.endm

/* As EXPECT, for what would end QEMU TCG: it prints SKIP there. */
.macro EXPECT_NOT_TCG name, want, setup, instruction
  .pushsection .rodata
7777: .asciz "\name"
  .popsection
  cmpl $0, is_tcg
  je 7f
  pushl $7777b
  call skip
  jmp 5f
7: EXPECT \name, \want, "\setup", "\instruction"
5:
.endm

.macro ENTER_USER label
  pushl $UDS
  popl %ds
  pushl $UDS
  popl %es
  pushl $UDS
  pushl $user_stack_top
  pushl %cs:user_flags
  pushl $UCS
  pushl $\label
  iretl
.endm

.macro EXPECT_USER name, want, setup, instruction
  movl $8f, expected_eip
  movl $9f, recover
  movl %esp, recover_esp
  ENTER_USER 6f
6: \setup
  SNAPSHOT
8: \instruction
  int $DONE
9: CHECK \name, result, $(\want)
.endm

/* Runs code up to a fault at `label`, or to an INT of DONE; then goes on behind it. */
.macro UNTIL_FAULT label
  movl $0, expected_eip
  movl $\label, recover
  movl %esp, recover_esp
  movl $NONE, result
.endm

.macro SET_BASE selector, address
  movl $\address, %eax
  movw %ax, gdt+\selector+2
  shrl $16, %eax
  movb %al, gdt+\selector+4
  movb %ah, gdt+\selector+7
.endm

/* A gate at an address in the GDT or IDT; access is its byte 5. */
.macro SET_GATE at, selector, address, access, parameters=0
  movl $\address, %eax
  movw %ax, \at
  movw $\selector, 2+\at
  movb $\parameters, 4+\at
  movb $\access, 5+\at
  shrl $16, %eax
  movw %ax, 6+\at
.endm

.text
.code32
put_char: /* AL */
  pushl %edx
  movb %al, %ah
  movl $(COM1+5), %edx
1: inb %dx, %al
  testb $0x20, %al
  jz 1b
  movl $COM1, %edx
  movb %ah, %al
  outb %al, %dx
  popl %edx
  ret
put_string: /* ESI */
  lodsb
  testb %al, %al
  jz 1f
  call put_char
  jmp put_string
1: ret
put_hex: /* EBX, without leading zeros */
  movl $8, %ecx
  xorl %edi, %edi
1: roll $4, %ebx
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

check: /* name, got, want on the stack; keeps all registers */
  pushal
  cld
  movl $0, recover
  movl 40(%esp), %eax
  cmpl 44(%esp), %eax
  jne 1f
  incl passed
  movl $text_pass, %esi
  call put_string
  movl 36(%esp), %esi
  call put_string
  jmp 2f
1: incl failed
  movl $text_fail, %esi
  call put_string
  movl 36(%esp), %esi
  call put_string
  movl $text_got, %esi
  call put_string
  movl 40(%esp), %ebx
  call put_hex
  movl $text_want, %esi
  call put_string
  movl 44(%esp), %ebx
  call put_hex
2: movb $10, %al
  call put_char
  popal
  ret $12

skip: /* name on the stack */
  pushal
  movl $text_skip, %esi
  call put_string
  movl 36(%esp), %esi
  call put_string
  movb $10, %al
  call put_char
  popal
  ret $4

/* QEMU without hardware help says so in its hypervisor leaf. */
find_tcg:
  movl $1, %eax
  cpuid
  btl $31, %ecx
  jnc 1f
  movl $0x40000000, %eax
  cpuid
  cmpl $0x54474354, %ebx /* "TCGT" */
  jne 1f
  movl $1, is_tcg
1: ret

finish:
  movl $text_total, %esi
  call put_string
  movl passed, %ebx
  call put_hex
  movl $text_failed, %esi
  call put_string
  movl failed, %ebx
  call put_hex
  movl $text_failure, %esi
  cmpl $0, failed
  jne 1f
  movl $text_success, %esi
1: call put_string
power_off:
  movl $PM1A, %edx
  movl $SLEEP, %eax
  outw %ax, %dx
  cli
1: hlt
  jmp 1b

/* Every vector: error code (a zero where there is none), vector, then here. */
.balign 16
stubs:
vector = 0
.rept VECTORS
  .balign 16
  .if vector < 32
    .if ((WITH_CODE >> vector) & 1) == 0
      pushl $0
    .endif
  .else
    pushl $0
  .endif
  pushl $vector
  jmp common
  vector = vector + 1
.endr

common:
  cld
  pushal
  movl %ds, %ebx
  movl $KDS, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %ebx, got_ds
  movl %esp, %esi
  movl $got, %edi
  movl $GOT_WORDS, %ecx
  rep movsl
  cmpl $0, hook
  je 1f
  jmp *hook
1: movl got+GOT_VECTOR, %ecx
  movl $NONE, %eax
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
2: movl expected_eip, %edx
  testl %edx, %edx
  jz 3f
  cmpl %edx, got+GOT_EIP
  je 4f
  orl $ELSEWHERE, %eax
  jmp 3f
4: /* A fault leaves every register. PUSHA saved an ESP below the frame: 5 or 7 longs, by the privilege it came from. */
  movl %eax, %ebp
  movl got+12, %eax
  addl $20, %eax
  testb $3, got+GOT_CS
  jz 5f
  movl got+GOT_ESP, %eax
5: movl %eax, got+12
  movl before_esp, %eax
  movl %eax, before+12
  movl $got, %esi
  movl $before, %edi
  movl $8, %ecx
  repe cmpsl
  movl %ebp, %eax
  je 3f
  orl $CHANGED, %eax
3: movl %eax, result
  cmpl $0, recover
  je unexpected
  movl $KDS, %eax
  movl %eax, %ss
  movl recover_esp, %esp
  pushl $2
  popfl
  jmp *recover

/* Ends a hook: back to where the fault came from. */
resume:
  popal
  addl $8, %esp
  iretl

unexpected:
  movl $text_unexpected, %esi
  call put_string
  movl result, %ebx
  call put_hex
  movb $' ', %al
  call put_char
  movl got+GOT_EIP, %ebx
  call put_hex
  movl $text_failure, %esi
  call put_string
  jmp power_off

/* IDT: interrupt gates of DPL 0 for all, DPL 3 for DONE. */
build_idt:
  movl $stubs, %eax
  movl $idt, %edi
  movl $VECTORS, %ecx
1: movl %eax, %edx
  andl $0xffff, %edx
  orl $(KCS<<16), %edx
  movl %edx, (%edi)
  movl %eax, %edx
  andl $0xffff0000, %edx
  orl $0x8e00, %edx
  movl %edx, 4(%edi)
  addl $16, %eax
  addl $8, %edi
  loop 1b
  movb $0xee, idt+DONE*8+5
  lidt idt_pointer
  ret

.data
.balign 4
passed: .long 0
failed: .long 0
recover: .long 0
recover_esp: .long 0
expected_eip: .long 0
result: .long 0
hook: .long 0
is_tcg: .long 0
got_ds: .long 0
user_flags: .long 2
before: .fill 8, 4, 0
before_esp: .long 0
got: .fill GOT_WORDS, 4, 0
idt_pointer: .word VECTORS*8-1
  .long idt
text_pass: .asciz "PASS "
text_skip: .asciz "SKIP "
text_fail: .asciz "FAIL "
text_got: .asciz " got "
text_want: .asciz " want "
text_total: .asciz "TOTAL passed 0x"
text_failed: .asciz " failed 0x"
text_success: .asciz "\nVERDICT SUCCESS\n"
text_failure: .asciz "\nVERDICT FAILURE\n"
text_unexpected: .asciz "UNEXPECTED "
.bss
.balign 4096
.skip 8192
stack_top:
.skip 8192
inner_stack_top:
.skip 8192
ring1_stack_top:
.skip 8192
user_stack_top:
.balign 16
idt: .skip VECTORS*8
.text

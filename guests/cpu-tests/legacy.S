/* The processor outside long mode: gates, segments, tasks, virtual-8086 mode, paging of both formats, debug registers,
 * alignment checks, port permission, real mode. Sections in that order; each prints its own verdicts.
 * Sources: SDM 3A ch. 3 to 8, 20; SDM 3B ch. 18. */
#include "harness32.h"

/* Selectors. */
CODE16 = 0x28
DATA16 = 0x30
BYTES = 0x38 /* 0x1000 bytes, byte-granular, over `window` */
DOWN = 0x40 /* expand-down, valid from 0x1000 */
CONFORMING = 0x48
EXEC_ONLY = 0x50
READ_ONLY = 0x58
ABSENT = 0x60
TSS_MAIN = 0x68
TSS_SECOND = 0x70
TASK_GATE = 0x78
CALL_GATE = 0x80
CALL_GATE_PARAMETERS = 0x88
CALL_GATE_PRIVATE = 0x90
CALL_GATE_ABSENT = 0x98
LDT = 0xa0
CODE1 = 0xa8 /* ring 1 */
DATA1 = 0xb0
CALL_GATE_RING1 = 0xb8
CALL_GATE_CONFORMING = 0xc0
SHORT_CODE = 0xc8 /* 32-bit code of 16 bytes */
CALL_GATE16 = 0xd0
TSS_SHORT = 0xd8
TSS16 = 0xe0
SHORT_STACK = 0xe8 /* ring 3 data of 0x1000 bytes over `window` */
TSS_FAULT = 0xf0
BEYOND = 0x200
LDT_DATA = 0x04

TABLES = 0x400000 /* page tables are built here */

.globl start
start:
  cli
  cld
  movl $stack_top, %esp
  lgdt gdt_pointer
  ljmp $KCS, $1f
1: movl $KDS, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl %eax, %fs
  movl %eax, %gs
  call build_idt
  call find_tcg
  movb $0xff, %al /* no interrupts from outside */
  outb %al, $0x21
  outb %al, $0xa1
  call build_descriptors
  movl $TSS_MAIN, %eax
  ltr %ax
  movl $LDT, %eax
  lldt %ax
  movl $low_code, %esi
  movl $LOW, %edi
  movl $(low_code_end-low_code), %ecx
  rep movsb
  pushl $2
  popfl

  call test_interrupts
  call test_call_gates
  call test_segments
  call test_returns
  call test_privileged
  call test_ports
  call test_tasks
  call test_virtual8086
  call test_debug
  call test_nmi
  call test_paging32
  call test_pae
  call test_alignment
  call test_code_changes
  call test_real_mode
  jmp finish

build_descriptors:
  SET_BASE BYTES, window
  SET_BASE SHORT_STACK, window
  SET_BASE TSS_MAIN, tss_main
  SET_BASE TSS_SECOND, tss_second
  SET_BASE TSS_SHORT, tss_second
  SET_BASE TSS_FAULT, tss_fault
  SET_BASE TSS16, tss_narrow
  SET_BASE LDT, ldt
  SET_BASE SHORT_CODE, short_code
  SET_GATE gdt+CALL_GATE, KCS, gate_target, 0xec
  SET_GATE gdt+CALL_GATE_PARAMETERS, KCS, gate_parameters_target, 0xec, 2
  SET_GATE gdt+CALL_GATE_PRIVATE, KCS, gate_target, 0x8c
  SET_GATE gdt+CALL_GATE_ABSENT, KCS, gate_target, 0x6c
  SET_GATE gdt+CALL_GATE_RING1, CODE1, ring1_target, 0xec
  SET_GATE gdt+CALL_GATE_CONFORMING, CONFORMING, conforming_target, 0xec
  SET_GATE gdt+CALL_GATE16, KCS, LOW+(low32_gate-low_code), 0xe4
  SET_GATE gdt+TASK_GATE, TSS_SECOND, 0, 0xe5
  movw $TSS_SECOND, gdt+TASK_GATE+2
  ret

/* --- interrupts through the IDT ------------------------------------------------------------------------------- */
#define VECTOR_AT(v) idt+(v)*8
test_interrupts:
  SET_GATE VECTOR_AT(0x40), KCS, handler_flags, 0xee
  SET_GATE VECTOR_AT(0x41), KCS, handler_flags, 0xef
  pushl $0x202
  popfl
  int $0x40
  CHECK interrupt-gate-clears-IF, seen_flags, $2
  pushl $0x202
  popfl
  int $0x41
  CHECK trap-gate-keeps-IF, seen_flags, $0x202
  pushl $0x4002
  popfl
  int $0x41
  CHECK gate-clears-NT, seen_flags, $2
  pushl $2
  popfl
  CHECK int-n-saves-flags, saved_flags, $0x4002
  EXPECT_USER int-n-needs-gate-DPL, FAULTC(GP,0x31*8+2), "", "int $0x31"
  EXPECT_USER int3-needs-gate-DPL, FAULTC(GP,3*8+2), "", "int3"
  EXPECT_USER into-needs-gate-DPL, FAULTC(GP,4*8+2), "movb $0x7f, %al; incb %al", "into"
  EXPECT_USER int1-needs-no-DPL, FAULT(DB)|ELSEWHERE, "", ".byte 0xf1"
  EXPECT int3-is-a-trap, FAULT(BP)|ELSEWHERE, "", "int3"
  EXPECT divide-error-is-a-fault, FAULT(DE_), "xorl %ecx, %ecx", "divl %ecx"
  EXPECT bound-is-a-fault, FAULT(BR), "movl $9, %eax", "boundl %eax, bounds"
  EXPECT undefined-instruction, FAULT(UD), "", "ud2"
  EXPECT vector-beyond-IDT, FAULTC(GP,0x60*8+2), "", "int $0x60"
  andb $0x7f, VECTOR_AT(0x42)+5
  EXPECT gate-not-present, FAULTC(NP,0x42*8+2), "", "int $0x42"
  movw $0, VECTOR_AT(0x43)+2
  EXPECT gate-with-null-selector, FAULTC(GP,0), "", "int $0x43"
  movw $KDS, VECTOR_AT(0x43)+2
  EXPECT gate-to-data, FAULTC(GP,KDS), "", "int $0x43"
  movw $UCS, VECTOR_AT(0x43)+2
  EXPECT gate-to-less-privilege, FAULTC(GP,UCS&~3), "", "int $0x43"
  movw $BEYOND, VECTOR_AT(0x43)+2
  EXPECT gate-beyond-GDT, FAULTC(GP,BEYOND), "", "int $0x43"
  movw $KCS, VECTOR_AT(0x43)+2
  movb $0x8c, VECTOR_AT(0x43)+5
  EXPECT idt-entry-of-wrong-type, FAULTC(GP,0x43*8+2), "", "int $0x43"
  /* The frame of an interrupt from CPL 3. */
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: pushl %eax
  int $DONE
1: CHECK stack-switch-saves-ESP, got+GOT_ESP, $(user_stack_top-4)
  CHECK stack-switch-saves-SS, got+GOT_SS, $UDS
  CHECK stack-switch-saves-CS, got+GOT_CS, $UCS
  CHECK iret-nulls-data-segments-of-more-privilege, nulled, $0
  ret
handler_flags:
  pushfl
  popl seen_flags
  pushl 8(%esp)
  popl saved_flags
  iretl

/* --- call gates, far transfers -------------------------------------------------------------------------------- */
test_call_gates:
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: lcall $CALL_GATE, $0x12345678
  int $DONE
1: CHECK call-gate-to-CPL0, result, $NONE
  CHECK call-gate-changes-CPL, gate_cs, $KCS
  CHECK call-gate-pushes-SS, gate_ss, $UDS
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: pushl $0x1111
  pushl $0x2222
  movl %esp, %ebp
  lcall $CALL_GATE_PARAMETERS, $0
  subl %ebp, %esp
  int $DONE
1: CHECK call-gate-copies-parameters, gate_parameters, $0x11112222
  /* RETF 8 releases them on both stacks. */
  movl got+GOT_ESP, %eax
  CHECK retf-releases-parameters-outside, %eax, $8
  EXPECT_USER call-gate-DPL, FAULTC(GP,CALL_GATE_PRIVATE), "", "lcall $CALL_GATE_PRIVATE, $0"
  EXPECT_USER call-gate-not-present, FAULTC(NP,CALL_GATE_ABSENT), "", "lcall $CALL_GATE_ABSENT, $0"
  EXPECT_USER jmp-gate-keeps-privilege, FAULTC(GP,KCS), "", "ljmp $CALL_GATE, $0"
  EXPECT_USER far-call-to-CPL0, FAULTC(GP,KCS), "", "lcall $KCS, $gate_target"
  EXPECT_USER far-jmp-null, FAULTC(GP,0), "", "ljmp $0, $gate_target"
  EXPECT_USER far-jmp-to-data, FAULTC(GP,UDS&~3), "", "ljmp $UDS, $0"
  EXPECT far-jmp-not-present, FAULTC(GP,ABSENT), "", "ljmp $ABSENT, $0"
  EXPECT far-jmp-beyond-GDT, FAULTC(GP,BEYOND), "", "ljmp $BEYOND, $0"
  EXPECT far-jmp-beyond-limit, FAULTC(GP,0), "", "ljmp $SHORT_CODE, $16"
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: lcall $CONFORMING|3, $conforming_target
  int $DONE
1: CHECK conforming-code-keeps-CPL, conforming_cs, $(CONFORMING|3)
  movw $0, conforming_cs
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: lcall $CALL_GATE_CONFORMING, $0
  int $DONE
1: CHECK gate-to-conforming-keeps-CPL, conforming_cs, $(CONFORMING|3)
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: lcall $CALL_GATE_RING1, $0
  int $DONE
1: CHECK call-gate-to-CPL1, ring1_cs, $(CODE1|1)
  lcall $CALL_GATE16, $0
gate16_back:
  movl $gate16_back, %eax
  andl $0xffff, %eax
  orl $(KCS<<16), %eax
  CHECK call-gate16-frame, gate_word, %eax
  /* The inner stack of ring 1 is bad: #TS is raised on the stack of ring 0. */
  movw $DATA1, tss_main+0x10
  EXPECT_USER inner-stack-RPL, FAULTC(TS,DATA1), "", "lcall $CALL_GATE_RING1, $0"
  movw $0, tss_main+0x10
  EXPECT_USER inner-stack-null, FAULTC(TS,0), "", "lcall $CALL_GATE_RING1, $0"
  movw $(DATA1|1), tss_main+0x10
  andb $0x7f, gdt+DATA1+5
  EXPECT_USER inner-stack-not-present, FAULTC(SS,DATA1), "", "lcall $CALL_GATE_RING1, $0"
  orb $0x80, gdt+DATA1+5
  movw $0x0f, gdt+TSS_MAIN
  andb $0xfd, gdt+TSS_MAIN+5
  movl $TSS_MAIN, %eax
  ltr %ax
  EXPECT_USER inner-stack-beyond-TSS, FAULTC(TS,TSS_MAIN), "", "lcall $CALL_GATE_RING1, $0"
  movw $(tss_end-tss_main-1), gdt+TSS_MAIN
  andb $0xfd, gdt+TSS_MAIN+5
  movl $TSS_MAIN, %eax
  ltr %ax
  ret
gate_target:
  movw %cs, gate_cs
  pushl 12(%esp)
  popl gate_ss
  lretl
gate_parameters_target:
  movl 12(%esp), %eax
  shll $16, %eax
  orl 8(%esp), %eax
  movl %eax, gate_word
  movl $KDS, %eax
  movl %eax, %ds
  movl gate_word, %eax
  movl %eax, gate_parameters
  lretl $8
conforming_target:
  movl $UDS, %eax
  movl %eax, %ds
  movl %cs, %eax
  movl %eax, conforming_cs
  lretl
ring1_target:
  movl $(DATA1|1), %eax
  movl %eax, %ds
  movl %cs, %eax
  movl %eax, ring1_cs
  lretl

/* --- segments: limits, types, loads --------------------------------------------------------------------------- */
.macro WITH_FS selector
  movl $\selector, %eax
  movl %eax, %fs
.endm
test_segments:
  WITH_FS BYTES
  EXPECT byte-limit-last-byte, NONE, "", "movb %fs:0xfff, %al"
  EXPECT byte-limit-dword-over-it, FAULTC(GP,0), "", "movl %fs:0xffd, %eax"
  EXPECT byte-limit-write, FAULTC(GP,0), "", "movb %al, %fs:0x1000"
  WITH_FS DOWN
  EXPECT expand-down-below-limit, FAULTC(GP,0), "", "movb %fs:0xfff, %al"
  EXPECT expand-down-at-limit, NONE, "", "movl %fs:0x1000, %eax"
  WITH_FS EXEC_ONLY-EXEC_ONLY
  EXPECT null-selector-access, FAULTC(GP,0), "", "movb %fs:0, %al"
  EXPECT execute-only-is-not-data, FAULTC(GP,EXEC_ONLY), "movl $EXEC_ONLY, %eax", "movl %eax, %fs"
  WITH_FS READ_ONLY
  EXPECT read-only-read, NONE, "", "movb %fs:window, %al"
  EXPECT read-only-write, FAULTC(GP,0), "", "movb %al, %fs:window"
  EXPECT write-to-code, FAULTC(GP,0), "", "movb %al, %cs:window"
  EXPECT load-not-present, FAULTC(NP,ABSENT), "movl $ABSENT, %eax", "movl %eax, %fs"
  EXPECT load-SS-not-present, FAULTC(SS,ABSENT), "movl $ABSENT, %eax", "movl %eax, %ss"
  EXPECT load-SS-null, FAULTC(GP,0), "xorl %eax, %eax", "movl %eax, %ss"
  EXPECT load-SS-read-only, FAULTC(GP,READ_ONLY), "movl $READ_ONLY, %eax", "movl %eax, %ss"
  EXPECT load-SS-of-other-DPL, FAULTC(GP,UDS&~3), "movl $UDS, %eax", "movl %eax, %ss"
  EXPECT load-SS-RPL, FAULTC(GP,KDS), "movl $KDS+3, %eax", "movl %eax, %ss"
  EXPECT load-beyond-GDT, FAULTC(GP,BEYOND), "movl $BEYOND, %eax", "movl %eax, %fs"
  EXPECT load-beyond-LDT, FAULTC(GP,0x84), "movl $0x84, %eax", "movl %eax, %fs"
  EXPECT load-system-segment, FAULTC(GP,TSS_MAIN), "movl $TSS_MAIN, %eax", "movl %eax, %fs"
  EXPECT load-from-LDT, NONE, "movl $LDT_DATA, %eax", "movl %eax, %fs"
  EXPECT load-CS-by-MOV, FAULT(UD), "movl $KCS, %eax", ".byte 0x8e, 0xc8"
  EXPECT_USER load-more-privilege, FAULTC(GP,KDS), "movl $KDS, %eax", "movl %eax, %fs"
  andb $0xfe, gdt+READ_ONLY+5
  WITH_FS READ_ONLY
  movzbl gdt+READ_ONLY+5, %eax
  CHECK load-sets-accessed-bit, %eax, $0x91
  /* The stack: 0x1000 bytes over `window`, at CPL 3. */
  EXPECT_USER stack-limit-push, FAULTC(SS,0), "movl $SHORT_STACK+3, %eax; movl %eax, %ss; movl $0x1004, %esp", "pushl %eax"
  EXPECT_USER stack-limit-word-below-0, FAULTC(SS,0), "movl $SHORT_STACK+3, %eax; movl %eax, %ss; movl $2, %esp", "pushl %eax"
  EXPECT_USER stack-limit-by-EBP, FAULTC(SS,0), "movl $SHORT_STACK+3, %eax; movl %eax, %ss; movl $0x2000, %ebp", "movl (%ebp), %eax"
  EXPECT_USER stack-limit-DS-override, NONE, "movl $SHORT_STACK+3, %eax; movl %eax, %ss; movl $window, %ebp", "movl %ds:(%ebp), %eax"
  /* Code: the limit, and 16-bit code. */
  UNTIL_FAULT 1f
  ljmp $SHORT_CODE, $12
1: CHECK code-limit-within-instruction, result, $FAULTC(GP,0)
  CHECK code-limit-within-instruction-EIP, got+GOT_EIP, $12
  UNTIL_FAULT 1f
  ljmp $SHORT_CODE, $15
1: CHECK code-limit-next-instruction, result, $FAULTC(GP,0)
  movl got+GOT_EIP, %eax
  CHECK code-limit-saves-EIP, %eax, $16
  movl $0x1234ffff, %ebx
  movl $0, %ecx
  call go16
  CHECK code16-defaults-to-16-bits, %ebx, $0x12340000
  CHECK code16-operand-prefix, %ecx, $0x12340000
  /* A 16-bit stack wraps SP and keeps the upper half of ESP. */
  movl %esp, %ebp
  movl $DATA16, %eax
  movl %eax, %ss
  movl $0xabcd0000, %esp
  pushl %eax
  movl %esp, %ecx
  movl $KDS, %eax
  movl %eax, %ss
  movl %ebp, %esp
  CHECK stack16-wraps-SP, %ecx, $0xabcdfffc
  /* Queries. */
  movl $0, %ebx
  movl $BYTES, %eax
  lsl %eax, %ebx
  CHECK lsl-bytes, %ebx, $0xfff
  movl $KDS, %eax
  lsl %eax, %ebx
  CHECK lsl-pages, %ebx, $0xffffffff
  movl $READ_ONLY, %eax
  lar %eax, %ebx
  andl $0x00f0ff00, %ebx /* the limit's bits are undefined */
  CHECK lar, %ebx, $0x00c09100
  movl $BEYOND, %eax
  lar %eax, %ebx
  setz %bl
  movzbl %bl, %ebx
  CHECK lar-beyond-GDT, %ebx, $0
  movl $READ_ONLY, %eax
  verw %ax
  setz %bl
  movzbl %bl, %ebx
  CHECK verw-read-only, %ebx, $0
  movl $EXEC_ONLY, %eax
  verr %ax
  setz %bl
  movzbl %bl, %ebx
  CHECK verr-execute-only, %ebx, $0
  movl $0x10, %eax
  movl $3, %ecx
  arpl %cx, %ax
  CHECK arpl, %eax, $0x13
  EXPECT lldt-of-data, FAULTC(GP,KDS), "movl $KDS, %eax", "lldt %ax"
  EXPECT ltr-of-busy, FAULTC(GP,TSS_MAIN), "movl $TSS_MAIN, %eax", "ltr %ax"
  EXPECT ltr-null, FAULTC(GP,0), "xorl %eax, %eax", "ltr %ax"
  andb $0xfd, gdt+TSS_MAIN+5 /* where that did not fault TR is null now */
  movl $TSS_MAIN, %eax
  ltr %ax
  movl $KDS, %eax
  movl %eax, %fs
  ret
go16:
  SET_BASE CODE16, code16
  ljmp $CODE16, $0
back32:
  ret
.code16
code16:
  incw %bx
  movl %ebx, %ecx
  ljmpl $KCS, $back32
.code32

/* --- IRET and RETF -------------------------------------------------------------------------------------------- */
.macro FRAME cs, eip, flags=2
  pushl $\flags
  pushl $\cs
  pushl $\eip
.endm
.macro OUTER_FRAME ss, esp, cs, eip, flags=2
  pushl $\ss
  pushl $\esp
  FRAME \cs, \eip, \flags
.endm
test_returns:
  EXPECT iret-to-null, FAULTC(GP,0), "FRAME 0, 1f; 1:", "iretl"
  EXPECT iret-to-data, FAULTC(GP,KDS), "FRAME KDS, 0", "iretl"
  EXPECT iret-to-absent, FAULTC(GP,ABSENT), "FRAME ABSENT, 0", "iretl"
  andb $0x7f, gdt+CODE1+5
  EXPECT iret-to-absent-code, FAULTC(NP,CODE1), "OUTER_FRAME DATA1+1, 0, CODE1+1, 0", "iretl"
  orb $0x80, gdt+CODE1+5
  EXPECT iret-RPL-is-not-DPL, FAULTC(GP,UCS&~3), "FRAME UCS-1, 0", "iretl"
  EXPECT iret-beyond-limit, FAULTC(GP,0), "FRAME SHORT_CODE, 16", "iretl"
  EXPECT iret-SS-null, FAULTC(GP,0), "OUTER_FRAME 0, 0, UCS, 0", "iretl"
  EXPECT iret-SS-RPL, FAULTC(GP,UDS&~3), "OUTER_FRAME UDS-1, 0, UCS, 0", "iretl"
  EXPECT iret-SS-DPL, FAULTC(GP,KDS), "OUTER_FRAME KDS+3, 0, UCS, 0", "iretl"
  EXPECT_USER iret-to-more-privilege, FAULTC(GP,KCS), "FRAME KCS, 0", "iretl"
  EXPECT retf-to-null, FAULTC(GP,0), "pushl $0; pushl $0", "lretl"
  EXPECT_USER retf-to-more-privilege, FAULTC(GP,KCS), "pushl $KCS; pushl $0", "lretl"
  /* CPL 3 with IOPL 0 changes neither IF nor IOPL, without a fault. */
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: pushl $0x3202
  popfl
  int $DONE
1: movl got+GOT_EFLAGS, %eax
  CHECK popf-at-CPL3-keeps-IF-and-IOPL, %eax, $2
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: FRAME UCS, 3f, 0x3202
  iretl
3: int $DONE
1: movl got+GOT_EFLAGS, %eax
  CHECK iret-at-CPL3-keeps-IF-and-IOPL, %eax, $2
  /* A 16-bit IRET keeps the upper half of EFLAGS. */
  SET_BASE CODE16, code16_iret
  pushl $0x40002
  popfl
  ljmp $CODE16, $0
iret16_back:
  CHECK iret16-keeps-upper-flags, %ebx, $0x40002
  pushl $2
  popfl
  ret
.code16
code16_iret:
  pushw $2
  pushw $CODE16
  pushw $(1f-code16_iret)
  iretw
1: pushfl
  popl %ebx
  ljmpl $KCS, $iret16_back
.code32

/* --- privileged instructions and control registers ------------------------------------------------------------ */
test_privileged:
  EXPECT_USER cli-needs-IOPL, FAULTC(GP,0), "", "cli"
  EXPECT_USER sti-needs-IOPL, FAULTC(GP,0), "", "sti"
  movl $0x3002, user_flags
  EXPECT_USER cli-with-IOPL, NONE, "", "cli"
  movl $2, user_flags
  EXPECT_USER hlt-at-CPL3, FAULTC(GP,0), "", "hlt"
  EXPECT_USER mov-CR0-at-CPL3, FAULTC(GP,0), "", "movl %cr0, %eax"
  EXPECT_USER mov-DR7-at-CPL3, FAULTC(GP,0), "", "movl %dr7, %eax"
  EXPECT_USER lgdt-at-CPL3, FAULTC(GP,0), "", "lgdt gdt_pointer"
  EXPECT_USER lmsw-at-CPL3, FAULTC(GP,0), "", "lmsw %ax"
  EXPECT_USER clts-at-CPL3, FAULTC(GP,0), "", "clts"
  EXPECT_USER invlpg-at-CPL3, FAULTC(GP,0), "", "invlpg window"
  EXPECT_USER rdmsr-at-CPL3, FAULTC(GP,0), "", "rdmsr"
  EXPECT_USER wbinvd-at-CPL3, FAULTC(GP,0), "", "wbinvd"
  EXPECT_USER ltr-at-CPL3, FAULTC(GP,0), "", "ltr %ax"
  EXPECT_USER smsw-at-CPL3, NONE, "", "smsw %eax"
  EXPECT_USER rdtsc-at-CPL3, NONE, "", "rdtsc"
  EXPECT mov-CR1, FAULT(UD), "", ".byte 0x0f, 0x20, 0xc8"
  EXPECT_NOT_TCG mov-CR0-PG-without-PE, FAULTC(GP,0), "movl $0x80000000, %eax", "movl %eax, %cr0"
  EXPECT_NOT_TCG mov-CR0-NW-without-CD, FAULTC(GP,0), "movl $0x20000011, %eax", "movl %eax, %cr0"
  EXPECT_NOT_TCG mov-CR4-reserved, FAULTC(GP,0), "movl $0x8000, %eax", "movl %eax, %cr4"
  EXPECT_NOT_TCG mov-CR4-PCIDE-outside-long-mode, FAULTC(GP,0), "movl $0x20000, %eax", "movl %eax, %cr4"
  movl $2, %eax
  lmsw %ax
  smsw %eax
  andl $0xf, %eax
  CHECK lmsw-does-not-clear-PE, %eax, $3
  movl %cr0, %eax
  andl $~0xe, %eax
  movl %eax, %cr0
  movl $4, %eax
  movl %eax, %cr4
  EXPECT_USER rdtsc-under-TSD, FAULTC(GP,0), "", "rdtsc"
  EXPECT rdtsc-under-TSD-at-CPL0, NONE, "", "rdtsc"
  xorl %eax, %eax
  movl %eax, %cr4
  EXPECT rdmsr-unknown, FAULTC(GP,0), "movl $0x12345678, %ecx", "rdmsr"
  EXPECT lock-on-register, FAULT(UD), "", ".byte 0xf0, 0x01, 0xc0"
  EXPECT too-long-instruction, FAULTC(GP,0), "", ".fill 15, 1, 0x66; nop"
  /* UMIP, where there is one. */
  movl $7, %eax
  xorl %ecx, %ecx
  cpuid
  testl $4, %ecx
  jz 1f
  movl $0x800, %eax
  movl %eax, %cr4
  EXPECT_USER umip-sgdt, FAULTC(GP,0), "", "sgdt window"
  EXPECT_USER umip-sidt, FAULTC(GP,0), "", "sidt window"
  EXPECT_USER umip-sldt, FAULTC(GP,0), "", "sldt %eax"
  EXPECT_USER umip-str, FAULTC(GP,0), "", "str %eax"
  EXPECT_USER umip-smsw, FAULTC(GP,0), "", "smsw %eax"
  EXPECT umip-at-CPL0, NONE, "", "sgdt window"
  xorl %eax, %eax
  movl %eax, %cr4
1:
  /* SYSENTER and SYSEXIT outside long mode. */
  movl $0x174, %ecx
  xorl %edx, %edx
  xorl %eax, %eax
  wrmsr
  EXPECT sysenter-without-CS, FAULTC(GP,0), "", "sysenter"
  EXPECT sysexit-without-CS, FAULTC(GP,0), "", "sysexit"
  movl $0x174, %ecx
  xorl %edx, %edx
  movl $KCS, %eax
  wrmsr
  incl %ecx
  movl $inner_stack_top, %eax
  wrmsr
  incl %ecx
  movl $sysenter_target, %eax
  wrmsr
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: movl %esp, %ecx
  movl $3f, %edx
  sysenter
3: movl %cs, %eax
  shll $16, %eax
  movw %ss, %ax
  int $DONE
1: CHECK sysenter-cs, gate_cs, $KCS
  CHECK sysenter-ss, gate_ss, $KDS
  movl got+GOT_EAX, %eax
  CHECK sysexit-selectors, %eax, $((UCS<<16)|UDS)
  EXPECT_USER sysexit-at-CPL3, FAULTC(GP,0), "", "sysexit"
  EXPECT syscall-needs-SCE, FAULT(UD), "", "syscall"
  ret
sysenter_target:
  movl $KDS, %eax
  movl %eax, %ds
  movl %cs, %eax
  movl %eax, gate_cs
  movl %ss, %eax
  movl %eax, gate_ss
  movl $UDS, %eax
  movl %eax, %ds
  sysexit

/* --- ports ---------------------------------------------------------------------------------------------------- */
test_ports:
  EXPECT_USER port-in-bitmap, NONE, "movl $0x80, %edx", "inb %dx, %al"
  EXPECT_USER port-not-in-bitmap, FAULTC(GP,0), "movl $0x81, %edx", "inb %dx, %al"
  EXPECT_USER port-word-half-in-bitmap, FAULTC(GP,0), "movl $0x80, %edx", "inw %dx, %ax"
  EXPECT_USER port-beyond-bitmap, FAULTC(GP,0), "movl $0x7f8, %edx", "outb %al, %dx"
  movl $0x3002, user_flags
  EXPECT_USER port-with-IOPL, NONE, "movl $0x81, %edx", "inb %dx, %al"
  movl $2, user_flags
  ret

/* --- tasks ---------------------------------------------------------------------------------------------------- */
.macro PREPARE_TASK entry
  movl $tss_second, %edi
  movl $26, %ecx
  xorl %eax, %eax
  rep stosl
  movl $\entry, tss_second+0x20
  movl $2, tss_second+0x24
  movl $task_stack_top, tss_second+0x38
  movl $KCS, tss_second+0x4c
  movl $KDS, %eax
  movl %eax, tss_second+0x48
  movl %eax, tss_second+0x50
  movl %eax, tss_second+0x54
  movl %eax, tss_second+0x58
  movl %eax, tss_second+0x5c
  movl $LDT, tss_second+0x60
  movb $0xe9, gdt+TSS_SECOND+5
  movb $0x89, gdt+TSS_FAULT+5
  movl $task_of_TS, tss_fault+0x20
  movl $2, tss_fault+0x24
  movl $task_stack_top-2048, tss_fault+0x38
  movl %eax, tss_fault+0x48
  movl $KCS, tss_fault+0x4c
  movl %eax, tss_fault+0x50
  movl %eax, tss_fault+0x54
.endm
.macro CALL_BAD_TASK
  movl $0, task_code
  movl $0, task_link
  movl $1f, recover
  movl %esp, recover_esp
  lcall $TSS_SECOND, $0
1:
.endm
test_tasks:
  /* JMP there and back. */
  PREPARE_TASK task_jump
  movl $0x12345678, tss_second+0x34
  clts
  ljmp $TSS_SECOND, $0
  CHECK task-jmp-loads-registers, task_ebx, $0x12345678
  CHECK task-jmp-sets-TS, task_cr0, $8
  CHECK task-jmp-marks-old-free, task_main_type, $0x89
  CHECK task-jmp-marks-new-busy, task_second_type, $0xeb
  CHECK task-jmp-has-no-link, task_link, $0
  movzbl gdt+TSS_MAIN+5, %eax
  CHECK task-jmp-back-marks-main-busy, %eax, $0x8b
  str %eax
  CHECK task-jmp-back-loads-TR, %eax, $TSS_MAIN
  clts
  /* CALL and IRET. */
  PREPARE_TASK task_call
  pushl $0x402
  popfl
  lcall $TSS_SECOND, $0
  pushfl
  popl %ecx
  CHECK task-call-links, task_link, $TSS_MAIN
  CHECK task-call-sets-NT, task_flags, $0x4002
  CHECK task-call-keeps-both-busy, task_main_type, $0x8b
  CHECK task-return-restores-flags, %ecx, $0x402
  pushl $2
  popfl
  movzbl gdt+TSS_SECOND+5, %eax
  CHECK task-return-frees, %eax, $0xe9
  movl tss_second+0x24, %eax
  CHECK task-return-saves-flags-without-NT, %eax, $2
  /* By a task gate. */
  PREPARE_TASK task_call
  lcall $TASK_GATE, $0
  CHECK task-gate-links, task_link, $TSS_MAIN
  PREPARE_TASK task_call
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: lcall $TASK_GATE, $0
  int $DONE
1: CHECK task-gate-at-CPL3, result, $NONE
  /* An exception through a task gate: error code on the task's stack. */
  PREPARE_TASK task_fault
  movw $TSS_SECOND, VECTOR_AT(NP)+2
  movb $0xe5, VECTOR_AT(NP)+5
  movl $0, task_code
  movl $ABSENT, %eax
  movl $9f, task_skip
  movl %eax, %fs
9: CHECK task-gate-error-code, task_code, $ABSENT
  SET_GATE VECTOR_AT(NP), KCS, stubs+16*NP, 0x8e
  /* A 16-bit TSS. */
  movw $(LOW+(low32_task-low_code)), tss_narrow+0x0e
  movw $2, tss_narrow+0x10
  movw $0x1234, tss_narrow+0x18
  movw $0x7000, tss_narrow+0x1a
  movw $KDS, tss_narrow+0x22
  movw $KCS, tss_narrow+0x24
  movw $DATA16, tss_narrow+0x26
  movw $KDS, tss_narrow+0x28
  lcall $TSS16, $0
  CHECK task16-loads-registers, task_ebx, $0x1234
  CHECK task16-links, task_link, $TSS_MAIN
  CHECK task16-sets-NT, task_flags, $0x4002
  str %eax
  CHECK task16-returns, %eax, $TSS_MAIN
  clts
  /* Faults before the switch. */
  PREPARE_TASK task_call
  EXPECT task-busy, FAULTC(GP,TSS_MAIN), "", "ljmp $TSS_MAIN, $0"
  EXPECT task-TSS-too-short, FAULTC(TS,TSS_SHORT), "", "ljmp $TSS_SHORT, $0"
  andb $0x7f, gdt+TSS_SECOND+5
  EXPECT task-not-present, FAULTC(NP,TSS_SECOND), "", "ljmp $TSS_SECOND, $0"
  movb $0x89, gdt+TSS_SECOND+5
  EXPECT_USER task-TSS-DPL, FAULTC(GP,TSS_SECOND), "", "ljmp $TSS_SECOND, $0"
  movw $0, tss_main
  EXPECT iret-NT-null-link, FAULTC(TS,0), "pushl $0x4002; popfl", "iretl"
  movw $TSS_SECOND, tss_main
  EXPECT iret-NT-link-not-busy, FAULTC(TS,TSS_SECOND), "pushl $0x4002; popfl", "iretl"
  /* Faults after it belong to the new task. Without a stack that is loaded #TS needs a task of its own. */
  SET_GATE VECTOR_AT(TS), TSS_FAULT, 0, 0xe5
  PREPARE_TASK task_call
  movl $KDS, tss_second+0x60
  CALL_BAD_TASK
  CHECK task-bad-LDT, task_code, $KDS
  CHECK task-bad-LDT-in-new-task, task_link, $TSS_SECOND
  CHECK task-bad-LDT-at-first-instruction, task_eip, $task_call
  PREPARE_TASK task_call
  movl $UDS, tss_second+0x50
  CALL_BAD_TASK
  CHECK task-SS-of-other-DPL, task_code, $(UDS&~3)
  PREPARE_TASK task_call
  movl $KDS, tss_second+0x4c
  CALL_BAD_TASK
  CHECK task-CS-is-data, task_code, $KDS
  SET_GATE VECTOR_AT(TS), KCS, stubs+16*TS, 0x8e
  PREPARE_TASK task_call
  movl $ABSENT, tss_second+0x54
  UNTIL_FAULT 1f
  lcall $TSS_SECOND, $0
1: CHECK task-absent-DS, result, $FAULTC(NP,ABSENT)
  call back_to_main_task
  /* The T bit. */
  PREPARE_TASK task_call
  movl $1, tss_second+0x64
  xorl %eax, %eax
  movl %eax, %dr6
  UNTIL_FAULT 1f
  lcall $TSS_SECOND, $0
1: CHECK task-debug-trap, result, $FAULT(DB)
  CHECK task-debug-trap-at-first-instruction, got+GOT_EIP, $task_call
  movl %dr6, %eax
  andl $0xe00f, %eax
  CHECK task-debug-trap-BT, %eax, $0x8000
  call back_to_main_task
  clts
  ret
/* After a fault in the second task its context goes on here: back by JMP, whose own state is thrown away. */
back_to_main_task:
  movl $1f, tss_main+0x20
  movl %esp, tss_main+0x38
  movl $2, tss_main+0x24
  movb $0x89, gdt+TSS_MAIN+5
  ljmp $TSS_MAIN, $0
1: ret
.macro NOTE_TASK
  movl %ebx, task_ebx
  movl %cr0, %eax
  andl $8, %eax
  movl %eax, task_cr0
  movzbl gdt+TSS_MAIN+5, %eax
  movl %eax, task_main_type
  movzbl gdt+TSS_SECOND+5, %eax
  movl %eax, task_second_type
  movzwl tss_second, %eax
  movl %eax, task_link
  pushfl
  popl task_flags
.endm
task_jump:
  NOTE_TASK
  movb $0x89, %al
  ljmp $TSS_MAIN, $0
task_call:
  NOTE_TASK
  iretl
task_fault:
  popl task_code
  /* Goes on behind the instruction that faulted. */
  movl task_skip, %eax
  movl %eax, tss_main+0x20
  iretl

task_of_TS: /* the error code, who was interrupted and where; then back to the main task at `recover` */
  popl task_code
  movzwl tss_fault, %eax
  movl %eax, task_link
  movl tss_second+0x20, %eax
  movl %eax, task_eip
  movl recover, %eax
  movl %eax, tss_main+0x20
  movl recover_esp, %eax
  movl %eax, tss_main+0x38
  movl $2, tss_main+0x24
  movb $0x89, gdt+TSS_MAIN+5
  ljmp $TSS_MAIN, $0

/* --- virtual-8086 mode ---------------------------------------------------------------------------------------- */
LOW = 0x8000
/* Copies code from `from` to LOW and runs it in virtual-8086 mode with the EFLAGS given, up to a fault. */
.macro VIRTUAL from, flags
  UNTIL_FAULT 9f
  pushl $0x5000 /* GS */
  pushl $0x4000 /* FS */
  pushl $0x3000 /* DS */
  pushl $0x2000 /* ES */
  pushl $0x1000 /* SS */
  pushl $0x0800 /* ESP */
  pushl $\flags
  pushl $(LOW>>4)
  pushl $(\from-low_code)
  iretl
9:
.endm
VM = 0x20000
IOPL3 = 0x3000
test_virtual8086:
  movl $0x89abcdef, 0x30010
  VIRTUAL v_load, VM|2
  CHECK v86-int-n-needs-IOPL, result, $FAULTC(GP,0)
  CHECK v86-segment-base, got+GOT_EAX, $0x89abcdef
  CHECK v86-frame-CS, got+GOT_CS, $(LOW>>4)
  CHECK v86-frame-EFLAGS, got+GOT_EFLAGS, $(VM|0x10002)
  CHECK v86-frame-ESP, got+GOT_ESP, $0x0800
  CHECK v86-frame-SS, got+GOT_SS, $0x1000
  CHECK v86-frame-ES, got+GOT_ES, $0x2000
  CHECK v86-frame-DS, got+GOT_DS, $0x3000
  CHECK v86-frame-FS, got+GOT_FS, $0x4000
  CHECK v86-frame-GS, got+GOT_GS, $0x5000
  CHECK v86-handler-has-null-DS, got_ds, $0
  pushfl
  popl %eax
  CHECK v86-handler-leaves-VM, %eax, $2
  VIRTUAL v_cli, VM|2
  CHECK v86-cli-needs-IOPL, result, $FAULTC(GP,0)
  VIRTUAL v_pushf, VM|2
  CHECK v86-pushf-needs-IOPL, result, $FAULTC(GP,0)
  VIRTUAL v_popf, VM|2
  CHECK v86-popf-needs-IOPL, result, $FAULTC(GP,0)
  VIRTUAL v_iret, VM|2
  CHECK v86-iret-needs-IOPL, result, $FAULTC(GP,0)
  VIRTUAL v_int3, VM|2
  CHECK v86-int3-needs-gate-DPL, result, $FAULTC(GP,3*8+2)
  VIRTUAL v_pushf, VM|IOPL3|0x202
  CHECK v86-pushf-with-IOPL, result, $NONE
  movl got+GOT_EAX, %eax
  andl $0xffff, %eax
  CHECK v86-pushf-shows-IF-and-IOPL, %eax, $0x3202
  VIRTUAL v_cli, VM|IOPL3|0x202
  CHECK v86-cli-with-IOPL, got+GOT_EFLAGS, $(VM|IOPL3|2)
  VIRTUAL v_iret, VM|IOPL3|2
  CHECK v86-iret-with-IOPL, result, $NONE
  CHECK v86-iret-keeps-VM-and-IOPL, got+GOT_EFLAGS, $(VM|IOPL3|3)
  CHECK v86-far-jmp, got+GOT_CS, $(LOW>>4)
  VIRTUAL v_limit, VM|IOPL3|2
  CHECK v86-limit-64K, result, $FAULTC(GP,0)
  VIRTUAL v_stack, VM|IOPL3|2
  CHECK v86-stack-limit, result, $FAULTC(SS,0)
  VIRTUAL v_hlt, VM|IOPL3|2
  CHECK v86-hlt, result, $FAULTC(GP,0)
  VIRTUAL v_lldt, VM|IOPL3|2
  CHECK v86-lldt, result, $FAULT(UD)
  VIRTUAL v_lar, VM|IOPL3|2
  CHECK v86-lar, result, $FAULT(UD)
  VIRTUAL v_mov_cr0, VM|IOPL3|2
  CHECK v86-mov-from-CR0, result, $FAULTC(GP,0)
  VIRTUAL v_port_open, VM|IOPL3|2
  CHECK v86-port-in-bitmap, result, $NONE
  VIRTUAL v_port_closed, VM|IOPL3|2
  CHECK v86-port-not-in-bitmap-whatever-IOPL, result, $FAULTC(GP,0)
  VIRTUAL v_segments, VM|IOPL3|2
  CHECK v86-mov-segment, got+GOT_EAX, $0x89abcdef
  movl $1, %eax
  cpuid
  testl $2, %edx
  jz 1f
  call test_virtual_interrupts
1: EXPECT_USER iret-to-v86-at-CPL3-ignores-VM, NONE, "pushl $(VM|2); pushl $UCS; pushl $1f", "iretl; 1:"
  ret

/* VME and PVI: VIF stands for IF. INT of DONE leaves as #GP, for its bit in the redirection bitmap is set. */
VIF = 0x80000
VIP = 0x100000
RF = 0x10000
test_virtual_interrupts:
  movl $1, %eax
  movl %eax, %cr4
  VIRTUAL v_cli, VM|VIF|2
  CHECK vme-cli, result, $FAULTC(GP,0)
  CHECK vme-cli-clears-VIF, got+GOT_EFLAGS, $(VM|RF|2)
  VIRTUAL v_sti, VM|2
  CHECK vme-sti-sets-VIF, got+GOT_EFLAGS, $(VM|VIF|RF|2)
  VIRTUAL v_sti, VM|VIP|2
  CHECK vme-sti-with-VIP, got+GOT_EIP, $(v_sti-low_code)
  VIRTUAL v_pushf, VM|VIF|2
  movzwl got+GOT_EAX, %eax
  CHECK vme-pushf-shows-VIF, %eax, $0x3202
  VIRTUAL v_pushfl, VM|VIF|2
  CHECK vme-pushfl, got+GOT_EIP, $(v_pushfl-low_code)
  VIRTUAL v_popf, VM|VIF|2
  CHECK vme-popf-clears-VIF, got+GOT_EFLAGS, $(VM|RF|2)
  movw $(v_handler-low_code), 0x60*4
  movw $(LOW>>4), 0x60*4+2
  VIRTUAL v_int, VM|VIF|2
  movzwl got+GOT_EAX, %eax
  CHECK vme-int-saves-VIF-as-IF, %eax, $0x3202
  CHECK vme-int-clears-VIF, got+GOT_EBX, $0x3002
  CHECK vme-iret-sets-VIF, got+GOT_EFLAGS, $(VM|VIF|RF|2)
  movl $2, %eax
  movl %eax, %cr4
  movl $(VIF|2), user_flags
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: cli
  int $DONE
1: CHECK pvi-cli-clears-VIF, got+GOT_EFLAGS, $2
  movl $(VIP|2), user_flags
  EXPECT_USER pvi-sti-with-VIP, FAULTC(GP,0), "", "sti"
  movl $2, user_flags
  FRAME KCS, 1f /* POPF would leave VIF */
  iretl
1: pushfl
  popl %eax
  CHECK iret-at-CPL0-loads-VIF, %eax, $2
  xorl %eax, %eax
  movl %eax, %cr4
  ret

/* 16-bit code that runs at LOW, in virtual-8086 mode and in real mode. */
.code16
low_code:
v_load:
  movl 0x10, %eax
  int $DONE
v_cli:
  cli
  int $DONE
v_sti:
  sti
  int $DONE
v_pushfl:
  pushfl
v_int:
  movl $0, %ebx
  int $0x60
  int $DONE
v_handler: /* flags as saved, and as they are */
  movw %sp, %bp
  movw 4(%bp), %ax
  pushf
  popw %bx
  iretw
v_pushf:
  pushf
  popw %ax
  int $DONE
v_popf:
  pushw $2
  popf
  int $DONE
v_iret:
  pushw $3
  pushw $(LOW>>4)
  pushw $(1f-low_code)
  iretw
1: ljmp $(LOW>>4), $(2f-low_code)
2: int $DONE
v_int3:
  int3
v_limit:
  movw 0xffff, %ax
  int $DONE
v_stack:
  movw $1, %sp
  pushw %ax
  int $DONE
v_hlt:
  hlt
v_lldt:
  lldt %ax
v_lar:
  lar %ax, %bx
v_mov_cr0:
  movl %cr0, %eax
v_port_open:
  movw $0x80, %dx
  inb %dx, %al
  int $DONE
v_port_closed:
  movw $0x81, %dx
  inb %dx, %al
  int $DONE
v_segments:
  movw $0x3001, %ax
  movw %ax, %fs
  movl %fs:0, %eax
  int $DONE
#include "real-mode.h"
.code32
low32_gate: /* a frame of words */
  popl gate_word
  movl $gate16_back, %eax
  jmp *%eax
low32_task: /* of a 16-bit TSS */
  movzwl %bx, %eax
  movl %eax, task_ebx
  movzwl tss_narrow, %eax
  movl %eax, task_link
  pushfl
  popl task_flags
  iretl
low_code_end:

/* --- debug registers and single step -------------------------------------------------------------------------- */
DR7_BASE = 0x400
.macro CLEAR_DEBUG
  xorl %eax, %eax
  movl %eax, %dr7
  movl %eax, %dr6
  movl $0, hits
  movl $0, hits_dr6
.endm
.macro BREAKPOINT number, address, dr7
  movl $\address, %eax
  movl %eax, %dr\number
  movl $(\dr7), %eax
  movl %eax, %dr7
.endm
test_debug:
  movl $debug_hook, hook
  /* Instruction breakpoint: a fault; RF in the frame lets the instruction pass. */
  CLEAR_DEBUG
  BREAKPOINT 0, 1f, DR7_BASE|2
  movl $0x10000, hook_flags
1: nop
  movl $0, hook_flags
  CHECK execute-breakpoint-hits-once, hits, $1
  CHECK execute-breakpoint-EIP, hit_eip, $1b
  CHECK execute-breakpoint-DR6, hits_dr6, $1
  CHECK execute-breakpoint-pushes-RF-clear, hit_rf, $0
  /* Data breakpoints: traps, after the instruction. */
  CLEAR_DEBUG
  BREAKPOINT 1, window+4, DR7_BASE|8|(13<<20)
  movl window+4, %eax
  CHECK write-breakpoint-ignores-reads, hits, $0
  movl %eax, window+4
1: CHECK write-breakpoint-hits, hits, $1
  CHECK write-breakpoint-is-a-trap, hit_eip, $1b
  CHECK write-breakpoint-DR6, hits_dr6, $2
  CLEAR_DEBUG
  BREAKPOINT 2, window+4, DR7_BASE|0x20|(15<<24)
  movb window+7, %al
1: CHECK read-breakpoint-hits-any-byte, hits, $1
  CHECK read-breakpoint-EIP, hit_eip, $1b
  CLEAR_DEBUG
  BREAKPOINT 2, window+4, DR7_BASE|0x20|(15<<24)
  movb window+8, %al
  movb window+3, %al
  CHECK read-breakpoint-has-its-length, hits, $0
  movl window+1, %eax
  CHECK read-breakpoint-overlap, hits, $1
  CLEAR_DEBUG
  BREAKPOINT 0, window+4, DR7_BASE|2|(1<<16)
  movl $window, %esi
  movl $window, %edi
  movl $8, %ecx
  rep movsb
1: CHECK breakpoint-in-rep-hits, hits, $1
  CHECK breakpoint-in-rep-ECX, hit_ecx, $3
  CHECK breakpoint-in-rep-pushes-RF, hit_rf, $0x10000
  /* A fault is no access. */
  CLEAR_DEBUG
  movl $0, %eax
  movl $BYTES, %eax
  movl %eax, %fs
  BREAKPOINT 0, window+0xffe, DR7_BASE|2|(1<<16)
  movl $0, hook
  EXPECT breakpoint-not-on-faulting-access, FAULTC(GP,0), "", "movl %eax, %fs:0xffe"
  movl $debug_hook, hook
  nop
  CHECK breakpoint-forgotten-with-fault, hits, $0
  movl $KDS, %eax
  movl %eax, %fs
  /* Ports. */
  CLEAR_DEBUG
  movl $8, %eax
  movl %eax, %cr4
  BREAKPOINT 3, 0x80, DR7_BASE|0x80|(2<<28)
  inb $0x80, %al
1: CHECK port-breakpoint-hits, hits, $1
  CHECK port-breakpoint-EIP, hit_eip, $1b
  CHECK port-breakpoint-DR6, hits_dr6, $8
  CLEAR_DEBUG
  movl $0, hook
  EXPECT dr4-under-DE, FAULT(UD), "", "movl %dr4, %eax"
  xorl %eax, %eax
  movl %eax, %cr4
  EXPECT dr4-is-dr6, NONE, "", "movl %dr4, %eax"
  CHECK dr6-reads-ones, %eax, $0xffff0ff0
  movl %dr7, %eax
  CHECK dr7-reads-bit10, %eax, $0x400
  /* General detect. */
  movl $(DR7_BASE|0x2000), %eax
  movl %eax, %dr7
  EXPECT general-detect, FAULT(DB), "", "movl %dr0, %eax"
  CHECK general-detect-sets-RF, got+GOT_EFLAGS, $0x10002
  movl %dr7, %eax
  CHECK general-detect-clears-GD, %eax, $0x400
  movl %dr6, %eax
  andl $0x2000, %eax
  CHECK general-detect-BD, %eax, $0x2000
  movl $debug_hook, hook
  /* Single step. */
  CLEAR_DEBUG
  pushl $0x102
  popfl
  nop
1: pushl $2
  popfl
2: CHECK step-counts, hits, $3
  CHECK step-last-EIP, hit_eip, $2b
  CHECK step-BS, hits_dr6, $0x4000
  CLEAR_DEBUG
  movl $window, %edi
  movl $3, %ecx
  pushl $0x102
  popfl
  rep stosb
  pushl $2
  popfl
  CHECK step-each-rep-iteration, hits, $5
  CLEAR_DEBUG
  movl %ss, %ebx
  pushl $0x102
  popfl
  movl %ebx, %ss
  nop
  pushl $2
  popfl
  CHECK step-not-after-mov-ss, hits, $3
  CLEAR_DEBUG
  pushl $0x102
  popfl
  sti
  cli
  pushl $2
  popfl
  CHECK step-after-sti, hits, $4
  CLEAR_DEBUG
  SET_GATE VECTOR_AT(0x40), KCS, handler_flags, 0xee
  pushl $0x102
  popfl
  int $0x40
1: nop
2: pushl $2
  popfl
  CHECK int-n-is-not-stepped-into, hits, $3
  CHECK int-n-handler-has-no-TF, seen_flags, $2
  /* A breakpoint and a step in one #DB. */
  CLEAR_DEBUG
  BREAKPOINT 0, window, DR7_BASE|2|(1<<16)
  pushl $0x102
  popfl
  movb %al, window
1: pushl $2
  popfl
  CHECK step-and-breakpoint-once, hits, $3
  CHECK step-and-breakpoint-DR6, hits_or, $0x4001
  /* INT1 leaves DR6 (QEMU 7.2 is built without it). */
  cmpl $0, is_tcg
  jne 2f
  CLEAR_DEBUG
  .byte 0xf1
1: CHECK int1-hits, hits, $1
  CHECK int1-EIP, hit_eip, $1b
  CHECK int1-DR6, hits_dr6, $0
2:
  /* MOV SS holds off a breakpoint on the next instruction. */
  CLEAR_DEBUG
  movl %ss, %ebx
  BREAKPOINT 0, 1f, DR7_BASE|2
  movl $0x10000, hook_flags
  movl %ebx, %ss
1: nop
  movl $0, hook_flags
  CHECK mov-ss-hides-execute-breakpoint, hits, $0
  CLEAR_DEBUG
  movl $0, hook
  ret
/* Counts, notes, acknowledges DR6, and goes on with `hook_flags` added to EFLAGS. */
debug_hook:
  cmpl $DB, got+GOT_VECTOR
  jne unexpected
  incl hits
  movl got+GOT_EIP, %eax
  movl %eax, hit_eip
  movl got+GOT_ECX, %eax
  movl %eax, hit_ecx
  movl got+GOT_EFLAGS, %eax
  andl $0x10000, %eax
  movl %eax, hit_rf
  movl %dr6, %eax
  andl $0xe00f, %eax
  movl %eax, hits_dr6
  cmpl $1, hits
  jne 1f
  movl $0, hits_or
1: orl %eax, hits_or
  xorl %eax, %eax
  movl %eax, %dr6
  movl hook_flags, %eax
  orl %eax, 48(%esp)
  jmp resume

/* --- NMI: sent to this processor by its own APIC --------------------------------------------------------------- */
COMMAND_LOW = 0xfee00300
COMMAND_HIGH = 0xfee00310
SEND_NMI = 0x4400
test_nmi:
  movl $nmi_hook, hook
  movl $0, COMMAND_HIGH
  movl $SEND_NMI, COMMAND_LOW
  movl $100, %ecx
1: loop 1b
  movl $0, hook
  CHECK nmi-blocked-in-its-handler, nmi_seen, $1
  CHECK nmi-after-iret, nmi_count, $2
  CHECK nmi-loop-undisturbed, %ecx, $0
  ret
/* The first one sends a second, and looks how many have come after a while. */
nmi_hook:
  cmpl $2, got+GOT_VECTOR
  jne unexpected
  incl nmi_count
  cmpl $1, nmi_count
  jne resume
  movl $SEND_NMI, COMMAND_LOW
  movl $100, %ecx
1: loop 1b
  movl nmi_count, %eax
  movl %eax, nmi_seen
  jmp resume

/* --- 32-bit paging -------------------------------------------------------------------------------------------- */
DIRECTORY = TABLES
TABLE = (TABLES+0x1000)
LINEAR = 0x800000 /* what the table maps, 4 MiB */
FRAMES = 0xc00000 /* to where */
/* Entry of page n of LINEAR. */
#define ENTRY32(n) TABLE+(n)*4
#define PAGE(n) (LINEAR+(n)*0x1000)
PAGE1 = PAGE(1)
PAGE2 = PAGE(2)
PAGE3 = PAGE(3)
test_paging32:
  /* 4-MiB pages map everything to itself (user, for the tests at CPL 3), but for LINEAR. */
  movl $0x10, %eax
  movl %eax, %cr4
  movl $DIRECTORY, %edi
  movl $0x87, %eax
  movl $1024, %ecx
1: stosl
  addl $0x400000, %eax
  loop 1b
  movl $TABLE, %edi
  movl $(FRAMES|7), %eax
  movl $1024, %ecx
1: stosl
  addl $0x1000, %eax
  loop 1b
  movl $(TABLE|7), DIRECTORY+(LINEAR>>22)*4
  movl $0, ENTRY32(1)
  movl $(FRAMES|0x2000|5), ENTRY32(2) /* read-only user */
  movl $(FRAMES|0x3000|3), ENTRY32(3) /* supervisor */
  movl $DIRECTORY, %eax
  movl %eax, %cr3
  movl %cr0, %eax
  orl $0x80000000, %eax
  movl %eax, %cr0
  movl $0xfeedbeef, FRAMES
  CHECK paging-maps, LINEAR, $0xfeedbeef
  movl ENTRY32(0), %eax
  CHECK paging-sets-A-on-read, %eax, $(FRAMES|0x27)
  movl $1, LINEAR
  movl ENTRY32(0), %eax
  CHECK paging-sets-D-on-write, %eax, $(FRAMES|0x67)
  movl DIRECTORY+(LINEAR>>22)*4, %eax
  CHECK paging-sets-A-in-directory, %eax, $(TABLE|0x27)
  EXPECT pf-read-absent, FAULTC(PF,0), "", "movb PAGE1, %al"
  movl %cr2, %eax
  CHECK pf-CR2, %eax, $PAGE(1)
  EXPECT pf-write-absent, FAULTC(PF,2), "", "movb %al, PAGE1+5"
  EXPECT_USER pf-user-read-absent, FAULTC(PF,4), "", "movb PAGE1, %al"
  EXPECT_USER pf-user-write-read-only, FAULTC(PF,7), "", "movb %al, PAGE2"
  movl ENTRY32(2), %eax
  andl $0x40, %eax
  CHECK pf-leaves-D-clear, %eax, $0
  EXPECT_USER pf-user-reads-supervisor, FAULTC(PF,5), "", "movb PAGE3, %al"
  EXPECT pf-fetch-absent, FAULTC(PF,0)|ELSEWHERE, "movl $PAGE1, %eax", "jmp *%eax"
  EXPECT wp-off-supervisor-writes-read-only, NONE, "", "movb %al, PAGE2"
  movl %cr0, %eax
  orl $0x10000, %eax
  movl %eax, %cr0
  EXPECT wp-on-supervisor-writes-read-only, FAULTC(PF,3), "", "movb %al, PAGE2"
  movl %cr0, %eax
  andl $~0x10000, %eax
  movl %eax, %cr0
  /* Operands over two pages of different permission: nothing is written, CR2 names the second page. */
  movl $0x11111111, PAGE(0)+0xffc
  EXPECT cross-page-write, FAULTC(PF,2), "movl $-1, %eax", "movl %eax, PAGE1-2"
  movl %cr2, %eax
  CHECK cross-page-CR2, %eax, $PAGE(1)
  movl PAGE(0)+0xffc, %eax
  CHECK cross-page-writes-nothing, %eax, $0x11111111
  EXPECT cross-page-read-modify-write, FAULTC(PF,2), "", "addl $1, PAGE1-2"
  movl PAGE(0)+0xffc, %eax
  CHECK cross-page-rmw-writes-nothing, %eax, $0x11111111
  /* An instruction over two pages: the fault is of its second page. */
  movb $0xb8, PAGE(1)-1
  EXPECT cross-page-fetch, FAULTC(PF,0)|ELSEWHERE, "movl $PAGE1-1, %eax", "jmp *%eax"
  movl %cr2, %eax
  CHECK cross-page-fetch-CR2, %eax, $PAGE(1)
  CHECK cross-page-fetch-EIP, got+GOT_EIP, $(PAGE(1)-1)
  /* REP MOVSB into an absent page stops at it, and goes on when the handler maps it. */
  movl $0, hook
  EXPECT rep-movs-faults, FAULTC(PF,2)|CHANGED, "movl $window, %esi; movl $PAGE1-3, %edi; movl $8, %ecx", "rep movsb"
  CHECK rep-movs-ECX, got+GOT_ECX, $5
  CHECK rep-movs-EDI, got+GOT_EDI, $PAGE(1)
  CHECK rep-movs-ESI, got+GOT_ESI, $(window+3)
  movl $map_hook, hook
  movl $window, %esi
  movl $PAGE(1)-3, %edi
  movl $8, %ecx
  rep movsb
  movl $0, hook
  CHECK rep-movs-restarts, %ecx, $0
  CHECK rep-movs-restarts-EDI, %edi, $(PAGE(1)+5)
  /* POP to memory moves ESP only when it has stored. */
  movl $0, ENTRY32(1)
  invlpg PAGE(1)
  EXPECT pop-to-absent, FAULTC(PF,2), "pushl $7", "popl PAGE1"
  EXPECT call-to-absent-pointer, FAULTC(PF,0), "", "call *PAGE1"
  /* INVLPG makes a changed entry seen; CR3 does for all. */
  movl $0x22222222, FRAMES+0x5000
  movl $0x33333333, FRAMES+0x6000
  movl $(FRAMES|0x5000|7), ENTRY32(1)
  movl PAGE(1), %eax
  movl $(FRAMES|0x6000|7), ENTRY32(1)
  invlpg PAGE(1)
  CHECK invlpg, PAGE(1), $0x33333333
  movl $(FRAMES|0x5000|7), ENTRY32(1)
  movl %cr3, %eax
  movl %eax, %cr3
  CHECK mov-cr3-flushes, PAGE(1), $0x22222222
  /* Global pages outlive MOV CR3 on processors that have them; toggling CR4.PGE drops them on all. */
  movl $0x90, %eax
  movl %eax, %cr4
  movl $(FRAMES|0x5000|0x107), ENTRY32(1)
  movl PAGE(1), %eax
  movl $(FRAMES|0x6000|0x107), ENTRY32(1)
  movl $0x10, %eax
  movl %eax, %cr4
  CHECK pge-toggle-drops-global, PAGE(1), $0x33333333
  /* Reserved bit of a 4-MiB page. */
  movl $(FRAMES|0x200087), DIRECTORY+(LINEAR>>22)*4
  movl %cr3, %eax
  movl %eax, %cr3
  EXPECT pf-reserved-bit-21, FAULTC(PF,9), "", "movb LINEAR, %al"
  movl $(TABLE|7), DIRECTORY+(LINEAR>>22)*4
  movl %cr0, %eax
  andl $0x7fffffff, %eax
  movl %eax, %cr0
  ret
map_hook:
  cmpl $PF, got+GOT_VECTOR
  jne unexpected
  movl $(FRAMES|0x1000|7), ENTRY32(1)
  jmp resume

/* --- PAE paging ----------------------------------------------------------------------------------------------- */
POINTERS = (TABLES+0x2000)
PAE_DIRECTORY = (TABLES+0x4000)
PAE_TABLE = (TABLES+0x3000)
#define ENTRY_PAE(n) PAE_TABLE+(n)*8
test_pae:
  movl $POINTERS, %edi
  xorl %eax, %eax
  movl $0x400, %ecx
  rep stosl
  movl $PAE_DIRECTORY, %edi
  movl $0x87, %eax
  movl $512, %ecx
1: stosl
  movl $0, (%edi)
  addl $4, %edi
  addl $0x200000, %eax
  loop 1b
  movl $PAE_TABLE, %edi
  movl $(FRAMES|7), %eax
  movl $512, %ecx
1: stosl
  movl $0, (%edi)
  addl $4, %edi
  addl $0x1000, %eax
  loop 1b
  movl $(PAE_DIRECTORY|1), POINTERS
  movl $(PAE_TABLE|7), PAE_DIRECTORY+(LINEAR>>21)*8
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x800, %eax
  wrmsr
  movl $0x30, %eax
  movl %eax, %cr4
  movl $POINTERS, %eax
  movl %eax, %cr3
  movl %cr0, %eax
  orl $0x80000000, %eax
  movl %eax, %cr0
  movl $0xfeedbeef, FRAMES
  CHECK pae-maps, LINEAR, $0xfeedbeef
  movl ENTRY_PAE(0), %eax
  CHECK pae-sets-A, %eax, $(FRAMES|0x27)
  movl $0x80000000, ENTRY_PAE(1)+4
  EXPECT pae-nx-allows-reads, NONE, "", "movb PAGE1, %al"
  EXPECT pae-nx-fetch, FAULTC(PF,0x11)|ELSEWHERE, "movl $PAGE1, %eax", "jmp *%eax"
  EXPECT_USER pae-nx-user-fetch, FAULTC(PF,0x15)|ELSEWHERE, "movl $PAGE1, %eax", "jmp *%eax"
  movl $0x40000000, ENTRY_PAE(2)+4
  EXPECT pae-reserved-bit, FAULTC(PF,9), "", "movb PAGE2, %al"
  EXPECT pae-pointer-absent, FAULTC(PF,0), "", "movb 0x40000000, %al"
  /* Reserved bits of a pointer are checked when CR3 is loaded (Intel), or when it is used (AMD). */
  movl $(PAE_DIRECTORY|1|2), POINTERS+8
  xorl %eax, %eax
  cpuid
  cmpl $0x68747541, %ebx /* "Auth" */
  je 1f
  EXPECT pae-pointer-reserved-at-CR3, FAULTC(GP,0), "movl $POINTERS, %eax", "movl %eax, %cr3"
  jmp 2f
1: EXPECT pae-pointer-reserved-when-used, FAULTC(PF,9), "movl $POINTERS, %eax; movl %eax, %cr3", "movb 0x40000000, %al"
2: movl $0, POINTERS+8
  movl %cr0, %eax
  andl $0x7fffffff, %eax
  movl %eax, %cr0
  xorl %eax, %eax
  movl %eax, %cr4
  ret

/* --- alignment checks ----------------------------------------------------------------------------------------- */
test_alignment:
  movl $0x40002, user_flags
  EXPECT_USER ac-needs-AM, NONE, "", "movl window+1, %eax"
  movl %cr0, %eax
  orl $0x40000, %eax
  movl %eax, %cr0
  EXPECT_USER ac-dword, FAULTC(AC,0), "", "movl window+2, %eax"
  EXPECT_USER ac-word, FAULTC(AC,0), "", "movw window+1, %ax"
  EXPECT_USER ac-write, FAULTC(AC,0), "", "movl %eax, window+1"
  EXPECT_USER ac-aligned, NONE, "", "movl window+4, %eax"
  EXPECT_USER ac-byte, NONE, "", "movb window+1, %al"
  EXPECT_USER ac-push, FAULTC(AC,0), "movl $user_stack_top-2, %esp", "pushl %eax"
  EXPECT_USER ac-read-modify-write, FAULTC(AC,0), "", "incl window+1"
  EXPECT_USER ac-string, FAULTC(AC,0), "movl $window+1, %esi; movl $window, %edi", "movsl"
  movl $2, user_flags
  EXPECT_USER ac-needs-AC, NONE, "", "movl window+1, %eax"
  pushl $0x40002
  popfl
  movl window+1, %eax
  pushl $2
  popfl
  EXPECT ac-not-at-CPL0, NONE, "pushl $0x40002; popfl", "movl window+1, %eax"
  EXPECT_USER ac-switched-on-by-popf, FAULTC(AC,0), "pushl $0x40002; popfl", "movl window+1, %eax"
  movl %cr0, %eax
  andl $~0x40000, %eax
  movl %eax, %cr0
  pushl $2
  popfl
  ret

/* --- code that changes ---------------------------------------------------------------------------------------- */
test_code_changes:
  xorl %ecx, %ecx
  movb $0x41, 1f /* INC ECX over NOP, the very next instruction */
1: nop
  CHECK self-modifying-next, %ecx, $1
  movl $3, %edx
  xorl %ecx, %ecx
2: incl 3f+1
3: movl $0, %eax
  addl %eax, %ecx
  decl %edx
  jnz 2b
  CHECK self-modifying-loop, %ecx, $6
  movl $4f, %edi
  movl $0x41414141, %eax
  xorl %ecx, %ecx
  stosl
4: nop; nop; nop; nop
  CHECK self-modifying-string, %ecx, $4
  ret

/* --- real mode ------------------------------------------------------------------------------------------------ */
test_real_mode:
  movl %esp, saved_esp
  sidt saved_idt
  movl $0x89abcdef, 0x30010
  SET_BASE CODE16, LOW
  lidt low_idt
  movl $KDS, %eax
  movl %eax, %fs
  movl $DATA16, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  ljmp $CODE16, $(real_enter-low_code)
real_back:
  movl $KDS, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl %eax, %fs
  movl %eax, %gs
  movl saved_esp, %esp
  lidt saved_idt
  pushl $2
  popfl
  CHECK real-segment-base, REAL_RESULTS, $0x89abcdef
  CHECK real-int-clears-IF, REAL_RESULTS+4, $2
  CHECK real-int-saves-flags, REAL_RESULTS+8, $0x202
  CHECK real-limit-word-at-FFFF, REAL_RESULTS+12, $GP
  CHECK real-stack-limit-word-at-FFFF, REAL_RESULTS+16, $SS
  CHECK real-lldt, REAL_RESULTS+20, $UD
  CHECK real-divide-error, REAL_RESULTS+24, $DE_
  CHECK real-limit-last-word, REAL_RESULTS+28, $-1
  CHECK real-vector-beyond-limit, REAL_RESULTS+32, $GP
  CHECK real-keeps-big-limit, REAL_RESULTS+40, $-1
  CHECK real-reads-over-1MiB-limit, REAL_RESULTS+36, $0x89abcdef
  CHECK real-popf-IOPL-NT, REAL_RESULTS+44, $0x7002
  CHECK real-far-call-and-return, REAL_RESULTS+48, $0
  CHECK real-A20-off-wraps, REAL_RESULTS+52, $0x5a5aa5a5
  xorl %eax, %eax
  cmpl $0x5a5aa5a5, REAL_RESULTS+56
  setne %al
  CHECK real-A20-on-does-not, %eax, $1
  CHECK real-smsw-PE, REAL_RESULTS+60, $0
  ret

.data
.balign 8
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff /* KCS */
  .quad 0x00cf93000000ffff /* KDS */
  .quad 0x00cffb000000ffff /* UCS */
  .quad 0x00cff3000000ffff /* UDS */
  .quad 0x00009b000000ffff /* CODE16 */
  .quad 0x000093000000ffff /* DATA16 */
  .quad 0x0040f30000000fff /* BYTES */
  .quad 0x0040f70000000fff /* DOWN */
  .quad 0x00cf9f000000ffff /* CONFORMING */
  .quad 0x00cf99000000ffff /* EXEC_ONLY */
  .quad 0x00cf91000000ffff /* READ_ONLY */
  .quad 0x00cf13000000ffff /* ABSENT */
  .word tss_end-tss_main-1, 0, 0x8900, 0 /* TSS_MAIN */
  .word 0x67, 0, 0xe900, 0 /* TSS_SECOND */
  .quad 0, 0, 0, 0, 0 /* gates */
  .word 15, 0, 0xe200, 0 /* LDT: two entries */
  .quad 0x00cfbb000000ffff /* CODE1 */
  .quad 0x00cfb3000000ffff /* DATA1 */
  .quad 0, 0 /* gates */
  .quad 0x00409b000000000f /* SHORT_CODE */
  .quad 0 /* CALL_GATE16 */
  .word 0x66, 0, 0x8900, 0 /* TSS_SHORT */
  .word 0x2b, 0, 0x8100, 0 /* TSS16 */
  .quad 0x0040f30000000fff /* SHORT_STACK */
  .word 0x67, 0, 0x8900, 0 /* TSS_FAULT */
gdt_end:
gdt_pointer: .word gdt_end-gdt-1
  .long gdt
.balign 8
ldt:
  .quad 0x00cff3000000ffff
  .quad 0x00cf9b000000ffff
bounds: .long 1, 8
seen_flags: .long 0
saved_flags: .long 0
nulled: .long 0
gate_cs: .long 0
gate_ss: .long 0
gate_word: .long 0
gate_parameters: .long 0
conforming_cs: .long 0
ring1_cs: .long 0
task_ebx: .long 0
task_cr0: .long 0
task_main_type: .long 0
task_second_type: .long 0
task_link: .long 0
task_eip: .long 0
task_flags: .long 0
task_code: .long 0
task_skip: .long 0
hits: .long 0
hits_dr6: .long 0
hits_or: .long 0
hit_eip: .long 0
hit_ecx: .long 0
hit_rf: .long 0
hook_flags: .long 0
nmi_count: .long 0
nmi_seen: .long 0
saved_esp: .long 0
saved_idt: .quad 0
low_idt: .word 0x3ff
  .long 0
.balign 16
short_code: /* 16 bytes: an instruction that crosses its end, which ends with another one */
  .fill 12, 1, 0x90
  .byte 0xb8, 0x90, 0x90, 0x90
.balign 8
tss_main: /* ESP0, SS0, ESP1, SS1; the map of ports behind it */
  .long 0, inner_stack_top, KDS, ring1_stack_top, DATA1|1
  .fill 20, 4, 0
  .word 0, port_map-tss_main
  .fill 12, 1, 0xff /* redirection of INT n: 0x60 stays in virtual-8086 mode */
  .byte 0xfe
  .fill 19, 1, 0xff
port_map:
  .fill 16, 1, 0xff
  .byte 0xfe /* port 0x80 */
  .fill 31, 1, 0xff
tss_end:
.balign 8
tss_second: .fill 26, 4, 0
tss_fault: .fill 26, 4, 0
tss_narrow: .fill 13, 4, 0
.bss
.balign 4096
window: .skip 8192
.skip 4096
task_stack_top:

/* The processor in long mode: canonical addresses, interrupts, returns, fast system calls, 4-level paging with its
 * protections, PCID, segment bases, debug registers, state saving, model-specific registers, compatibility mode.
 * Sources: SDM 3A ch. 2 to 6; SDM 3B ch. 18; SDM 1 ch. 13; SDM 2 (SYSCALL, SYSRET, SYSENTER, SYSEXIT); AMD APM 2. */
#include "harness64.h"

UDS2 = 0x33
KCS32 = 0x38
TSS_SELECTOR = 0x40
CALL_GATE = 0x50
CALL_GATE_TO_32 = 0x60
ABSENT = 0x70
CONFORMING = 0x78
LONG_AND_BIG = 0x80
BYTES = 0x8b            /* user data of 0x1000 bytes over `window` */
BEYOND = 0x300
TEST = 0x40000000       /* linear: 2 MiB mapped by test_level1 to FRAMES, and a GiB behind test_level2 */
FRAMES = 0x800000
NX = 0x80000000         /* of the high half */
T0 = TEST
T1 = TEST+0x1000
T2 = TEST+0x2000
T3 = TEST+0x3000
LARGE = TEST+0x200000
NON_CANONICAL = 0x8000  /* << 32 */
#define ENTRY(n) test_level1+(n)*8

.macro FLUSH
  movq %cr3, %rax
  movq %rax, %cr3
.endm
/* Sets, clears bits of CR4. */
.macro CR4_ON bits
  movq %cr4, %rax
  orq $(\bits), %rax
  movq %rax, %cr4
.endm
.macro CR4_OFF bits
  movq %cr4, %rax
  andq $~(\bits), %rax
  movq %rax, %cr4
.endm
/* Jumps to `label` when CPUID leaf (subleaf 0) has not the bit of a register. */
.macro UNLESS_FEATURE leaf, register, bit, label
  movl $\leaf, %eax
  xorl %ecx, %ecx
  cpuid
  btl $\bit, %\register
  jnc \label
.endm

main:
  movl $tss, %eax
  movw %ax, gdt+TSS_SELECTOR+2
  shrl $16, %eax
  movb %al, gdt+TSS_SELECTOR+4
  movb %ah, gdt+TSS_SELECTOR+7
  movl $window, %eax
  movw %ax, gdt+(BYTES&~7)+2
  shrl $16, %eax
  movb %al, gdt+(BYTES&~7)+4
  movl $gate_target, %eax
  movw %ax, gdt+CALL_GATE
  movw %ax, gdt+CALL_GATE_TO_32
  shrl $16, %eax
  movw %ax, gdt+CALL_GATE+6
  movw %ax, gdt+CALL_GATE_TO_32+6
  movl $TSS_SELECTOR, %eax
  ltr %ax
  call test_canonical
  call test_interrupts
  call test_returns
  call test_far
  call test_system_calls
  call test_bases
  call test_paging
  call test_supervisor_protection
  call test_pcid
  call test_control
  call test_debug
  call test_xsave
  call test_msrs
  call test_compatibility
  call test_operands
  jmp finish

/* --- canonical addresses -------------------------------------------------------------------------------------- */
.macro BAD_ADDRESS register
  movabsq $0x800000000000, \register
.endm
test_canonical:
  EXPECT non-canonical-read, FAULTC(GP,0), "BAD_ADDRESS %rax", "movb (%rax), %al"
  EXPECT non-canonical-by-RBP, FAULTC(SS,0), "BAD_ADDRESS %rbp", "movb (%rbp), %al"
  EXPECT non-canonical-RBP-with-FS, FAULTC(GP,0), "BAD_ADDRESS %rbp", "movb %fs:(%rbp), %al"
  EXPECT_USER non-canonical-push, FAULTC(SS,0), "BAD_ADDRESS %rsp; addq $16, %rsp", "pushq %rax"
  EXPECT non-canonical-last-byte, FAULTC(GP,0), "movabsq $0x7ffffffffffc, %rax", "movq (%rax), %rax"
  EXPECT non-canonical-jmp, FAULTC(GP,0), "BAD_ADDRESS %rax", "jmp *%rax"
  EXPECT non-canonical-ret, FAULTC(GP,0), "BAD_ADDRESS %rax; pushq %rax", "ret"
  EXPECT non-canonical-call-pushes-nothing, FAULTC(GP,0), "BAD_ADDRESS %rax; movq %rsp, %rbx", "call *%rax"
  movq got+GOT_RBX, %rax
  subq recover_rsp, %rax
  CHECK non-canonical-call-keeps-RSP, %rax, $0
  EXPECT_NOT_TCG non-canonical-lgdt, FAULTC(GP,0), "", "lgdt bad_pointer"
  EXPECT non-canonical-invlpg-is-nothing, NONE, "BAD_ADDRESS %rax", "invlpg (%rax)"
  ret

/* --- interrupts ----------------------------------------------------------------------------------------------- */
#define GATE(v) idt+(v)*16
test_interrupts:
  EXPECT_USER int-n-needs-gate-DPL, FAULTC(GP,0x31*8+2), "", "int $0x31"
  EXPECT_USER int3-needs-gate-DPL, FAULTC(GP,3*8+2), "", "int3"
  EXPECT int3-is-a-trap, FAULT(BP)|ELSEWHERE, "", "int3"
  CHECK trap-pushes-RF-clear, got+GOT_RFLAGS, $2
  EXPECT ud2, FAULT(UD), "", "ud2"
  CHECK fault-pushes-RF-set, got+GOT_RFLAGS, $0x10002
  EXPECT divide-error, FAULT(DE_), "xorl %ecx, %ecx", "divq %rcx"
  EXPECT vector-beyond-IDT, FAULTC(GP,0x60*8+2), "", "int $0x60"
  andb $0x7f, GATE(0x42)+5
  EXPECT gate-not-present, FAULTC(NP,0x42*8+2), "", "int $0x42"
  movw $KCS32, GATE(0x43)+2
  EXPECT gate-to-32-bit-code, FAULTC(GP,KCS32), "", "int $0x43"
  movw $0, GATE(0x43)+2
  EXPECT gate-null, FAULTC(GP,0), "", "int $0x43"
  movw $UCS, GATE(0x43)+2
  EXPECT gate-to-less-privilege, FAULTC(GP,UCS&~3), "", "int $0x43"
  movw $KCS, GATE(0x43)+2
  movb $0x85, GATE(0x43)+5
  EXPECT task-gate, FAULTC(GP,0x43*8+2), "", "int $0x43"
  movb $0x8e, GATE(0x43)+5
  movl $NON_CANONICAL, GATE(0x43)+8
  EXPECT gate-non-canonical, FAULTC(GP,0), "", "int $0x43"
  movl $0, GATE(0x43)+8
  /* The stack: aligned to 16 bytes, SS and RSP always saved, IST. */
  UNTIL_FAULT 1f
  movq %rsp, %rbx
  subq $5, %rsp
  movq %rsp, %rdx
  int $DONE
1: CHECK frame-saves-unaligned-RSP, got+GOT_RSP, %rdx
  CHECK frame-saves-SS, got+GOT_SS, $KDS
  movq $frame_address, GATE(0x41)
  movw $KCS, GATE(0x41)+2
  movq $frame_address, %rax
  shrq $16, %rax
  movw %ax, GATE(0x41)+6
  movw $0x8e00, GATE(0x41)+4
  subq $5, %rsp
  int $0x41
  addq $5, %rsp
  movq seen_rsp, %rax
  andl $15, %eax
  CHECK frame-is-aligned, %rax, $8
  movw $0x8e01, GATE(0x41)+4
  int $0x41
  CHECK ist-stack, seen_rsp, $(ist_stack_top-40)
  movw $0xee00, GATE(0x41)+4
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: int $0x41
  int $DONE
1: CHECK inner-stack, seen_rsp, $(inner_stack_top-40)
  CHECK inner-stack-SS-is-null, seen_ss, $0
  movl $0x100, tss+4
  movl $NON_CANONICAL, tss+8
  movw $0x8e02, GATE(SS)+4
  EXPECT_USER inner-stack-non-canonical, FAULTC(SS,0), "", "int $0x41"
  movw $0x8e00, GATE(SS)+4
  movq $inner_stack_top, tss+4
  ret
frame_address:
  movq %rsp, seen_rsp
  pushq %rax
  movl %ss, %eax
  movq %rax, seen_ss
  popq %rax
  iretq

/* --- IRET ----------------------------------------------------------------------------------------------------- */
.macro FRAME ss, rsp, cs, rip, flags=2
  pushq $\ss
  pushq $\rsp
  pushq $\flags
  pushq $\cs
  pushq $\rip
.endm
test_returns:
  EXPECT iret-null-CS, FAULTC(GP,0), "FRAME KDS, 0, 0, 0", "iretq"
  EXPECT iret-data, FAULTC(GP,KDS), "FRAME KDS, 0, KDS, 0", "iretq"
  EXPECT iret-absent, FAULTC(NP,ABSENT), "FRAME KDS, 0, ABSENT, 0", "iretq"
  EXPECT_NOT_TCG iret-long-and-big, FAULTC(GP,LONG_AND_BIG), "FRAME KDS, 0, LONG_AND_BIG, 0", "iretq"
  EXPECT iret-user-null-SS, FAULTC(GP,0), "FRAME 0, 0, UCS, 0", "iretq"
  EXPECT iret-user-null-SS-RPL3, FAULTC(GP,0), "FRAME 3, 0, UCS, 0", "iretq"
  EXPECT iret-SS-DPL, FAULTC(GP,KDS), "FRAME KDS+3, 0, UCS, 0", "iretq"
  EXPECT iret-null-SS-at-CPL0, NONE, "movq %rsp, %rbx; pushq $0; pushq %rbx; pushq $2; pushq $KCS; pushq $1f", "iretq; 1:"
  movl $KDS, %eax
  movl %eax, %ss
  EXPECT iret-non-canonical, FAULTC(GP,0), "movq %rsp, %rbx; pushq $KDS; pushq %rbx; pushq $2; pushq $KCS; BAD_ADDRESS %rax; pushq %rax", "iretq"
  EXPECT iret-NT, FAULTC(GP,0), "pushq $0x4002; popfq", "iretq"
  EXPECT_USER iret-to-more-privilege, FAULTC(GP,KCS), "FRAME KDS, 0, KCS, 0", "iretq"
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: movq %rsp, %rbx
  pushq $UDS
  pushq %rbx
  pushq $0x203202
  pushq $UCS
  pushq $3f
  iretq
3: int $DONE
1: CHECK iret-at-CPL3-keeps-IF-and-IOPL, got+GOT_RFLAGS, $0x200002
  /* IRETD and IRETW in 64-bit code pop SS too. */
  movq %rsp, %rbx
  subq $20, %rsp
  movl $1f, (%rsp)
  movl $KCS, 4(%rsp)
  movl $2, 8(%rsp)
  movl %ebx, 12(%rsp)
  movl $KDS, 16(%rsp)
  iretl
1: subq %rsp, %rbx
  CHECK iretd-pops-SS, %rbx, $0
  ret

/* --- far transfers -------------------------------------------------------------------------------------------- */
test_far:
  EXPECT far-jmp-to-TSS, FAULTC(GP,TSS_SELECTOR), "", "ljmpl *far_tss"
  EXPECT far-jmp-null, FAULTC(GP,0), "", "ljmpl *far_null"
  EXPECT far-jmp-beyond-GDT, FAULTC(GP,BEYOND), "", "ljmpl *far_beyond"
  EXPECT_NOT_TCG far-jmp-long-and-big, FAULTC(GP,LONG_AND_BIG), "", "ljmpl *far_long_and_big"
  EXPECT direct-far-jmp-is-undefined, FAULT(UD), "", ".byte 0xea"
  EXPECT push-cs-is-undefined, FAULT(UD), "", ".byte 0x0e"
  EXPECT call-gate-to-32-bit-code, FAULTC(GP,KCS32), "", "lcall *far_gate_to_32"
  EXPECT far-jmp-conforming-CPL0, NONE, "", "ljmpl *far_conforming; conforming_back:"
  ljmpl *far_back
far_back_target:
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: lcall *far_gate
3: int $DONE
1: CHECK call-gate, result, $NONE
  CHECK call-gate-pushes-RIP, gate_rip, $3b
  CHECK call-gate-pushes-CS, gate_cs, $UCS
  CHECK call-gate-pushes-RSP, gate_rsp, $user_stack_top
  CHECK call-gate-pushes-SS, gate_ss, $UDS
  CHECK call-gate-SS-is-null, seen_ss, $0
  EXPECT_USER retf-to-more-privilege, FAULTC(GP,KCS), "pushq $KCS; pushq $0", "lretq"
  EXPECT retf-non-canonical, FAULTC(GP,0), "pushq $KCS; BAD_ADDRESS %rax; pushq %rax", "lretq"
  ret
gate_target:
  movq (%rsp), %rax
  movq %rax, gate_rip
  movq 8(%rsp), %rax
  movq %rax, gate_cs
  movq 16(%rsp), %rax
  movq %rax, gate_rsp
  movq 24(%rsp), %rax
  movq %rax, gate_ss
  movl %ss, %eax
  movq %rax, seen_ss
  lretq

/* --- SYSCALL, SYSRET, SYSENTER, SYSEXIT ----------------------------------------------------------------------- */
test_system_calls:
  movl $0xc0000081, %ecx /* STAR */
  xorl %eax, %eax
  movl $((0x1b<<16)|KCS), %edx
  wrmsr
  WRITE_MSR 0xc0000082, syscall_target
  WRITE_MSR 0xc0000083, syscall_compatible
  WRITE_MSR 0xc0000084, 0x4702
  UNTIL_FAULT 1f
  movq $0x202ad7, user_flags
  ENTER_USER 2f
2: syscall
3: movl %cs, %eax
  movl %ss, %ebx
  int $DONE
1: movq $2, user_flags
  CHECK syscall-RCX, sys_rcx, $3b
  CHECK syscall-R11, sys_r11, $0x202ad7
  CHECK syscall-masks-RFLAGS, sys_flags, $0x2028d7
  CHECK syscall-CS, sys_cs, $KCS
  CHECK syscall-SS, sys_ss, $KDS
  CHECK sysret-CS, got+GOT_RAX, $UCS
  CHECK sysret-SS, got+GOT_RBX, $UDS
  CHECK sysret-RFLAGS, got+GOT_RFLAGS, $0x202ad7
  UNTIL_FAULT 1f
  ENTER_USER 2f
2: movl $1, %r8d /* asks for SYSRET to 32-bit code */
  movl $3f, %r9d
  syscall
.code32
3: movl %cs, %eax
  int $DONE
.code64
1: CHECK sysret32-CS, got+GOT_RAX, $UCS32
  EXPECT_USER sysret-at-CPL3, FAULTC(GP,0), "", "sysretq"
  UNTIL_FAULT 1f
  movq $4f, expected_rip
  BAD_ADDRESS %rcx
  movl $2, %r11d
  SNAPSHOT
4: sysretq
1: cmpl $0, is_amd
  jne 2f
  CHECK sysret-non-canonical-at-CPL0, result, $FAULTC(GP,0)
  CHECK sysret-non-canonical-CS, got+GOT_CS, $KCS
  jmp 3f
2: CHECK sysret-non-canonical-at-CPL3, result, $(FAULTC(GP,0)|ELSEWHERE)
  CHECK sysret-non-canonical-CS, got+GOT_CS, $UCS
3: movl $0xc0000080, %ecx
  rdmsr
  andl $~1, %eax
  wrmsr
  EXPECT_USER syscall-needs-SCE, FAULT(UD), "", "syscall"
  EXPECT sysret-needs-SCE, FAULT(UD), "", "sysretq"
  movl $0xc0000080, %ecx
  rdmsr
  orl $1, %eax
  wrmsr
  cmpl $0, is_amd
  jne 1f
  EXPECT_COMPATIBLE syscall-in-compatibility-mode, FAULT(UD), "", "syscall"
  jmp 2f
1: EXPECT_COMPATIBLE syscall-in-compatibility-mode-by-CSTAR, NONE, "movl $7f, %ecx", "syscall; 7:"
2: /* SYSENTER: not in long mode on AMD. */
  WRITE_MSR 0x174, KCS
  WRITE_MSR 0x175, inner_stack_top
  WRITE_MSR 0x176, sysenter_target
  cmpl $0, is_amd
  jne 1f
  UNTIL_FAULT 3f
  ENTER_USER 2f
2: movq %rsp, %rcx
  movq $4f, %rdx
  sysenter
4: movl %cs, %eax
  movl %ss, %ebx
  int $DONE
3: CHECK sysenter-CS, sys_cs, $KCS
  CHECK sysenter-SS, sys_ss, $KDS
  CHECK sysexit-CS, got+GOT_RAX, $UCS
  CHECK sysexit-SS, got+GOT_RBX, $UDS2
  EXPECT sysexit-non-canonical, FAULTC(GP,0), "BAD_ADDRESS %rdx; xorl %ecx, %ecx", "rex.w sysexit"
  EXPECT_USER sysexit-at-CPL3, FAULTC(GP,0), "", "rex.w sysexit"
  WRITE_MSR 0x174, 0
  EXPECT sysenter-null-CS, FAULTC(GP,0), "", "sysenter"
  ret
1: EXPECT_USER sysenter-on-AMD, FAULT(UD), "", "sysenter"
  EXPECT sysexit-on-AMD, FAULT(UD), "", "rex.w sysexit"
  ret
.macro NOTE_ENTRY
  movl %cs, %eax
  movq %rax, sys_cs
  movl %ss, %eax
  movq %rax, sys_ss
.endm
syscall_target:
  movq %rsp, %rbx
  movq $inner_stack_top, %rsp
  pushfq
  popq sys_flags
  movq %rbx, %rsp
  movq %rcx, sys_rcx
  movq %r11, sys_r11
  NOTE_ENTRY
  cmpl $1, %r8d
  je 1f
  sysretq
1: movq %r9, %rcx
  xorl %r8d, %r8d
  sysretl
syscall_compatible:
  sysretl
sysenter_target:
  NOTE_ENTRY
  rex.w sysexit

/* --- FS, GS bases --------------------------------------------------------------------------------------------- */
test_bases:
  movl $0xc0000101, %ecx
  movl $window, %eax
  xorl %edx, %edx
  wrmsr
  movl $0xc0000102, %ecx
  movl $window+0x1000, %eax
  wrmsr
  movq $0x11, window
  movq $0x22, window+0x1000
  CHECK gs-base, %gs:0, $0x11
  swapgs
  CHECK swapgs, %gs:0, $0x22
  swapgs
  EXPECT_USER swapgs-at-CPL3, FAULTC(GP,0), "", "swapgs"
  EXPECT wrmsr-base-non-canonical, FAULTC(GP,0), "movl $0xc0000100, %ecx; movl $0x8000, %edx", "wrmsr"
  EXPECT base-makes-non-canonical, FAULTC(GP,0), "movabsq $0x7fffffffffff, %rax", "movb %gs:(%rax), %al"
  UNLESS_FEATURE 7, ebx, 0, no_fsgsbase
  EXPECT rdfsbase-needs-CR4, FAULT(UD), "", "rdfsbase %rax"
  CR4_ON 0x10000
  EXPECT_USER wrfsbase-at-CPL3, NONE, "movl $window, %eax", "wrfsbase %rax"
  rdfsbase %rax
  CHECK rdfsbase, %rax, $window
  movq $-1, %rax
  wrfsbase %eax
  rdfsbase %rax
  movl $-1, %ecx
  cmpq %rcx, %rax
  sete %al
  movzbl %al, %eax
  CHECK wrfsbase-32-bits, %rax, $1
  EXPECT wrgsbase-non-canonical, FAULTC(GP,0), "BAD_ADDRESS %rax", "wrgsbase %rax"
  xorl %eax, %eax
  wrfsbase %rax
  CR4_OFF 0x10000
no_fsgsbase:
  WRITE_MSR 0xc0000100, 0
  ret

/* --- paging --------------------------------------------------------------------------------------------------- */
test_paging:
  movq $test_level1, %rdi
  movq $(FRAMES|7), %rax
  movl $512, %ecx
1: stosq
  addq $0x1000, %rax
  loop 1b
  movq $(test_level1+7), test_level2
  movq $(FRAMES|0x87), test_level2+8
  movq $(test_level2+7), level3+8
  FLUSH
  movq $0x5eed, FRAMES
  CHECK maps, T0, $0x5eed
  CHECK sets-A, ENTRY(0), $(FRAMES|0x27)
  movb $1, T0
  CHECK sets-D, ENTRY(0), $(FRAMES|0x67)
  CHECK sets-A-in-directory, test_level2, $(test_level1+0x27)
  movq $0, ENTRY(1)
  EXPECT read-absent, FAULTC(PF,0), "", "movb T1, %al"
  movq %cr2, %rax
  CHECK read-absent-CR2, %rax, $T1
  EXPECT write-absent, FAULTC(PF,2), "", "movb %al, T1"
  EXPECT_USER user-read-absent, FAULTC(PF,4), "", "movb T1, %al"
  EXPECT_USER user-write-absent, FAULTC(PF,6), "", "movb %al, T1"
  EXPECT top-level-absent, FAULTC(PF,0), "movabsq $0x10000000000, %rax", "movb (%rax), %al"
  EXPECT fetch-absent, FAULTC(PF,0x10)|ELSEWHERE, "movl $T1, %eax", "jmp *%rax"
  movl $NX, ENTRY(2)+4
  EXPECT nx-fetch, FAULTC(PF,0x11)|ELSEWHERE, "movl $T2, %eax", "jmp *%rax"
  EXPECT nx-read, NONE, "", "movb T2, %al"
  EXPECT_USER nx-user-fetch, FAULTC(PF,0x15)|ELSEWHERE, "movl $T2, %eax", "jmp *%rax"
  movl $NX, test_level2+4
  FLUSH
  EXPECT nx-in-directory, FAULTC(PF,0x11)|ELSEWHERE, "movl $T0, %eax", "jmp *%rax"
  movl $0, test_level2+4
  movb $0x25, test_level2
  FLUSH
  EXPECT read-only-in-directory, FAULTC(PF,3), "", "movb %al, T0"
  movb $0x23, test_level2
  FLUSH
  EXPECT_USER supervisor-in-directory, FAULTC(PF,5), "", "movb T0, %al"
  movb $0x27, test_level2
  FLUSH
  movl $0x00080000, ENTRY(3)+4
  EXPECT_NOT_TCG reserved-address-bit, FAULTC(PF,9), "", "movb T3, %al"
  movl $0, ENTRY(3)+4
  movq $(FRAMES|0x2087), test_level2+8
  FLUSH
  EXPECT reserved-bit-of-large-page, FAULTC(PF,9), "", "movb LARGE, %al"
  EXPECT reserved-bit-write, FAULTC(PF,0xb), "", "movb %al, LARGE"
  movq $(FRAMES|0x87), test_level2+8
  FLUSH
  CHECK large-page, LARGE, $0x5e01
  movl $(FRAMES|0x200087), test_level2+8
  movq $0x600d, FRAMES+0x200000+0x3000
  invlpg LARGE+0x1000
  CHECK invlpg-inside-large-page, LARGE+0x3000, $0x600d
  movq $(level3+0x87), level4+8
  FLUSH
  EXPECT page-size-in-top-level, FAULTC(PF,9), "movabsq $0x8000000000, %rax", "movb (%rax), %al"
  movq $0, level4+8
  FLUSH
  UNLESS_FEATURE 0x80000001, edx, 26, 1f
  movq $0x87, level3+16
  FLUSH
  movl $0x80000000, %eax
  movq FRAMES(%rax), %rcx
  CHECK gigabyte-page, %rcx, $0x5e01
  movq $0, level3+16
  FLUSH
1: /* Two pages of different permission. */
  movl $-1, T0+0xffc
  movq $0, ENTRY(1)
  invlpg T1
  EXPECT cross-page-write, FAULTC(PF,2), "xorl %eax, %eax", "movq %rax, T1-4"
  movq %cr2, %rax
  CHECK cross-page-CR2, %rax, $T1
  movl T0+0xffc, %eax
  incl %eax
  CHECK cross-page-writes-nothing, %rax, $0
  movw $0xb848, T1-2
  EXPECT cross-page-fetch, FAULTC(PF,0x10)|ELSEWHERE, "movl $T1-2, %eax", "jmp *%rax"
  CHECK cross-page-fetch-RIP, got+GOT_RIP, $(T1-2)
  movq %cr2, %rax
  CHECK cross-page-fetch-CR2, %rax, $T1
  movl $(FRAMES|0x1007), ENTRY(1)
  movl $NX, ENTRY(1)+4
  invlpg T1
  EXPECT cross-page-fetch-NX, FAULTC(PF,0x11)|ELSEWHERE, "movl $T1-2, %eax", "jmp *%rax"
  movl $0, ENTRY(1)+4
  movq $0, ENTRY(1)
  invlpg T1
  /* Restart of a string instruction, downwards and upwards. */
  EXPECT rep-movs-faults, FAULTC(PF,2)|CHANGED, "movl $window, %esi; movl $T1-16, %edi; movl $5, %ecx", "rep movsq"
  CHECK rep-movs-RCX, got+GOT_RCX, $3
  CHECK rep-movs-RDI, got+GOT_RDI, $T1
  CHECK rep-movs-RSI, got+GOT_RSI, $(window+16)
  movq $map_hook, hook
  movl $window, %esi
  movl $T1-16, %edi
  movl $5, %ecx
  rep movsq
  movq $0, hook
  CHECK rep-movs-restarts, %rdi, $(T1+24)
  EXPECT cmpxchg-to-read-only-faults-though-unequal, FAULTC(PF,3), "movq $(FRAMES|0x1005), test_level1+8; invlpg T1; movl $77, %eax", "cmpxchgl %ecx, T1"
  EXPECT bit-test-of-read-only, NONE, "", "btl $0, T1"
  EXPECT bit-set-of-read-only, FAULTC(PF,3), "", "btsl $0, T1"
  movq $(FRAMES|0x1007), ENTRY(1)
  invlpg T1
  /* Code that changes, by another mapping of its page. */
  movl $0xc3c0ff48, T2 /* INC RAX; RET */
  movl $0, ENTRY(2)+4
  movq $(FRAMES|0x2007), ENTRY(3)
  FLUSH
  xorl %eax, %eax
  movl $T3, %ebx
  call *%rbx
  movb $0xc8, T2+2 /* DEC RAX */
  call *%rbx
  call *%rbx
  incq %rax
  CHECK code-changed-by-alias, %rax, $0
  ret
map_hook:
  movq $0, hook
  cmpl $PF, got+GOT_VECTOR
  jne unexpected
  movq $(FRAMES|0x1007), ENTRY(1)
  jmp resume

/* --- SMEP, SMAP ----------------------------------------------------------------------------------------------- */
test_supervisor_protection:
  /* Everything is a user page here: supervisor ones are made of the GiB before the switches go on. */
  movb $0x03, level3 /* table entries and so everything below 1 GiB become supervisor's */
  FLUSH
  movb $0xc3, T0
  UNLESS_FEATURE 7, ebx, 7, 1f
  CR4_ON 0x100000
  EXPECT smep-fetch-of-user-page, FAULTC(PF,0x11)|ELSEWHERE, "movl $T0, %eax", "call *%rax"
  EXPECT smep-reads-user-page, NONE, "", "movb T0, %al"
  CR4_OFF 0x100000
1: UNLESS_FEATURE 7, ebx, 20, 1f
  CR4_ON 0x200000
  EXPECT smap-read, FAULTC(PF,1), "", "movb T0, %al"
  EXPECT smap-write, FAULTC(PF,3), "", "movb %al, T0"
  EXPECT smap-fetch, NONE, "movl $T0, %eax", "call *%rax"
  EXPECT smap-with-AC, NONE, "stac", "movb T0, %al"
  EXPECT smap-after-clac, FAULTC(PF,1), "stac; movb T0, %al; clac", "movb T0, %al"
  EXPECT smap-with-AC-by-popf, NONE, "pushq $0x40002; popfq", "movb T0, %al"
  movb $0xc3, T0
  movb $0x27, level3
  FLUSH
  clac
  CR4_OFF 0x200000
  EXPECT_USER stac-at-CPL3, FAULT(UD), "", "stac"
1: movb $0x27, level3
  FLUSH
  ret

/* --- PCID, INVPCID -------------------------------------------------------------------------------------------- */
test_pcid:
  EXPECT_NOT_TCG cr3-bit63-without-PCIDE, FAULTC(GP,0), "movq %cr3, %rax; btsq $63, %rax", "movq %rax, %cr3"
  UNLESS_FEATURE 1, ecx, 17, no_pcid
  movl $level4, %ebx
  leaq 1(%rbx), %rax
  movq %rax, %cr3
  EXPECT_NOT_TCG pcide-needs-PCID-0, FAULTC(GP,0), "movq %cr4, %rax; btsq $17, %rax", "movq %rax, %cr4"
  movq %rbx, %cr3
  CR4_ON 0x20000
  leaq 5(%rbx), %rax
  btsq $63, %rax
  movq %rax, %cr3
  movq %cr3, %rax
  subq %rbx, %rax
  CHECK cr3-bit63-is-not-kept, %rax, $5
  EXPECT cr3-write-keeps-working, NONE, "", "movb T0, %al"
  UNLESS_FEATURE 7, ebx, 10, 1f
  movq $0x1001, FRAMES+0x6000
  movq $0x1002, FRAMES+0x7000
  .irp type, 0, 1, 2, 3
  movq $(FRAMES|0x6007), ENTRY(1)
  invlpg T1
  movq T1, %rax
  movq $(FRAMES|0x7007), ENTRY(1)
  movq $5, descriptor
  movq $T1, descriptor+8
  movl $\type, %eax
  invpcid descriptor, %rax
  CHECK invpcid-type-\type, T1, $0x1002
  .endr
  EXPECT invpcid-type-4, FAULTC(GP,0), "movl $4, %eax", "invpcid descriptor, %rax"
  movq $0x1000, descriptor
  EXPECT invpcid-reserved-PCID, FAULTC(GP,0), "movl $1, %eax", "invpcid descriptor, %rax"
  movq $0, descriptor
  movl $NON_CANONICAL, descriptor+12
  EXPECT invpcid-non-canonical, FAULTC(GP,0), "xorl %eax, %eax", "invpcid descriptor, %rax"
  EXPECT_USER invpcid-at-CPL3, FAULTC(GP,0), "movl $2, %eax", "invpcid descriptor, %rax"
  movq $0, descriptor+8
1: movl $level4, %ebx
  movq %rbx, %cr3
  CR4_OFF 0x20000
no_pcid:
  ret

/* --- control registers ---------------------------------------------------------------------------------------- */
test_control:
  EXPECT_NOT_TCG cr3-reserved-bits, FAULTC(GP,0), "movq %cr3, %rax; btsq $60, %rax", "movq %rax, %cr3"
  EXPECT_NOT_TCG cr4-without-PAE, FAULTC(GP,0), "movq %cr4, %rax; andl $~0x20, %eax", "movq %rax, %cr4"
  EXPECT_NOT_TCG cr4-high-bits, FAULTC(GP,0), "movq %cr4, %rax; btsq $40, %rax", "movq %rax, %cr4"
  EXPECT_NOT_TCG cr0-paging-off-in-64-bit-code, FAULTC(GP,0), "movq %cr0, %rax; btrl $31, %eax", "movq %rax, %cr0"
  EXPECT_NOT_TCG cr0-high-bits, FAULTC(GP,0), "movq %cr0, %rax; btsq $32, %rax", "movq %rax, %cr0"
  EXPECT cr8-above-15, FAULTC(GP,0), "movl $16, %eax", "movq %rax, %cr8"
  movl $9, %eax
  movq %rax, %cr8
  xorl %eax, %eax
  movq %cr8, %rax
  CHECK cr8, %rax, $9
  xorl %eax, %eax
  movq %rax, %cr8
  EXPECT efer-LME-under-paging, FAULTC(GP,0), "movl $0xc0000080, %ecx; rdmsr; andl $~0x100, %eax", "wrmsr"
  EXPECT dr7-high-bits, FAULTC(GP,0), "movabsq $0x100000400, %rax", "movq %rax, %dr7"
  EXPECT_USER cr8-at-CPL3, FAULTC(GP,0), "", "movq %cr8, %rax"
  ret

/* --- debug ---------------------------------------------------------------------------------------------------- */
test_debug:
  movq $debug_hook, hook
  movq $0, hits
  movl $window+8, %eax
  movq %rax, %dr0
  movl $(0x402|(9<<16)), %eax /* write, 8 bytes */
  movq %rax, %dr7
  movb %al, window+7
  movb %al, window+16
  CHECK breakpoint8-has-its-length, hits, $0
  movb %al, window+15
1: CHECK breakpoint8-hits, hits, $1
  CHECK breakpoint8-RIP, hit_rip, $1b
  movq $0, hits
  xorl %eax, %eax
  movq %rax, %dr7
  /* A system call whose mask has TF is not stepped into. */
  WRITE_MSR 0xc0000084, 0x4702
  UNTIL_FAULT 1f
  movq $0x102, user_flags
  ENTER_USER 2f
2: syscall
3: pushq $2
  popfq
debug_stepped:
  int $DONE
1: movq $2, user_flags
  CHECK step-over-syscall, hits, $2
  CHECK step-after-syscall, hit_rip, $debug_stepped
  movq $0, hook
  xorl %eax, %eax
  movq %rax, %dr6
  ret
debug_hook:
  cmpl $DONE, got+GOT_VECTOR
  je 1f
  cmpl $DB, got+GOT_VECTOR
  jne unexpected
  incq hits
  movq got+GOT_RIP, %rax
  movq %rax, hit_rip
  xorl %eax, %eax
  movq %rax, %dr6
  jmp resume
1: movq $0, hook
  jmp common_without_hook

/* --- XSAVE ---------------------------------------------------------------------------------------------------- */
test_xsave:
  CR4_ON 0x600
  UNLESS_FEATURE 1, ecx, 26, no_xsave
  EXPECT xgetbv-needs-OSXSAVE, FAULT(UD), "xorl %ecx, %ecx", "xgetbv"
  EXPECT xsave-needs-OSXSAVE, FAULT(UD), "", "xsave area"
  movl $1, %eax
  cpuid
  shrl $27, %ecx
  andl $1, %ecx
  CHECK cpuid-without-OSXSAVE, %rcx, $0
  CR4_ON 0x40000
  movl $1, %eax
  cpuid
  shrl $27, %ecx
  andl $1, %ecx
  CHECK cpuid-with-OSXSAVE, %rcx, $1
  EXPECT xsetbv-without-x87, FAULTC(GP,0), "xorl %ecx, %ecx; xorl %edx, %edx; movl $2, %eax", "xsetbv"
  EXPECT xsetbv-of-1, FAULTC(GP,0), "movl $1, %ecx; xorl %edx, %edx; movl $3, %eax", "xsetbv"
  EXPECT_USER xsetbv-at-CPL3, FAULTC(GP,0), "xorl %ecx, %ecx; xorl %edx, %edx; movl $3, %eax", "xsetbv"
  xorl %ecx, %ecx
  xorl %edx, %edx
  movl $3, %eax
  xsetbv
  xorl %ecx, %ecx
  xgetbv
  CHECK xgetbv, %rax, $3
  EXPECT xsave-alignment, FAULTC(GP,0), "movl $3, %eax; xorl %edx, %edx", "xsave area+16"
  movq %cr0, %rbx
  movq %rbx, %rax
  orq $8, %rax
  movq %rax, %cr0
  EXPECT xsave-under-TS, FAULT(NM), "movl $3, %eax; xorl %edx, %edx", "xsave area"
  movq %rbx, %cr0
  fninit
  movl $0x12345678, %eax
  movd %eax, %xmm3
  fldpi
  movq $0, area+512
  movl $3, %eax
  xorl %edx, %edx
  xsave area
  CHECK xsave-components, area+512, $3
  pxor %xmm3, %xmm3
  fninit
  movl $3, %eax
  xrstor area
  movd %xmm3, %eax
  CHECK xrstor-sse, %rax, $0x12345678
  fnstsw %ax
  andl $0x3800, %eax
  CHECK xrstor-x87, %rax, $0x3800
  movq $0, area+512
  movl $2, %eax
  xrstor area
  movd %xmm3, %eax
  CHECK xrstor-initializes, %rax, $0
  fnstsw %ax
  andl $0x3800, %eax
  CHECK xrstor-leaves-the-rest, %rax, $0x3800
  movq $8, area+512
  EXPECT xrstor-unknown-component, FAULTC(GP,0), "movl $3, %eax; xorl %edx, %edx", "xrstor area"
  movq $0, area+512
  movq $1, area+520
  EXPECT xrstor-bad-header, FAULTC(GP,0), "movl $3, %eax; xorl %edx, %edx", "xrstor area"
  movq $0, area+520
  movl $-1, area+24
  EXPECT xrstor-bad-MXCSR, FAULTC(GP,0), "movl $3, %eax; xorl %edx, %edx", "xrstor area"
  movl $0x1f80, area+24
  fninit
  CR4_OFF 0x40000
no_xsave:
  ret

/* --- model-specific registers --------------------------------------------------------------------------------- */
test_msrs:
  EXPECT rdmsr-unknown, FAULTC(GP,0), "movl $0x12345678, %ecx", "rdmsr"
  EXPECT_USER rdmsr-at-CPL3, FAULTC(GP,0), "movl $0xc0000080, %ecx", "rdmsr"
  EXPECT efer-reserved, FAULTC(GP,0), "movl $0xc0000080, %ecx; rdmsr; orl $0x80000, %eax", "wrmsr"
  EXPECT lstar-non-canonical, FAULTC(GP,0), "movl $0xc0000082, %ecx; xorl %eax, %eax; movl $0x8000, %edx", "wrmsr"
  EXPECT pat-bad-type, FAULTC(GP,0), "movl $0x277, %ecx; movl $2, %eax; xorl %edx, %edx", "wrmsr"
  UNLESS_FEATURE 1, edx, 12, 1f
  movl $0xfe, %ecx
  rdmsr
  andl $0xff, %eax
  CHECK mtrr-variable-ranges, %rax, $8
  EXPECT mtrr-cap-read-only, FAULTC(GP,0), "movl $0xfe, %ecx; xorl %eax, %eax; xorl %edx, %edx", "wrmsr"
  EXPECT mtrr-bad-type, FAULTC(GP,0), "movl $0x2ff, %ecx; movl $2, %eax; xorl %edx, %edx", "wrmsr"
  movl $0x200, %ecx
  movl $0x10000006, %eax
  xorl %edx, %edx
  wrmsr
  xorl %eax, %eax
  rdmsr
  CHECK mtrr-keeps-base, %rax, $0x10000006
1: ret

/* --- compatibility mode --------------------------------------------------------------------------------------- */
test_compatibility:
  EXPECT_COMPATIBLE compatible-runs-32-bit-code, NONE, "", "movl $1, %eax; incl %eax"
  CHECK compatible-short-inc, got+GOT_RAX, $2
  EXPECT_COMPATIBLE compatible-limit, FAULTC(GP,0), "movl $BYTES, %eax; movl %eax, %ds", "movb %ds:0x1000, %al"
  EXPECT_COMPATIBLE compatible-stack-limit, FAULTC(SS,0), "movl $BYTES, %eax; movl %eax, %ss; movl $0x2000, %esp", "pushl %eax"
  EXPECT_COMPATIBLE compatible-null-segment, FAULTC(GP,0), "xorl %eax, %eax; movl %eax, %ds", "movb %ds:window, %al"
  EXPECT_COMPATIBLE compatible-negative-displacement, FAULTC(PF,4), "movl $UDS, %eax; movl %eax, %ds; movl $-16, %eax", "movb (%eax), %al"
  EXPECT_COMPATIBLE compatible-far-jmp-to-64, NONE, "", "ljmp $UCS, $7f; .code64; 7: movq %rax, %rax; .code32; int $DONE"
  EXPECT_COMPATIBLE compatible-into, FAULTC(GP,4*8+2), "movb $0x7f, %al; incb %al", "into"
  EXPECT_COMPATIBLE compatible-swapgs, FAULT(UD), "", ".byte 0x0f, 0x01, 0xf8"
  EXPECT_USER long-ignores-DS-limit, NONE, "movl $BYTES, %eax; movl %eax, %ds", "movb window+0x1800, %al"
  ret

/* --- operands ------------------------------------------------------------------------------------------------- */
test_operands:
  EXPECT movaps-alignment, FAULTC(GP,0), "", "movaps window+8, %xmm0"
  EXPECT movups-alignment, NONE, "", "movups window+8, %xmm0"
  EXPECT cmpxchg16b-alignment, FAULTC(GP,0), "", "cmpxchg16b window+8"
  EXPECT fxsave-alignment, FAULTC(GP,0), "", "fxsave window+8"
  EXPECT lock-on-load, FAULT(UD), "", ".byte 0xf0, 0x8b, 0x00"
  EXPECT lock-on-compare, FAULT(UD), "", ".byte 0xf0, 0x39, 0x00"
  EXPECT decimal-is-undefined, FAULT(UD), "", ".byte 0x27"
  EXPECT too-long-instruction, FAULTC(GP,0), "", ".fill 15, 1, 0x66; nop"
  EXPECT_USER port-in-bitmap, NONE, "movl $0x80, %edx", "inb %dx, %al"
  EXPECT_USER port-not-in-bitmap, FAULTC(GP,0), "movl $0x81, %edx", "inb %dx, %al"
  movq %cr0, %rax
  orq $0x40000, %rax
  movq %rax, %cr0
  movq $0x40002, user_flags
  EXPECT_USER ac-quadword, FAULTC(AC,0), "", "movq window+4, %rax"
  EXPECT_USER ac-quadword-aligned, NONE, "", "movq window+8, %rax"
  EXPECT_USER ac-push, FAULTC(AC,0), "subq $4, %rsp", "pushq %rax"
  movq $2, user_flags
  movq %cr0, %rax
  andq $~0x40000, %rax
  movq %rax, %cr0
  movq %cr0, %rbx
  movq %rbx, %rax
  orq $8, %rax
  movq %rax, %cr0
  EXPECT sse-under-TS, FAULT(NM), "", "movaps %xmm0, %xmm1"
  EXPECT x87-under-TS, FAULT(NM), "", "fldz"
  movq %rbx, %cr0
  movq %rbx, %rax
  orq $4, %rax
  movq %rax, %cr0
  EXPECT sse-under-EM, FAULT(UD), "", "movaps %xmm0, %xmm1"
  EXPECT x87-under-EM, FAULT(NM), "", "fldz"
  movq %rbx, %cr0
  CR4_OFF 0x200
  EXPECT sse-needs-OSFXSR, FAULT(UD), "", "movaps %xmm0, %xmm1"
  CR4_ON 0x200
  ret

.data
.balign 16
gdt:
  .quad 0
  .quad 0x00af9b000000ffff /* KCS */
  .quad 0x00cf93000000ffff /* KDS */
  .quad 0x00cffb000000ffff /* UCS32 */
  .quad 0x00cff3000000ffff /* UDS */
  .quad 0x00affb000000ffff /* UCS */
  .quad 0x00cff3000000ffff /* UDS2 */
  .quad 0x00cf9b000000ffff /* KCS32 */
  .word tss_end-tss-1, 0, 0x8900, 0 /* TSS */
  .quad 0
  .word 0, KCS, 0xec00, 0 /* CALL_GATE */
  .quad 0
  .word 0, KCS32, 0xec00, 0 /* CALL_GATE_TO_32 */
  .quad 0
  .quad 0x00af1b000000ffff /* ABSENT */
  .quad 0x00af9f000000ffff /* CONFORMING */
  .quad 0x00ef9b000000ffff /* LONG_AND_BIG */
  .quad 0x0040f30000000fff /* BYTES */
gdt_end:
gdt_pointer: .word gdt_end-gdt-1
  .quad gdt
bad_pointer: .word gdt_end-gdt-1
  .quad 0x800000000000
far_tss: .long 0
  .word TSS_SELECTOR
far_null: .long 0
  .word 0
far_beyond: .long 0
  .word BEYOND
far_long_and_big: .long 0
  .word LONG_AND_BIG
far_gate: .long 0
  .word CALL_GATE
far_gate_to_32: .long 0
  .word CALL_GATE_TO_32
far_conforming: .long conforming_back
  .word CONFORMING
far_back: .long far_back_target
  .word KCS
.balign 8
seen_rsp: .quad 0
seen_ss: .quad 0
gate_rip: .quad 0
gate_cs: .quad 0
gate_rsp: .quad 0
gate_ss: .quad 0
sys_rcx: .quad 0
sys_r11: .quad 0
sys_flags: .quad 0
sys_cs: .quad 0
sys_ss: .quad 0
hits: .quad 0
hit_rip: .quad 0
descriptor: .quad 0, 0
.balign 8
  .long 0
tss: /* RSP0, IST1, IST2; the map of ports behind it */
  .long 0
  .quad inner_stack_top, 0, 0, 0
  .quad ist_stack_top, ist_stack_top-2048, 0, 0, 0, 0, 0
  .quad 0
  .word 0, port_map-tss
port_map:
  .fill 16, 1, 0xff
  .byte 0xfe /* port 0x80 */
  .fill 15, 1, 0xff
tss_end:
.bss
.balign 4096
window: .skip 8192
area: .skip 4096

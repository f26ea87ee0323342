/* Part of the low code of legacy.S: enters real mode, tests, and comes back to real_back. Results go to REAL_RESULTS, one
 * long each, and are judged in protected mode. Variables lie in the code, since that is where CS points in both modes. */
REAL_RESULTS = 0x9000

.macro KEEP index, value
  movl \value, %ecx
  movl %ecx, REAL_RESULTS+\index*4
.endm
/* The vector that an instruction raises, or -1. */
.macro REAL_EXPECT index, setup, instruction
  movw $(9f-low_code), %cs:real_next-low_code
  movl $-1, %cs:real_vector-low_code
  \setup
  \instruction
9: movl %cs:real_vector-low_code, %eax
  KEEP \index, %eax
.endm
.macro REAL_HANDLER vector
real_handler_\vector:
  movl $\vector, %cs:real_vector-low_code
  jmp real_handler
.endm
.macro REAL_VECTOR vector, handler
  movw $(\handler-low_code), \vector*4
  movw $(LOW>>4), \vector*4+2
.endm

real_enter: /* 16-bit protected mode, DS and SS of 64 KiB, FS flat */
  movl %cr0, %eax
  andb $0xfe, %al
  movl %eax, %cr0
  ljmp $(LOW>>4), $(1f-low_code)
1: xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %ss
  movw $0x7000, %sp
  movw $0x3001, %ax
  movw %ax, %es
  REAL_VECTOR 0, real_handler_0
  REAL_VECTOR 6, real_handler_6
  REAL_VECTOR 12, real_handler_12
  REAL_VECTOR 13, real_handler_13
  REAL_VECTOR 0x60, real_int
  movl %es:0, %eax
  KEEP 0, %eax
  pushl $0x202
  popfl
  int $0x60
  cli
  REAL_EXPECT 3, "", "movw %es:0xffff, %ax"
  REAL_EXPECT 4, "movw $0xffff, %bp", "movw (%bp), %ax"
  REAL_EXPECT 5, "", "lldt %ax"
  REAL_EXPECT 6, "xorw %cx, %cx", "divw %cx"
  REAL_EXPECT 7, "", "movw %es:0xfffe, %ax"
  /* An IDT that ends before vector 0x60. */
  lidtw %cs:real_short_idt-low_code
  REAL_EXPECT 8, "", "int $0x60"
  lidtw %cs:real_idt-low_code
  /* The limit that FS got in protected mode stays. */
  movl $0, REAL_RESULTS+9*4
  REAL_EXPECT 10, "", "addr32 movl %fs:0x30010, %ebx"
  KEEP 9, %ebx
  pushl $0x7002
  popfl
  pushfl
  popl %eax
  KEEP 11, %eax
  pushl $2
  popfl
  movw %sp, %bx
  lcall $(LOW>>4), $(real_far-low_code)
  subw %sp, %bx
  movzwl %bx, %eax
  KEEP 12, %eax
  /* A20: 1 MiB + 0x500 through FFFF:0510. */
  movl $0x5a5aa5a5, 0x500
  movw $0xffff, %ax
  movw %ax, %es
  inb $0x92, %al
  andb $0xfc, %al
  outb %al, $0x92
  movl %es:0x510, %eax
  KEEP 13, %eax
  inb $0x92, %al
  orb $2, %al
  andb $0xfe, %al
  outb %al, $0x92
  movl %es:0x510, %eax
  KEEP 14, %eax
  smsw %ax
  andl $1, %eax
  KEEP 15, %eax
  movw $1, %ax
  lmsw %ax
  ljmpl $KCS, $real_back

real_far:
  lretw
real_int: /* flags on entry, and as saved */
  pushfw
  popw %ax
  movzwl %ax, %eax
  KEEP 1, %eax
  movw %sp, %bp
  movzwl 4(%bp), %eax
  KEEP 2, %eax
  iretw
REAL_HANDLER 0
REAL_HANDLER 6
REAL_HANDLER 12
REAL_HANDLER 13
real_handler:
  pushw %bp
  pushw %ax
  movw %sp, %bp
  movw %cs:real_next-low_code, %ax
  movw %ax, 4(%bp)
  popw %ax
  popw %bp
  iretw
.balign 4
real_next: .word 0, 0
real_vector: .long 0
real_short_idt: .word 0x17f
  .long 0
real_idt: .word 0x3ff
  .long 0

/* Entry points: multiboot 1 (32-bit, builds long mode itself) and Xen PV (64-bit, everything is already on).
 * The multiboot header carries the address override fields, so a loader need not understand ELF64.
 * Xen notes: Xen public/elfnote.h. */
VIRT_BASE = 0xffffffff80000000
.section .head,"a"
.balign 4
mb_header:
  .long 0x1BADB002
  .long 0x00010003                       /* page-align modules, memory map, address fields valid */
  .long -(0x1BADB002 + 0x00010003)
  .long mb_header - VIRT_BASE
  .long image_start - VIRT_BASE
  .long image_load_end - VIRT_BASE
  .long image_end - VIRT_BASE
  .long mb_start - VIRT_BASE

.macro NOTE type, val:vararg
  .section .note.Xen,"a",@note
  .balign 4
  .long 4, 2f - 1f, \type
  .asciz "Xen"
1: \val
2: .balign 4
.endm
NOTE 6, .asciz "nanokernel"              /* GUEST_OS */
NOTE 7, .asciz "1.0"                     /* GUEST_VERSION */
NOTE 5, .asciz "xen-3.0"                 /* XEN_VERSION */
NOTE 8, .asciz "generic"                 /* LOADER */
NOTE 3, .quad VIRT_BASE                  /* VIRT_BASE */
NOTE 4, .quad 0                          /* PADDR_OFFSET */
NOTE 1, .quad xen_start                  /* ENTRY */
NOTE 2, .quad hypercall_page             /* HYPERCALL_PAGE */
NOTE 10, .asciz "!writable_page_tables|pae_pgdir_above_4gb"

.section .text.entry,"ax"
.code32
mb_start:
  cli
  cld
  mov %eax, %esi                         /* magic */
  mov %ebx, %ebp                         /* multiboot information */
  mov $(_bss_start - VIRT_BASE), %edi
  mov $(bss_zero_end - VIRT_BASE), %ecx
  sub %edi, %ecx
  shr $2, %ecx
  xor %eax, %eax
  rep stosl
  /* page directory: 1 GiB of 2 MiB global pages, at 0 and at VIRT_BASE */
  mov $(boot_pd - VIRT_BASE), %edi
  mov $0x1e3, %eax                       /* P RW A D PSE G */
  mov $512, %ecx
1: mov %eax, (%edi)
  add $0x200000, %eax
  add $8, %edi
  loop 1b
  mov $(boot_pd - VIRT_BASE + 0x63), %eax
  mov %eax, boot_l3 - VIRT_BASE
  mov %eax, boot_l3 - VIRT_BASE + 510*8
  mov $(boot_l3 - VIRT_BASE + 0x63), %eax
  mov %eax, boot_l4 - VIRT_BASE
  mov %eax, boot_l4 - VIRT_BASE + 511*8
  mov %cr4, %eax
  or $0x620, %eax                        /* PAE OSFXSR OSXMMEXCPT; PGE after paging is on */
  mov %eax, %cr4
  mov $(boot_l4 - VIRT_BASE), %eax
  mov %eax, %cr3
  mov $0xC0000080, %ecx
  rdmsr
  or $0x901, %eax                        /* NXE LME SCE */
  wrmsr
  mov %cr0, %eax
  and $0xfffffff3, %eax                  /* TS EM off */
  or $0x80010023, %eax                   /* PG WP NE MP PE */
  mov %eax, %cr0
  lgdt gdtr32 - VIRT_BASE
  ljmp $8, $(1f - VIRT_BASE)
.code64
1: movabs $high, %rax
  jmp *%rax
high:
  mov $0x10, %eax
  mov %eax, %ss
  mov %eax, %ds
  mov %eax, %es
  xor %eax, %eax
  mov %eax, %fs
  mov %eax, %gs
  mov $boot_stack_top, %rsp
  movq $0, boot_l4
  mov %cr4, %rax
  or $0x80, %rax                         /* PGE */
  mov %rax, %cr4
  mov %cr3, %rax
  mov %rax, %cr3
  mov %esi, %edi
  mov %ebp, %esi
  lgdt gdtr64
  /* TSS descriptor */
  mov $tss, %rax
  movw %ax, gdt + 0x28 + 2
  shr $16, %rax
  movb %al, gdt + 0x28 + 4
  movb %ah, gdt + 0x28 + 7
  shr $16, %rax
  movl %eax, gdt + 0x30
  mov $0x28, %ax
  ltr %ax
  xor %ebp, %ebp
  call native_init
  ud2

.globl xen_start
xen_start:
  cld
  mov %rsi, %rdi
  mov $boot_stack_top, %rsp
  xor %ebp, %ebp
  call xen_init
  ud2

/* Xen overwrites this page before the first instruction (Xen public/arch-x86/xen.h, hypercall page). */
.section .text.hypercall,"ax"
.balign 4096
.globl hypercall_page
hypercall_page: .fill 4096, 1, 0xcc

.data
.balign 16
.globl gdt
gdt: .quad 0
  .quad 0x00af9a000000ffff               /* 0x08 kernel code */
  .quad 0x00cf92000000ffff               /* 0x10 kernel data */
  .quad 0x00cff2000000ffff               /* 0x1b user data */
  .quad 0x00affa000000ffff               /* 0x23 user code */
  .quad 0x0000890000000067, 0            /* 0x28 TSS */
gdt_end:
gdtr32: .word gdt_end - gdt - 1
  .long gdt - VIRT_BASE
gdtr64: .word gdt_end - gdt - 1
  .quad gdt
.bss
.globl _bss_start, boot_l4, tss, boot_stack_top
_bss_start:
.balign 4096
boot_l4: .skip 4096
boot_l3: .skip 4096
boot_pd: .skip 4096
.balign 16
tss: .skip 104
.balign 4096
.skip 8192
boot_stack_top:
.section .note.GNU-stack,"",@progbits

/* Bounce frames, iret frames, privileged instructions, exceptions: exact to the bit.
 * Story: a guest faults in kernel and user mode, on odd stacks, with events masked and not, and comes back through the iret hypercall.
 * Must happen: the vector, error code, frame and stack pointer that the interface promises. Two cases are only reported (NOTE),
 * because QEMU 7.2, on which real Xen judges these tests, gets them wrong itself: `int n` through a gate of DPL 0 and #SS for an
 * address that is not canonical. */
#include "hostile.h"

__asm__(".text\n"
    "k_ud2: mov $0x1111, %ecx; mov $0x2222, %r11d\n.globl k_ud2_at\nk_ud2_at: ud2; ret\n"
    "k_load: mov (%rdi), %rax; ret\n"
    "k_store: movq $1, (%rdi); ret\n"
    "k_jump: jmp *%rdi\n"
    "k_int3: int3\n.globl k_int3_after\nk_int3_after: ret\n"
    "k_int80: int $0x80\n.globl k_int80_after\nk_int80_after: ret\n"
    "k_int81: int $0x81; ret\n"
    "k_int85: int $0x85; ret\n"
    "k_div: xor %edx, %edx; mov $1, %eax; xor %ecx, %ecx; div %ecx; ret\n"
    "k_hlt: hlt; ret\n"
    "k_lgdt: lgdt (%rdi); ret\n"
    "k_lidt: lidt (%rdi); ret\n"
    "k_ltr: mov $0x40, %eax; ltr %ax; ret\n"
    "k_invlpg: invlpg (%rdi); ret\n"
    "k_swapgs: swapgs; ret\n"
    "k_sysret: sysretq; ret\n"
    "k_invd: invd; ret\n"
    "k_cli: cli; ret\n"
    "k_sti: sti; ret\n"
    "k_in: mov %edi, %edx; xor %eax, %eax; inb %dx, %al; ret\n"
    "k_inl: mov %edi, %edx; xor %eax, %eax; inl %dx, %eax; ret\n"
    "k_out: mov %edi, %edx; outb %al, %dx; ret\n"
    "k_rdmsr: mov %edi, %ecx; rdmsr; shl $32, %rdx; or %rdx, %rax; ret\n"
    "k_wrmsr: mov %edi, %ecx; mov %rsi, %rax; mov %rsi, %rdx; shr $32, %rdx; wrmsr; ret\n"
    "k_rcr0: mov %cr0, %rax; ret\n"
    "k_wcr0: mov %rdi, %cr0; ret\n"
    "k_rcr2: mov %cr2, %rax; ret\n"
    "k_rcr3: mov %cr3, %rax; ret\n"
    "k_wcr3: mov %rdi, %cr3; ret\n"
    "k_rcr4: mov %cr4, %rax; ret\n"
    "k_wcr4: mov %rdi, %cr4; ret\n"
    "k_rcr8: mov %cr8, %rax; ret\n"
    "k_clts: clts; ret\n"
    "k_pushf: pushfq; pop %rax; ret\n"
    "k_fpu: fnclex; ret\n"
    "k_bpload: push %rbp; mov %rdi, %rbp; mov (%rbp), %rax; pop %rbp; ret\n"
    "k_step: pushfq; orq $0x100, (%rsp); popfq\nk_step1: nop\n.globl k_step_at\nk_step_at: nop; ret\n"
    "k_cpuid: push %rbx; mov %edi, %eax; xor %ecx, %ecx; .byte 0x0f,0x0b,0x78,0x65,0x6e,0x0f,0xa2; mov %ebx, %eax; pop %rbx; ret\n"
    /* through the iret hypercall: rdi = nine words; rcx and r11 preset, rax must come from the frame */
    "k_iret: mov $23, %eax; mov $0x3333, %ecx; mov %rdi, %rsp; syscall\n"
    "k_landing: ud2\n"
    /* user snippets, copied into the user page */
    "u_syscall: mov $0x77, %eax; syscall\nu_syscall_after: ud2\n"
    "u_ud2: ud2\n"
    "u_load: mov (%rdi), %rax; syscall\n"
    "u_store: mov %rax, (%rdi); syscall\n"
    "u_hlt: hlt\n"
    "u_cli: cli\n"
    "u_in: in $0x80, %al\n"
    "u_rcr0: mov %cr0, %rax\n"
    "u_rdmsr: mov $0xc0000080, %ecx; rdmsr\n"
    "u_int80: int $0x80\n"
    "u_int3: int3\n"
    "u_swapgs: swapgs\n"
    "u_popf: push $0x3202; popfq; pushfq; pop %rdi; mov %rdi, %rax; syscall\n"
    "u_end:\n");
#define X(n) extern char n[];
X(k_ud2) X(k_ud2_at) X(k_load) X(k_store) X(k_jump) X(k_int3) X(k_int3_after) X(k_int80) X(k_int80_after) X(k_int81) X(k_int85) X(k_div) X(k_hlt)
X(k_lgdt) X(k_lidt) X(k_ltr) X(k_invlpg) X(k_swapgs) X(k_sysret) X(k_invd) X(k_cli) X(k_sti) X(k_in) X(k_inl) X(k_out) X(k_rdmsr) X(k_wrmsr)
X(k_rcr0) X(k_wcr0) X(k_rcr2) X(k_rcr3) X(k_wcr3) X(k_rcr4) X(k_wcr4) X(k_rcr8) X(k_clts) X(k_pushf) X(k_fpu) X(k_bpload) X(k_step) X(k_step_at)
X(k_cpuid) X(k_iret) X(k_landing) X(u_syscall) X(u_syscall_after) X(u_ud2) X(u_load) X(u_store) X(u_hlt) X(u_cli) X(u_in) X(u_rcr0) X(u_rdmsr)
X(u_int80) X(u_int3) X(u_swapgs) X(u_popf) X(u_end)

extern u64 door_table[];
#define CODE 0x400000UL
#define DATA 0x401000UL
static char *code, *data;
static u64 *user_l4;

static long kernel(void *fn, u64 a, u64 b) { return guarded(fn, a, b); }
static void vector(const char *name, void *fn, u64 a, s64 want) { check(name, kernel(fn, a, 0), want); }

static void user_space(void)
{
    u64 *l3 = page(), *l2 = page(), *l1 = page();
    code = page(); data = page(); user_l4 = page();
    memcpy(code, u_syscall, u_end - u_syscall);
    l1[0] = mfn_of(code) << 12 | P_P | P_US | P_A;
    l1[1] = mfn_of(data) << 12 | KRW | P_US | P_NX;
    l2[2] = mfn_of(l1) << 12 | TABLE;
    l3[0] = mfn_of(l2) << 12 | TABLE;
    user_l4[0] = mfn_of(l3) << 12 | TABLE;
    ro(l1); ro(l2); ro(l3); ro(user_l4);
    check("pin_user_l4", mmuext(3, mfn_of(user_l4), 0), 0);
    check("share_with_kernel", mmu_update(mfn_of((void *)si->pt_base) << 12, mfn_of(l3) << 12 | TABLE), 0);
    check("set_user_l4", mmuext(15, mfn_of(user_l4), 0), 0);
}
/* a run in user mode: the snippet, with rdi given through the frame's rax (u_load wants rdi, so it is preset in the register) */
struct iret_frame { u64 rax, r11, rcx, flags, rip, cs, rflags, rsp, ss; };
static struct iret_frame uf;
__asm__("enter_user: mov %rdi, %rax; mov %rsi, %rdi; mov %rax, %rsp; mov $23, %eax; syscall; ud2\n");
X(enter_user)
static long user_at(u64 rip, u64 rdi)
{
    uf = (struct iret_frame){ 0x55, 0x66, 0x77, 0, rip, 0xe033, 0x202, DATA + 0x800, 0xe02b };
    return guarded(enter_user, &uf, rdi);
}
static long user(char *snippet, u64 rdi) { return user_at(CODE + (snippet - u_syscall), rdi); }
static long ktrap(u64 rflags, u64 flags)             /* iret within the kernel, to a ud2 */
{
    static u64 stack[64] __attribute__((aligned(16)));
    uf = (struct iret_frame){ 0x55, 0x66, 0x77, flags, (u64)k_landing, 0xe030, rflags, (u64)&stack[60], 0xe028 };
    return guarded(k_iret, &uf);
}

void run(void)
{
    static u8 odd[8192] __attribute__((aligned(4096)));
    /* ---- the frame, without an error code, on a stack of any alignment ---- */
    for (u64 off = 0; off < 16; off += 5) {
        u64 sp = (u64)odd + 4096 + off;
        sh->vcpu[0].mask = 1;
        check("ud2_on_an_odd_stack", guarded(sp_call, k_ud2, 0, sp), 6);
        check("frame_place", trap.rsp, (s64)(((sp - 8) & ~15UL) - 56));
        check("frame_rcx", trap.w[0], 0x1111);
        check("frame_r11", trap.w[1], 0x2222);
        check("frame_rip", trap.w[2], (s64)(u64)k_ud2_at);
        check("frame_cs", trap.w[3] & 0xffff, 0xe030);
        check("frame_mask", trap.w[3] >> 32 & 0xff, 1);
        check("frame_rflags_if_is_not_mask", trap.w[4] & 0x200, 0);
        check("frame_rsp", trap.w[5], sp - 8);
        check("frame_ss", trap.w[6], 0xe02b);
    }
    sh->vcpu[0].mask = 0;
    vector("ud2_unmasked", k_ud2, 0, 6);
    check("frame_mask_0", trap.w[3] >> 32 & 0xff, 0);
    check("frame_rflags_if", trap.w[4] & 0x200, 0x200);
    check("mask_kept_by_an_exception", sh->vcpu[0].mask, 0);
    sh->vcpu[0].mask = 1;
    u64 sp = (u64)odd + 4096 + 8;
    check("pf_on_a_stack", guarded(sp_call, k_load, 0x10000, sp), 14);
    check("frame_place_with_error_code", trap.rsp, (s64)(((sp - 8) & ~15UL) - 64));
    check("frame_error_code_above_rip", trap.w[3], (s64)(u64)k_load);

    /* ---- page faults ---- */
    u64 cr2 = 0x12345;
    vector("pf_read", k_load, cr2, 14);
    check("pf_read_code", trap.w[2], 0);
    check("pf_cr2", sh->vcpu[0].cr2, cr2);
    vector("pf_write", k_store, cr2, 14);
    check("pf_write_code", trap.w[2], 2);
    vector("pf_exec", k_jump, cr2, 14);
    check("pf_exec_code", trap.w[2], 0x10);
    check("pf_exec_rip", trap.w[3], cr2);
    char *rop = page();
    ro(rop);
    vector("pf_read_only", k_store, (u64)rop, 14);
    check("pf_read_only_code", trap.w[2], 3);
    set_map(rop, mfn_of(rop) << 12 | KRW | P_NX);
    vector("pf_no_execute", k_jump, (u64)rop, 14);
    check("pf_no_execute_code", trap.w[2], 0x11);
    vector("pf_hypervisor_text", k_load, 0xffff82d040200000, 14);
    check("pf_hypervisor_text_code", trap.w[2] & ~1UL, 0);
    vector("m2p_readable", k_load, 0xffff800000000000, -1);
    vector("m2p_not_writable", k_store, 0xffff800000000000, 14);
    check("m2p_write_code", trap.w[2], 3);
    vector("gp_noncanonical", k_load, 0x0000900000000000, 13);
    check("gp_noncanonical_code", trap.w[2], 0);
    note("noncanonical_through_rbp", kernel(k_bpload, 0x0000900000000000, 0));
    note("int_85_without_handler", kernel(k_int85, 0, 0));
    note("int_81_dpl_3", kernel(k_int81, 0, 0));

    /* ---- other exceptions ---- */
    vector("de", k_div, 0, 0);
    vector("bp", k_int3, 0, 3);
    check("bp_rip_after", trap.w[2], (s64)(u64)k_int3_after);
    vector("int_80", k_int80, 0, 128);
    check("int_80_rip_after", trap.w[2], (s64)(u64)k_int80_after);
    vector("db_single_step", k_step, 0, 1);
    check("db_single_step_rip", trap.w[2], (s64)(u64)k_step_at);
    check("db_tf_clear_in_handler", guarded(k_pushf) == -1 && !(guard_result & 0x100), 1);
    check("db_dr6_bs", HC(H_get_debugreg, 6) & 0x4000, 0x4000);
    HC(H_set_debugreg, 6, 0xffff0ff0);
    HC(H_fpu_taskswitch, 1);
    vector("nm", k_fpu, 0, 7);
    vector("nm_only_once", k_fpu, 0, -1);
    HC(H_fpu_taskswitch, 1);
    vector("clts", k_clts, 0, -1);
    vector("nm_after_clts", k_fpu, 0, -1);

    /* ---- privileged instructions, kernel mode ---- */
    static u8 ten[16];
    vector("hlt", k_hlt, 0, 13);
    check("hlt_code", trap.w[2], 0);
    vector("lgdt", k_lgdt, (u64)ten, 13);
    vector("lidt", k_lidt, (u64)ten, 13);
    vector("ltr", k_ltr, 0, 13);
    vector("invlpg", k_invlpg, (u64)ten, 13);
    vector("swapgs", k_swapgs, 0, 13);
    vector("sysret", k_sysret, 0, 13);
    vector("invd", k_invd, 0, 13);
    vector("cli_iopl_0", k_cli, 0, 13);
    vector("sti_iopl_0", k_sti, 0, 13);
    vector("in_iopl_0", k_in, 0x80, 13);
    vector("out_iopl_0", k_out, 0x80, 13);
    u32 iopl = 1;
    check("set_iopl_1", HC(H_physdev_op, 6, &iopl), 0);
    sh->vcpu[0].mask = 0;
    vector("cli_iopl_1", k_cli, 0, -1);
    check("cli_changes_no_mask", sh->vcpu[0].mask, 0);
    sh->vcpu[0].mask = 1;
    vector("sti_iopl_1", k_sti, 0, -1);
    check("sti_changes_no_mask", sh->vcpu[0].mask, 1);
    vector("in_iopl_1", k_in, 0x1234, -1);
    if (!is_dom0) check("in_denied_port_reads_ones", guard_result & 0xff, 0xff);
    iopl = 0;
    HC(H_physdev_op, 6, &iopl);
    check("pushf_if_always_set", (kernel(k_pushf, 0, 0), (long)(guard_result & 0x3200)), 0x200);
    vector("read_cr0", k_rcr0, 0, -1);
    u64 cr0 = guard_result;
    check("cr0_pg_pe_wp", cr0 & 0x80010001, 0x80010001);
    vector("write_cr0_same", k_wcr0, cr0, -1);
    vector("write_cr0_wp_off", k_wcr0, cr0 & ~0x10000UL, 13);
    vector("read_cr2", k_rcr2, 0, -1);
    vector("read_cr3", k_rcr3, 0, -1);
    check("cr3_is_the_kernel_root", guard_result, (s64)(mfn_of((void *)si->pt_base) << 12));
    vector("write_cr3_same", k_wcr3, guard_result, -1);
    vector("write_cr3_garbage", k_wcr3, 0xfffffffff000, 13);
    vector("read_cr4", k_rcr4, 0, -1);
    u64 cr4 = guard_result;
    check("cr4_pae", cr4 & 0x20, 0x20);
    vector("write_cr4_absurd", k_wcr4, cr4 | 0x80002000, -1);
    vector("read_cr4_again", k_rcr4, 0, -1);
    check("cr4_absurd_bits_dropped", guard_result & 0x80002000, 0);
    vector("read_cr8", k_rcr8, 0, 13);
    vector("rdmsr_unknown", k_rdmsr, 0x12345, 13);
    vector("rdmsr_lstar", k_rdmsr, 0xc0000082, 13);
    vector("rdmsr_efer", k_rdmsr, 0xc0000080, -1);
    u64 efer = guard_result;
    check("efer_lma", efer & 0x400, 0x400);
    check("wrmsr_efer_same", kernel(k_wrmsr, 0xc0000080, efer), -1);
    check("wrmsr_efer_other", kernel(k_wrmsr, 0xc0000080, efer ^ 0x800), 13);
    check("wrmsr_lstar", kernel(k_wrmsr, 0xc0000082, VIRT_BASE), 13);
    check("wrmsr_fs_base", kernel(k_wrmsr, 0xc0000100, 0x123456789), -1);
    vector("rdmsr_fs_base", k_rdmsr, 0xc0000100, -1);
    check("fs_base_read_back", guard_result, 0x123456789);
    check("wrmsr_fs_base_noncanonical", kernel(k_wrmsr, 0xc0000100, 0x0000900000000000), 13);
    vector("rdmsr_pat", k_rdmsr, 0x277, -1);
    check("pat_value", guard_result, 0x050100070406);
    vector("forced_cpuid", k_cpuid, 0x40000000, -1);
    check("forced_cpuid_xenv", guard_result & 0xffffffff, 0x566e6558);

    /* ---- iret within the kernel ---- */
    check("iret_to_kernel", ktrap(0x202, 0), 6);
    check("iret_rax", trap.rax, 0x55);
    check("iret_rcx", trap.w[0], 0x77);
    check("iret_r11", trap.w[1], 0x66);
    check("iret_rip", trap.w[2], (s64)(u64)k_landing);
    check("iret_cs_stays_kernel", trap.w[3] & 0xffff, 0xe030);
    check("iret_rsp", trap.w[5], uf.rsp);
    check("iret_if_clears_mask", sh->vcpu[0].mask, 0);
    check("iret_without_if", ktrap(0x2, 0), 6);
    check("iret_without_if_sets_mask", sh->vcpu[0].mask, 1);
    check("iret_iopl_and_vm", ktrap(0x23202, 0), 6);
    check("iret_iopl_and_vm_dropped", trap.w[4] & 0x23000, 0);
    check("iret_in_syscall", ktrap(0x202, 0x100), 6);
    check2("iret_in_syscall_rcx_not_restored", trap.w[0], (s64)(u64)k_landing, 0x3333);
    sh->vcpu[0].mask = 1;

    /* ---- events ---- */
    struct { u32 vcpu, port; } ipi = { 0, 0 };
    check("bind_ipi", HC(H_event_channel_op, 7, &ipi), 0);
    sh->evtchn_mask[ipi.port / 64] &= ~(1UL << ipi.port % 64);
    check("send_masked", guarded(hcall, H_event_channel_op, 4, (u64)&ipi.port), -1);
    check("pending_byte", sh->vcpu[0].pending, 1);
    check("pending_selector", sh->vcpu[0].sel, 1L << ipi.port / 64);
    check("event_comes_with_iret", ktrap(0x202, 0), 257);
    check("event_masks", sh->vcpu[0].mask, 1);
    check("event_saved_mask", trap.w[3] >> 32 & 0xff, 0);
    check("event_rip", trap.w[2], (s64)(u64)k_landing);
    check("event_again_unless_taken", ktrap(0x202, 0), 257);
    sh->vcpu[0].pending = 0; sh->vcpu[0].sel = 0; sh->evtchn_pending[ipi.port / 64] = 0;
    check("event_gone", ktrap(0x202, 0), 6);
    check("send_unmasked", guarded(hcall, H_event_channel_op, 4, (u64)&ipi.port), 257);
    sh->vcpu[0].pending = 0; sh->vcpu[0].sel = 0; sh->evtchn_pending[ipi.port / 64] = 0;
    sh->evtchn_mask[ipi.port / 64] = ~0UL;
    sh->vcpu[0].mask = 0;
    check("send_masked_port", guarded(hcall, H_event_channel_op, 4, (u64)&ipi.port), -1);
    check("masked_port_pending", sh->evtchn_pending[ipi.port / 64] & 1UL << ipi.port % 64, 1L << ipi.port % 64);
    check("masked_port_no_upcall", sh->vcpu[0].pending, 0);
    check("unmask_raises", guarded(hcall, H_event_channel_op, 9, (u64)&ipi.port), 257);
    sh->vcpu[0].pending = 0; sh->vcpu[0].sel = 0; sh->evtchn_pending[ipi.port / 64] = 0;
    sh->vcpu[0].mask = 1;

    /* ---- user mode ---- */
    user_space();
    check("user_syscall", user(u_syscall, 0), 256);
    check("syscall_frame_place", trap.rsp, (s64)(u64)kstack_top - 56);
    check("syscall_rax", trap.rax, 0x77);
    check("syscall_rcx", trap.w[0], CODE + (u_syscall_after - u_syscall));
    check("syscall_r11_is_rflags", trap.w[1] & 0x202, 0x202);
    check("syscall_rip", trap.w[2], CODE + (u_syscall_after - u_syscall));
    check("syscall_cs", trap.w[3] & 0xffff, 0xe033);
    check("syscall_rflags", trap.w[4] & 0x202, 0x202);
    check("syscall_rsp", trap.w[5], DATA + 0x800);
    check("syscall_ss", trap.w[6], 0xe02b);
    check("user_ud2", user(u_ud2, 0), 6);
    check("user_ud2_cs", trap.w[3] & 0xffff, 0xe033);
    check("user_ud2_rcx", trap.w[0], 0x77);
    check("user_ud2_r11", trap.w[1], 0x66);
    check("user_ud2_place", trap.rsp, (s64)(u64)kstack_top - 56);
    HC(H_stack_switch, 0xe02b, (u64)kstack_top - 3);
    check("user_ud2_odd_kernel_sp", user(u_ud2, 0), 6);
    check("user_ud2_odd_place", trap.rsp, (s64)(((u64)kstack_top - 3) & ~15UL) - 56);
    HC(H_stack_switch, 0xe02b, kstack_top);
    check("user_pf_read", user(u_load, 0x12345), 14);
    check("user_pf_read_code", trap.w[2], 4);
    check("user_pf_write", user(u_store, 0x12345), 14);
    check("user_pf_write_code", trap.w[2], 6);
    check("user_pf_write_to_code", user(u_store, CODE), 14);
    check("user_pf_write_to_code_code", trap.w[2], 7);
    check("user_pf_exec_data", user_at(DATA, 0), 14);
    check("user_pf_exec_data_code", trap.w[2], 0x15);
    check("user_pf_kernel_address", user(u_load, (u64)code), 14);
    check("user_pf_kernel_address_code", trap.w[2], 4);
    /* 4.17 fills slot 256 of a root when it becomes the kernel's root (observed: #PF here); other versions fill it when validating */
    check2("user_m2p", user(u_load, 0xffff800000000000), 14, 256);
    check("user_hlt", user(u_hlt, 0), 13);
    check("user_cli", user(u_cli, 0), 13);
    check("user_in", user(u_in, 0), 13);
    check("user_read_cr0", user(u_rcr0, 0), 13);
    check("user_rdmsr", user(u_rdmsr, 0), 13);
    check("user_swapgs", user(u_swapgs, 0), 13);
    check("user_int80", user(u_int80, 0), 128);
    check("user_int80_cs", trap.w[3] & 0xffff, 0xe033);
    check("user_int3", user(u_int3, 0), 3);
    check("user_popf_iopl_ignored", user(u_popf, 0), 256);
    check("user_popf_flags", trap.rax & 0x3200, 0x200);
    check("iret_to_user_noncanonical_rip", user_at(0x0000900000000000, 0), 13);
    check("iret_to_user_noncanonical_code", trap.w[2], 0);
    HC(H_set_callbacks, door_table[35], door_table[36], 0);
    check("user_syscall_without_callback", user(u_syscall, 0), 6);
    check("user_syscall_without_callback_rip", trap.w[2], CODE + 5);
}

/* The few things that end a domain: case=NAME on the command line picks one. Everything else in this folder must not.
 * Story: the guest leaves the hypervisor no way to go on with it. Must happen: the domain is crashed and reported; the host lives.
 * A case that comes back prints VERDICT FAILURE; so does a guest without a known case. */
#include "hostile.h"

__asm__(".text\nf_ud2: ud2; ret\nf_iret: mov %rdi, %rsp; mov $23, %eax; syscall; ud2\n");
extern char f_ud2[], f_iret[];
static u64 frame[9];

static void stack_in_the_hypervisor(void) { sp_call(f_ud2, 0, (void *)0xffff830000001000); }
static void on_stack(u64 sp) { __asm__ volatile("mov %0, %%rsp; ud2" : : "r"(sp)); }
static void bounce_stack_in_the_hypervisor(void) { on_stack(0xffff830000001000); }
static void bounce_stack_not_mapped(void) { on_stack(0x20000); }
static void bounce_stack_not_canonical(void) { on_stack(0x0000900000000000); }
static void bounce_stack_read_only(void) { char *p = page(); ro(p); on_stack((u64)p + 2048); }
static void handler_missing(void) { HC(H_set_trap_table, 0); on_stack((u64)stack_top - 256); }
static void event_handler_missing(void)
{
    struct { u32 vcpu, port; } ipi = { 0, 0 };
    HC(H_set_callbacks, 0, 0, 0);
    HC(H_event_channel_op, 7, &ipi);
    sh->evtchn_mask[ipi.port / 64] &= ~(1UL << ipi.port % 64);
    sh->vcpu[0].mask = 0;
    HC(H_event_channel_op, 4, &ipi.port);
}
static void iret_frame_not_mapped(void) { guarded(f_iret, 0x20000); }
static void iret_frame_in_the_hypervisor(void) { guarded(f_iret, 0xffff830000001000); }
static void iret_to_user_without_a_table(void)
{
    u64 f[9] = { 0, 0, 0, 0, 0x400000, 0xe033, 0x202, 0x401000, 0xe02b };
    mmuext(15, 0, 0);
    memcpy(frame, f, sizeof f);
    guarded(f_iret, frame);
}
static void shutdown_crash(void) { power(3); }

static const struct { const char *name; void (*fn)(void); } cases[] = {
    { "stack_in_the_hypervisor", stack_in_the_hypervisor }, { "bounce_stack_in_the_hypervisor", bounce_stack_in_the_hypervisor },
    { "bounce_stack_not_mapped", bounce_stack_not_mapped }, { "bounce_stack_not_canonical", bounce_stack_not_canonical },
    { "bounce_stack_read_only", bounce_stack_read_only }, { "handler_missing", handler_missing }, { "event_handler_missing", event_handler_missing },
    { "iret_frame_not_mapped", iret_frame_not_mapped }, { "iret_frame_in_the_hypervisor", iret_frame_in_the_hypervisor },
    { "iret_to_user_without_a_table", iret_to_user_without_a_table }, { "shutdown_crash", shutdown_crash },
};
void run(void)
{
    for (u32 i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!chosen(cases[i].name)) continue;
        say("EXPECT CRASH %s\n", cases[i].name);
        cases[i].fn();
        check("survived", 1, 0);
        finish();
    }
    for (u32 i = 0; i < sizeof cases / sizeof *cases; i++) say("CASE %s\n", cases[i].name);
    check("case_given", 0, 1);
}

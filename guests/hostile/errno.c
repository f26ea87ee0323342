/* Wild pointers, bad counts, unknown numbers: every hypercall answers with an errno, and the domain lives on.
 * Story: a guest passes addresses that it does not own (not mapped, not canonical, inside the hypervisor, running over the end of the
 * address space) and numbers outside every range. Varies: the call and the kind of address. Must happen: exactly the errno. */
#include "hostile.h"

/* the kinds of bad pointer */
static const struct { const char *name; u64 va; } wild[] = {
    { "unmapped", 0x10000 }, { "noncanonical", 0x0000900000000000 }, { "hypervisor", 0xffff830000000000 }, { "hole_top", 0xffff87fffffffff8 },
    { "wraps", 0xfffffffffffffff8 },
};
#define PTR 0xbadULL           /* stands for the wild pointer in the table */
struct row { const char *name; u64 nr, a[4]; s64 want; };
static const struct row pointers[] = {
    { "set_trap_table", H_set_trap_table, { PTR }, -EFAULT },
    { "mmu_update.array", H_mmu_update, { PTR, 1, 0, DOMID_SELF }, -EFAULT },
    { "set_gdt", H_set_gdt, { PTR, 1 }, -EFAULT },
    { "multicall", H_multicall, { PTR, 1 }, -EFAULT },
    { "xen_version.extraversion", H_xen_version, { 1, PTR }, -EFAULT },
    { "xen_version.compile_info", H_xen_version, { 2, PTR }, -EFAULT },
    { "xen_version.capabilities", H_xen_version, { 3, PTR }, -EFAULT },
    { "xen_version.changeset", H_xen_version, { 4, PTR }, -EFAULT },
    { "xen_version.platform_parameters", H_xen_version, { 5, PTR }, -EFAULT },
    { "xen_version.get_features", H_xen_version, { 6, PTR }, -EFAULT },
    { "xen_version.guest_handle", H_xen_version, { 8, PTR }, -EFAULT },
    { "grant_table_op.setup_table", H_grant_table_op, { 2, PTR, 1 }, -EFAULT },
    { "grant_table_op.map", H_grant_table_op, { 0, PTR, 1 }, -EFAULT },
    { "grant_table_op.query_size", H_grant_table_op, { 6, PTR, 1 }, -EFAULT },
    { "grant_table_op.set_version", H_grant_table_op, { 8, PTR, 1 }, -EFAULT },
    { "vcpu_op.set_periodic_timer", H_vcpu_op, { 6, 0, PTR }, -EFAULT },
    { "vcpu_op.set_singleshot_timer", H_vcpu_op, { 8, 0, PTR }, -EFAULT },
    { "vcpu_op.get_runstate", H_vcpu_op, { 4, 0, PTR }, -EFAULT },
    { "vcpu_op.register_vcpu_info", H_vcpu_op, { 10, 0, PTR }, -EFAULT },
    { "mmuext_op.array", H_mmuext_op, { PTR, 1, 0, DOMID_SELF }, -EFAULT },
    { "sched_op.shutdown", H_sched_op, { 2, PTR }, -EFAULT },
    { "sched_op.poll", H_sched_op, { 3, PTR }, -EFAULT },
    { "callback_op.register", H_callback_op, { 0, PTR }, -EFAULT },
    { "callback_op.unregister", H_callback_op, { 1, PTR }, -EFAULT },
    { "event_channel_op.bind_virq", H_event_channel_op, { 1, PTR }, -EFAULT },
    { "event_channel_op.close", H_event_channel_op, { 3, PTR }, -EFAULT },
    { "event_channel_op.send", H_event_channel_op, { 4, PTR }, -EFAULT },
    { "event_channel_op.status", H_event_channel_op, { 5, PTR }, -EFAULT },
    { "event_channel_op.alloc_unbound", H_event_channel_op, { 6, PTR }, -EFAULT },
    { "event_channel_op.unmask", H_event_channel_op, { 9, PTR }, -EFAULT },
    { "physdev_op.set_iopl", H_physdev_op, { 6, PTR }, -EFAULT },
    { "physdev_op.set_iobitmap", H_physdev_op, { 7, PTR }, -EFAULT },
    { "memory_op.machphys_mapping", H_memory_op, { 12, PTR }, -EFAULT },
    { "memory_op.exchange", H_memory_op, { 11, PTR }, -EFAULT },
    { "memory_op.populate_physmap", H_memory_op, { 6, PTR }, 0 },          /* reservation calls count extents, so nothing done is 0 */
    { "memory_op.decrease_reservation", H_memory_op, { 1, PTR }, 0 },
    { "domctl", H_domctl, { PTR }, -EFAULT },
    { "sysctl", H_sysctl, { PTR }, -EFAULT },
    { "nmi_op.register", H_nmi_op, { 0, PTR }, -EFAULT },
};

static u8 scratch[4096] __attribute__((aligned(4096)));
#define S ((u64)scratch)
static const struct row numbers[] = {
    { "hypercall.11", 11, { 0 }, -ENOSYS }, { "hypercall.43", 43, { 0 }, -ENOSYS }, { "hypercall.47", 47, { 0 }, -ENOSYS },
    { "hypercall.63", 63, { 0 }, -ENOSYS }, { "hypercall.64", 64, { 0 }, -ENOSYS }, { "hypercall.4096", 4096, { 0 }, -ENOSYS },
    { "hypercall.2^32+14", 0x10000000e, { 0 }, -ENOSYS },                 /* all of rax counts */
    { "set_gdt.too_many", H_set_gdt, { 0, 7169 }, -EINVAL },
    { "set_gdt.none", H_set_gdt, { 0, 0 }, 0 },
    { "mmu_update.no_entries", H_mmu_update, { S, 0, 0, DOMID_SELF }, 0 },
    { "mmu_update.no_domain", H_mmu_update, { S, 1, 0, 1234 }, -ESRCH },
    { "mmuext_op.no_domain", H_mmuext_op, { S, 1, 0, 1234 }, -ESRCH },
    { "mmuext_op.no_entries", H_mmuext_op, { S, 0, 0, DOMID_SELF }, 0 },
    { "sched_op.unknown", H_sched_op, { 99, 0 }, -ENOSYS },
    { "vm_assist.type6", H_vm_assist, { 0, 6 }, -EINVAL },
    { "vm_assist.type31", H_vm_assist, { 0, 31 }, -EINVAL },
    { "vm_assist.type64", H_vm_assist, { 0, 64 }, -EINVAL },
    { "vm_assist.cmd2", H_vm_assist, { 2, 0 }, -ENOSYS },
    { "vm_assist.4gb", H_vm_assist, { 0, 0 }, 0 },
    { "vm_assist.4gb_notify", H_vm_assist, { 0, 1 }, 0 },
    { "vm_assist.4gb_off", H_vm_assist, { 1, 0 }, 0 },
    { "vm_assist.4gb_notify_off", H_vm_assist, { 1, 1 }, 0 },
    { "set_segment_base.which4", H_set_segment_base, { 4, 0 }, -EINVAL },
    { "set_segment_base.fs_noncanonical", H_set_segment_base, { 0, 0x0000900000000000 }, -EINVAL },
    { "set_segment_base.gs_noncanonical", H_set_segment_base, { 2, 0x0000900000000000 }, -EINVAL },
    { "set_segment_base.bad_selector", H_set_segment_base, { 3, 0xfff0 }, 0 },
    { "set_debugreg.hypervisor_address", H_set_debugreg, { 0, 0xffff830000000000 }, -EPERM },
    { "set_debugreg.dr8", H_set_debugreg, { 8, 0 }, -ENODEV },
    { "set_debugreg.dr7_high", H_set_debugreg, { 7, 0x100000400 }, -EINVAL },
    { "set_debugreg.dr7_gd", H_set_debugreg, { 7, 0x2400 }, -EPERM },
    { "get_debugreg.dr8", H_get_debugreg, { 8 }, -ENODEV },
    { "vcpu_op.no_vcpu", H_vcpu_op, { 3, 9999, 0 }, -ENOENT },
    { "vcpu_op.is_up", H_vcpu_op, { 3, 0, 0 }, 1 },
    { "vcpu_op.unknown", H_vcpu_op, { 99, 0, 0 }, -ENOSYS },
    { "callback_op.unknown_cmd", H_callback_op, { 7, S }, -ENOSYS },
    { "xen_version.unknown", H_xen_version, { 99, S }, -ENOSYS },
    { "xen_version.pagesize", H_xen_version, { 7, 0 }, 4096 },
    { "xen_version.pagesize_with_pointer", H_xen_version, { 7, S }, -EINVAL },
    { "memory_op.unknown", H_memory_op, { 63, S }, -ENOSYS },
    { "grant_table_op.negative_count", H_grant_table_op, { 2, S, (u64)-1 }, -EINVAL },
    { "grant_table_op.dump_table", H_grant_table_op, { 3, S, 1 }, -ENOSYS },
    { "grant_table_op.unknown", H_grant_table_op, { 99, S, 1 }, -ENOSYS },
    { "event_channel_op.unknown", H_event_channel_op, { 99, S }, -ENOSYS },
    { "physdev_op.unknown", H_physdev_op, { 99, S }, -ENOSYS },
    { "update_va_mapping.uncovered", H_update_va_mapping, { 0x700000000000, 0, 0 }, -EINVAL },
    { "update_va_mapping.noncanonical", H_update_va_mapping, { 0x0000900000000000, 0, 0 }, -EINVAL },
    { "update_va_mapping.hypervisor", H_update_va_mapping, { 0xffff830000000000, 0, 0 }, -EINVAL },
    { "update_descriptor.unaligned", H_update_descriptor, { 4, 0 }, -EINVAL },
    { "update_descriptor.no_frame", H_update_descriptor, { 0xfffffff000000, 0 }, -EINVAL },
    { "multicall.none", H_multicall, { S, 0 }, 0 },
    { "set_timer_op.cancel", H_set_timer_op, { 0 }, 0 },
    { "fpu_taskswitch.off", H_fpu_taskswitch, { 0 }, 0 },
    { "set_callbacks.kept", H_stack_switch, { 0xe02b, (u64)0 }, 0 },       /* an absurd stack pointer is taken and not looked at */
    { "nmi_op.unknown", H_nmi_op, { 9, 0 }, -ENOSYS },
    { "hvm_op.get_param_of_a_pv_domain", H_hvm_op, { 1, S }, -EINVAL },
};

static char name[96];
static const char *cat(const char *a, const char *b, const char *c)
{
    u32 n = 0;
    for (const char *p = a; *p; p++) name[n++] = *p;
    for (const char *p = b; *p; p++) name[n++] = *p;
    for (const char *p = c; *p; p++) name[n++] = *p;
    name[n] = 0;
    return name;
}
static long evtchn(u32 cmd, u32 a, u32 b, u32 c)
{
    u32 arg[8] = { a, b, c };
    long r = HC(H_event_channel_op, cmd, arg);
    return r ? r : cmd == 1 || cmd == 7 ? (long)arg[cmd == 1 ? 2 : 1] : cmd == 6 ? (long)arg[1] : 0;
}
void run(void)
{
    for (u32 i = 0; i < sizeof pointers / sizeof *pointers; i++)
        for (u32 w = 0; w < sizeof wild / sizeof *wild; w++) {
            u64 a[4];
            for (u32 k = 0; k < 4; k++) a[k] = pointers[i].a[k] == PTR ? wild[w].va : pointers[i].a[k];
            check(cat(pointers[i].name, ".", wild[w].name), HC(pointers[i].nr, a[0], a[1], a[2], a[3]), pointers[i].want);
        }
    for (u32 i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct row *r = &numbers[i];
        check(r->name, HC(r->nr, r->a[0], r->a[1], r->a[2], r->a[3]), r->want);
    }
    HC(H_stack_switch, 0xe02b, kstack_top);

    /* the done counter must be writable, and is written on success too */
    u32 done = 77;
    u64 *data = page();
    struct mmu_update u[2] = { { maddr_of(data), 5 }, { maddr_of(data) + 8, 6 } };
    check("mmu_update.plain_store", HC(H_mmu_update, u, 2, &done, DOMID_SELF), 0);
    check("mmu_update.done_counts", done, 2);
    check("mmu_update.stored", data[0] + data[1], 11);
    u[1].ptr = 0xffffffff000;
    check("mmu_update.bad_second", HC(H_mmu_update, u, 2, &done, DOMID_SELF), -EINVAL);
    check("mmu_update.done_stops", done, 1);
    u[0].ptr = maddr_of(data) | 1; u[0].val = 3;
    u[1].ptr = maddr_of(data) | 3;
    check("mmu_update.done_wild", HC(H_mmu_update, u, 0, 0x10000, DOMID_SELF), 0);

    /* mmuext_op */
    check("mmuext_op.set_foreigndom_gone", mmuext(14, 0, 0), -ENOSYS);
    check("mmuext_op.unknown", mmuext(100, 0, 0), -ENOSYS);
    check("mmuext_op.mark_super", mmuext(19, 0, 0), -EOPNOTSUPP);
    check("mmuext_op.unmark_super", mmuext(20, 0, 0), -EOPNOTSUPP);
    check("mmuext_op.pin_no_frame", mmuext(3, 0xfffffffff, 0), -EINVAL);
    check("mmuext_op.unpin_no_frame", mmuext(4, 0xfffffffff, 0), -EINVAL);
    check("mmuext_op.new_baseptr_no_frame", mmuext(5, 0xfffffffff, 0), -EINVAL);
    check("mmuext_op.new_user_baseptr_no_frame", mmuext(15, 0xfffffffff, 0), -EINVAL);
    check("mmuext_op.invlpg_noncanonical", mmuext(7, 0x0000900000000000, 0), 0);
    check("mmuext_op.flush_multi_wild_mask", mmuext(8, 0, 0x10000), -EINVAL);
    check("mmuext_op.invlpg_multi_wild_mask", mmuext(9, 0, 0xffff830000000000), -EINVAL);
    check("mmuext_op.set_ldt_unaligned", mmuext(13, S + 8, 1), -EINVAL);
    check("mmuext_op.set_ldt_too_many", mmuext(13, S, 8193), -EINVAL);
    check("mmuext_op.set_ldt_hypervisor", mmuext(13, 0xffff830000000000, 1), -EINVAL);
    check("mmuext_op.set_ldt_none", mmuext(13, 0, 0), 0);
    check("mmuext_op.clear_no_frame", mmuext(16, 0xfffffffff, 0), -EINVAL);
    check("mmuext_op.copy_no_frame", mmuext(17, 0xfffffffff, mfn_of(data)), -EINVAL);
    data[9] = 4;
    check("mmuext_op.clear", mmuext(16, mfn_of(data), 0), 0);
    check("mmuext_op.cleared", data[9], 0);
    check("update_va_mapping.wild_mask", HC(H_update_va_mapping, data, mfn_of(data) << 12 | KRW, 0x10000 | 1), -EFAULT);
    check("update_va_mapping.no_frame", set_map(data, 0xfffffffff000 | KRW), -EPERM);   /* taken for I/O memory that is not ours */

    /* callbacks and traps */
    struct { u16 type, flags; u32 pad; u64 address; } cb = { 0, 0, 0, 0x0000900000000000 };
    check("callback_op.noncanonical", HC(H_callback_op, 0, &cb), -EINVAL);
    cb.type = 9; cb.address = VIRT_BASE;
    check("callback_op.unknown_type", HC(H_callback_op, 0, &cb), -ENOSYS);
    cb.type = 0;
    check("callback_op.unregister_event", HC(H_callback_op, 1, &cb), -EINVAL);
    struct { u8 vector, flags; u16 cs; u64 address; } tt[2] = { { 0x90, 0, 0xe033, 0x0000900000000000 }, { 0 } };
    check("set_trap_table.noncanonical", HC(H_set_trap_table, tt), -EINVAL);

    /* event channels */
    check("evtchn.send_0", evtchn(4, 0, 0, 0), -EINVAL);
    check("evtchn.send_free", evtchn(4, 900, 0, 0), -EINVAL);
    check("evtchn.send_beyond", evtchn(4, 1u << 30, 0, 0), -EINVAL);
    check("evtchn.close_0", evtchn(3, 0, 0, 0), -EINVAL);
    check("evtchn.close_free", evtchn(3, 900, 0, 0), -EINVAL);
    check("evtchn.unmask_beyond", evtchn(9, 1u << 30, 0, 0), -EINVAL);
    check("evtchn.bind_virq_24", evtchn(1, 24, 0, 0), -EINVAL);
    check("evtchn.bind_virq_no_vcpu", evtchn(1, 0, 9999, 0), -ENOENT);
    long timer = evtchn(1, 0, 0, 0);
    check("evtchn.bind_virq_timer", timer > 0, 1);
    check("evtchn.bind_virq_twice", evtchn(1, 0, 0, 0), -EEXIST);
    check("evtchn.send_virq", evtchn(4, timer, 0, 0), -EINVAL);
    check("evtchn.bind_vcpu_of_a_virq", evtchn(8, timer, 0, 0), -EINVAL);
    check("evtchn.close_virq", evtchn(3, timer, 0, 0), 0);
    check("evtchn.close_twice", evtchn(3, timer, 0, 0), -EINVAL);
    check("evtchn.lowest_free_port", evtchn(1, 0, 0, 0), timer);
    check("evtchn.close_virq_again", evtchn(3, timer, 0, 0), 0);
    check("evtchn.alloc_unbound_no_domain", evtchn(6, 1234 | 0u << 16, 0, 0), is_dom0 ? -ESRCH : -ESRCH);
    long self = evtchn(6, DOMID_SELF | DOMID_SELF << 16, 0, 0);
    check("evtchn.alloc_unbound_self", self > 0, 1);
    check("evtchn.send_unbound", evtchn(4, self, 0, 0), 0);
    check("evtchn.bind_interdomain_no_domain", evtchn(0, 1234, self, 0), -ESRCH);
    check("evtchn.bind_interdomain_free_port", evtchn(0, DOMID_SELF, 900, 0), -EINVAL);
    check("evtchn.bind_interdomain_self", evtchn(0, DOMID_SELF, self, 0), 0);
    check("evtchn.bind_interdomain_taken", evtchn(0, DOMID_SELF, self, 0), -EINVAL);
    check("evtchn.close_self", evtchn(3, self, 0, 0), 0);
    check("evtchn.bind_ipi_no_vcpu", evtchn(7, 9999, 0, 0), -ENOENT);
    u64 gfn[3] = { 0xfffffffff, 0, 0 };
    check("evtchn.init_control_no_frame", HC(H_event_channel_op, 11, gfn), -EINVAL);
    check("evtchn.expand_array_in_2_level", HC(H_event_channel_op, 12, gfn), -EOPNOTSUPP);
    check("evtchn.set_priority_in_2_level", evtchn(13, 0, 3, 0), -ENOSYS);

    /* scheduling, timers, versions, ports */
    struct { void *ports; u32 n; u32 pad; u64 timeout; } poll = { scratch, 129, 0, 1 };
    check("sched_op.poll_129", HC(H_sched_op, 3, &poll), -EINVAL);
    poll.n = 1; *(u32 *)scratch = 1u << 30;
    check("sched_op.poll_beyond", HC(H_sched_op, 3, &poll), -EINVAL);
    poll.n = 0; poll.timeout = 1;
    check("sched_op.poll_past", HC(H_sched_op, 3, &poll), 0);
    u64 ns = 999999;
    check("vcpu_op.periodic_too_fast", HC(H_vcpu_op, 6, 0, &ns), -EINVAL);
    u32 idx[2] = { 1, 0 };
    check("xen_version.features_1", HC(H_xen_version, 6, idx), -EINVAL);
    u32 iopl = 4;
    check("physdev_op.iopl_4", HC(H_physdev_op, 6, &iopl), -EINVAL);
    struct { void *bitmap; u32 n; } io = { scratch, 65537 };
    check("physdev_op.iobitmap_65537", HC(H_physdev_op, 7, &io), -EINVAL);
    struct { u16 dom; u16 pad; u32 nr; s64 status; void *list; } st = { DOMID_SELF, 0, 1, 0, (void *)0x10000 };
    check("grant_table_op.setup_two", HC(H_grant_table_op, 2, &st, 2), -EINVAL);
    struct { u32 cmd, version; u64 rest[16]; } ctl = { 3, 1, { 0 } };
    check("domctl.bad_version", HC(H_domctl, &ctl), -EACCES);
    check("sysctl.bad_version", HC(H_sysctl, &ctl), -EACCES);
    /* a multicall entry reports its own errno, the call itself is 0; an entry with iret ends the list there */
    struct { u64 op; s64 result; u64 args[6]; } mc[3] = { { 14, 0, { 0x0000900000000000, 0, 0 } }, { 63, 0, { 0 } }, { 17, 0, { 0, 0 } } };
    check("multicall.call", HC(H_multicall, mc, 3), 0);
    check("multicall.entry_einval", mc[0].result, -EINVAL);
    check("multicall.entry_enosys", mc[1].result, -ENOSYS);
    check("multicall.entry_good", mc[2].result > 0x30000, 1);
    mc[0].op = 17; mc[0].args[0] = 0; mc[0].args[1] = 0; mc[1].op = 13; mc[1].args[0] = 0; mc[1].args[1] = 1;
    check("multicall.nested", (HC(H_multicall, mc, 2), mc[1].result), -EINVAL);
    check("console_io.unknown", HC(H_console_io, 9, 0, S), is_dom0 ? -ENOSYS : -EPERM);
    if (!is_dom0) {
        check("console_io.write_refused", HC(H_console_io, 0, 4, "hey\n"), -EPERM);
        check("mmuext_op.flush_cache_refused", mmuext(12, 0, 0), -EACCES);
    } else {
        check("mmuext_op.flush_cache", mmuext(12, 0, 0), 0);
        check("console_io.write_wild", HC(H_console_io, 0, 4, 0x10000), -EFAULT);
    }
}

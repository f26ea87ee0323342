/* The Xen interface as far as the nanokernel uses it. Numbers, names and layouts: Xen public/xen.h, arch-x86/xen-x86_64.h,
 * sched.h, event_channel.h, vcpu.h, callback.h, io/console.h. */
#ifndef XEN_H
#define XEN_H
#include "kernel.h"
enum {
    HC_set_trap_table = 0, HC_mmu_update = 1, HC_multicall = 13, HC_stack_switch = 3, HC_update_va_mapping = 14, HC_set_timer_op = 15,
    HC_console_io = 18, HC_vm_assist = 21, HC_vcpu_op = 24, HC_set_segment_base = 25, HC_mmuext_op = 26, HC_sched_op = 29,
    HC_callback_op = 30, HC_event_channel_op = 32,
};
enum { MMUEXT_PIN_L4_TABLE = 3, MMUEXT_UNPIN_TABLE = 4, MMUEXT_NEW_BASEPTR = 5, MMUEXT_TLB_FLUSH_LOCAL = 6, MMUEXT_INVLPG_LOCAL = 7,
       MMUEXT_TLB_FLUSH_MULTI = 8, MMUEXT_INVLPG_MULTI = 9, MMUEXT_NEW_USER_BASEPTR = 15 };
enum { UVMF_NONE = 0, UVMF_TLB_FLUSH = 1, UVMF_INVLPG = 2 };
enum { SCHEDOP_yield, SCHEDOP_block, SCHEDOP_shutdown };
enum { SEGBASE_FS, SEGBASE_GS_USER, SEGBASE_GS_KERNEL };
#define DOMID_SELF 0x7ff0UL
#define SIF_INITDOMAIN 2
#define XEN_CS 0xe033UL
#define XEN_SS 0xe02bUL
#define M2P_START 0xffff800000000000UL

struct start_info {
    char magic[32];
    u64 nr_pages, shared_info;
    u32 flags, pad0;
    u64 store_mfn;
    u32 store_evtchn, pad1;
    u64 console_mfn;
    u32 console_evtchn, pad2;
    u64 pt_base, nr_pt_frames, mfn_list, mod_start, mod_len;
    char cmd_line[1024];
};
struct vcpu_time { u32 version, pad; u64 tsc_timestamp, system_time; u32 mul; signed char shift; u8 flags, pad1[2]; };
struct vcpu_info { u8 pending, mask; u8 pad[6]; u64 sel, cr2, pad2; struct vcpu_time time; };
struct shared_info { struct vcpu_info vcpu[32]; u64 evtchn_pending[64], evtchn_mask[64]; };
struct trap_info { u8 vector, flags; u16 cs; u64 address; };
struct mmuext_op { u32 cmd, pad; u64 arg1, arg2; };
struct mmu_update { u64 ptr, val; };
struct multicall_entry { u64 op, result, args[6]; };
struct callback_register { u16 type, flags; u32 pad; u64 address; };
struct bind_virq { u32 virq, vcpu, port; };
struct console_ring { u8 in[1024], out[2048]; u32 in_cons, in_prod, out_cons, out_prod; };

extern char hypercall_page[];
/* arguments beyond those used are whatever the registers hold; results come in rax, argument registers may be clobbered */
#define HC(nr, a, b, c, d) ({ \
    register u64 r10_ __asm__("r10") = (u64)(d); \
    u64 di_ = (u64)(a), si_ = (u64)(b), dx_ = (u64)(c); long res_; \
    cnt.hypercall[nr]++; \
    __asm__ volatile("call hypercall_page+%c5" : "=a"(res_), "+D"(di_), "+S"(si_), "+d"(dx_), "+r"(r10_) : "i"((nr) * 32) : "rcx", "r11", "memory"); \
    res_; })
#endif

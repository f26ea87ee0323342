/* What the hostile guests share: hypercalls, page pool, trap records, verdicts. Each program is a table of tests; a test compares one
 * return value, one trap or one word with what the interface promises. Sources: Xen public headers. */
#ifndef HOSTILE_H
#define HOSTILE_H
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long u64; typedef long s64;
#define NULL ((void *)0)
#define VIRT_BASE 0xffffffff80000000UL
#define PAGE 4096UL
#define M2P ((u64 *)0xffff800000000000UL)
enum { EPERM = 1, ENOENT = 2, ESRCH = 3, EFAULT = 14, EBUSY = 16, EEXIST = 17, ENODEV = 19, EINVAL = 22, EACCES = 13, E2BIG = 7, ENOSYS = 38, EOPNOTSUPP = 95 };
enum { H_set_trap_table, H_mmu_update, H_set_gdt, H_stack_switch, H_set_callbacks, H_fpu_taskswitch, H_sched_op_compat, H_platform_op, H_set_debugreg,
       H_get_debugreg, H_update_descriptor, H_memory_op = 12, H_multicall, H_update_va_mapping, H_set_timer_op, H_event_channel_op_compat,
       H_xen_version, H_console_io, H_physdev_op_compat, H_grant_table_op, H_vm_assist, H_update_va_mapping_otherdomain, H_iret, H_vcpu_op,
       H_set_segment_base, H_mmuext_op, H_xsm_op, H_nmi_op, H_sched_op, H_callback_op, H_xenoprof, H_event_channel_op, H_physdev_op, H_hvm_op,
       H_sysctl, H_domctl };
#define P_P 1UL
#define P_RW 2UL
#define P_US 4UL
#define P_A 0x20UL
#define P_D 0x40UL
#define P_PSE 0x80UL
#define P_NX (1UL << 63)
#define KRW (P_P | P_RW | P_A | P_D)
#define KRO (P_P | P_A | P_D)
#define TABLE (P_P | P_RW | P_US | P_A | P_D)
#define DOMID_SELF 0x7ff0UL

struct start_info {
    char magic[32]; u64 nr_pages, shared_info; u32 flags, pad0; u64 store_mfn; u32 store_evtchn, pad1; u64 console_mfn; u32 console_evtchn, pad2;
    u64 pt_base, nr_pt_frames, mfn_list, mod_start, mod_len; char cmd_line[1024];
};
struct vcpu_info { u8 pending, mask; u8 pad[6]; u64 sel, cr2, pad2; u8 time[32]; };
struct shared_info { struct vcpu_info vcpu[32]; u64 evtchn_pending[64], evtchn_mask[64]; };
struct trap { u64 vector, rsp, rax, w[11], rdi, rsi; };       /* w: the words of the frame */
struct mmuext_op { u32 cmd, pad; u64 arg1, arg2; };
struct mmu_update { u64 ptr, val; };
extern struct trap trap;
extern u64 guard_result;
extern char hypercall_page[], stack_top[], kstack_top[];
extern struct start_info *si;
extern volatile struct shared_info *sh;
extern int is_dom0;

long hcall(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e);
#define HC(nr, ...) HC_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0)
#define HC_(nr, a, b, c, d, e, ...) hcall(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e))
long guarded(void *fn, ...);
void go_user(void *frame) __attribute__((noreturn));
void sp_call(void *fn, u64 arg, void *sp) __attribute__((noreturn));

void *memset(void *d, int c, u64 n), *memcpy(void *d, const void *s, u64 n);
void *page(void);                                             /* a fresh zeroed page, mapped read-write */
u64 mfn_of(void *p), maddr_of(void *p);
long set_map(void *va, u64 pte);                              /* update_va_mapping with INVLPG */
long ro(void *p), rw(void *p);                                /* its own mapping read-only / read-write */
u64 *pte_of(void *va);                                        /* where the guest's own tables map va (read only) */
long mmuext(u32 cmd, u64 arg1, u64 arg2);
long mmu_update(u64 ptr, u64 val);
void say(const char *fmt, ...);                               /* %s %d %x */
void check(const char *name, s64 got, s64 want);
void check2(const char *name, s64 got, s64 want, s64 or_want);/* two acceptable answers */
void note(const char *name, s64 got);                         /* reported, not judged */
void finish(void) __attribute__((noreturn));
void power(u32 reason) __attribute__((noreturn));
int chosen(const char *name);                                 /* fatal.c: case=NAME on the command line */
void run(void);
#endif

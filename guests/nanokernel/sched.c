/* Tasks: round robin, child runs first after fork (as 2.6.18's wake_up_new_task arranges when the VM is copied), blocking wait. */
#include "kernel.h"

struct pda pda;
static struct task tasks[NTASKS], idle_task;
static u8 stacks[NTASKS][8192] __attribute__((section(".bss.pool"), aligned(4096)));
static struct task *queue[NTASKS + 1];
static u32 nqueue, next_pid = 1;
static struct task *dead;                /* exited, still to be dropped by whoever runs next */
#define SLICE 100
extern char boot_stack_top[], ret_from_fork[];

void sched_init(void)
{
    idle_task.mm = NULL;
    idle_task.active_mm = &init_mm;
    idle_task.state = T_RUN;
    idle_task.kstack_top = (u64)boot_stack_top;
    current = &idle_task;
    pda.kstack_top = idle_task.kstack_top;
}
static void enqueue(struct task *t, int head)
{
    if (head) { for (u32 i = nqueue; i > 0; i--) queue[i] = queue[i - 1]; queue[0] = t; }
    else queue[nqueue] = t;
    nqueue++;
}
static struct task *dequeue(void)
{
    if (!nqueue) return &idle_task;
    struct task *t = queue[0];
    nqueue--;
    for (u32 i = 0; i < nqueue; i++) queue[i] = queue[i + 1];
    return t;
}
static struct task *task_slot(void)
{
    for (int i = 0; i < NTASKS; i++)
        if (tasks[i].state == T_FREE) {
            struct task *t = &tasks[i];
            memset(t, 0, sizeof *t);
            t->kstack_top = (u64)stacks[i] + sizeof stacks[i];
            t->pid = next_pid++;
            t->slice = SLICE;
            return t;
        }
    panic("out of tasks");
}
/* a kernel stack that switch_stacks can return on: six callee-saved registers, then ret_from_fork, then the user frame */
static void prepare(struct task *t, struct regs *r)
{
    struct regs *f = (struct regs *)(t->kstack_top - sizeof *f);
    *f = *r;
    u64 *sp = (u64 *)f - 7;
    memset(sp, 0, 48);
    sp[6] = (u64)ret_from_fork;
    t->ksp = (u64)sp;
}
static void finish_switch(void)
{
    if (dead && dead != current) { if (dead->mm) mm_drop(dead->mm); dead->mm = NULL; dead = NULL; }
}
void schedule(void)
{
    struct task *prev = current, *next;
    pda.need_resched = 0;
    if (prev != &idle_task && prev->state == T_RUN) enqueue(prev, 0);
    next = dequeue();
    if (next == prev) return;
    cnt.switches++;
    standin(S_SWITCH);
    if (next->slice <= 0) next->slice = SLICE;
    if (next->mm) {
        if (next->mm != prev->active_mm) pv.switch_mm(next->mm);
        next->active_mm = next->mm;
    } else next->active_mm = prev->active_mm;                                /* lazy: a kernel thread borrows */
    pv.switch_task(next);
    current = next;
    pda.kstack_top = next->kstack_top;
    switch_stacks(prev, next);
    finish_switch();
}
/* first code of a new task: the kernel store of CLONE_CHILD_SETTID happens here, in the child's own address space */
void schedule_tail(void)
{
    finish_switch();
    if (current->set_tid) *(volatile u32 *)current->set_tid = current->pid;
}
void sched_tick(int user)
{
    if (current == &idle_task) return;
    if (--current->slice <= 0 && nqueue && user) pda.need_resched = 1;
}
void sleep_on(void *what) { current->wait_on = what; current->state = T_SLEEP; schedule(); }
void wake(void *what)
{
    for (int i = 0; i < NTASKS; i++)
        if (tasks[i].state == T_SLEEP && tasks[i].wait_on == what) { tasks[i].state = T_RUN; tasks[i].wait_on = NULL; enqueue(&tasks[i], 0); }
}
struct task *task_create(struct mm *mm, u64 entry, u64 rsp)
{
    struct task *t = task_slot();
    struct regs r;
    memset(&r, 0, sizeof r);
    r.rip = entry; r.rsp = rsp; r.cs = pv.user_cs; r.ss = pv.user_ss; r.rflags = 0x202;
    t->mm = mm;
    prepare(t, &r);
    t->state = T_RUN;
    enqueue(t, 0);
    return t;
}
long do_fork(struct regs *r, u64 set_tid)
{
    struct task *t = task_slot();
    standin_reset();
    standin(S_FORK);
    cnt.forks++;
    t->mm = mm_dup(current->mm);
    prepare(t, r);
    ((struct regs *)(t->kstack_top - sizeof *r))->rax = 0;
    t->parent = current;
    t->fs_base = current->fs_base;
    t->set_tid = set_tid;
    t->clear_tid = current->clear_tid;
    t->state = T_RUN;
    enqueue(t, 1);
    /* child first: it sits at the head, the parent goes behind it on the way out */
    pda.need_resched = 1;
    return t->pid;
}
void do_exit(u64 code)
{
    struct task *t = current;
    standin(S_EXIT);
    if (t->clear_tid) *(volatile u32 *)t->clear_tid = 0;                     /* CLONE_CHILD_CLEARTID: the other kernel store */
    mm_exit(t->mm);
    t->exit_code = code;
    t->state = T_ZOMBIE;
    dead = t;
    wake(t->parent);
    schedule();
    panic("a dead task ran");
}
long do_wait4(u64 pid)
{
    for (;;) {
        int children = 0;
        for (int i = 0; i < NTASKS; i++) {
            struct task *t = &tasks[i];
            if (t->state == T_FREE || t->parent != current || ((s64)pid > 0 && t->pid != pid)) continue;
            children++;
            if (t->state == T_ZOMBIE) {
                long r = t->pid;
                if (t->exit_code) panic("child %u ended with %u", (u64)t->pid, t->exit_code);
                t->state = T_FREE;
                return r;
            }
        }
        if (!children) return -10;
        sleep_on(current);
    }
}
void idle_loop(void) { for (;;) { schedule(); pv.idle(); } }

/**
 * Hypercall passthrough: how Dom0 of a hypervisor that runs in a full domain reaches the layer below. One call with
 * sub-calls for what the Xen-Blanket passes, each with that call's own commands and structures.
 *
 *     passthrough(sub-call, command, pointer, count)
 *
 * Pointers are virtual addresses of the caller. Frame fields hold the caller's machine frames, which are the guest
 * frames of the layer below, so they pass unchanged.
 *
 * DEVIATION: the Xen-Blanket used numbers 38 to 44 (and 39 to 46 on Xen 4.1.1), which collide with calls of Xen 4.17.
 * Number 56 is the first above those that Xen keeps for itself and for architectures.
 * Source: Williams et al., EuroSys 2012, §4.2; the patches for Xen 3.4 and 4.1.1 (which calls and commands).
 */

export const HYPERVISOR_passthrough = 56;

export const PASSTHROUGH_xen_version = 0;
export const PASSTHROUGH_memory_op = 1;
export const PASSTHROUGH_hvm_op = 2;
export const PASSTHROUGH_grant_table_op = 3;
export const PASSTHROUGH_event_channel_op = 4;
export const PASSTHROUGH_sched_op = 5;
export const passthroughNames = ['xen_version', 'memory_op', 'hvm_op', 'grant_table_op', 'event_channel_op', 'sched_op'] as const;

/** The most elements of one grant_table_op. */
export const PASSTHROUGH_MAX_COUNT = 512;

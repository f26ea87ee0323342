/** Xen public/event_channel.h. */

import { struct } from './layout.ts';

export const EVTCHNOP_bind_interdomain = 0;
export const EVTCHNOP_bind_virq = 1;
export const EVTCHNOP_bind_pirq = 2;
export const EVTCHNOP_close = 3;
export const EVTCHNOP_send = 4;
export const EVTCHNOP_status = 5;
export const EVTCHNOP_alloc_unbound = 6;
export const EVTCHNOP_bind_ipi = 7;
export const EVTCHNOP_bind_vcpu = 8;
export const EVTCHNOP_unmask = 9;
export const EVTCHNOP_reset = 10;
export const EVTCHNOP_init_control = 11;
export const EVTCHNOP_expand_array = 12;
export const EVTCHNOP_set_priority = 13;
export const eventChannelOpNames = [
  'bind_interdomain',
  'bind_virq',
  'bind_pirq',
  'close',
  'send',
  'status',
  'alloc_unbound',
  'bind_ipi',
  'bind_vcpu',
  'unmask',
  'reset',
  'init_control',
  'expand_array',
  'set_priority',
] as const;

export const EVTCHNSTAT_closed = 0;
export const EVTCHNSTAT_unbound = 1;
export const EVTCHNSTAT_interdomain = 2;
export const EVTCHNSTAT_pirq = 3;
export const EVTCHNSTAT_virq = 4;
export const EVTCHNSTAT_ipi = 5;

export const evtchn_bind_interdomain = struct('evtchn_bind_interdomain', 12, {
  remote_dom: [0, 'u16'],
  remote_port: [4, 'u32'],
  local_port: [8, 'u32'],
});
export const evtchn_bind_virq = struct('evtchn_bind_virq', 12, {
  virq: [0, 'u32'],
  vcpu: [4, 'u32'],
  port: [8, 'u32'],
});
export const evtchn_bind_pirq = struct('evtchn_bind_pirq', 12, {
  pirq: [0, 'u32'],
  flags: [4, 'u32'],
  port: [8, 'u32'],
});
export const evtchn_close = struct('evtchn_close', 4, { port: [0, 'u32'] });
export const evtchn_send = struct('evtchn_send', 4, { port: [0, 'u32'] });
/** `u` depends on the status: unbound.dom @16:2; interdomain.dom @16:2 and .port @20:4; pirq or virq @16:4. */
export const evtchn_status = struct('evtchn_status', 24, {
  dom: [0, 'u16'],
  port: [4, 'u32'],
  status: [8, 'u32'],
  vcpu: [12, 'u32'],
  u: [16, 'u32'],
  u_port: [20, 'u32'],
});
export const evtchn_alloc_unbound = struct('evtchn_alloc_unbound', 8, {
  dom: [0, 'u16'],
  remote_dom: [2, 'u16'],
  port: [4, 'u32'],
});
export const evtchn_bind_ipi = struct('evtchn_bind_ipi', 8, { vcpu: [0, 'u32'], port: [4, 'u32'] });
export const evtchn_bind_vcpu = struct('evtchn_bind_vcpu', 8, { port: [0, 'u32'], vcpu: [4, 'u32'] });
export const evtchn_unmask = struct('evtchn_unmask', 4, { port: [0, 'u32'] });
export const evtchn_reset = struct('evtchn_reset', 2, { dom: [0, 'u16'] });
export const evtchn_init_control = struct('evtchn_init_control', 24, {
  control_gfn: [0, 'u64'],
  offset: [8, 'u32'],
  vcpu: [12, 'u32'],
  link_bits: [16, 'u8'],
});
export const evtchn_expand_array = struct('evtchn_expand_array', 8, { array_gfn: [0, 'u64'] });
export const evtchn_set_priority = struct('evtchn_set_priority', 8, { port: [0, 'u32'], priority: [4, 'u32'] });
/** Argument of the old call (number 16): the command, then the sub-operation's structure at 4. */
export const evtchn_op_compat = struct('evtchn_op', 28, { cmd: [0, 'u32'], u: [4, 'bytes24'] });

/** Xen public/sched.h. */

import { struct } from './layout.ts';

export const SCHEDOP_yield = 0;
export const SCHEDOP_block = 1;
export const SCHEDOP_shutdown = 2;
export const SCHEDOP_poll = 3;
export const SCHEDOP_remote_shutdown = 4;
export const SCHEDOP_shutdown_code = 5;
export const SCHEDOP_watchdog = 6;
export const SCHEDOP_pin_override = 7;
export const schedOpNames = ['yield', 'block', 'shutdown', 'poll', 'remote_shutdown', 'shutdown_code', 'watchdog', 'pin_override'] as const;

export const SHUTDOWN_poweroff = 0;
export const SHUTDOWN_reboot = 1;
export const SHUTDOWN_suspend = 2;
export const SHUTDOWN_crash = 3;
export const SHUTDOWN_watchdog = 4;
export const SHUTDOWN_soft_reset = 5;

export const SCHED_POLL_MAX_PORTS = 128;

export const sched_shutdown = struct('sched_shutdown', 4, { reason: [0, 'u32'] });
export const sched_poll = struct('sched_poll', [16, 24], {
  ports: [0, 'word'],
  nr_ports: [[4, 8], 'u32'],
  timeout: [[8, 16], 'u64'],
});
export const sched_remote_shutdown = struct('sched_remote_shutdown', 8, { domain_id: [0, 'u16'], reason: [4, 'u32'] });
export const sched_watchdog = struct('sched_watchdog', 8, { id: [0, 'u32'], timeout: [4, 'u32'] });
export const sched_pin_override = struct('sched_pin_override', 4, { pcpu: [0, 's32'] });

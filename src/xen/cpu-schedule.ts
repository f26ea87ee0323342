/** Scheduling state of one platform cpu. Plain data; scheduler.ts and timers.ts work on it. */

import type { Vcpu } from './domain.ts';

export interface CpuSchedule {
  /** Woken vCPUs, first come first served, then those that wait for their turn. */
  readonly boosted: Vcpu[];
  readonly ready: Vcpu[];
  current: Vcpu | undefined;
  /** The vCPU whose registers were loaded last; they need no loading when it comes back from idle. */
  lastLoaded: Vcpu | undefined;
  /** A decision is due at the next return to a guest. */
  wanted: boolean;
  /** An interrupt is on its way to the cpu and has not arrived. */
  interrupted: boolean;
  /** System time at which the current vCPU's turn ends. */
  sliceEnd: bigint;
  /** What the platform's timer was last set to, and whether it must be computed again. */
  timerDeadline: bigint | undefined;
  timersChanged: boolean;
}

export function newCpuSchedule(): CpuSchedule {
  return {
    boosted: [],
    ready: [],
    current: undefined,
    lastLoaded: undefined,
    wanted: false,
    interrupted: false,
    sliceEnd: 0n,
    timerDeadline: undefined,
    timersChanged: false,
  };
}

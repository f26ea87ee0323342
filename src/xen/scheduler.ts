/**
 * Which vCPU runs on which platform cpu. Every vCPU is pinned to one cpu; a cpu without a runnable vCPU halts.
 * Policy: a vCPU that wakes up runs before those that compute (the boost of Xen's credit scheduler), those that compute
 * share in turns of {@link timeSlice}. Nothing here waits: decisions are taken when a path is about to return
 * to a guest (ring-zero.ts), where `wanted` asks for one.
 * Source of the states: Xen public/vcpu.h RUNSTATE_*.
 */

import { assert } from '../base/errors.ts';
import type { PlatformCpu } from '../platform/cpu.ts';
import type { CpuSchedule } from './cpu-schedule.ts';
import type { Domain } from './domain.ts';
import type { Hypervisor } from './hypervisor.ts';
import { updateRunstateArea, updateTimeArea } from './reported-areas.ts';
import { updateTimeRecord } from './shared-info.ts';
import { Runstate, type Vcpu } from './vcpu.ts';

/** Nanoseconds that a computing vCPU runs while others wait. */
export const timeSlice = 30_000_000n;

/** Vector of the interrupt that makes another cpu look at its decisions and events. */
export const eventCheckVector = 0xfa;

export function scheduleOf(hypervisor: Hypervisor, vcpu: Vcpu): CpuSchedule {
  return hypervisor.schedules[vcpu.processor] as CpuSchedule;
}

export function isRunnable(vcpu: Vcpu): boolean {
  const { domain } = vcpu;
  const held = vcpu.pauseCount > 0 || domain.pauseCount > 0 || domain.shutDown || domain.dying !== 0;
  return vcpu.initialised && !vcpu.down && !vcpu.blocked && !held;
}

/** To be called after a change that may let a vCPU run. */
export function wake(hypervisor: Hypervisor, vcpu: Vcpu): void {
  if (vcpu.running) return;
  if (!isRunnable(vcpu)) return setRunstate(hypervisor, vcpu, stoppedState(vcpu));
  const schedule = scheduleOf(hypervisor, vcpu);
  if (schedule.boosted.includes(vcpu) || schedule.ready.includes(vcpu)) return;
  setRunstate(hypervisor, vcpu, Runstate.runnable);
  schedule.boosted.push(vcpu);
  requestDecision(hypervisor, vcpu.processor);
}

/** To be called after a change that may stop a vCPU. It stops at the next return to a guest on its cpu. */
export function sleep(hypervisor: Hypervisor, vcpu: Vcpu): void {
  if (isRunnable(vcpu)) return;
  if (vcpu.running) return requestDecision(hypervisor, vcpu.processor);
  dequeue(hypervisor, vcpu);
  setRunstate(hypervisor, vcpu, stoppedState(vcpu));
}

/** Ends SCHEDOP_block or a poll. */
export function unblock(hypervisor: Hypervisor, vcpu: Vcpu): void {
  if (!vcpu.blocked) return;
  vcpu.blocked = false;
  vcpu.polling = undefined;
  if (vcpu.pollTimeout !== undefined) timersChanged(hypervisor, vcpu);
  vcpu.pollTimeout = undefined;
  wake(hypervisor, vcpu);
}

/** The vCPU has an upcall to look at: where it runs on another cpu, that cpu must enter the hypervisor. */
export function kick(hypervisor: Hypervisor, vcpu: Vcpu): void {
  if (vcpu.running) interruptCpu(hypervisor, vcpu.processor);
}

/** SCHEDOP_yield: behind all others. */
export function yieldTurn(hypervisor: Hypervisor, vcpu: Vcpu): void {
  const schedule = scheduleOf(hypervisor, vcpu);
  schedule.sliceEnd = 0n;
  if (schedule.boosted.length + schedule.ready.length > 0) schedule.wanted = true;
}

/** After a change of a vCPU's timers: the platform timer is computed again at the next return to a guest. */
export function timersChanged(hypervisor: Hypervisor, vcpu: Vcpu): void {
  scheduleOf(hypervisor, vcpu).timersChanged = true;
  interruptCpu(hypervisor, vcpu.processor);
}

export function pauseDomain(hypervisor: Hypervisor, domain: Domain): void {
  domain.pauseCount++;
  for (const vcpu of domain.vcpus) sleep(hypervisor, vcpu);
}

export function unpauseDomain(hypervisor: Hypervisor, domain: Domain): void {
  assert(domain.pauseCount > 0, () => `domain ${domain.id} is not paused`);
  domain.pauseCount--;
  for (const vcpu of domain.vcpus) wake(hypervisor, vcpu);
}

/** Chooses the vCPU that runs next on `cpu`, and loads it. */
export function decide(hypervisor: Hypervisor, cpu: PlatformCpu): void {
  const schedule = hypervisor.schedules[cpu.index] as CpuSchedule;
  schedule.wanted = false;
  const previous = schedule.current;
  const now = hypervisor.now(cpu);
  if (previous !== undefined && isRunnable(previous)) {
    const turnOver = now >= schedule.sliceEnd;
    if (schedule.boosted.length === 0 && (schedule.ready.length === 0 || !turnOver)) {
      if (turnOver) schedule.sliceEnd = now + timeSlice;
      return;
    }
    // Preempted by a wake-up, it goes on first of those that compute; its turn over, it goes behind them.
    if (turnOver) schedule.ready.push(previous);
    else schedule.ready.unshift(previous);
  }
  const next = schedule.boosted.shift() ?? schedule.ready.shift();
  if (next === previous) {
    schedule.sliceEnd = now + timeSlice;
    return;
  }
  if (previous !== undefined) switchOut(hypervisor, previous, cpu);
  schedule.current = next;
  schedule.sliceEnd = now + timeSlice;
  schedule.timersChanged = true;
  if (next !== undefined) switchIn(hypervisor, next, cpu);
}

/** Takes the vCPU off its queues; for domains that go away. */
export function dequeue(hypervisor: Hypervisor, vcpu: Vcpu): void {
  const schedule = scheduleOf(hypervisor, vcpu);
  for (const queue of [schedule.boosted, schedule.ready]) {
    const at = queue.indexOf(vcpu);
    if (at >= 0) queue.splice(at, 1);
  }
}

/** Registers as the vCPU left them, also while it runs: brings `context` up to date. */
export function syncContext(hypervisor: Hypervisor, vcpu: Vcpu): void {
  if (vcpu.running && vcpu.code === undefined) hypervisor.cpuOf(vcpu).saveContext(vcpu.context);
}

export function setRunstate(hypervisor: Hypervisor, vcpu: Vcpu, state: Runstate): void {
  const { runstate } = vcpu;
  if (runstate.state === state) return;
  const now = hypervisor.now(hypervisor.cpuOf(vcpu));
  accountRunstate(vcpu, now);
  runstate.state = state;
  runstate.entryTime = now;
}

/** The four times including the present state's so far. */
export function runstateTimes(hypervisor: Hypervisor, vcpu: Vcpu): BigUint64Array {
  const times = vcpu.runstate.time.slice();
  const passed = hypervisor.now(hypervisor.cpuOf(vcpu)) - vcpu.runstate.entryTime;
  if (passed > 0n) times[vcpu.runstate.state] = (times[vcpu.runstate.state] as bigint) + passed;
  return times;
}

function switchOut(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
  if (vcpu.code === undefined) {
    hypervisor.kind(vcpu.domain).switchOut(hypervisor, vcpu, cpu);
    cpu.saveContext(vcpu.context);
  }
  vcpu.running = false;
  setRunstate(hypervisor, vcpu, isRunnable(vcpu) ? Runstate.runnable : stoppedState(vcpu));
}

function switchIn(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
  const schedule = scheduleOf(hypervisor, vcpu);
  vcpu.running = true;
  setRunstate(hypervisor, vcpu, Runstate.running);
  updateTimeRecord(hypervisor, vcpu, cpu.cycles);
  if (vcpu.code !== undefined) {
    schedule.lastLoaded = vcpu; // it may have changed the cpu's root table
    return;
  }
  cpu.loadContext(vcpu.context);
  if (schedule.lastLoaded !== vcpu) {
    schedule.lastLoaded = vcpu;
    hypervisor.kind(vcpu.domain).switchIn(hypervisor, vcpu, cpu);
  }
  updateRunstateArea(hypervisor, vcpu);
  updateTimeArea(hypervisor, vcpu);
}

function accountRunstate(vcpu: Vcpu, now: bigint): void {
  const { runstate } = vcpu;
  const passed = now - runstate.entryTime;
  if (passed > 0n) runstate.time[runstate.state] = (runstate.time[runstate.state] as bigint) + passed;
}

function stoppedState(vcpu: Vcpu): Runstate {
  return vcpu.blocked && !vcpu.down ? Runstate.blocked : Runstate.offline;
}

function requestDecision(hypervisor: Hypervisor, processor: number): void {
  (hypervisor.schedules[processor] as CpuSchedule).wanted = true;
  interruptCpu(hypervisor, processor);
}

/** Makes another cpu enter the hypervisor; the one that we are on passes the decision anyway. */
function interruptCpu(hypervisor: Hypervisor, processor: number): void {
  const { entered } = hypervisor;
  const schedule = hypervisor.schedules[processor] as CpuSchedule;
  if (entered?.index === processor || schedule.interrupted) return;
  schedule.interrupted = true;
  const from = entered ?? (hypervisor.platform.cpus[processor] as PlatformCpu);
  from.sendInterrupt(processor, eventCheckVector);
}

/** Stops a vCPU at once, on whatever cpu it runs: its registers go to its context, its cpu takes a new decision. */
export function stopNow(hypervisor: Hypervisor, vcpu: Vcpu): void {
  const schedule = scheduleOf(hypervisor, vcpu);
  dequeue(hypervisor, vcpu);
  if (schedule.lastLoaded === vcpu) schedule.lastLoaded = undefined;
  if (!vcpu.running) return;
  const cpu = hypervisor.cpuOf(vcpu);
  switchOut(hypervisor, vcpu, cpu);
  schedule.current = undefined;
  // Another cpu must not execute one more instruction of it before it takes the interrupt.
  if (hypervisor.entered !== cpu) cpu.halt();
  requestDecision(hypervisor, vcpu.processor);
}

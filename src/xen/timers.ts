/**
 * Timers of vCPUs on the one timer of their platform cpu: singleshot (set_timer_op, VCPUOP_set_singleshot_timer),
 * periodic (only while the vCPU runs, missed ticks are not made up), poll time-outs, SCHEDOP_watchdog, and the end of a
 * turn while others wait.
 */

import type { PlatformCpu } from '../platform/cpu.ts';
import { SHUTDOWN_watchdog } from '../xen-abi/sched.ts';
import { VIRQ_TIMER } from '../xen-abi/xen.ts';
import { shutdownDomain } from './domain-lifecycle.ts';
import { sendVcpuVirq } from './event-delivery.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { CpuSchedule } from './cpu-schedule.ts';
import { unblock } from './scheduler.ts';
import { updateTimeRecord } from './shared-info.ts';
import type { Vcpu } from './vcpu.ts';

/** Fires what is due on `cpu`. */
export function runTimers(hypervisor: Hypervisor, cpu: PlatformCpu): void {
  const schedule = hypervisor.schedules[cpu.index] as CpuSchedule;
  const due = schedule.timerDeadline !== undefined && cpu.cycles >= schedule.timerDeadline;
  if (!due && !schedule.timersChanged) return;
  schedule.timersChanged = true;
  if (due) schedule.timerDeadline = undefined; // one-shot: it is off now
  const now = hypervisor.now(cpu);
  for (const vcpu of vcpusOn(hypervisor, cpu.index)) {
    if (vcpu.singleshot !== undefined && vcpu.singleshot <= now) {
      vcpu.singleshot = undefined;
      sendTimerEvent(hypervisor, vcpu, cpu);
    }
    if (vcpu.running && vcpu.periodicPeriod > 0n && vcpu.periodicNext <= now) {
      vcpu.periodicNext = now + vcpu.periodicPeriod;
      sendTimerEvent(hypervisor, vcpu, cpu);
    }
    if (vcpu.pollTimeout !== undefined && vcpu.pollTimeout <= now) unblock(hypervisor, vcpu);
    hypervisor.kind(vcpu.domain).runDevices?.(hypervisor, vcpu, cpu);
    if (vcpu.id === 0) runWatchdogs(hypervisor, vcpu, now);
  }
  if (schedule.boosted.length + schedule.ready.length > 0 && now >= schedule.sliceEnd) schedule.wanted = true;
}

/** Sets the platform timer to the first deadline, if that has changed. The last thing before a guest goes on. */
export function programTimer(hypervisor: Hypervisor, cpu: PlatformCpu): void {
  const schedule = hypervisor.schedules[cpu.index] as CpuSchedule;
  if (!schedule.timersChanged) return;
  schedule.timersChanged = false;
  let first: bigint | undefined;
  let deviceCycles: bigint | undefined;
  const consider = (time: bigint | undefined): void => {
    if (time !== undefined && (first === undefined || time < first)) first = time;
  };
  for (const vcpu of vcpusOn(hypervisor, cpu.index)) {
    consider(vcpu.singleshot);
    if (vcpu.running && vcpu.periodicPeriod > 0n) consider(vcpu.periodicNext);
    consider(vcpu.pollTimeout);
    const event = hypervisor.kind(vcpu.domain).nextEvent?.(hypervisor, vcpu);
    if (event !== undefined && (deviceCycles === undefined || event < deviceCycles)) deviceCycles = event;
    if (vcpu.id === 0) for (const time of vcpu.domain.watchdogs) consider(time);
  }
  if (schedule.boosted.length + schedule.ready.length > 0 && schedule.current !== undefined) consider(schedule.sliceEnd);
  let deadline = first === undefined ? undefined : hypervisor.time.cyclesAt(first);
  if (deviceCycles !== undefined && (deadline === undefined || deviceCycles < deadline)) deadline = deviceCycles;
  if (deadline === schedule.timerDeadline) return;
  schedule.timerDeadline = deadline;
  cpu.setTimer(deadline);
}

function sendTimerEvent(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
  updateTimeRecord(hypervisor, vcpu, cpu.cycles);
  sendVcpuVirq(hypervisor, vcpu, VIRQ_TIMER);
}

function runWatchdogs(hypervisor: Hypervisor, vcpu: Vcpu, now: bigint): void {
  const { domain } = vcpu;
  for (const time of domain.watchdogs) {
    if (time === undefined || time > now || domain.shutDown) continue;
    hypervisor.log(`domain ${domain.id}: watchdog`);
    shutdownDomain(hypervisor, domain, SHUTDOWN_watchdog);
  }
}

function* vcpusOn(hypervisor: Hypervisor, processor: number): Generator<Vcpu> {
  for (const domain of hypervisor.domains.values()) {
    if (domain.dying !== 0 || domain.shutDown) continue;
    for (const vcpu of domain.vcpus) if (vcpu.processor === processor && vcpu.initialised) yield vcpu;
  }
}

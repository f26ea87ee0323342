/**
 * The entries of the hypervisor: what its platform's cpus call when a guest makes a SYSCALL, faults or is interrupted,
 * and the one way back. Each entry marks the cpu, does its work through the domain kind, and leaves through
 * {@link leave}, which takes due scheduling decisions, runs host code that plays a domain, and lets the kind deliver an
 * upcall to the guest that goes on.
 */

import { assert } from '../base/errors.ts';
import type { PlatformCpu, ProcessorEvent, RingZeroOwner } from '../platform/cpu.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { CpuSchedule } from './cpu-schedule.ts';
import { decide } from './scheduler.ts';
import { programTimer, runTimers } from './timers.ts';
import type { Vcpu } from './vcpu.ts';

/** Cost rows of entries that belong to no guest (timing-model §4). */
const interruptCost = 'xen.interrupt';

export class RingZero implements RingZeroOwner {
  readonly #hypervisor: Hypervisor;

  constructor(hypervisor: Hypervisor) {
    this.#hypervisor = hypervisor;
  }

  exception(cpu: PlatformCpu, event: ProcessorEvent): void {
    const vcpu = this.#enter(cpu);
    if (vcpu !== undefined) this.#hypervisor.kind(vcpu.domain).exception(this.#hypervisor, vcpu, cpu, event);
    leave(this.#hypervisor, cpu);
  }

  syscall(cpu: PlatformCpu): void {
    const vcpu = this.#enter(cpu);
    if (vcpu !== undefined) this.#hypervisor.kind(vcpu.domain).syscall(this.#hypervisor, vcpu, cpu);
    leave(this.#hypervisor, cpu);
  }

  sysenter(cpu: PlatformCpu): void {
    const vcpu = this.#enter(cpu);
    if (vcpu !== undefined) this.#hypervisor.kind(vcpu.domain).sysenter(this.#hypervisor, vcpu, cpu);
    leave(this.#hypervisor, cpu);
  }

  interrupt(cpu: PlatformCpu, _vector: number): void {
    this.#enter(cpu);
    cpu.charge(interruptCost);
    // Whatever the vector: the timer's deadline and the decisions wanted are looked at on the way out.
    leave(this.#hypervisor, cpu);
  }

  #enter(cpu: PlatformCpu): Vcpu | undefined {
    const hypervisor = this.#hypervisor;
    const vcpu = (hypervisor.schedules[cpu.index] as CpuSchedule).current;
    hypervisor.entered = cpu;
    cpu.touch('text', 0);
    cpu.touch('heap', 0);
    if (vcpu !== undefined) cpu.touch('vcpu', vcpu.domain.id * 64 + vcpu.id);
    return vcpu;
  }
}

/** Also used once per cpu at start: a cpu without work halts. */
export function leave(hypervisor: Hypervisor, cpu: PlatformCpu): void {
  const schedule = hypervisor.schedules[cpu.index] as CpuSchedule;
  hypervisor.entered = cpu;
  // Whatever an interrupt on its way wants is looked at now.
  schedule.interrupted = false;
  // Host code that wakes itself for ever would be its bug; the bound makes that visible.
  for (let rounds = 0; ; rounds++) {
    assert(rounds < 100_000, () => `cpu ${cpu.index} does not get back to a guest`);
    runTimers(hypervisor, cpu);
    if (schedule.wanted) decide(hypervisor, cpu);
    const vcpu = schedule.current;
    if (vcpu === undefined) {
      if (schedule.wanted) continue;
      programTimer(hypervisor, cpu);
      cpu.halt();
      break;
    }
    if (vcpu.code !== undefined) {
      vcpu.code.run();
      continue;
    }
    hypervisor.kind(vcpu.domain).exitToGuest(hypervisor, vcpu, cpu);
    if (schedule.wanted) continue;
    programTimer(hypervisor, cpu);
    break;
  }
  hypervisor.entered = undefined;
}

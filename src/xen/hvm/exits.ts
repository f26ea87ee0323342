/**
 * What happens when a full domain leaves to the hypervisor. The hardware's part of an exit is charged by whoever makes
 * it; here come the handling's row and the work. Exits inside an instruction (ports, second-stage violations, and all
 * exits that host code in ring 0 causes) only do their work; whether the vCPU goes on is decided at the boundary.
 * Nothing that a guest does throws: what it must not do is #GP, all ones, an errno, or its domain's end.
 * Sources: SDM 3C §26 (exits), §28.3.3; timing model, "Events and costs" and "Exits by cause".
 */

import type { PlatformCpu } from '../../platform/cpu.ts';
import type { VmExit } from '../../platform/virtualization.ts';
import { Flag } from '../../x86/eflags.ts';
import { Register } from '../../x86/registers.ts';
import { SHUTDOWN_poweroff } from '../../xen-abi/sched.ts';
import { crashDomain, shutdownDomain } from '../domain-lifecycle.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { leave } from '../ring-zero.ts';
import { sleep, timersChanged } from '../scheduler.ts';
import type { Vcpu } from '../vcpu.ts';
import { flushOutput } from './console-output.ts';
import type { ExitContext } from './exit-context.ts';
import type { FullDomain } from './full-domain.ts';
import { guestCpuid } from './guest-cpuid.ts';
import { readGuestMsr, writeGuestMsr } from './guest-msr.ts';
import { devicesChanged, hasInterrupt } from './interrupts.ts';
import { vmcall } from './vmcall.ts';

/** Reasons, and the two accesses to its local APIC that only host code in ring 0 makes. */
export type ExitName = VmExit['reason'] | 'apic';

/** Cost rows of the handling. */
export const handlingCosts: Readonly<Record<ExitName, string>> = {
  'external-interrupt': 'vm_handle_interrupt',
  'interrupt-window': 'vm_handle_interrupt_window',
  hlt: 'vm_handle_hlt',
  cpuid: 'vm_handle_cpuid',
  io: 'vm_handle_port',
  rdmsr: 'vm_handle_msr',
  wrmsr: 'vm_handle_msr',
  'cr-write': 'vm_handle_cr',
  invlpg: 'vm_handle_invlpg',
  vmcall: 'vm_handle_vmcall',
  'second-stage-violation': 'vm_handle_second_stage_violation',
  'triple-fault': 'vm_handle_triple_fault',
  apic: 'vm_handle_apic',
};

/** Counts, charges and traces an exit, and touches what its path touches. */
export function enterForExit(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu, name: ExitName): void {
  hypervisor.entered = cpu;
  cpu.touch('text', 0);
  cpu.touch('heap', 0);
  cpu.touch('vcpu', vcpu.domain.id * 64 + vcpu.id);
  cpu.charge(handlingCosts[name]);
  hypervisor.operation(vcpu, `exit.${name}`);
}

/** GuestControl.onExit. */
export function handleExit(context: ExitContext, exit: VmExit): void {
  const { hypervisor, state, cpu } = context;
  const before = hypervisor.entered;
  enterForExit(hypervisor, state.vcpu, cpu, exit.reason);
  handle(context, exit);
  const inside = exit.reason === 'io' || exit.reason === 'second-stage-violation' || state.handlers > 0;
  if (inside) hypervisor.entered = before;
  else leave(hypervisor, cpu);
}

/** GuestControl.onBoundary: decisions that an exit inside an instruction left open. */
export function handleBoundary(context: ExitContext): void {
  const { hypervisor, state, cpu } = context;
  hypervisor.entered = cpu;
  if (state.halting) {
    state.halting = false;
    cpu.virtualization?.chargeExit();
    enterForExit(hypervisor, state.vcpu, cpu, 'hlt');
    haltUntilInterrupt(context);
  }
  leave(hypervisor, cpu);
}

function handle(context: ExitContext, exit: VmExit): void {
  const { hypervisor, profile, full, state, cpu } = context;
  const { vcpu } = state;
  switch (exit.reason) {
    case 'external-interrupt':
    case 'interrupt-window':
    case 'cr-write':
    case 'invlpg':
      // The way out looks at timers, decisions and interrupts; the writes have taken effect.
      return;
    case 'hlt':
      halt(context);
      return;
    case 'cpuid': {
      const leaf = Number(cpu.gpr(Register.RAX) & 0xffff_ffffn);
      const subleaf = Number(cpu.gpr(Register.RCX) & 0xffff_ffffn);
      const [eax, ebx, ecx, edx] = guestCpuid(profile, vcpu, cpu, leaf, subleaf);
      cpu.setGpr(Register.RAX, BigInt(eax >>> 0));
      cpu.setGpr(Register.RBX, BigInt(ebx >>> 0));
      cpu.setGpr(Register.RCX, BigInt(ecx >>> 0));
      cpu.setGpr(Register.RDX, BigInt(edx >>> 0));
      return;
    }
    case 'io':
      accessPort(hypervisor, full, vcpu, cpu, exit);
      return;
    case 'rdmsr': {
      const value = readGuestMsr(context, exit.index);
      if (value === undefined) exit.refused = true;
      else exit.value = value;
      return;
    }
    case 'wrmsr':
      if (!writeGuestMsr(context, exit.index, exit.value)) exit.refused = true;
      return;
    case 'vmcall':
      vmcall(context);
      return;
    case 'second-stage-violation':
      cpu.touch('page-table', vcpu.domain.id);
      accessRegisters(context, exit);
      return;
    case 'triple-fault':
      crashDomain(hypervisor, vcpu.domain, `triple fault of vCPU ${vcpu.id} at 0x${cpu.rip.toString(16)}`);
      return;
  }
}

export type PortExit = Extract<VmExit, { reason: 'io' }>;

/** The PC's devices. They run by the clock of the processor that asks. */
export function accessPort(hypervisor: Hypervisor, full: FullDomain, vcpu: Vcpu, cpu: PlatformCpu, exit: PortExit): void {
  const { devices } = full;
  devices.advance(cpu.cycles);
  if (exit.direction === 'in') {
    exit.value = devices.read(exit.port, exit.size, cpu.cycles);
  } else {
    const before = devices.nextEvent();
    devices.write(exit.port, exit.size, exit.value, cpu.cycles);
    if (devices.nextEvent() !== before) timersChanged(hypervisor, full.domain.vcpus[0] ?? vcpu);
  }
  devicesChanged(hypervisor, full);
}

type ViolationExit = Extract<VmExit, { reason: 'second-stage-violation' }>;

/**
 * Registers of the PC in memory. Where nothing answers reads are all ones and writes go nowhere, which is what the
 * processor makes of an exit that is left as it is.
 */
function accessRegisters({ hypervisor, full, state, cpu }: ExitContext, exit: ViolationExit): void {
  const { mmio } = exit;
  if (mmio === undefined) return;
  const { devices } = full;
  const { id } = state.vcpu;
  const apic = devices.apics.all[id];
  const before = apic?.nextEvent;
  devices.advance(cpu.cycles);
  const sharedBefore = devices.nextEvent();
  for (let done = 0; done < mmio.size; done += 4) {
    const size = Math.min(4, mmio.size - done) as 1 | 2 | 4;
    const shift = BigInt(8 * done);
    const mask = ((1n << BigInt(8 * size)) - 1n) << shift;
    const address = exit.guestPhysical + done;
    if (exit.access === 'read') {
      const value = devices.readMemory(id, address, size, cpu.cycles);
      if (value !== undefined) mmio.value = (mmio.value & ~mask) | ((BigInt(value) << shift) & mask);
    } else {
      devices.writeMemory(id, address, size, Number((mmio.value & mask) >> shift), cpu.cycles, cpu.cycles);
    }
  }
  if (apic?.nextEvent !== before) timersChanged(hypervisor, state.vcpu);
  const [first] = full.domain.vcpus;
  if (devices.nextEvent() !== sharedBefore && first !== undefined) timersChanged(hypervisor, first);
  devicesChanged(hypervisor, full);
}

/** HLT with interrupts off is the last thing that a vCPU does; when all have done it, the domain is off. */
function halt(context: ExitContext): void {
  const { hypervisor, state, cpu } = context;
  const { vcpu } = state;
  if ((cpu.rflags & BigInt(Flag.IF)) !== 0n || state.control.ringZero !== undefined) {
    haltUntilInterrupt(context);
    return;
  }
  vcpu.down = true;
  sleep(hypervisor, vcpu);
  if (vcpu.domain.vcpus.every((other) => other.down)) shutdownDomain(hypervisor, vcpu.domain, SHUTDOWN_poweroff);
}

function haltUntilInterrupt({ hypervisor, full, state }: ExitContext): void {
  flushOutput(hypervisor, full);
  if (hasInterrupt(hypervisor, full, state)) return;
  state.vcpu.blocked = true;
  sleep(hypervisor, state.vcpu);
}

/**
 * Full domains: an unmodified kernel in non-root operation with second-stage paging and a PC's devices, or, in ring 0,
 * the host code of another hypervisor (full-domain-platform.ts). One object belongs to one hypervisor and holds what its
 * full domains have beside the common parts.
 */

import { assert } from '../../base/errors.ts';
import type { SaveReader, SaveWriter } from '../../base/persist.ts';
import type { VirtioDevice } from '../../devices/virtio/device.ts';
import type { CpuContext } from '../../platform/context.ts';
import type { PlatformCpu } from '../../platform/cpu.ts';
import type { VmExit } from '../../platform/virtualization.ts';
import { CpuidLeaf } from '../../x86/cpuid-leaves.ts';
import { ENODEV } from '../../xen-abi/errno.ts';
import { GNTST_general_error } from '../../xen-abi/grant-table.ts';
import { HVM_PARAM_CONSOLE_EVTCHN, VCPU_HVM_CONTEXT_BYTES, VCPU_HVM_MODE_64B, vcpu_hvm_context_64 } from '../../xen-abi/hvm.ts';
import { SHUTDOWN_poweroff, SHUTDOWN_reboot } from '../../xen-abi/sched.ts';
import type { Domain } from '../domain.ts';
import type { DomainKind } from '../domain-kind.ts';
import { crashDomain, shutdownDomain } from '../domain-lifecycle.ts';
import type { Hypercall } from '../hypercall/table.ts';
import type { GuestMemory, Hypervisor } from '../hypervisor.ts';
import { scheduleOf, timersChanged } from '../scheduler.ts';
import { setUpcallMask } from '../shared-info.ts';
import type { Vcpu } from '../vcpu.ts';
import { flushOutput, receiveInput, transmitByte } from './console-output.ts';
import type { ExitContext } from './exit-context.ts';
import { handleBoundary, handleExit } from './exits.ts';
import { firstContext } from './first-context.ts';
import { type FullDomain, type FullDomainPlatform, type FullVcpu, newFullDomain, newFullVcpu } from './full-domain.ts';
import { GuestPhysicalMemory } from './guest-physical-memory.ts';
import { hvmOp } from './hvm-op.ts';
import { devicesChanged, injectInterrupt, requestVector, timerVector } from './interrupts.ts';
import type { FullProfile } from './profile.ts';
import { restoreFullDomain, saveFullDomain } from './save-full-domain.ts';
import { initVcpu, startVcpu } from './start-vcpu.ts';

const saveVersion = 1;

export interface FullDomainsOptions {
  /** Told about every byte of a domain's serial port, beside its console ring. */
  readonly serial?: (domain: Domain, byte: number) => void;
  /** Virtio devices of a new domain. DEVIATION: the hypervisor plays the device model; nothing is charged to a Dom0. */
  readonly virtio?: (domain: Domain) => readonly VirtioDevice[];
}

export class FullDomains implements DomainKind {
  readonly name = 'full';
  readonly contextBytes = VCPU_HVM_CONTEXT_BYTES;
  readonly profile: FullProfile;
  readonly hypercalls: readonly Hypercall[];
  readonly #options: FullDomainsOptions;
  readonly #domains = new Map<number, FullDomain>();

  constructor(profile: FullProfile, options: FullDomainsOptions = {}) {
    this.profile = profile;
    this.#options = options;
    this.hypercalls = [hvmOp((id) => this.#domains.get(id))];
  }

  start(_hypervisor: Hypervisor): void {}

  /** The parts of a full domain that lives. */
  of(domain: Domain): FullDomain {
    const full = this.#domains.get(domain.id);
    assert(full?.domain === domain, () => `domain ${domain.id} is no full domain`);
    return full;
  }

  stateOf(vcpu: Vcpu): FullVcpu {
    return this.of(vcpu.domain).vcpus[vcpu.id] as FullVcpu;
  }

  createDomain(hypervisor: Hypervisor, domain: Domain): number {
    // A platform without virtualization is a full domain itself: none inside it.
    if (hypervisor.platform.cpus.some((cpu) => cpu.virtualization === undefined)) return -ENODEV;
    const full = newFullDomain(domain, this.#platform(hypervisor, domain), this.profile, {
      transmit: (target, byte) => {
        this.#options.serial?.(domain, byte);
        transmitByte(hypervisor, target, byte);
      },
      powerOff: (target, code) => {
        target.exitCode = code;
        flushOutput(hypervisor, target);
        shutdownDomain(hypervisor, domain, SHUTDOWN_poweroff);
      },
      reset: (target) => {
        flushOutput(hypervisor, target);
        shutdownDomain(hypervisor, domain, SHUTDOWN_reboot);
      },
      init: (target, index) => initVcpu(hypervisor, target, index),
      startup: (target, index, vector) => startVcpu(hypervisor, target, index, vector),
      unknownPort: (_target, port, write) => hypervisor.unknown(domain, 'port', `${write ? 'out' : 'in'} 0x${port.toString(16)}`),
    });
    this.#domains.set(domain.id, full);
    return 0;
  }

  #platform(hypervisor: Hypervisor, domain: Domain): FullDomainPlatform {
    const { platform, epoch } = hypervisor;
    const [addressSizes] = platform.cpus[0]?.cpuid(CpuidLeaf.ADDRESS_SIZES, 0) ?? [36];
    const seconds = epoch / 1_000_000_000n + domain.timeOffsetSeconds;
    const { tscKhz, memory } = platform;
    const virtio = this.#options.virtio?.(domain) ?? [];
    return { tscKhz, memory, virtio, epoch: seconds, physicalAddressBits: addressSizes & 0xff };
  }

  createVcpu(hypervisor: Hypervisor, vcpu: Vcpu): void {
    this.#createState(hypervisor, vcpu);
    // evtchn_upcall_mask is no part of event delivery to a full domain: it has its interrupt flag.
    setUpcallMask(hypervisor, vcpu, false);
  }

  #createState(hypervisor: Hypervisor, vcpu: Vcpu): void {
    const full = this.of(vcpu.domain);
    full.vcpus[vcpu.id] = newFullVcpu(full, vcpu, this.profile, {
      exit: (_vcpu, cpu, exit: VmExit) => handleExit(this.#context(hypervisor, vcpu, cpu), exit),
      boundary: (_vcpu, cpu) => handleBoundary(this.#context(hypervisor, vcpu, cpu)),
    });
  }

  setContext(_hypervisor: Hypervisor, vcpu: Vcpu, image: Uint8Array): number {
    return firstContext(image, vcpu.context);
  }

  getContext(_hypervisor: Hypervisor, vcpu: Vcpu): Uint8Array {
    return contextImage(vcpu.context);
  }

  relinquish(_hypervisor: Hypervisor, domain: Domain): void {
    this.#domains.get(domain.id)?.physmap.clear();
    this.#domains.delete(domain.id);
  }

  // Events of the guest go to the guest; in root operation none of its code runs.
  exception(hypervisor: Hypervisor, vcpu: Vcpu): void {
    crashDomain(hypervisor, vcpu.domain, 'exception outside of the guest');
  }

  syscall(hypervisor: Hypervisor, vcpu: Vcpu): void {
    crashDomain(hypervisor, vcpu.domain, 'SYSCALL outside of the guest');
  }

  sysenter(hypervisor: Hypervisor, vcpu: Vcpu): void {
    crashDomain(hypervisor, vcpu.domain, 'SYSENTER outside of the guest');
  }

  exitToGuest(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
    injectInterrupt(hypervisor, this.of(vcpu.domain), this.stateOf(vcpu), cpu);
  }

  switchIn(_hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
    cpu.charge('xen.schedule');
    this.#enter(vcpu, cpu);
  }

  switchOut(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
    cpu.virtualization?.enter(undefined);
    // It has to be entered again, also when its registers are still there.
    scheduleOf(hypervisor, vcpu).lastLoaded = undefined;
  }

  // DEVIATION: a full domain cannot map grants; the frames that it grants can be mapped and copied.
  mapGrant(): number {
    return GNTST_general_error;
  }

  unmapGrant(): number {
    return GNTST_general_error;
  }

  guestMemory(hypervisor: Hypervisor, vcpu: Vcpu): GuestMemory {
    const { control } = this.stateOf(vcpu);
    if (control.ringZero !== undefined) return new GuestPhysicalMemory(hypervisor.memory, control.secondStage);
    assert(vcpu.running, () => `memory of vcpu ${vcpu.domain.id}.${vcpu.id} while it does not run`);
    const cpu = hypervisor.cpuOf(vcpu);
    // The caller is its kernel.
    return {
      readVirtual: (linear, into) => cpu.readVirtual(linear, into, false),
      writeVirtual: (linear, from) => cpu.writeVirtual(linear, from, false),
    };
  }

  setPhysmap(_hypervisor: Hypervisor, domain: Domain, guestFrame: number, frame: number): boolean {
    return this.of(domain).physmap.set(guestFrame, frame);
  }

  /** Dom0 has moved something in the console ring, whose other end is the serial port. */
  consumeEvent(hypervisor: Hypervisor, domain: Domain, port: number): boolean {
    const full = this.of(domain);
    if (port !== Number(full.params[HVM_PARAM_CONSOLE_EVTCHN])) return false;
    flushOutput(hypervisor, full);
    receiveInput(hypervisor, full);
    devicesChanged(hypervisor, full);
    return true;
  }

  nextEvent(_hypervisor: Hypervisor, vcpu: Vcpu): bigint | undefined {
    const { devices } = this.of(vcpu.domain);
    let { timer: first } = this.stateOf(vcpu);
    for (const time of [devices.apics.all[vcpu.id]?.nextEvent, vcpu.id === 0 ? devices.nextEvent() : undefined]) {
      if (time !== undefined && (first === undefined || time < first)) first = time;
    }
    return first;
  }

  runDevices(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
    const full = this.of(vcpu.domain);
    const state = this.stateOf(vcpu);
    if (state.timer !== undefined && state.timer <= cpu.cycles) {
      state.timer = undefined;
      requestVector(hypervisor, state, timerVector);
    }
    full.devices.apics.all[vcpu.id]?.advance(cpu.cycles);
    if (vcpu.id === 0) {
      full.devices.advance(cpu.cycles);
      flushOutput(hypervisor, full);
    }
    devicesChanged(hypervisor, full);
  }

  /** The deadline of the timer of host code in ring 0. */
  setTimer(hypervisor: Hypervisor, vcpu: Vcpu, deadline: bigint | undefined): void {
    this.stateOf(vcpu).timer = deadline;
    timersChanged(hypervisor, vcpu);
  }

  /** Beside domains and vCPUs, which the core saves: devices, parameters, and what a VMCS would hold. */
  save(_hypervisor: Hypervisor, writer: SaveWriter): void {
    writer.section('full', saveVersion, () => {
      writer.list([...this.#domains.values()], (full) => saveFullDomain(full, writer));
    });
  }

  /** The domains are there again, without this part of theirs. Vcpus that ran are entered; processors come after this. */
  restore(hypervisor: Hypervisor, reader: SaveReader): void {
    reader.section('full', saveVersion, () => {
      this.#domains.clear();
      reader.list(() => {
        const domain = hypervisor.domains.get(reader.u32());
        if (domain === undefined) return reader.fail('devices of a domain that is not there');
        this.createDomain(hypervisor, domain);
        for (const vcpu of domain.vcpus) this.#createState(hypervisor, vcpu);
        restoreFullDomain(this.of(domain), reader);
        for (const vcpu of domain.vcpus) {
          if (vcpu.running) this.#enter(vcpu, hypervisor.cpuOf(vcpu));
        }
      });
    });
  }

  /** A HLT of host code that has not been taken yet is due before anything else. */
  #enter(vcpu: Vcpu, cpu: PlatformCpu): void {
    const { control, halting } = this.stateOf(vcpu);
    cpu.virtualization?.enter(control);
    if (halting) cpu.virtualization?.requestBoundary();
  }

  #context(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): ExitContext {
    return { hypervisor, profile: this.profile, full: this.of(vcpu.domain), state: this.stateOf(vcpu), cpu };
  }
}

/** getvcpucontext: the general registers, in the 64-bit form. */
function contextImage(context: CpuContext): Uint8Array {
  const [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi] = context.gpr as unknown as bigint[];
  const { rip, rflags, cr0, cr3, cr4, efer } = context;
  const registers = { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, rip, rflags, cr0, cr3, cr4, efer };
  return vcpu_hvm_context_64.write({ mode: VCPU_HVM_MODE_64B, ...registers });
}

/**
 * What a full domain has beside the common parts: its guest-physical map, a PC's devices, the parameters of hvm_op, and
 * for each vCPU what a VMCS would hold. Plain data but for the links to hypervisor and vCPU.
 *
 * DEVIATION: Xen leaves the PC to a device model in Dom0; here the interrupt controllers, the timer and the serial port
 * of a full domain are the hypervisor's own (the first two are so in Xen too). What the guest sends to its serial port
 * goes to the console ring page that the toolstack set up (HVM_PARAM_CONSOLE_PFN), where Dom0's console backend reads
 * it as it reads a paravirtual console; Dom0's input goes the same way back.
 */

import { PcDevices } from '../../devices/pc-devices.ts';
import type { VirtioDevice } from '../../devices/virtio/device.ts';
import type { GuestControl, PlatformCpu, RingZeroOwner } from '../../platform/cpu.ts';
import type { PlatformMemory } from '../../platform/memory.ts';
import type { VmExit } from '../../platform/virtualization.ts';
import { HVM_NR_PARAMS } from '../../xen-abi/hvm.ts';
import type { Domain } from '../domain.ts';
import type { Vcpu } from '../vcpu.ts';
import { DomainDma } from './domain-dma.ts';
import { Physmap } from './physmap.ts';
import type { FullProfile } from './profile.ts';

export interface FullDomain {
  readonly domain: Domain;
  readonly physmap: Physmap;
  readonly devices: PcDevices;
  readonly params: BigUint64Array;
  /** Bytes of the serial port that the console ring has not taken yet. */
  readonly output: number[];
  /** What was written to the debug exit, when that ended the domain. */
  exitCode: number | undefined;
  readonly vcpus: FullVcpu[];
}

export interface FullVcpu {
  readonly vcpu: Vcpu;
  readonly control: FullControl;
  /** HVMOP_set_evtchn_upcall_vector; 0 for none. */
  upcallVector: number;
  /** The event upcall was raised and evtchn_upcall_pending has not been seen clear since. */
  upcallRaised: boolean;
  /** Where KVM's clock has its record, as the guest wrote it: bit 0 set when it is in use. */
  systemTimeArea: bigint;

  // Only where ring 0 is host code (full-domain-cpu.ts): its local APIC.
  /** Vectors requested by its timer and other vCPUs, in the order in which they came. */
  readonly requested: number[];
  /** TSC value at which its timer fires. */
  timer: bigint | undefined;
  /** It has executed HLT; the exit is taken when its handler has returned. */
  halting: boolean;
  /** A flush of all translations that was asked for while the vCPU did not run. */
  flushDue: boolean;
  /** Handlers of it that are on the host's stack: the register context must not be replaced under them. 0 between instructions. */
  handlers: number;
}

/** VCPUs have VPIDs from 1 on: 0 is root operation. */
const vpids = 0xffff;
const vcpusPerDomain = 64;

export interface ExitHandlers {
  exit(vcpu: Vcpu, cpu: PlatformCpu, exit: VmExit): void;
  boundary(vcpu: Vcpu, cpu: PlatformCpu): void;
}

export class FullControl implements GuestControl {
  readonly vpid: number;
  readonly secondStage: Physmap;
  readonly intercepts: GuestControl['intercepts'];
  ringZero: { owner: RingZeroOwner; cpu: PlatformCpu } | undefined = undefined;
  pendingInterrupt: number | undefined = undefined;
  interruptWindow = false;
  readonly #vcpu: Vcpu;
  readonly #handlers: ExitHandlers;

  constructor(vcpu: Vcpu, secondStage: Physmap, profile: FullProfile, handlers: ExitHandlers) {
    this.vpid = 1 + ((vcpu.domain.id * vcpusPerDomain + vcpu.id) % vpids);
    this.secondStage = secondStage;
    this.intercepts = profile.intercepts;
    this.#vcpu = vcpu;
    this.#handlers = handlers;
  }

  onExit(cpu: PlatformCpu, exit: VmExit): void {
    this.#handlers.exit(this.#vcpu, cpu, exit);
  }

  onBoundary(cpu: PlatformCpu): void {
    this.#handlers.boundary(this.#vcpu, cpu);
  }
}

export interface FullDomainEvents {
  transmit(full: FullDomain, byte: number): void;
  /** `code` undefined: switched off; else the value of the debug exit. */
  powerOff(full: FullDomain, code: number | undefined): void;
  /** The guest asked for a reset of its machine. */
  reset(full: FullDomain): void;
  unknownPort(full: FullDomain, port: number, write: boolean): void;
  /** Messages between local APICs that are not interrupts by vector. */
  init(full: FullDomain, vcpu: number): void;
  startup(full: FullDomain, vcpu: number, vector: number): void;
}

/** What the platform gives to the PC of a full domain. */
export interface FullDomainPlatform {
  readonly tscKhz: number;
  /** Unix time in seconds when the platform's cycle counter was 0. */
  readonly epoch: bigint;
  readonly physicalAddressBits: number;
  readonly memory: PlatformMemory;
  /** Devices on PCI beside the bridges. */
  readonly virtio: readonly VirtioDevice[];
}

export function newFullDomain(domain: Domain, platform: FullDomainPlatform, profile: FullProfile, events: FullDomainEvents): FullDomain {
  const physmap = new Physmap(domain, profile.largestLeaf);
  const full: FullDomain = {
    domain,
    physmap,
    devices: new PcDevices({
      tscKhz: platform.tscKhz,
      epoch: platform.epoch,
      memory: new DomainDma(platform.memory, physmap),
      virtio: platform.virtio,
      processors: domain.maxVcpus,
      // DEVIATION: no x2APIC and no TSC deadline (guest-cpuid.ts hides them); NMIs between vCPUs are not delivered.
      apic: { x2apic: false, tscDeadline: false, physicalAddressBits: platform.physicalAddressBits },
      init: (vcpu) => events.init(full, vcpu),
      startup: (vcpu, vector) => events.startup(full, vcpu, vector),
      reset: () => events.reset(full),
      transmit: (byte) => events.transmit(full, byte),
      powerOff: (code) => events.powerOff(full, code),
      unknownPort: (port, write) => events.unknownPort(full, port, write),
    }),
    params: new BigUint64Array(HVM_NR_PARAMS),
    output: [],
    exitCode: undefined,
    vcpus: [],
  };
  return full;
}

export function newFullVcpu(full: FullDomain, vcpu: Vcpu, profile: FullProfile, handlers: ExitHandlers): FullVcpu {
  return {
    vcpu,
    control: new FullControl(vcpu, full.physmap, profile, handlers),
    upcallVector: 0,
    upcallRaised: false,
    systemTimeArea: 0n,
    requested: [],
    timer: undefined,
    halting: false,
    flushDue: false,
    handlers: 0,
  };
}

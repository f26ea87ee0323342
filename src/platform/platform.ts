/**
 * What a hypervisor runs on, and the only thing that it sees: a bare machine, or a full domain of another hypervisor.
 * So a hypervisor in a domain of another is a composition, not a special case.
 */
import type { PlatformCpu } from './cpu.ts';
import type { PlatformMemory } from './memory.ts';

export interface Platform {
  readonly memory: PlatformMemory;
  readonly cpus: readonly PlatformCpu[];
  /** Cycles a second of the TSC, in kHz. */
  readonly tscKhz: number;
  /** Port I/O of this platform, for hypervisors that own devices (serial console). */
  readonly io: PortIo;
  /** The layer below, when this platform is a domain: what the Blanket's passthrough reaches. */
  readonly below: LayerBelow | undefined;
}

export interface PortIo {
  read(port: number, size: 1 | 2 | 4): number;
  write(port: number, size: 1 | 2 | 4, value: number): void;
}

/** The hypercall interface of the layer below (Xen HVM: VMCALL with the arguments in registers). */
export interface LayerBelow {
  /** The CPUID signature, e.g. `XenVMMXenVMM` or `KVMKVMKVM\0\0\0`. */
  readonly signature: string;
  /** Issues hypercall `number` from ring 0 on `cpu`; pointer arguments are guest-physical addresses of this platform's memory. */
  hypercall(cpu: PlatformCpu, number: number, args: readonly bigint[]): bigint;
}

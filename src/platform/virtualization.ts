/**
 * Types of hardware virtualization: the second stage of translation and the exits of a guest.
 * Sources: SDM 3C §26 (VM exits), §29.3 (EPT).
 */

/** Guest-physical to machine translation of one domain (EPT). Frames, plain data behind it. */
export interface SecondStage {
  /** Machine frame of a guest frame, or -1 when not mapped (an EPT violation). */
  machineFrame(guestFrame: number): number;
  writable(guestFrame: number): boolean;
  /** Size of the leaf that maps it, as log2 bytes: 12 or 21. Enters the modelled TLB's entry size. */
  leafShift(guestFrame: number): 12 | 21;
  /** Bumped on every change, so that cached translations can be dropped. */
  readonly generation: number;
}

export type VmExit =
  | { reason: 'external-interrupt'; vector: number }
  | { reason: 'interrupt-window' }
  | { reason: 'hlt' }
  | { reason: 'cpuid' }
  | { reason: 'io'; port: number; size: 1 | 2 | 4; direction: 'in' | 'out'; value: number }
  /** `value` is the answer; `refused` raises #GP(0) in the guest. Without either the hypervisor has set the registers itself. */
  | { reason: 'rdmsr'; index: number; value?: bigint; refused?: boolean }
  | { reason: 'wrmsr'; index: number; value: bigint; refused?: boolean }
  | { reason: 'cr-write'; register: 0 | 3 | 4; value: bigint }
  | { reason: 'invlpg'; linear: bigint }
  | { reason: 'vmcall' }
  | { reason: 'second-stage-violation'; guestPhysical: number; access: 'read' | 'write' | 'fetch'; mmio?: { size: number; value: bigint } }
  | { reason: 'triple-fault' };

/**
 * Flavours of full virtualization, as data: what a guest sees of its hypervisor, how its memory is mapped, and which
 * optional operations leave the guest. KVM is the same hypervisor with other values and without Xen's hypercalls.
 * Sources: timing model, "Exits by cause" (Xen 3.x, Linux 2.6.34 and later with EPT); Xen public/arch-x86/cpuid.h;
 * Linux Documentation/virt/kvm/x86/cpuid.rst, hypercalls.rst (facts of the interface).
 */

import type { GuestControl } from '../../platform/cpu.ts';
import { ENOSYS, EPERM } from '../../xen-abi/errno.ts';

export interface FullProfile {
  readonly name: 'xen' | 'kvm';
  /** Twelve bytes in EBX, ECX, EDX of leaf 0x40000000. */
  readonly signature: string;
  /** Leaves by offset from 0x40000000; leaf 0 holds the signature, EAX of it is the highest leaf. */
  readonly highestLeaf: number;
  readonly leaves: Readonly<Record<number, readonly [eax: number, ebx: number, ecx: number, edx: number]>>;
  /** Log2 size of the largest second-stage leaf that is used. */
  readonly largestLeaf: 12 | 21;
  readonly intercepts: GuestControl['intercepts'];
  /** Xen's hypercalls by VMCALL, and their page by MSR 0x40000000. */
  readonly xenHypercalls: boolean;
  /** RAX of a VMCALL that does not exist, and of one from CPL above 0. */
  readonly unknownCall: bigint;
  readonly callFromUser: bigint;
}

const noIntercepts = { cr3: false, cr4Pge: false, cr0Ts: false, invlpg: false, rdtsc: false, kernelGsBase: false };

const xenVersion = (4 << 16) | 17;
const hypercallPages = 1;
const hypercallMsr = 0x4000_0000;

export const XEN_PROFILE: FullProfile = {
  name: 'xen',
  signature: 'XenVMMXenVMM',
  highestLeaf: 2,
  leaves: { 1: [xenVersion, 0, 0, 0], 2: [hypercallPages, hypercallMsr, 0, 0] },
  largestLeaf: 21,
  intercepts: { ...noIntercepts, cr4Pge: true, cr0Ts: true, kernelGsBase: true },
  xenHypercalls: true,
  unknownCall: BigInt(-ENOSYS),
  callFromUser: BigInt(-EPERM),
};

/** Leaf 1 EAX: the clock's MSRs are there (kvm-clock.ts), and it is the same on all vCPUs. */
const kvmClock = (1 << 3) | (1 << 24);

/** KVM_ENOSYS and KVM_EPERM; the only paravirtual feature is the clock. */
export const KVM_PROFILE: FullProfile = {
  name: 'kvm',
  signature: 'KVMKVMKVM\0\0\0',
  highestLeaf: 1,
  leaves: { 1: [kvmClock, 0, 0, 0] },
  largestLeaf: 12,
  intercepts: noIntercepts,
  xenHypercalls: false,
  unknownCall: -1000n,
  callFromUser: -1n,
};

export const FULL_PROFILES: Readonly<Record<FullProfile['name'], FullProfile>> = { xen: XEN_PROFILE, kvm: KVM_PROFILE };

/** The signature as EBX, ECX, EDX. */
export function signatureWords(profile: FullProfile): [number, number, number] {
  const bytes = new Uint8Array(12);
  for (let i = 0; i < 12; i++) bytes[i] = profile.signature.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  return [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
}

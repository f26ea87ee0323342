/**
 * CPUID of a full domain: the platform's processor without virtualization, "hypervisor present", the domain's own count
 * of processors, and the hypervisor's leaves.
 * Sources: SDM 2A CPUID; Xen public/arch-x86/cpuid.h; the KVM leaves are in profile.ts.
 */

import type { PlatformCpu } from '../../platform/cpu.ts';
import { CpuidLeaf, featureMask } from '../../x86/cpuid-leaves.ts';
import { HYPERVISOR_LEAF } from '../../xen-abi/hvm.ts';
import type { Vcpu } from '../vcpu.ts';
import { type FullProfile, signatureWords } from './profile.ts';

type Words = [eax: number, ebx: number, ecx: number, edx: number];

/** Leaf 1 ECX: VMX is not offered inside, bit 31 tells that a hypervisor is there. */
const VMX = 1 << 5;
const HYPERVISOR_PRESENT = 1 << 31;
/** What guest-msr.ts has no registers for: memory types by range, machine checks. */
const WITHOUT_REGISTERS = featureMask(new Set(['MTRR', 'MCE', 'MCA']), 1, 0, 'edx');
const X2APIC = 1 << 21;
const TSC_DEADLINE = 1 << 24;
/** 8000_0001 ECX. */
const SVM = 1 << 2;
/** Leaf 1 EDX. */
const HTT = 1 << 28;
const lastHypervisorLeaf = 0x4000_00ff;

export function guestCpuid(profile: FullProfile, vcpu: Vcpu, cpu: PlatformCpu, leaf: number, subleaf: number): Words {
  const unsigned = leaf >>> 0;
  if (unsigned >= HYPERVISOR_LEAF && unsigned <= lastHypervisorLeaf) return hypervisorLeaf(profile, unsigned - HYPERVISOR_LEAF);
  const [eax, ebx, ecx, edx] = cpu.cpuid(unsigned, subleaf >>> 0);
  if (unsigned === CpuidLeaf.VERSION) {
    const processors = vcpu.domain.maxVcpus;
    const own = ((vcpu.id & 0xff) << 24) | ((processors & 0xff) << 16) | (ebx & 0xffff);
    const offered = edx & ~WITHOUT_REGISTERS;
    const threads = processors > 1 ? offered | HTT : offered & ~HTT;
    return [eax, own >>> 0, ((ecx & ~(VMX | X2APIC | TSC_DEADLINE)) | HYPERVISOR_PRESENT) >>> 0, threads >>> 0];
  }
  if (unsigned === CpuidLeaf.EXTENDED_TOPOLOGY) {
    // One thread a core, all cores of the domain in one package.
    const processors = vcpu.domain.maxVcpus;
    if (eax === 0 && ebx === 0 && ecx === 0 && edx === 0) return [0, 0, 0, 0];
    if (subleaf === 0) return [0, 1, 0x100, vcpu.id];
    if (subleaf === 1) return [32 - Math.clz32(processors - 1), processors, 0x201, vcpu.id];
    return [0, 0, subleaf & 0xff, vcpu.id];
  }
  if (unsigned === CpuidLeaf.EXTENDED_FEATURES) return [eax, ebx, (ecx & ~SVM) >>> 0, edx];
  return [eax, ebx, ecx, edx];
}

function hypervisorLeaf(profile: FullProfile, offset: number): Words {
  if (offset === 0) return [HYPERVISOR_LEAF + profile.highestLeaf, ...signatureWords(profile)];
  const found = profile.leaves[offset];
  return found === undefined ? [0, 0, 0, 0] : [...found];
}

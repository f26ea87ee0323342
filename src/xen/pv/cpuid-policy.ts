/**
 * What CPUID tells a paravirtual guest: the processor's leaves without what a guest in ring 3 cannot use, and Xen's own
 * leaves at 0x40000000. Seen through the forced-emulation prefix, and natively where the processor faults on CPUID.
 * Sources: Xen public/arch-x86/cpuid.h, SDM 2A CPUID.
 */
import { CpuidLeaf, FEATURE_BITS, featureMask } from '../../x86/cpuid-leaves.ts';
import { Cr4 } from '../../x86/control-registers.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';

export type CpuidValues = [eax: number, ebx: number, ecx: number, edx: number];

/** What xen_version(version) answers: 4.17. */
const XEN_VERSION = (4 << 16) | 17;
const XEN_LEAVES = 5;
const HYPERCALL_MSR = 0x4000_0000;
/** Bit 0 of leaf +2 ECX: MMU_PT_UPDATE_PRESERVE_AD exists. */
const PRESERVE_AD = 1;

/**
 * Hidden: other modes of the processor, and what belongs to its owner. XSAVE too: the platform interface has no XCR0.
 * DEVIATION: Xen shows XSAVE where the processor has it.
 */
const HIDDEN: ReadonlySet<string> = new Set(
  `VME PSE PGE PSE36 MTRR ACPI DS DTES64 MONITOR VMX EIST TM PDCM PCID X2APIC TSC_DEADLINE XSAVE OSXSAVE AVX FMA F16C
   TSC_ADJUST SMEP SMAP INVPCID RTM UMIP PKU OSPKE LA57 VAES VPCLMULQDQ AVX2
   XSAVEOPT XSAVEC XGETBV_ECX1 XSAVES FFXSR PAGE1GB SVM EXTAPIC CR8_LEGACY MONITORX NPT`.split(/\s+/),
);
const hiddenIn = (leaf: number, register: 'eax' | 'ebx' | 'ecx' | 'edx'): number =>
  ~featureMask(HIDDEN, leaf, leaf === 0xd ? 1 : 0, register);

function signature(text: string): [number, number, number] {
  const word = (at: number): number =>
    (text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8) | (text.charCodeAt(at + 2) << 16) | (text.charCodeAt(at + 3) << 24)) >>> 0;
  return [word(0), word(4), word(8)];
}

export function guestCpuid(hypervisor: Hypervisor, vcpu: Vcpu, leaf: number, subleaf: number): CpuidValues {
  const cpu = hypervisor.cpuOf(vcpu);
  const base = CpuidLeaf.HYPERVISOR;
  if (leaf >= base && leaf < base + 0x100) return xenLeaf(hypervisor, vcpu, leaf - base, subleaf);
  if (leaf > base && leaf < base + 0x1_0000) return [0, 0, 0, 0];
  const [eax, ebx, ecx, edx] = cpu.cpuid(leaf, subleaf);
  const pv = vcpu.pv as PvVcpu;
  switch (leaf) {
    case CpuidLeaf.VERSION: {
      const osxsave = (pv.cr4 & BigInt(Cr4.OSXSAVE)) === 0n ? 0 : featureMask(new Set(['OSXSAVE']), 1, 0, 'ecx');
      const shown = (ecx & hiddenIn(leaf, 'ecx')) | featureMask(new Set(['HYPERVISOR']), 1, 0, 'ecx') | osxsave;
      const apicId = ((ebx & 0x00ff_ffff) | ((vcpu.id * 2) << 24)) >>> 0;
      return [eax, apicId, shown >>> 0, (edx & hiddenIn(leaf, 'edx')) >>> 0];
    }
    case CpuidLeaf.MONITOR:
      return [0, 0, 0, 0];
    case CpuidLeaf.STRUCTURED_FEATURES:
      if (subleaf !== 0) return [0, 0, 0, 0];
      return [0, (ebx & hiddenIn(leaf, 'ebx')) >>> 0, (ecx & hiddenIn(leaf, 'ecx')) >>> 0, edx];
    case CpuidLeaf.XSAVE:
    case CpuidLeaf.SVM:
      return [0, 0, 0, 0];
    case CpuidLeaf.EXTENDED_FEATURES:
      return [eax, ebx, (ecx & hiddenIn(leaf, 'ecx')) >>> 0, (edx & hiddenIn(leaf, 'edx')) >>> 0];
    default:
      return [eax, ebx, ecx, edx];
  }
}

/** Whether the guest's CPUID shows a feature, by its name in the opcode rows. */
export function guestHasFeature(hypervisor: Hypervisor, vcpu: Vcpu, name: string): boolean {
  const place = FEATURE_BITS.get(name);
  if (place === undefined) return false;
  const values = guestCpuid(hypervisor, vcpu, place.leaf, place.subleaf);
  const value = values[['eax', 'ebx', 'ecx', 'edx'].indexOf(place.register)] as number;
  return ((value >>> place.bit) & 1) === 1;
}

function xenLeaf(hypervisor: Hypervisor, vcpu: Vcpu, offset: number, subleaf: number): CpuidValues {
  const { tsc } = vcpu.domain;
  switch (offset) {
    case 0:
      return [CpuidLeaf.HYPERVISOR + XEN_LEAVES, ...signature('XenVMMXenVMM')];
    case 1:
      return [XEN_VERSION, 0, 0, 0];
    case 2:
      return [1, HYPERCALL_MSR, PRESERVE_AD, 0];
    case 3:
      if (subleaf === 0) return [2, tsc.mode, tsc.khz, tsc.incarnation]; // bit 1: the host's TSC is reliable
      if (subleaf === 2) return [hypervisor.platform.tscKhz, 0, 0, 0];
      return [0, 0, 0, 0];
    case 5: {
      const [sizes] = hypervisor.cpuOf(vcpu).cpuid(CpuidLeaf.ADDRESS_SIZES, 0);
      return [0, sizes & 0xff, 0, 0];
    }
    default:
      return [0, 0, 0, 0];
  }
}

/**
 * Model-specific registers of paravirtual guest kernels: emulated RDMSR and WRMSR.
 * Sources: Xen public/arch-x86/cpuid.h (MSR 0x40000000), SDM 4 §2, AMD APM 2 appendix A.
 * Left out: the vPMU (off, as by default), virtual machine checks.
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import { CpuidLeaf } from '../../x86/cpuid-leaves.ts';
import { Efer } from '../../x86/control-registers.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Msr } from '../../x86/msr-index.ts';
import { hypercallPage64 } from '../../xen-abi/hypercall-page.ts';
import { PageType } from '../frame-table.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { guestHasFeature } from './cpuid-policy.ts';
import { FRAME_BYTES } from './guest-entry.ts';
import { isCanonical } from './guest-walk.ts';
import type { Pv } from './pv.ts';

const MSR_HYPERCALL_PAGE = 0x4000_0000;
const EFER_SHOWN = BigInt(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE);
const PAT_SHOWN = 0x0501_0007_0406n;
const APIC_BASE = 0xfee0_0800n;
const APIC_BSP = 0x100n;
const DE_CFG = 0xc001_1029;

type Vendor = 'intel' | 'amd';

function vendorOf(cpu: PlatformCpu): Vendor {
  return cpu.cpuid(CpuidLeaf.VENDOR, 0)[1] === 0x6874_7541 ? 'amd' : 'intel'; // "Auth"
}

const inRange = (index: number, first: number, last: number): boolean => index >= first && index <= last;

/** Performance counters and event selects that read 0 and swallow writes while there is no vPMU. */
function isPerformanceMsr(index: number, vendor: Vendor): boolean {
  if (vendor === 'amd') return inRange(index, 0xc001_0000, 0xc001_0007) || inRange(index, 0xc001_0200, 0xc001_020b);
  return inRange(index, 0xc1, 0xc8) || inRange(index, 0x186, 0x18d) || inRange(index, 0x309, 0x30b) || inRange(index, 0x38d, 0x390);
}

/** Value, or undefined for #GP(0). */
export function readGuestMsr(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, index: number): bigint | undefined {
  const vendor = vendorOf(cpu);
  switch (index) {
    case Msr.IA32_FS_BASE:
      return cpu.fsBase;
    case Msr.IA32_GS_BASE:
      return cpu.gsBase;
    case Msr.IA32_KERNEL_GS_BASE:
      return cpu.kernelGsBase;
    case Msr.IA32_EFER:
      return (cpu.readMsr(index) ?? 0n) & EFER_SHOWN;
    case Msr.IA32_APIC_BASE:
      return APIC_BASE | (vcpu.id === 0 ? APIC_BSP : 0n);
    case Msr.IA32_TSC:
      return cpu.cycles;
    case Msr.IA32_PAT:
      return PAT_SHOWN;
    case Msr.IA32_TSC_AUX:
      return guestHasFeature(pv.hypervisor, vcpu, 'RDTSCP') ? (cpu.readMsr(index) ?? 0n) : undefined;
    case 0x345: // PERF_CAPABILITIES
      return 0n;
    case 0x198: // PERF_STATUS, PERF_CTL, THERM_STATUS
    case 0x199:
    case 0x19c:
      if (vendor === 'intel') return 0n;
      break;
    case Msr.IA32_BIOS_SIGN_ID:
      return cpu.readMsr(index) ?? 0n;
    case Msr.HWCR:
    case 0xc001_0058: // MMIO_CONF_BASE
    case 0xc001_001f: // NB_CFG
      if (vendor === 'amd') return 0n;
      break;
    case DE_CFG:
      if (vendor === 'amd') return 2n;
      break;
    case MSR_HYPERCALL_PAGE:
      return 0n;
    default:
      if (isPerformanceMsr(index, vendor)) return 0n;
  }
  pv.hypervisor.unknown(vcpu.domain, 'msr', `read 0x${index.toString(16)}`);
  // A guest that cannot take #GP yet reads 0 where the processor has such a register.
  const state = vcpu.pv as PvVcpu;
  const helpless = state.traps[Vector.GP]?.address === 0n;
  return helpless && cpu.readMsr(index) !== undefined ? 0n : undefined;
}

/** False for #GP(0). */
export function writeGuestMsr(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, index: number, value: bigint): boolean {
  const vendor = vendorOf(cpu);
  switch (index) {
    case Msr.IA32_FS_BASE:
    case Msr.IA32_GS_BASE:
    case Msr.IA32_KERNEL_GS_BASE:
      return isCanonical(value) && cpu.writeMsr(index, value);
    case Msr.IA32_EFER:
      return value === ((cpu.readMsr(index) ?? 0n) & EFER_SHOWN);
    case Msr.IA32_TSC_AUX:
      return guestHasFeature(pv.hypervisor, vcpu, 'RDTSCP') && value >> 32n === 0n && cpu.writeMsr(index, value);
    case 0x198:
    case 0x199:
    case 0x19c:
      if (vendor === 'intel') return true;
      break;
    case Msr.IA32_MISC_ENABLE:
      if (cpu.readMsr(index) !== undefined) return true; // a different value is ignored
      break;
    case Msr.IA32_BIOS_SIGN_ID:
      if (vendor === 'intel' && value === 0n) return true;
      break;
    case Msr.HWCR:
    case 0xc001_0058:
    case 0xc001_001f:
      if (vendor === 'amd') return true;
      break;
    case MSR_HYPERCALL_PAGE:
      return writeHypercallPage(pv, vcpu, value);
    default:
      if (isPerformanceMsr(index, vendor)) return true;
  }
  pv.hypervisor.unknown(vcpu.domain, 'msr', `write 0x${index.toString(16)}`);
  return false;
}

function writeHypercallPage(pv: Pv, vcpu: Vcpu, value: bigint): boolean {
  const { frames, memory } = pv.hypervisor;
  const number = value >> 12n;
  if ((value & 0xfffn) !== 0n || number >= BigInt(frames.frameCount)) return false;
  const frame = Number(number);
  if (frames.getPageAndType(frame, vcpu.domain.id, PageType.writable) < 0) return false;
  memory.writeBytes(frame * FRAME_BYTES, hypercallPage64());
  frames.putPageAndType(frame);
  return true;
}

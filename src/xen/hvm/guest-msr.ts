/**
 * Model-specific registers of a full domain that leave to the hypervisor: all that are not the guest's own state.
 * Sources: SDM 4 Table 2-2; Xen public/arch-x86/cpuid.h (leaf 2: the MSR of the hypercall page).
 */

import { Msr } from '../../x86/msr-index.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { hvmHypercallPage, MSR_HYPERCALL_PAGE } from '../../xen-abi/hvm.ts';
import { FrameFlag } from '../frame-table.ts';
import { frameBytes } from '../shared-info.ts';
import type { ExitContext } from './exit-context.ts';
import { isKvmClockMsr, readKvmClockMsr, writeKvmClockMsr } from './kvm-clock.ts';

/** IA32_MISC_ENABLE, bit 0. */
const fastStrings = 1n;

/** Value, or undefined for #GP(0). */
export function readGuestMsr(context: ExitContext, index: number): bigint | undefined {
  const { hypervisor, profile, full, state, cpu } = context;
  switch (index) {
    case Msr.IA32_APIC_BASE:
      return full.devices.apics.all[state.vcpu.id]?.readMsr(index, cpu.cycles);
    case Msr.IA32_KERNEL_GS_BASE:
      return cpu.kernelGsBase;
    case Msr.IA32_BIOS_SIGN_ID:
    case Msr.IA32_PLATFORM_ID:
      return cpu.readMsr(index);
    case Msr.IA32_MISC_ENABLE:
      return fastStrings;
    case MSR_HYPERCALL_PAGE:
      if (profile.xenHypercalls) return 0n;
      break;
  }
  if (profile.name === 'kvm' && isKvmClockMsr(index)) return readKvmClockMsr(context, index);
  hypervisor.unknown(state.vcpu.domain, 'msr', `read 0x${index.toString(16)}`);
  return undefined;
}

/** False for #GP(0). */
export function writeGuestMsr(context: ExitContext, index: number, value: bigint): boolean {
  const { hypervisor, profile, full, state, cpu } = context;
  switch (index) {
    case Msr.IA32_KERNEL_GS_BASE:
      if (!isCanonical(value)) return false;
      cpu.kernelGsBase = value;
      return true;
    case Msr.IA32_APIC_BASE:
      return full.devices.apics.all[state.vcpu.id]?.writeMsr(index, value, cpu.cycles, 0n) ?? false;
    case Msr.IA32_BIOS_SIGN_ID:
      return true;
    case Msr.IA32_MISC_ENABLE:
      return value >> 32n === 0n; // kept as it is
    case MSR_HYPERCALL_PAGE:
      if (profile.xenHypercalls) return writeHypercallPage(context, value);
      break;
  }
  if (profile.name === 'kvm' && isKvmClockMsr(index)) return writeKvmClockMsr(context, index, value);
  hypervisor.unknown(state.vcpu.domain, 'msr', `write 0x${index.toString(16)}`);
  return false;
}

/** gfn << 12 | index of the page, of which there is one. */
function writeHypercallPage({ hypervisor, full }: ExitContext, value: bigint): boolean {
  if ((value & 0xfffn) !== 0n || value >> 40n !== 0n) return false;
  const frame = full.physmap.machineFrame(Number(value >> 12n));
  const { frames, memory } = hypervisor;
  if (frame < 0 || frames.owner[frame] !== full.domain.id || frames.has(frame, FrameFlag.xenHeap)) return false;
  memory.writeBytes(frame * frameBytes, hvmHypercallPage());
  return true;
}

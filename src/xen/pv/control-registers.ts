/**
 * Control registers as a paravirtual guest kernel reads and writes them through emulated MOV CR and CLTS.
 * Source: Xen behaviour as stated by public/xen.h (fpu_taskswitch, MMUEXT_NEW_BASEPTR); SDM 3A §2.5.
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import { Cr0, Cr4 } from '../../x86/control-registers.ts';
import { writeCr2 } from '../shared-info.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { guestHasFeature } from './cpuid-policy.ts';
import type { Pv } from './pv.ts';
import { setKernelRoot } from './root-tables.ts';

const HOST_CR4_SHOWN = BigInt(Cr4.PAE | Cr4.MCE | Cr4.OSFXSR | Cr4.OSXMMEXCPT);

/** Value, or undefined for a register that does not exist for the guest. */
export function readControlRegister(vcpu: Vcpu, cpu: PlatformCpu, register: number): bigint | undefined {
  const pv = vcpu.pv as PvVcpu;
  switch (register) {
    case 0:
      return pv.taskSwitched ? cpu.cr0 | BigInt(Cr0.TS) : cpu.cr0 & ~BigInt(Cr0.TS);
    case 2:
      return pv.cr2;
    case 3:
      return BigInt(pv.guestTable) << 12n;
    case 4:
      return (cpu.cr4 & HOST_CR4_SHOWN) | pv.cr4;
    default:
      return undefined;
  }
}

/** False for #GP. CR4 never faults: bits that the guest may not have are dropped. */
export function writeControlRegister(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, register: number, value: bigint): boolean {
  const state = vcpu.pv as PvVcpu;
  switch (register) {
    case 0: {
      const now = readControlRegister(vcpu, cpu, 0) as bigint;
      if (((now ^ value) & ~BigInt(Cr0.TS)) !== 0n) return false;
      setTaskSwitched(vcpu, cpu, (value & BigInt(Cr0.TS)) !== 0n);
      return true;
    }
    case 2:
      state.cr2 = value;
      writeCr2(pv.hypervisor, vcpu, value);
      return true;
    case 3: {
      const frame = value >> 12n;
      if (frame >= BigInt(pv.hypervisor.frames.frameCount)) return false;
      return setKernelRoot(pv.tables, pv.descriptors, vcpu, cpu, Number(frame)) === 0;
    }
    case 4:
      setGuestCr4(pv, vcpu, cpu, value);
      return true;
    default:
      return false;
  }
}

/** Bits of CR4 that a guest may set, of those its CPUID shows. */
export function allowedCr4(pv: Pv, vcpu: Vcpu): bigint {
  const fsgsbase = guestHasFeature(pv.hypervisor, vcpu, 'FSGSBASE') ? Cr4.FSGSBASE : 0;
  const osxsave = guestHasFeature(pv.hypervisor, vcpu, 'XSAVE') ? Cr4.OSXSAVE : 0;
  return BigInt(Cr4.TSD | Cr4.DE | fsgsbase | osxsave);
}

function setGuestCr4(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, value: bigint): void {
  const state = vcpu.pv as PvVcpu;
  const bits = value & allowedCr4(pv, vcpu);
  if (bits === state.cr4) return;
  cpu.writeCr4((cpu.cr4 & ~state.cr4) | bits);
  state.cr4 = bits;
}

/** Virtual CR0.TS; the processor's follows it. */
export function setTaskSwitched(vcpu: Vcpu, cpu: PlatformCpu, on: boolean): void {
  const state = vcpu.pv as PvVcpu;
  if (state.taskSwitched === on) return;
  state.taskSwitched = on;
  cpu.writeCr0(on ? cpu.cr0 | BigInt(Cr0.TS) : cpu.cr0 & ~BigInt(Cr0.TS));
}

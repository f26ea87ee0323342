/**
 * Forced emulation: UD2, the bytes "xen", CPUID. The guest asks for the hypervisor's CPUID without the processor
 * helping. Only CPUID may stand behind the prefix.
 * Source: Xen public/arch-x86/xen.h XEN_EMULATE_PREFIX.
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import type { Vcpu } from '../vcpu.ts';
import { Cost } from './cost-rows.ts';
import { guestCpuid } from './cpuid-policy.ts';
import { codeAddress, readCode } from './guest-instruction.ts';
import type { Pv } from './pv.ts';
import { finishInstruction } from './deliver-trap.ts';

const FORCED_CPUID = [0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2];

/** True when the #UD was that, and has been carried out. */
export function emulateForcedCpuid(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu): boolean {
  const address = codeAddress(cpu);
  if (address === undefined) return false;
  const { bytes } = readCode(cpu, address, FORCED_CPUID.length);
  if (!FORCED_CPUID.every((byte, i) => bytes[i] === byte)) return false;
  cpu.charge(Cost.emulate);
  pv.hypervisor.operation(vcpu, 'forced-prefix CPUID');
  executeCpuid(pv, vcpu, cpu);
  finishInstruction(pv, vcpu, cpu, FORCED_CPUID.length);
  return true;
}

/** CPUID on the guest's registers. */
export function executeCpuid(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu): void {
  const leaf = Number(cpu.gpr(0) & 0xffff_ffffn);
  const subleaf = Number(cpu.gpr(1) & 0xffff_ffffn);
  const [eax, ebx, ecx, edx] = guestCpuid(pv.hypervisor, vcpu, leaf, subleaf);
  cpu.setGpr(0, BigInt(eax >>> 0));
  cpu.setGpr(3, BigInt(ebx >>> 0));
  cpu.setGpr(1, BigInt(ecx >>> 0));
  cpu.setGpr(2, BigInt(edx >>> 0));
}

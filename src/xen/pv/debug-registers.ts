/**
 * Debug registers of paravirtual guests, by hypercall and by emulated MOV: DR0..DR3 must name guest addresses, DR6 and
 * DR7 have 32 bits, I/O breakpoints are accepted with CR4.DE only.
 * DEVIATION: I/O breakpoints are stored and never hit.
 * Sources: Xen public/xen.h HYPERVISOR_set_debugreg, SDM 3B §18.2.
 */
import { Cr4, Dr6, Dr7 } from '../../x86/control-registers.ts';
import { EINVAL, ENODEV, EPERM } from '../../xen-abi/errno.ts';
import { guestRangeOk } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { editContext } from './context-edit.ts';

/** DR7 bits that may be set: enables, LE, GE, RTM's place excluded, and the four R/W and LEN fields. */
const DR7_GUEST = 0xffff_03ffn;
const DR6_STATUS = 0xe00fn;
const IO_BREAKPOINT = 2n;

/** 4 and 5 stand for 6 and 7 unless CR4.DE is on. */
function resolve(pv: PvVcpu, register: number): number {
  if (register !== 4 && register !== 5) return register;
  return (pv.cr4 & BigInt(Cr4.DE)) === 0n ? register + 2 : -1;
}

/** 0, -ENODEV no such register, -EINVAL reserved bits, -EPERM address or breakpoint that the guest may not have. */
export function setDebugRegister(hypervisor: Hypervisor, vcpu: Vcpu, register: number, value: bigint): number {
  const pv = vcpu.pv as PvVcpu;
  const number = resolve(pv, register);
  switch (number) {
    case 0:
    case 1:
    case 2:
    case 3:
      if (!guestRangeOk(vcpu, value, 1n)) return -EPERM;
      pv.debug[number] = value;
      break;
    case 6:
      if (value >> 32n !== 0n) return -EINVAL;
      pv.debug[6] = (value & DR6_STATUS) | BigInt(Dr6.RESET);
      return 0;
    case 7: {
      if (value >> 32n !== 0n) return -EINVAL;
      if ((value & BigInt(Dr7.GD)) !== 0n) return -EPERM;
      for (let i = 0n; i < 4n; i++) {
        const enabled = ((value >> (2n * i)) & 3n) !== 0n;
        const io = ((value >> (16n + 4n * i)) & 3n) === IO_BREAKPOINT;
        if (enabled && io && (pv.cr4 & BigInt(Cr4.DE)) === 0n) return -EPERM;
      }
      pv.debug[7] = (value & DR7_GUEST) | BigInt(Dr7.RESET);
      break;
    }
    default:
      return -ENODEV;
  }
  loadDebugRegisters(hypervisor, vcpu);
  return 0;
}

/** The value, or -ENODEV. */
export function getDebugRegister(vcpu: Vcpu, register: number): bigint {
  const pv = vcpu.pv as PvVcpu;
  const number = resolve(pv, register);
  return number >= 0 && number <= 7 ? (pv.debug[number] as bigint) : BigInt(-ENODEV);
}

/** Puts the guest's breakpoints into the processor; those on I/O stay out. */
export function loadDebugRegisters(hypervisor: Hypervisor, vcpu: Vcpu): void {
  const pv = vcpu.pv as PvVcpu;
  let control = pv.debug[7] as bigint;
  for (let i = 0n; i < 4n; i++) if (((control >> (16n + 4n * i)) & 3n) === IO_BREAKPOINT) control &= ~(3n << (2n * i));
  editContext(hypervisor, vcpu, (context) => {
    for (let i = 0; i < 4; i++) context.debug[i] = pv.debug[i] as bigint;
    context.debug[5] = control;
  });
}

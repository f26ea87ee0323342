/**
 * Port I/O of paravirtual guests: who may execute IN and OUT at all (virtual IOPL, I/O bitmap), and what is behind the
 * port. Ports that the domain does not have read as ones and swallow writes, without a fault.
 * DEVIATION: the emulated PIT (0x42, 0x43, 0x61), the RTC (0x70, 0x71) and the latch at 0xcf8 do not exist.
 * Sources: Xen public/physdev.h PHYSDEVOP_set_iopl, PHYSDEVOP_set_iobitmap; SDM 1 §19.5 (I/O permission bit map).
 */
import type { PlatformCpu, VirtualFault } from '../../platform/cpu.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { hasArchitecturalIopl } from './bounce.ts';
import type { Pv } from './pv.ts';

/** IOPL-sensitive instructions: the guest kernel counts as ring 1, or as ring 0 with architectural_iopl. */
export function ioplAllows(vcpu: Vcpu): boolean {
  const pv = vcpu.pv as PvVcpu;
  const level = pv.kernelMode ? (hasArchitecturalIopl(vcpu) ? 0 : 1) : 3;
  return level <= pv.iopl;
}

/** Whether `size` ports from `port` may be used; a fault when the guest's bitmap cannot be read. */
export function portAllowed(vcpu: Vcpu, cpu: PlatformCpu, port: number, size: number): boolean | VirtualFault {
  if (ioplAllows(vcpu)) return true;
  const { address, ports } = (vcpu.pv as PvVcpu).ioBitmap;
  if (port + size > ports) return false;
  const bytes = new Uint8Array(2);
  const fault = cpu.readVirtual(BigInt.asUintN(64, address + BigInt(port >>> 3)), bytes, true);
  if (fault !== undefined) return fault;
  const bits = ((bytes[0] as number) | ((bytes[1] as number) << 8)) >>> (port & 7);
  return (bits & ((1 << size) - 1)) === 0;
}

function isDomainPort(vcpu: Vcpu, port: number, size: number): boolean {
  return vcpu.domain.ioPorts.some((range) => port >= range.first && port + size - 1 <= range.last);
}

export function readPort(pv: Pv, vcpu: Vcpu, port: number, size: 1 | 2 | 4): number {
  if (isDomainPort(vcpu, port, size)) return pv.hypervisor.platform.io.read(port, size);
  pv.hypervisor.unknown(vcpu.domain, 'port', `read 0x${port.toString(16)}`);
  return size === 4 ? 0xffff_ffff : 2 ** (8 * size) - 1;
}

export function writePort(pv: Pv, vcpu: Vcpu, port: number, size: 1 | 2 | 4, value: number): void {
  if (isDomainPort(vcpu, port, size)) pv.hypervisor.platform.io.write(port, size, value);
  else pv.hypervisor.unknown(vcpu.domain, 'port', `write 0x${port.toString(16)}`);
}

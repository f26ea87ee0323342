/**
 * The two root tables of a 64-bit vCPU (kernel and user), their references, and the switch between the two modes.
 * Sources: Xen public/xen.h MMUEXT_NEW_BASEPTR, MMUEXT_NEW_USER_BASEPTR; SDM 3A §4.10.4.1 (MOV to CR3).
 */
import { EINVAL } from '../../xen-abi/errno.ts';
import type { PlatformCpu } from '../../platform/cpu.ts';
import { PageType } from '../frame-table.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import type { DescriptorTables } from './descriptor-tables.ts';
import type { PageTables } from './page-tables.ts';
import { Hardware } from './cost-rows.ts';
import { m2pStrict } from './xen-slots.ts';

/** R15, for the vCPU that runs on `cpu` in its kernel. 0 or -EINVAL and the errors of validation. */
export function setKernelRoot(tables: PageTables, descriptors: DescriptorTables, vcpu: Vcpu, cpu: PlatformCpu, frame: number): number {
  const pv = vcpu.pv as PvVcpu;
  const old = pv.guestTable;
  if (frame === 0) return -EINVAL; // 0 stands for none
  if (frame !== old) {
    const result = tables.frames.getPageAndType(frame, vcpu.domain.id, PageType.l4);
    if (result < 0) return result;
    pv.guestTable = frame;
  }
  // The LDT is named by a linear address, which may mean other frames now.
  descriptors.dropLdtPages(vcpu);
  tables.slots.showM2p(frame, true);
  // Host code that plays a domain has tables, but not the processor.
  if (vcpu.code === undefined) tables.flush.loadRoot(cpu, frame);
  if (frame !== old && old !== 0) tables.frames.putPageAndType(old);
  return 0;
}

/** 0 takes the user table away. */
export function setUserRoot(tables: PageTables, vcpu: Vcpu, frame: number): number {
  const pv = vcpu.pv as PvVcpu;
  const old = pv.userTable;
  if (frame === old) return 0;
  if (frame === -1) return -EINVAL;
  if (frame !== 0) {
    const result = tables.frames.getPageAndType(frame, vcpu.domain.id, PageType.l4);
    if (result < 0) return result;
    if (m2pStrict(vcpu.domain) && frame !== pv.guestTable) tables.slots.showM2p(frame, false);
  }
  pv.userTable = frame;
  if (old !== 0) tables.frames.putPageAndType(old);
  return 0;
}

/** Exchanges kernel and user mode: flag, GS bases (SWAPGS) and CR3. The tables' user pages are global and stay. */
export function toggleGuestMode(tables: PageTables, vcpu: Vcpu, cpu: PlatformCpu): void {
  const pv = vcpu.pv as PvVcpu;
  pv.kernelMode = !pv.kernelMode;
  cpu.guestMode?.(pv.kernelMode ? 'kernel' : 'user');
  cpu.charge(Hardware.swapgs);
  const base = cpu.gsBase;
  cpu.gsBase = cpu.kernelGsBase;
  cpu.kernelGsBase = base;
  const root = pv.kernelMode ? pv.guestTable : pv.userTable;
  // One table for both modes: with m2p_strict it shows the M2P to the kernel only.
  if (m2pStrict(vcpu.domain) && pv.guestTable === pv.userTable) tables.slots.showM2p(root, pv.kernelMode);
  cpu.writeCr3(BigInt(root) << 12n);
}

/**
 * HYPERVISOR_update_va_mapping (14) and _otherdomain (22): changes the L1 entry that maps an address of the caller's
 * current tables, and flushes.
 * Errors: -EINVAL address not canonical, not covered by present tables, or its table is not an L1 of the caller;
 * -EFAULT vCPU bitmap (the change has been made); -ESRCH, -EPERM domain; those of update-entry.ts.
 * Source: Xen public/xen.h HYPERVISOR_update_va_mapping, UVMF_*.
 */
import { EFAULT, EINVAL } from '../../xen-abi/errno.ts';
import { UVMF_ALL, UVMF_FLUSHTYPE_MASK, UVMF_INVLPG, UVMF_TLB_FLUSH } from '../../xen-abi/xen.ts';
import { FrameFlag, PageType } from '../frame-table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { Cost } from './cost-rows.ts';
import { machineEntry, resolveOwner } from './foreign-domain.ts';
import { FRAME_BYTES, P } from './guest-entry.ts';
import { findL1Entry } from './guest-walk.ts';
import type { PageTables } from './page-tables.ts';
import { readVcpuMask, runningVcpus } from './vcpu-mask.ts';
import { updateL1 } from './update-entry.ts';

const UVMF_LOCAL = 0n;

/** `domid` undefined: the caller's own frames. */
export function updateVaMapping(
  tables: PageTables,
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  address: bigint,
  value: bigint,
  flags: bigint,
  domid: number | undefined,
): number {
  const { frames } = tables;
  const domain = vcpu.domain;
  const cpu = hypervisor.cpuOf(vcpu);
  const pageOwner = domid === undefined ? domain.id : resolveOwner(hypervisor, domain, domid);
  const flushType = flags & UVMF_FLUSHTYPE_MASK;
  const position = pageOwner < 0 || vcpu.pv === undefined ? undefined : findL1Entry(hypervisor.memory, vcpu.pv.guestTable, address);
  const old = position === undefined ? 0 : hypervisor.memory.readU32(position.frame * FRAME_BYTES + position.index * 8);
  cpu.charge(
    flushType === UVMF_TLB_FLUSH
      ? Cost.updateVaMappingFlush
      : flushType === UVMF_INVLPG
        ? Cost.updateVaMappingInvlpg
        : (old & P) === 0 && (value & 1n) === 1n
          ? Cost.updateVaMappingFill
          : Cost.updateVaMapping,
  );
  if (pageOwner < 0) return pageOwner;
  if (position === undefined || !frames.getPage(position.frame, domain.id)) return -EINVAL;
  cpu.touch('page-table', position.frame);
  const isL1 =
    frames.type[position.frame] === PageType.l1 &&
    (frames.typeReferences[position.frame] as number) > 0 &&
    frames.has(position.frame, FrameFlag.validated);
  const low = Number(value & 0xffff_ffffn);
  const high = Number(BigInt.asUintN(64, value) >> 32n);
  const named = machineEntry(hypervisor, domain, pageOwner, low, high);
  const result =
    isL1 && named !== undefined
      ? updateL1(tables, position.frame, position.index, named.low, named.high, domain, pageOwner, false)
      : -EINVAL;
  frames.putPage(position.frame);
  if (result < 0 || (flushType !== UVMF_TLB_FLUSH && flushType !== UVMF_INVLPG)) return result;

  const target = flags & ~UVMF_FLUSHTYPE_MASK;
  let vcpus: readonly Vcpu[] | undefined = [vcpu];
  if (target === UVMF_ALL) vcpus = runningVcpus(domain);
  else if (target !== UVMF_LOCAL) vcpus = readVcpuMask(hypervisor, vcpu, target);
  if (vcpus === undefined) return -EFAULT;
  for (const other of vcpus) {
    if (flushType === UVMF_TLB_FLUSH) tables.flush.flush(hypervisor.cpuOf(other));
    else hypervisor.cpuOf(other).invalidatePage(address);
  }
  return 0;
}

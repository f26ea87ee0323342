/**
 * HYPERVISOR_mmuext_op (26): pins, new root tables, flushes, the LDT, clearing and copying of frames.
 * Errors: -EFAULT array or done pointer; -ESRCH, -EPERM domain; -EPERM operations on a foreign domain other than pins;
 * -EINVAL frame not the domain's, in use as another type, pinned already, not pinned, bad LDT, unreadable vCPU bitmap;
 * -EACCES cache flushes without devices; -EOPNOTSUPP superpages; -ENOSYS unknown command; those of validation (R1..R8).
 * Source: Xen public/xen.h HYPERVISOR_mmuext_op, MMUEXT_*.
 */
import { EACCES, EINVAL, ENOSYS, EOPNOTSUPP, EPERM } from '../../xen-abi/errno.ts';
import { Hypercall } from '../../xen-abi/xen.ts';
import { FrameFlag, PageType } from '../frame-table.ts';
import { guestRangeOk } from '../guest-access.ts';
import type { HypercallResult } from '../hypercall/table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { runBatch } from './batch.ts';
import { Cost } from './cost-rows.ts';
import type { DescriptorTables } from './descriptor-tables.ts';
import { resolveOwner } from './foreign-domain.ts';
import { isCanonical } from './guest-walk.ts';
import { type PageTables, mayChooseCacheability } from './page-tables.ts';
import { proceedWith } from '../hypercall/proceed.ts';
import { setKernelRoot, setUserRoot } from './root-tables.ts';
import { readVcpuMask, runningVcpus } from './vcpu-mask.ts';

const names = [
  'PIN_L1', 'PIN_L2', 'PIN_L3', 'PIN_L4', 'UNPIN_TABLE', 'NEW_BASEPTR', 'TLB_FLUSH_LOCAL', 'INVLPG_LOCAL',
  'TLB_FLUSH_MULTI', 'INVLPG_MULTI', 'TLB_FLUSH_ALL', 'INVLPG_ALL', 'FLUSH_CACHE', 'SET_LDT', undefined, 'NEW_USER_BASEPTR',
  'CLEAR_PAGE', 'COPY_PAGE', 'FLUSH_CACHE_GLOBAL', 'MARK_SUPER', 'UNMARK_SUPER',
]; // biome-ignore format: one row of numbers
const MAX_LDT_ENTRIES = 8192n;

export function mmuextOp(
  tables: PageTables,
  descriptors: DescriptorTables,
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  args: readonly bigint[],
): HypercallResult {
  const cpu = hypervisor.cpuOf(vcpu);
  const owner = resolveOwner(hypervisor, vcpu.domain, Number((args[3] ?? 0n) & 0xffffn));
  if (owner < 0) {
    cpu.charge(Cost.nullHypercall);
    return BigInt(owner);
  }
  let charged = false;
  const charge = (row: string): void => {
    cpu.charge(row);
    charged = true;
  };
  const operate = (request: DataView): number => {
    const command = request.getUint32(0, true);
    hypervisor.operation(vcpu, `mmuext_op entry: ${names[command] ?? command}`);
    return operation(command, request.getBigUint64(8, true), request.getBigUint64(16, true));
  };
  const { frames } = tables;

  const operation = (command: number, arg1: bigint, arg2: bigint): number => {
    const frame = arg1 < BigInt(frames.frameCount) ? Number(arg1) : -1;
    const foreign = owner !== vcpu.domain.id;
    if (foreign && command > 3) return command < names.length && names[command] !== undefined ? -EPERM : -ENOSYS;
    switch (command) {
      case 0:
      case 1:
      case 2:
      case 3:
        charge(Cost.pin);
        return pin(tables, frame, owner, (PageType.l1 + command) as PageType);
      case 4:
        charge(Cost.unpin);
        return unpin(tables, frame, owner);
      case 5:
        charge(Cost.newBaseptr);
        return setKernelRoot(tables, descriptors, vcpu, cpu, frame);
      case 6:
        charge(Cost.flushLocal);
        tables.flush.flush(cpu);
        return 0;
      case 7:
        charge(Cost.invlpgLocal);
        if (isCanonical(arg1)) cpu.invalidatePage(arg1);
        return 0;
      case 8:
      case 9: {
        charge(command === 8 ? Cost.flushMulti : Cost.invlpgMulti);
        const vcpus = readVcpuMask(hypervisor, vcpu, arg2);
        if (vcpus === undefined) return -EINVAL;
        return flushVcpus(vcpus, command === 9 ? arg1 : undefined);
      }
      case 10:
      case 11:
        charge(command === 10 ? Cost.flushMulti : Cost.invlpgMulti);
        return flushVcpus(runningVcpus(vcpu.domain), command === 11 ? arg1 : undefined);
      case 12:
      case 18:
        charge(Cost.mmuextOp);
        return mayChooseCacheability(vcpu.domain) ? 0 : -EACCES;
      case 13:
        charge(Cost.mmuextOp);
        if (arg2 > MAX_LDT_ENTRIES || (arg1 & 0xfffn) !== 0n || !guestRangeOk(vcpu, arg1, arg2 * 8n)) return -EINVAL;
        descriptors.setLdt(vcpu, arg1, Number(arg2));
        return 0;
      case 15:
        charge(Cost.newUserBaseptr);
        return setUserRoot(tables, vcpu, arg1 === 0n ? 0 : frame);
      case 16:
      case 17:
        charge(Cost.mmuextOp);
        return fill(command === 17, frame, arg2);
      case 19:
      case 20:
        charge(Cost.mmuextOp);
        return -EOPNOTSUPP;
      default:
        return -ENOSYS;
    }
  };

  const flushVcpus = (vcpus: readonly Vcpu[], address: bigint | undefined): number => {
    if (address !== undefined && !isCanonical(address)) return 0;
    for (const other of vcpus) {
      if (address === undefined) tables.flush.flush(hypervisor.cpuOf(other));
      else hypervisor.cpuOf(other).invalidatePage(address);
    }
    return 0;
  };

  /** CLEAR_PAGE and COPY_PAGE: the target has to be a page that may be written. */
  const fill = (copy: boolean, target: number, sourceArgument: bigint): number => {
    const source = sourceArgument < BigInt(frames.frameCount) ? Number(sourceArgument) : -1;
    if (copy && !frames.getPage(source, owner)) return -EINVAL;
    const result = frames.getPageAndType(target, owner, PageType.writable);
    if (result === 0) {
      if (copy) hypervisor.memory.copyFrame(target, source);
      else hypervisor.memory.zeroFrame(target);
      frames.putPageAndType(target);
    }
    if (copy) frames.putPage(source);
    return result < 0 ? -EINVAL : 0;
  };

  const result = runBatch(hypervisor, vcpu, args, 24, operate, proceedWith(hypervisor, vcpu, Hypercall.mmuext_op, args));
  if (!charged) cpu.charge(Cost.nullHypercall);
  return result;
}

/** R13. The pin's references are an ordinary page and type reference, marked by the flag. */
export function pin(tables: PageTables, frame: number, owner: number, type: PageType): number {
  const { frames } = tables;
  const result = frames.getPageAndType(frame, owner, type);
  if (result < 0) return result;
  if (frames.has(frame, FrameFlag.pinned)) {
    frames.putPageAndType(frame);
    return -EINVAL;
  }
  frames.set(frame, FrameFlag.pinned, true);
  return 0;
}

export function unpin(tables: PageTables, frame: number, owner: number): number {
  const { frames } = tables;
  if (!frames.getPage(frame, owner)) return -EINVAL;
  const pinned = frames.has(frame, FrameFlag.pinned);
  if (pinned) {
    frames.set(frame, FrameFlag.pinned, false);
    frames.putPageAndType(frame);
  }
  frames.putPage(frame);
  return pinned ? 0 : -EINVAL;
}

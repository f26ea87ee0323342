/**
 * HYPERVISOR_mmu_update (1): an array of {ptr, val}, each a checked change of one page-table entry by the machine
 * address of the entry, or of one M2P entry.
 * Errors: -EFAULT array; -ESRCH unknown domain; -EPERM no rights, or frames of others where the caller's own are asked
 * for; -EINVAL frame not the domain's or of a wrong type; those of update-entry.ts. A 64-bit entry is aligned to 8 bytes,
 * so the command is the lowest three bits of ptr, and 4 to 7 are none: -ENOSYS.
 * Source: Xen public/xen.h HYPERVISOR_mmu_update, MMU_*.
 */
import { EINVAL, ENOSYS, EPERM } from '../../xen-abi/errno.ts';
import { Hypercall, MMU_MACHPHYS_UPDATE, MMU_PT_UPDATE_NO_TRANSLATE, MMU_PT_UPDATE_PRESERVE_AD } from '../../xen-abi/xen.ts';
import { FrameFlag, PageType, pageTypeNames } from '../frame-table.ts';
import type { HypercallResult } from '../hypercall/table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { runBatch } from './batch.ts';
import { Cost, mmuUpdate as levelRows } from './cost-rows.ts';
import { machineEntry, resolveOwner } from './foreign-domain.ts';
import { FRAME_BYTES } from './guest-entry.ts';
import type { PageTables } from './page-tables.ts';
import { proceedWith } from '../hypercall/proceed.ts';
import { updateL1, updateUpper } from './update-entry.ts';

const commandNames = ['NORMAL_PT_UPDATE', 'MACHPHYS_UPDATE', 'PT_PRESERVE_AD', 'PT_UPDATE_NO_TRANSLATE'];

export function mmuUpdate(tables: PageTables, hypervisor: Hypervisor, vcpu: Vcpu, args: readonly bigint[]): HypercallResult {
  const caller = vcpu.domain;
  const cpu = hypervisor.cpuOf(vcpu);
  const selector = Number(BigInt.asUintN(32, args[3] ?? 0n));
  const foreign = selector & 0xffff;
  const tableDomid = selector >>> 16;
  // Bits 31:16 hold the owner of the tables plus one.
  const tableOwnerId = tableDomid === 0 ? caller.id : resolveOwner(hypervisor, caller, (tableDomid - 1) & 0xffff);
  const pageOwner = resolveOwner(hypervisor, caller, foreign);
  if (tableOwnerId < 0) return BigInt(tableOwnerId);
  const tableOwner = hypervisor.domains.get(tableOwnerId);
  if (tableOwner === undefined) return BigInt(-EPERM); // Owner.io and Owner.xen have no tables
  if (pageOwner < 0) return BigInt(pageOwner);
  let charged = false;
  const charge = (row: string): void => {
    cpu.charge(charged ? Cost.mmuUpdateNext : row);
    charged = true;
  };

  const update = (request: DataView): number => {
    const pointer = request.getBigUint64(0, true);
    const low = request.getUint32(8, true);
    const high = request.getUint32(12, true);
    const command = Number(pointer & 7n);
    const frame = Number(pointer >> 12n);
    const name = commandNames[command];
    if (name === undefined) return -ENOSYS;
    const { frames } = tables;
    if (command === MMU_MACHPHYS_UPDATE) {
      hypervisor.operation(vcpu, `mmu_update entry: ${name}`);
      cpu.touch('frame-table', frame);
      charge(Cost.mmuUpdateMachphys);
      if (tableOwner !== caller) return -EPERM;
      if (!frames.getPage(frame, pageOwner)) return -EINVAL;
      hypervisor.m2p.write(frame, request.getBigUint64(8, true));
      frames.putPage(frame);
      return 0;
    }
    if (!frames.getPage(frame, tableOwner.id)) return -EINVAL;
    cpu.touch('frame-table', frame);
    const index = Number((pointer & 0xfffn) >> 3n);
    const preserveAd = command === MMU_PT_UPDATE_PRESERVE_AD;
    const inUse = (frames.typeReferences[frame] as number) > 0 && frames.has(frame, FrameFlag.validated);
    const type = inUse ? (frames.type[frame] as PageType) : PageType.none;
    charge(levelRows[type <= PageType.l4 ? type : 0] as string);
    hypervisor.operation(
      vcpu,
      `mmu_update entry: ${name} on page type ${pageTypeNames[type === PageType.none ? PageType.writable : type]}`,
    );
    let result = -EINVAL;
    switch (type) {
      case PageType.l1: {
        const asIs = command === MMU_PT_UPDATE_NO_TRANSLATE;
        const named = asIs ? { low, high } : machineEntry(hypervisor, caller, pageOwner, low, high);
        if (named !== undefined) result = updateL1(tables, frame, index, named.low, named.high, tableOwner, pageOwner, preserveAd);
        break;
      }
      case PageType.l2:
      case PageType.l3:
      case PageType.l4:
        if (pageOwner === tableOwner.id) result = updateUpper(tables, type, frame, index, low, high, tableOwner, preserveAd);
        break;
      case PageType.writable:
      case PageType.none:
        result = frames.getPageType(frame, PageType.writable);
        if (result === 0) {
          hypervisor.memory.writeU64(frame * FRAME_BYTES + index * 8, request.getBigUint64(8, true));
          frames.putPageType(frame);
        }
        break;
      default:
        break;
    }
    frames.putPage(frame);
    return result;
  };
  const result = runBatch(hypervisor, vcpu, args, 16, update, proceedWith(hypervisor, vcpu, Hypercall.mmu_update, args));
  if (!charged) cpu.charge(Cost.nullHypercall);
  return result;
}

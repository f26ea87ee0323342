/**
 * Builds a PV domain under test from the plan of xen-abi/start-of-day.ts, writing its frames directly, and pins its root as
 * a toolstack does. Guest frames get machine frames in the allocator's order, not in their own.
 */
import { EINVAL, ENOMEM } from '../../../src/xen-abi/errno.ts';
import { hypercallPage64 } from '../../../src/xen-abi/hypercall-page.ts';
import {
  type StartInfoValues,
  type StartOfDayPlan,
  encodeStartInfo,
  firstRegisters,
  forEachTableEntry,
} from '../../../src/xen-abi/start-of-day.ts';
import { VGCF_in_kernel, VGCF_online, cpu_user_regs, vcpu_guest_context, vcpu_guest_context_64 } from '../../../src/xen-abi/vcpu.ts';
import type { Domain } from '../../../src/xen/domain.ts';
import { assignFrames } from '../../../src/xen/domain-memory.ts';
import { PageType } from '../../../src/xen/frame-table.ts';
import { FRAME_BYTES } from '../../../src/xen/pv/guest-entry.ts';
import { pin } from '../../../src/xen/pv/hypercall-mmuext-op.ts';
import type { Pv } from '../../../src/xen/pv/pv.ts';

/** Bytes of the kernel (and of a mapped ramdisk) at virtual addresses of the first mapping. */
export interface LoadedBytes {
  readonly virtual: bigint;
  readonly bytes: Uint8Array;
}

export interface InitialDomain {
  readonly plan: StartOfDayPlan;
  readonly contents: readonly LoadedBytes[];
  readonly ramdisk: Uint8Array | undefined;
  /** Virtual address of the page that the HYPERCALL_PAGE note names. */
  readonly hypercallPage: bigint | undefined;
  readonly startInfo: Omit<StartInfoValues, 'sharedInfoMfn' | 'storeMfn' | 'consoleMfn'>;
}

/**
 * Fills a domain that has its vCPUs and no memory. The result maps guest frames to machine frames; or -ENOMEM, -EINVAL
 * (addresses outside the first mapping, tables that do not validate).
 */
export function buildInitialDomain(pv: Pv, domain: Domain, initial: InitialDomain): Int32Array | number {
  const { hypervisor } = pv;
  const { memory, allocator, m2p } = hypervisor;
  const { plan } = initial;
  if (allocator.free < plan.totalPages) return -ENOMEM;
  const frameOf = new Int32Array(plan.totalPages);
  for (let pfn = 0; pfn < plan.totalPages; pfn++) {
    const frame = allocator.allocate();
    memory.zeroFrame(frame);
    assignFrames(hypervisor, domain, frame, 1);
    m2p.write(frame, BigInt(pfn));
    frameOf[pfn] = frame;
  }
  domain.maxPages = Math.max(domain.maxPages, plan.totalPages);
  const base = plan.kernel.virtBase;
  const write = (firstPfn: number, offset: number, bytes: Uint8Array): boolean => {
    for (let done = 0; done < bytes.length; ) {
      const at = firstPfn * FRAME_BYTES + offset + done;
      const frame = frameOf[Math.floor(at / FRAME_BYTES)];
      if (frame === undefined) return false;
      const part = bytes.subarray(done, done + FRAME_BYTES - (at % FRAME_BYTES));
      memory.writeBytes(frame * FRAME_BYTES + (at % FRAME_BYTES), part);
      done += part.length;
    }
    return true;
  };
  const writeVirtual = (virtual: bigint, bytes: Uint8Array): boolean =>
    virtual >= base && virtual + BigInt(bytes.length) <= plan.mappingEnd && write(0, Number(virtual - base), bytes);

  for (const { virtual, bytes } of initial.contents) if (!writeVirtual(virtual, bytes)) return -EINVAL;
  if (initial.hypercallPage !== undefined && !writeVirtual(initial.hypercallPage, hypercallPage64())) return -EINVAL;
  const ramdisk = plan.regions.find((region) => region.name === 'ramdisk');
  if (ramdisk !== undefined && initial.ramdisk !== undefined) write(ramdisk.pfn, 0, initial.ramdisk);
  const list = new Uint8Array(plan.totalPages * 8);
  const listView = new DataView(list.buffer);
  for (const [pfn, frame] of frameOf.entries()) listView.setBigUint64(8 * pfn, BigInt(frame), true);
  write(plan.p2m.pfn, 0, list);
  forEachTableEntry(plan, (table, index, target, flags) => {
    const entry = (BigInt(frameOf[target] as number) << 12n) | BigInt(flags);
    memory.writeU64((frameOf[table] as number) * FRAME_BYTES + index * 8, entry);
  });
  const region = (name: string): number => {
    const found = plan.regions.find((candidate) => candidate.name === name);
    return found === undefined ? 0 : (frameOf[found.pfn] as number);
  };
  const values = {
    ...initial.startInfo,
    sharedInfoMfn: domain.sharedInfoFrame,
    storeMfn: region('xenstore'),
    consoleMfn: region('console'),
  };
  if (!writeVirtual(plan.startInfoVirtual, encodeStartInfo(plan, values))) return -EINVAL;
  const root = frameOf[(plan.tables[0] as { pfn: number }).pfn] as number;
  if (pin(pv.tables, root, domain.id, PageType.l4) < 0) return -EINVAL;
  const vcpu = domain.vcpus[0];
  if (vcpu === undefined) return -EINVAL;
  const result = hypervisor.kind(domain).setContext(hypervisor, vcpu, firstContext(plan, root));
  if (result < 0) return result;
  vcpu.initialised = true;
  vcpu.down = false;
  return frameOf;
}

/** vcpu_guest_context of the first vCPU, for a root table in machine frame `root`. */
export function firstContext(plan: StartOfDayPlan, root: number): Uint8Array {
  const registers = firstRegisters(plan);
  const image = vcpu_guest_context.write({
    flags: BigInt(VGCF_in_kernel | VGCF_online),
    user_regs: cpu_user_regs.write(registers),
    kernel_ss: BigInt(registers.ss),
    kernel_sp: registers.rsp,
  });
  return vcpu_guest_context_64.write({ ctrlreg3: BigInt(root) << 12n }, image);
}

/**
 * HYPERVISOR_set_segment_base (25): bases of FS and of both GS, and the user GS selector.
 * Errors: -EINVAL base not canonical, or unknown register. A selector that cannot be loaded becomes NUL.
 * Source: Xen public/arch-x86/xen-x86_64.h SEGBASE_*.
 */
import { Segment } from '../../x86/instruction.ts';
import { Msr } from '../../x86/msr-index.ts';
import { EINVAL } from '../../xen-abi/errno.ts';
import type { PlatformCpu } from '../../platform/cpu.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { Cost } from './cost-rows.ts';
import { nullSegment } from './descriptor.ts';
import { isCanonical } from './guest-walk.ts';
import type { Pv } from './pv.ts';
import { dataSegment } from './segment-load.ts';

const SEGBASE_FS = 0n;
const SEGBASE_GS_USER = 1n;
const SEGBASE_GS_KERNEL = 2n;
const SEGBASE_GS_USER_SEL = 3n;

/** Called from the guest's kernel, so the user's GS base is the one that SWAPGS would bring. */
export function setSegmentBase(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, which: bigint, base: bigint): number {
  cpu.charge(Cost.setSegmentBase);
  const msr = which === SEGBASE_FS ? Msr.IA32_FS_BASE : which === SEGBASE_GS_USER ? Msr.IA32_KERNEL_GS_BASE : Msr.IA32_GS_BASE;
  switch (which) {
    case SEGBASE_FS:
    case SEGBASE_GS_USER:
    case SEGBASE_GS_KERNEL:
      if (!isCanonical(base)) return -EINVAL;
      cpu.writeMsr(msr, base);
      return 0;
    case SEGBASE_GS_USER_SEL:
      setUserGsSelector(pv, vcpu, cpu, Number(base & 0xffffn));
      return 0;
    default:
      return -EINVAL;
  }
}

/** Loads GS as the user will find it: selector now, base behind SWAPGS. The kernel's base stays. */
function setUserGsSelector(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, selector: number): void {
  const state = vcpu.pv as PvVcpu;
  const wanted = selector === 0 ? 0 : selector | 3;
  const loaded = dataSegment(pv, vcpu, wanted) ?? nullSegment();
  const kernelBase = cpu.gsBase;
  state.gsUserSelector = loaded.selector;
  cpu.setSegment(Segment.GS, loaded);
  if ((loaded.selector & 0xfffc) !== 0) cpu.kernelGsBase = loaded.base;
  cpu.gsBase = kernelBase;
}

/**
 * The first registers of a full domain's vCPU, from a vcpu_hvm_context (VCPUOP_initialise, setvcpucontext).
 *
 * DEVIATION: a toolstack of Xen sets the state of vCPU 0 by XEN_DOMCTL_sethvmcontext with a stream of records; here
 * XEN_DOMCTL_setvcpucontext of a full domain takes the 128 bytes of vcpu_hvm_context, and starts the vCPU.
 * Source: Xen public/hvm/hvm_vcpu.h; the checks are those of its comments and of SDM 3C §26.3.1.
 */

import type { CpuContext, SegmentState } from '../../platform/context.ts';
import { newCpuContext } from '../../platform/context.ts';
import { Cr0, Cr4, Efer } from '../../x86/control-registers.ts';
import { Flag } from '../../x86/eflags.ts';
import { Segment } from '../../x86/instruction.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { EINVAL } from '../../xen-abi/errno.ts';
import { VCPU_HVM_MODE_32B, VCPU_HVM_MODE_64B, vcpu_hvm_context_32, vcpu_hvm_context_64 } from '../../xen-abi/hvm.ts';

const attributeMask = 0x0fff;
/** Present, S, code; present, S, writable data; present, busy 32-bit TSS. */
const TSS_BUSY = 0x8b;
const flatLimit = 0xffff_ffff;
const cr0Known = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG;
const cr4Known = Cr4.PSE | Cr4.PAE | Cr4.PGE | Cr4.MCE | Cr4.OSFXSR | Cr4.OSXMMEXCPT | Cr4.DE | Cr4.TSD | Cr4.VME;
const eferKnown = BigInt(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE);

/** Fills `into` with reset values and the image. 0 or -EINVAL, with `into` unchanged. */
export function firstContext(image: Uint8Array, into: CpuContext): number {
  const { mode } = vcpu_hvm_context_32.read(image);
  if (mode === VCPU_HVM_MODE_32B) return protectedMode(image, into);
  return mode === VCPU_HVM_MODE_64B ? longMode(image, into) : -EINVAL;
}

/** Type, S, DPL, P in bits 7:0 and AVL, L, D/B, G in bits 11:8 become the descriptor's bits. */
function segment(base: number, limit: number, attributes: number, selector: number): SegmentState {
  const bits = attributes & attributeMask;
  return { selector, base: BigInt(base), limit, attributes: (bits & 0xff) | ((bits & 0xf00) << 4) };
}

function protectedMode(image: Uint8Array, into: CpuContext): number {
  const regs = vcpu_hvm_context_32.read(image);
  const paging = (regs.cr0 & Cr0.PG) !== 0;
  const longModeWanted = (regs.efer & BigInt(Efer.LME | Efer.LMA)) !== 0n;
  if ((regs.cr0 & ~cr0Known) !== 0 || (regs.cr4 & ~cr4Known) !== 0 || (regs.efer & ~eferKnown) !== 0n) return -EINVAL;
  if (longModeWanted || (paging && (regs.cr0 & Cr0.PE) === 0)) return -EINVAL;
  const code = segment(regs.cs_base, regs.cs_limit, regs.cs_ar, 0x08);
  const isCode = (code.attributes & 0x98) === 0x98;
  if (!isCode) return -EINVAL;
  reset(into);
  const { eax, ecx, edx, ebx, esp, ebp, esi, edi } = regs;
  [eax, ecx, edx, ebx, esp, ebp, esi, edi].forEach((value, i) => {
    into.gpr[i] = BigInt(value);
  });
  into.rip = BigInt(regs.eip);
  into.rflags = cleanFlags(BigInt(regs.eflags));
  into.cr0 = BigInt((regs.cr0 | Cr0.ET) >>> 0);
  into.cr3 = BigInt(regs.cr3);
  into.cr4 = BigInt(regs.cr4);
  into.efer = regs.efer;
  const data = segment(regs.ds_base, regs.ds_limit, regs.ds_ar, 0x10);
  into.segments[Segment.CS] = code;
  into.segments[Segment.DS] = data;
  into.segments[Segment.SS] = segment(regs.ss_base, regs.ss_limit, regs.ss_ar, 0x10);
  into.segments[Segment.ES] = segment(regs.es_base, regs.es_limit, regs.es_ar, 0x10);
  into.segments[Segment.FS] = { ...data };
  into.segments[Segment.GS] = { ...data };
  into.tr = segment(regs.tr_base, regs.tr_limit, regs.tr_ar === 0 ? TSS_BUSY : regs.tr_ar, 0);
  return 0;
}

function longMode(image: Uint8Array, into: CpuContext): number {
  const regs = vcpu_hvm_context_64.read(image);
  const needed = (regs.cr0 & BigInt(Cr0.PG)) !== 0n && (regs.cr0 & BigInt(Cr0.PE)) !== 0n && (regs.cr4 & BigInt(Cr4.PAE)) !== 0n;
  if (!needed || (regs.efer & BigInt(Efer.LME)) === 0n || (regs.efer & BigInt(Efer.LMA)) === 0n) return -EINVAL;
  if ((regs.efer & ~eferKnown) !== 0n || (regs.cr0 & ~BigInt(cr0Known >>> 0)) !== 0n || (regs.cr4 & ~BigInt(cr4Known)) !== 0n)
    return -EINVAL;
  if (!isCanonical(regs.rip) || regs.cr3 >> 40n !== 0n) return -EINVAL;
  reset(into);
  const { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi } = regs;
  [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi].forEach((value, i) => {
    into.gpr[i] = value;
  });
  into.rip = regs.rip;
  into.rflags = cleanFlags(regs.rflags);
  into.cr0 = regs.cr0 | BigInt(Cr0.ET);
  into.cr3 = regs.cr3;
  into.cr4 = regs.cr4;
  into.efer = regs.efer;
  const data = { selector: 0x10, base: 0n, limit: flatLimit, attributes: 0xc093 };
  for (let i = 0; i < 6; i++) into.segments[i] = { ...data };
  into.segments[Segment.CS] = { selector: 0x08, base: 0n, limit: flatLimit, attributes: 0xa09b };
  into.tr = { selector: 0, base: 0n, limit: 0x67, attributes: TSS_BUSY };
  return 0;
}

/** Bit 1 reads as one; virtual-8086 mode and single steps do not start a vCPU. */
function cleanFlags(flags: bigint): bigint {
  return (flags & 0x3f_ffffn & ~BigInt(Flag.VM | Flag.TF | Flag.RF)) | 2n;
}

function reset(into: CpuContext): void {
  Object.assign(into, newCpuContext());
}

/**
 * The state under host code in ring 0 before it has run anything: nothing that executes. CPL 3 with interrupts on is
 * what lets the processor hand it its first interrupt.
 */
export function hostCodeContext(into: CpuContext): void {
  reset(into);
  const data = { selector: 0x2b, base: 0n, limit: flatLimit, attributes: 0xc0f3 };
  for (let i = 0; i < 6; i++) into.segments[i] = { ...data };
  into.segments[Segment.CS] = { selector: 0x33, base: 0n, limit: flatLimit, attributes: 0xa0fb };
  into.tr = { selector: 0, base: 0n, limit: 0x67, attributes: TSS_BUSY };
  into.rflags = BigInt(Flag.IF) | 2n;
  into.cr0 = BigInt((Cr0.PE | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.PG) >>> 0);
  into.cr4 = BigInt(Cr4.PAE | Cr4.OSFXSR | Cr4.OSXMMEXCPT);
  into.efer = BigInt(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE);
}

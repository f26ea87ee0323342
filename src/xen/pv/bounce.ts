/**
 * Bounce frames: how an exception, an event or a system call reaches a 64-bit guest kernel. The frame is made on the
 * guest's kernel stack and the guest goes on at its handler; all general registers are as they were interrupted.
 *
 *   new rsp = (base & ~15) - 56, and 8 less with an error code; base = kernel_sp from user mode, else the current rsp
 *   new rsp: rcx  r11  [error code]  rip  cs+mask  rflags  rsp  ss
 *   cs+mask: bits 15:0 selector (RPL 0: from the kernel), bits 39:32 evtchn_upcall_mask as it was
 *
 * A stack that cannot be written, or a handler that does not exist, ends the domain: there is nobody left to tell.
 * Sources: Xen public/arch-x86/xen-x86_64.h (struct iret_context and the text above), public/callback.h.
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import { Flag } from '../../x86/eflags.ts';
import { Segment } from '../../x86/instruction.ts';
import { VMASST_TYPE_architectural_iopl } from '../../xen-abi/xen.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { setUpcallMask, upcallIsMasked } from '../shared-info.ts';
import type { PvEntry, PvVcpu, Vcpu } from '../vcpu.ts';
import { crashGuest } from './crash-report.ts';
import { flatCode64, flatStack } from './descriptor.ts';
import type { PageTables } from './page-tables.ts';
import { toggleGuestMode } from './root-tables.ts';

const HOLE_START = 0xffff_8000_0000_0000n;
const HOLE_END = 0xffff_8800_0000_0000n;
const IOPL_SHIFT = 12n;
const RSP = 4;
const RCX = 1;
const R11 = 11;

export interface BounceOptions {
  /** For reports: `#PF`, `event`. */
  readonly name: string;
  readonly errorCode?: number | undefined;
  /** Selectors to push instead of the registers' (syscall, sysenter). */
  readonly cs?: number;
  readonly ss?: number;
  /** Words between r11 and the rest: ds es fs gs of a failsafe callback. */
  readonly extra?: readonly bigint[];
  /** Further flags to clear on entry. */
  readonly clearFlags?: number;
}

/** Makes the frame and enters `entry`. False when that ended the domain. */
export function bounce(
  tables: PageTables,
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  cpu: PlatformCpu,
  entry: PvEntry,
  options: BounceOptions,
): boolean {
  const pv = vcpu.pv as PvVcpu;
  if (entry.address === 0n) return crashGuest(hypervisor, vcpu, cpu, `no handler for ${options.name}`);
  const fromKernel = pv.kernelMode;
  const masked = upcallIsMasked(hypervisor, vcpu);
  const selector = options.cs ?? cpu.segment(Segment.CS).selector;
  const cs = BigInt(fromKernel ? selector & ~3 : selector | 3) | (masked ? 1n << 32n : 0n);
  const words = [cpu.gpr(RCX), cpu.gpr(R11), ...(options.extra ?? [])];
  if (options.errorCode !== undefined) words.push(BigInt(options.errorCode >>> 0));
  words.push(cpu.rip, cs, guestFlags(vcpu, cpu, masked), cpu.gpr(RSP), BigInt(options.ss ?? cpu.segment(Segment.SS).selector));
  if (!fromKernel) toggleGuestMode(tables, vcpu, cpu);
  const base = (fromKernel ? cpu.gpr(RSP) : pv.kernelSp) & ~15n;
  const stack = BigInt.asUintN(64, base - BigInt(8 * words.length));
  const frame = new Uint8Array(8 * words.length);
  const view = new DataView(frame.buffer);
  for (const [i, word] of words.entries()) view.setBigUint64(8 * i, word, true);
  const inHole = base > HOLE_START && base < HOLE_END + 64n;
  if (inHole || cpu.writeVirtual(stack, frame, true) !== undefined)
    return crashGuest(hypervisor, vcpu, cpu, `stack at 0x${stack.toString(16)} cannot take the frame of ${options.name}`);
  if (entry.maskEvents) setUpcallMask(hypervisor, vcpu, true);
  const clear = Flag.AC | Flag.VM | Flag.RF | Flag.NT | Flag.TF | (options.clearFlags ?? 0);
  cpu.rflags &= ~BigInt(clear);
  cpu.rip = entry.address;
  cpu.setGpr(RSP, stack);
  cpu.setSegment(Segment.CS, flatCode64());
  cpu.setSegment(Segment.SS, flatStack());
  for (const observer of hypervisor.observers) observer.delivery?.(vcpu, options.name);
  return true;
}

/** RFLAGS as the guest sees them: IF is its upcall mask, inverted; IOPL is 0 unless it asked for its virtual one. */
function guestFlags(vcpu: Vcpu, cpu: PlatformCpu, masked: boolean): bigint {
  const flags = cpu.rflags & ~BigInt(Flag.IF | Flag.IOPL);
  const iopl = hasArchitecturalIopl(vcpu) ? BigInt((vcpu.pv as PvVcpu).iopl) << IOPL_SHIFT : 0n;
  return flags | iopl | (masked ? 0n : BigInt(Flag.IF));
}

export function hasArchitecturalIopl(vcpu: Vcpu): boolean {
  return (vcpu.domain.vmAssist & (1n << BigInt(VMASST_TYPE_architectural_iopl))) !== 0n;
}

/**
 * The whole state of a 64-bit paravirtual vCPU in and out: vcpu_guest_context, as VCPUOP_initialise, domctl
 * setvcpucontext and getvcpucontext have it, and the state before any was set (start of day).
 * Errors: -EINVAL addresses that are not canonical, tables that are not the domain's or do not validate, too many
 * descriptors; 32-bit images are refused.
 * DEVIATION: data selectors that cannot be loaded become NUL here, and the failsafe callback is not entered for them;
 * code and stack selectors that cannot be loaded act as the flat ones.
 * Source: Xen public/arch-x86/xen.h struct vcpu_guest_context.
 */
import { Cr0, Cr4, Efer } from '../../x86/control-registers.ts';
import { Flag, IMPLEMENTED_FLAGS } from '../../x86/eflags.ts';
import { Segment } from '../../x86/instruction.ts';
import { EINVAL } from '../../xen-abi/errno.ts';
import {
  cpu_user_regs,
  trap_info,
  VGCF_failsafe_disables_events,
  VGCF_i387_valid,
  VGCF_in_kernel,
  VGCF_syscall_disables_events,
  vcpu_guest_context,
  vcpu_guest_context_64,
} from '../../xen-abi/vcpu.ts';
import { VMASST_TYPE_m2p_strict } from '../../xen-abi/xen.ts';
import { PageType } from '../frame-table.ts';
import { type PvTrap, type PvVcpu, type Vcpu, newPvVcpu } from '../vcpu.ts';
import { clearTraps, setTrap } from './callbacks.ts';
import { allowedCr4 } from './control-registers.ts';
import { setDebugRegister } from './debug-registers.ts';
import { GUEST_GDT_ENTRIES, nullSegment } from './descriptor.ts';
import { isCanonical } from './guest-walk.ts';
import type { Pv } from './pv.ts';
import { codeSegmentOrFlat, dataSegment, stackSegmentOrFlat } from './segment-load.ts';
import { GDT_LIMIT, gdtAddress } from './xen-slots.ts';

const HOST_CR0 = BigInt(Cr0.PE | Cr0.MP | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM) | BigInt(Cr0.PG);
const HOST_CR4 = BigInt(Cr4.PAE | Cr4.MCE | Cr4.PGE | Cr4.OSFXSR | Cr4.OSXMMEXCPT);
const HOST_EFER = BigInt(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE);
/** What SIDT shows: an address of the hypervisor. */
const IDT = { base: 0xffff_82d0_8000_0000n, limit: 0xfff };
const KEPT_FLAGS = BigInt(IMPLEMENTED_FLAGS & ~(Flag.IOPL | Flag.VM | Flag.VIF | Flag.VIP | Flag.NT));
const VM_ASSIST_KNOWN = 0x3fn | (1n << BigInt(VMASST_TYPE_m2p_strict));
const MAX_LDT_ENTRIES = 8192n;
const GENERAL = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;

/** State of a vCPU that nobody has given a context. */
export function resetVcpu(vcpu: Vcpu): void {
  const { context } = vcpu;
  vcpu.pv = newPvVcpu();
  context.cr0 = HOST_CR0;
  context.cr4 = HOST_CR4;
  context.efer = HOST_EFER;
  context.rflags = BigInt(Flag.IF | Flag.RESERVED_ONE);
  context.gdtr = { base: gdtAddress(vcpu.id), limit: GDT_LIMIT };
  context.idtr = { ...IDT };
}

const view64 = (image: Uint8Array): DataView => new DataView(image.buffer, image.byteOffset, image.byteLength);

export function setContext(pv: Pv, vcpu: Vcpu, image: Uint8Array): number {
  if (image.length < vcpu_guest_context.size(64)) return -EINVAL;
  const state = vcpu.pv as PvVcpu;
  const fields = { ...vcpu_guest_context.read(image), ...vcpu_guest_context_64.read(image) };
  const registers = cpu_user_regs.read(fields.user_regs);
  const view = view64(image);

  // 1. Everything that can be refused without changing anything.
  const addresses = [registers.rip, registers.rsp, fields.kernel_sp, fields.fs_base, fields.gs_base_kernel, fields.gs_base_user];
  addresses.push(fields.event_callback_eip, fields.failsafe_callback_eip, fields.syscall_callback_eip);
  const trapBase = vcpu_guest_context.offset('trap_ctxt', 64);
  const traps = Array.from({ length: 256 }, (_, i) => trap_info.read(image.subarray(trapBase + 16 * i, trapBase + 16 * i + 16)));
  for (const trap of traps) addresses.push(trap.address);
  if (!addresses.every(isCanonical)) return -EINVAL;
  if (fields.gdt_ents > BigInt(GUEST_GDT_ENTRIES) || fields.ldt_ents > MAX_LDT_ENTRIES) return -EINVAL;
  if ((fields.ldt_base & 0xfffn) !== 0n || !isCanonical(fields.ldt_base)) return -EINVAL;

  // 2. References: root tables, then the GDT, which drops the old one only when it has the new one.
  const kernelRoot = rootFrame(pv, fields.ctrlreg3);
  const userRoot = rootFrame(pv, fields.ctrlreg1);
  const { frames } = pv.hypervisor;
  if (kernelRoot <= 0 || userRoot < 0) return -EINVAL;
  let result = frames.getPageAndType(kernelRoot, vcpu.domain.id, PageType.l4);
  if (result < 0) return -EINVAL;
  if (userRoot !== 0) {
    result = frames.getPageAndType(userRoot, vcpu.domain.id, PageType.l4);
    if (result < 0) {
      frames.putPageAndType(kernelRoot);
      return -EINVAL;
    }
  }
  const gdtCount = Math.ceil(Number(fields.gdt_ents) / 512);
  const gdtFrames = Array.from({ length: gdtCount }, (_, i) => {
    const frame = view.getBigUint64(vcpu_guest_context.offset('gdt_frames', 64) + 8 * i, true);
    return frame < BigInt(frames.frameCount) ? Number(frame) : -1;
  });
  result = pv.descriptors.setGdt(vcpu, gdtFrames, Number(fields.gdt_ents));
  if (result < 0) {
    frames.putPageAndType(kernelRoot);
    if (userRoot !== 0) frames.putPageAndType(userRoot);
    return result;
  }
  dropRoots(pv, vcpu);
  state.guestTable = kernelRoot;
  state.userTable = userRoot;
  pv.slots.showM2p(kernelRoot, true);
  pv.descriptors.setLdt(vcpu, fields.ldt_ents === 0n ? 0n : fields.ldt_base, Number(fields.ldt_ents));

  // 3. Plain state.
  const flags = Number(fields.flags & 0xffff_ffffn);
  state.kernelMode = (flags & VGCF_in_kernel) !== 0;
  clearTraps(state);
  for (const trap of traps) {
    if (trap.address !== 0n) setTrap(state.traps[trap.vector] as PvTrap, trap.flags, trap.cs, trap.address);
  }
  state.eventCallback.address = fields.event_callback_eip;
  state.eventCallback.maskEvents = true;
  state.failsafeCallback.address = fields.failsafe_callback_eip;
  state.failsafeCallback.maskEvents = (flags & VGCF_failsafe_disables_events) !== 0;
  state.syscallCallback.address = fields.syscall_callback_eip;
  state.syscallCallback.maskEvents = (flags & VGCF_syscall_disables_events) !== 0;
  state.kernelSs = Number(fields.kernel_ss & 0xffffn) | 3;
  state.kernelSp = fields.kernel_sp;
  state.taskSwitched = (fields.ctrlreg0 & BigInt(Cr0.TS)) !== 0n;
  state.iopl = Number((registers.rflags >> 12n) & 3n);
  state.cr4 = fields.ctrlreg4 & allowedCr4(pv, vcpu);
  if (vcpu.id === 0 && !vcpu.initialised) vcpu.domain.vmAssist = fields.vm_assist & VM_ASSIST_KNOWN;
  for (const [i, register] of [0, 1, 2, 3, 6, 7].entries()) {
    const at = vcpu_guest_context.offset('debugreg', 64) + 8 * register;
    if (i < 4 || view.getBigUint64(at, true) !== 0n) setDebugRegister(pv.hypervisor, vcpu, register, view.getBigUint64(at, true));
  }

  // 4. Registers.
  const { context } = vcpu;
  for (const [i, name] of GENERAL.entries()) context.gpr[i] = registers[name];
  context.rip = registers.rip;
  context.rflags = (registers.rflags & KEPT_FLAGS) | BigInt(Flag.IF | Flag.RESERVED_ONE);
  context.cr0 = state.taskSwitched ? HOST_CR0 | BigInt(Cr0.TS) : HOST_CR0;
  context.cr4 = HOST_CR4 | state.cr4;
  context.cr3 = BigInt(state.kernelMode ? kernelRoot : userRoot) << 12n;
  context.segments[Segment.CS] = codeSegmentOrFlat(pv, vcpu, registers.cs | 3);
  context.segments[Segment.SS] = stackSegmentOrFlat(pv, vcpu, registers.ss | 3);
  for (const [index, selector] of [
    [Segment.ES, registers.es],
    [Segment.DS, registers.ds],
    [Segment.FS, registers.fs],
    [Segment.GS, registers.gs],
  ] as const)
    context.segments[index] = dataSegment(pv, vcpu, selector === 0 ? 0 : selector | 3) ?? nullSegment();
  const [fs, gs] = [context.segments[Segment.FS], context.segments[Segment.GS]];
  if (fs !== undefined) fs.base = fields.fs_base;
  if (gs !== undefined) gs.base = state.kernelMode ? fields.gs_base_kernel : fields.gs_base_user;
  context.kernelGsBase = state.kernelMode ? fields.gs_base_user : fields.gs_base_kernel;
  if ((flags & VGCF_i387_valid) !== 0) context.fxsave.set(fields.fpu_ctxt);
  return 0;
}

/** Frame of a CR3 value; 0 for none, -1 for one that does not exist. */
function rootFrame(pv: Pv, cr3: bigint): number {
  const frame = cr3 >> 12n;
  return frame < BigInt(pv.hypervisor.frames.frameCount) ? Number(frame) : -1;
}

/** Gives the root tables back. */
export function dropRoots(pv: Pv, vcpu: Vcpu): void {
  const state = vcpu.pv as PvVcpu;
  const { frames } = pv.hypervisor;
  const roots = [state.guestTable, state.userTable];
  state.guestTable = 0;
  state.userTable = 0;
  for (const root of roots) if (root !== 0) frames.putPageAndType(root);
}

/** The other way round; `vcpu.context` has to be up to date. */
export function getContext(vcpu: Vcpu): Uint8Array {
  const state = vcpu.pv as PvVcpu;
  const { context } = vcpu;
  const segment = (index: 0 | 1 | 2 | 3 | 4 | 5): number => context.segments[index]?.selector ?? 0;
  const base = (index: 4 | 5): bigint => context.segments[index]?.base ?? 0n;
  const general = Object.fromEntries(GENERAL.map((name, i) => [name, context.gpr[i] as bigint]));
  const user_regs = cpu_user_regs.write({
    ...general,
    rip: context.rip,
    rflags: context.rflags | (BigInt(state.iopl) << 12n),
    cs: segment(Segment.CS),
    ss: segment(Segment.SS),
    es: segment(Segment.ES),
    ds: segment(Segment.DS),
    fs: segment(Segment.FS),
    gs: segment(Segment.GS),
  });
  let flags = VGCF_i387_valid;
  if (state.kernelMode) flags |= VGCF_in_kernel;
  if (state.failsafeCallback.maskEvents) flags |= VGCF_failsafe_disables_events;
  if (state.syscallCallback.maskEvents) flags |= VGCF_syscall_disables_events;
  if (!vcpu.down) flags |= 32; // VGCF_online
  const image = vcpu_guest_context.write({
    fpu_ctxt: context.fxsave,
    flags: BigInt(flags),
    user_regs,
    ldt_base: state.ldtBase,
    ldt_ents: BigInt(state.ldtEntries),
    gdt_ents: BigInt(state.gdtEntries),
    kernel_ss: BigInt(state.kernelSs),
    kernel_sp: state.kernelSp,
    event_callback_eip: state.eventCallback.address,
    failsafe_callback_eip: state.failsafeCallback.address,
    vm_assist: vcpu.domain.vmAssist,
  });
  vcpu_guest_context_64.write(
    {
      ctrlreg0: state.taskSwitched ? context.cr0 | BigInt(Cr0.TS) : context.cr0,
      ctrlreg1: BigInt(state.userTable) << 12n,
      ctrlreg3: BigInt(state.guestTable) << 12n,
      ctrlreg4: state.cr4,
      syscall_callback_eip: state.syscallCallback.address,
      fs_base: base(Segment.FS),
      gs_base_kernel: state.kernelMode ? base(Segment.GS) : context.kernelGsBase,
      gs_base_user: state.kernelMode ? context.kernelGsBase : base(Segment.GS),
    },
    image,
  );
  const view = view64(image);
  for (const [i, frame] of state.gdtFrames.entries())
    view.setBigUint64(vcpu_guest_context.offset('gdt_frames', 64) + 8 * i, BigInt(frame), true);
  for (let i = 0; i < 8; i++) view.setBigUint64(vcpu_guest_context.offset('debugreg', 64) + 8 * i, state.debug[i] as bigint, true);
  const trapBase = vcpu_guest_context.offset('trap_ctxt', 64);
  for (const [vector, trap] of state.traps.entries())
    trap_info.write(
      { vector, flags: trap.dpl | (trap.maskEvents ? 4 : 0), cs: trap.cs, address: trap.address },
      image.subarray(trapBase + 16 * vector, trapBase + 16 * vector + 16),
    );
  return image;
}

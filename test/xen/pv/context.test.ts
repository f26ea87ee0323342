import { describe, expect, it } from 'vitest';
import { vcpu_guest_context, vcpu_guest_context_64 } from '../../../src/xen-abi/vcpu.ts';
import { EINVAL } from '../../../src/xen-abi/errno.ts';
import { SmallDomain } from './small-domain.ts';

function image(d: SmallDomain): Uint8Array {
  d.cpu.saveContext(d.vcpu.context);
  return d.hypervisor.kind(d.domain).getContext(d.hypervisor, d.vcpu);
}
/** As the toolstack does it: the vCPU does not run. */
function setContext(d: SmallDomain, bytes: Uint8Array): number {
  d.vcpu.running = false;
  const result = d.hypervisor.kind(d.domain).setContext(d.hypervisor, d.vcpu, bytes);
  d.vcpu.running = true;
  return result;
}

describe('vcpu_guest_context of PV vCPUs (public/arch-x86/xen.h)', () => {
  it('comes out as the first registers of a built domain', () => {
    const d = new SmallDomain();
    expect(d.state.kernelMode).toBe(true);
    expect([d.cpu.rip, d.cpu.gpr(4), d.cpu.gpr(6), d.cpu.rflags]).toEqual([
      d.plan.kernel.entry,
      d.plan.stackTop,
      d.plan.startInfoVirtual,
      0x202n,
    ]);
    expect([1, 2, 3, 4].map((i) => d.cpu.segment(i as 1).selector)).toEqual([0xe033, 0xe02b, 0, 0]);
    expect([d.cpu.segment(1).attributes, d.cpu.segment(2).attributes]).toEqual([0xa0fb, 0xc0f3]);
    expect([d.state.kernelSp, d.state.kernelSs, d.state.debug[6], d.state.debug[7]]).toEqual([
      d.plan.stackTop,
      0xe02b,
      0xffff_0ff0n,
      0x400n,
    ]);
  });

  it('survives a round trip, with references unchanged', () => {
    const d = new SmallDomain();
    const gdt = d.makeTable(20, {});
    d.call(2, d.put([gdt]), 512);
    d.mmuext(13, d.virtual(21), 8);
    d.call(0, d.put([0x40n | (0x302n << 8n), 0x40_2000n, 0, 0]));
    d.call(4, 0x40_1000n, 0x40_1001n, 0x40_1002n);
    d.call(3, 0xe02b, 0x40_7000n);
    d.call(25, 0, 0x1111n);
    d.call(25, 1, 0x2222n);
    d.call(25, 2, 0x3333n);
    d.call(8, 0, 0x40_0000n);
    d.mmuext(15, d.table(0));
    const before = image(d);
    expect(setContext(d, before)).toBe(0);
    d.cpu.loadContext(d.vcpu.context);
    expect(Buffer.from(image(d)).equals(Buffer.from(before))).toBe(true);
    expect(vcpu_guest_context_64.read(before)).toMatchObject({ fs_base: 0x1111n, gs_base_user: 0x2222n, gs_base_kernel: 0x3333n });
    expect(d.audit()).toEqual([]);
  });

  it.each<[string, (d: SmallDomain, bytes: Uint8Array) => void]>([
    ['a kernel root that is none', (d, bytes) => vcpu_guest_context_64.write({ ctrlreg3: BigInt(d.table(1)) << 12n }, bytes)],
    ['no kernel root', (_d, bytes) => vcpu_guest_context_64.write({ ctrlreg3: 0n }, bytes)],
    ['a user root that is none', (d, bytes) => vcpu_guest_context_64.write({ ctrlreg1: BigInt(d.mfn(30)) << 12n }, bytes)],
    ['a root beyond memory', (_d, bytes) => vcpu_guest_context_64.write({ ctrlreg3: 1n << 62n }, bytes)],
    ['a callback that is no address', (_d, bytes) => vcpu_guest_context.write({ event_callback_eip: 1n << 60n }, bytes)],
    ['too many GDT entries', (_d, bytes) => vcpu_guest_context.write({ gdt_ents: 7169n }, bytes)],
    ['a GDT frame that is writable', (_d, bytes) => vcpu_guest_context.write({ gdt_ents: 1n, gdt_frames: 30n }, bytes)],
    ['too many LDT entries', (_d, bytes) => vcpu_guest_context.write({ ldt_ents: 8193n }, bytes)],
    ['an LDT that is not page aligned', (_d, bytes) => vcpu_guest_context.write({ ldt_ents: 1n, ldt_base: 8n }, bytes)],
  ])('%s is refused and changes no count', (_name, change) => {
    const d = new SmallDomain();
    const bytes = image(d);
    change(d, bytes);
    expect(setContext(d, bytes)).toBe(-EINVAL);
    expect(d.state.guestTable).toBe(d.table(0));
    expect(d.audit()).toEqual([]);
  });

  it('set_segment_base takes canonical bases of known registers; a bad selector becomes NUL', () => {
    const d = new SmallDomain();
    expect([d.call(25, 0, 0x8000_0000_0000n), d.call(25, 4, 0)]).toEqual([-EINVAL, -EINVAL]);
    expect(d.call(25, 3, 0xe02b)).toBe(0);
    expect(d.cpu.segment(5).selector).toBe(0xe02b);
    expect(d.call(25, 3, 0x1000)).toBe(0);
    expect(d.cpu.segment(5).selector).toBe(0);
  });

  it.each<[string, number, bigint, number]>([
    ['a breakpoint in the hole', 0, 0xffff_8000_0000_0000n, -1],
    ['a breakpoint', 3, 0x40_0000n, 0],
    ['DR6 with upper bits', 6, 1n << 32n, -EINVAL],
    ['DR7 with GD', 7, 0x2000n, -1],
    ['an I/O breakpoint without DE', 7, 0x2_0001n, -1],
    ['DR4 for DR6', 4, 0n, 0],
    ['DR8', 8, 0n, -19],
  ])('set_debugreg: %s', (_name, register, value, expected) => {
    const d = new SmallDomain();
    expect(d.call(8, register, value)).toBe(expected);
  });
});

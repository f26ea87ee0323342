import { describe, expect, it } from 'vitest';
import { newCpuContext } from '../../../src/platform/context.ts';
import { firstContext } from '../../../src/xen/hvm/first-context.ts';
import { vcpu_hvm_context_32, vcpu_hvm_context_64 } from '../../../src/xen-abi/hvm.ts';

const flat = { cs_limit: 0xffff_ffff, ds_limit: 0xffff_ffff, cs_ar: 0xc9b, ds_ar: 0xc93 };
const protectedMode = { mode: 0, eip: 0x1234, eflags: 0x2_0302, cr0: 1, ...flat };
const longMode = { mode: 1, rip: 0xffff_8000_0000_1000n, cr0: 0x8000_0001n, cr3: 0x5000n, cr4: 0x20n, efer: 0x500n };

describe('the first context of a full vCPU', () => {
  it('is protected mode with the segments given, descriptor bits in place', () => {
    const context = newCpuContext();
    expect(firstContext(vcpu_hvm_context_32.write({ ...protectedMode, ebx: 7 }), context)).toBe(0);
    expect(context).toMatchObject({ rip: 0x1234n, cr0: 0x11n, rflags: 0x202n });
    expect(context.gpr[3]).toBe(7n);
    expect(context.segments[1]).toEqual({ selector: 8, base: 0n, limit: 0xffff_ffff, attributes: 0xc09b });
    expect(context.segments[3]?.attributes).toBe(0xc093);
  });

  it('is long mode with flat segments', () => {
    const context = newCpuContext();
    expect(firstContext(vcpu_hvm_context_64.write({ ...longMode, rsi: 9n }), context)).toBe(0);
    expect(context).toMatchObject({ rip: longMode.rip, cr3: 0x5000n, efer: 0x500n });
    expect(context.gpr[6]).toBe(9n);
    expect(context.segments[1]?.attributes).toBe(0xa09b);
  });

  it.each([
    ['an unknown mode', vcpu_hvm_context_32.write({ ...protectedMode, mode: 2 })],
    ['paging without protection', vcpu_hvm_context_32.write({ ...protectedMode, cr0: 0x8000_0000 })],
    ['bits of CR0 that do not exist', vcpu_hvm_context_32.write({ ...protectedMode, cr0: 0x41 })],
    ['CR4.VMXE', vcpu_hvm_context_32.write({ ...protectedMode, cr4: 0x2000 })],
    ['long mode in the 32-bit form', vcpu_hvm_context_32.write({ ...protectedMode, efer: 0x100n })],
    ['CS that is not code', vcpu_hvm_context_32.write({ ...protectedMode, cs_ar: 0xc93 })],
    ['long mode without paging', vcpu_hvm_context_64.write({ ...longMode, cr0: 1n })],
    ['long mode without LMA', vcpu_hvm_context_64.write({ ...longMode, efer: 0x100n })],
    ['RIP that is not canonical', vcpu_hvm_context_64.write({ ...longMode, rip: 0x8000_0000_0000n })],
    ['CR3 beyond the address width', vcpu_hvm_context_64.write({ ...longMode, cr3: 1n << 45n })],
  ])('is refused with %s, and nothing changes', (_what, image) => {
    const context = newCpuContext();
    expect(firstContext(image, context)).toBe(-22);
    expect(context).toEqual(newCpuContext());
  });
});

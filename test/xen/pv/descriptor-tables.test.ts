import { describe, expect, it } from 'vitest';
import { EINVAL, EFAULT } from '../../../src/xen-abi/errno.ts';
import { PageType } from '../../../src/xen/frame-table.ts';
import { acceptDescriptor } from '../../../src/xen/pv/descriptor.ts';
import { SmallDomain } from './small-domain.ts';

const CODE64 = 0x00af_9b00_0000_ffffn; // DPL 0
const CODE64_RING3 = 0x00af_fb00_0000_ffffn;
const DATA_RING3 = 0x00cf_f300_0000_ffffn;
const GDT = 0xffff_8200_0000_0000n;
const LDT = GDT + 0x10000n;

/** A frame that is not mapped writable, with these descriptors. */
function descriptorFrame(d: SmallDomain, pfn: number, entries: bigint[]): number {
  const frame = d.makeTable(pfn, {});
  for (const [i, entry] of entries.entries()) d.memory.writeU64(d.at(frame, i), entry);
  return frame;
}
/** What the processor reads at an address of its own tables. */
const supervisorRead = (d: SmallDomain, address: bigint): bigint | undefined => {
  const at = d.cpu.translate(address, false, false);
  return at < 0 ? undefined : d.memory.readU64(at);
};

describe('acceptance of descriptors (SDM 3A §3.4.5)', () => {
  it.each<[string, bigint, bigint | undefined]>([
    ['not present, whatever it is', 0x0000_0100_1234_5678n, 0x0000_0100_1234_5678n],
    ['code: DPL becomes 3', CODE64, CODE64_RING3],
    ['system type 0: DPL becomes 3', 0x0000_8000_0000_0000n, 0x0000_e000_0000_0000n],
    ['TSS', 0x0000_8900_0000_0067n, undefined],
    ['LDT', 0x0000_8200_0000_0067n, undefined],
    ['interrupt gate', 0x0000_8e00_e033_0000n, undefined],
    ['call gate to the guest: DPL into the RPL', 0x0000_ec00_0008_1234n, 0x0000_8c00_000b_1234n],
    ['call gate to the flat kernel code', 0x0000_ec00_e030_1234n, 0x0000_8c00_e033_1234n],
    ['call gate to the hypervisor', 0x0000_ec00_e008_1234n, undefined],
    ['call gate with a parameter byte', 0x0000_ec01_0008_1234n, undefined],
  ])('%s', (_name, descriptor, expected) => {
    const out = { low: 0, high: 0 };
    const accepted = acceptDescriptor(Number(descriptor & 0xffff_ffffn), Number(descriptor >> 32n), out);
    expect(accepted ? (BigInt(out.high) << 32n) | BigInt(out.low) : undefined).toBe(expected);
  });
});

describe('GDT and LDT of PV guests', () => {
  it('the hypervisor’s page of flat segments is always there, the guest’s pages only with set_gdt', () => {
    const d = new SmallDomain();
    expect(d.cpu.context.gdtr).toEqual({ base: GDT, limit: 0xefff });
    expect(supervisorRead(d, GDT + 0xe030n)).toBe(CODE64_RING3);
    expect(supervisorRead(d, GDT + 0xe028n)).toBe(DATA_RING3);
    expect(supervisorRead(d, GDT)).toBeUndefined();
    expect(d.cpu.translate(GDT + 0xe030n, true, false)).toBe(-2); // not for the guest
    const frame = descriptorFrame(d, 20, [0n, CODE64]);
    expect(d.call(2, d.put([frame]), 2)).toBe(0);
    expect(supervisorRead(d, GDT + 8n)).toBe(CODE64_RING3);
    expect(d.hypervisor.frames.type[frame]).toBe(PageType.segdesc);
    expect(d.updateVa(d.virtual(20), d.entry(frame, 3))).toBe(-16);
    expect(d.audit()).toEqual([]);
    expect(d.call(2, 0, 0)).toBe(0);
    expect([supervisorRead(d, GDT + 8n), d.updateVa(d.virtual(20), d.entry(frame, 3))]).toEqual([undefined, 0]);
    expect(d.audit()).toEqual([]);
  });

  it('set_gdt refuses what it must, and keeps the old table then', () => {
    const d = new SmallDomain();
    const good = descriptorFrame(d, 20, [0n, CODE64]);
    const bad = descriptorFrame(d, 21, [0n, 0x0000_8900_0000_0067n]);
    expect(d.call(2, d.put([good]), 2)).toBe(0);
    expect(d.call(2, d.put([good, bad]), 600)).toBe(-EINVAL);
    expect(d.call(2, d.put([d.mfn(30)]), 2)).toBe(-EINVAL); // writable
    expect(d.call(2, d.put([d.table(3)]), 2)).toBe(-EINVAL);
    expect(d.call(2, d.put([1n << 50n]), 2)).toBe(-EINVAL);
    expect(d.call(2, d.put([good]), 7169)).toBe(-EINVAL);
    expect(d.call(2, 0xffff_8000_0000_0000n, 2)).toBe(-EFAULT);
    expect(d.state.gdtFrames).toEqual([good]);
    expect(d.audit()).toEqual([]);
  });

  it('update_descriptor writes accepted descriptors into GDT pages and plain pages', () => {
    const d = new SmallDomain();
    const frame = descriptorFrame(d, 20, []);
    d.call(2, d.put([frame]), 512);
    expect(d.call(10, d.at(frame, 5), CODE64)).toBe(0);
    expect(supervisorRead(d, GDT + 40n)).toBe(CODE64_RING3);
    expect(d.call(10, d.at(d.mfn(30), 5), CODE64)).toBe(0);
    expect(d.call(10, d.at(frame, 5) + 4, CODE64)).toBe(-EINVAL);
    expect(d.call(10, d.at(frame, 6), 0x0000_8900_0000_0067n)).toBe(-EINVAL);
    expect(d.call(10, d.at(d.table(3), 6), CODE64)).toBe(-EINVAL);
    expect(d.call(10, d.pv.slots.reservedGdtFrame * 4096, CODE64)).toBe(-EINVAL);
    expect(d.audit()).toEqual([]);
  });

  it('LDT pages are mapped when the processor misses them, and dropped with the guest’s mapping', () => {
    const d = new SmallDomain();
    const frame = descriptorFrame(d, 20, [0n, CODE64_RING3]);
    const fault = (address: bigint): void => {
      const event = { vector: 14, errorCode: 0, faultAddress: address, kind: 'fault' as const, instructionLength: 0 };
      d.hypervisor.kind(d.domain).exception(d.hypervisor, d.vcpu, d.cpu, event);
    };
    d.call(0, d.put([14, 0x40_2000, 13, 0x40_3000, 0, 0]));
    d.cpu.setGpr(4, 0x40_6000n);
    expect(d.mmuext(13, d.virtual(20), 1024)).toBe(0);
    expect(d.cpu.context.ldtr).toMatchObject({ base: LDT, limit: 8191 });
    const rip = d.cpu.rip;
    fault(LDT + 8n);
    expect([d.cpu.rip, supervisorRead(d, LDT + 8n)]).toEqual([rip, CODE64_RING3]);
    expect(d.audit()).toEqual([]);
    // The next page is mapped writable: it cannot be a descriptor table; #PF at the guest's own address.
    fault(LDT + 0x1008n);
    expect([d.cpu.rip, d.state.cr2]).toEqual([0x40_2000n, d.virtual(21) + 8n]);
    // A hole of the GDT is #GP(selector).
    fault(GDT + 0x58n);
    expect([d.cpu.rip, d.get(d.cpu.gpr(4), 3)[2]]).toEqual([0x40_3000n, 0x58n]);
    expect(d.updateVa(d.virtual(20), 0)).toBe(0);
    expect(supervisorRead(d, LDT + 8n)).toBeUndefined();
    expect(d.hypervisor.frames.typeReferences[frame]).toBe(0);
    expect(d.audit()).toEqual([]);
  });
});

describe('the audit itself', () => {
  it('notices a count that is off by one, a lost slot, a wrong type', () => {
    const d = new SmallDomain();
    const { frames } = d.hypervisor;
    frames.references[d.mfn(30)] = 7;
    expect(d.audit()).toHaveLength(1);
    frames.references[d.mfn(30)] = 2;
    expect(d.audit()).toEqual([]);
    frames.typeReferences[d.mfn(30)] = 2;
    expect(d.audit()).toHaveLength(1);
    frames.typeReferences[d.mfn(30)] = 1;
    d.memory.writeU64(d.at(d.table(0), 260), 0n);
    expect(d.audit()).toHaveLength(1);
  });
});

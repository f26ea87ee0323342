import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, EPERM, ESRCH } from '../../../src/xen-abi/errno.ts';
import { SmallDomain } from './small-domain.ts';

const translations = (d: SmallDomain): string[] => d.cpu.translations.splice(0);

describe('update_va_mapping (public/xen.h UVMF_*)', () => {
  it('flushes as its flags say, after a change that was made', () => {
    const d = new SmallDomain();
    const page = d.virtual(10);
    const mask = d.put([1n], d.virtual(602));
    const change = (flags: bigint | number): string[] => {
      translations(d);
      expect(d.call(14, page, d.entry(d.mfn(10), 3), flags)).toBe(0);
      return translations(d);
    };
    const invlpg = [`invlpg ${page.toString(16)}`];
    expect([0, 1, 2, 5, 6].map(change)).toEqual([[], ['flush'], invlpg, ['flush'], invlpg]);
    expect(change(mask | 1n)).toEqual(['flush']);
    expect(change(d.put([2n], d.virtual(603)) | 1n)).toEqual([]); // vCPU 1 only
  });

  it('changes and flushes nothing for addresses that no L1 table covers', () => {
    const d = new SmallDomain();
    translations(d);
    for (const address of [0n, 0x8000_0000_0000n, 0xffff_8000_0000_0000n, 0xffff_8200_0000_0000n, 0x80_0000n])
      expect(d.call(14, address, d.entry(d.mfn(10), 3), 5)).toBe(-EINVAL);
    expect(translations(d)).toEqual([]);
    expect(d.audit()).toEqual([]);
  });

  it('-EFAULT for a bitmap that cannot be read comes after the change', () => {
    const d = new SmallDomain();
    expect(d.call(14, d.virtual(10), 0, 0xffff_8000_0000_0001n)).toBe(-EFAULT);
    expect(d.memory.readU64(d.at(d.table(3), 10))).toBe(0n);
    expect(d.audit()).toEqual([]);
  });

  it('_otherdomain needs rights over that domain', () => {
    const d = new SmallDomain();
    expect(d.call(22, d.virtual(10), d.entry(d.mfn(10), 3), 0, 7)).toBe(-ESRCH);
    expect(d.call(22, d.virtual(10), d.entry(d.pv.slots.m2pL3, 1), 0, 0x7ff2)).toBe(-EPERM);
    expect(d.call(22, d.virtual(10), d.entry(d.mfn(10), 3), 0, 0x7ff0)).toBe(0);
    const privileged = new SmallDomain({ privileged: true });
    const m2p = privileged.hypervisor.m2p.firstFrame;
    expect(privileged.call(22, privileged.virtual(10), privileged.entry(m2p, 3), 0, 0x7ff2)).toBe(-16);
    expect(privileged.call(22, privileged.virtual(10), privileged.entry(m2p, 1), 0, 0x7ff2)).toBe(0);
    expect(privileged.audit()).toEqual([]);
  });

  it('charges one row by what it was', () => {
    const d = new SmallDomain();
    const rows = (): string[] => [...d.cpu.charges].filter(([name]) => name.startsWith('xen.update')).map(([name, n]) => `${name} ${n}`);
    d.updateVa(d.virtual(10), 0);
    d.updateVa(d.virtual(10), d.entry(d.mfn(10), 3));
    d.updateVa(d.virtual(10), d.entry(d.mfn(10), 1));
    d.updateVa(d.virtual(10), d.entry(d.mfn(10), 3), 1);
    d.updateVa(d.virtual(10), d.entry(d.mfn(10), 3), 2);
    expect(rows()).toEqual([
      'xen.update_va_mapping 2',
      'xen.update_va_mapping_empty_to_present 1',
      'xen.update_va_mapping_tlb_flush 1',
      'xen.update_va_mapping_invlpg 1',
    ]);
  });
});

describe('granted frames in L1 entries', () => {
  const request = (d: SmallDomain, frame: number, more = {}) => ({
    address: d.virtual(10),
    containsPte: false,
    frame,
    readonly: false,
    application: false,
    availableBits: 0,
    ...more,
  });

  it('the entry owns the references; unmapping gives them to the caller', () => {
    const d = new SmallDomain();
    const kind = d.hypervisor.kind(d.domain);
    const { frames } = d.hypervisor;
    const frame = d.mfn(30);
    expect(frames.getPageAndType(frame, 1, 6)).toBe(0);
    expect(kind.mapGrant(d.hypervisor, d.vcpu, request(d, frame, { availableBits: 5 }))).toBe(0);
    expect(d.memory.readU64(d.at(d.table(3), 10))).toBe(d.entry(frame, 0x67 | 0xa00) | (1n << 52n));
    expect(d.audit()).toEqual([]);
    // Other writability or frame: nothing happens (XSA-234).
    expect(kind.unmapGrant(d.hypervisor, d.vcpu, request(d, frame, { readonly: true }))).toBe(-1);
    expect(kind.unmapGrant(d.hypervisor, d.vcpu, request(d, d.mfn(31)))).toBe(-1);
    const byEntry = { address: BigInt(d.at(d.table(3), 10)), containsPte: true };
    expect(kind.unmapGrant(d.hypervisor, d.vcpu, request(d, frame, { ...byEntry, address: byEntry.address + 4n }))).toBe(-1);
    expect(kind.unmapGrant(d.hypervisor, d.vcpu, request(d, frame, byEntry))).toBe(0);
    frames.putPageAndType(frame);
    expect(d.audit()).toEqual([]);
  });

  it('with a replacement the other entry moves', () => {
    const d = new SmallDomain();
    const kind = d.hypervisor.kind(d.domain);
    const frame = d.mfn(30);
    d.hypervisor.frames.getPageAndType(frame, 1, 6);
    kind.mapGrant(d.hypervisor, d.vcpu, request(d, frame));
    const moved = d.memory.readU64(d.at(d.table(3), 12));
    expect(kind.unmapGrant(d.hypervisor, d.vcpu, request(d, frame), d.virtual(12))).toBe(0);
    expect([d.memory.readU64(d.at(d.table(3), 10)), d.memory.readU64(d.at(d.table(3), 12))]).toEqual([moved, 0n]);
    d.hypervisor.frames.putPageAndType(frame);
    expect(d.audit()).toEqual([]);
  });
});

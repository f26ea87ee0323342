import { describe, expect, it } from 'vitest';
import { EACCES, EBUSY, EINVAL, EPERM, ESRCH, EOPNOTSUPP, ENOSYS, EFAULT } from '../../../src/xen-abi/errno.ts';
import { PageType } from '../../../src/xen/frame-table.ts';
import { SmallDomain } from './small-domain.ts';

const P = 1;
const RW = 2;
const US = 4;
const A = 0x20;
const KERNEL = 1n << 52n;
const PIN_L1 = 0;
const PIN_L2 = 1;
const PIN_L3 = 2;
const PIN_L4 = 3;
const UNPIN = 4;
const NEW_BASEPTR = 5;
const NEW_USER_BASEPTR = 15;

describe('page typing (public/xen.h, R1 to R16)', () => {
  it('a domain as built has counts that agree with a recount', () => {
    const d = new SmallDomain();
    expect(d.audit()).toEqual([]);
    expect(d.hypervisor.frames.type[d.table(0)]).toBe(PageType.l4);
    expect(d.hypervisor.frames.type[d.table(3)]).toBe(PageType.l1);
  });

  it('R1: a page table cannot be mapped writable (-EBUSY), a writable page cannot be pinned (-EINVAL)', () => {
    const d = new SmallDomain();
    expect(d.updateVa(d.virtual(10), d.entry(d.table(3), P | RW | US))).toBe(-EBUSY);
    expect(d.updateVa(d.virtual(10), d.entry(d.table(3), P | US))).toBe(0);
    expect(d.mmuext(PIN_L1, d.mfn(20))).toBe(-EINVAL);
    expect(d.mmuext(PIN_L4, d.mfn(20))).toBe(-EINVAL);
    expect(d.audit()).toEqual([]);
  });

  it('R3: each level leads to the level below', () => {
    const d = new SmallDomain();
    const l1 = d.makeTable(20, { 0: d.entry(d.mfn(30), P | RW) });
    const l2 = d.makeTable(21, { 0: d.entry(l1, P | RW | US) });
    const l3 = d.makeTable(22, { 0: d.entry(l2, P | RW | US) });
    const wrong = d.makeTable(23, { 5: d.entry(l1, P | RW | US) });
    expect(d.mmuext(PIN_L3, l3)).toBe(0);
    expect([20, 21, 22].map((pfn) => d.hypervisor.frames.type[d.mfn(pfn)])).toEqual([PageType.l1, PageType.l2, PageType.l3]);
    // An L3 whose entry leads to an L1.
    expect(d.mmuext(PIN_L3, wrong)).toBe(-EINVAL);
    expect(d.mmuext(PIN_L2, wrong)).toBe(0);
    expect(d.audit()).toEqual([]);
    expect(d.mmuext(UNPIN, l3)).toBe(0);
    expect(d.mmuext(UNPIN, wrong)).toBe(0);
    expect(d.audit()).toEqual([]);
    expect(d.hypervisor.frames.typeReferences[l1]).toBe(0);
  });

  it('R4: frames of others -EBUSY, I/O memory -EPERM, the impossible frame -EINVAL', () => {
    const d = new SmallDomain({ mmioFrames: 4 });
    const free = d.hypervisor.frames.owner.indexOf(-1);
    expect(d.updateVa(d.virtual(10), d.entry(free, P))).toBe(-EBUSY);
    expect(d.updateVa(d.virtual(10), d.entry(d.pv.slots.m2pL3, P))).toBe(-EBUSY);
    expect(d.updateVa(d.virtual(10), d.entry(2048, P))).toBe(-EPERM);
    expect(d.updateVa(d.virtual(10), d.entry(1_000_000, P))).toBe(-EPERM);
    expect(d.updateVa(d.virtual(10), (((1n << 40n) - 1n) << 12n) | 1n)).toBe(-EINVAL);
    d.domain.ioFrames.push({ first: 2048, last: 2051 });
    expect(d.updateVa(d.virtual(10), d.entry(2048, P | RW | 0x10))).toBe(0);
    expect(d.audit()).toEqual([]);
  });

  it.each([
    ['PWT', 0x8],
    ['PCD', 0x10],
    ['PAT', 0x80],
  ])('R5: %s in an L1 entry is refused without devices', (_name, flag) => {
    const d = new SmallDomain();
    expect(d.updateVa(d.virtual(10), d.entry(d.mfn(10), P | RW | flag))).toBe(-EINVAL);
    expect(d.audit()).toEqual([]);
  });

  it.each([
    ['PWT', 0x8n],
    ['PCD', 0x10n],
    ['PSE', 0x80n],
    ['G', 0x100n],
    ['AVAIL_HIGH', 1n << 55n],
  ])('R5: %s in upper entries is refused, by update and by pin', (_name, flag) => {
    const d = new SmallDomain();
    const l1 = d.makeTable(20, {});
    const l2 = d.makeTable(21, { 3: d.entry(l1, P | RW | US) | flag });
    expect(d.mmuext(PIN_L2, l2)).toBe(-EINVAL);
    expect(d.mmuUpdate(d.at(d.table(2), 100), d.entry(l1, P | RW | US) | flag)).toBe(-EINVAL);
    expect(d.audit()).toEqual([]);
  });

  it('shared_info keeps its cacheability (-EACCES) even for domains with devices', () => {
    const d = new SmallDomain();
    d.domain.ioPorts.push({ first: 1, last: 1 });
    expect(d.updateVa(d.virtual(10), d.entry(d.domain.sharedInfoFrame, P | RW | 0x10))).toBe(-EACCES);
    expect(d.updateVa(d.virtual(10), d.entry(d.domain.sharedInfoFrame, P | RW))).toBe(0);
    expect(d.mmuext(PIN_L1, d.domain.sharedInfoFrame)).toBe(-EINVAL);
    expect(d.audit()).toEqual([]);
  });

  it('R7: slots 256 to 271 of an L4 are not the guest’s', () => {
    const d = new SmallDomain();
    for (const slot of [256, 260, 271]) expect(d.mmuUpdate(d.at(d.table(0), slot), 0)).toBe(-EINVAL);
    expect(d.mmuUpdate(d.at(d.table(0), 272), 0)).toBe(0);
    // A new L4 gets them, whatever stood there.
    const l4 = d.makeTable(20, { 256: d.entry(d.mfn(30), P | RW | US), 259: 0xdead_b001n });
    expect(d.mmuext(PIN_L4, l4)).toBe(0);
    expect(d.audit()).toEqual([]);
    // The M2P can be read through it, and not written.
    d.mmuUpdate((BigInt(d.mfn(7)) << 12n) | 1n, 0x1234);
    expect(d.get(0xffff_8000_0000_0000n + BigInt(8 * d.mfn(7)), 1)).toEqual([0x1234n]);
    expect(d.cpu.translate(0xffff_8000_0000_0000n, true, true)).toBe(-2);
  });

  describe('R8: linear page tables', () => {
    it('an L4 may map itself, read-only, without a reference', () => {
      const d = new SmallDomain();
      const l4 = d.table(0);
      const before = d.hypervisor.frames.references[l4];
      expect(d.mmuUpdate(d.at(l4, 300), d.entry(l4, P | RW | US))).toBe(-EINVAL);
      expect(d.mmuUpdate(d.at(l4, 300), d.entry(l4, P | US))).toBe(0);
      expect(d.hypervisor.frames.references[l4]).toBe(before);
      expect(d.mmuUpdate(d.at(l4, 300), d.entry(l4, P | RW | US))).toBe(-EINVAL); // XSA-182
      expect(d.audit()).toEqual([]);
    });

    it('one of the same level may be mapped once it is validated, and not in chains', () => {
      const d = new SmallDomain();
      const b = d.makeTable(20, {});
      const a = d.makeTable(21, { 1: d.entry(b, P | US) });
      expect(d.mmuext(PIN_L4, b)).toBe(0);
      expect(d.mmuext(PIN_L4, a)).toBe(0);
      expect(d.audit()).toEqual([]);
      const c = d.makeTable(22, { 1: d.entry(a, P | US) });
      expect(d.mmuext(PIN_L4, c)).toBe(-EINVAL); // c -> a -> b
      expect(d.mmuUpdate(d.at(b, 1), d.entry(d.table(0), P | US))).toBe(-EINVAL); // a -> b -> root
      expect(d.mmuext(UNPIN, b)).toBe(0);
      expect(d.hypervisor.frames.typeReferences[b]).toBe(1); // a's entry
      expect(d.audit()).toEqual([]);
      expect(d.mmuext(UNPIN, a)).toBe(0);
      expect(d.hypervisor.frames.typeReferences[b]).toBe(0);
      expect(d.audit()).toEqual([]);
    });

    it('can be switched off', () => {
      const d = new SmallDomain({ linearTables: false });
      expect(d.mmuUpdate(d.at(d.table(0), 300), d.entry(d.table(0), P | US))).toBe(-EINVAL);
      expect(d.audit()).toEqual([]);
    });
  });

  it('R10: kernel pages read back with US and bit 52, user pages with G; both keep the rest', () => {
    const d = new SmallDomain();
    const at = d.at(d.table(3), 10);
    const read = (): bigint => d.memory.readU64(at);
    expect(d.updateVa(d.virtual(10), d.entry(d.mfn(10), P | RW | 0x100 | A))).toBe(0);
    expect(read()).toBe(d.entry(d.mfn(10), P | RW | US | A) | KERNEL);
    // Written back as read, it stays a kernel page.
    expect(d.updateVa(d.virtual(10), read())).toBe(0);
    expect(read()).toBe(d.entry(d.mfn(10), P | RW | US | A) | KERNEL);
    expect(d.updateVa(d.virtual(10), d.entry(d.mfn(10), P | US))).toBe(0);
    expect(read()).toBe(d.entry(d.mfn(10), P | US | 0x100));
    const l3 = d.makeTable(20, {});
    expect(d.mmuUpdate(d.at(d.table(0), 40), d.entry(l3, P | RW))).toBe(0);
    expect(d.memory.readU64(d.at(d.table(0), 40))).toBe(d.entry(l3, P | RW | US | A));
    expect(d.audit()).toEqual([]);
  });

  it('R12: a frame that was written flushes the processor before it becomes a table, once', () => {
    const d = new SmallDomain();
    d.makeTable(20, {});
    d.cpu.translations.length = 0;
    expect(d.mmuext(PIN_L1, d.mfn(20))).toBe(0);
    expect(d.cpu.translations).toEqual(['flush']);
    // Flushed by the guest itself in between: nothing to do.
    d.makeTable(21, {});
    expect(d.mmuext(6, 0)).toBe(0);
    d.cpu.translations.length = 0;
    expect(d.mmuext(PIN_L1, d.mfn(21))).toBe(0);
    expect(d.cpu.translations).toEqual([]);
  });

  it('R13: one pin a frame, of the type it has; unpinning needs a pin', () => {
    const d = new SmallDomain();
    const l1 = d.makeTable(20, {});
    expect(d.mmuext(UNPIN, l1)).toBe(-EINVAL);
    expect(d.mmuext(PIN_L1, l1)).toBe(0);
    expect(d.mmuext(PIN_L1, l1)).toBe(-EINVAL);
    expect(d.mmuext(PIN_L2, l1)).toBe(-EINVAL);
    expect(d.mmuext(UNPIN, l1)).toBe(0);
    expect(d.mmuext(UNPIN, l1)).toBe(-EINVAL);
    expect(d.mmuext(PIN_L1, 1n << 60n)).toBe(-EINVAL);
    expect(d.audit()).toEqual([]);
  });

  it('R15: new roots must be L4 tables; user roots may be the same or none', () => {
    const d = new SmallDomain();
    const l4 = d.makeTable(20, {});
    for (let i = 0; i < 512; i++) if (i < 256 || i > 271) d.memory.writeU64(d.at(l4, i), d.memory.readU64(d.at(d.table(0), i)));
    expect(d.mmuext(NEW_BASEPTR, d.table(1))).toBe(-EINVAL);
    expect(d.mmuext(NEW_BASEPTR, 0)).toBe(-EINVAL);
    expect(d.mmuext(NEW_BASEPTR, l4, 0, 1)).toBe(0);
    expect([d.state.guestTable, d.cpu.cr3 >> 12n]).toEqual([l4, BigInt(l4)]);
    expect(d.mmuext(NEW_USER_BASEPTR, l4)).toBe(0);
    expect(d.mmuext(NEW_USER_BASEPTR, d.mfn(30))).toBe(-EINVAL);
    expect(d.audit()).toEqual([]);
    expect(d.mmuext(NEW_USER_BASEPTR, 0)).toBe(0);
    expect(d.audit()).toEqual([]);
  });

  it('R16 and the rest of mmuext_op', () => {
    const d = new SmallDomain();
    expect(d.mmuext(19, d.mfn(10))).toBe(-EOPNOTSUPP);
    expect(d.mmuext(14, 0)).toBe(-ENOSYS);
    expect(d.mmuext(21, 0)).toBe(-ENOSYS);
    expect(d.mmuext(12, 0)).toBe(-EACCES);
    expect(d.mmuext(8, 0, 0xffff_8000_0000_0000n)).toBe(-EINVAL);
    expect(d.mmuext(13, 0x1001, 1)).toBe(-EINVAL);
    expect(d.mmuext(13, 0x1000, 8193)).toBe(-EINVAL);
    expect(d.mmuext(13, 0xffff_8000_0000_0000n, 1)).toBe(-EINVAL);
    expect(d.mmuext(16, d.table(3))).toBe(-EINVAL);
    expect(d.mmuext(16, d.mfn(30))).toBe(0);
    expect(d.mmuext(17, d.mfn(30), d.mfn(31))).toBe(0);
    expect(d.mmuext(7, 0x1234_5678_9abc_def0n)).toBe(0); // not canonical: ignored
    expect(d.audit()).toEqual([]);
  });
});

describe('arrays of requests', () => {
  it('done is written on success and on failure; bad arrays are -EFAULT', () => {
    const d = new SmallDomain();
    const array = d.put([d.at(d.table(3), 10), d.entry(d.mfn(10), P), d.at(d.mfn(10), 0) + 4, 0]);
    const done = d.put([~0n], d.virtual(601));
    expect(d.call(1, array, 1, done, 0x7ff0)).toBe(0);
    expect(d.get(done, 1)[0]).toBe(0xffff_ffff_0000_0001n);
    expect(d.call(1, array, 2, done, 0x7ff0)).toBe(-ENOSYS);
    expect(d.get(done, 1)[0]).toBe(0xffff_ffff_0000_0001n);
    expect(d.call(1, 0xffff_8000_0000_0000n, 1, done, 0x7ff0)).toBe(-EFAULT);
    expect(d.call(1, 0xdead_0000n, 1, done, 0x7ff0)).toBe(-EFAULT);
    expect(d.call(1, array, 1, 0xdead_0000n, 0x7ff0)).toBe(0); // nobody looks whether done could be written
    expect(d.call(1, array, 1, 0, 5)).toBe(-ESRCH);
    expect(d.call(1, array, 1, 0, 0x7ff2)).toBe(-EPERM);
  });

  it('a long array stops in between and goes on with the rest', () => {
    const d = new SmallDomain();
    const entry = [d.at(d.table(3), 10), d.entry(d.mfn(10), P)];
    for (let pfn = 600; pfn < 610; pfn++) d.put(Array.from({ length: 256 }, () => entry).flat(), d.virtual(pfn));
    const done = d.put([0], d.virtual(620));
    const registers: [number, bigint][] = [
      [0, 1n],
      [7, d.virtual(600)],
      [6, 2500n],
      [2, done],
      [10, 0x7ff0n],
    ];
    for (const [register, value] of registers) d.cpu.setGpr(register, value);
    d.cpu.rip = 0x40_0010n;
    let calls = 0;
    do {
      calls++;
      d.cpu.rip = 0x40_0010n;
      d.hypervisor.kind(d.domain).syscall(d.hypervisor, d.vcpu, d.cpu);
    } while (d.cpu.rip !== 0x40_0010n);
    expect([calls, d.cpu.gpr(0), d.get(done, 1)[0]]).toEqual([3, 0n, 2500n]);
  });

  it('so does one inside a multicall, and a long multicall', () => {
    const d = new SmallDomain();
    const update = [d.at(d.table(3), 10), d.entry(d.mfn(10), P)];
    for (let pfn = 600; pfn < 610; pfn++) d.put(Array.from({ length: 256 }, () => update).flat(), d.virtual(pfn));
    const done = d.put([0], d.virtual(620));
    const entries = [[1, 0, d.virtual(600), 2500, done, 0x7ff0, 0, 0]];
    for (let i = 1; i < 600; i++) entries.push([17, 7, 0, 0, 0, 0, 0, 0]); // xen_version(version)
    for (let page = 0; page < 10; page++) d.put(entries.slice(page * 64, page * 64 + 64).flat(), d.virtual(630 + page));
    for (const [register, value] of [
      [0, 13n],
      [7, d.virtual(630)],
      [6, 600n],
    ] as const)
      d.cpu.setGpr(register, value);
    let calls = 0;
    do {
      calls++;
      d.cpu.rip = 0x40_0010n;
      d.hypervisor.kind(d.domain).syscall(d.hypervisor, d.vcpu, d.cpu);
    } while (d.cpu.rip !== 0x40_0010n);
    // Twice for the updates, twice for the 600 entries, and the end.
    expect([calls, d.cpu.gpr(0), d.get(done, 1)[0]]).toEqual([5, 0n, 2500n]);
    expect(d.get(d.virtual(630) + 8n, 1)).toEqual([0n]);
    expect(d.get(d.virtual(639) + 8n, 1)).toEqual([0x4_0011n]);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as abi from '../../../src/xen-abi/memory.ts';
import { DOMID_SELF, Hypercall } from '../../../src/xen-abi/xen.ts';
import { audit, census } from '../../../src/xen/census.ts';
import { destroyDomain } from '../../../src/xen/domain-lifecycle.ts';
import { FrameFlag } from '../../../src/xen/frame-table.ts';
import { TestGuest, testHost } from '../core-guest.ts';

const words = (values: readonly (number | bigint)[]): Uint8Array => new Uint8Array(new BigUint64Array(values.map(BigInt)).buffer);
const readWords = (guest: TestGuest, offset: number, count: number): number[] =>
  [...new BigUint64Array(guest.read(offset, 8 * count).buffer)].map(Number);

/** Issues a reservation operation on the words at offset 0x1000. */
function reserve(
  guest: TestGuest,
  command: number,
  list: readonly (number | bigint)[],
  more: Partial<{ extent_order: number; mem_flags: number; domid: number; nr_extents: bigint; start: bigint }> = {},
): bigint {
  guest.write(0x1000, words(list));
  const { start = 0n, ...fields } = more;
  const request = { extent_start: guest.at(0x1000), nr_extents: BigInt(list.length), domid: DOMID_SELF, ...fields };
  guest.write(0, abi.xen_memory_reservation.write(request));
  return guest.call(Hypercall.memory_op, [BigInt(command) | (start << 6n), guest.at(0)]);
}

function machine(options: { maxPages?: number; frames?: number } = {}) {
  const host = testHost({ frames: options.frames ?? 1024, ramFrames: (options.frames ?? 1024) - 24 });
  const guest = new TestGuest(host, { id: 1, maxPages: options.maxPages ?? 64 });
  return { host, guest, m2p: host.hypervisor.m2p, frames: host.hypervisor.frames };
}

describe('memory_op', () => {
  it('populates guest frames: the machine frame comes back, the M2P names the guest frame', () => {
    const { guest, m2p, frames } = machine();
    expect(reserve(guest, abi.XENMEM_populate_physmap, [100, 200])).toBe(2n);
    const [first, second] = readWords(guest, 0x1000, 2) as [number, number];
    expect([m2p.read(first), m2p.read(second)]).toEqual([100n, 200n]);
    expect([frames.owner[first], frames.owner[second]]).toEqual([1, 1]);
    expect(guest.domain.totalPages).toBe(14);
  });

  it('gives extents of an order as contiguous, aligned frames', () => {
    const { guest, m2p } = machine();
    expect(reserve(guest, abi.XENMEM_populate_physmap, [64], { extent_order: 4 })).toBe(1n);
    const [first] = readWords(guest, 0x1000, 1) as [number];
    expect(first % 16).toBe(0);
    expect(m2p.read(first + 15)).toBe(79n);
  });

  it('stops at the maximum reservation with a count of what was done', () => {
    const { guest } = machine({ maxPages: 14 });
    expect(reserve(guest, abi.XENMEM_populate_physmap, [1, 2, 3, 4])).toBe(2n);
    expect(guest.domain.totalPages).toBe(14);
  });

  it('keeps frames below an address limit', () => {
    const { guest } = machine();
    expect(reserve(guest, abi.XENMEM_populate_physmap, [1], { mem_flags: 20 })).toBe(1n);
    expect(readWords(guest, 0x1000, 1)[0]).toBeLessThan(256);
    expect(reserve(guest, abi.XENMEM_populate_physmap, [1], { mem_flags: 12 })).toBe(0n); // frame 0 only
    expect(reserve(guest, abi.XENMEM_populate_physmap, [1], { mem_flags: 11 })).toBe(0n);
  });

  it.each([
    ['an order that is too large', { extent_order: 10 }],
    ['a node that does not exist', { mem_flags: 9 << 8 }],
    ['a domain that does not exist', { domid: 77 }],
    ['more extents than addresses', { nr_extents: 1n << 60n }],
    ['an array that leaves memory', { nr_extents: 1n << 44n }],
  ])('does nothing for %s', (_name, fields) => {
    const { host, guest } = machine();
    const before = census(host.hypervisor);
    expect(reserve(guest, abi.XENMEM_populate_physmap, [1], fields)).toBe(0n);
    expect(census(host.hypervisor)).toEqual(before);
  });

  it('returns the start extent when it lies behind the end', () => {
    expect(reserve(machine().guest, abi.XENMEM_populate_physmap, [1, 2], { start: 7n })).toBe(7n);
  });

  it('frees frames, except those that are still used, which leave when their last use ends', () => {
    const { host, guest, frames } = machine();
    const [free, used] = guest.pages.slice(4, 6) as [number, number];
    expect(frames.getPage(used, 1)).toBe(true);
    expect(reserve(guest, abi.XENMEM_decrease_reservation, [free, used])).toBe(2n);
    expect([frames.owner[free], frames.owner[used]]).toEqual([-1, 1]);
    expect(frames.has(used, FrameFlag.allocated)).toBe(false);
    expect(guest.domain.totalPages).toBe(11);
    frames.putPage(used);
    expect(guest.domain.totalPages).toBe(10);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it("does not free another domain's frame, nor one twice", () => {
    const { guest } = machine();
    const frame = guest.pages[4] as number;
    expect(reserve(guest, abi.XENMEM_decrease_reservation, [frame, frame])).toBe(1n);
    expect(reserve(guest, abi.XENMEM_decrease_reservation, [guest.domain.sharedInfoFrame + 100000])).toBe(0n);
  });

  it('exchanges single frames for a contiguous run and back', () => {
    const { host, guest, m2p, frames } = machine();
    reserve(guest, abi.XENMEM_populate_physmap, [40, 41, 42, 43]);
    const given = readWords(guest, 0x1000, 4);
    const exchange = (list: number[], order: number, out: number[], outOrder: number, exchanged = 0n): bigint => {
      guest.write(0x1000, words(list));
      guest.write(0x2000, words(out));
      const bytes = abi.xen_memory_exchange.write({ nr_exchanged: exchanged });
      const side = (start: number, count: number, extent_order: number) =>
        abi.xen_memory_reservation.write({ extent_start: guest.at(start), nr_extents: BigInt(count), extent_order, domid: DOMID_SELF });
      bytes.set(side(0x1000, list.length, order));
      bytes.set(side(0x2000, out.length, outOrder), 32);
      guest.write(0, bytes);
      return guest.call(Hypercall.memory_op, [BigInt(abi.XENMEM_exchange), guest.at(0)]);
    };
    const done = (): bigint => abi.xen_memory_exchange.read(guest.read(0, 72)).nr_exchanged;
    expect(exchange(given, 0, [40], 2, 1n)).toBe(-22n);
    expect(exchange(given, 0, [40, 44], 2)).toBe(-22n);
    expect(exchange(given, 0, [40], 2)).toBe(0n);
    expect(done()).toBe(4n);
    const [run] = readWords(guest, 0x2000, 1) as [number];
    expect(run % 4).toBe(0);
    expect(m2p.read(run + 3)).toBe(43n);
    expect(given.map((frame) => frames.owner[frame])).toEqual(given.map((frame) => (frame >= run && frame < run + 4 ? 1 : -1)));
    expect(exchange([run], 2, [40, 41, 42, 43], 0)).toBe(0n);
    expect(exchange([guest.domain.vcpus[0]?.pv?.guestTable as number], 0, [9], 0)).toBe(-22n);
    expect(guest.domain.totalPages).toBe(16);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('tells numbers of frames, and where the M2P is', () => {
    const { guest, host } = machine();
    const self = guest.write(0, Uint8Array.of(0xf0, 0x7f));
    const ask = (command: number): bigint => guest.call(Hypercall.memory_op, [BigInt(command), self]);
    expect([ask(abi.XENMEM_current_reservation), ask(abi.XENMEM_maximum_reservation)]).toEqual([12n, 64n]);
    expect(guest.call(Hypercall.memory_op, [BigInt(abi.XENMEM_maximum_ram_page)])).toBe(999n);
    expect(ask(abi.XENMEM_machphys_mapping)).toBe(0n);
    expect(abi.xen_machphys_mapping.read(guest.read(0, 24))).toEqual({
      v_start: 0xffff_8000_0000_0000n,
      v_end: 0xffff_8040_0000_0000n,
      max_mfn: BigInt(host.hypervisor.memory.frameCount - 1),
    });
  });

  it('has no memory map until the toolstack sets one', () => {
    const host = testHost({ cpus: 3 });
    const dom0 = new TestGuest(host, { id: 0 });
    const guest = new TestGuest(host, { id: 1 });
    const read = (who: TestGuest, command: number, entries = 8): bigint => {
      who.write(0, abi.xen_memory_map.write({ nr_entries: entries, buffer: who.at(0x1000) }));
      return who.call(Hypercall.memory_op, [BigInt(command), who.at(0)]);
    };
    expect(read(guest, abi.XENMEM_memory_map)).toBe(-38n);
    dom0.write(0x1000, abi.e820_entry.write({ addr: 0n, size: 0x1000000n, type: abi.E820_RAM }));
    dom0.write(0, abi.xen_foreign_memory_map.write({ domid: 1, nr_entries: 1, buffer: dom0.at(0x1000) }));
    const set = (who: TestGuest): bigint => who.call(Hypercall.memory_op, [BigInt(abi.XENMEM_set_memory_map), who.at(0)]);
    expect(set(dom0)).toBe(0n);
    expect(read(guest, abi.XENMEM_memory_map)).toBe(0n);
    expect(abi.xen_memory_map.read(guest.read(0, 16)).nr_entries).toBe(1);
    expect(abi.e820_entry.read(guest.read(0x1000, 20)).size).toBe(0x1000000n);
    expect(read(guest, abi.XENMEM_machine_memory_map)).toBe(-1n);
    expect(read(dom0, abi.XENMEM_machine_memory_map)).toBe(0n);
    expect(abi.e820_entry.read(dom0.read(0x1000, 20))).toEqual({ addr: 0n, size: 2048n << 12n, type: abi.E820_RAM });
  });

  it('claims frames for a domain that is being built, so that others cannot take them', () => {
    const host = testHost({ cpus: 3, frames: 512 });
    const dom0 = new TestGuest(host, { id: 0, maxPages: 512 });
    const guest = new TestGuest(host, { id: 1, maxPages: 512 });
    const free = host.hypervisor.allocator.free;
    const claim = (pages: number): bigint => {
      dom0.write(0, abi.xen_memory_reservation.write({ nr_extents: BigInt(pages), domid: 1 }));
      return dom0.call(Hypercall.memory_op, [BigInt(abi.XENMEM_claim_pages), dom0.at(0)]);
    };
    expect(claim(guest.domain.totalPages + free + 1)).toBe(-12n);
    expect(claim(guest.domain.totalPages + free - 2)).toBe(0n);
    expect(reserve(dom0, abi.XENMEM_populate_physmap, [1, 2, 3])).toBe(2n);
    expect(reserve(guest, abi.XENMEM_populate_physmap, [1, 2, 3])).toBe(3n);
    expect(claim(0)).toBe(0n);
    expect(reserve(dom0, abi.XENMEM_populate_physmap, [1])).toBe(1n);
  });

  it('keeps the account whatever reservations are made', () => {
    const frame = fc.oneof(fc.integer({ min: 0, max: 260 }), fc.bigInt(0n, (1n << 64n) - 1n));
    const step = fc.record({
      command: fc.constantFrom(0, 1, 6, 6, 1),
      list: fc.array(frame, { maxLength: 6 }),
      extent_order: fc.integer({ min: 0, max: 3 }),
      mem_flags: fc.constantFrom(0, 0, 0, 16, 20, 0x10000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const host = testHost({ frames: 256 });
        const before = census(host.hypervisor);
        const guest = new TestGuest(host, { id: 1, maxPages: 60 });
        for (const { command, list, ...fields } of steps) {
          // Its page tables are what the test stands on: without page types, freeing them is refused by nobody.
          const own = new Set([guest.vcpu.pv?.guestTable, ...guest.pages, ...tables(guest)]);
          const safe = list.filter((value) => {
            if (command !== 1) return true;
            const first = Number(value);
            return ![...own].some((kept) => kept !== undefined && kept >= first && kept < first + 8);
          });
          const done = reserve(guest, command, safe, fields);
          expect(done).toBeGreaterThanOrEqual(0n);
          expect(done).toBeLessThanOrEqual(BigInt(safe.length));
          expect(audit(host.hypervisor)).toEqual([]);
        }
        destroyDomain(host.hypervisor, guest.domain);
        expect(census(host.hypervisor)).toEqual(before);
      }),
      { numRuns: 80 },
    );
  });
});

/** Frames of the guest's page tables, from the root down. */
function tables(guest: TestGuest): number[] {
  const { memory } = guest.host.platform;
  const root = guest.vcpu.pv?.guestTable as number;
  const found = [root];
  for (let level = 0; level < 3; level++) {
    found.push(Number(memory.readU64((found[level] as number) * 4096) >> 12n) & 0xfffff);
  }
  return found;
}

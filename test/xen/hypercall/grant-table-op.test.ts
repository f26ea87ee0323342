import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as abi from '../../../src/xen-abi/grant-table.ts';
import { DOMID_SELF, Hypercall } from '../../../src/xen-abi/xen.ts';
import { audit, census } from '../../../src/xen/census.ts';
import { destroyDomain } from '../../../src/xen/domain-lifecycle.ts';
import { FrameFlag, PageType } from '../../../src/xen/frame-table.ts';
import { TestGuest, testHost } from '../core-guest.ts';

function grantOp(guest: TestGuest, command: number, bytes: Uint8Array, count = 1n): { result: bigint; after: Uint8Array } {
  guest.write(0, bytes);
  const result = guest.call(Hypercall.grant_table_op, [BigInt(command), guest.at(0), count]);
  return { result, after: guest.read(0, bytes.length) };
}

const entryAt = (guest: TestGuest, ref: number): number => (guest.domain.grants.frames[ref >> 9] as number) * 4096 + (ref & 511) * 8;

function offer(guest: TestGuest, ref: number, entry: { flags: number; domid: number; frame: number }): void {
  guest.host.platform.memory.writeBytes(entryAt(guest, ref), abi.grant_entry_v1.write(entry));
}
const entry = (guest: TestGuest, ref: number) => abi.grant_entry_v1.read(guest.host.platform.memory.readBytes(entryAt(guest, ref), 8));

function map(guest: TestGuest, dom: number, ref: number, flags = abi.GNTMAP_host_map) {
  const request = abi.gnttab_map_grant_ref.write({ dom, ref, flags, host_addr: guest.at(0x7000) });
  const { result, after } = grantOp(guest, 0, request);
  expect(result).toBe(0n);
  return abi.gnttab_map_grant_ref.read(after);
}

function unmap(guest: TestGuest, handle: number, host: bigint, device = 0n): number {
  const request = abi.gnttab_unmap_grant_ref.write({ handle, host_addr: host, dev_bus_addr: device });
  const { result, after } = grantOp(guest, 1, request);
  expect(result).toBe(0n);
  return abi.gnttab_unmap_grant_ref.read(after).status;
}

function pair() {
  const host = testHost({ cpus: 3 });
  const a = new TestGuest(host, { id: 1 });
  const b = new TestGuest(host, { id: 2 });
  return { host, a, b, frame: a.pages[3] as number };
}

describe('grant_table_op', () => {
  it('sets the table up with as many frames as asked for, up to the limit', () => {
    const { a } = pair();
    const setup = (nr_frames: number, dom = DOMID_SELF) => {
      const request = abi.gnttab_setup_table.write({ dom, nr_frames, frame_list: a.at(0x1000) });
      return abi.gnttab_setup_table.read(grantOp(a, 2, request).after).status;
    };
    expect(setup(4)).toBe(abi.GNTST_okay);
    expect([...new BigUint64Array(a.read(0x1000, 32).buffer)].map(Number)).toEqual(a.domain.grants.frames);
    expect(setup(65)).toBe(abi.GNTST_general_error);
    expect(setup(1, 9)).toBe(abi.GNTST_bad_domain);
    expect(setup(1, 2)).toBe(abi.GNTST_permission_denied);
    const size = abi.gnttab_query_size.read(grantOp(a, 6, abi.gnttab_query_size.write({ dom: DOMID_SELF })).after);
    expect(size).toMatchObject({ nr_frames: 4, max_nr_frames: 64, status: 0 });
  });

  it('knows version 1 only, as if version 2 were switched off', () => {
    const { a } = pair();
    const set = (version: number): bigint => grantOp(a, 8, abi.gnttab_set_version.write({ version })).result;
    expect([set(1), set(2), set(3)]).toEqual([0n, -38n, -22n]);
    expect(abi.gnttab_get_version.read(grantOp(a, 10, abi.gnttab_get_version.write({ dom: DOMID_SELF })).after).version).toBe(1);
  });

  it.each([
    ['a negative count', 0, -1n, -22n],
    ['two set-ups at once', 2, 2n, -22n],
    ['dump_table, as 4.17 does not have it', 3, 1n, -38n],
    ['cache_flush, which is not for x86', 12, 1n, -38n],
    ['an unknown operation', 99, 1n, -38n],
  ])('refuses %s', (_name, command, count, expected) => {
    expect(grantOp(pair().a, command, new Uint8Array(64), count).result).toBe(expected);
  });

  it('refuses arrays in the hole and arrays that end outside memory', () => {
    const { a } = pair();
    const call = (address: bigint, count: bigint): bigint => a.call(Hypercall.grant_table_op, [0n, address, count]);
    expect(call(0xffff_8000_0000_0000n, 1n)).toBe(-14n);
    expect(call(0x0000_7fff_ffff_fff0n, 1n)).toBe(-14n);
    expect(call(a.at(0x7fff), 1n)).toBe(-14n);
  });

  it('takes references while mapped, marks the entry, and gives all back', () => {
    const { host, a, b, frame } = pair();
    const { frames } = host.hypervisor;
    offer(a, 8, { flags: abi.GTF_permit_access, domid: 2, frame });
    const mapped = map(b, 1, 8);
    expect(mapped).toMatchObject({ status: 0, handle: 0, dev_bus_addr: BigInt(frame) << 12n });
    expect(entry(a, 8).flags).toBe(abi.GTF_permit_access | abi.GTF_reading | abi.GTF_writing);
    expect([frames.references[frame], frames.type[frame], frames.typeReferences[frame]]).toEqual([2, PageType.writable, 1]);
    expect(audit(host.hypervisor)).toEqual([]);
    expect(unmap(b, 0, b.at(0x7000))).toBe(0);
    expect(entry(a, 8).flags).toBe(abi.GTF_permit_access);
    expect([frames.references[frame], frames.typeReferences[frame]]).toEqual([1, 0]);
    expect(unmap(b, 0, b.at(0x7000))).toBe(abi.GNTST_bad_handle);
  });

  it('ends a mapping for processor and devices in two parts (XSA-224)', () => {
    const { host, a, b, frame } = pair();
    const { frames } = host.hypervisor;
    offer(a, 8, { flags: abi.GTF_permit_access, domid: 2, frame });
    const { handle, dev_bus_addr } = map(b, 1, 8, abi.GNTMAP_host_map | abi.GNTMAP_device_map);
    expect([frames.references[frame], frames.typeReferences[frame]]).toEqual([3, 2]);
    expect(unmap(b, handle, 0n, dev_bus_addr + 0x1000n)).toBe(abi.GNTST_general_error);
    expect(unmap(b, handle, 0n, dev_bus_addr)).toBe(0);
    expect([frames.references[frame], frames.typeReferences[frame]]).toEqual([2, 1]);
    expect(entry(a, 8).flags & abi.GTF_writing).not.toBe(0);
    expect(unmap(b, handle, b.at(0x7000))).toBe(0);
    expect([frames.references[frame], frames.typeReferences[frame]]).toEqual([1, 0]);
    expect(entry(a, 8).flags).toBe(abi.GTF_permit_access);
  });

  it('clears the writing mark when the last writer has gone, and the reading mark with the last reader', () => {
    const { a, b, frame } = pair();
    offer(a, 8, { flags: abi.GTF_permit_access, domid: 2, frame });
    const reader = map(b, 1, 8, abi.GNTMAP_host_map | abi.GNTMAP_readonly);
    expect(entry(a, 8).flags).toBe(abi.GTF_permit_access | abi.GTF_reading);
    const writer = map(b, 1, 8);
    unmap(b, writer.handle, b.at(0x7000));
    expect(entry(a, 8).flags).toBe(abi.GTF_permit_access | abi.GTF_reading);
    unmap(b, reader.handle, b.at(0x7000));
    expect(entry(a, 8).flags).toBe(abi.GTF_permit_access);
  });

  it.each([
    ['no kind of mapping', { flags: 0 }, {}, abi.GNTST_bad_gntref],
    ['a domain that is not there', { dom: 9 }, {}, abi.GNTST_bad_domain],
    ['a reference beyond the table', { ref: 512 }, {}, abi.GNTST_bad_gntref],
    ['an entry that grants nothing', {}, { flags: 0 }, abi.GNTST_general_error],
    ['an entry for another domain', {}, { domid: 7 }, abi.GNTST_general_error],
    ['writing by a read-only grant', {}, { flags: abi.GTF_permit_access | abi.GTF_readonly }, abi.GNTST_general_error],
    ['a frame that does not exist', {}, { frame: 0xffff_ffff }, abi.GNTST_general_error],
    ["a frame that is not the granter's", {}, { frame: 'other' as const }, abi.GNTST_general_error],
  ])('refuses to map %s and leaves nothing behind', (_name, request, granted, expected) => {
    const { host, a, b, frame } = pair();
    const theirs = granted as { frame?: number | 'other' };
    offer(a, 8, {
      flags: abi.GTF_permit_access,
      domid: 2,
      ...granted,
      frame: theirs.frame === 'other' ? (b.pages[5] as number) : (theirs.frame ?? frame),
    });
    const before = entry(a, 8);
    const all = { dom: 1, ref: 8, flags: abi.GNTMAP_host_map, ...request };
    expect(map(b, all.dom, all.ref, all.flags).status).toBe(expected);
    expect(entry(a, 8)).toEqual(before);
    expect(audit(host.hypervisor)).toEqual([]);
    expect(census(host.hypervisor)).toMatchObject({ activeGrants: 0, grantMappings: 0 });
  });

  it('does not map a page table to be written', () => {
    const { host, a, b, frame } = pair();
    const { frames } = host.hypervisor;
    frames.hooks = { validate: () => 0, invalidate: () => {}, typeChange: () => {} };
    expect(frames.getPageAndType(frame, 1, PageType.l1)).toBe(0);
    offer(a, 8, { flags: abi.GTF_permit_access, domid: 2, frame });
    expect(map(b, 1, 8).status).toBe(abi.GNTST_general_error);
    expect(map(b, 1, 8, abi.GNTMAP_host_map | abi.GNTMAP_readonly).status).toBe(0);
  });

  it('keeps a granted frame alive after its domain is destroyed, until it is unmapped', () => {
    const { host, a, b, frame } = pair();
    const { hypervisor } = host;
    offer(a, 8, { flags: abi.GTF_permit_access, domid: 2, frame });
    const { handle } = map(b, 1, 8);
    destroyDomain(hypervisor, a.domain);
    expect(hypervisor.domains.get(1)).toMatchObject({ dying: 2, totalPages: 1 });
    expect(hypervisor.frames.has(frame, FrameFlag.allocated)).toBe(false);
    expect(unmap(b, handle, b.at(0x7000))).toBe(0);
    expect(hypervisor.domains.has(1)).toBe(false);
    expect(audit(hypervisor)).toEqual([]);
  });

  it('does not take a handle of a dead domain for one of the next domain with its id', () => {
    const { host, a, b, frame } = pair();
    offer(a, 8, { flags: abi.GTF_permit_access, domid: 2, frame });
    const { handle } = map(b, 1, 8);
    host.hypervisor.frames.putPageAndType(frame); // the guest has overwritten its page-table entry
    destroyDomain(host.hypervisor, a.domain);
    expect(host.hypervisor.domains.has(1)).toBe(false);
    const next = new TestGuest(host, { id: 1 });
    offer(next, 8, { flags: abi.GTF_permit_access, domid: 2, frame: next.pages[3] as number });
    expect(map(b, 1, 8)).toMatchObject({ status: 0, handle });
    expect(audit(host.hypervisor)).toEqual([]);
    destroyDomain(host.hypervisor, b.domain);
    expect(entry(next, 8).flags).toBe(abi.GTF_permit_access);
  });

  it('copies between frames named by grant or by number', () => {
    const { host, a, b, frame } = pair();
    const { memory } = host.platform;
    memory.writeBytes(frame * 4096 + 100, Uint8Array.of(1, 2, 3, 4));
    offer(a, 8, { flags: abi.GTF_permit_access | abi.GTF_readonly, domid: 2, frame });
    const own = b.pages[6] as number;
    const copy = (request: Partial<Parameters<typeof abi.gnttab_copy.write>[0]>) => {
      const bytes = abi.gnttab_copy.write({
        source_u: 8n,
        source_domid: 1,
        source_offset: 100,
        dest_u: BigInt(own),
        dest_domid: DOMID_SELF,
        dest_offset: 4092,
        len: 4,
        flags: abi.GNTCOPY_source_gref,
        ...request,
      });
      return abi.gnttab_copy.read(grantOp(b, 5, bytes).after).status;
    };
    expect(copy({})).toBe(0);
    expect([...memory.readBytes(own * 4096 + 4092, 4)]).toEqual([1, 2, 3, 4]);
    expect(copy({ dest_offset: 4093 })).toBe(abi.GNTST_bad_copy_arg);
    expect(copy({ dest_domid: 1 })).toBe(abi.GNTST_permission_denied);
    expect(copy({ dest_u: BigInt(frame) })).toBe(abi.GNTST_bad_page);
    const toGrant = { dest_u: 8n, dest_domid: 1, flags: abi.GNTCOPY_source_gref | abi.GNTCOPY_dest_gref };
    expect(copy(toGrant)).toBe(abi.GNTST_general_error);
    expect(entry(a, 8).flags).toBe(abi.GTF_permit_access | abi.GTF_readonly);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('transfers a frame that nobody uses to a domain that accepts it', () => {
    const { host, a, b, frame } = pair();
    b.domain.maxPages = b.domain.totalPages + 1;
    const transfer = (mfn: number, domid = 2): number => {
      const bytes = abi.gnttab_transfer.write({ mfn: BigInt(mfn), domid, ref: 9 });
      return abi.gnttab_transfer.read(grantOp(a, 4, bytes).after).status;
    };
    expect(transfer(frame)).toBe(abi.GNTST_general_error);
    offer(b, 9, { flags: abi.GTF_accept_transfer, domid: 1, frame: 0 });
    expect(transfer(b.pages[0] as number)).toBe(abi.GNTST_bad_page);
    expect(transfer(frame, 1)).toBe(abi.GNTST_bad_domain);
    expect(transfer(frame)).toBe(0);
    expect(entry(b, 9)).toEqual({ flags: abi.GTF_accept_transfer | 12, domid: 1, frame });
    expect(host.hypervisor.frames.owner[frame]).toBe(2);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('keeps the books whatever two domains grant, map, unmap and copy', () => {
    const who = fc.integer({ min: 0, max: 1 });
    const small = fc.integer({ min: 0, max: 5 });
    const step = fc.oneof(
      fc.record({ kind: fc.constant('offer' as const), by: who, ref: small, page: small, flags: fc.integer({ min: 0, max: 7 }) }),
      fc.record({ kind: fc.constant('map' as const), by: who, ref: small, flags: fc.integer({ min: 0, max: 7 }) }),
      fc.record({ kind: fc.constant('unmap' as const), by: who, handle: small, host: fc.boolean(), device: fc.boolean() }),
      fc.record({ kind: fc.constant('copy' as const), by: who, bytes: fc.uint8Array({ minLength: 40, maxLength: 40 }) }),
      fc.record({ kind: fc.constant('raw' as const), by: who, command: small, bytes: fc.uint8Array({ minLength: 64, maxLength: 64 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), fc.boolean(), (steps, granterFirst) => {
        const host = testHost({ cpus: 3, frames: 256 });
        const before = census(host.hypervisor);
        const guests = [new TestGuest(host, { id: 1 }), new TestGuest(host, { id: 2 })] as const;
        for (const each of steps) {
          const guest = guests[each.by] as TestGuest;
          const other = guests[1 - each.by] as TestGuest;
          if (each.kind === 'offer') {
            const frame = guest.pages[each.page + 1] as number;
            offer(guest, each.ref, { flags: each.flags, domid: other.domain.id, frame });
          } else if (each.kind === 'map') map(guest, other.domain.id, each.ref, each.flags);
          else if (each.kind === 'unmap') {
            const mapping = guest.domain.grants.mappings.get(each.handle);
            const frame = mapping && other.domain.grants.active.get(mapping.reference)?.frame;
            unmap(guest, each.handle, each.host ? guest.at(0x7000) : 0n, each.device ? BigInt(frame ?? 0) << 12n : 0n);
          } else if (each.kind === 'copy') grantOp(guest, 5, each.bytes);
          else grantOp(guest, each.command, each.bytes);
          expect(audit(host.hypervisor)).toEqual([]);
        }
        // Host mappings' references are the page tables' (pv/); here they are given back by unmapping all first.
        for (const guest of guests) {
          for (const handle of [...guest.domain.grants.mappings.keys()]) unmap(guest, handle, guest.at(0x7000));
        }
        for (const guest of granterFirst ? guests : [...guests].reverse()) destroyDomain(host.hypervisor, guest.domain);
        expect(audit(host.hypervisor)).toEqual([]);
        expect(census(host.hypervisor)).toEqual(before);
      }),
      { numRuns: 80 },
    );
  });
});

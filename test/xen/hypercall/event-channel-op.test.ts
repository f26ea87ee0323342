import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as abi from '../../../src/xen-abi/event-channel.ts';
import { DOMID_SELF, Hypercall, shared_info, vcpu_info } from '../../../src/xen-abi/xen.ts';
import { audit, census } from '../../../src/xen/census.ts';
import { destroyDomain } from '../../../src/xen/domain-lifecycle.ts';
import { TestGuest, testHost } from '../core-guest.ts';

const EINVAL = -22n;
const ENOENT = -2n;
const op = BigInt;

/** Issues a sub-operation with a structure; gives the result and the structure afterwards. */
function eventOp(guest: TestGuest, command: number, bytes: Uint8Array): { result: bigint; after: Uint8Array } {
  guest.write(0, bytes);
  const result = guest.call(Hypercall.event_channel_op, [op(command), guest.at(0)]);
  return { result, after: guest.read(0, bytes.length) };
}

function allocate(guest: TestGuest, remote: number, dom = DOMID_SELF): number {
  const { result, after } = eventOp(guest, 6, abi.evtchn_alloc_unbound.write({ dom, remote_dom: remote }));
  return result < 0n ? Number(result) : abi.evtchn_alloc_unbound.read(after).port;
}

function bind(guest: TestGuest, remote: number, port: number): number {
  const request = abi.evtchn_bind_interdomain.write({ remote_dom: remote, remote_port: port });
  const { result, after } = eventOp(guest, 0, request);
  return result < 0n ? Number(result) : abi.evtchn_bind_interdomain.read(after).local_port;
}

const send = (guest: TestGuest, port: number): bigint => eventOp(guest, 4, abi.evtchn_send.write({ port })).result;
const close = (guest: TestGuest, port: number): bigint => eventOp(guest, 3, abi.evtchn_close.write({ port })).result;
const status = (guest: TestGuest, port: number, dom = DOMID_SELF) => {
  const { result, after } = eventOp(guest, 5, abi.evtchn_status.write({ dom, port }));
  return result < 0n ? Number(result) : abi.evtchn_status.read(after);
};

function bit(guest: TestGuest, field: 'evtchn_pending' | 'evtchn_mask', port: number): number {
  const base = guest.domain.sharedInfoFrame * 4096 + shared_info.offset(field);
  return (guest.host.platform.memory.readU8(base + (port >> 3)) >> (port & 7)) & 1;
}
const pending = (guest: TestGuest, port: number): number => bit(guest, 'evtchn_pending', port);
function setMask(guest: TestGuest, port: number): void {
  const at = guest.domain.sharedInfoFrame * 4096 + shared_info.offset('evtchn_mask') + (port >> 3);
  guest.host.platform.memory.writeU8(at, guest.host.platform.memory.readU8(at) | (1 << (port & 7)));
}
const info = (guest: TestGuest, vcpu = 0) =>
  vcpu_info.read(guest.host.platform.memory.readBytes(guest.domain.sharedInfoFrame * 4096 + 64 * vcpu, 64));

function pair() {
  const host = testHost({ cpus: 3 });
  return { host, a: new TestGuest(host, { id: 1 }), b: new TestGuest(host, { id: 2 }) };
}

describe('event_channel_op', () => {
  it('binds two domains, and the binder finds its port pending at once', () => {
    const { host, a, b } = pair();
    const offered = allocate(a, 2);
    const bound = bind(b, 1, offered);
    expect([offered, bound]).toEqual([1, 1]);
    expect([pending(a, offered), pending(b, bound)]).toEqual([0, 1]);
    expect(status(a, offered)).toMatchObject({ status: abi.EVTCHNSTAT_interdomain, u: 2, u_port: bound });
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('delivers a send to the other end: pending, selector, upcall, in this order of words', () => {
    const { a, b } = pair();
    const port = bind(a, 2, allocate(b, 1));
    expect(send(a, port)).toBe(0n);
    expect(pending(b, 1)).toBe(1);
    expect(info(b)).toMatchObject({ evtchn_upcall_pending: 1, evtchn_pending_sel: 1n });
  });

  it('does not set the selector for a masked port, and unmask raises it again', () => {
    const { a, b } = pair();
    const port = bind(a, 2, allocate(b, 1));
    setMask(b, 1);
    send(a, port);
    expect(pending(b, 1)).toBe(1);
    expect(info(b)).toMatchObject({ evtchn_upcall_pending: 0, evtchn_pending_sel: 0n });
    expect(eventOp(b, 9, abi.evtchn_unmask.write({ port: 1 })).result).toBe(0n);
    expect(bit(b, 'evtchn_mask', 1)).toBe(0);
    expect(info(b)).toMatchObject({ evtchn_upcall_pending: 1, evtchn_pending_sel: 1n });
  });

  it('drops what is sent on an unbound port, and refuses free ports and port 0', () => {
    const { a } = pair();
    const port = allocate(a, 2);
    expect(send(a, port)).toBe(0n);
    expect(pending(a, port)).toBe(0);
    for (const wrong of [0, port + 1, 5000, 0xffff_ffff]) expect(send(a, wrong), `port ${wrong}`).toBe(EINVAL);
  });

  it('turns the peer of a closed port into an unbound one that the closer may bind again', () => {
    const { host, a, b } = pair();
    const bound = bind(b, 1, allocate(a, 2));
    expect(close(b, bound)).toBe(0n);
    expect(status(a, 1)).toMatchObject({ status: abi.EVTCHNSTAT_unbound, u: 2 });
    expect(close(b, bound)).toBe(EINVAL);
    expect(bind(b, 1, 1)).toBe(1);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('binds only ports that were offered to the caller', () => {
    const { a, b } = pair();
    const port = allocate(a, 1);
    expect(bind(b, 1, port)).toBe(-22);
    expect(bind(b, 1, 63)).toBe(-22);
    expect(bind(b, 77, 1)).toBe(-3);
  });

  it.each([
    ['unknown VIRQ', { virq: 24, vcpu: 0 }, EINVAL],
    ['global VIRQ away from vCPU 0', { virq: 3, vcpu: 1 }, EINVAL],
    ['vCPU that does not exist', { virq: 0, vcpu: 9 }, ENOENT],
    ['global VIRQ of another domain', { virq: 3, vcpu: 0 }, -16n],
    ['timer', { virq: 0, vcpu: 1 }, 0n],
  ])('bind_virq: %s', (_name, request, expected) => {
    const guest = new TestGuest(testHost(), { id: 1, vcpus: 2 });
    expect(eventOp(guest, 1, abi.evtchn_bind_virq.write(request)).result).toBe(expected);
  });

  it('binds a VIRQ once, and again after its port is closed', () => {
    const guest = new TestGuest(testHost(), { id: 1 });
    const request = abi.evtchn_bind_virq.write({ virq: 0, vcpu: 0 });
    expect(eventOp(guest, 1, request).result).toBe(0n);
    expect(eventOp(guest, 1, request).result).toBe(-17n);
    close(guest, 1);
    expect(eventOp(guest, 1, request).result).toBe(0n);
  });

  it('sends an IPI to the vCPU that it is bound to', () => {
    const guest = new TestGuest(testHost({ cpus: 3 }), { id: 1, vcpus: 2 });
    const { after } = eventOp(guest, 7, abi.evtchn_bind_ipi.write({ vcpu: 1 }));
    expect(send(guest, abi.evtchn_bind_ipi.read(after).port)).toBe(0n);
    expect([info(guest, 0).evtchn_upcall_pending, info(guest, 1).evtchn_upcall_pending]).toEqual([0, 1]);
  });

  it('moves interdomain ports to another vCPU, but not IPIs and timers', () => {
    const guest = new TestGuest(testHost(), { id: 1, vcpus: 2 });
    const move = (port: number): bigint => eventOp(guest, 8, abi.evtchn_bind_vcpu.write({ port, vcpu: 1 })).result;
    allocate(guest, DOMID_SELF);
    eventOp(guest, 7, abi.evtchn_bind_ipi.write({ vcpu: 0 }));
    eventOp(guest, 1, abi.evtchn_bind_virq.write({ virq: 0, vcpu: 0 }));
    expect([move(1), move(2), move(3)]).toEqual([0n, EINVAL, EINVAL]);
  });

  it('gives out 1023 ports and then says that there is no space', () => {
    const guest = new TestGuest(testHost(), { id: 1 });
    for (let port = 1; port <= 1023; port++) expect(allocate(guest, 2)).toBe(port);
    expect(allocate(guest, 2)).toBe(-28);
    close(guest, 500);
    expect(allocate(guest, 2)).toBe(500);
  });

  it('refuses FIFO channels after checking the frame, so that guests stay with the 2-level ABI', () => {
    const guest = new TestGuest(testHost(), { id: 1 });
    const init = (frame: number, offset = 0): bigint =>
      eventOp(guest, 11, abi.evtchn_init_control.write({ control_gfn: BigInt(frame), offset })).result;
    expect(init(guest.pages[0] as number)).toBe(-38n);
    expect(init(0x7fff_ffff)).toBe(EINVAL);
    expect(init(guest.pages[0] as number, 4)).toBe(EINVAL);
    expect(eventOp(guest, 12, abi.evtchn_expand_array.write({})).result).toBe(-95n);
  });

  it('lets only a privileged domain act for another', () => {
    const host = testHost({ cpus: 3 });
    const dom0 = new TestGuest(host, { id: 0 });
    const guest = new TestGuest(host, { id: 1 });
    expect(allocate(guest, 0, 0)).toBe(-1);
    expect(allocate(dom0, 0, 1)).toBe(1);
    expect(status(dom0, 1, 1)).toMatchObject({ status: abi.EVTCHNSTAT_unbound, u: 0 });
    expect(status(guest, 1, 0)).toBe(-1);
    expect(status(guest, 1, 5)).toBe(-3);
  });

  it('answers through the old call, which knows ten operations', () => {
    const guest = new TestGuest(testHost(), { id: 1 });
    const compat = (cmd: number, u: Uint8Array): bigint => {
      const bytes = new Uint8Array(28);
      bytes.set(abi.evtchn_op_compat.write({ cmd }).subarray(0, 4));
      bytes.set(u, 4);
      guest.write(0, bytes);
      return guest.call(Hypercall.event_channel_op_compat, [guest.at(0)]);
    };
    expect(compat(6, abi.evtchn_alloc_unbound.write({ dom: DOMID_SELF, remote_dom: 0 }))).toBe(0n);
    expect(abi.evtchn_alloc_unbound.read(guest.read(4, 8)).port).toBe(1);
    expect(compat(10, abi.evtchn_reset.write({ dom: DOMID_SELF }))).toBe(-38n);
  });

  it('keeps both ends of every channel in agreement, whatever three domains do', () => {
    const id = fc.integer({ min: 1, max: 3 });
    const port = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 12 }) }, fc.nat());
    const command = fc.oneof(
      fc.record({ kind: fc.constant('allocate' as const), by: id, with: id }),
      fc.record({ kind: fc.constant('bind' as const), by: id, with: id, port }),
      fc.record({ kind: fc.constant('close' as const), by: id, port }),
      fc.record({ kind: fc.constant('send' as const), by: id, port }),
      fc.record({ kind: fc.constant('reset' as const), by: id }),
      fc.record({ kind: fc.constant('destroy' as const), by: id }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const host = testHost({ cpus: 4, frames: 256 });
        const before = census(host.hypervisor);
        const guests = new Map([1, 2, 3].map((n) => [n, new TestGuest(host, { id: n })]));
        for (const step of commands) {
          const guest = guests.get(step.by);
          if (guest === undefined) continue;
          if (step.kind === 'allocate') allocate(guest, step.with);
          else if (step.kind === 'bind') bind(guest, step.with, step.port);
          else if (step.kind === 'close') close(guest, step.port);
          else if (step.kind === 'send') send(guest, step.port);
          else if (step.kind === 'reset') eventOp(guest, 10, abi.evtchn_reset.write({ dom: DOMID_SELF }));
          else {
            destroyDomain(host.hypervisor, guest.domain);
            guests.delete(step.by);
          }
          expect(audit(host.hypervisor)).toEqual([]);
        }
        for (const guest of guests.values()) destroyDomain(host.hypervisor, guest.domain);
        expect(census(host.hypervisor)).toEqual(before);
      }),
      { numRuns: 60 },
    );
  });
});

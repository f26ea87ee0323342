import { describe, expect, it } from 'vitest';
import { SCHEDOP_block, SCHEDOP_poll, SCHEDOP_yield, sched_poll } from '../../src/xen-abi/sched.ts';
import { evtchn_alloc_unbound, evtchn_bind_virq } from '../../src/xen-abi/event-channel.ts';
import { DOMID_SELF, Hypercall, VIRQ_TIMER } from '../../src/xen-abi/xen.ts';
import { destroyDomain } from '../../src/xen/domain-lifecycle.ts';
import { setPending } from '../../src/xen/event-delivery.ts';
import { pauseDomain, unpauseDomain } from '../../src/xen/scheduler.ts';
import { Runstate } from '../../src/xen/vcpu.ts';
import { TestGuest, testHost } from './core-guest.ts';

const upcallPending = (guest: TestGuest): number => guest.host.platform.memory.readU8(guest.vcpu.infoFrame * 4096 + guest.vcpu.infoOffset);

describe('scheduling', () => {
  it('halts a cpu on which nothing can run', () => {
    const host = testHost();
    expect(host.platform.cpus.map((cpu) => cpu.halted)).toEqual([true, true]);
  });

  it('runs a new domain on its cpu and leaves the others idle', () => {
    const host = testHost();
    const guest = new TestGuest(host, { id: 1 });
    expect(host.hypervisor.currentOn(guest.cpu())).toBe(guest.vcpu);
    expect(guest.cpu().index).toBe(0);
    expect(host.platform.cpus[1]?.halted).toBe(true);
  });

  it('blocks a vCPU until an event is deliverable, then delivers it', () => {
    const host = testHost();
    const guest = new TestGuest(host, { id: 1 });
    guest.write(0, evtchn_bind_virq.write({ virq: VIRQ_TIMER }));
    expect(guest.call(Hypercall.event_channel_op, [1n, guest.at(0)])).toBe(0n);
    expect(guest.call(Hypercall.set_timer_op, [5_000_000n])).toBe(0n);
    expect(guest.call(Hypercall.sched_op, [BigInt(SCHEDOP_block)])).toBe(0n);
    expect(guest.vcpu.blocked).toBe(true);
    expect(guest.cpu().halted).toBe(true);
    expect(guest.vcpu.runstate.state).toBe(Runstate.blocked);
    host.platform.advance(4_000_000n);
    expect(guest.vcpu.running).toBe(false);
    host.platform.advance(2_000_000n);
    expect(guest.vcpu.running).toBe(true);
    expect(host.kind.deliveries).toEqual(['1.0']);
  });

  it('does not block when an event is deliverable already', () => {
    const host = testHost();
    const guest = new TestGuest(host, { id: 1 });
    guest.write(0, evtchn_alloc_unbound.write({ dom: DOMID_SELF, remote_dom: DOMID_SELF }));
    guest.call(Hypercall.event_channel_op, [6n, guest.at(0)]);
    setPending(host.hypervisor, guest.domain, 1);
    expect(guest.call(Hypercall.sched_op, [BigInt(SCHEDOP_block)])).toBe(0n);
    expect(guest.vcpu.running).toBe(true);
    expect(host.kind.deliveries).toEqual(['1.0']);
  });

  it('ends a poll by an event on a polled port even when upcalls are masked, and leaves the port pending', () => {
    const host = testHost();
    const guest = new TestGuest(host, { id: 1 });
    guest.write(0, evtchn_alloc_unbound.write({ dom: DOMID_SELF, remote_dom: DOMID_SELF }));
    guest.call(Hypercall.event_channel_op, [6n, guest.at(0)]);
    guest.write(64, Uint8Array.of(1, 0, 0, 0));
    guest.write(128, sched_poll.write({ ports: guest.at(64), nr_ports: 1 }));
    expect(guest.call(Hypercall.sched_op, [BigInt(SCHEDOP_poll), guest.at(128)])).toBe(0n);
    expect(guest.vcpu.running).toBe(false);
    setPending(host.hypervisor, guest.domain, 1);
    host.platform.settle();
    expect(guest.vcpu.running).toBe(true);
    expect(upcallPending(guest)).toBe(1);
    expect(host.kind.deliveries).toEqual([]);
    expect(guest.call(Hypercall.sched_op, [BigInt(SCHEDOP_poll), guest.at(128)])).toBe(0n);
    expect(guest.vcpu.running).toBe(true);
  });

  it('ends a poll at its time-out', () => {
    const host = testHost();
    const guest = new TestGuest(host, { id: 1 });
    guest.write(128, sched_poll.write({ timeout: 3_000_000n }));
    guest.call(Hypercall.sched_op, [BigInt(SCHEDOP_poll), guest.at(128)]);
    host.platform.advance(2_000_000n);
    expect(guest.vcpu.running).toBe(false);
    host.platform.advance(1_000_000n);
    expect(guest.vcpu.running).toBe(true);
    expect(guest.vcpu.pollTimeout).toBeUndefined();
  });

  it('lets two domains on one cpu share it: by yield, by time slices, and by waking up', () => {
    const host = testHost({ cpus: 1 });
    const first = new TestGuest(host, { id: 1 });
    const second = new TestGuest(host, { id: 2 });
    const { hypervisor, platform } = host;
    const cpu = first.cpu();
    const running = (): number | undefined => hypervisor.currentOn(cpu)?.domain.id;
    expect(running()).toBe(2); // woken last, it runs before one that computes
    second.call(Hypercall.sched_op, [BigInt(SCHEDOP_yield)]);
    expect(running()).toBe(1);
    platform.advance(31_000_000n);
    expect(running()).toBe(2);
    platform.advance(31_000_000n);
    expect(running()).toBe(1);
  });

  it('keeps the registers of each vCPU apart', () => {
    const host = testHost({ cpus: 1 });
    const first = new TestGuest(host, { id: 1 });
    const second = new TestGuest(host, { id: 2 });
    const cpu = first.cpu();
    cpu.setGpr(3, 0x2222n);
    second.call(Hypercall.sched_op, [BigInt(SCHEDOP_yield)]);
    cpu.setGpr(3, 0x1111n);
    first.call(Hypercall.sched_op, [BigInt(SCHEDOP_yield)]);
    expect(cpu.gpr(3)).toBe(0x2222n);
    second.call(Hypercall.sched_op, [BigInt(SCHEDOP_yield)]);
    expect(cpu.gpr(3)).toBe(0x1111n);
  });

  it('accounts time by state without losing any', () => {
    const host = testHost({ cpus: 1 });
    const guest = new TestGuest(host, { id: 1 });
    const born = guest.vcpu.runstate.entryTime;
    guest.call(Hypercall.sched_op, [BigInt(SCHEDOP_block)]);
    host.platform.advance(7_000_000n);
    setPending(host.hypervisor, guest.domain, 1);
    host.platform.settle();
    host.platform.advance(1_000_000n);
    const { time, entryTime, state } = guest.vcpu.runstate;
    expect(state).toBe(Runstate.running);
    const blocked = time[Runstate.blocked] as bigint;
    expect(blocked).toBeGreaterThanOrEqual(7_000_000n);
    expect(blocked).toBeLessThan(7_100_000n);
    expect(entryTime).toBeGreaterThan(born);
  });
});

describe('several cpus', () => {
  function pair() {
    const host = testHost({ cpus: 3 });
    const sender = new TestGuest(host, { id: 1 });
    const receiver = new TestGuest(host, { id: 2 });
    receiver.write(0, evtchn_alloc_unbound.write({ dom: DOMID_SELF, remote_dom: DOMID_SELF }));
    receiver.call(Hypercall.event_channel_op, [6n, receiver.at(0)]);
    host.hypervisor.entered = sender.cpu();
    return { host, sender, receiver };
  }

  it('are interrupted once for what waits for them', () => {
    const { host, receiver } = pair();
    setPending(host.hypervisor, receiver.domain, 1);
    setPending(host.hypervisor, receiver.domain, 1);
    pauseDomain(host.hypervisor, receiver.domain);
    expect(receiver.cpu().pendingVectors).toHaveLength(1);
    unpauseDomain(host.hypervisor, receiver.domain);
    host.platform.settle();
    expect(receiver.cpu().pendingVectors).toHaveLength(0);
    expect([receiver.vcpu.running, upcallPending(receiver)]).toEqual([true, 1]);
    setPending(host.hypervisor, receiver.domain, 2);
    expect(receiver.cpu().pendingVectors).toHaveLength(0); // the upcall is pending already
  });

  it('let go of a domain that is destroyed from another cpu before their next instruction', () => {
    const { host, receiver } = pair();
    const cpu = receiver.cpu();
    cpu.setGpr(3, 0x77n);
    destroyDomain(host.hypervisor, receiver.domain);
    expect(cpu.halted).toBe(true);
    expect([receiver.vcpu.running, receiver.vcpu.context.gpr[3]]).toEqual([false, 0x77n]);
    host.platform.settle();
    expect(host.hypervisor.currentOn(cpu)).toBeUndefined();
  });
});

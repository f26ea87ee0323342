import { describe, expect, it } from 'vitest';
import { SaveReader, SaveWriter } from '../../src/base/persist.ts';
import { evtchn_alloc_unbound, evtchn_bind_virq } from '../../src/xen-abi/event-channel.ts';
import { SCHEDOP_poll, sched_poll } from '../../src/xen-abi/sched.ts';
import { DOMID_SELF, Hypercall } from '../../src/xen-abi/xen.ts';
import { audit, census } from '../../src/xen/census.ts';
import { setPending } from '../../src/xen/event-delivery.ts';
import { restoreHypervisor, saveHypervisor } from '../../src/xen/save-state.ts';
import { TestGuest, type TestHost, testHost } from './core-guest.ts';

function save({ hypervisor }: TestHost): Uint8Array {
  const pieces: number[] = [];
  const writer = new SaveWriter((piece) => pieces.push(...piece));
  saveHypervisor(hypervisor, writer);
  writer.finish();
  return Uint8Array.from(pieces);
}

function busyHost(): { host: TestHost; guest: TestGuest } {
  const host = testHost({ cpus: 2, frames: 256 });
  new TestGuest(host, { id: 0 });
  const guest = new TestGuest(host, { id: 1, vcpus: 2 });
  guest.call(Hypercall.event_channel_op, [6n, guest.write(0, evtchn_alloc_unbound.write({ dom: DOMID_SELF, remote_dom: 0 }))]);
  guest.call(Hypercall.event_channel_op, [1n, guest.write(0, evtchn_bind_virq.write({ virq: 0 }))]);
  guest.call(Hypercall.set_timer_op, [90_000_000n]);
  guest.write(64, Uint8Array.of(1, 0, 0, 0));
  guest.write(128, sched_poll.write({ ports: guest.at(64), nr_ports: 1, timeout: 50_000_000n }));
  guest.call(Hypercall.sched_op, [BigInt(SCHEDOP_poll), guest.at(128)]);
  return { host, guest };
}

describe('the hypervisor in the save stream', () => {
  it('is the same bytes for the same history, and others after one more event', () => {
    const first = busyHost();
    expect(save(first.host)).toEqual(save(busyHost().host));
    const before = save(first.host);
    setPending(first.host.hypervisor, first.guest.domain, 1);
    expect(save(first.host)).not.toEqual(before);
  });

  it('goes on in another hypervisor as it would have here', () => {
    const { host, guest } = busyHost();
    const stream = save(host);
    const copy = testHost({ cpus: 2, frames: 256 });
    copy.platform.memory.bytes.set(host.platform.memory.bytes);
    restoreHypervisor(copy.hypervisor, new SaveReader(stream));
    for (const [i, cpu] of copy.platform.cpus.entries()) {
      const original = host.platform.cpus[i] as typeof cpu;
      cpu.loadContext(original.context);
      Object.assign(cpu, { cycles: original.cycles, timer: original.timer, halted: original.halted });
    }
    expect(save(copy)).toEqual(stream);
    expect(census(copy.hypervisor)).toEqual(census(host.hypervisor));
    for (const { platform } of [host, copy]) platform.advance(60_000_000n);
    expect(copy.hypervisor.domains.get(1)?.vcpus[0]?.running).toBe(guest.vcpu.running);
    expect(save(copy)).toEqual(save(host));
    expect(audit(copy.hypervisor)).toEqual([]);
  });
});

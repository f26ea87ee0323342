import { describe, expect, it } from 'vitest';
import { evtchn_bind_virq } from '../../../src/xen-abi/event-channel.ts';
import { SCHEDOP_block } from '../../../src/xen-abi/sched.ts';
import * as abi from '../../../src/xen-abi/vcpu.ts';
import { Hypercall, shared_info, vcpu_info, vcpu_time_info, VIRQ_TIMER } from '../../../src/xen-abi/xen.ts';
import { audit } from '../../../src/xen/census.ts';
import { isPending, setPending } from '../../../src/xen/event-delivery.ts';
import { Runstate } from '../../../src/xen/vcpu.ts';
import { TestGuest, testHost } from '../core-guest.ts';

const op = (guest: TestGuest, command: number, id: number, pointer = 0n): bigint =>
  guest.call(Hypercall.vcpu_op, [BigInt(command), BigInt(id), pointer]);

function withTimer(): TestGuest {
  const guest = new TestGuest(testHost(), { id: 1 });
  guest.call(Hypercall.event_channel_op, [1n, guest.write(0, evtchn_bind_virq.write({ virq: VIRQ_TIMER }))]);
  return guest;
}
const timerPending = (guest: TestGuest): boolean => isPending(guest.host.hypervisor, guest.domain, 1);

describe('vcpu_op', () => {
  it('tells by -ENOENT how many vCPUs there are', () => {
    const guest = new TestGuest(testHost(), { id: 1, vcpus: 2 });
    expect([0, 1, 2].map((id) => op(guest, abi.VCPUOP_is_up, id))).toEqual([1n, 1n, -2n]);
  });

  it('takes a vCPU down and up again, and shuts the domain down with the last one', () => {
    const host = testHost({ cpus: 3 });
    const guest = new TestGuest(host, { id: 1, vcpus: 2 });
    expect(op(guest, abi.VCPUOP_down, 1)).toBe(0n);
    host.platform.settle();
    expect(guest.domain.vcpus[1]).toMatchObject({ running: false, down: true });
    expect(guest.domain.vcpus[1]?.runstate.state).toBe(Runstate.offline);
    expect(op(guest, abi.VCPUOP_up, 1)).toBe(0n);
    host.platform.settle();
    expect(guest.domain.vcpus[1]?.running).toBe(true);
    op(guest, abi.VCPUOP_down, 1);
    op(guest, abi.VCPUOP_down, 0);
    expect(guest.domain).toMatchObject({ shutDown: true, shutdownCode: 0 });
  });

  it('initialises once', () => {
    const guest = new TestGuest(testHost(), { id: 1 });
    expect(op(guest, abi.VCPUOP_initialise, 0, guest.at(0))).toBe(-17n);
  });

  it('moves vcpu_info with its contents, and marks everything pending', () => {
    const guest = new TestGuest(testHost(), { id: 1 });
    const { hypervisor, platform } = guest.host;
    const frame = guest.pages[2] as number;
    const register = (mfn: number, offset: number): bigint =>
      op(guest, abi.VCPUOP_register_vcpu_info, 0, guest.write(0, abi.vcpu_register_vcpu_info.write({ mfn: BigInt(mfn), offset })));
    expect(register(frame, 4096 - 63)).toBe(-22n);
    expect(register(0x7fff_ffff, 0)).toBe(-22n);
    expect(register(frame, 64)).toBe(0n);
    const info = vcpu_info.read(platform.memory.readBytes(frame * 4096 + 64, 64));
    expect(info).toMatchObject({ evtchn_upcall_pending: 1, evtchn_upcall_mask: 1, evtchn_pending_sel: 0xffff_ffff_ffff_ffffn });
    expect(vcpu_time_info.read(info.time).tsc_to_system_mul).toBe(hypervisor.time.multiplier);
    expect(register(frame, 128)).toBe(-22n);
    expect(hypervisor.frames.describe(frame)).toContain('writable x 1');
    expect(audit(hypervisor)).toEqual([]);
  });

  it('fires a singleshot timer at its time, and at once when that has passed', () => {
    const guest = withTimer();
    const set = (time: bigint): bigint =>
      op(guest, abi.VCPUOP_set_singleshot_timer, 0, guest.write(0, abi.vcpu_set_singleshot_timer.write({ timeout_abs_ns: time })));
    expect(set(2_000_000n)).toBe(0n);
    guest.host.platform.advance(1_000_000n);
    expect(timerPending(guest)).toBe(false);
    guest.host.platform.advance(1_000_000n);
    expect(timerPending(guest)).toBe(true);
    const again = withTimer();
    op(again, abi.VCPUOP_set_singleshot_timer, 0, again.write(0, new Uint8Array(16)));
    expect(timerPending(again)).toBe(true);
  });

  it('cancels a singleshot timer by either call', () => {
    for (const cancel of [
      (guest: TestGuest) => op(guest, abi.VCPUOP_stop_singleshot_timer, 0),
      (guest: TestGuest) => guest.call(Hypercall.set_timer_op, [0n]),
    ]) {
      const guest = withTimer();
      guest.call(Hypercall.set_timer_op, [2_000_000n]);
      expect(cancel(guest)).toBe(0n);
      guest.host.platform.advance(5_000_000n);
      expect(timerPending(guest)).toBe(false);
      expect(guest.cpu().timer).toBeUndefined();
    }
  });

  it('takes a timer that is negative or too far away as a mistake, and fires soon', () => {
    for (const time of [-5n, 1n << 60n]) {
      const guest = withTimer();
      guest.call(Hypercall.set_timer_op, [BigInt.asUintN(64, time)]);
      guest.host.platform.advance(99_000_000n);
      expect(timerPending(guest)).toBe(false);
      guest.host.platform.advance(2_000_000n);
      expect(timerPending(guest)).toBe(true);
    }
  });

  it('ticks periodically while the vCPU runs, and makes no missed tick up', () => {
    const guest = withTimer();
    const period = (ns: bigint): bigint =>
      op(guest, abi.VCPUOP_set_periodic_timer, 0, guest.write(0, abi.vcpu_set_periodic_timer.write({ period_ns: ns })));
    expect(period(999_999n)).toBe(-22n);
    expect(period(1_000_000n)).toBe(0n);
    const { platform, hypervisor } = guest.host;
    const clear = (): void => {
      const at = guest.domain.sharedInfoFrame * 4096;
      platform.memory.writeU64(at + shared_info.offset('evtchn_pending'), 0n);
      platform.memory.writeBytes(at, vcpu_info.write({}).subarray(0, 16));
    };
    for (let tick = 0; tick < 3; tick++) {
      platform.advance(1_010_000n);
      expect(timerPending(guest)).toBe(true);
      clear();
    }
    guest.call(Hypercall.sched_op, [BigInt(SCHEDOP_block)]);
    platform.advance(10_000_000n);
    expect(guest.vcpu.running).toBe(false);
    expect(timerPending(guest)).toBe(false);
    setPending(hypervisor, guest.domain, 2);
    platform.settle();
    expect(timerPending(guest)).toBe(true);
    expect(op(guest, abi.VCPUOP_stop_periodic_timer, 0)).toBe(0n);
  });

  it('keeps the runstate area up to date, with the update flag when it is asked for', () => {
    const host = testHost({ cpus: 1 });
    const guest = new TestGuest(host, { id: 1 });
    const area = guest.write(0, new Uint8Array(new BigUint64Array([guest.at(0x1000)]).buffer));
    guest.call(Hypercall.vm_assist, [0n, 5n]);
    expect(op(guest, abi.VCPUOP_register_runstate_memory_area, 0, area)).toBe(0n);
    const read = () => abi.vcpu_runstate_info.read(guest.read(0x1000, 48));
    expect(read().state).toBe(Runstate.running);
    expect(read().state_entry_time & abi.XEN_RUNSTATE_UPDATE).toBe(0n);
    guest.call(Hypercall.sched_op, [BigInt(SCHEDOP_block)]);
    host.platform.advance(3_000_000n);
    setPending(host.hypervisor, guest.domain, 5);
    host.platform.settle();
    const times = new BigUint64Array(read().time.buffer);
    expect(times[Runstate.blocked]).toBeGreaterThanOrEqual(3_000_000n);
    expect(read().state).toBe(Runstate.running);
    expect(op(guest, abi.VCPUOP_get_runstate_info, 0, guest.at(0x2000))).toBe(0n);
    expect(abi.vcpu_runstate_info.read(guest.read(0x2000, 48)).state).toBe(Runstate.running);
  });

  it('copies the time record to a second place', () => {
    const guest = new TestGuest(testHost(), { id: 1 });
    const area = guest.write(0, new Uint8Array(new BigUint64Array([guest.at(0x1000)]).buffer));
    expect(op(guest, abi.VCPUOP_register_vcpu_time_memory_area, 0, area)).toBe(0n);
    const record = vcpu_time_info.read(guest.read(0x1000, 32));
    expect(record.version % 2).toBe(0);
    expect(record).toMatchObject({ tsc_to_system_mul: guest.host.hypervisor.time.multiplier, flags: 1 });
  });

  it('refuses what it does not know', () => {
    const guest = new TestGuest(testHost(), { id: 1 });
    expect(op(guest, 50, 0)).toBe(-38n);
    expect(op(guest, abi.VCPUOP_get_physid, 0, guest.at(0))).toBe(-22n);
    expect(op(guest, abi.VCPUOP_get_runstate_info, 0, 0xffff_8000_0000_0000n)).toBe(-14n);
  });
});

import { describe, expect, it } from 'vitest';
import { evtchn_alloc_unbound, evtchn_send } from '../../../src/xen-abi/event-channel.ts';
import * as sched from '../../../src/xen-abi/sched.ts';
import * as version from '../../../src/xen-abi/version.ts';
import { DOMID_SELF, Hypercall, multicall_entry } from '../../../src/xen-abi/xen.ts';
import type { HypervisorObserver } from '../../../src/xen/events.ts';
import { pushConsoleInput } from '../../../src/xen/hypercall/console-io.ts';
import { TestGuest, testHost } from '../core-guest.ts';

const hole = 0xffff_8000_0000_0000n;
const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes).replace(/\0*$/, '');
const ascii = (string: string): Uint8Array => Uint8Array.from(string, (c) => c.charCodeAt(0));

function watched() {
  const lines: string[] = [];
  const unknown: string[] = [];
  const entered: string[] = [];
  const observer: HypervisorObserver = {
    console: (domain, line) => lines.push(`${domain === undefined ? 'xen' : `d${domain.id}`}: ${line}`),
    unknown: (domain, kind, detail) => unknown.push(`d${domain.id} ${kind} ${detail}`),
    hypercallEnter: (_vcpu, name) => entered.push(name),
    hypercallLeave: (_vcpu, name, result) => entered.push(`${name} = ${result}`),
  };
  const host = testHost({ cpus: 3 }, { observers: [observer], commandLine: 'console=vga' });
  return { host, dom0: new TestGuest(host, { id: 0 }), guest: new TestGuest(host, { id: 1 }), lines, unknown, entered };
}

describe('a hypercall', () => {
  it('that does not exist gets -ENOSYS, is reported, and changes no other register', () => {
    const { guest, unknown } = watched();
    const cpu = guest.cpu();
    cpu.setGpr(3, 0x1234n);
    for (const number of [11, 38, 63, 64, 0xffff_ffff]) expect(guest.call(number, [1n, 2n, 3n])).toBe(-38n);
    expect(unknown).toContain('d1 hypercall 11');
    expect([cpu.gpr(3), cpu.gpr(7), cpu.gpr(6)]).toEqual([0x1234n, 1n, 2n]);
  });

  it('is counted under its name and sub-operation, and shown to observers', () => {
    const { guest, entered } = watched();
    guest.call(Hypercall.sched_op, [0n]);
    guest.call(Hypercall.sched_op, [0n]);
    guest.call(Hypercall.xen_version, [6n, guest.at(0)]);
    expect(Object.fromEntries(guest.domain.counts)).toEqual({ 'sched_op.yield': 2, 'xen_version.get_features': 1 });
    expect(entered.slice(0, 2)).toEqual(['sched_op.yield', 'sched_op.yield = 0']);
  });

  it('costs a row of the table', () => {
    const { guest } = watched();
    guest.call(Hypercall.xen_version, [0n]);
    expect(guest.cpu().charges.get('xen.null_hypercall')).toBe(1);
  });
});

describe('xen_version', () => {
  it('answers as the version whose toolstack interface is spoken', () => {
    const { guest } = watched();
    const ask = (command: number, pointer = guest.at(0)): bigint => guest.call(Hypercall.xen_version, [BigInt(command), pointer]);
    guest.write(0, new Uint8Array(2048).fill(0xee));
    expect(ask(version.XENVER_version, 0n)).toBe(0x40011n);
    expect([ask(version.XENVER_extraversion), text(guest.read(0, 16))]).toEqual([0n, '.5']);
    expect(guest.read(2, 14).every((byte) => byte === 0)).toBe(true);
    expect([ask(version.XENVER_capabilities), text(guest.read(0, 1024))]).toEqual([0n, 'xen-3.0-x86_64 ']);
    expect(ask(version.XENVER_pagesize, 0n)).toBe(4096n);
    expect(ask(version.XENVER_pagesize)).toBe(-22n);
    expect([ask(version.XENVER_platform_parameters), new BigUint64Array(guest.read(0, 8).buffer)[0]]).toEqual([0n, hole]);
    guest.write(0, version.xen_feature_info.write({ submap_idx: 0 }));
    expect(ask(version.XENVER_get_features)).toBe(0n);
    const bits = (...list: number[]): number => list.reduce((map, bit) => map | (1 << bit), 0);
    expect(version.xen_feature_info.read(guest.read(0, 8)).submap).toBe(bits(5, 6, 7, 13, 17));
    guest.write(0, version.xen_feature_info.write({ submap_idx: 1 }));
    expect(ask(version.XENVER_get_features)).toBe(-22n);
    expect(ask(version.XENVER_changeset, hole)).toBe(-14n);
    expect(ask(99)).toBe(-38n);
  });

  it('tells the command line to Dom0 only', () => {
    const { guest, dom0 } = watched();
    for (const [who, expected] of [
      [guest, '<denied>'],
      [dom0, 'console=vga'],
    ] as const) {
      expect(who.call(Hypercall.xen_version, [9n, who.at(0)])).toBe(0n);
      expect(text(who.read(0, 1024))).toBe(expected);
    }
    expect(guest.call(Hypercall.xen_version, [10n, guest.at(0)])).toBe(-1n);
  });
});

describe('console_io', () => {
  const write = (guest: TestGuest, string: string): bigint =>
    guest.call(Hypercall.console_io, [0n, BigInt(string.length), guest.write(0, ascii(string))]);

  it('reports whole lines of Dom0, without what cannot be printed', () => {
    const { dom0, lines } = watched();
    write(dom0, 'hello, ');
    expect(lines).toEqual([]);
    write(dom0, 'wor\x07ld\nnext\n');
    expect(lines).toEqual(['d0: hello, world', 'd0: next']);
  });

  it('takes long text in pieces, and stops where memory does', () => {
    const { dom0, lines } = watched();
    expect(write(dom0, `${'x'.repeat(300)}\n`)).toBe(0n);
    expect(lines.map((line) => line.length)).toEqual([260, 48]);
    expect(dom0.call(Hypercall.console_io, [0n, 0xffff_ffffn, dom0.at(0)])).toBe(-14n);
    expect(dom0.call(Hypercall.console_io, [0n, 1n, hole])).toBe(-14n);
  });

  it('is not for other domains', () => {
    const { guest, lines } = watched();
    expect(write(guest, 'hello\n')).toBe(-1n);
    expect(lines).toEqual([]);
  });

  it('gives input to Dom0 alone', () => {
    const { host, guest, dom0 } = watched();
    pushConsoleInput(host.hypervisor, ascii('keys'));
    const read = (who: TestGuest, count: bigint): bigint => who.call(Hypercall.console_io, [1n, count, who.at(0)]);
    expect(read(guest, 10n)).toBe(-1n);
    expect(read(dom0, 0x8000_0000n)).toBe(-7n);
    expect([read(dom0, 3n), text(dom0.read(0, 3)), read(dom0, 3n), read(dom0, 3n)]).toEqual([3n, 'key', 1n, 0n]);
  });
});

describe('vm_assist', () => {
  it('accepts every type from a 64-bit guest', () => {
    const { guest } = watched();
    const call = (command: number, type: number): bigint => guest.call(Hypercall.vm_assist, [BigInt(command), BigInt(type)]);
    for (const type of [0, 1, 2, 3, 4, 5, 32]) expect(call(0, type)).toBe(0n);
    expect(guest.domain.vmAssist).toBe(0x1_0000_003fn);
    expect(call(1, 2)).toBe(0n);
    expect(guest.domain.vmAssist).toBe(0x1_0000_003bn);
    expect([call(0, 6), call(2, 0)]).toEqual([-22n, -38n]);
  });
});

describe('sched_op', () => {
  it('shuts the domain down for any reason that fits a byte', () => {
    for (const reason of [0, 1, 3, 0x1ff]) {
      const { guest } = watched();
      guest.write(0, sched.sched_shutdown.write({ reason }));
      expect(guest.call(Hypercall.sched_op, [2n, guest.at(0)])).toBe(0n);
      expect(guest.domain).toMatchObject({ shutDown: true, shutdownCode: reason & 0xff });
      expect(guest.vcpu.running).toBe(false);
    }
  });

  it('takes the reason of the old call from the argument itself', () => {
    const { guest } = watched();
    guest.call(Hypercall.sched_op_compat, [2n, 0x7fff_1234_5678n]);
    expect(guest.domain).toMatchObject({ shutDown: true, shutdownCode: 0x78 });
  });

  it.each([
    ['too many ports', { nr_ports: 129 }, -22n],
    ['a list in the hole', { nr_ports: 1, ports: hole }, -14n],
    ['a list that is not mapped', { nr_ports: 1, ports: 0x5000_0000n }, -14n],
    ['a port that cannot be', { nr_ports: 1, ports: 0x10_0040n }, -22n],
  ])('refuses to poll %s', (_name, request, expected) => {
    const { guest } = watched();
    guest.write(0x40, Uint8Array.of(0xff, 0xff, 0, 0));
    guest.write(0, sched.sched_poll.write(request));
    expect(guest.call(Hypercall.sched_op, [3n, guest.at(0)])).toBe(expected);
    expect(guest.vcpu.running).toBe(true);
  });

  it('has two watchdogs for each domain, which shut it down unless they are fed', () => {
    const { host, guest } = watched();
    const dog = (id: number, timeout: number): bigint =>
      guest.call(Hypercall.sched_op, [6n, guest.write(0, sched.sched_watchdog.write({ id, timeout }))]);
    expect([dog(0, 2), dog(0, 3), dog(0, 1), dog(3, 1), dog(0, 0)]).toEqual([1n, 2n, -28n, -22n, -22n]);
    expect(dog(2, 0)).toBe(0n);
    host.platform.advance(1_500_000_000n);
    expect(dog(1, 2)).toBe(0n);
    host.platform.advance(1_500_000_000n);
    expect(guest.domain.shutDown).toBe(false);
    host.platform.advance(1_000_000_000n);
    expect(guest.domain).toMatchObject({ shutDown: true, shutdownCode: sched.SHUTDOWN_watchdog });
  });

  it('lets only Dom0 shut others down', () => {
    const { guest, dom0 } = watched();
    const remote = (who: TestGuest, domain_id: number): bigint =>
      who.call(Hypercall.sched_op, [4n, who.write(0, sched.sched_remote_shutdown.write({ domain_id, reason: 3 }))]);
    expect([remote(guest, 0), remote(dom0, 9), remote(dom0, 0), remote(dom0, 1)]).toEqual([-1n, -3n, -22n, 0n]);
    expect(guest.domain).toMatchObject({ shutDown: true, shutdownCode: 3 });
  });
});

describe('multicall', () => {
  const entries = (guest: TestGuest, list: { op: number; args?: bigint[] }[]): bigint => {
    list.forEach(({ op, args = [] }, i) => {
      const [arg0 = 0n, arg1 = 0n] = args;
      guest.write(0x1000 + 64 * i, multicall_entry.write({ op: BigInt(op), arg0, arg1, result: 0x5555n }));
    });
    return guest.call(Hypercall.multicall, [guest.at(0x1000), BigInt(list.length)]);
  };
  const results = (guest: TestGuest, count: number): bigint[] =>
    Array.from({ length: count }, (_, i) => BigInt.asIntN(64, multicall_entry.read(guest.read(0x1000 + 64 * i, 64)).result));

  it('goes on after entries that fail, and writes each result', () => {
    const { guest } = watched();
    guest.write(0, evtchn_alloc_unbound.write({ dom: DOMID_SELF, remote_dom: 0 }));
    guest.write(0x40, evtchn_send.write({ port: 9 }));
    const list = [
      { op: Hypercall.xen_version, args: [0n] },
      { op: 11 },
      { op: Hypercall.event_channel_op, args: [4n, guest.at(0x40)] },
      { op: Hypercall.event_channel_op, args: [6n, guest.at(0)] },
    ];
    expect(entries(guest, list)).toBe(0n);
    expect(results(guest, 4)).toEqual([0x40011n, -38n, -22n, 0n]);
    expect(guest.cpu().charges.get('xen.multicall')).toBe(1);
    expect(guest.cpu().charges.get('xen.null_hypercall')).toBeUndefined();
    expect(guest.domain.counts.get('multicall entry: xen_version.version')).toBe(1);
  });

  it('does not run a list inside a list', () => {
    const { guest } = watched();
    expect(entries(guest, [{ op: Hypercall.multicall, args: [guest.at(0x1000), 1n] }])).toBe(0n);
    expect(results(guest, 1)).toEqual([-22n]);
  });

  it('fails as a whole only for a list that cannot be read', () => {
    const { guest } = watched();
    expect(guest.call(Hypercall.multicall, [hole, 1n])).toBe(-14n);
    expect(guest.call(Hypercall.multicall, [guest.at(0x8000 - 64), 2n])).toBe(-14n);
    expect(guest.call(Hypercall.multicall, [guest.at(0), 0n])).toBe(0n);
  });
});

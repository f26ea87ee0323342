import { describe, expect, it } from 'vitest';
import { parseElf } from '../../src/base/elf.ts';
import { ConfigError } from '../../src/base/errors.ts';
import { readPvImage } from '../../src/xen-abi/elf-notes.ts';
import type { GuestPort, HostGuest } from '../../src/xen-abi/guest-port.ts';
import { evtchn_bind_virq } from '../../src/xen-abi/event-channel.ts';
import { sched_shutdown } from '../../src/xen-abi/sched.ts';
import { Hypercall, VIRQ_CONSOLE } from '../../src/xen-abi/xen.ts';
import { buildDom0 } from '../../src/xen/build-dom0.ts';
import { audit, census } from '../../src/xen/census.ts';
import { destroyDomain } from '../../src/xen/domain-lifecycle.ts';
import { sendGlobalVirq } from '../../src/xen/event-delivery.ts';
import type { Hypervisor } from '../../src/xen/hypervisor.ts';
import { PvDomains } from '../../src/xen/pv/pv-domains.ts';
import { upcallIsMasked } from '../../src/xen/shared-info.ts';
import { startHypervisor } from '../../src/xen/start.ts';
import { TableWalk } from '../../src/xen/table-walk.ts';
import { ascii, buildElf, concat, elfNote } from '../support/elf-builder.ts';
import { FakePlatform } from '../support/fake-platform.ts';

const virtBase = 0xffff_ffff_8000_0000n;
const note = concat(
  elfNote(5, 'xen-3.0'),
  elfNote(6, 'linux'),
  elfNote(3, virtBase),
  elfNote(4, 0n),
  elfNote(1, virtBase + 0x2000n),
  elfNote(2, virtBase + 0x1000n),
);
const image = readPvImage(
  parseElf(
    buildElf({
      entry: 0x2000n,
      segments: [
        { virtual: 0x1000n, data: concat(new Uint8Array(0x1000), ascii('kernel')), memoryBytes: 0x3000n },
        { type: 4, virtual: 0n, data: note },
      ],
    }),
  ),
);

/** Counts its calls; maps shared_info and binds a VIRQ at its start, and shuts down when told to. */
class CountingGuest implements HostGuest {
  readonly image = { virtBase, pages: 8 };
  starts = 0;
  upcalls = 0;
  end = false;

  start(port: GuestPort): void {
    this.starts++;
    const start = port.readVirtual(port.startInfo, 1168) as Uint8Array;
    const sharedInfo = new DataView(start.buffer).getBigUint64(40, true);
    expect(port.hypercall(Hypercall.update_va_mapping, virtBase, sharedInfo | 3n, 0n)).toBe(0n);
    port.writeVirtual(virtBase + 0x1000n, evtchn_bind_virq.write({ virq: VIRQ_CONSOLE }));
    expect(port.hypercall(Hypercall.event_channel_op, 1n, virtBase + 0x1000n)).toBe(0n);
  }

  upcall(port: GuestPort): void {
    this.upcalls++;
    expect(port.readVirtual(virtBase, 2)).toEqual(Uint8Array.of(1, 1));
    port.writeVirtual(virtBase, Uint8Array.of(0));
    port.writeVirtual(virtBase + 8n, new Uint8Array(8));
    port.writeVirtual(virtBase + 2048n, new Uint8Array(512));
    if (!this.end) return;
    port.writeVirtual(virtBase + 0x1000n, sched_shutdown.write({ reason: 0 }));
    expect(port.hypercall(Hypercall.sched_op, 2n, virtBase + 0x1000n)).toBe(0n);
  }

  attach(): void {}
  save(): void {}
  restore(): void {}
}

function machine(frames = 4096): { platform: FakePlatform; hypervisor: Hypervisor } {
  const platform = new FakePlatform({ frames });
  return { platform, hypervisor: startHypervisor(platform, { kinds: [new PvDomains()] }) };
}

describe('the first domain', () => {
  it('starts an ELF kernel with its image, hypercall page, tables and start_info in place', () => {
    const { platform, hypervisor } = machine();
    const ramdisk = ascii('ramdisk of some bytes');
    const { domain } = buildDom0(hypervisor, { pages: 2048, kernel: { image }, ramdisk, commandLine: 'quiet' });
    platform.settle();
    const cpu = platform.cpus[1];
    expect(hypervisor.currentOn(cpu as NonNullable<typeof cpu>)).toBe(domain.vcpus[0]);
    expect([cpu?.rip, cpu?.rflags, cpu?.segment(1).selector, cpu?.cpl]).toEqual([virtBase + 0x2000n, 0x202n, 0xe033, 3]);
    const walk = new TableWalk(platform.memory, Number((cpu?.cr3 ?? 0n) >> 12n));
    const read = (address: bigint, length: number): Uint8Array => {
      const bytes = new Uint8Array(length);
      expect(walk.readVirtual(address, bytes, true)).toBeUndefined();
      return bytes;
    };
    expect(read(virtBase + 0x2000n, 6)).toEqual(ascii('kernel'));
    expect([...read(virtBase + 0x1020n, 5)]).toEqual([0x51, 0x41, 0x53, 0xb8, 1]);
    const info = new DataView(read(cpu?.gpr(6) ?? 0n, 1168).buffer);
    const field = (at: number): bigint => info.getBigUint64(at, true);
    expect([field(32), info.getUint32(48, true), field(40)]).toEqual([2048n, 7, BigInt(domain.sharedInfoFrame) << 12n]);
    expect(read(field(112), Number(field(120)))).toEqual(ramdisk);
    // The P2M list and the machine-to-physical table are each other's inverse.
    const list = new BigUint64Array(read(field(104), 2048 * 8).buffer);
    for (const pfn of [0, 1, 777, 2047]) expect(hypervisor.m2p.read(Number(list[pfn]))).toBe(BigInt(pfn));
    expect(walk.writeVirtual(field(88), new Uint8Array(1), true)?.errorCode).toBe(7);
    expect(domain.vcpus[0]?.periodicPeriod).toBe(10_000_000n);
    expect(audit(hypervisor)).toEqual([]);
  });

  it('calls host code once to start, then for each event, with the mask as an upcall has it', () => {
    const { platform, hypervisor } = machine();
    const before = census(hypervisor);
    const guest = new CountingGuest();
    const { domain } = buildDom0(hypervisor, { pages: 1024, kernel: { hostCode: guest } });
    expect([guest.starts, guest.upcalls]).toEqual([0, 0]);
    platform.settle();
    expect([guest.starts, guest.upcalls]).toEqual([1, 0]);
    expect(upcallIsMasked(hypervisor, domain.vcpus[0] as NonNullable<(typeof domain.vcpus)[0]>)).toBe(false);
    for (let i = 0; i < 3; i++) {
      sendGlobalVirq(hypervisor, VIRQ_CONSOLE);
      expect(guest.upcalls).toBe(i);
      platform.settle();
    }
    expect([guest.starts, guest.upcalls, platform.cpus[1]?.halted]).toEqual([1, 3, true]);
    expect(audit(hypervisor)).toEqual([]);
    guest.end = true;
    sendGlobalVirq(hypervisor, VIRQ_CONSOLE);
    platform.settle();
    expect(domain).toMatchObject({ shutDown: true, shutdownCode: 0 });
    destroyDomain(hypervisor, domain);
    expect(audit(hypervisor)).toEqual([]);
    expect(census(hypervisor)).toEqual(before);
  });

  it('is refused in one line when there is too little memory, and everything stays free', () => {
    const { hypervisor } = machine(256);
    const before = census(hypervisor);
    expect(() => buildDom0(hypervisor, { pages: 1024, kernel: { hostCode: new CountingGuest() } })).toThrow(ConfigError);
    expect(() => buildDom0(hypervisor, { pages: 10, kernel: { image } })).toThrow(ConfigError);
    expect(census(hypervisor)).toEqual(before);
  });
});

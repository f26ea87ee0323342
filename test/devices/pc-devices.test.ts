import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NetworkResponder } from '../../src/devices/network/responder.ts';
import { PcDevices } from '../../src/devices/pc-devices.ts';
import { VirtioBlock } from '../../src/devices/virtio/block.ts';
import { VirtioEntropy } from '../../src/devices/virtio/entropy.ts';
import { VirtioNet } from '../../src/devices/virtio/net.ts';
import { OverlayImage } from '../../src/devices/virtio/overlay-image.ts';
import { hashStream } from '../../src/base/persist.ts';

const KHZ = 1_000_000;

function pc() {
  const bytes = new Uint8Array(0x1_0000);
  const said: string[] = [];
  const devices = new PcDevices({
    tscKhz: KHZ,
    transmit: (byte) => said.push(`sent ${byte}`),
    powerOff: (code) => said.push(`off ${code}`),
    reset: () => said.push('reset'),
    maskA20: (masked) => said.push(`a20 ${!masked}`),
    processors: 2,
    apic: { x2apic: true, tscDeadline: true, physicalAddressBits: 40 },
    memory: {
      size: bytes.length,
      readBytes: (address, length) => bytes.slice(address, address + length),
      writeBytes: (address, part) => bytes.set(part, address),
    },
    virtio: [
      new VirtioEntropy(1n),
      new VirtioNet(new NetworkResponder(), [2, 0, 0, 0, 0, 1], KHZ),
      new VirtioBlock(new OverlayImage({ sectorCount: 8, read: (_, count) => new Uint8Array(count * 512) }), 'disk0', KHZ),
    ],
  });
  return { devices, said };
}

/** The second processor's APIC is on; pin `pin` sends vector 0x51 to it. */
function routed(devices: PcDevices, pin: number, level = 0): void {
  devices.apics.all[1].writeMemory(0xf0, 0x1ff, 0n);
  devices.writeMemory(0, 0xfec0_0000, 4, 0x11 + pin * 2, 0n, 0n);
  devices.writeMemory(0, 0xfec0_0010, 4, 0x0100_0000, 0n, 0n);
  devices.writeMemory(0, 0xfec0_0000, 4, 0x10 + pin * 2, 0n, 0n);
  devices.writeMemory(0, 0xfec0_0010, 4, 0x51 | level, 0n, 0n);
}

describe('the PC', () => {
  it('brings the timer to the 8259s and to pin 2 of the I/O APIC', () => {
    const { devices } = pc();
    routed(devices, 2);
    devices.write(0x43, 1, 0x34, 0n);
    devices.write(0x40, 1, 0x10, 0n);
    devices.write(0x40, 1, 0, 0n);
    const edge = devices.nextEvent() as bigint;
    devices.advance(edge);
    expect(devices.apics.all[1].pendingVector).toBe(0x51);
    devices.write(0x21, 1, 0xfe, edge);
    expect(devices.pic.pending).toBe(true);
    expect([devices.interruptPending(0), devices.interruptPending(1)]).toEqual([true, true]);
    expect([devices.acknowledge(1), devices.interruptPending(1)]).toEqual([0x51, false]);
  });

  it('keeps a PCI interrupt up as a level until its status is read', () => {
    const { devices } = pc();
    // Slot 2, the entropy source, is at pin 18. A broken ring makes it ask for a reset.
    routed(devices, 18, 0x8000);
    const base = 0xc000_0000;
    devices.write(0xcf8, 4, 0x8000_1010, 0n);
    devices.write(0xcfc, 4, base, 0n);
    devices.write(0xcf8, 4, 0x8000_1004, 0n);
    devices.write(0xcfc, 2, 2, 0n);
    for (const [offset, size, value] of [
      [0x14, 1, 3],
      [8, 4, 1],
      [0xc, 4, 1],
      [0x14, 1, 0xb],
      [0x20, 4, 0x8000_0000],
      [0x28, 4, 0x8000_0000],
      [0x1c, 2, 1],
      [0x14, 1, 0xf],
      [0x3000, 2, 0],
    ] as const)
      devices.writeMemory(0, base + offset, size, value, 0n, 0n);
    expect(devices.acknowledge(1)).toBe(0x51);
    devices.writeMemory(1, 0xfee0_00b0, 4, 0, 0n, 0n);
    expect(devices.acknowledge(1)).toBe(0x51); // nobody has read the status
    expect(devices.readMemory(0, base + 0x1000, 1, 0n)).toBe(2);
    devices.writeMemory(1, 0xfee0_00b0, 4, 0, 0n, 0n);
    expect(devices.acknowledge(1)).toBeUndefined();
  });

  it('gives parts of 32-bit registers to narrow reads, and all ones where nothing is', () => {
    const { devices } = pc();
    expect(devices.readMemory(0, 0xfee0_0030, 4, 0n)).toBe(0x5_0014);
    expect((devices.readMemory(0, 0xfee0_0032, 1, 0n) ?? 0) & 0xff).toBe(5);
    expect(devices.readMemory(0, 0xfed0_0000, 4, 0n)).toBeUndefined();
    expect([devices.read(0x123, 1, 0n), devices.read(0x1234, 2, 0n), devices.read(0x1234, 4, 0n)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
  });

  it('survives any sequence of accesses, and a saved one goes on as the first does', () => {
    const access = fc.record({
      kind: fc.constantFrom('in', 'out', 'read', 'write', 'rdmsr', 'wrmsr', 'time'),
      port: fc.oneof(
        fc.constantFrom(0x20, 0x21, 0x40, 0x43, 0x60, 0x64, 0x70, 0x71, 0x92, 0xa0, 0xcf8, 0xcfc, 0x3f8, 0x3f9, 0x3fc, 0x600, 0x608),
        fc.nat(0xffff),
      ),
      address: fc.oneof(
        fc.nat(0xfff).map((offset) => 0xfee0_0000 + offset),
        fc.constantFrom(0xfec0_0000, 0xfec0_0010, 0xfec0_0040),
        fc.nat(0x3fff).map((offset) => 0xc000_0000 + offset),
      ),
      size: fc.constantFrom(1 as const, 2 as const, 4 as const),
      value: fc.nat(0xffff_ffff),
      msr: fc.oneof(
        fc.constantFrom(0x1b, 0x6e0),
        fc.nat(0xff).map((n) => 0x800 + n),
      ),
      cpu: fc.nat(1),
      step: fc.nat(10_000_000),
    });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 80 }), (accesses) => {
        const first = pc().devices;
        const second = pc().devices;
        let now = 0n;
        const perform = (devices: PcDevices, { kind, port, address, size, value, msr, cpu }: (typeof accesses)[number]): unknown => {
          const narrow = value % 2 ** (8 * size);
          if (kind === 'in') return devices.read(port, size, now);
          if (kind === 'out') return devices.write(port, size, narrow, now);
          if (kind === 'read') return devices.readMemory(cpu, address, size, now);
          if (kind === 'write') return devices.writeMemory(cpu, address, size, narrow, now, now);
          if (kind === 'rdmsr') return devices.apics.all[cpu].readMsr(msr, now);
          if (kind === 'wrmsr') return devices.apics.all[cpu].writeMsr(msr, BigInt(value), now, 0n);
          devices.advance(now);
          for (const apic of devices.apics.all) apic.advance(now);
          return [devices.acknowledge(cpu), devices.nextEvent()];
        };
        for (const [n, one] of accesses.entries()) {
          now += BigInt(one.step);
          if (n === accesses.length >> 1) second.restore(first.save());
          const seen = perform(first, one);
          if (n >= accesses.length >> 1) expect(perform(second, one)).toEqual(seen);
        }
        const hash = (devices: PcDevices): string => hashStream((writer) => writer.plain(devices.save()));
        if (accesses.length > 0) expect(hash(second)).toBe(hash(first));
      }),
    );
  });
});

/** Virtio devices behind their PCI registers, driven as a driver does: rings in memory, notifications, the interrupt line. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NetworkResponder } from '../../src/devices/network/responder.ts';
import { SECTOR_BYTES, VirtioBlock } from '../../src/devices/virtio/block.ts';
import { VirtioConsole } from '../../src/devices/virtio/console.ts';
import type { VirtioDevice } from '../../src/devices/virtio/device.ts';
import { VirtioEntropy } from '../../src/devices/virtio/entropy.ts';
import { VirtioNet } from '../../src/devices/virtio/net.ts';
import { OverlayImage } from '../../src/devices/virtio/overlay-image.ts';
import { VirtioPci } from '../../src/devices/virtio/pci-transport.ts';
import { deviceContract } from './device-contract.ts';

const BASE = 0xc000_0000;
const QUEUE_SIZE = 8;
const KHZ = 1_000_000;
const DATA = 0x8000;

interface Part {
  readonly bytes?: Uint8Array;
  /** Room for the device to write to. */
  readonly room?: number;
}

/** A driver that uses one ring after the other, eight descriptors each. */
class Driver {
  readonly bytes = new Uint8Array(0x2_0000);
  readonly lines: boolean[] = [];
  readonly function: VirtioPci;
  private readonly used = [0, 0];

  constructor(device: VirtioDevice) {
    const { bytes } = this;
    this.function = new VirtioPci({
      device,
      memory: {
        size: bytes.length,
        readBytes: (address, length) => bytes.slice(address, address + length),
        writeBytes: (address, part) => bytes.set(part, address),
      },
      setLine: (asserted) => this.lines.push(asserted),
    });
    this.function.header.writeConfig(0x10, 4, BASE);
    this.function.header.writeConfig(4, 2, 0x06);
  }

  get line(): boolean {
    return this.lines.at(-1) ?? false;
  }
  private view(): DataView {
    return new DataView(this.bytes.buffer);
  }
  private ring(queue: number): { table: number; available: number; used: number } {
    const at = 0x1000 * (queue + 1);
    return { table: at, available: at + 0x400, used: at + 0x800 };
  }
  common(offset: number, size: 1 | 2 | 4): number {
    return this.function.read(offset, size);
  }
  setCommon(offset: number, size: 1 | 2 | 4, value: number): void {
    this.function.write(offset, size, value, 0n);
  }

  /** Status and features as VIRTIO 1.1 §3.1.1 says, then the queues. Gives the status at the end. */
  start(queues = 1, features = 0): number {
    this.setCommon(0x14, 1, 0);
    this.setCommon(0x14, 1, 3);
    this.setCommon(0x08, 4, 0);
    this.setCommon(0x0c, 4, features);
    this.setCommon(0x08, 4, 1);
    this.setCommon(0x0c, 4, 1);
    this.setCommon(0x14, 1, 0x0b);
    for (let queue = 0; queue < queues; queue++) {
      const { table, available, used } = this.ring(queue);
      this.setCommon(0x16, 2, queue);
      this.setCommon(0x18, 2, QUEUE_SIZE);
      for (const [offset, address] of [
        [0x20, table],
        [0x28, available],
        [0x30, used],
      ]) {
        this.setCommon(offset, 4, address);
        this.setCommon(offset + 4, 4, 0);
      }
      this.setCommon(0x1c, 2, 1);
    }
    this.setCommon(0x14, 1, 0x0f);
    return this.common(0x14, 1);
  }

  /** Makes one chain available, its buffers from DATA on, and notifies. */
  offer(queue: number, parts: readonly Part[], now = 0n, at = DATA): number[] {
    const view = this.view();
    const { table, available } = this.ring(queue);
    const addresses: number[] = [];
    for (const [n, { bytes, room }] of parts.entries()) {
      if (bytes !== undefined) this.bytes.set(bytes, at);
      addresses.push(at);
      view.setBigUint64(table + 16 * n, BigInt(at), true);
      view.setUint32(table + 16 * n + 8, bytes?.length ?? room ?? 0, true);
      view.setUint16(table + 16 * n + 12, (n < parts.length - 1 ? 1 : 0) | (bytes === undefined ? 2 : 0), true);
      view.setUint16(table + 16 * n + 14, n + 1, true);
      at += 0x1000;
    }
    const index = view.getUint16(available + 2, true);
    view.setUint16(available + 4 + 2 * (index % QUEUE_SIZE), 0, true);
    view.setUint16(available + 2, index + 1, true);
    this.function.write(0x3000 + 4 * queue, 2, queue, now);
    return addresses;
  }

  /** Lengths of the chains that came back since the last look. */
  returned(queue: number): number[] {
    const view = this.view();
    const { used } = this.ring(queue);
    const lengths: number[] = [];
    for (; this.used[queue] !== view.getUint16(used + 2, true); this.used[queue] = (this.used[queue] + 1) & 0xffff) {
      lengths.push(view.getUint32(used + 4 + 8 * (this.used[queue] % QUEUE_SIZE) + 4, true));
    }
    return lengths;
  }

  /** Lets the device do what is due by itself. */
  settle(): void {
    for (let next = this.function.nextEvent(); next !== undefined; next = this.function.nextEvent()) this.function.advance(next);
  }
}

/** Sector n is filled with n. */
function image(sectors = 16): OverlayImage {
  return new OverlayImage({
    sectorCount: sectors,
    read: (first, count) => Uint8Array.from({ length: count * SECTOR_BYTES }, (_, n) => first + Math.floor(n / SECTOR_BYTES)),
  });
}
const block = (): Driver => new Driver(new VirtioBlock(image(), 'disk0', KHZ));

function header(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, type, true);
  new DataView(bytes.buffer).setUint32(8, sector, true);
  return bytes;
}

describe('virtio over PCI', () => {
  it('names its registers by capabilities of its only region', () => {
    const { header: space } = block().function;
    space.writeConfig(0x10, 4, 0xffff_ffff);
    expect(space.readConfig(0x10, 4)).toBe(0xffff_c000);
    expect([space.readConfig(0, 2), space.readConfig(2, 2)]).toEqual([0x1af4, 0x1042]);
    const found: string[] = [];
    for (let at = space.readConfig(0x34, 1); at !== 0; at = space.readConfig(at + 1, 1)) {
      found.push(`${space.readConfig(at, 1)}:${space.readConfig(at + 3, 1)}@${space.readConfig(at + 8, 4).toString(16)}`);
    }
    expect(found).toEqual(['9:1@0', '9:3@1000', '9:4@2000', '9:2@3000']);
  });

  it('answers only where its region is and while memory space is on', () => {
    const { function: device } = block();
    expect([device.offsetOf(BASE + 4), device.offsetOf(BASE + 0x4000), device.offsetOf(BASE - 1)]).toEqual([4, undefined, undefined]);
    device.header.writeConfig(4, 2, 0);
    expect(device.offsetOf(BASE + 4)).toBeUndefined();
  });

  it('agrees to offered features with the new interface, and to no others', () => {
    expect(block().start(1, 1 << 9)).toBe(0x0f);
    expect(block().start(1, 1 << 30) & 8).toBe(0);
    const old = block();
    old.setCommon(0x14, 1, 0x0b);
    expect(old.common(0x14, 1)).toBe(3);
  });

  it('interrupts until its status is read, unless the driver wants none', () => {
    const driver = block();
    driver.start();
    driver.offer(0, [{ bytes: header(0, 0) }, { room: SECTOR_BYTES }, { room: 1 }]);
    driver.settle();
    expect(driver.line).toBe(true);
    expect(driver.function.read(0x1000, 1)).toBe(1);
    expect(driver.line).toBe(false);
    new DataView(driver.bytes.buffer).setUint16(0x1400, 1, true);
    driver.offer(0, [{ bytes: header(0, 0) }, { room: SECTOR_BYTES }, { room: 1 }]);
    driver.settle();
    expect(driver.line).toBe(false);
    expect(driver.returned(0).length).toBe(2);
  });

  it('forgets everything when it is reset', () => {
    const driver = block();
    driver.start();
    driver.offer(0, [{ bytes: header(0, 0) }, { room: SECTOR_BYTES }, { room: 1 }]);
    driver.setCommon(0x14, 1, 0);
    expect(driver.function.nextEvent()).toBeUndefined();
    expect([driver.common(0x14, 1), driver.common(0x1c, 2)]).toEqual([0, 0]);
  });

  it.each([
    ['a buffer outside memory', (driver: Driver) => new DataView(driver.bytes.buffer).setBigUint64(0x1000, 1n << 40n, true)],
    ['a chain that loops', (driver: Driver) => new DataView(driver.bytes.buffer).setUint32(0x100c, 1, true)],
    ['an index outside the table', (driver: Driver) => new DataView(driver.bytes.buffer).setUint16(0x1404, 99, true)],
    ['an indirect table', (driver: Driver) => new DataView(driver.bytes.buffer).setUint16(0x100c, 4, true)],
    ['more chains than fit', (driver: Driver) => new DataView(driver.bytes.buffer).setUint16(0x1402, 77, true)],
  ])('needs a reset after %s', (_what, breakIt) => {
    const driver = block();
    driver.start();
    driver.offer(0, [{ bytes: header(0, 0) }, { room: SECTOR_BYTES }, { room: 1 }]);
    driver.settle();
    driver.returned(0);
    const view = new DataView(driver.bytes.buffer);
    view.setUint16(0x1404 + 2, 0, true);
    view.setUint16(0x1402, 2, true);
    // The second chain is the first entry again, now broken; index 1 of the ring is descriptor 0.
    breakIt(driver);
    if (view.getUint16(0x1404, true) === 99) view.setUint16(0x1406, 99, true);
    driver.function.write(0x3000, 2, 0, 0n);
    driver.settle();
    expect(driver.common(0x14, 1) & 0x40).toBe(0x40);
    expect(driver.function.read(0x1000, 1) & 2).toBe(2);
    expect(driver.start()).toBe(0x0f);
  });

  it('survives any writes to its registers and rings', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(0x3fff), fc.constantFrom(1 as const, 2 as const, 4 as const), fc.nat(0xffff_ffff)), { maxLength: 60 }),
        fc.uint8Array({ minLength: 0x80, maxLength: 0x80 }),
        (writes, noise) => {
          const driver = block();
          driver.start();
          driver.bytes.set(noise, 0x1000);
          driver.bytes.set(noise, 0x1400);
          for (const [offset, size, value] of writes) {
            driver.function.write(offset, size, value % 2 ** (8 * size), 0n);
            driver.function.read(offset, size);
            driver.settle();
          }
        },
      ),
    );
  });
});

describe('a virtio disk', () => {
  it('tells its size and its name', () => {
    const driver = block();
    driver.start();
    expect([driver.function.read(0x2000, 4), driver.function.read(0x2014, 4)]).toEqual([16, 512]);
    const [, id] = driver.offer(0, [{ bytes: header(8, 0) }, { room: 20 }, { room: 1 }]);
    driver.settle();
    expect(new TextDecoder().decode(driver.bytes.subarray(id, id + 6))).toBe('disk0\0');
  });

  it('reads and writes sectors after a time, and says how much it wrote', () => {
    const driver = block();
    driver.start();
    const [, , done] = driver.offer(0, [{ bytes: header(1, 3) }, { bytes: new Uint8Array(SECTOR_BYTES).fill(0xab) }, { room: 1 }], 1000n);
    driver.bytes[done] = 0xff;
    expect(driver.returned(0)).toEqual([]);
    expect(driver.function.nextEvent()).toBeGreaterThan(60_000n);
    driver.settle();
    expect([driver.returned(0), driver.bytes[done]]).toEqual([[1], 0]);
    const [, data] = driver.offer(0, [{ bytes: header(0, 2) }, { room: 3 * SECTOR_BYTES }, { room: 1 }]);
    driver.settle();
    expect(driver.returned(0)).toEqual([3 * SECTOR_BYTES + 1]);
    expect([0, 1, 2].map((n) => driver.bytes[data + n * SECTOR_BYTES])).toEqual([2, 0xab, 4]);
  });

  it.each([
    ['reads behind the end', [{ bytes: header(0, 15) }, { room: 1024 }, { room: 1 }], 1],
    ['writes of half a sector', [{ bytes: header(1, 0) }, { bytes: new Uint8Array(100) }, { room: 1 }], 1],
    ['unknown requests', [{ bytes: header(99, 0) }, { room: 1 }], 2],
  ])('refuses %s', (_what, parts: readonly Part[], status) => {
    const driver = block();
    driver.start();
    const addresses = driver.offer(0, parts);
    driver.settle();
    expect(driver.bytes[addresses.at(-1) as number]).toBe(status);
    expect(driver.returned(0)).toEqual([1]);
  });
});

describe('a virtio source of entropy', () => {
  it('gives the numbers of its seed', () => {
    const draw = (seed: bigint): string => {
      const driver = new Driver(new VirtioEntropy(seed));
      driver.start();
      const [at] = driver.offer(0, [{ room: 13 }]);
      expect(driver.returned(0)).toEqual([13]);
      return driver.bytes.subarray(at, at + 13).join();
    };
    expect(draw(1n)).toBe(draw(1n));
    expect(draw(1n)).not.toBe(draw(2n));
  });
});

describe('a virtio console', () => {
  it('sends at once, and keeps what comes in until there is a buffer', () => {
    const sent: number[] = [];
    const port = new VirtioConsole((bytes) => sent.push(...bytes));
    const driver = new Driver(port);
    driver.start(2);
    driver.offer(1, [{ bytes: Uint8Array.of(1, 2) }]);
    expect(sent).toEqual([1, 2]);
    port.receive(Uint8Array.of(7, 8, 9));
    driver.settle();
    expect(driver.function.nextEvent()).toBeUndefined();
    const [at] = driver.offer(0, [{ room: 2 }]);
    expect([driver.returned(0), [...driver.bytes.subarray(at, at + 2)]]).toEqual([[2], [7, 8]]);
  });
});

describe('a virtio network card', () => {
  const ping = (): Uint8Array => {
    // ARP: who has 10.0.2.2?
    const frame = new Uint8Array(12 + 42);
    frame.set([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 2, 15], 12);
    frame.set([10, 0, 2, 2], 12 + 38);
    return frame;
  };
  const card = (): Driver => new Driver(new VirtioNet(new NetworkResponder(), [2, 0, 0, 0, 0, 1], KHZ));

  it('knows its address', () => {
    const driver = card();
    expect([driver.function.read(0x2000, 1), driver.function.read(0x2005, 1), driver.function.read(0x2006, 2)]).toEqual([2, 1, 1]);
  });

  it('brings the answer after the time of the wire, or when there is a buffer', () => {
    const driver = card();
    driver.start(2);
    driver.offer(1, [{ bytes: ping() }], 0n);
    expect(driver.returned(1)).toEqual([0]);
    expect(driver.function.nextEvent()).toBeGreaterThan(40_000n);
    driver.settle();
    expect(driver.returned(0)).toEqual([]);
    const [at] = driver.offer(0, [{ room: 1600 }], 100_000n, 0xc000);
    expect(driver.returned(0)).toEqual([72]);
    expect(driver.bytes[at + 10]).toBe(1);
    expect([...driver.bytes.subarray(at + 12, at + 18)]).toEqual([2, 0, 0, 0, 0, 1]);
    expect(driver.bytes[at + 12 + 21]).toBe(2); // ARP reply
  });
});

describe('a saved virtio disk', () => {
  deviceContract(
    () => {
      const driver = block();
      driver.start();
      return {
        driver,
        save: () => [driver.function.save(), driver.bytes.slice()],
        restore: (data: unknown) => {
          const [device, bytes] = data as [unknown, Uint8Array];
          driver.function.restore(device);
          driver.bytes.set(bytes);
        },
      };
    },
    ({ driver }) => {
      driver.offer(0, [{ bytes: header(1, 3) }, { bytes: new Uint8Array(SECTOR_BYTES).fill(0xab) }, { room: 1 }]);
      driver.settle();
      driver.offer(0, [{ bytes: header(0, 3) }, { room: SECTOR_BYTES }, { room: 1 }]);
    },
    ({ driver }) => {
      const event = driver.function.nextEvent();
      driver.settle();
      return [event, driver.returned(0), driver.bytes[DATA + 0x1000], driver.common(0x14, 1)];
    },
  );
});

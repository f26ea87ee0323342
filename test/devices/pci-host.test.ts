import { describe, expect, it } from 'vitest';
import { PciHeader, PciHost } from '../../src/devices/pci-host.ts';
import { deviceContract } from './device-contract.ts';

const at = (device: number, offset: number, number = 0): number => (0x8000_0000 | (device << 11) | (number << 8) | offset) >>> 0;

function get(host: PciHost, address: number, size: 1 | 2 | 4 = 4): number {
  host.write(0xcf8, 4, (address & ~3) >>> 0);
  return host.read(0xcfc + (address & 3), size);
}

describe('PCI configuration access', () => {
  it('finds the two bridges and nothing else', () => {
    const host = new PciHost();
    expect(get(host, at(0, 0))).toBe(0x1237_8086);
    expect(get(host, at(0, 8)) >>> 8).toBe(0x06_0000);
    expect(get(host, at(1, 0x0a), 2)).toBe(0x0601);
    for (let device = 2; device < 32; device++) expect(get(host, at(device, 0))).toBe(0xffff_ffff);
    expect(get(host, at(0, 0) | 0x1_0000)).toBe(0xffff_ffff); // bus 1
    expect(get(host, at(0, 0) & 0x7fff_ffff)).toBe(0xffff_ffff); // not enabled
  });

  it('keeps the address, which only a double word sets', () => {
    const host = new PciHost();
    host.write(0xcf8, 4, 0xffff_ffff);
    expect(host.read(0xcf8, 4)).toBe(0x80ff_fffc);
    host.write(0xcf8, 1, 0);
    expect(host.read(0xcf8, 4)).toBe(0x80ff_fffc);
    expect(host.read(0xcf8, 1)).toBe(0xff);
  });

  it('writes only what a function lets be written', () => {
    const host = new PciHost();
    host.write(0xcf8, 4, at(1, 0x3c));
    host.write(0xcfc, 4, 0xffff_ffff);
    expect(host.read(0xcfc, 4)).toBe(0xff);
    host.write(0xcf8, 4, at(0, 0));
    host.write(0xcfc, 2, 0);
    expect(host.read(0xcfc, 2)).toBe(0x8086);
  });

  it('tells of further functions of a device', () => {
    const host = new PciHost();
    host.add(3, 0, new PciHeader(0x1af4, 0x1042, 0x010000, 1));
    expect(get(host, at(3, 0x0e), 1)).toBe(0);
    host.add(3, 1, new PciHeader(0x1af4, 0x1041, 0x020000, 1));
    expect(get(host, at(3, 0x0e), 1)).toBe(0x80);
    expect(get(host, at(3, 2, 1), 2)).toBe(0x1041);
  });
});

describe('a saved PCI host', () => {
  deviceContract(
    () => new PciHost(),
    (host) => {
      host.write(0xcf8, 4, at(1, 0x3c));
      host.write(0xcfc, 1, 11);
    },
    (host) => [host.read(0xcf8, 4), get(host, at(1, 0x3c))],
  );
});

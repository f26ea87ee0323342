import { describe, expect, it } from 'vitest';
import { FIRMWARE_AREA, FIRMWARE_AREA_END, placeAcpiTables } from '../../src/boot/acpi-tables.ts';
import * as aml from '../../src/boot/aml.ts';

function placed(processors: number) {
  const bytes = new Uint8Array(0x10_0000);
  const rsdp = placeAcpiTables({ writeBytes: (address, part) => bytes.set(part, address) }, { processors });
  const view = new DataView(bytes.buffer);
  const signature = (at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));
  const sum = (at: number, length: number): number => bytes.subarray(at, at + length).reduce((total, byte) => (total + byte) & 0xff, 0);
  const xsdt = Number(view.getBigUint64(rsdp + 24, true));
  const tables = new Map<string, number>();
  for (let at = xsdt + 36; at < xsdt + view.getUint32(xsdt + 4, true); at += 8) {
    const table = Number(view.getBigUint64(at, true));
    tables.set(signature(table), table);
  }
  return { bytes, view, rsdp, xsdt, tables, signature, sum };
}

describe('the ACPI tables', () => {
  it('begin at a root pointer that systems find and whose checksums hold', () => {
    const { bytes, rsdp, sum, view } = placed(1);
    expect(String.fromCharCode(...bytes.subarray(rsdp, rsdp + 8))).toBe('RSD PTR ');
    expect(rsdp % 16).toBe(0);
    expect(rsdp).toBeGreaterThanOrEqual(FIRMWARE_AREA);
    expect([sum(rsdp, 20), sum(rsdp, view.getUint32(rsdp + 20, true))]).toEqual([0, 0]);
  });

  it('have right sums and lie in the BIOS area, even for many processors', () => {
    const { tables, view, sum, xsdt } = placed(16);
    const facp = tables.get('FACP') as number;
    const all = [xsdt, ...tables.values(), Number(view.getBigUint64(facp + 140, true))];
    for (const at of all) {
      const length = view.getUint32(at + 4, true);
      expect(sum(at, length)).toBe(0);
      expect(at + length).toBeLessThan(FIRMWARE_AREA_END - 0x1_0000);
    }
    expect(view.getUint32(facp + 4, true)).toBe(276);
  });

  it('list a local APIC for each processor, and the I/O APIC behind them', () => {
    const { tables, bytes, view } = placed(3);
    const madt = tables.get('APIC') as number;
    const entries: string[] = [];
    for (let at = madt + 44; at < madt + view.getUint32(madt + 4, true); at += bytes[at + 1]) {
      entries.push(
        `${bytes[at]}:${bytes[at] === 0 ? bytes[at + 3] : bytes[at] === 2 ? `${bytes[at + 3]}-${view.getUint32(at + 4, true)}` : ''}`,
      );
    }
    expect(entries).toEqual(['0:0', '0:1', '0:2', '1:', '2:0-2', '2:9-9', '4:']);
  });
});

describe('ACPI machine language', () => {
  it('encodes integers, names and identifiers as the specification does', () => {
    expect(aml.integer(1)).toEqual([1]);
    expect(aml.integer(0x1234)).toEqual([0x0b, 0x34, 0x12]);
    expect(aml.integer(0xfee0_0000)).toEqual([0x0c, 0, 0, 0xe0, 0xfe]);
    expect(String.fromCharCode(...aml.name('\\_SB.PCI0'))).toBe('\\._SB_PCI0');
    expect(aml.eisaId('PNP0A03')).toEqual([0x0c, 0x41, 0xd0, 0x0a, 0x03]);
  });

  it('counts a package length over its own bytes', () => {
    const short = aml.buffer(new Array(10).fill(7));
    expect(short.slice(0, 4)).toEqual([0x11, 13, 0x0a, 10]);
    const long = aml.scope('\\_SB', new Array(100).fill(0xa3));
    // Two bytes of length: low nibble, then the rest. 2 + 5 (name) + 100.
    expect(long.slice(0, 3)).toEqual([0x10, 0x40 | (107 & 15), 107 >> 4]);
    expect(long.length).toBe(108);
  });
});

import { describe, expect, it } from 'vitest';
import { AcpiPower } from '../../src/devices/acpi-power.ts';
import { deviceContract } from './device-contract.ts';

const KHZ = 3_579_545; // 1000 cycles a tick of the timer

function power() {
  const said: string[] = [];
  return {
    acpi: new AcpiPower({ tscKhz: KHZ, powerOff: () => said.push('off'), setLine: (asserted) => said.push(asserted ? 'up' : 'down') }),
    said,
  };
}
const word = (acpi: AcpiPower, port: number, now = 0n): number => acpi.read(port, now) | (acpi.read(port + 1, now) << 8);

describe('fixed hardware of ACPI', () => {
  it('counts its timer at 3.579545 MHz', () => {
    const { acpi } = power();
    expect(acpi.timer(12_345_999n)).toBe(12_345);
    expect([0, 1, 2, 3].map((n) => acpi.read(0x608 + n, 0x123_4567n * 1000n))).toEqual([0x67, 0x45, 0x23, 0x01]);
  });

  it('switches off by sleep type 0 and nothing else', () => {
    const { acpi, said } = power();
    acpi.write(0x605, 0x24, 0n); // type 1
    expect(said).not.toContain('off');
    acpi.write(0x605, 0x20, 0n);
    expect(said).toContain('off');
  });

  it('is always in ACPI mode', () => {
    expect(word(power().acpi, 0x604) & 1).toBe(1);
  });

  it('interrupts when the top bit of the timer changes, until the status is cleared', () => {
    const { acpi, said } = power();
    acpi.write(0x602, 1, 0n);
    const change = acpi.nextEvent() as bigint;
    expect(change).toBe((1n << 31n) * 1000n);
    said.length = 0;
    acpi.advance(change - 1n);
    expect(said).toEqual([]);
    acpi.advance(change);
    expect(said).toEqual(['up']);
    expect(word(acpi, 0x600, change)).toBe(1);
    expect(acpi.nextEvent()).toBeUndefined();
    acpi.write(0x600, 1, change);
    expect(said.at(-1)).toBe('down');
    expect(acpi.nextEvent()).toBe((2n << 31n) * 1000n);
  });
});

describe('saved fixed hardware', () => {
  deviceContract(
    () => power().acpi,
    (acpi) => {
      acpi.write(0x602, 0x21, 0n);
      acpi.write(0x605, 0x04, 0n);
      acpi.advance((1n << 31n) * 1000n);
    },
    (acpi) => [word(acpi, 0x600), word(acpi, 0x602), word(acpi, 0x604), acpi.nextEvent()],
  );
});

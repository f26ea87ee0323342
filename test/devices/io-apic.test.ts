import { describe, expect, it } from 'vitest';
import type { InterruptMessage } from '../../src/devices/interrupt-message.ts';
import { IoApic } from '../../src/devices/io-apic.ts';
import { deviceContract } from './device-contract.ts';

const LEVEL = 0x8000;
const MASKED = 0x1_0000;

function ioApic() {
  const sent: InterruptMessage[] = [];
  return { chip: new IoApic((message) => sent.push(message)), sent };
}
function set(chip: IoApic, register: number, value: number): void {
  chip.write(0, register);
  chip.write(0x10, value);
}
function get(chip: IoApic, register: number): number {
  chip.write(0, register);
  return chip.read(0x10);
}
const entry = (pin: number): number => 0x10 + pin * 2;

describe('the I/O APIC', () => {
  it('begins with 24 masked entries and says so', () => {
    const { chip } = ioApic();
    expect(get(chip, 1)).toBe(0x17_0020);
    expect(get(chip, entry(23))).toBe(MASKED);
  });

  it('sends an edge once, with what its entry says', () => {
    const { chip, sent } = ioApic();
    set(chip, entry(4), 0x0931);
    set(chip, entry(4) + 1, 0x0300_0000);
    chip.setLine(4, true);
    chip.setLine(4, true);
    chip.setLine(4, false);
    expect(sent).toEqual([{ mode: 1, vector: 0x31, destination: 3, logical: true, level: false }]);
  });

  it('loses an edge that comes while its entry is masked', () => {
    const { chip, sent } = ioApic();
    chip.setLine(4, true);
    set(chip, entry(4), 0x31);
    expect(sent).toEqual([]);
  });

  it('sends a level when it is unmasked, and again after its end as long as the line is up', () => {
    const { chip, sent } = ioApic();
    chip.setLine(9, true);
    set(chip, entry(9), LEVEL | 0x49);
    expect(sent.length).toBe(1);
    expect(get(chip, entry(9)) & 0x4000).toBe(0x4000);
    set(chip, entry(9), LEVEL | 0x49); // a write does not end it
    expect(sent.length).toBe(1);
    chip.endOfInterrupt(0x50);
    expect(sent.length).toBe(1);
    chip.endOfInterrupt(0x49);
    expect(sent.length).toBe(2);
    chip.setLine(9, false);
    chip.write(0x40, 0x49);
    expect(sent.length).toBe(2);
    expect(get(chip, entry(9)) & 0x4000).toBe(0);
  });

  it('answers zeros where there is no register', () => {
    const { chip } = ioApic();
    expect([get(chip, 0x40), get(chip, 0xff), chip.read(0x20)]).toEqual([0, 0, 0]);
    set(chip, 0xff, 1);
  });
});

describe('a saved I/O APIC', () => {
  deviceContract(
    () => ioApic().chip,
    (chip) => {
      set(chip, entry(9), LEVEL | 0x49);
      chip.setLine(9, true);
      set(chip, 0, 0x0200_0000);
    },
    (chip) => Array.from({ length: 0x40 }, (_, register) => get(chip, register)),
  );
});

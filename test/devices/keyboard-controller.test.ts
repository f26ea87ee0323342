import { describe, expect, it } from 'vitest';
import { KeyboardController } from '../../src/devices/keyboard-controller.ts';
import { deviceContract } from './device-contract.ts';

function controller() {
  const said: string[] = [];
  return { chip: new KeyboardController({ setA20: (through) => said.push(`a20 ${through}`), reset: () => said.push('reset') }), said };
}
function ask(chip: KeyboardController, command: number): number {
  chip.write(0x64, command);
  return chip.read(0x60);
}

describe('the keyboard controller', () => {
  it('passes its tests', () => {
    const { chip } = controller();
    expect([ask(chip, 0xaa), ask(chip, 0xab), ask(chip, 0xa9)]).toEqual([0x55, 0, 0]);
  });

  it('says when its output is full', () => {
    const { chip } = controller();
    expect(chip.read(0x64) & 1).toBe(0);
    chip.write(0x64, 0x20);
    expect(chip.read(0x64) & 1).toBe(1);
    chip.read(0x60);
    expect(chip.read(0x64) & 1).toBe(0);
  });

  it('keeps its command byte', () => {
    const { chip } = controller();
    chip.write(0x64, 0x60);
    chip.write(0x60, 0x65);
    expect(ask(chip, 0x20)).toBe(0x65);
  });

  it('has no keyboard that would answer', () => {
    const { chip } = controller();
    chip.write(0x60, 0xff);
    expect(chip.read(0x64) & 1).toBe(0);
  });

  it('drives address line 20 and the reset', () => {
    const { chip, said } = controller();
    chip.write(0x64, 0xd1);
    chip.write(0x60, 0x01);
    chip.write(0x64, 0xd1);
    chip.write(0x60, 0x03);
    chip.write(0x64, 0xff); // no pin
    chip.write(0x64, 0xfe);
    expect(said).toEqual(['a20 false', 'a20 true', 'reset']);
  });
});

describe('a saved keyboard controller', () => {
  deviceContract(
    () => controller().chip,
    (chip) => {
      chip.write(0x64, 0x60);
      chip.write(0x60, 0x65);
      chip.write(0x64, 0xaa);
    },
    (chip) => [chip.read(0x64), chip.read(0x60), ask(chip, 0x20)],
  );
});

import { describe, expect, it } from 'vitest';
import { Pic8259 } from '../../src/devices/pic-8259.ts';
import { deviceContract } from './device-contract.ts';

function pair(): Pic8259 {
  const pic = new Pic8259();
  for (const [base, vector, cascade] of [
    [0x20, 0x30, 4],
    [0xa0, 0x38, 2],
  ]) {
    pic.write(base, 0x11);
    pic.write(base + 1, vector);
    pic.write(base + 1, cascade);
    pic.write(base + 1, 1);
    pic.write(base + 1, 0);
  }
  return pic;
}

describe('the interrupt controllers', () => {
  it('serve the lower input first, and the second chip through input 2', () => {
    const pic = pair();
    pic.raise(4);
    pic.raise(8);
    pic.raise(0);
    expect([pic.acknowledge(), pic.pending]).toEqual([0x30, false]);
    pic.write(0x20, 0x20);
    expect(pic.acknowledge()).toBe(0x38);
    pic.write(0xa0, 0x20);
    pic.write(0x20, 0x20);
    expect(pic.acknowledge()).toBe(0x34);
  });

  it('forget the edge of an input that goes down again', () => {
    const pic = pair();
    pic.setLine(4, true);
    pic.setLine(4, false);
    expect(pic.pending).toBe(false);
    expect(pic.acknowledge()).toBe(0x37);
  });

  it('request again as long as a level-triggered input is up', () => {
    const pic = pair();
    pic.write(0x4d1, 0x02);
    expect(pic.read(0x4d1)).toBe(0x02);
    pic.setLine(9, true);
    expect(pic.acknowledge()).toBe(0x39);
    pic.write(0xa0, 0x20);
    pic.write(0x20, 0x20);
    expect(pic.acknowledge()).toBe(0x39);
    pic.setLine(9, false);
    pic.write(0xa0, 0x20);
    pic.write(0x20, 0x20);
    expect(pic.pending).toBe(false);
  });

  it('do not let the timer, the keyboard or the cascade be level-triggered', () => {
    const pic = pair();
    pic.write(0x4d0, 0xff);
    pic.write(0x4d1, 0xff);
    expect([pic.read(0x4d0), pic.read(0x4d1)]).toEqual([0xf8, 0xde]);
  });
});

describe('saved interrupt controllers', () => {
  deviceContract(
    pair,
    (pic) => {
      pic.write(0x4d0, 0x20);
      pic.setLine(5, true);
      pic.raise(0);
      pic.acknowledge();
    },
    (pic) => [pic.read(0x21), pic.read(0x20), pic.read(0x4d0), pic.pending, pic.write(0x20, 0x20), pic.acknowledge()],
  );
});

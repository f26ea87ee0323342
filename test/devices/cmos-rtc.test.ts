import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CMOS_CENTURY, CmosRtc } from '../../src/devices/cmos-rtc.ts';
import { deviceContract } from './device-contract.ts';

const KHZ = 1000;
const SECOND = 1_000_000n;
/** 2012-04-10 00:00:00, a Tuesday. */
const EPOCH = 1_334_016_000n;

function clock(epoch = EPOCH) {
  const lines: boolean[] = [];
  return { rtc: new CmosRtc({ tscKhz: KHZ, epoch, setLine: (asserted) => lines.push(asserted) }), lines };
}
function get(rtc: CmosRtc, index: number, now = 0n): number {
  rtc.write(0x70, index, now);
  return rtc.read(0x71, now);
}
function set(rtc: CmosRtc, index: number, value: number, now = 0n): void {
  rtc.write(0x70, index, now);
  rtc.write(0x71, value, now);
}
const date = (rtc: CmosRtc, now: bigint): string =>
  [CMOS_CENTURY, 9, 8, 7, 6, 4, 2, 0].map((index) => get(rtc, index, now).toString(16).padStart(2, '0')).join(' ');

describe('the clock', () => {
  it('tells the epoch plus the time that has passed, in BCD', () => {
    expect(date(clock().rtc, 0n)).toBe('20 12 04 10 03 00 00 00');
    expect(date(clock().rtc, SECOND * (3600n * 13n + 62n))).toBe('20 12 04 10 03 13 01 02');
  });

  it('tells binary and twelve-hour time when asked to', () => {
    const { rtc } = clock();
    set(rtc, 0x0b, 0x06);
    expect(get(rtc, 0, 59n * SECOND)).toBe(59);
    set(rtc, 0x0b, 0x04);
    expect(get(rtc, 4, 0n)).toBe(12);
    expect(get(rtc, 4, 13n * 3600n * SECOND)).toBe(0x81);
  });

  it('agrees with the calendar on every day', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_799 }), (unix) => {
        const { rtc } = clock(BigInt(unix));
        set(rtc, 0x0b, 0x06);
        const when = new Date(unix * 1000);
        expect([9, 8, 7, 6, 4, 2, 0].map((index) => get(rtc, index))).toEqual([
          when.getUTCFullYear() % 100,
          when.getUTCMonth() + 1,
          when.getUTCDate(),
          when.getUTCDay() + 1,
          when.getUTCHours(),
          when.getUTCMinutes(),
          when.getUTCSeconds(),
        ]);
      }),
    );
  });

  it('is set while its updates are held, and goes on from there', () => {
    const { rtc } = clock();
    set(rtc, 0x0b, 0x82, SECOND);
    for (const [index, value] of [
      [CMOS_CENTURY, 0x19],
      [9, 0x99],
      [8, 0x12],
      [7, 0x31],
      [4, 0x23],
      [2, 0x59],
      [0, 0x58],
    ])
      set(rtc, index, value, 2n * SECOND);
    expect(get(rtc, 0, 9n * SECOND)).toBe(0x58);
    set(rtc, 0x0b, 0x02, 10n * SECOND);
    expect(date(rtc, 12n * SECOND)).toBe('20 00 01 01 07 00 00 00');
  });

  it('warns before an update', () => {
    const { rtc } = clock();
    expect(get(rtc, 0x0a, SECOND / 2n) & 0x80).toBe(0);
    expect(get(rtc, 0x0a, SECOND - 100n) & 0x80).toBe(0x80);
    expect(get(rtc, 0x0a, SECOND) & 0x80).toBe(0);
  });
});

describe('interrupts of the clock', () => {
  it('come at the end of every update, and reading register C takes them', () => {
    const { rtc, lines } = clock();
    expect(rtc.nextEvent()).toBeUndefined();
    set(rtc, 0x0b, 0x12, 10n);
    expect(rtc.nextEvent()).toBe(SECOND);
    rtc.advance(SECOND);
    expect(lines).toEqual([true]);
    expect(rtc.nextEvent()).toBeUndefined();
    expect(get(rtc, 0x0c, SECOND)).toBe(0xd0); // the periodic flag rises whether or not it may interrupt
    expect(get(rtc, 0x0c, SECOND)).toBe(0);
    expect(lines).toEqual([true, false, false]);
    expect(rtc.nextEvent()).toBe(2n * SECOND);
  });

  it('come at the alarm, whose fields may be wild cards', () => {
    const { rtc, lines } = clock();
    for (const [index, value] of [
      [1, 0x05],
      [3, 0xff],
      [5, 0xff],
      [0x0b, 0x22],
    ])
      set(rtc, index, value);
    rtc.advance(4n * SECOND);
    expect(lines).toEqual([]);
    rtc.advance(5n * SECOND);
    expect(lines).toEqual([true]);
    expect(get(rtc, 0x0c, 5n * SECOND)).toBe(0xf0);
  });

  it('come with the chosen rate', () => {
    const { rtc } = clock();
    set(rtc, 0x0b, 0x42);
    expect(rtc.nextEvent()).toBe((SECOND << 5n) / 32768n);
  });
});

describe('the memory of the clock', () => {
  it('keeps what is written and knows the base memory', () => {
    const { rtc } = clock();
    set(rtc, 0x40, 0x5a);
    expect([get(rtc, 0x40), get(rtc, 0x15) | (get(rtc, 0x16) << 8), get(rtc, 0x0d)]).toEqual([0x5a, 640, 0x80]);
  });
});

describe('a saved clock', () => {
  deviceContract(
    () => clock().rtc,
    (rtc) => {
      set(rtc, 0x40, 1);
      set(rtc, 0x0b, 0x12, 5n);
      set(rtc, 8, 0x12, 5n);
    },
    (rtc) => [date(rtc, 3n * SECOND), rtc.nextEvent(), get(rtc, 0x40), get(rtc, 0x0c, 3n * SECOND)],
  );
});

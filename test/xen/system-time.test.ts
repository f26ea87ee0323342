import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SystemTime } from '../../src/xen/system-time.ts';

const rates = fc.constantFrom(100_000, 999_999, 1_000_000, 1_000_001, 2_000_000, 2_930_000, 2_933_333, 4_000_000, 5_300_000);

describe('system time', () => {
  it('runs at the rate of the TSC', () => {
    fc.assert(
      fc.property(rates, fc.bigInt(0n, 1n << 50n), (khz, cycles) => {
        const exact = (cycles * 1_000_000n) / BigInt(khz);
        const error = new SystemTime(khz).at(cycles) - exact;
        // The 32-bit fraction is cut: at most 2^-30 slow, and the shift loses up to two cycles.
        expect(error).toBeLessThanOrEqual(0n);
        expect(-error).toBeLessThanOrEqual((exact >> 30n) + 4n);
      }),
    );
  });

  it('reaches a time at the cycle count that cyclesAt names, and not before', () => {
    fc.assert(
      fc.property(rates, fc.bigInt(1n, 1n << 60n), (khz, nanoseconds) => {
        const time = new SystemTime(khz);
        const cycles = time.cyclesAt(nanoseconds);
        expect(time.at(cycles)).toBeGreaterThanOrEqual(nanoseconds);
        expect(time.at(cycles - 1n)).toBeLessThan(nanoseconds);
      }),
    );
  });

  it('gives guests a multiplier of 32 bits with its highest bit set', () => {
    for (const khz of [500_000, 2_930_000, 5_000_000]) {
      const { multiplier } = new SystemTime(khz);
      expect(multiplier).toBeGreaterThanOrEqual(2 ** 31);
      expect(multiplier).toBeLessThan(2 ** 32);
    }
  });
});

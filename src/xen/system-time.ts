/**
 * System time: nanoseconds since the hypervisor started, as every guest computes it from vcpu_time_info. The platform's
 * TSC runs at a fixed rate on all cpus, so one scale serves everybody:
 *
 *     ns = (cycles shifted by tsc_shift) * tsc_to_system_mul >> 32
 *
 * Source: Xen public/xen.h struct vcpu_time_info.
 */

const nanosecondsPerSecond = 1_000_000_000n;

export class SystemTime {
  readonly multiplier: number;
  /** Left shift of the cycles before the multiplication; negative: right shift. */
  readonly shift: number;

  constructor(tscKhz: number) {
    // The multiplier is a 32-bit fraction: bring the rate into (1e9, 2e9].
    let rate = BigInt(Math.round(tscKhz * 1000));
    let shift = 0;
    while (rate > 2n * nanosecondsPerSecond) {
      rate >>= 1n;
      shift--;
    }
    while (rate <= nanosecondsPerSecond) {
      rate <<= 1n;
      shift++;
    }
    this.multiplier = Number((nanosecondsPerSecond << 32n) / rate);
    this.shift = shift;
  }

  /** System time at cycle count `cycles`. */
  at(cycles: bigint): bigint {
    const shifted = this.shift < 0 ? cycles >> BigInt(-this.shift) : cycles << BigInt(this.shift);
    return (shifted * BigInt(this.multiplier)) >> 32n;
  }

  /** The first cycle count at which {@link at} gives `nanoseconds` or more. */
  cyclesAt(nanoseconds: bigint): bigint {
    if (nanoseconds <= 0n) return 0n;
    const multiplier = BigInt(this.multiplier);
    const shifted = ((nanoseconds << 32n) + multiplier - 1n) / multiplier;
    return this.shift < 0 ? shifted << BigInt(-this.shift) : (shifted + (1n << BigInt(this.shift)) - 1n) >> BigInt(this.shift);
  }
}

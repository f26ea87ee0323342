/**
 * The real-time clock and its memory (Motorola MC146818A with the century at 0x32): ports 0x70 and 0x71, IRQ 8. Time is an
 * epoch plus the cycle counter; setting the clock moves the epoch. Once a second the update ends; alarm and periodic
 * interrupts come when they are enabled.
 * Sources: MC146818A data sheet (registers A to D, address map), ACPI 6.4 §4.8.3.4 (century).
 */
const REGISTER_A = 0x0a;
const REGISTER_B = 0x0b;
const REGISTER_C = 0x0c;
const REGISTER_D = 0x0d;
export const CMOS_CENTURY = 0x32;

const B_SET = 0x80;
const B_PERIODIC = 0x40;
const B_ALARM = 0x20;
const B_UPDATE_ENDED = 0x10;
const B_BINARY = 0x04;
const B_24_HOURS = 0x02;
const C_INTERRUPT = 0x80;
const VALID = 0x80;
/** 32768 Hz, 1024 Hz periodic. */
const A_RESET = 0x26;
const UPDATE_IN_PROGRESS = 0x80;
/** The chip warns 244 microseconds ahead of an update. */
const WARNING_HZ = 4098n;
const MEMORY_BYTES = 128;

export interface CmosRtcOptions {
  readonly tscKhz: number;
  /** Unix time in seconds at cycle 0. */
  readonly epoch: bigint;
  /** IRQ 8. */
  readonly setLine: (asserted: boolean) => void;
}

export class CmosRtc {
  private readonly options: CmosRtcOptions;
  private readonly hz: bigint;
  private memory = new Uint8Array(MEMORY_BYTES);
  private index = 0;
  /** Unix time at cycle 0 as the guest has set it. */
  private origin: bigint;
  /** Time written while updates were inhibited (register B bit SET). */
  private frozen: bigint | undefined;
  private flags = 0;
  /** Up to which cycle interrupts have been looked at; undefined while none is enabled. */
  private looked: bigint | undefined;

  constructor(options: CmosRtcOptions) {
    this.options = options;
    this.hz = BigInt(options.tscKhz) * 1000n;
    this.origin = options.epoch;
    this.memory[REGISTER_A] = A_RESET;
    this.memory[REGISTER_B] = B_24_HOURS;
    // Base memory in KiB, as firmware stores it.
    this.memory[0x15] = 640 & 0xff;
    this.memory[0x16] = 640 >> 8;
  }

  read(port: number, now: bigint): number {
    if ((port & 1) === 0) return 0xff;
    const { index } = this;
    if (index < REGISTER_A || index === CMOS_CENTURY) return this.readTime(index, now);
    switch (index) {
      case REGISTER_A:
        return this.memory[REGISTER_A] | (this.updating(now) ? UPDATE_IN_PROGRESS : 0);
      case REGISTER_C: {
        this.advance(now);
        const value = this.flags;
        this.flags = 0;
        this.options.setLine(false);
        return value;
      }
      case REGISTER_D:
        return VALID;
      default:
        return this.memory[index];
    }
  }

  write(port: number, value: number, now: bigint): void {
    if ((port & 1) === 0) {
      this.index = value & 0x7f;
      return;
    }
    const { index } = this;
    if ((index < REGISTER_A && (index & 1) === 0) || index === 7 || index === 9 || index === CMOS_CENTURY)
      this.writeTime(index, value, now);
    else if (index === REGISTER_A) this.memory[index] = value & 0x7f;
    else if (index === REGISTER_B) this.writeB(value, now);
    else if (index !== REGISTER_C && index !== REGISTER_D) this.memory[index] = value;
  }

  /** Cycle of the next interrupt. */
  nextEvent(): bigint | undefined {
    if (this.looked === undefined || (this.flags & C_INTERRUPT) !== 0) return undefined;
    const enabled = this.memory[REGISTER_B];
    const second = (this.looked / this.hz + 1n) * this.hz;
    const slow = (enabled & (B_ALARM | B_UPDATE_ENDED)) !== 0 ? second : undefined;
    const period = (enabled & B_PERIODIC) !== 0 ? this.period() : 0n;
    if (period === 0n) return slow;
    const tick = (this.looked / period + 1n) * period;
    return slow === undefined || tick < slow ? tick : slow;
  }

  /** Raises what is due up to `now`. */
  advance(now: bigint): void {
    if (this.looked === undefined || now <= this.looked) return;
    const enabled = this.memory[REGISTER_B];
    let raised = 0;
    const first = this.looked / this.hz + 1n;
    const last = now / this.hz;
    if (last >= first) {
      raised |= B_UPDATE_ENDED;
      // An alarm matches at most once in a day's seconds; looking at each would be slow after a long sleep.
      for (let second = first; second <= last && second < first + 86_400n; second++) {
        if (this.alarmMatches(this.origin + second)) raised |= B_ALARM;
      }
    }
    const period = this.period();
    if (period !== 0n && now / period > this.looked / period) raised |= B_PERIODIC;
    this.looked = now;
    this.flags |= raised;
    if ((raised & enabled) === 0) return;
    this.flags |= C_INTERRUPT;
    this.options.setLine(true);
  }

  save(): unknown {
    const { index, origin, frozen, flags, looked } = this;
    return { memory: this.memory.slice(), index, origin, frozen, flags, looked };
  }
  restore(data: unknown): void {
    const saved = data as { memory: Uint8Array; index: number; origin: bigint; frozen?: bigint; flags: number; looked?: bigint };
    this.memory = saved.memory.slice();
    this.index = saved.index;
    this.origin = saved.origin;
    this.frozen = saved.frozen;
    this.flags = saved.flags;
    this.looked = saved.looked;
  }

  /** Cycles of the periodic interrupt; 0n: none. Rates 1 and 2 are those of 8 and 9. */
  private period(): bigint {
    const rate = this.memory[REGISTER_A] & 0xf;
    if (rate === 0) return 0n;
    const shift = rate < 3 ? rate + 7 : rate;
    return (this.hz << BigInt(shift - 1)) / 32768n;
  }

  private updating(now: bigint): boolean {
    const left = this.hz - (now % this.hz);
    return this.frozen === undefined && left * WARNING_HZ <= this.hz;
  }

  private seconds(now: bigint): bigint {
    return this.frozen ?? this.origin + now / this.hz;
  }

  private writeB(value: number, now: bigint): void {
    const before = this.memory[REGISTER_B];
    this.advance(now);
    this.memory[REGISTER_B] = value;
    const set = (value & B_SET) !== 0;
    if (set && (before & B_SET) === 0) this.frozen = this.seconds(now);
    if (!set && this.frozen !== undefined) {
      this.origin = this.frozen - now / this.hz;
      this.frozen = undefined;
    }
    const wanted = (value & (B_PERIODIC | B_ALARM | B_UPDATE_ENDED)) !== 0;
    this.looked = wanted ? (this.looked ?? now) : undefined;
  }

  private alarmMatches(second: bigint): boolean {
    const fields = calendar(second);
    return [1, 3, 5].every((at, n) => {
      const wanted = this.memory[at];
      return wanted >= 0xc0 || wanted === this.encode(at - 1, [fields.second, fields.minute, fields.hour][n]);
    });
  }

  private readTime(index: number, now: bigint): number {
    if (index === 1 || index === 3 || index === 5) return this.memory[index];
    const fields = calendar(this.seconds(now));
    const order: Record<number, number> = {
      0: fields.second,
      2: fields.minute,
      4: fields.hour,
      6: fields.weekday,
      7: fields.day,
      8: fields.month,
      9: fields.year % 100,
      [CMOS_CENTURY]: Math.floor(fields.year / 100),
    };
    return this.encode(index, order[index]);
  }

  private writeTime(index: number, value: number, now: bigint): void {
    const fields = calendar(this.seconds(now));
    const given = this.decode(index, value);
    const set: Record<number, () => void> = {
      0: () => (fields.second = given),
      2: () => (fields.minute = given),
      4: () => (fields.hour = given),
      7: () => (fields.day = given),
      8: () => (fields.month = given),
      9: () => (fields.year = Math.floor(fields.year / 100) * 100 + given),
      [CMOS_CENTURY]: () => (fields.year = given * 100 + (fields.year % 100)),
    };
    set[index]?.();
    const written = unixTime(fields);
    if (this.frozen !== undefined) this.frozen = written;
    else this.origin = written - now / this.hz;
  }

  private encode(index: number, value: number): number {
    const mode = this.memory[REGISTER_B];
    let hour = value;
    let afternoon = 0;
    if (index === 4 && (mode & B_24_HOURS) === 0) {
      afternoon = value >= 12 ? 0x80 : 0;
      hour = value % 12 === 0 ? 12 : value % 12;
    }
    const coded = (mode & B_BINARY) !== 0 ? hour : Math.floor(hour / 10) * 16 + (hour % 10);
    return coded | afternoon;
  }

  private decode(index: number, value: number): number {
    const mode = this.memory[REGISTER_B];
    const twelve = index === 4 && (mode & B_24_HOURS) === 0;
    const coded = twelve ? value & 0x7f : value;
    const plain = (mode & B_BINARY) !== 0 ? coded : (coded >> 4) * 10 + (coded & 15);
    return twelve ? (plain % 12) + ((value & 0x80) !== 0 ? 12 : 0) : plain;
  }
}

interface Calendar {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  /** 1 = Sunday. */
  weekday: number;
}

/** Days from 1970-01-01 of a civil date, with years that begin in March. */
function dayNumber(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const ofEra = shifted - era * 400;
  const ofYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468;
}

function calendar(unix: bigint): Calendar {
  const total = Number(unix);
  const days = Math.floor(total / 86_400);
  const rest = total - days * 86_400;
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const ofEra = shifted - era * 146_097;
  const yearOfEra = Math.floor((ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365);
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * ofYear + 2) / 153);
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: ofYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1,
    hour: Math.floor(rest / 3600),
    minute: Math.floor(rest / 60) % 60,
    second: rest % 60,
    weekday: ((((days + 4) % 7) + 7) % 7) + 1,
  };
}

function unixTime({ year, month, day, hour, minute, second }: Calendar): bigint {
  return BigInt(dayNumber(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second);
}

/**
 * The programmable interval timer (Intel 8254): channel 0 drives IRQ 0, channel 2 the speaker gate. Time is the cycle
 * counter of its owner; edges fall on exact multiples of the period, rounded up to a cycle.
 * Sources: Intel 8254 data sheet (control word, modes 0, 2, 3, read-back and latch).
 * Left out: BCD counting, modes 1, 4 and 5 (they behave as mode 0), the dependence of mode 3's low half on odd counts.
 */
const PIT_HZ = 1193182n;

interface Channel {
  mode: number;
  /** 1..65536. */
  reload: number;
  /** Cycle at which counting began; undefined: not programmed. */
  start: bigint | undefined;
  /** 1 low byte, 2 high byte, 3 low then high. */
  access: number;
  writeLow: number | undefined;
  latched: number[];
  readHigh: boolean;
  /** Periods (or the one shot) whose edge has been taken. */
  edgesTaken: bigint;
}

const newChannel = (): Channel => ({
  mode: 3,
  reload: 0x10000,
  start: undefined,
  access: 3,
  writeLow: undefined,
  latched: [],
  readHigh: false,
  edgesTaken: 0n,
});

export class Pit8254 {
  private readonly hz: bigint;
  private channels = [newChannel(), newChannel(), newChannel()];
  private gate2 = false;

  /** @param tscKhz cycles a millisecond of the clock that `now` counts. */
  constructor(tscKhz: number) {
    this.hz = BigInt(tscKhz) * 1000n;
  }

  /** Ports 0x40..0x43 and 0x61. */
  read(port: number, now: bigint): number {
    if (port === 0x61) return (this.gate2 ? 1 : 0) | (this.output(this.channels[2], now) ? 0x20 : 0);
    if (port === 0x43) return 0xff;
    const channel = this.channels[port & 3];
    const latched = channel.latched.shift();
    if (latched !== undefined) return latched;
    const count = this.count(channel, now);
    if (channel.access === 1) return count & 0xff;
    if (channel.access === 2) return count >> 8;
    channel.readHigh = !channel.readHigh;
    return channel.readHigh ? count & 0xff : count >> 8;
  }

  write(port: number, value: number, now: bigint): void {
    if (port === 0x61) {
      const opened = (value & 1) !== 0 && !this.gate2;
      this.gate2 = (value & 1) !== 0;
      if (opened && this.channels[2].start !== undefined) this.restart(this.channels[2], now);
      return;
    }
    if (port === 0x43) {
      this.control(value, now);
      return;
    }
    const channel = this.channels[port & 3];
    if (channel.access === 3 && channel.writeLow === undefined) {
      channel.writeLow = value;
      return;
    }
    const low = channel.access === 2 ? 0 : channel.access === 1 ? value : (channel.writeLow ?? 0);
    const high = channel.access === 1 ? 0 : value;
    channel.writeLow = undefined;
    channel.reload = (high << 8) | low || 0x10000;
    this.restart(channel, now);
  }

  /** Cycle of the next rising edge of channel 0 that has not been taken; undefined when none will come. */
  nextEdge(): bigint | undefined {
    const [channel] = this.channels;
    if (channel.start === undefined) return undefined;
    if (!this.periodic(channel) && channel.edgesTaken > 0n) return undefined;
    return this.edge(channel, channel.edgesTaken + 1n);
  }

  /** Takes all edges up to `now`; true when there was one. Edges that nobody took in time are lost, as on the wire. */
  takeEdges(now: bigint): boolean {
    const [channel] = this.channels;
    const next = this.nextEdge();
    if (next === undefined || now < next || channel.start === undefined) return false;
    if (!this.periodic(channel)) channel.edgesTaken = 1n;
    else channel.edgesTaken = this.ticks(now - channel.start) / BigInt(channel.reload);
    return true;
  }

  save(): unknown {
    return { channels: structuredCopy(this.channels), gate2: this.gate2 };
  }
  restore(data: unknown): void {
    const saved = data as { channels: Channel[]; gate2: boolean };
    this.channels = structuredCopy(saved.channels);
    this.gate2 = saved.gate2;
  }

  private control(value: number, now: bigint): void {
    const index = value >> 6;
    if (index === 3) {
      // Read-back: latch the count of the selected channels.
      for (let n = 0; n < 3; n++) if ((value & (2 << n)) !== 0 && (value & 0x20) === 0) this.latch(this.channels[n], now);
      return;
    }
    const channel = this.channels[index];
    const access = (value >> 4) & 3;
    if (access === 0) {
      this.latch(channel, now);
      return;
    }
    channel.access = access;
    channel.mode = ((value >> 1) & 7) % 6;
    if (channel.mode > 3) channel.mode -= 4;
    channel.writeLow = undefined;
    channel.readHigh = false;
    channel.latched = [];
    channel.start = undefined;
  }

  private latch(channel: Channel, now: bigint): void {
    if (channel.latched.length > 0) return;
    const count = this.count(channel, now);
    if (channel.access === 1) channel.latched = [count & 0xff];
    else if (channel.access === 2) channel.latched = [count >> 8];
    else channel.latched = [count & 0xff, count >> 8];
  }

  private restart(channel: Channel, now: bigint): void {
    channel.start = now;
    channel.edgesTaken = 0n;
  }
  private periodic(channel: Channel): boolean {
    return channel.mode === 2 || channel.mode === 3;
  }
  private ticks(cycles: bigint): bigint {
    return (cycles * PIT_HZ) / this.hz;
  }
  private edge(channel: Channel, n: bigint): bigint {
    const numerator = n * BigInt(channel.reload) * this.hz;
    return (channel.start as bigint) + (numerator + PIT_HZ - 1n) / PIT_HZ;
  }
  private count(channel: Channel, now: bigint): number {
    if (channel.start === undefined) return 0;
    const ticks = this.ticks(now - channel.start);
    const reload = BigInt(channel.reload);
    if (!this.periodic(channel)) return Number(BigInt.asUintN(16, reload - ticks));
    const phase = ticks % reload;
    const step = channel.mode === 3 ? (phase * 2n) % reload : phase;
    return Number(BigInt.asUintN(16, reload - step));
  }
  private output(channel: Channel, now: bigint): boolean {
    if (channel.start === undefined) return false;
    const ticks = this.ticks(now - channel.start);
    const reload = BigInt(channel.reload);
    if (!this.periodic(channel)) return ticks >= reload;
    return channel.mode === 2 || (ticks % reload) * 2n < reload;
  }
}

const structuredCopy = (channels: Channel[]): Channel[] => channels.map((channel) => ({ ...channel, latched: [...channel.latched] }));

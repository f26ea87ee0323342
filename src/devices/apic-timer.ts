/**
 * The timer of a local APIC: counts down at {@link APIC_HZ} divided, once or again and again, or waits for a value of
 * the time stamp counter. Time is the processor's cycle counter; an interrupt falls on the first cycle at which the count
 * is over.
 * Source: SDM 3A §10.5.4 (APIC timer), §10.5.4.1 (TSC-deadline mode).
 */

/** Rate of the timer before its divider. */
export const APIC_HZ = 100_000_000n;

export const ApicTimerMode = { ONE_SHOT: 0, PERIODIC: 1, DEADLINE: 2 } as const;

interface State {
  mode: number;
  divide: number;
  initialCount: number;
  /** Cycle at which the count began; undefined: it does not count. */
  started: bigint | undefined;
  /** Cycle of the next interrupt. */
  deadline: bigint | undefined;
  /** IA32_TSC_DEADLINE. */
  tscDeadline: bigint;
}

const STOPPED: State = { mode: 0, divide: 0, initialCount: 0, started: undefined, deadline: undefined, tscDeadline: 0n };

export class ApicTimer {
  private readonly hz: bigint;
  private state: State = { ...STOPPED };

  constructor(tscKhz: number) {
    this.hz = BigInt(tscKhz) * 1000n;
  }

  reset(): void {
    this.state = { ...STOPPED };
  }

  get nextEvent(): bigint | undefined {
    return this.state.deadline;
  }

  /** True when it fires. Periods that nobody took in time are lost. */
  advance(now: bigint): boolean {
    const { state } = this;
    if (state.deadline === undefined || now < state.deadline) return false;
    if (state.mode === ApicTimerMode.PERIODIC && state.started !== undefined) {
      const period = this.period();
      state.started += ((now - state.started) / period) * period;
      state.deadline = state.started + period;
    } else this.stop();
    return true;
  }

  /** Bits 18:17 of the timer's LVT entry. A change to or from deadline mode stops it. */
  setMode(mode: number, now: bigint): void {
    const { state } = this;
    if (mode === state.mode) return;
    const deadline = mode === ApicTimerMode.DEADLINE || state.mode === ApicTimerMode.DEADLINE;
    state.mode = mode;
    if (deadline) {
      this.stop();
      state.initialCount = 0;
    } else if (state.started !== undefined && (state.deadline === undefined || state.deadline <= now)) this.start(now);
  }

  get initialCount(): number {
    return this.state.initialCount;
  }
  setInitialCount(value: number, now: bigint): void {
    if (this.state.mode === ApicTimerMode.DEADLINE) return;
    this.state.initialCount = value;
    this.start(now);
  }

  get divide(): number {
    return this.state.divide;
  }
  /** What has been counted stays counted; the rest goes on at the new rate. */
  setDivide(value: number, now: bigint): void {
    const { state } = this;
    const counted = BigInt(state.initialCount - this.currentCount(now));
    state.divide = value & 0xb;
    if (state.started === undefined) return;
    state.started = now - (counted * this.divisor() * this.hz) / APIC_HZ;
    state.deadline = state.started + this.period();
  }

  currentCount(now: bigint): number {
    const { started, initialCount } = this.state;
    if (started === undefined) return 0;
    const left = BigInt(initialCount) - ((now - started) * APIC_HZ) / (this.hz * this.divisor());
    return left > 0n ? Number(left) : 0;
  }

  get tscDeadline(): bigint {
    return this.state.tscDeadline;
  }
  /** 0n stops it. @param tscOffset time stamp minus cycles. */
  setTscDeadline(value: bigint, tscOffset: bigint): void {
    const { state } = this;
    if (state.mode !== ApicTimerMode.DEADLINE) return;
    state.tscDeadline = value;
    const cycle = BigInt.asIntN(64, value - tscOffset);
    state.deadline = value === 0n ? undefined : cycle > 0n ? cycle : 0n;
  }

  save(): unknown {
    return { ...this.state };
  }
  restore(data: unknown): void {
    this.state = { ...(data as State) };
  }

  /** Cycles of a whole count, rounded up. */
  private period(): bigint {
    return (BigInt(this.state.initialCount) * this.divisor() * this.hz + APIC_HZ - 1n) / APIC_HZ;
  }

  private divisor(): bigint {
    const code = ((this.state.divide >> 1) & 4) | (this.state.divide & 3);
    return code === 7 ? 1n : 2n << BigInt(code);
  }

  private start(now: bigint): void {
    const { state } = this;
    const counts = state.initialCount !== 0;
    state.started = counts ? now : undefined;
    state.deadline = counts ? now + this.period() : undefined;
  }

  private stop(): void {
    this.state.deadline = undefined;
    this.state.started = undefined;
    this.state.tscDeadline = 0n;
  }
}

/**
 * The fixed hardware of ACPI: PM1a event and control blocks, the power management timer, the system control interrupt.
 * ACPI mode is always on. SLP_TYP 0 with SLP_EN is S5, the only sleeping state that the tables name.
 *   0x600 PM1 status   0x602 PM1 enable   0x604 PM1 control   0x608 timer, 3.579545 MHz, 32 bits
 * Source: ACPI 6.4 §4.8.2 (PM timer), §4.8.3.1 (PM1 event grouping), §4.8.3.2 (PM1 control grouping).
 */
export const ACPI_PORTS = 0x600;
export const ACPI_PM_TIMER = 0x608;
export const ACPI_PM1_CONTROL = 0x604;
/** IRQ of the system control interrupt, level-triggered. */
export const ACPI_SCI = 9;

const PM_TIMER_HZ = 3_579_545n;
const STATUS_TIMER = 1;
const ENABLE_BITS = 0x0521; // timer, global lock, power button, real-time clock
const CONTROL_SCI_ENABLED = 1;
const CONTROL_KEPT = 0x1c02; // bus master reload, sleep type
const CONTROL_SLEEP_ENABLE = 0x2000;

export interface AcpiPowerOptions {
  readonly tscKhz: number;
  readonly powerOff: () => void;
  readonly setLine: (asserted: boolean) => void;
}

export class AcpiPower {
  private readonly options: AcpiPowerOptions;
  private readonly hz: bigint;
  private enable = 0;
  private control = 0;
  private status = 0;
  /** Half period of the timer's top bit that was last looked at: its change sets the status bit. */
  private half = 0n;

  constructor(options: AcpiPowerOptions) {
    this.options = options;
    this.hz = BigInt(options.tscKhz) * 1000n;
  }

  /** Byte reads; words and double words are put together by the caller, the timer's through {@link timer}. */
  read(port: number, now: bigint): number {
    this.advance(now);
    const offset = port - ACPI_PORTS;
    const register = [this.status, this.enable, this.control | CONTROL_SCI_ENABLED, 0][offset >> 1];
    if (offset >= 8) return (this.timer(now) >>> ((offset & 3) * 8)) & 0xff;
    return ((register ?? 0) >> ((offset & 1) * 8)) & 0xff;
  }

  write(port: number, value: number, now: bigint): void {
    this.advance(now);
    const offset = port - ACPI_PORTS;
    const shift = (offset & 1) * 8;
    const shifted = value << shift;
    const others = 0xff00 >> shift;
    switch (offset >> 1) {
      case 0:
        this.status &= ~shifted; // write one to clear
        break;
      case 1:
        this.enable = ((this.enable & others) | shifted) & ENABLE_BITS;
        break;
      case 2:
        this.control = ((this.control & others) | shifted) & CONTROL_KEPT;
        if ((shifted & CONTROL_SLEEP_ENABLE) !== 0 && (this.control & 0x1c00) === 0) this.options.powerOff();
        break;
    }
    this.updateLine();
  }

  /** The 32-bit timer. */
  timer(now: bigint): number {
    return Number(BigInt.asUintN(32, this.ticks(now)));
  }

  /** Cycle at which the top bit of the timer changes, when somebody wants to know. */
  nextEvent(): bigint | undefined {
    if ((this.enable & STATUS_TIMER) === 0 || (this.status & STATUS_TIMER) !== 0) return undefined;
    return (((this.half + 1n) << 31n) * this.hz + PM_TIMER_HZ - 1n) / PM_TIMER_HZ;
  }

  advance(now: bigint): void {
    const half = this.ticks(now) >> 31n;
    if (half <= this.half) return;
    this.half = half;
    this.status |= STATUS_TIMER;
    this.updateLine();
  }

  save(): unknown {
    return { enable: this.enable, control: this.control, status: this.status, half: this.half };
  }
  restore(data: unknown): void {
    const saved = data as { enable: number; control: number; status: number; half: bigint };
    this.enable = saved.enable;
    this.control = saved.control;
    this.status = saved.status;
    this.half = saved.half;
  }

  private ticks(now: bigint): bigint {
    return (now * PM_TIMER_HZ) / this.hz;
  }
  private updateLine(): void {
    this.options.setLine((this.status & this.enable & 0x521) !== 0);
  }
}

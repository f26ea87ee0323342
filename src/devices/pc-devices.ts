/**
 * The devices of the small PC that guests of full mode see, on the bare machine and in a full domain alike: two
 * interrupt controllers, the interval timer, one serial port, power-off and debug exit. Port numbers are the PC's.
 *   0x20 0x21 0xA0 0xA1   interrupt controllers        0x40..0x43 0x61   timer
 *   0x3F8..0x3FF          serial port, IRQ 4           0x604             ACPI PM1a control (SLP_EN with SLP_TYP 0: off)
 *   0xF4                  debug exit: any write ends the run with the value
 *   0x92                  system control port A: bit 1 lets address line 20 through (only where the machine has a line 20)
 */
import { Pic8259 } from './pic-8259.ts';
import { Pit8254 } from './pit-8254.ts';
import { Uart16550 } from './uart-16550.ts';

export interface PcDevicesOptions {
  readonly tscKhz: number;
  readonly transmit: (byte: number) => void;
  /** The guest switched the machine off (`code` undefined) or wrote to the debug exit. */
  readonly powerOff: (code: number | undefined) => void;
  /** Address line 20 is held low, or not. Without this there is no port 0x92. */
  readonly maskA20?: (masked: boolean) => void;
  /** A port that nothing answers, for `--trace unknown`. */
  readonly unknownPort?: (port: number, write: boolean) => void;
}

const PM1A_CONTROL = 0x604;
const SYSTEM_CONTROL_A = 0x92;
const A20_ENABLE = 2;
const SLEEP_ENABLE = 0x2000;
const TIMER_IRQ = 0;
const SERIAL_IRQ = 4;

export class PcDevices {
  readonly pic = new Pic8259();
  readonly pit: Pit8254;
  readonly serial: Uart16550;
  private readonly options: PcDevicesOptions;
  private a20 = true;

  constructor(options: PcDevicesOptions) {
    this.options = options;
    this.pit = new Pit8254(options.tscKhz);
    this.serial = new Uart16550(options.transmit, () => this.pic.raise(SERIAL_IRQ));
  }

  /** Brings the timer up to `now` (cycles); its edge becomes a request at the controller. */
  advance(now: bigint): void {
    if (this.pit.takeEdges(now)) this.pic.raise(TIMER_IRQ);
  }

  /** Next cycle at which something happens by itself. */
  nextEvent(): bigint | undefined {
    return this.pit.nextEdge();
  }

  read(port: number, size: 1 | 2 | 4, now: bigint): number {
    if (size !== 1) {
      let value = 0;
      for (let n = 0; n < size; n++) value += this.read(port + n, 1, now) * 2 ** (8 * n);
      return value;
    }
    if (port >= 0x3f8 && port <= 0x3ff) return this.serial.read(port - 0x3f8);
    switch (port) {
      case 0x20:
      case 0x21:
      case 0xa0:
      case 0xa1:
        return this.pic.read(port);
      case 0x40:
      case 0x41:
      case 0x42:
      case 0x43:
      case 0x61:
        return this.pit.read(port, now);
      case SYSTEM_CONTROL_A:
        return this.options.maskA20 === undefined ? this.unknown(port) : this.a20 ? A20_ENABLE : 0;
      default:
        return this.unknown(port);
    }
  }

  write(port: number, size: 1 | 2 | 4, value: number, now: bigint): void {
    if (port === PM1A_CONTROL && size === 2) {
      if ((value & SLEEP_ENABLE) !== 0) this.options.powerOff(undefined);
      return;
    }
    if (port === 0xf4) {
      this.options.powerOff(value);
      return;
    }
    if (size !== 1) {
      for (let n = 0; n < size; n++) this.write(port + n, 1, Math.floor(value / 2 ** (8 * n)) & 0xff, now);
      return;
    }
    if (port >= 0x3f8 && port <= 0x3ff) {
      this.serial.write(port - 0x3f8, value);
      return;
    }
    switch (port) {
      case 0x20:
      case 0x21:
      case 0xa0:
      case 0xa1:
        this.pic.write(port, value);
        break;
      case 0x40:
      case 0x41:
      case 0x42:
      case 0x43:
      case 0x61:
        this.pit.write(port, value, now);
        break;
      case SYSTEM_CONTROL_A:
        if (this.options.maskA20 === undefined) this.options.unknownPort?.(port, true);
        else this.setA20((value & A20_ENABLE) !== 0);
        break;
      case 0x80: // POST code, used as a delay
        break;
      default:
        this.options.unknownPort?.(port, true);
    }
  }

  private unknown(port: number): number {
    this.options.unknownPort?.(port, false);
    return 0xff;
  }

  private setA20(through: boolean): void {
    this.a20 = through;
    this.options.maskA20?.(!through);
  }

  save(): unknown {
    return { pic: this.pic.save(), pit: this.pit.save(), serial: this.serial.save(), a20: this.a20 };
  }
  restore(data: unknown): void {
    const saved = data as { pic: unknown; pit: unknown; serial: unknown; a20: boolean };
    this.setA20(saved.a20);
    this.pic.restore(saved.pic);
    this.pit.restore(saved.pit);
    this.serial.restore(saved.serial);
  }
}

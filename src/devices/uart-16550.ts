/**
 * A serial port (16550A) whose line is infinitely fast: what is written is sent at once, and received bytes wait outside
 * until the receiver has room. Modem lines answer as if something were plugged in; in loopback they are the outputs.
 * Source: PC16550D data sheet, §8 (registers), §8.4 (FIFO interrupt mode).
 * DEVIATION: on a PC the output OUT2 connects the interrupt line; here it always is connected.
 * Left out: baud rate timing, the character timeout (data below the trigger level are reported at once), errors, break.
 */
const INTERRUPT_RECEIVED = 1;
const INTERRUPT_TRANSMITTER_EMPTY = 2;
const INTERRUPT_MODEM = 8;
const FIFO_BYTES = 16;
const LOOPBACK = 0x10;
const LINE_DATA_READY = 1;
const LINE_TRANSMITTER_EMPTY = 0x60;
/** Carrier, data set ready, clear to send. */
const PLUGGED_IN = 0xb0;

interface State {
  divisor: number;
  interruptEnable: number;
  lineControl: number;
  modemControl: number;
  scratch: number;
  fifoEnabled: boolean;
  /** In the receiver, then on the line. */
  received: number[];
  transmitterInterrupt: boolean;
  modemLines: number;
  modemChanges: number;
  line: boolean;
}

export class Uart16550 {
  private readonly transmit: (byte: number) => void;
  private readonly setLine: (asserted: boolean) => void;
  private state: State = {
    divisor: 1,
    interruptEnable: 0,
    lineControl: 3,
    modemControl: 0,
    scratch: 0,
    fifoEnabled: false,
    received: [],
    transmitterInterrupt: false,
    modemLines: PLUGGED_IN,
    modemChanges: 0,
    line: false,
  };

  /** @param setLine told when the interrupt line changes. */
  constructor(transmit: (byte: number) => void, setLine: (asserted: boolean) => void) {
    this.transmit = transmit;
    this.setLine = setLine;
  }

  /** A byte arrives on the line; those that the receiver has no room for wait there. */
  receive(byte: number): void {
    this.state.received.push(byte);
    this.update();
  }

  /** @param register 0..7. */
  read(register: number): number {
    const value = this.readRegister(register);
    this.update();
    return value;
  }

  write(register: number, value: number): void {
    this.writeRegister(register, value);
    this.update();
  }

  save(): unknown {
    return { ...this.state, received: [...this.state.received] };
  }
  restore(data: unknown): void {
    const saved = data as State;
    this.state = { ...saved, received: [...saved.received] };
  }

  private readRegister(register: number): number {
    const { state } = this;
    switch (register) {
      case 0:
        return this.divisorLatch ? state.divisor & 0xff : (state.received.shift() ?? 0);
      case 1:
        return this.divisorLatch ? state.divisor >> 8 : state.interruptEnable;
      case 2: {
        const fifo = state.fifoEnabled ? 0xc0 : 0;
        const cause = this.cause();
        if (cause === 2) state.transmitterInterrupt = false;
        return fifo | cause;
      }
      case 3:
        return state.lineControl;
      case 4:
        return state.modemControl;
      case 5:
        return LINE_TRANSMITTER_EMPTY | (state.received.length > 0 ? LINE_DATA_READY : 0);
      case 6: {
        const changes = state.modemChanges;
        state.modemChanges = 0;
        return state.modemLines | changes;
      }
      default:
        return state.scratch;
    }
  }

  private writeRegister(register: number, value: number): void {
    const { state } = this;
    switch (register) {
      case 0:
        if (this.divisorLatch) state.divisor = (state.divisor & 0xff00) | value;
        else {
          if ((state.modemControl & LOOPBACK) !== 0) this.receive(value);
          else this.transmit(value);
          state.transmitterInterrupt = true;
        }
        break;
      case 1:
        if (this.divisorLatch) state.divisor = (state.divisor & 0xff) | (value << 8);
        else {
          // Enabling it while the transmitter is empty interrupts.
          if ((value & ~state.interruptEnable & INTERRUPT_TRANSMITTER_EMPTY) !== 0) state.transmitterInterrupt = true;
          state.interruptEnable = value & 0xf;
        }
        break;
      case 2:
        if (((value & 1) !== 0) !== state.fifoEnabled || (value & 2) !== 0) state.received.splice(0, state.fifoEnabled ? FIFO_BYTES : 1);
        state.fifoEnabled = (value & 1) !== 0;
        break;
      case 3:
        state.lineControl = value;
        break;
      case 4:
        state.modemControl = value & 0x1f;
        this.setModemLines();
        break;
      case 7:
        state.scratch = value;
        break;
    }
  }

  /** In loopback DTR, RTS, OUT1 and OUT2 come back as DSR, CTS, RI and DCD. */
  private setModemLines(): void {
    const { state } = this;
    const control = state.modemControl;
    let lines = PLUGGED_IN;
    if ((control & LOOPBACK) !== 0) lines = ((control & 2) << 3) | ((control & 1) << 5) | ((control & 0xc) << 4);
    const changed = state.modemLines ^ lines;
    // The ring indicator reports its end only.
    state.modemChanges |= ((changed & 0xb0) >> 4) | ((state.modemLines & ~lines & 0x40) >> 4);
    state.modemLines = lines;
  }

  /** Interrupt identification, highest priority first; bit 0 set: none. */
  private cause(): number {
    const { state } = this;
    const enabled = state.interruptEnable;
    if ((enabled & INTERRUPT_RECEIVED) !== 0 && state.received.length > 0) return 4;
    if ((enabled & INTERRUPT_TRANSMITTER_EMPTY) !== 0 && state.transmitterInterrupt) return 2;
    if ((enabled & INTERRUPT_MODEM) !== 0 && state.modemChanges !== 0) return 0;
    return 1;
  }

  private get divisorLatch(): boolean {
    return (this.state.lineControl & 0x80) !== 0;
  }

  private update(): void {
    const { state } = this;
    const line = this.cause() !== 1;
    if (line === state.line) return;
    state.line = line;
    this.setLine(line);
  }
}

/**
 * A serial port (16550 register set without FIFO timing): transmission is immediate, reception from a queue.
 * Sources: PC16550D data sheet, register descriptions.
 */
const INTERRUPT_RECEIVED = 1;
const INTERRUPT_TRANSMITTER_EMPTY = 2;

interface State {
  divisor: number;
  interruptEnable: number;
  lineControl: number;
  modemControl: number;
  scratch: number;
  fifoEnabled: boolean;
  received: number[];
  transmitterInterrupt: boolean;
}

export class Uart16550 {
  private readonly transmit: (byte: number) => void;
  private readonly raise: () => void;
  private state: State = {
    divisor: 1,
    interruptEnable: 0,
    lineControl: 3,
    modemControl: 0,
    scratch: 0,
    fifoEnabled: false,
    received: [],
    transmitterInterrupt: false,
  };

  /** @param raise called on a rising edge of the interrupt line. */
  constructor(transmit: (byte: number) => void, raise: () => void) {
    this.transmit = transmit;
    this.raise = raise;
  }

  receive(byte: number): void {
    this.state.received.push(byte);
    if ((this.state.interruptEnable & INTERRUPT_RECEIVED) !== 0) this.raise();
  }

  /** @param register 0..7. */
  read(register: number): number {
    const { state } = this;
    switch (register) {
      case 0:
        return this.divisorLatch ? state.divisor & 0xff : (state.received.shift() ?? 0);
      case 1:
        return this.divisorLatch ? state.divisor >> 8 : state.interruptEnable;
      case 2: {
        const fifo = state.fifoEnabled ? 0xc0 : 0;
        if ((state.interruptEnable & INTERRUPT_RECEIVED) !== 0 && state.received.length > 0) return fifo | 4;
        if (state.transmitterInterrupt) {
          state.transmitterInterrupt = false;
          return fifo | 2;
        }
        return fifo | 1;
      }
      case 3:
        return state.lineControl;
      case 4:
        return state.modemControl;
      case 5:
        return 0x60 | (state.received.length > 0 ? 1 : 0);
      case 6:
        return 0xb0; // DCD, DSR, CTS
      default:
        return state.scratch;
    }
  }

  write(register: number, value: number): void {
    const { state } = this;
    switch (register) {
      case 0:
        if (this.divisorLatch) state.divisor = (state.divisor & 0xff00) | value;
        else {
          this.transmit(value);
          this.transmitterEmpty();
        }
        break;
      case 1:
        if (this.divisorLatch) state.divisor = (state.divisor & 0xff) | (value << 8);
        else {
          const enabled = value & ~state.interruptEnable;
          state.interruptEnable = value & 0xf;
          if ((enabled & INTERRUPT_TRANSMITTER_EMPTY) !== 0) this.transmitterEmpty();
          if ((enabled & INTERRUPT_RECEIVED) !== 0 && state.received.length > 0) this.raise();
        }
        break;
      case 2:
        state.fifoEnabled = (value & 1) !== 0;
        if ((value & 2) !== 0) state.received = [];
        break;
      case 3:
        state.lineControl = value;
        break;
      case 4:
        state.modemControl = value & 0x1f;
        break;
      case 7:
        state.scratch = value;
        break;
    }
  }

  save(): unknown {
    return { ...this.state, received: [...this.state.received] };
  }
  restore(data: unknown): void {
    const saved = data as State;
    this.state = { ...saved, received: [...saved.received] };
  }

  private get divisorLatch(): boolean {
    return (this.state.lineControl & 0x80) !== 0;
  }
  private transmitterEmpty(): void {
    if ((this.state.interruptEnable & INTERRUPT_TRANSMITTER_EMPTY) === 0) return;
    this.state.transmitterInterrupt = true;
    this.raise();
  }
}

/**
 * The keyboard controller (Intel 8042) of a PC without keyboard and mouse: its own commands are answered, the devices
 * behind it stay silent. Two of its output pins matter: address line 20 and the processors' reset.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".
 */
const STATUS_OUTPUT_FULL = 1;
const STATUS_SELF_TEST_PASSED = 4;
const STATUS_COMMAND = 8;
const STATUS_NOT_LOCKED = 0x10;
const PIN_NO_RESET = 1;
const PIN_A20 = 2;

export interface KeyboardControllerOptions {
  readonly setA20: (through: boolean) => void;
  readonly reset: () => void;
}

interface State {
  /** The command byte. */
  configuration: number;
  outputPort: number;
  output: number | undefined;
  lastWasCommand: boolean;
  /** Command that waits for its data byte; 0: none, data go to the keyboard. */
  command: number;
}

export class KeyboardController {
  private readonly options: KeyboardControllerOptions;
  /** Keyboard and mouse interfaces are off until somebody turns them on. */
  private state: State = { configuration: 0x30, outputPort: PIN_NO_RESET | PIN_A20, output: undefined, lastWasCommand: false, command: 0 };

  constructor(options: KeyboardControllerOptions) {
    this.options = options;
  }

  /** Ports 0x60 (data) and 0x64 (status). */
  read(port: number): number {
    const { state } = this;
    if (port === 0x64) {
      const full = state.output === undefined ? 0 : STATUS_OUTPUT_FULL;
      return full | STATUS_SELF_TEST_PASSED | (state.lastWasCommand ? STATUS_COMMAND : 0) | STATUS_NOT_LOCKED;
    }
    const value = state.output ?? 0;
    state.output = undefined;
    return value;
  }

  write(port: number, value: number): void {
    this.state.lastWasCommand = port === 0x64;
    if (port === 0x64) this.executeCommand(value);
    else this.takeData(value);
  }

  save(): unknown {
    return { ...this.state };
  }
  restore(data: unknown): void {
    this.state = { ...(data as State) };
  }

  private executeCommand(value: number): void {
    const { state } = this;
    state.command = 0;
    switch (value) {
      case 0x20:
        state.output = state.configuration;
        break;
      case 0xa7: // mouse interface off, on
      case 0xa8:
        state.configuration = value === 0xa7 ? state.configuration | 0x20 : state.configuration & ~0x20;
        break;
      case 0xaa:
        state.output = 0x55;
        break;
      case 0xa9: // interface tests: nothing found wrong
      case 0xab:
        state.output = 0;
        break;
      case 0xad: // keyboard interface off, on
      case 0xae:
        state.configuration = value === 0xad ? state.configuration | 0x10 : state.configuration & ~0x10;
        break;
      case 0xc0:
        state.output = 0x80; // input port: keyboard not locked
        break;
      case 0xd0:
        state.output = state.outputPort;
        break;
      case 0x60:
      case 0xd1:
      case 0xd2:
      case 0xd3:
      case 0xd4:
        state.command = value;
        break;
      default:
        // 0xf0..0xff pulse output pins; pin 0 is the reset.
        if (value >= 0xf0 && (value & 1) === 0) this.options.reset();
    }
  }

  private takeData(value: number): void {
    const { state } = this;
    const { command } = state;
    state.command = 0;
    switch (command) {
      case 0x60:
        state.configuration = value;
        break;
      case 0xd1:
        state.outputPort = value;
        this.options.setA20((value & PIN_A20) !== 0);
        if ((value & PIN_NO_RESET) === 0) this.options.reset();
        break;
      case 0xd2: // as if the keyboard or the mouse had sent it
      case 0xd3:
        state.output = value;
        break;
      // 0xd4 and no command: a byte for a mouse or a keyboard that is not there
    }
  }
}

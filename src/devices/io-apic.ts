/**
 * The I/O APIC: 24 inputs, each with an entry that makes a message of it. An edge is sent once; a level is sent again
 * when its interrupt has ended and the line is still up.
 * Sources: Intel 82093AA data sheet §3; ICH9 data sheet §13.5 (EOI register of version 0x20).
 */
import { DeliveryMode, type SendMessage } from './interrupt-message.ts';

export const IO_APIC_ADDRESS = 0xfec0_0000;
export const IO_APIC_PINS = 24;
const VERSION = 0x20 | ((IO_APIC_PINS - 1) << 16);

const LOGICAL = 1 << 11;
const REMOTE_IRR = 1 << 14;
const LEVEL = 1 << 15;
const MASKED = 1 << 16;
/** Delivery status (bit 12) and remote IRR are the chip's. */
const WRITABLE = 0x1_afff;

export class IoApic {
  private readonly send: SendMessage;
  private index = 0;
  private low = new Array<number>(IO_APIC_PINS).fill(MASKED);
  private high = new Array<number>(IO_APIC_PINS).fill(0);
  /** Inputs that are up, and edges that came while their entry was masked are lost, as on the chip. */
  private lines = 0;
  private idRegister = 0;

  constructor(send: SendMessage) {
    this.send = send;
  }

  /** The input's state as the device means it: true = asserted, whatever the entry's polarity. */
  setLine(pin: number, asserted: boolean): void {
    const bit = 1 << pin;
    const rises = asserted && (this.lines & bit) === 0;
    this.lines = asserted ? this.lines | bit : this.lines & ~bit;
    const entry = this.low[pin];
    if ((entry & MASKED) !== 0) return;
    if ((entry & LEVEL) !== 0) this.level(pin);
    else if (rises) this.message(pin);
  }

  /** A local APIC has ended a level-triggered interrupt. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < IO_APIC_PINS; pin++) {
      if ((this.low[pin] & 0xff) !== vector || (this.low[pin] & REMOTE_IRR) === 0) continue;
      this.low[pin] &= ~REMOTE_IRR;
      this.level(pin);
    }
  }

  /** Offsets in the page: 0 index, 0x10 data, 0x40 EOI. */
  read(offset: number): number {
    if (offset === 0) return this.index;
    return offset === 0x10 ? this.readRegister() : 0;
  }

  write(offset: number, value: number): void {
    if (offset === 0) this.index = value & 0xff;
    else if (offset === 0x10) this.writeRegister(value >>> 0);
    else if (offset === 0x40) this.endOfInterrupt(value & 0xff);
  }

  save(): unknown {
    return { index: this.index, low: [...this.low], high: [...this.high], lines: this.lines, id: this.idRegister };
  }
  restore(data: unknown): void {
    const saved = data as { index: number; low: number[]; high: number[]; lines: number; id: number };
    this.index = saved.index;
    this.low = [...saved.low];
    this.high = [...saved.high];
    this.lines = saved.lines;
    this.idRegister = saved.id;
  }

  private readRegister(): number {
    const { index } = this;
    if (index === 0 || index === 2) return this.idRegister;
    if (index === 1) return VERSION;
    const pin = (index - 0x10) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return 0;
    return (index & 1) === 0 ? this.low[pin] : this.high[pin];
  }

  private writeRegister(value: number): void {
    const { index } = this;
    if (index === 0) this.idRegister = value & 0x0f00_0000;
    const pin = (index - 0x10) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return;
    if ((index & 1) === 1) {
      this.high[pin] = (value & 0xff00_0000) >>> 0;
      return;
    }
    const kept = (value & LEVEL) !== 0 ? this.low[pin] & REMOTE_IRR : 0;
    this.low[pin] = (value & WRITABLE) | kept;
    this.level(pin);
  }

  /** Sends a level that is up and not in service yet. */
  private level(pin: number): void {
    const entry = this.low[pin];
    const wanted = (entry & (MASKED | REMOTE_IRR)) === 0 && (entry & LEVEL) !== 0 && (this.lines & (1 << pin)) !== 0;
    if (!wanted) return;
    this.low[pin] |= REMOTE_IRR;
    this.message(pin);
  }

  private message(pin: number): void {
    const entry = this.low[pin];
    const mode = (entry >> 8) & 7;
    this.send({
      mode,
      vector: entry & 0xff,
      destination: this.high[pin] >>> 24,
      logical: (entry & LOGICAL) !== 0,
      level: (entry & LEVEL) !== 0 && (mode === DeliveryMode.FIXED || mode === DeliveryMode.LOWEST),
    });
  }
}

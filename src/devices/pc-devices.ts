/**
 * The devices of the PC that guests of full mode see, on the bare machine and in a full domain alike. Port numbers and
 * addresses are the PC's.
 *   0x20 0x21 0xA0 0xA1 0x4D0 0x4D1   8259 interrupt controllers    0x40..0x43 0x61   8254 timer
 *   0x60 0x64   keyboard controller (no keyboard)                   0x70 0x71         clock and its memory, IRQ 8
 *   0x92        system control port A: address line 20, reset       0xCF9             reset control
 *   0x3F8..0x3FF   serial port, IRQ 4                               0xCF8 0xCFC       PCI configuration
 *   0x600..0x60B   ACPI: PM1 event and control, timer, IRQ 9        0xF4              debug exit: a write ends the run
 *   0xFEC00000     I/O APIC                                         0xFEE00000        local APIC of who asks
 *   where the guest puts them: registers of virtio devices on PCI, slots 2 to 31, pins 16 to 19 of the I/O APIC
 *   (DEVIATION: PCI interrupts do not reach the 8259s)
 * An interrupt line goes to the 8259s and to the I/O APIC alike, the timer to pin 2 of the latter; the guest masks the one
 * that it does not use.
 *
 * Time is a cycle counter: that of processor 0 for what all share, its own for each local APIC's timer.
 */
import { ACPI_PM_TIMER, ACPI_PORTS, ACPI_SCI, AcpiPower } from './acpi-power.ts';
import { CmosRtc } from './cmos-rtc.ts';
import { IO_APIC_ADDRESS, IoApic } from './io-apic.ts';
import { KeyboardController } from './keyboard-controller.ts';
import { LocalApics } from './local-apics.ts';
import { PCI_ADDRESS, PCI_DATA, PciHost } from './pci-host.ts';
import { Pic8259 } from './pic-8259.ts';
import { Pit8254 } from './pit-8254.ts';
import { Uart16550 } from './uart-16550.ts';
import type { VirtioDevice } from './virtio/device.ts';
import { VirtioPci } from './virtio/pci-transport.ts';
import type { DmaMemory } from './virtio/queue.ts';

export interface PcDevicesOptions {
  readonly tscKhz: number;
  readonly transmit: (byte: number) => void;
  /** The guest switched the machine off (`code` undefined) or wrote to the debug exit. */
  readonly powerOff: (code: number | undefined) => void;
  /** The guest asked for a reset of the machine. */
  readonly reset?: () => void;
  /** Address line 20 is held low, or not. Without this there is no such line. */
  readonly maskA20?: (masked: boolean) => void;
  /** A port that nothing answers, for `--trace unknown`. */
  readonly unknownPort?: (port: number, write: boolean) => void;
  /** Unix time in seconds at cycle 0. Default 0. */
  readonly epoch?: bigint;
  /** How many processors have a local APIC. Default 0: interrupts come from the 8259s alone. */
  readonly processors?: number;
  /** What CPUID says of them. */
  readonly apic?: { readonly x2apic: boolean; readonly tscDeadline: boolean; readonly physicalAddressBits: number };
  /** Messages to processors that are not interrupts by vector. */
  readonly nmi?: (cpu: number) => void;
  readonly init?: (cpu: number) => void;
  readonly startup?: (cpu: number, vector: number) => void;
  /** RAM for devices that reach it by themselves. */
  readonly memory?: DmaMemory;
  /** Each becomes a PCI device, in this order from slot 2 on. */
  readonly virtio?: readonly VirtioDevice[];
}

const SYSTEM_CONTROL_A = 0x92;
const RESET_CONTROL = 0xcf9;
const RESET_CPU = 4;
const A20_ENABLE = 2;
const TIMER_IRQ = 0;
/** The timer's input at the I/O APIC; the tables say so to the guest. */
const TIMER_PIN = 2;
const SERIAL_IRQ = 4;
const RTC_IRQ = 8;
/** Interrupt pins of PCI slots, four in turn; the tables say so to the guest. */
const PCI_FIRST_PIN = 16;
const FIRST_SLOT = 2;
const PAGE = 0x1000;

const NO_APIC = { x2apic: false, tscDeadline: false, physicalAddressBits: 36 };
const nothing = (): void => {};

export class PcDevices {
  readonly pic = new Pic8259();
  readonly pit: Pit8254;
  readonly serial: Uart16550;
  readonly rtc: CmosRtc;
  readonly acpi: AcpiPower;
  readonly keyboard: KeyboardController;
  readonly pci = new PciHost();
  readonly ioApic: IoApic;
  readonly apics: LocalApics;
  private readonly options: PcDevicesOptions;
  readonly virtio: readonly VirtioPci[];
  /** Slots whose interrupt pin is up, a bit each, by pin of the I/O APIC from 16 on. */
  private pciLines = [0, 0, 0, 0];
  private a20 = true;
  private resetControl = 0;

  constructor(options: PcDevicesOptions) {
    const { tscKhz, epoch = 0n, processors = 0, apic = NO_APIC } = options;
    this.options = options;
    this.pit = new Pit8254(tscKhz);
    this.serial = new Uart16550(options.transmit, (asserted) => this.setIrq(SERIAL_IRQ, asserted));
    this.rtc = new CmosRtc({ tscKhz, epoch, setLine: (asserted) => this.setIrq(RTC_IRQ, asserted) });
    this.acpi = new AcpiPower({
      tscKhz,
      powerOff: () => options.powerOff(undefined),
      setLine: (asserted) => this.setIrq(ACPI_SCI, asserted),
    });
    this.keyboard = new KeyboardController({ setA20: (through) => this.setA20(through), reset: () => options.reset?.() });
    this.apics = new LocalApics({
      ...apic,
      processors,
      tscKhz,
      endOfInterrupt: (vector) => this.ioApic.endOfInterrupt(vector),
      nmi: options.nmi ?? nothing,
      init: options.init ?? nothing,
      startup: options.startup ?? nothing,
    });
    this.ioApic = new IoApic((message) => this.apics.send(message));
    this.virtio = (options.virtio ?? []).map((device, n) => {
      if (options.memory === undefined) throw new Error('virtio devices need memory');
      const slot = FIRST_SLOT + n;
      const added = new VirtioPci({ memory: options.memory, device, setLine: (asserted) => this.setPciLine(slot, asserted) });
      this.pci.add(slot, 0, added.header);
      return added;
    });
  }

  /** INTA of a slot; slots share pins. */
  private setPciLine(slot: number, asserted: boolean): void {
    const line = slot & 3;
    const bit = 1 << slot;
    this.pciLines[line] = asserted ? this.pciLines[line] | bit : this.pciLines[line] & ~bit;
    this.ioApic.setLine(PCI_FIRST_PIN + line, this.pciLines[line] !== 0);
  }

  /** The line of a device of the PC, by its ISA number. */
  setIrq(irq: number, asserted: boolean): void {
    this.pic.setLine(irq, asserted);
    this.ioApic.setLine(irq, asserted);
  }

  /** Brings the shared devices up to `now` (cycles); an edge of the timer becomes a request at the controllers. */
  advance(now: bigint): void {
    if (this.pit.takeEdges(now)) {
      this.pic.raise(TIMER_IRQ);
      this.ioApic.setLine(TIMER_PIN, true);
      this.ioApic.setLine(TIMER_PIN, false);
    }
    this.rtc.advance(now);
    this.acpi.advance(now);
    for (const device of this.virtio) device.advance(now);
  }

  /** Next cycle at which something of the shared devices happens by itself. */
  nextEvent(): bigint | undefined {
    let next = earlier(earlier(this.pit.nextEdge(), this.rtc.nextEvent()), this.acpi.nextEvent());
    for (const device of this.virtio) next = earlier(next, device.nextEvent());
    return next;
  }

  /** Whether a processor's interrupt input is up; every processor has a local APIC then. */
  interruptPending(cpu: number): boolean {
    const apic = this.apics.all[cpu];
    return apic.pendingVector >= 0 || (this.pic.pending && apic.takesExternal);
  }

  /** Interrupt acknowledge: the vector, undefined when the request went away. */
  acknowledge(cpu: number): number | undefined {
    const apic = this.apics.all[cpu];
    if (this.pic.pending && apic.takesExternal) return this.pic.acknowledge();
    const vector = apic.acknowledge();
    return vector < 0 ? undefined : vector;
  }

  /**
   * Registers in memory; undefined: nothing answers. Registers of the APICs are 32 bits wide.
   */
  readMemory(cpu: number, address: number, size: 1 | 2 | 4, now: bigint): number | undefined {
    const apic = this.apics.all[cpu];
    const inPage = address % PAGE;
    const shift = (address & 3) * 8;
    if (apic?.page === address - inPage) return apic.readMemory(inPage & ~3, now) >>> shift;
    if (this.apics.all.length > 0 && address - inPage === IO_APIC_ADDRESS) return this.ioApic.read(inPage & ~3) >>> shift;
    for (const device of this.virtio) {
      const offset = device.offsetOf(address);
      if (offset !== undefined) return device.read(offset, size);
    }
    return undefined;
  }

  writeMemory(cpu: number, address: number, size: 1 | 2 | 4, value: number, now: bigint, shared: bigint): void {
    const apic = this.apics.all[cpu];
    const inPage = address % PAGE;
    if (apic?.page === address - inPage) {
      if (size === 4) apic.writeMemory(inPage, value, now);
    } else if (address - inPage === IO_APIC_ADDRESS) {
      if (size === 4) this.ioApic.write(inPage, value);
    } else {
      for (const device of this.virtio) {
        const offset = device.offsetOf(address);
        if (offset !== undefined) device.write(offset, size, value, shared);
      }
    }
  }

  read(port: number, size: 1 | 2 | 4, now: bigint): number {
    if (port >= PCI_ADDRESS && port < PCI_ADDRESS + 8 && port !== RESET_CONTROL) return this.pci.read(port, size);
    if (port === ACPI_PM_TIMER && size === 4) return this.acpi.timer(now);
    if (size !== 1) {
      let value = 0;
      for (let n = 0; n < size; n++) value += this.read(port + n, 1, now) * 2 ** (8 * n);
      return value;
    }
    if (port >= 0x3f8 && port <= 0x3ff) return this.serial.read(port - 0x3f8);
    if (port >= ACPI_PORTS && port < ACPI_PM_TIMER + 4) return this.acpi.read(port, now);
    switch (port) {
      case 0x20:
      case 0x21:
      case 0xa0:
      case 0xa1:
      case 0x4d0:
      case 0x4d1:
        return this.pic.read(port);
      case 0x40:
      case 0x41:
      case 0x42:
      case 0x43:
      case 0x61:
        return this.pit.read(port, now);
      case 0x60:
      case 0x64:
        return this.keyboard.read(port);
      case 0x70:
      case 0x71:
        return this.rtc.read(port, now);
      case SYSTEM_CONTROL_A:
        return this.options.maskA20 === undefined ? this.unknown(port) : this.a20 ? A20_ENABLE : 0;
      case RESET_CONTROL:
        return this.resetControl;
      default:
        return this.unknown(port);
    }
  }

  write(port: number, size: 1 | 2 | 4, value: number, now: bigint): void {
    if (port === 0xf4) {
      this.options.powerOff(value);
      return;
    }
    if (port >= PCI_ADDRESS && port < PCI_DATA + 4 && !(port === RESET_CONTROL && size === 1)) {
      this.pci.write(port, size, value);
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
    if (port >= ACPI_PORTS && port < ACPI_PM_TIMER + 4) {
      this.acpi.write(port, value, now);
      return;
    }
    switch (port) {
      case 0x20:
      case 0x21:
      case 0xa0:
      case 0xa1:
      case 0x4d0:
      case 0x4d1:
        this.pic.write(port, value);
        break;
      case 0x40:
      case 0x41:
      case 0x42:
      case 0x43:
      case 0x61:
        this.pit.write(port, value, now);
        break;
      case 0x60:
      case 0x64:
        this.keyboard.write(port, value);
        break;
      case 0x70:
      case 0x71:
        this.rtc.write(port, value, now);
        break;
      case SYSTEM_CONTROL_A:
        if (this.options.maskA20 === undefined) this.options.unknownPort?.(port, true);
        else this.setA20((value & A20_ENABLE) !== 0);
        if ((value & 1) !== 0) this.options.reset?.();
        break;
      case RESET_CONTROL:
        // A rising edge of bit 2 resets (bit 1: the whole machine, which is all the same here).
        if ((value & ~this.resetControl & RESET_CPU) !== 0) this.options.reset?.();
        this.resetControl = value & 0xa;
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
    if (this.options.maskA20 === undefined) return;
    this.a20 = through;
    this.options.maskA20(!through);
  }

  save(): unknown {
    const parts = this.parts();
    return {
      ...Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part.save()])),
      a20: this.a20,
      resetControl: this.resetControl,
      pciLines: [...this.pciLines],
    };
  }
  restore(data: unknown): void {
    const saved = data as Record<string, unknown> & { a20: boolean; resetControl: number; pciLines: number[] };
    for (const [name, part] of Object.entries(this.parts())) part.restore(saved[name]);
    this.setA20(saved.a20);
    this.resetControl = saved.resetControl;
    this.pciLines = [...saved.pciLines];
  }

  private parts(): Record<string, { save(): unknown; restore(data: unknown): void }> {
    const { pic, pit, serial, rtc, acpi, keyboard, pci, ioApic, apics } = this;
    const virtio = Object.fromEntries(this.virtio.map((device, n) => [`virtio ${n}`, device]));
    return { pic, pit, serial, rtc, acpi, keyboard, pci, ioApic, apics, ...virtio };
  }
}

function earlier(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined) return b;
  return b === undefined || a < b ? a : b;
}

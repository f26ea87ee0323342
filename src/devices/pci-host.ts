/**
 * PCI configuration access (mechanism 1) to the functions of bus 0, and the two that every machine has: the host bridge
 * and the bridge to the PC's own devices, which need nothing but their identity. Reads of absent functions are all ones.
 *   0xCF8 address, written as a double word     0xCFC..0xCFF data
 * Sources: PCI Local Bus Specification 3.0 §3.2.2.3.2 (mechanism 1), §6.1 (header), Intel 82441FX and 82371SB data sheets (ids).
 */
export interface PciFunction {
  /** `size` bytes at `offset` of its configuration space, not crossing a double word. */
  readConfig(offset: number, size: 1 | 2 | 4): number;
  writeConfig(offset: number, size: 1 | 2 | 4, value: number): void;
  save(): unknown;
  restore(data: unknown): void;
}

export const PCI_ADDRESS = 0xcf8;
export const PCI_DATA = 0xcfc;
const ENABLE = 0x8000_0000;

/** Bytes of configuration space with a mask of those bits that can be written. */
export class PciHeader implements PciFunction {
  readonly bytes = new Uint8Array(256);
  readonly writable = new Uint8Array(256);
  onWrite: () => void = () => {};

  constructor(vendor: number, device: number, classCode: number, revision: number) {
    this.setU16(0, vendor);
    this.setU16(2, device);
    this.bytes[8] = revision;
    this.bytes[9] = classCode & 0xff;
    this.bytes[10] = (classCode >> 8) & 0xff;
    this.bytes[11] = classCode >> 16;
    this.writable[0x3c] = 0xff; // interrupt line: a note of firmware to drivers
  }

  readConfig(offset: number, size: 1 | 2 | 4): number {
    let value = 0;
    for (let n = size - 1; n >= 0; n--) value = value * 256 + this.bytes[offset + n];
    return value;
  }

  writeConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    for (let n = 0; n < size; n++) {
      const mask = this.writable[offset + n];
      this.bytes[offset + n] = (this.bytes[offset + n] & ~mask) | ((value >>> (8 * n)) & mask);
    }
    this.onWrite();
  }

  setU16(offset: number, value: number): void {
    this.bytes[offset] = value & 0xff;
    this.bytes[offset + 1] = value >> 8;
  }

  save(): unknown {
    return this.bytes.slice();
  }
  restore(data: unknown): void {
    this.bytes.set(data as Uint8Array);
  }
}

export class PciHost {
  /** By device number << 3 | function number. */
  private readonly functions = new Map<number, PciFunction>();
  private address = 0;

  constructor() {
    const host = new PciHeader(0x8086, 0x1237, 0x060000, 2);
    const isa = new PciHeader(0x8086, 0x7000, 0x060100, 0);
    for (const bridge of [host, isa]) bridge.setU16(4, 0x0007); // ports, memory, bus master
    this.add(0, 0, host);
    this.add(1, 0, isa);
  }

  add(device: number, number: number, added: PciFunction): void {
    this.functions.set((device << 3) | number, added);
    const first = this.functions.get(device << 3);
    // Bit 7 of the header type of function 0 tells that there are more.
    if (number !== 0 && first instanceof PciHeader) first.bytes[0x0e] |= 0x80;
  }

  read(port: number, size: 1 | 2 | 4): number {
    if (port === PCI_ADDRESS && size === 4) return this.address;
    if (port < PCI_DATA) return 2 ** (8 * size) - 1;
    const found = this.selected();
    if (found === undefined) return 2 ** (8 * size) - 1;
    return found.readConfig((this.address & 0xfc) + (port & 3), size);
  }

  write(port: number, size: 1 | 2 | 4, value: number): void {
    if (port === PCI_ADDRESS && size === 4) this.address = (value & 0x80ff_fffc) >>> 0;
    if (port < PCI_DATA) return;
    this.selected()?.writeConfig((this.address & 0xfc) + (port & 3), size, value);
  }

  save(): unknown {
    return { address: this.address, functions: [...this.functions].map(([at, entry]) => [at, entry.save()]) };
  }
  restore(data: unknown): void {
    const saved = data as { address: number; functions: [number, unknown][] };
    this.address = saved.address;
    for (const [at, state] of saved.functions) this.functions.get(at)?.restore(state);
  }

  private selected(): PciFunction | undefined {
    const { address } = this;
    if ((address & ENABLE) === 0 || ((address >> 16) & 0xff) !== 0) return undefined;
    return this.functions.get((address >> 8) & 0xff);
  }
}

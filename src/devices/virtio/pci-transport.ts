/**
 * A virtio device as a PCI function (modern interface only): identity and capabilities in configuration space, one
 * region of memory with the registers, and interrupt pin INTA.
 *   +0x0000 common configuration   +0x1000 ISR   +0x2000 the device's configuration   +0x3000 notification
 * Source: VIRTIO 1.1 §4.1 (PCI transport), §2.1 (status), §2.2 (features).
 * DEVIATION: no VIRTIO_PCI_CAP_PCI_CFG and no MSI-X: drivers of memory space and INTx are served.
 */
import { PciHeader } from '../pci-host.ts';
import type { VirtioDevice, VirtioPort } from './device.ts';
import { type Chain, type DmaMemory, type QueueState, VirtioError, VirtQueue } from './queue.ts';

const VENDOR = 0x1af4;
const FIRST_DEVICE_ID = 0x1040;
export const VIRTIO_REGION_BYTES = 0x4000;
const VERSION_1 = 1n << 32n;
const STATUS_FEATURES_OK = 8;
const STATUS_DRIVER_OK = 4;
const STATUS_NEEDS_RESET = 0x40;
const ISR_QUEUE = 1;
const ISR_CONFIGURATION = 2;
const NO_VECTOR = 0xffff;
const COMMAND_MEMORY = 2;
const COMMAND_INTX_OFF = 0x400;
/** cfg_type and offset of the capabilities. */
const CAPABILITIES: readonly [type: number, offset: number, length: number][] = [
  [1, 0x0000, 0x38],
  [3, 0x1000, 1],
  [4, 0x2000, 0x100],
  [2, 0x3000, 0x1000],
];
const FIRST_CAPABILITY = 0x40;

interface Registers {
  status: number;
  deviceFeatureSelect: number;
  driverFeatureSelect: number;
  driverFeatures: bigint;
  queueSelect: number;
  isr: number;
}

const afterReset = (): Registers => ({
  status: 0,
  deviceFeatureSelect: 0,
  driverFeatureSelect: 0,
  driverFeatures: 0n,
  queueSelect: 0,
  isr: 0,
});

export interface VirtioPciOptions {
  readonly memory: DmaMemory;
  readonly device: VirtioDevice;
  /** The function's interrupt pin. */
  readonly setLine: (asserted: boolean) => void;
}

export class VirtioPci implements VirtioPort {
  readonly header: PciHeader;
  readonly memory: DmaMemory;
  private readonly device: VirtioDevice;
  private readonly setLine: (asserted: boolean) => void;
  private readonly queues: readonly VirtQueue[];
  private registers = afterReset();

  constructor({ memory, device, setLine }: VirtioPciOptions) {
    this.memory = memory;
    this.device = device;
    this.setLine = setLine;
    this.queues = device.queueSizes.map((size) => new VirtQueue(size));
    this.header = configurationSpace(device);
    this.header.onWrite = () => this.updateLine();
  }

  nextEvent(): bigint | undefined {
    return this.device.nextEvent();
  }

  advance(now: bigint): void {
    const next = this.device.nextEvent();
    if (next !== undefined && next <= now) this.guarded(() => this.device.advance(this, now));
  }

  /** Offset of an address in the registers; undefined: another address, or memory space is off. */
  offsetOf(address: number): number | undefined {
    const base = this.header.readConfig(0x10, 4);
    const on = (this.header.readConfig(4, 2) & COMMAND_MEMORY) !== 0 && base !== 0;
    return on && address >= base && address < base + VIRTIO_REGION_BYTES ? address - base : undefined;
  }

  read(offset: number, size: 1 | 2 | 4): number {
    if (offset < 0x1000) return this.readCommon(offset, size);
    if (offset < 0x2000) {
      if (offset !== 0x1000) return 0;
      const { isr } = this.registers;
      this.registers.isr = 0;
      this.updateLine();
      return isr;
    }
    if (offset >= 0x3000) return 0;
    let value = 0;
    for (let n = size - 1; n >= 0; n--) value = value * 256 + (this.device.configuration[offset - 0x2000 + n] ?? 0);
    return value;
  }

  write(offset: number, size: 1 | 2 | 4, value: number, now: bigint): void {
    if (offset < 0x1000) this.writeCommon(offset, size, value);
    else if (offset >= 0x3000) {
      // The offset tells the queue; so does the value.
      const queue = (offset - 0x3000) >> 2;
      const running = (this.registers.status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) === STATUS_DRIVER_OK;
      if (running && queue < this.queues.length) this.guarded(() => this.device.notified(this, queue, now));
    }
  }

  // --- VirtioPort -----------------------------------------------------------------------------------------------

  take(queue: number): Chain | undefined {
    return this.queues[queue].take(this.memory);
  }
  follow(queue: number, head: number): Chain {
    return this.queues[queue].follow(this.memory, head);
  }
  give(queue: number, head: number, written: number): void {
    if (this.queues[queue].give(this.memory, head, written)) this.interrupt(ISR_QUEUE);
  }

  /** Without configuration space, which the host bridge keeps. */
  save(): unknown {
    return {
      registers: { ...this.registers },
      queues: this.queues.map(({ state }) => ({ ...state })),
      device: this.device.save(),
    };
  }
  restore(data: unknown): void {
    const saved = data as { registers: Registers; queues: QueueState[]; device: unknown };
    this.registers = { ...saved.registers };
    for (const [n, queue] of this.queues.entries()) queue.state = { ...saved.queues[n] };
    this.device.restore(saved.device);
  }

  // --- inside ---------------------------------------------------------------------------------------------------

  /** A driver's broken ring stops the device until it is reset (VIRTIO 1.1 §2.1.2). */
  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof VirtioError)) throw error;
      this.registers.status |= STATUS_NEEDS_RESET;
      this.interrupt(ISR_CONFIGURATION);
    }
  }

  private interrupt(bit: number): void {
    this.registers.isr |= bit;
    this.updateLine();
  }

  private updateLine(): void {
    const off = (this.header.readConfig(4, 2) & COMMAND_INTX_OFF) !== 0;
    this.setLine(this.registers.isr !== 0 && !off);
  }

  private get features(): bigint {
    return this.device.features | VERSION_1;
  }
  private get queue(): VirtQueue | undefined {
    return this.queues[this.registers.queueSelect];
  }

  private readCommon(offset: number, size: 1 | 2 | 4): number {
    const { registers } = this;
    const state = this.queue?.state;
    switch (offset) {
      case 0x00:
        return registers.deviceFeatureSelect;
      case 0x04:
        return half(this.features, registers.deviceFeatureSelect);
      case 0x08:
        return registers.driverFeatureSelect;
      case 0x0c:
        return half(registers.driverFeatures, registers.driverFeatureSelect);
      case 0x10:
      case 0x1a:
        return NO_VECTOR;
      case 0x12:
        return this.queues.length;
      case 0x14:
        return registers.status;
      case 0x16:
        return registers.queueSelect;
      case 0x18:
        return state?.size ?? 0;
      case 0x1c:
        return state?.enabled === true ? 1 : 0;
      case 0x1e:
        return registers.queueSelect;
      default:
        return offset >= 0x20 && offset < 0x38 && size === 4 && state !== undefined
          ? half(state[addressField(offset)], (offset >> 2) & 1)
          : 0;
    }
  }

  private writeCommon(offset: number, size: 1 | 2 | 4, value: number): void {
    const { registers } = this;
    const state = this.queue?.state;
    switch (offset) {
      case 0x00:
        registers.deviceFeatureSelect = value;
        return;
      case 0x08:
        registers.driverFeatureSelect = value;
        return;
      case 0x0c:
        registers.driverFeatures = withHalf(registers.driverFeatures, registers.driverFeatureSelect, value);
        return;
      case 0x14:
        this.writeStatus(value & 0xff);
        return;
      case 0x16:
        registers.queueSelect = value & 0xffff;
        return;
      case 0x18:
        // A power of two up to the device's maximum.
        if (state !== undefined && value > 0 && value <= (this.queue?.maximum ?? 0) && (value & (value - 1)) === 0) state.size = value;
        return;
      case 0x1c:
        if (state !== undefined && value === 1) state.enabled = true;
        return;
    }
    if (offset < 0x20 || offset >= 0x38 || size !== 4 || state === undefined || state.enabled) return;
    const field = addressField(offset);
    state[field] = withHalf(state[field], (offset >> 2) & 1, value);
  }

  private writeStatus(value: number): void {
    const { registers } = this;
    if (value === 0) {
      this.registers = afterReset();
      for (const queue of this.queues) queue.reset();
      this.device.reset();
      this.updateLine();
      return;
    }
    // Features that were not offered, or the old interface, are not agreed to.
    const agreed = (registers.driverFeatures & ~this.features) === 0n && (registers.driverFeatures & VERSION_1) !== 0n;
    registers.status = (agreed ? value : value & ~STATUS_FEATURES_OK) | (registers.status & STATUS_NEEDS_RESET);
  }
}

function addressField(offset: number): 'descriptors' | 'driver' | 'device' {
  return (['descriptors', 'driver', 'device'] as const)[(offset - 0x20) >> 3];
}

/** 32 bits of a value; others than the first two words are zero. */
function half(value: bigint, index: number): number {
  return index > 1 ? 0 : Number((value >> BigInt(32 * index)) & 0xffff_ffffn);
}

function withHalf(value: bigint, index: number, word: number): bigint {
  if (index > 1) return value;
  const shift = BigInt(32 * index);
  return (value & ~(0xffff_ffffn << shift)) | (BigInt(word >>> 0) << shift);
}

function configurationSpace(device: VirtioDevice): PciHeader {
  const header = new PciHeader(VENDOR, FIRST_DEVICE_ID + device.type, device.classCode, 1);
  header.setU16(0x06, 0x0010); // there is a list of capabilities
  header.setU16(0x2c, VENDOR);
  header.setU16(0x2e, device.type);
  header.bytes[0x34] = FIRST_CAPABILITY;
  header.bytes[0x3d] = 1; // INTA
  header.writable[4] = 0x06; // memory space, bus master
  header.writable[5] = 0x04; // INTx off
  // The region's size shows in the address bits that cannot be written.
  header.writable.set([0, (-VIRTIO_REGION_BYTES >> 8) & 0xff, 0xff, 0xff], 0x10);
  let at = FIRST_CAPABILITY;
  for (const [n, [type, offset, length]] of CAPABILITIES.entries()) {
    const bytes = type === 2 ? 20 : 16;
    const last = n === CAPABILITIES.length - 1;
    header.bytes.set([9, last ? 0 : at + bytes, bytes, type, 0], at);
    const view = new DataView(header.bytes.buffer, header.bytes.byteOffset);
    view.setUint32(at + 8, offset, true);
    view.setUint32(at + 12, length, true);
    if (type === 2) view.setUint32(at + 16, 4, true); // distance of the queues' notification addresses
    at += bytes;
  }
  return header;
}

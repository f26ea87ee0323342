/**
 * A split virtqueue as the device sees it: takes chains of buffers that the driver made available, and gives them back
 * used. What a driver writes is not trusted: a chain that loops, leaves memory or mixes its order is an error, after
 * which the device needs a reset.
 * Source: Virtual I/O Device (VIRTIO) 1.1 §2.6 (split virtqueues).
 * Left out: indirect descriptors, event index, packed queues (their feature bits are not offered).
 */

/** The memory that a device reaches by itself. */
export interface DmaMemory {
  readonly size: number;
  readBytes(address: number, length: number): Uint8Array;
  writeBytes(address: number, bytes: Uint8Array): void;
}

/** A driver broke the rules. */
export class VirtioError extends Error {}

export interface Buffer {
  readonly address: number;
  readonly length: number;
}

/** What one request consists of: buffers that the device reads, then buffers that it writes. */
export interface Chain {
  readonly head: number;
  readonly readable: readonly Buffer[];
  readonly writable: readonly Buffer[];
}

const DESCRIPTOR_NEXT = 1;
const DESCRIPTOR_WRITE = 2;
const DESCRIPTOR_INDIRECT = 4;
const NO_INTERRUPT = 1;

export interface QueueState {
  size: number;
  enabled: boolean;
  descriptors: bigint;
  driver: bigint;
  device: bigint;
  nextAvailable: number;
  nextUsed: number;
}

export class VirtQueue {
  readonly maximum: number;
  state: QueueState;

  constructor(maximum: number) {
    this.maximum = maximum;
    this.state = this.initial();
  }

  reset(): void {
    this.state = this.initial();
  }

  /** The next chain that the driver has made available; undefined: none. */
  take(memory: DmaMemory): Chain | undefined {
    const { state } = this;
    if (!state.enabled) return undefined;
    const available = read16(memory, at(state.driver, 2));
    const waiting = (available - state.nextAvailable) & 0xffff;
    if (waiting === 0) return undefined;
    if (waiting > state.size) throw new VirtioError(`${waiting} chains in a queue of ${state.size}`);
    const head = read16(memory, at(state.driver, 4 + 2 * (state.nextAvailable % state.size)));
    state.nextAvailable = (state.nextAvailable + 1) & 0xffff;
    return this.follow(memory, head);
  }

  /** The chain of a descriptor. */
  follow(memory: DmaMemory, head: number): Chain {
    const { state } = this;
    const readable: Buffer[] = [];
    const writable: Buffer[] = [];
    for (let index = head, count = 0; ; count++) {
      if (index >= state.size || count >= state.size) throw new VirtioError(`descriptor ${index} of a queue of ${state.size}`);
      const bytes = checked(memory, at(state.descriptors, 16 * index), 16);
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const address = view.getBigUint64(0, true);
      const length = view.getUint32(8, true);
      const flags = view.getUint16(12, true);
      if ((flags & DESCRIPTOR_INDIRECT) !== 0) throw new VirtioError('an indirect descriptor');
      if (address + BigInt(length) > BigInt(memory.size)) throw new VirtioError(`buffer at 0x${address.toString(16)} outside memory`);
      const buffer = { address: Number(address), length };
      if ((flags & DESCRIPTOR_WRITE) !== 0) writable.push(buffer);
      else if (writable.length > 0) throw new VirtioError('a readable buffer behind a writable one');
      else readable.push(buffer);
      if ((flags & DESCRIPTOR_NEXT) === 0) return { head, readable, writable };
      index = view.getUint16(14, true);
    }
  }

  /** Gives a chain back with `written` bytes in its writable buffers. True: the driver wants an interrupt. */
  give(memory: DmaMemory, head: number, written: number): boolean {
    const { state } = this;
    const entry = new Uint8Array(8);
    const view = new DataView(entry.buffer);
    view.setUint32(0, head, true);
    view.setUint32(4, written, true);
    write(memory, at(state.device, 4 + 8 * (state.nextUsed % state.size)), entry);
    state.nextUsed = (state.nextUsed + 1) & 0xffff;
    write(memory, at(state.device, 2), Uint8Array.of(state.nextUsed & 0xff, state.nextUsed >> 8));
    return (read16(memory, at(state.driver, 0)) & NO_INTERRUPT) === 0;
  }

  private initial(): QueueState {
    return { size: this.maximum, enabled: false, descriptors: 0n, driver: 0n, device: 0n, nextAvailable: 0, nextUsed: 0 };
  }
}

/** All bytes of buffers, in order. */
export function gather(memory: DmaMemory, buffers: readonly Buffer[]): Uint8Array {
  const bytes = new Uint8Array(buffers.reduce((sum, { length }) => sum + length, 0));
  let done = 0;
  for (const { address, length } of buffers) {
    bytes.set(memory.readBytes(address, length), done);
    done += length;
  }
  return bytes;
}

/** Spreads bytes over buffers; returns how many found room. */
export function scatter(memory: DmaMemory, buffers: readonly Buffer[], bytes: Uint8Array): number {
  let done = 0;
  for (const { address, length } of buffers) {
    if (done >= bytes.length) break;
    const part = bytes.subarray(done, done + length);
    memory.writeBytes(address, part);
    done += part.length;
  }
  return done;
}

export function lengthOf(buffers: readonly Buffer[]): number {
  return buffers.reduce((sum, { length }) => sum + length, 0);
}

function at(base: bigint, offset: number): bigint {
  return base + BigInt(offset);
}

function checked(memory: DmaMemory, address: bigint, length: number): Uint8Array {
  if (address + BigInt(length) > BigInt(memory.size)) throw new VirtioError(`ring at 0x${address.toString(16)} outside memory`);
  return memory.readBytes(Number(address), length);
}

function read16(memory: DmaMemory, address: bigint): number {
  const [low, high] = checked(memory, address, 2);
  return low | (high << 8);
}

function write(memory: DmaMemory, address: bigint, bytes: Uint8Array): void {
  if (address + BigInt(bytes.length) > BigInt(memory.size)) throw new VirtioError(`ring at 0x${address.toString(16)} outside memory`);
  memory.writeBytes(Number(address), bytes);
}

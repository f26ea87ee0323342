/**
 * virtio net: frames go to whatever is at the other end of the wire, and its answers come back after the time that a
 * wire takes.
 * Source: VIRTIO 1.1 §5.1 (network device), without offloads.
 */
import type { VirtioDevice, VirtioPort } from './device.ts';
import { gather, scatter } from './queue.ts';

/** The other end. */
export interface Wire {
  answer(frame: Uint8Array): Uint8Array[];
  save(): unknown;
  restore(data: unknown): void;
}

const RECEIVE = 0;
const TRANSMIT = 1;
const FEATURE_MAC = 1n << 5n;
const FEATURE_STATUS = 1n << 16n;
const LINK_UP = 1;
/** struct virtio_net_hdr with num_buffers. */
const HEADER_BYTES = 12;
const WIRE_NANOSECONDS = 20_000n;
const BYTE_NANOSECONDS = 8n; // a gigabit a second
/** Frames that wait for buffers of the driver; more are lost. */
const MOST_WAITING = 1024;

interface Arriving {
  due: bigint;
  frame: Uint8Array;
}

export class VirtioNet implements VirtioDevice {
  readonly type = 1;
  readonly classCode = 0x020000;
  readonly features = FEATURE_MAC | FEATURE_STATUS;
  readonly queueSizes = [256, 256];
  readonly configuration: Uint8Array;
  private readonly wire: Wire;
  private readonly tscKhz: bigint;
  private arriving: Arriving[] = [];
  /** The first frame is due, but the driver had no buffer. */
  private starved = false;

  constructor(wire: Wire, mac: readonly number[], tscKhz: number) {
    this.wire = wire;
    this.tscKhz = BigInt(tscKhz);
    this.configuration = Uint8Array.from([...mac, LINK_UP, 0]);
  }

  notified(port: VirtioPort, queue: number, now: bigint): void {
    if (queue === RECEIVE) {
      this.starved = false;
      this.advance(port, now);
      return;
    }
    for (let chain = port.take(TRANSMIT); chain !== undefined; chain = port.take(TRANSMIT)) {
      const frame = gather(port.memory, chain.readable).subarray(HEADER_BYTES);
      port.give(TRANSMIT, chain.head, 0);
      for (const answer of this.wire.answer(frame)) this.send(answer, BigInt(frame.length), now);
    }
  }

  nextEvent(): bigint | undefined {
    return this.starved ? undefined : this.arriving[0]?.due;
  }

  advance(port: VirtioPort, now: bigint): void {
    while (this.arriving.length > 0 && this.arriving[0].due <= now) {
      const chain = port.take(RECEIVE);
      this.starved = chain === undefined;
      if (chain === undefined) return;
      const { frame } = this.arriving.shift() as Arriving;
      const bytes = new Uint8Array(HEADER_BYTES + frame.length);
      bytes[10] = 1; // num_buffers
      bytes.set(frame, HEADER_BYTES);
      port.give(RECEIVE, chain.head, scatter(port.memory, chain.writable, bytes));
    }
  }

  reset(): void {
    this.arriving = [];
    this.starved = false;
  }

  save(): unknown {
    return {
      arriving: this.arriving.map(({ due, frame }) => ({ due, frame: frame.slice() })),
      starved: this.starved,
      wire: this.wire.save(),
    };
  }
  restore(data: unknown): void {
    const saved = data as { arriving: Arriving[]; starved: boolean; wire: unknown };
    this.arriving = saved.arriving.map(({ due, frame }) => ({ due, frame: frame.slice() }));
    this.starved = saved.starved;
    this.wire.restore(saved.wire);
  }

  /** There and back; frames keep their order. */
  private send(frame: Uint8Array, sentBytes: bigint, now: bigint): void {
    if (this.arriving.length >= MOST_WAITING) return;
    const nanoseconds = 2n * WIRE_NANOSECONDS + (sentBytes + BigInt(frame.length)) * BYTE_NANOSECONDS;
    const due = now + (nanoseconds * this.tscKhz) / 1_000_000n;
    const last = this.arriving.at(-1)?.due ?? 0n;
    this.arriving.push({ due: due > last ? due : last, frame });
  }
}

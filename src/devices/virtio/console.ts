/**
 * virtio console with one port: what the driver sends goes out at once, what comes in waits for its buffers.
 * Source: VIRTIO 1.1 §5.3 (console device), without the features SIZE and MULTIPORT.
 */
import type { VirtioDevice, VirtioPort } from './device.ts';
import { gather, lengthOf, scatter } from './queue.ts';

const RECEIVE = 0;
const TRANSMIT = 1;

export class VirtioConsole implements VirtioDevice {
  readonly type = 3;
  readonly classCode = 0x078000;
  readonly features = 0n;
  readonly queueSizes = [64, 64];
  readonly configuration = new Uint8Array(12);
  private readonly transmit: (bytes: Uint8Array) => void;
  private input: number[] = [];
  /** The driver had no buffers when input was there. */
  private starved = false;

  constructor(transmit: (bytes: Uint8Array) => void) {
    this.transmit = transmit;
  }

  /** Bytes arrive; they reach the driver at the device's next occasion. */
  receive(bytes: Uint8Array): void {
    this.input.push(...bytes);
  }

  notified(port: VirtioPort, queue: number): void {
    if (queue === RECEIVE) {
      this.deliver(port);
      return;
    }
    for (let chain = port.take(TRANSMIT); chain !== undefined; chain = port.take(TRANSMIT)) {
      this.transmit(gather(port.memory, chain.readable));
      port.give(TRANSMIT, chain.head, 0);
    }
  }

  /** Input is due at once; what the driver has no buffers for waits until it notifies. */
  nextEvent(): bigint | undefined {
    return this.input.length > 0 && !this.starved ? 0n : undefined;
  }
  advance(port: VirtioPort): void {
    this.deliver(port);
  }
  reset(): void {
    this.input = [];
    this.starved = false;
  }
  save(): unknown {
    return { input: [...this.input], starved: this.starved };
  }
  restore(data: unknown): void {
    const saved = data as { input: number[]; starved: boolean };
    this.input = [...saved.input];
    this.starved = saved.starved;
  }

  private deliver(port: VirtioPort): void {
    while (this.input.length > 0) {
      const chain = port.take(RECEIVE);
      this.starved = chain === undefined;
      if (chain === undefined) return;
      const bytes = Uint8Array.from(this.input.splice(0, lengthOf(chain.writable)));
      port.give(RECEIVE, chain.head, scatter(port.memory, chain.writable, bytes));
    }
  }
}

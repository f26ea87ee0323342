/** What a kind of virtio device adds to the transport: its numbers, its configuration, and what it does with its queues. */
import type { Chain, DmaMemory } from './queue.ts';

/** The transport, as a device uses it. */
export interface VirtioPort {
  readonly memory: DmaMemory;
  /** The next available chain of a queue. */
  take(queue: number): Chain | undefined;
  /** A chain that was taken before, by its head. */
  follow(queue: number, head: number): Chain;
  /** Gives a chain back, and interrupts the driver if it wants to know. */
  give(queue: number, head: number, written: number): void;
}

export interface VirtioDevice {
  /** VIRTIO 1.1 §5: 1 net, 2 block, 3 console, 4 entropy. */
  readonly type: number;
  readonly classCode: number;
  /** Without VIRTIO_F_VERSION_1, which all have. */
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  /** The device's own configuration, read-only to the driver. */
  readonly configuration: Uint8Array;
  /** The driver has made buffers available. */
  notified(port: VirtioPort, queue: number, now: bigint): void;
  nextEvent(): bigint | undefined;
  advance(port: VirtioPort, now: bigint): void;
  /** The driver resets it: requests in flight are forgotten. */
  reset(): void;
  save(): unknown;
  restore(data: unknown): void;
}

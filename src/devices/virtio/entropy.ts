/**
 * virtio entropy: fills buffers with numbers of the run's seed, so that two runs agree.
 * Source: VIRTIO 1.1 §5.4 (entropy device).
 */
import { nextU64, type RandomState, seedRandom } from '../../base/random.ts';
import type { VirtioDevice, VirtioPort } from './device.ts';
import { lengthOf, scatter } from './queue.ts';

/** Longest answer: a driver that asks for more asks again. */
const MOST_BYTES = 4096;

export class VirtioEntropy implements VirtioDevice {
  readonly type = 4;
  readonly classCode = 0x00ff00;
  readonly features = 0n;
  readonly queueSizes = [8];
  readonly configuration = new Uint8Array(0);
  private random: RandomState;

  constructor(seed: bigint) {
    this.random = seedRandom(seed);
  }

  notified(port: VirtioPort, queue: number): void {
    for (let chain = port.take(queue); chain !== undefined; chain = port.take(queue)) {
      const bytes = new Uint8Array(Math.min(MOST_BYTES, lengthOf(chain.writable)));
      for (let n = 0; n < bytes.length; n += 8) {
        const word = nextU64(this.random);
        for (let k = n; k < Math.min(n + 8, bytes.length); k++) bytes[k] = Number((word >> BigInt(8 * (k - n))) & 0xffn);
      }
      port.give(queue, chain.head, scatter(port.memory, chain.writable, bytes));
    }
  }

  nextEvent(): undefined {
    return undefined;
  }
  advance(): void {
    // Answers at once.
  }
  reset(): void {
    // Nothing is in flight.
  }
  save(): unknown {
    return { words: [...this.random.words] };
  }
  restore(data: unknown): void {
    this.random = { words: [...(data as RandomState).words] };
  }
}

/**
 * Bytes in the order of their arrival, taken off in the lengths that a protocol wants. A piece that lies inside one
 * arrival is a view of it; only what spans several is copied.
 */

import { assert } from '../../base/errors.ts';

export class ByteQueue {
  #pieces: Uint8Array[] = [];
  #length = 0;

  /** Bytes that have arrived and were not taken. */
  get length(): number {
    return this.#length;
  }

  /** Adds bytes, which belong to the queue from now on. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#length += bytes.length;
  }

  /** The next `count` bytes, or null while they have not all arrived. */
  take(count: number): Uint8Array | null {
    if (count > this.#length) return null;
    const first = this.#pieces[0];
    if (count === 0 || first === undefined) return new Uint8Array(0);
    this.#length -= count;
    if (first.length > count) {
      this.#pieces[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    if (first.length === count) {
      this.#pieces.shift();
      return first;
    }
    return this.#join(count);
  }

  #join(count: number): Uint8Array {
    const whole = new Uint8Array(count);
    let at = 0;
    let used = 0;
    while (at < count) {
      const piece = this.#pieces[used];
      assert(piece, 'the queue is shorter than its length says');
      const step = Math.min(piece.length, count - at);
      whole.set(piece.subarray(0, step), at);
      at += step;
      if (step === piece.length) used++;
      else this.#pieces[used] = piece.subarray(step);
    }
    this.#pieces.splice(0, used);
    return whole;
  }
}

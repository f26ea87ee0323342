/** Interrupt requests of one processor by vector, highest first: the request register of a local APIC (SDM 3A §10.8.4). */
export class RequestedInterrupts {
  private words = new Uint32Array(8);

  add(vector: number): void {
    this.words[vector >> 5] |= 1 << (vector & 31);
  }

  get any(): boolean {
    return this.words.some((word) => word !== 0);
  }

  /** Takes the highest vector; undefined when there is none. */
  take(): number | undefined {
    for (let word = 7; word >= 0; word--) {
      if (this.words[word] === 0) continue;
      const bit = 31 - Math.clz32(this.words[word]);
      this.words[word] &= ~(1 << bit);
      return word * 32 + bit;
    }
    return undefined;
  }

  save(): Uint32Array {
    return this.words.slice();
  }
  restore(data: Uint32Array): void {
    this.words = data.slice();
  }
}

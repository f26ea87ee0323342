/** A set of the 256 interrupt vectors, as the request and service registers of a local APIC hold it (SDM 3A §10.8.4). */
export class VectorSet {
  readonly words = new Uint32Array(8);

  add(vector: number): void {
    this.words[vector >> 5] |= 1 << (vector & 31);
  }

  delete(vector: number): void {
    this.words[vector >> 5] &= ~(1 << (vector & 31));
  }

  has(vector: number): boolean {
    return (this.words[vector >> 5] & (1 << (vector & 31))) !== 0;
  }

  /** Highest vector, or -1. */
  get highest(): number {
    for (let word = 7; word >= 0; word--) {
      const bits = this.words[word];
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
    }
    return -1;
  }

  clear(): void {
    this.words.fill(0);
  }
}

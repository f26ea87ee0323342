/**
 * Where the generator of programs takes its decisions from: a seeded stream for long runs, or a tape of numbers that a
 * property test shrinks (zero is the plainest choice everywhere, and a tape that has run out answers zero).
 *
 * The stream is sfc32 and not base/random.ts, whose words of 64 bits cost more than the programs themselves.
 * Source: Chris Doty-Humphrey, PractRand, "sfc" (small fast counting generator), 32-bit variant.
 */

export interface Choices {
  /** A whole number in 0..bound-1. */
  below(bound: number): number;
  /** Any 32 bits, unsigned. */
  u32(): number;
}

export class SeededChoices implements Choices {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number, stream = 0) {
    this.a = seed | 0;
    this.b = stream | 0;
    this.c = Math.floor(seed / 2 ** 32) | 0;
    for (let n = 0; n < 12; n++) this.u32();
  }

  u32(): number {
    const mixed = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + mixed) | 0;
    return mixed >>> 0;
  }

  below(bound: number): number {
    return Math.floor((this.u32() / 2 ** 32) * bound);
  }
}

export class TapeChoices implements Choices {
  private readonly tape: readonly number[];
  private at = 0;

  constructor(tape: readonly number[]) {
    this.tape = tape;
  }

  u32(): number {
    return (this.tape[this.at++] ?? 0) >>> 0;
  }

  below(bound: number): number {
    return this.u32() % bound;
  }
}

export function pick<T>(choices: Choices, from: readonly T[]): T {
  return from[choices.below(from.length)] as T;
}

/** True once in `n`. */
export function oneIn(choices: Choices, n: number): boolean {
  return choices.below(n) === n - 1;
}

import { describe, expect, it } from 'vitest';
import { fillRandom, nextBelow, nextU32, nextU64, seedRandom } from '../../src/base/random.ts';

describe('xoshiro256**', () => {
  it('gives the sequence of the reference code from the state 1, 2, 3, 4', () => {
    const state = { words: [1n, 2n, 3n, 4n] as [bigint, bigint, bigint, bigint] };
    expect([1, 2, 3, 4, 5].map(() => nextU64(state))).toEqual([11520n, 0n, 1509978240n, 1215971899390074240n, 1216172134540287360n]);
  });

  it('is seeded by SplitMix64: seed 0 gives its published first outputs', () => {
    expect(seedRandom(0n).words.slice(0, 2)).toEqual([0xe220a8397b1dcdafn, 0x6e789e6aa1b965f4n]);
  });

  it('goes on from a copy of its state as from the state itself', () => {
    const state = seedRandom(42n);
    nextU64(state);
    const copy = structuredClone(state);
    expect([nextU64(copy), nextU32(copy)]).toEqual([nextU64(state), nextU32(state)]);
  });

  it('draws each number below a bound about equally often', () => {
    const state = seedRandom(7n);
    const counts = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < 6000; i++) counts[nextBelow(state, 6)]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('refuses a bound that has no number below it', () => {
    expect(() => nextBelow(seedRandom(1n), 0)).toThrow('nextBelow(0): bound out of range');
  });

  it('fills bytes low byte first, a part of the last word too', () => {
    const bytes = new Uint8Array(11);
    fillRandom(seedRandom(3n), bytes);
    const state = seedRandom(3n);
    const [first, second] = [nextU64(state), nextU64(state)];
    const view = new DataView(bytes.buffer);
    expect([view.getBigUint64(0, true), BigInt(view.getUint16(8, true) | (bytes[10]! << 16))]).toEqual([first, second & 0xff_ffffn]);
  });
});

/**
 * Guest-physical memory of a full domain: guest frame -> machine frame (Domain.p2m), as the second stage of translation.
 * The table grows with the highest frame used, up to {@link maxGuestFrames}.
 *
 * A 2 MiB leaf stands where the profile allows it and 512 guest frames, aligned, map 512 machine frames, aligned and in
 * order: a fact of the map, found when first asked for and forgotten at every change.
 * Source: SDM 3C §28.3.2 (EPT leaves).
 */

import type { SecondStage } from '../../platform/virtualization.ts';
import type { Domain } from '../domain.ts';

/** 16 GiB of guest-physical addresses. */
export const maxGuestFrames = 1 << 22;
const firstFrames = 1 << 12;
const largeFrames = 512;

const Leaf = { unknown: 0, small: 1, large: 2 } as const;

export class Physmap implements SecondStage {
  readonly #domain: Domain;
  readonly #largestLeaf: 12 | 21;
  #leaves: Uint8Array;
  generation = 1;

  /** Gives the domain its empty map. */
  constructor(domain: Domain, largestLeaf: 12 | 21) {
    this.#domain = domain;
    this.#largestLeaf = largestLeaf;
    domain.p2m ??= new Int32Array(firstFrames).fill(-1);
    this.#leaves = new Uint8Array(Math.ceil(domain.p2m.length / largeFrames));
  }

  get #map(): Int32Array {
    return this.#domain.p2m as Int32Array;
  }

  /** Guest frames that the table has room for now. */
  get frameCount(): number {
    return this.#map.length;
  }

  machineFrame(guestFrame: number): number {
    return this.#map[guestFrame] ?? -1;
  }

  writable(): boolean {
    return true;
  }

  leafShift(guestFrame: number): 12 | 21 {
    if (this.#largestLeaf === 12) return 12;
    const region = Math.floor(guestFrame / largeFrames);
    let leaf = this.#leaves[region] ?? Leaf.small;
    if (leaf === Leaf.unknown) {
      leaf = this.#isLarge(region) ? Leaf.large : Leaf.small;
      this.#leaves[region] = leaf;
    }
    return leaf === Leaf.large ? 21 : 12;
  }

  /** Maps a guest frame, or unmaps it with -1. False: no guest has such a frame. */
  set(guestFrame: number, frame: number): boolean {
    if (!Number.isSafeInteger(guestFrame) || guestFrame < 0 || guestFrame >= maxGuestFrames) return false;
    if (guestFrame >= this.#map.length) {
      if (frame < 0) return true;
      this.#grow(guestFrame);
    }
    if (this.#map[guestFrame] === frame) return true;
    this.#map[guestFrame] = frame;
    this.#leaves[Math.floor(guestFrame / largeFrames)] = Leaf.unknown;
    this.generation++;
    return true;
  }

  clear(): void {
    this.#map.fill(-1);
    this.#leaves.fill(Leaf.unknown);
    this.generation++;
  }

  #grow(guestFrame: number): void {
    let length = this.#map.length;
    while (length <= guestFrame) length *= 2;
    const map = new Int32Array(length).fill(-1);
    map.set(this.#map);
    this.#domain.p2m = map;
    const leaves = new Uint8Array(Math.ceil(length / largeFrames));
    leaves.set(this.#leaves);
    this.#leaves = leaves;
  }

  #isLarge(region: number): boolean {
    const first = region * largeFrames;
    const base = this.#map[first] ?? -1;
    if (base < 0 || base % largeFrames !== 0) return false;
    for (let i = 1; i < largeFrames; i++) if (this.#map[first + i] !== base + i) return false;
    return true;
  }
}

/**
 * The erasure code over shares in a memory of its own: put data into the first k slots and encode, or put any k shares
 * into their slots and reconstruct the others. Works on a piece of an object at a time; every 128 bytes of a share
 * depend only on the same 128 bytes of the others, so a caller may stream in pieces of any multiple of that.
 *
 *   codec.layout(shareBytes(data.length, k))
 *   codec.fillData(data); codec.encode(); codec.slot(i)           // n shares
 *   codec.slot(i).set(share) for k of them; codec.reconstruct(present, wanted); codec.copyData(into)
 *
 * Kernels are built per matrix on first use and kept, at most {@link keptKernels}. Calls are synchronous; a slot's view
 * is valid until the next `layout`.
 */

import { assert } from '../../base/errors.ts';
import { inverse, multiply } from './galois.ts';
import { buildKernel, groupBytes, type Kernel, type KernelPlan } from './kernel.ts';
import { codeRow, type Coding, invert, isCoding, parityRows } from './matrix.ts';
import { buildHash, type HashFunction } from './xxh64.ts';

const keptKernels = 64;
const pageBytes = 65536;

/** Bytes of each share of `dataBytes` bytes: whole groups, at least one. */
export function shareBytes(dataBytes: number, k: number): number {
  return Math.max(1, Math.ceil(dataBytes / (k * groupBytes))) * groupBytes;
}

export class Codec {
  readonly coding: Coding;
  readonly #memory = new WebAssembly.Memory({ initial: 1 });
  readonly #kernels = new Map<string, Kernel>();
  readonly #hash: HashFunction;
  #length = 0;
  #stride = 0;

  constructor(coding: Coding) {
    assert(isCoding(coding), () => `no code (${coding.k}, ${coding.n})`);
    this.coding = coding;
    this.#hash = this.#instantiate(buildHash()).hash as HashFunction;
  }

  /** Makes room for shares of `length` bytes, a multiple of {@link groupBytes}. What slots held is lost. */
  layout(length: number): void {
    assert(length > 0 && length % groupBytes === 0, () => `share of ${length} bytes`);
    this.#length = length;
    // Slots at multiples of 4 KiB would meet in the same sets of the first cache.
    this.#stride = length % 4096 === 0 ? length + 5 * groupBytes : length;
    const slots = this.coding.n + (this.coding.n - this.coding.k);
    const missing = this.#stride * slots - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / pageBytes));
  }

  /** The bytes of share `share`. */
  slot(share: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, share * this.#stride, this.#length);
  }

  /** Copies data into the first k slots, the last of them padded with zeros. */
  fillData(data: Uint8Array): void {
    assert(data.length <= this.#length * this.coding.k, 'more data than the slots hold');
    for (let i = 0; i < this.coding.k; i++) {
      const slot = this.slot(i);
      const part = data.subarray(i * this.#length, (i + 1) * this.#length);
      slot.set(part);
      slot.fill(0, part.length);
    }
  }

  /** Copies the first bytes of the data out of the first k slots. */
  copyData(into: Uint8Array): void {
    for (let i = 0; i * this.#length < into.length; i++) {
      into.set(this.slot(i).subarray(0, Math.min(this.#length, into.length - i * this.#length)), i * this.#length);
    }
  }

  /** Computes the parity shares, or those named, from the data shares. */
  encode(parity?: readonly number[]): void {
    const { k, n } = this.coding;
    const outputs = parity ?? range(k, n);
    if (outputs.length === 0) return;
    this.#run(`e${outputs.join()}`, () => {
      const rows = parityRows(this.coding);
      return { sources: range(0, k), outputs, rows: outputs.map((share) => rows[share - k]!) };
    });
  }

  /**
   * Computes the shares `wanted` from the shares `present`, at least k of them. Decodes nothing when data is wanted
   * that is present; other missing data slots may be overwritten only when a wanted parity share needs them.
   */
  reconstruct(present: readonly number[], wanted: readonly number[]): void {
    const { k } = this.coding;
    const have = new Set(present);
    assert(have.size >= k, () => `${have.size} shares cannot give the others of (${k}, ${this.coding.n})`);
    const lost = wanted.filter((share) => !have.has(share));
    const parity = lost.filter((share) => share >= k);
    this.#reconstructData(have, parity.length > 0 ? range(0, k).filter((i) => !have.has(i)) : lost);
    if (parity.length > 0) this.encode(parity);
  }

  /** Whether the parity shares agree with the data shares; needs all n. */
  verify(): boolean {
    const { k, n } = this.coding;
    if (n === k) return true;
    const scratch = range(n, n + (n - k));
    this.#run('v', () => ({ sources: range(0, k), outputs: scratch, rows: parityRows(this.coding) }));
    return scratch.every((slot, r) => equalBytes(this.slot(slot), this.slot(k + r)));
  }

  /** XXH64 of `length` bytes (a multiple of 32) of a share from `first` on. */
  checksum(share: number, first: number, length: number, seed: bigint): bigint {
    return BigInt.asUintN(64, this.#hash(share * this.#stride + first, length, BigInt.asIntN(64, seed)));
  }

  /**
   * With m data shares missing and as many parity shares at hand: what each of those parity shares has more than the
   * data at hand explains is a sum of the missing ones; m such sums are solved for them by an m x m matrix. The first
   * step keeps the cheap rows of the code, where inverting k x k at once would make all coefficients dense.
   */
  #reconstructData(have: Set<number>, wanted: readonly number[]): void {
    if (wanted.length === 0) return;
    const { k, n } = this.coding;
    const data = range(0, k).filter((i) => have.has(i));
    const missing = range(0, k).filter((i) => !have.has(i));
    const parity = range(k, n)
      .filter((i) => have.has(i))
      .slice(0, missing.length);
    const rows = parity.map((share) => codeRow(this.coding, share));
    const key = `${data.join()}+${parity.join()}`;
    const sources = [...data, ...parity];
    const sums = rows.map((row, r) => [...data.map((i) => row[i]!), ...parity.map((_, p) => (p === r ? 1 : 0))]);
    if (missing.length === 1) {
      const scale = inverse(rows[0]![missing[0]!]!);
      this.#run(`d${key}`, () => ({ sources, outputs: missing, rows: [sums[0]!.map((c) => multiply(c, scale))] }));
      return;
    }
    const scratch = missing.map((_, i) => n + i);
    this.#run(`s${key}`, () => ({ sources, outputs: scratch, rows: sums }));
    this.#run(`i${key}=${wanted.join()}`, () => {
      const solved = invert(rows.map((row) => missing.map((i) => row[i]!)));
      assert(solved, () => `code (${k}, ${n}) has dependent rows ${key}`);
      return { sources: scratch, outputs: wanted, rows: wanted.map((share) => solved[missing.indexOf(share)]!) };
    });
  }

  #run(key: string, plan: () => KernelPlan): void {
    let kernel = this.#kernels.get(key);
    if (kernel) this.#kernels.delete(key);
    else {
      kernel = this.#instantiate(buildKernel(plan())).code as Kernel;
      if (this.#kernels.size >= keptKernels) this.#kernels.delete(this.#kernels.keys().next().value!);
    }
    this.#kernels.set(key, kernel);
    kernel(0, this.#stride, this.#length);
  }

  #instantiate(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Exports {
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), { racs: { memory: this.#memory } }).exports;
  }
}

/**
 * Fills all slots of `to`, laid out for the same data, from shares of `from`; data shares of `from` that are missing are
 * reconstructed, missing parity never is. Parity that both codes compute alike is copied where it is present.
 */
export function recode(from: Codec, present: readonly number[], to: Codec, dataBytes: number): void {
  const have = new Set(present);
  from.reconstruct(present, range(0, from.coding.k));
  const data = new Uint8Array(dataBytes);
  from.copyData(data);
  to.layout(shareBytes(dataBytes, to.coding.k));
  to.fillData(data);
  const computed = range(to.coding.k, to.coding.n).filter((share) => {
    const alike =
      to.coding.k === from.coding.k && share < from.coding.n && codeRow(to.coding, share).join() === codeRow(from.coding, share).join();
    if (!alike || !have.has(share)) return true;
    to.slot(share).set(from.slot(share));
    return false;
  });
  to.encode(computed);
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function range(first: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
}

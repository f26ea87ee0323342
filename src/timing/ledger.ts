/**
 * Who spent the time: events and cycles of one processor by layer (user, guest kernel, each hypervisor) and by row of the
 * cost table, in whole twelfths of a cycle. What is not charged by a row was spent by instructions, so that the parts of
 * any stretch of time sum to it exactly.
 *
 *   charge()     a row, from the processor's slow paths and the hypervisors
 *   privilege()  the processor changed its privilege: instructions until here belong to the layer that ran
 *   guestMode()  a PV guest goes between user and kernel: both run at CPL 3 there, so its hypervisor says it
 *
 * Counters are doubles, exact to 2^53 twelfths (some 70 hours). The ledger observes: nothing depends on it, and it is no
 * part of the machine's state.
 */

import { assert } from '../base/errors.ts';
import type { CostGroup } from './cost-row.ts';
import type { CostTable } from './cost-model.ts';
import type { CostLedger } from './model.ts';
import { PENDING_MISSES, type ModelledTlb, walkRowNames } from './translation-model.ts';

/** Index of a layer. Hypervisors follow by their platform layer: 2 is the one on the bare machine. */
export const Layer = { USER: 0, KERNEL: 1, HYPERVISOR: 2 } as const;

export type PartKind = Exclude<CostGroup, 'instruction'> | 'instructions';

/** One line of a breakdown. */
export interface Part {
  /** `user`, `kernel`, `hypervisor 0`, ... */
  readonly layer: string;
  readonly kind: PartKind;
  /** Name of the cost row; `instructions` and `tlb misses` for these. */
  readonly name: string;
  readonly count: number;
  readonly twelfths: number;
}

/** Counters at one moment, or the difference of two moments. */
export interface LedgerCounts {
  /** By layer x row. */
  readonly counts: Float64Array;
  readonly twelfths: Float64Array;
  /** By layer. */
  readonly instructions: Float64Array;
  readonly instructionTwelfths: Float64Array;
  readonly misses: Float64Array;
  /** The processor's cycle counter, in twelfths. */
  readonly time: number;
}

export class Ledger implements CostLedger {
  readonly #costs: CostTable;
  readonly #translation: ModelledTlb | undefined;
  readonly #layers: number;
  readonly #rows: number;
  readonly #walkRows: readonly number[];
  readonly #counts: Float64Array;
  readonly #twelfths: Float64Array;
  readonly #instructions: Float64Array;
  readonly #instructionTwelfths: Float64Array;
  readonly #misses: Float64Array;
  /** Layer of the guest code that runs. */
  #running: number = Layer.KERNEL;
  /** Said by a PV hypervisor; undefined while privilege levels tell. */
  #paravirtual: boolean = false;
  #markCycles = 0n;
  #markInstructions = 0n;
  /** Twelfths charged by rows since the mark. */
  #charged = 0;

  /** @param hypervisors how many may be stacked. */
  constructor(costs: CostTable, translation: ModelledTlb | undefined, hypervisors = 2) {
    this.#costs = costs;
    this.#translation = translation;
    this.#layers = Layer.HYPERVISOR + hypervisors;
    this.#rows = costs.rows.length;
    this.#walkRows = walkRowNames.map((name) => costs.number(name));
    this.#counts = new Float64Array(this.#layers * this.#rows);
    this.#twelfths = new Float64Array(this.#layers * this.#rows);
    this.#instructions = new Float64Array(this.#layers);
    this.#instructionTwelfths = new Float64Array(this.#layers);
    this.#misses = new Float64Array(this.#layers);
  }

  /** Begins to count at these values of the processor's counters. `user`: user code is what runs. */
  start(cycles: bigint, instructions: bigint, user: boolean): void {
    this.#markCycles = cycles;
    this.#markInstructions = instructions;
    this.#charged = 0;
    this.#running = user ? Layer.USER : Layer.KERNEL;
    this.#translation?.pending.fill(0);
  }

  charge(event: string, count: number, twelfths: number, layer?: number): void {
    this.#charged += twelfths;
    if (event === 'translation') {
      this.#takeWalks(twelfths, layer === undefined ? this.#running : this.#hypervisor(layer));
      return;
    }
    const row = this.#costs.number(event);
    const group = this.#costs.rows[row]!.group;
    const payer = layer !== undefined ? this.#hypervisor(layer) : this.#payerOf(group);
    const at = payer * this.#rows + row;
    this.#counts[at]! += count;
    this.#twelfths[at]! += twelfths;
  }

  privilege(_from: number, to: number, cycles: bigint, instructions: bigint): void {
    this.settle(cycles, instructions);
    if (!this.#paravirtual) this.#running = to === 3 ? Layer.USER : Layer.KERNEL;
  }

  /** A PV guest now runs its kernel or its user code; from the first call on, privilege levels no longer tell. */
  guestMode(mode: 'kernel' | 'user', cycles: bigint, instructions: bigint): void {
    this.settle(cycles, instructions);
    this.#paravirtual = true;
    this.#running = mode === 'user' ? Layer.USER : Layer.KERNEL;
  }

  /** Gives time and instructions until here to the layer that runs. */
  settle(cycles: bigint, instructions: bigint): void {
    const spent = Number(cycles - this.#markCycles) - this.#charged;
    assert(spent >= 0, () => `ledger: ${-spent} twelfths of a cycle were charged but did not pass`);
    this.#instructionTwelfths[this.#running]! += spent;
    this.#instructions[this.#running]! += Number(instructions - this.#markInstructions);
    this.#markCycles = cycles;
    this.#markInstructions = instructions;
    this.#charged = 0;
  }

  /** A copy of the counters, after settling at the processor's counters. */
  snapshot(cycles: bigint, instructions: bigint): LedgerCounts {
    this.settle(cycles, instructions);
    return {
      counts: this.#counts.slice(),
      twelfths: this.#twelfths.slice(),
      instructions: this.#instructions.slice(),
      instructionTwelfths: this.#instructionTwelfths.slice(),
      misses: this.#misses.slice(),
      time: Number(cycles),
    };
  }

  /**
   * The parts of a stretch of time that are not zero, in the order of layers, then of the cost table.
   * Their twelfths sum to `counts.time`: an invariant.
   */
  parts(counts: LedgerCounts): Part[] {
    const parts: Part[] = [];
    for (let layer = 0; layer < this.#layers; layer++) {
      const name = layerName(layer);
      if (counts.instructions[layer] !== 0 || counts.instructionTwelfths[layer] !== 0) {
        parts.push({
          layer: name,
          kind: 'instructions',
          name: 'instructions',
          count: counts.instructions[layer]!,
          twelfths: counts.instructionTwelfths[layer]!,
        });
      }
      if (counts.misses[layer] !== 0)
        parts.push({ layer: name, kind: 'walk', name: 'tlb misses', count: counts.misses[layer]!, twelfths: 0 });
      this.#costs.rows.forEach((row, number) => {
        const at = layer * this.#rows + number;
        if (counts.counts[at] === 0 && counts.twelfths[at] === 0) return;
        const kind = row.group === 'instruction' ? 'instructions' : row.group;
        parts.push({ layer: name, kind, name: row.name, count: counts.counts[at]!, twelfths: counts.twelfths[at]! });
      });
    }
    const sum = parts.reduce((total, part) => total + part.twelfths, 0);
    assert(sum === counts.time, () => `ledger: parts sum to ${sum} twelfths of a cycle, but ${counts.time} passed`);
    return parts;
  }

  /** Who pays a row that no hypervisor claims: crossings into and out of the kernel are the kernel's, whoever runs then. */
  #payerOf(group: CostGroup): number {
    if (group === 'exit' || group === 'hypervisor') return Layer.HYPERVISOR;
    return group === 'hardware' ? Layer.KERNEL : this.#running;
  }

  #hypervisor(layer: number): number {
    const at = Layer.HYPERVISOR + layer;
    assert(layer >= 0 && at < this.#layers, () => `ledger: no hypervisor layer ${layer}`);
    return at;
  }

  /** Moves the references that the translation model has counted to a layer; they must cost what was charged. */
  #takeWalks(twelfths: number, layer: number): void {
    const translation = this.#translation;
    assert(translation !== undefined, 'ledger: a translation was charged, but no model was given');
    const { pending, walkTwelfths } = translation;
    let sum = 0;
    for (let i = 0; i < walkRowNames.length; i++) {
      const count = pending[i]!;
      if (count === 0) continue;
      const at = layer * this.#rows + this.#walkRows[i]!;
      const cost = count * walkTwelfths[i]!;
      this.#counts[at]! += count;
      this.#twelfths[at]! += cost;
      sum += cost;
    }
    this.#misses[layer]! += pending[PENDING_MISSES]!;
    pending.fill(0);
    assert(sum === twelfths, () => `ledger: walks of ${sum} twelfths were counted, ${twelfths} charged`);
  }
}

/** What happened from `before` to `after`, of one ledger. */
export function differenceOf(before: LedgerCounts, after: LedgerCounts): LedgerCounts {
  const minus = (a: Float64Array, b: Float64Array) => a.map((value, i) => value - b[i]!);
  return {
    counts: minus(after.counts, before.counts),
    twelfths: minus(after.twelfths, before.twelfths),
    instructions: minus(after.instructions, before.instructions),
    instructionTwelfths: minus(after.instructionTwelfths, before.instructionTwelfths),
    misses: minus(after.misses, before.misses),
    time: after.time - before.time,
  };
}

function layerName(layer: number): string {
  if (layer === Layer.USER) return 'user';
  return layer === Layer.KERNEL ? 'kernel' : `hypervisor ${layer - Layer.HYPERVISOR}`;
}

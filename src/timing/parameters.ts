/**
 * The five numbers that are fitted (timing model: fitting), as data: what each means, from which single-layer cells it
 * comes, its prior value, and the bounds outside of which a fitted value is reported with a warning.
 *
 * `k_sys` and `k_fork` are instruction counts that the guest kernel takes on its command line: stand-in work that it
 * executes. `k_entry` and `k_mmu` turn counted instructions of Xen's paths into cycles, `k_ept` scales the latency of a
 * second-stage reference; these three are read by the cost model. The values found are in fitted.ts.
 */

export const parameterNames = ['k_sys', 'k_fork', 'k_entry', 'k_mmu', 'k_ept'] as const;
export type ParameterName = (typeof parameterNames)[number];
export type ParameterValues = Readonly<Record<ParameterName, number>>;

export interface Parameter {
  readonly name: ParameterName;
  readonly meaning: string;
  readonly unit: 'instructions' | 'cycles per instruction' | 'factor';
  /** Value where nothing is fitted: the middle of the range. */
  readonly prior: number;
  /** A value outside is possible, and needs an explanation: reported with a warning. */
  readonly range: readonly [number, number];
  /** What the solver may never leave. */
  readonly bounds: readonly [number, number];
  readonly rangeSource: string;
  /** Values that the guest can do are multiples of this; undefined = any. */
  readonly quantum: number | undefined;
  /** Whose property it is: an argument of the guest, or a factor of the cost model. */
  readonly belongsTo: 'guest' | 'cost model';
}

export const parameters: readonly Parameter[] = [
  {
    name: 'k_sys',
    meaning: "instructions of the kernel's own system-call path (stand-in)",
    unit: 'instructions',
    prior: 350,
    range: [50, 900],
    bounds: [0, 5000],
    rangeSource: 'null call on Baseline is 557 cycles in all; a bare getppid path is some 50 instructions (timing model: guest work)',
    quantum: 5,
    belongsTo: 'guest',
  },
  {
    name: 'k_fork',
    meaning: 'instructions of the stand-in work of fork, fault, exit and switch, per iteration',
    unit: 'instructions',
    prior: 80_000,
    range: [20_000, 250_000],
    bounds: [0, 2_000_000],
    rangeSource: 'fork on Baseline is 190 k cycles, of which faults are about half (timing model: what sets each cell)',
    quantum: 100,
    belongsTo: 'guest',
  },
  {
    name: 'k_entry',
    meaning: "cycles per instruction of Xen's entry paths",
    unit: 'cycles per instruction',
    prior: 0.35,
    range: [0.1, 0.6],
    bounds: [0.01, 5],
    rangeSource: "counts are Xen 4.17's, whose entry path is longer than 3.1's (timing model: fitting)",
    quantum: undefined,
    belongsTo: 'cost model',
  },
  {
    name: 'k_mmu',
    meaning: "cycles per instruction of Xen's MMU paths",
    unit: 'cycles per instruction',
    prior: 0.65,
    range: [0.4, 1],
    bounds: [0.01, 5],
    rangeSource: 'hand check of the PV fork: .5 to .75; EuroSys page fault alone: .75 to .95 (timing model: events and costs)',
    quantum: undefined,
    belongsTo: 'cost model',
  },
  {
    name: 'k_ept',
    meaning: 'latency of a second-stage reference relative to one of the guest walk',
    unit: 'factor',
    prior: 1,
    range: [0.5, 2],
    bounds: [0.5, 2],
    rangeSource: 'timing model: fitting; two-dimensional walks of Bhargava (ASPLOS 2008) have the same latencies',
    quantum: undefined,
    belongsTo: 'cost model',
  },
];

export const priorValues: ParameterValues = Object.fromEntries(parameters.map((p) => [p.name, p.prior])) as Record<ParameterName, number>;

/** The one clock of the six columns, in GHz: cycles per nanosecond (Intel Xeon X5670, nominal). */
export const clockGhz = 2.93;

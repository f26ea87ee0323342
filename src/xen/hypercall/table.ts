/**
 * The hypercall table: number -> name and handler. Rows are data, so that tracing, counting and `--trace unknown` need
 * no second list. Handlers run between two guest instructions with the caller's registers in its cpu.
 * Numbers: Xen public/xen.h.
 */

import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

/**
 * What a handler gives back:
 * - a bigint: the result, negative errno included (masked to the caller's register size by the dispatcher);
 * - `no-result`: the caller's registers already are what they should be (iret), or the domain is no more;
 * - `restart`: nothing visible has happened, the instruction is run again (RIP moved back by 2): a continuation.
 */
export type HypercallResult = bigint | 'no-result' | 'restart';

export type HypercallHandler = (hypervisor: Hypervisor, vcpu: Vcpu, args: readonly bigint[]) => HypercallResult;

export interface Hypercall {
  readonly number: number;
  /** As in Xen's headers, lower case, without the prefix: `event_channel_op`. */
  readonly name: string;
  readonly handler: HypercallHandler;
  /** Number of register arguments of the 64-bit form, for traces. */
  readonly argumentCount: number;
  /** What follows the name in traces and counts: `.setup_table`, ` flags=2`; '' for nothing. Reads nothing but the arguments. */
  readonly suffix?: (args: readonly bigint[]) => string;
  /**
   * Who charges the cost of the path: by default the dispatcher charges `xen.null_hypercall`; with `own` the handler
   * charges complete rows itself, which contain the entry (timing-model §4: update_va_mapping, mmuext_op, ...).
   */
  readonly cost?: 'own';
  /** Callers: `pv` for calls that full domains do not have. Default: all. */
  readonly callers?: 'pv';
}

/** Result of most handlers: 0 or a negative errno as a number. */
export function result(value: number): bigint {
  return BigInt(value);
}

/** Names of sub-operations for {@link Hypercall.suffix}: `.name`, or `.<number>` when unknown. */
export function subOperation(names: readonly (string | undefined)[], argument = 0): (args: readonly bigint[]) => string {
  return (args) => {
    const value = args[argument] ?? 0n;
    const name = value < BigInt(names.length) ? names[Number(value)] : undefined;
    return `.${name ?? BigInt.asIntN(64, value)}`;
  };
}

export class HypercallTable {
  readonly #rows = new Map<number, Hypercall>();

  constructor(...groups: readonly (readonly Hypercall[])[]) {
    for (const row of groups.flat()) {
      if (this.#rows.has(row.number)) throw new RangeError(`hypercall ${row.number} is in the table twice`);
      this.#rows.set(row.number, row);
    }
  }

  get(number: number): Hypercall | undefined {
    return this.#rows.get(number);
  }

  rows(): Iterable<Hypercall> {
    return this.#rows.values();
  }
}

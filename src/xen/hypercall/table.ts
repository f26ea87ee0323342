/**
 * The hypercall table: number -> name and handler. Rows are data, so that tracing, counting and `--trace unknown` need
 * no second list. Handlers run between two guest instructions with the caller's registers in its cpu.
 * Numbers: Xen public/xen.h.
 */

import type { Hypercall } from '../hypervisor.ts';

export type { Hypercall, HypercallHandler, HypercallResult } from '../hypervisor.ts';

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

/** @throws {RangeError} when two rows have the same number. */
export function hypercallTable(...groups: readonly (readonly Hypercall[])[]): ReadonlyMap<number, Hypercall> {
  const rows = new Map<number, Hypercall>();
  for (const row of groups.flat()) {
    if (rows.has(row.number)) throw new RangeError(`hypercall ${row.number} is in the table twice`);
    rows.set(row.number, row);
  }
  return rows;
}

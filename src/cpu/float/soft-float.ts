/**
 * The exact operations of SSE under the names by which definitions call them, `f64.add` and the like: subroutines
 * `(a, b, MXCSR) -> (bits, MXCSR flags)`, fused ones with a third operand. Comparisons and roundings take their control in bits 63:32 of the MXCSR word.
 */
import type { Subroutine } from '../subroutine.ts';
import { arithmetic } from './short-arithmetic.ts';
import { fusedMultiplyAdd } from './fused.ts';
import { halfToSingle, singleToHalf } from './half.ts';
import { conversions } from './short-conversion.ts';

const ROUTINES: ReadonlyMap<string, Subroutine> = new Map(
  ([32, 64] as const)
    .flatMap((width) => [...Object.values(arithmetic(width)), ...Object.values(conversions(width)), fusedMultiplyAdd(width)])
    .concat(halfToSingle, singleToHalf)
    .map((routine) => [routine.name, routine]),
);

export function softFloat(name: string): Subroutine {
  const routine = ROUTINES.get(name);
  if (routine === undefined) throw new Error(`no routine ${name}`);
  return routine;
}

/**
 * Makes subroutines: functions on words that are written over the algebra like instruction definitions, and called by
 * them and by each other. The evaluator runs the body with bigints; engines that generate code compile each into one
 * WebAssembly function `(state, words...) -> (words...)` that all handlers share.
 *
 * A subroutine sees words and processor fields, never operands, memory, flags or faults: its caller reads those first
 * and acts on its results. Recursion is not possible: a body calls subroutines that were made before it.
 */
import type { Subroutine, SubroutineBody } from './algebra.ts';

export type { Subroutine } from './algebra.ts';

export function subroutine(name: string, parameters: number, results: number, body: SubroutineBody): Subroutine {
  return { name, parameters, results, body };
}

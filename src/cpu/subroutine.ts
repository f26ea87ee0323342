/**
 * Subroutines: functions on words that are written over the algebra like instruction definitions, and called by them
 * and by each other. The evaluator runs the body with bigints; engines that generate code compile each into one
 * WebAssembly function `(state, words...) -> (words...)` that all handlers share.
 *
 * A subroutine sees words and processor fields, never operands, memory, flags or faults: its caller reads those first
 * and acts on its results. Recursion is not possible: a body calls subroutines that were made before it.
 */
import type { Computation } from './algebra.ts';

export type SubroutineBody = <V, B>(k: Computation<V, B>, ...args: V[]) => V[];

export interface Subroutine {
  /** Unique among all subroutines: engines key their code by it. */
  readonly name: string;
  readonly parameters: number;
  readonly results: number;
  readonly body: SubroutineBody;
}

export function subroutine(name: string, parameters: number, results: number, body: SubroutineBody): Subroutine {
  return { name, parameters, results, body };
}

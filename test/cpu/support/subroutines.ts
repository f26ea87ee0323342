/** Runs subroutines on both instances of the algebra: the evaluator's bigints, and the WebAssembly that is emitted. */
import { hostFunctionImports } from '../../../src/cpu/interpreter/handlers.ts';
import { SubroutineLinker } from '../../../src/cpu/interpreter/subroutine-linker.ts';
import { Evaluator } from '../../../src/cpu/reference/evaluator.ts';
import type { Subroutine } from '../../../src/cpu/subroutine.ts';

const word = (value: bigint): bigint => BigInt.asUintN(64, value);

export type Run = (subroutine: Subroutine, ...args: bigint[]) => bigint[];

export function evaluated(): Run {
  const evaluator = new Evaluator();
  return (subroutine, ...args) => evaluator.call(subroutine, ...args.map(word)).map(word);
}

export function emitted(): Run {
  const linker = new SubroutineLinker(new WebAssembly.Memory({ initial: 1, maximum: 1 }), 1, hostFunctionImports());
  return (subroutine, ...args) => {
    const call = linker.imports([], [subroutine]).s[subroutine.name] as (state: number, ...words: bigint[]) => unknown;
    const results = call(0, ...args.map((arg) => BigInt.asIntN(64, arg)));
    const list = typeof results === 'bigint' ? [results] : results === undefined ? [] : [...(results as Iterable<bigint>)];
    return list.map(word);
  };
}

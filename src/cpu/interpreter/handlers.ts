/**
 * Handlers made on demand: the first instruction of a form compiles one small module with the form's handler and puts
 * it into the function table that the loop dispatches through.
 */
import { FunctionBody } from '../../wasm/function-body.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import type { CostModel } from '../../timing/model.ts';
import type { Instruction } from '../../x86/instruction.ts';
import type { Definition } from '../algebra.ts';
import { HOST_FUNCTIONS } from '../host-functions.ts';
import type { Subroutine } from '../subroutine.ts';
import type { ComputationImports } from './computation-emitter.ts';
import { Emitter, type HandlerImports } from './emitter.ts';
import { HANDLER_PARAMETERS, HANDLER_RESULTS, RUN_FUNCTION_NAMES, RUN_FUNCTIONS, type RunFunction } from './loop.ts';
import { emitCalls } from './subroutine-linker.ts';

/** What handlers import from 'e' besides the machine's memory: the function table, checkSegment, and what loop.ts exports. */
export interface HandlerServices extends Readonly<Record<RunFunction, WebAssembly.ExportValue>> {
  readonly handlers: WebAssembly.Table;
  checkSegment(state: number, segment: number, size: number, write: number): number;
}

export interface HandlerModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the module imports from 'h', and from 's' by name. */
  readonly hostFunctions: readonly string[];
  readonly subroutines: readonly Subroutine[];
}

/** Bytes of the module that holds one handler, exported as `f`. */
export function handlerModule(
  memoryPages: number,
  i: Instruction,
  definition: Definition,
  costs: CostModel,
  twelfths: number,
): HandlerModule {
  const builder = new ModuleBuilder();
  builder.importMemory('e', 'memory', { minimum: memoryPages, maximum: memoryPages });
  builder.importTable('e', 'handlers', { minimum: 1 });
  const handlerType = builder.type(HANDLER_PARAMETERS, HANDLER_RESULTS);
  const run = {} as Record<RunFunction, number>;
  for (const name of RUN_FUNCTION_NAMES) {
    const [parameters, results] = RUN_FUNCTIONS[name];
    run[name] = builder.importFunction('e', name, builder.type(parameters, results));
  }
  const checkSegment = builder.importFunction('e', 'checkSegment', builder.type(['i32', 'i32', 'i32', 'i32'], ['i32']));
  const imports = (calls: ComputationImports): HandlerImports => ({
    handlerType,
    run,
    checkSegment,
    ...calls,
    cost: (event) => costs.cost(event),
  });
  // Operand objects are shared by all instructions; the emitter tells the two operands of `mov ebp, ebp` apart.
  const form: Instruction = { ...i, operands: i.operands.map((operand) => ({ ...operand })) };
  const emit = (calls: ComputationImports): FunctionBody => {
    const body = new FunctionBody(HANDLER_PARAMETERS);
    const emitter = new Emitter(body, imports(calls), form);
    emitter.beginHandler(twelfths);
    definition(emitter, form);
    emitter.finishHandler();
    return body;
  };
  const { bodies, hostFunctions, subroutines } = emitCalls(builder, (calls) => [emit(calls)], []);
  const handler = builder.func(handlerType);
  builder.code(handler, bodies[0]);
  builder.nameFunction(handler, i.row.mnemonic);
  builder.exportFunction('f', handler);
  return { bytes: builder.build(), hostFunctions, subroutines };
}

/** Host functions as WebAssembly calls them: i64 arrive signed. */
export function hostFunctionImports(): Record<string, (a: bigint, b: bigint, c: bigint) => bigint> {
  const word = (value: bigint): bigint => BigInt.asUintN(64, value);
  return Object.fromEntries(
    Object.entries(HOST_FUNCTIONS).map(([name, body]) => [
      name,
      (a: bigint, b: bigint, c: bigint) => BigInt.asIntN(64, body(word(a), word(b), word(c))),
    ]),
  );
}

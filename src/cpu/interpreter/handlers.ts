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
import { emitCalls } from './subroutine-linker.ts';

/** Functions that handlers import; the engine implements them. Names are those of {@link HandlerImports}. */
export interface HandlerServices {
  slowLoad(state: number, size: number, stack: number): number;
  slowStore(state: number, size: number, stack: number): number;
  commitStore(state: number): void;
  checkSegment(state: number, segment: number, size: number, write: number): number;
}

export interface HandlerModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the module imports from 'h', and from 's' by name. */
  readonly hostFunctions: readonly string[];
  readonly subroutines: readonly Subroutine[];
}

/** Bytes of the module that holds one handler, exported as `f`. */
export function handlerModule(memoryPages: number, i: Instruction, definition: Definition, costs: CostModel): HandlerModule {
  const builder = new ModuleBuilder();
  builder.importMemory('e', 'memory', { minimum: memoryPages, maximum: memoryPages });
  const access = builder.type(['i32', 'i32', 'i32'], ['i32']);
  const slowLoad = builder.importFunction('e', 'slowLoad', access);
  const slowStore = builder.importFunction('e', 'slowStore', access);
  const commitStore = builder.importFunction('e', 'commitStore', builder.type(['i32'], []));
  const checkSegment = builder.importFunction('e', 'checkSegment', builder.type(['i32', 'i32', 'i32', 'i32'], ['i32']));
  const imports = (calls: ComputationImports): HandlerImports => ({
    slowLoad,
    slowStore,
    commitStore,
    checkSegment,
    ...calls,
    cost: (event) => costs.cost(event),
  });
  // Operand objects are shared by all instructions; the emitter tells the two operands of `mov ebp, ebp` apart.
  const form: Instruction = { ...i, operands: i.operands.map((operand) => ({ ...operand })) };
  const emit = (calls: ComputationImports): FunctionBody => {
    const body = new FunctionBody(['i32', 'i32']);
    const emitter = new Emitter(body, imports(calls), form);
    definition(emitter, form);
    emitter.finishHandler();
    return body;
  };
  const { bodies, hostFunctions, subroutines } = emitCalls(builder, (calls) => [emit(calls)], []);
  const handler = builder.func(builder.type(['i32', 'i32'], ['i32']));
  builder.code(handler, bodies[0]);
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

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
import { Emitter, type HandlerImports } from './emitter.ts';

/** Functions that handlers import; the engine implements them. Names are those of {@link HandlerImports}. */
export interface HandlerServices {
  slowLoad(state: number, size: number, stack: number): number;
  slowStore(state: number, size: number, stack: number): number;
  commitStore(state: number): void;
  checkSegment(state: number, segment: number, size: number, write: number): number;
}

/** Bytes of the module that holds one handler, exported as `f`. */
export function handlerModule(
  memoryPages: number,
  i: Instruction,
  definition: Definition,
  costs: CostModel,
): { bytes: Uint8Array<ArrayBuffer>; hostFunctions: string[] } {
  const builder = new ModuleBuilder();
  builder.importMemory('e', 'memory', { minimum: memoryPages, maximum: memoryPages });
  const access = builder.type(['i32', 'i32', 'i32'], ['i32']);
  const slowLoad = builder.importFunction('e', 'slowLoad', access);
  const slowStore = builder.importFunction('e', 'slowStore', access);
  const commitStore = builder.importFunction('e', 'commitStore', builder.type(['i32'], []));
  const checkSegment = builder.importFunction('e', 'checkSegment', builder.type(['i32', 'i32', 'i32', 'i32'], ['i32']));
  // Host functions must be imported before the handler is defined, so their names are collected by a first emission.
  const hostFunctions: string[] = [];
  const imports = (hostFunction: (name: string) => number): HandlerImports => ({
    slowLoad,
    slowStore,
    commitStore,
    checkSegment,
    hostFunction,
    cost: (event) => costs.cost(event),
  });
  // Operand objects are shared by all instructions; the emitter tells the two operands of `mov ebp, ebp` apart.
  const form: Instruction = { ...i, operands: i.operands.map((operand) => ({ ...operand })) };
  const emit = (hostFunction: (name: string) => number): FunctionBody => {
    const body = new FunctionBody(['i32', 'i32']);
    const emitter = new Emitter(body, imports(hostFunction), form);
    definition(emitter, form);
    emitter.finish();
    return body;
  };
  let body = emit((name) => {
    if (!hostFunctions.includes(name)) hostFunctions.push(name);
    return 0;
  });
  if (hostFunctions.length > 0) {
    const type = builder.type(['i64', 'i64', 'i64'], ['i64']);
    const indices = new Map(hostFunctions.map((name) => [name, builder.importFunction('h', name, type)]));
    body = emit((name) => indices.get(name) as number);
  }
  const handler = builder.func(builder.type(['i32', 'i32'], ['i32']));
  builder.code(handler, body);
  builder.exportFunction('f', handler);
  return { bytes: builder.build(), hostFunctions };
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

/** Makes the WebAssembly of handlers: a module for one form, or one function for many. */
import { FunctionBody, type Label } from '../../wasm/function-body.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import type { CostModel } from '../../timing/model.ts';
import type { Instruction } from '../../x86/instruction.ts';
import type { Definition } from '../algebra.ts';
import { HOST_FUNCTIONS } from '../host-functions.ts';
import type { Subroutine } from '../subroutine.ts';
import { Emitter, type HandlerImports } from './emitter.ts';
import {
  dispatch,
  lookupInPage,
  HANDLER_PARAMETERS,
  HANDLER_RESULTS,
  RUN_FUNCTION_NAMES,
  RUN_FUNCTIONS,
  type RunFunction,
} from './chain.ts';
import { RECORD } from './record.ts';
import { emitCalls } from './subroutine-linker.ts';

const STATE = 0;
const RECORD_POINTER = 1;
const TIME = 2;

/** What handlers import from 'e' besides the machine's memory and function table: what loop.ts exports, and checkSegment. */
export interface HandlerServices extends Readonly<Record<RunFunction, WebAssembly.ExportValue>> {
  checkSegment(state: number, segment: number, size: number, write: number): number;
}

/** An instruction form and what its handler depends on. */
export interface HandlerForm {
  readonly slot: number;
  readonly instruction: Instruction;
  readonly definition: Definition;
  /** Constant cost in twelfths. */
  readonly twelfths: number;
}

export interface HandlerModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the module imports from 'h', and from 's' by name. */
  readonly hostFunctions: readonly string[];
  readonly subroutines: readonly Subroutine[];
}

export class HandlerCompiler {
  private readonly memoryPages: number;
  private readonly costs: CostModel;

  constructor(memoryPages: number, costs: CostModel) {
    this.memoryPages = memoryPages;
    this.costs = costs;
  }

  /** A module that exports the handler of one form as `f`. */
  single(form: HandlerForm): HandlerModule {
    return this.module(form.instruction.row.mnemonic, (imports) => {
      const body = new FunctionBody(HANDLER_PARAMETERS);
      emitHandler(body, imports, form);
      return body;
    });
  }

  /**
   * A module whose `f` is the handler of all these forms in one function: it goes from record to record of these forms by
   * a jump table, without the loads and checks of an indirect call, and calls the tail of any other.
   */
  joined(forms: readonly HandlerForm[]): HandlerModule {
    return this.module('joined', (imports) => {
      const body = new FunctionBody(HANDLER_PARAMETERS, 1 << 16);
      const rip = body.local('i64');
      const record = body.local('i32');
      const slot = body.local('i32');
      // It may be entered in the name of a record whose handler is another by now: a region that has no time to run.
      body.local_get(RECORD_POINTER);
      body.load('i32.load16_u', RECORD.own);
      body.local_set(slot);
      const again = body.loop();
      const next = body.block();
      const lookup = body.block();
      const others = body.block();
      const labels: Label[] = forms.map(() => body.block());
      const lowest = Math.min(...forms.map(({ slot }) => slot));
      const highest = Math.max(...forms.map(({ slot }) => slot));
      const bySlot: Label[] = new Array<Label>(highest - lowest + 1).fill(others);
      forms.forEach(({ slot }, n) => {
        bySlot[slot - lowest] = labels[labels.length - 1 - n];
      });
      body.local_get(slot);
      body.i32_const(lowest);
      body.emit('i32.sub');
      body.br_table(bySlot, others);
      for (const form of forms) {
        body.end();
        emitHandler(body, { ...imports, inside: { next, lookup, rip } }, form);
        body.freeAll([rip, record, slot]);
      }
      body.end();
      dispatch(body, imports.handlerType, RECORD_POINTER, TIME);
      body.end();
      lookupInPage(body, rip, record, next);
      body.local_get(STATE);
      body.local_get(rip);
      body.local_get(TIME);
      body.return_call(imports.run.lookup);
      body.end();
      body.local_get(RECORD_POINTER);
      body.load('i32.load', RECORD.handler);
      body.local_set(slot);
      body.local_get(TIME);
      body.i64_const(0);
      body.emit('i64.lt_s');
      body.hint(true);
      body.br_if(again);
      body.local_get(STATE);
      body.local_get(RECORD_POINTER);
      body.local_get(TIME);
      body.return_call(imports.run.stop);
      body.end();
      body.emit('unreachable');
      return body;
    });
  }

  private module(name: string, emit: (imports: HandlerImports) => FunctionBody): HandlerModule {
    const builder = new ModuleBuilder();
    builder.importMemory('e', 'memory', { minimum: this.memoryPages, maximum: this.memoryPages });
    builder.importTable('e', 'handlers', { minimum: 1 });
    const handlerType = builder.type(HANDLER_PARAMETERS, HANDLER_RESULTS);
    const run = {} as Record<RunFunction, number>;
    for (const name of RUN_FUNCTION_NAMES) {
      const [parameters, results] = RUN_FUNCTIONS[name];
      run[name] = builder.importFunction('e', name, builder.type(parameters, results));
    }
    const checkSegment = builder.importFunction('e', 'checkSegment', builder.type(['i32', 'i32', 'i32', 'i32'], ['i32']));
    const cost = (event: string): number => this.costs.cost(event);
    const { bodies, hostFunctions, subroutines } = emitCalls(
      builder,
      (calls) => [emit({ handlerType, run, checkSegment, ...calls, cost })],
      [],
    );
    const handler = builder.func(handlerType);
    builder.code(handler, bodies[0]);
    builder.nameFunction(handler, name);
    builder.exportFunction('f', handler);
    return { bytes: builder.build(), hostFunctions, subroutines };
  }
}

function emitHandler(body: FunctionBody, imports: HandlerImports, { instruction: i, definition, twelfths }: HandlerForm): void {
  // Operand objects are shared by all instructions; the emitter tells the two operands of `mov ebp, ebp` apart.
  const form: Instruction = { ...i, operands: i.operands.map((operand) => ({ ...operand })) };
  const emitter = new Emitter(body, imports, form);
  emitter.beginHandler(twelfths);
  definition(emitter, form);
  emitter.finishHandler();
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

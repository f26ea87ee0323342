/**
 * What generated code runs in, as WebAssembly. There is no loop: each handler ends with a tail call of the handler of
 * the next record, which the record names; this module has the ways into that chain, the search for a record by RIP, and
 * the ways out.
 *
 * Time while code runs is one word that handlers pass on: in the high half the cycles (twelfths) less those at which to
 * stop (`timeLimit`), in the low half the instructions since it was last settled. One addition accounts for an
 * instruction, and time has come when the word is not negative. RIP is `codePage` and an offset in the record.
 * The status flags are deferred (deferred-flags.ts). Before host code runs, all three are settled: written to the
 * processor's fields.
 *
 * Exports: `enter(state)` goes on from RIP; `enterAt(state, record)` from a record; both return a Status. The others are
 * for handlers ({@link RUN_FUNCTIONS}).
 */
import { FunctionBody } from '../../wasm/function-body.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import type { ValueType } from '../../wasm/types.ts';
import { Status } from '../engine.ts';
import { STATUS_FLAGS } from '../flags.ts';
import type { MachineLayout } from '../layout.ts';
import { OFFSET } from '../state.ts';
import {
  dispatch,
  HANDLER_PARAMETERS,
  HANDLER_RESULTS,
  newFetchPage,
  pushField,
  pushRip,
  RUN_FUNCTION_NAMES,
  RUN_FUNCTIONS,
  type RunFunction,
  setField,
} from './chain.ts';
import { ComputationEmitter, type ComputationImports } from './computation-emitter.ts';
import { DeferredFlags } from './deferred-flags.ts';
import { RECORD, SLOT } from './record.ts';

const STATE = 0;
const RECORD_POINTER = 1;
const TIME = 2;
const NO_CALLS: ComputationImports = {
  hostFunction: () => never(),
  subroutine: () => never(),
};

function never(): never {
  throw new Error('the loop module calls no host functions or subroutines');
}

export function loopModule(layout: MachineLayout): Uint8Array<ArrayBuffer> {
  const builder = new ModuleBuilder();
  builder.importMemory('e', 'memory', { minimum: layout.wasmPages, maximum: layout.wasmPages });
  builder.importTable('e', 'handlers', { minimum: 1 });
  const handlerType = builder.type(HANDLER_PARAMETERS, HANDLER_RESULTS);
  const access = builder.type(['i32', 'i32', 'i32'], ['i32']);
  const host = {
    syncFetch: builder.importFunction('e', 'syncFetch', builder.type(['i32'], ['i32'])),
    system: builder.importFunction('e', 'system', builder.type(['i32', 'i32'], ['i32'])),
    slowLoad: builder.importFunction('e', 'slowLoad', access),
    slowStore: builder.importFunction('e', 'slowStore', access),
    commitStore: builder.importFunction('e', 'commitStore', builder.type(['i32'], [])),
  };
  const own = (parameters: readonly ValueType[], results: readonly ValueType[]): number => builder.func(builder.type(parameters, results));
  const run = Object.fromEntries(RUN_FUNCTION_NAMES.map((name) => [name, own(RUN_FUNCTIONS[name][0], RUN_FUNCTIONS[name][1])])) as Record<
    RunFunction,
    number
  >;
  const begin = own(['i32'], ['i64']);
  const goOn = own(['i32'], ['i64']);
  const settle = own(['i32', 'i64', 'i64'], []);
  const settleInside = own(HANDLER_PARAMETERS, []);

  /** Writes all but RIP to the processor's fields. */
  const settleRest = (body: FunctionBody): void => {
    setField(body, 'cycles', () => {
      pushField(body, 'timeLimit');
      pushElapsed(body, TIME);
      body.emit('i64.add');
    });
    setField(body, 'instructions', () => {
      pushField(body, 'instructions');
      body.local_get(TIME);
      body.i64_const(0xffff_ffff);
      body.emit('i64.and');
      body.emit('i64.add');
    });
    setField(body, 'rflags', () => {
      body.local_get(STATE);
      body.call(run.readFlags);
    });
  };
  const settleAt = (body: FunctionBody, place: typeof RECORD.start | typeof RECORD.end): void => {
    setField(body, 'rip', () => pushRip(body, place));
    settleRest(body);
  };

  const define = (index: number, parameters: readonly ValueType[], write: (body: FunctionBody) => void): void => {
    const body = new FunctionBody(parameters);
    write(body);
    builder.code(index, body);
  };
  const exported = (name: string, parameters: readonly ValueType[], write: (body: FunctionBody) => void): void => {
    const index = own(parameters, HANDLER_RESULTS);
    define(index, parameters, write);
    builder.exportFunction(name, index);
    builder.nameFunction(index, name);
  };
  const runFunction = (name: RunFunction, write: (body: FunctionBody) => void): void => {
    define(run[name], RUN_FUNCTIONS[name][0], write);
    builder.exportFunction(name, run[name]);
    builder.nameFunction(run[name], name);
  };

  // --- time and RIP ---------------------------------------------------------------------------------------------

  // begin(state) -> time: for the run that starts.
  define(begin, ['i32'], (body) => {
    const left = body.local('i64');
    body.local_get(STATE);
    pushField(body, 'rflags');
    body.call(run.writeFlags);
    pushField(body, 'deadline');
    pushField(body, 'cycles');
    body.emit('i64.sub');
    body.local_tee(left);
    pushField(body, 'longestRun');
    body.emit('i64.gt_s');
    body.if();
    pushField(body, 'longestRun');
    body.local_set(left);
    body.end();
    body.local_get(left);
    body.i64_const(0);
    body.emit('i64.le_s');
    pushField(body, 'stepping');
    body.i64_const(0);
    body.emit('i64.ne');
    body.emit('i32.or');
    body.if();
    body.i64_const(0);
    body.local_set(left);
    body.end();
    setField(body, 'timeLimit', () => {
      pushField(body, 'cycles');
      body.local_get(left);
      body.emit('i64.add');
    });
    body.i64_const(0);
    body.local_get(left);
    body.i64_const(32);
    body.emit('i64.shl');
    body.emit('i64.sub');
  });

  // goOn(state) -> time: after host code. When it took the fetch page away, the run ends with this instruction.
  define(goOn, ['i32'], (body) => {
    body.local_get(STATE);
    body.load('i32.load', OFFSET.fetchTable);
    body.if();
    body.local_get(STATE);
    body.return_call(begin);
    body.end();
    setField(body, 'timeLimit', () => pushField(body, 'cycles'));
    body.local_get(STATE);
    pushField(body, 'rflags');
    body.call(run.writeFlags);
    body.i64_const(0);
  });

  runFunction('readFlags', (body) => {
    const k = new ComputationEmitter(body, NO_CALLS);
    k.finish([k.or(k.and(k.field('rflags'), k.constant(~STATUS_FLAGS)), new DeferredFlags(k).pack())]);
  });
  runFunction('writeFlags', (body) => {
    const k = new ComputationEmitter(body, NO_CALLS);
    new DeferredFlags(k).unpack({ local: 1 });
  });

  // settle(state, rip, time)
  define(settle, ['i32', 'i64', 'i64'], (body) => {
    setField(body, 'rip', () => body.local_get(1));
    settleRest(body);
  });

  // settleInside(state, record, time): RIP behind the instruction, as its semantics see it.
  define(settleInside, HANDLER_PARAMETERS, (body) => {
    setField(body, 'rip', () => pushRip(body, RECORD.end));
    settleRest(body);
  });

  // --- ways in --------------------------------------------------------------------------------------------------

  exported('enter', ['i32'], (body) => {
    body.local_get(STATE);
    pushField(body, 'rip');
    body.local_get(STATE);
    body.call(begin);
    body.return_call(run.lookup);
  });
  exported('enterAt', ['i32', 'i32'], (body) => {
    const time = body.local('i64');
    body.local_get(STATE);
    body.call(begin);
    body.local_set(time);
    dispatch(body, handlerType, 1, time);
  });

  // --- finding the record ---------------------------------------------------------------------------------------

  runFunction('lookup', (body) => {
    const rip = 1;
    const linear = body.local('i64');
    const page = body.local('i64');
    const entry = body.local('i32');
    const block = body.local('i32');
    const record = body.local('i32');
    const leave = (status: Status): void => {
      body.local_get(STATE);
      body.local_get(rip);
      body.local_get(TIME);
      body.call(settle);
      body.i32_const(status);
      body.return();
    };
    body.local_get(TIME);
    body.i64_const(0);
    body.emit('i64.ge_s');
    body.hint(false);
    body.if();
    leave(Status.DEADLINE);
    body.end();

    body.local_get(rip);
    pushField(body, 'codeBase');
    body.emit('i64.add');
    body.local_tee(linear);
    body.i64_const(-4096);
    body.emit('i64.and');
    body.local_set(page);
    setField(body, 'codePage', () => {
      body.local_get(rip);
      body.local_get(linear);
      body.i64_const(0xfff);
      body.emit('i64.and');
      body.emit('i64.sub');
    });
    body.local_get(page);
    pushField(body, 'fetchPage');
    body.emit('i64.ne');
    body.local_get(STATE);
    body.load('i32.load', OFFSET.fetchTable);
    body.emit('i32.eqz');
    body.emit('i32.or');
    body.hint(false);
    body.if();
    newFetchPage(body, layout, linear, page, entry, block, () => {
      body.local_get(STATE);
      body.local_get(rip);
      body.local_get(TIME);
      body.call(settle);
      body.local_get(STATE);
      body.call(host.syncFetch);
      body.emit('i32.eqz');
      body.if();
      body.i32_const(Status.FAULT);
      body.return();
      body.end();
      body.local_get(STATE);
      body.call(goOn);
      body.local_set(TIME);
    });
    body.end();

    body.local_get(STATE);
    body.load('i32.load', OFFSET.fetchTable);
    body.local_get(linear);
    body.emit('i32.wrap_i64');
    body.i32_const(0xfff);
    body.emit('i32.and');
    body.i32_const(2);
    body.emit('i32.shl');
    body.emit('i32.add');
    body.load('i32.load', 0);
    body.local_tee(record);
    body.emit('i32.eqz');
    body.hint(false);
    body.if();
    leave(Status.DECODE);
    body.end();
    dispatch(body, handlerType, record, TIME);
  });

  // --- ways out -------------------------------------------------------------------------------------------------

  runFunction('stop', (body) => {
    setField(body, 'stoppedAt', () => {
      body.local_get(RECORD_POINTER);
      body.load('i64.load32_u', RECORD.handler);
    });
    settleAt(body, RECORD.start);
    body.i32_const(Status.DEADLINE);
  });
  for (const [name, status] of [
    ['fault', Status.FAULT],
    ['repeat', Status.REPEAT],
  ] as const) {
    runFunction(name, (body) => {
      settleAt(body, RECORD.start);
      uncount(body);
      body.i32_const(status);
    });
  }
  runFunction('continues', (body) => {
    const time = 1;
    pushField(body, 'timeLimit');
    pushElapsed(body, time);
    body.emit('i64.add');
    pushField(body, 'deadline');
    body.emit('i64.lt_s');
  });

  // --- host code inside an instruction --------------------------------------------------------------------------

  const inside = (body: FunctionBody): void => {
    body.local_get(STATE);
    body.local_get(RECORD_POINTER);
    body.local_get(TIME);
    body.call(settleInside);
  };
  for (const name of ['slowLoad', 'slowStore'] as const) {
    runFunction(name, (body) => {
      inside(body);
      setField(body, 'slowAddress', () => body.local_get(3));
      body.local_get(STATE);
      body.local_get(4);
      body.local_get(5);
      body.call(host[name]);
      body.local_get(STATE);
      body.call(goOn);
    });
  }
  runFunction('commitStore', (body) => {
    inside(body);
    body.local_get(STATE);
    body.call(host.commitStore);
    body.local_get(STATE);
    body.call(goOn);
  });

  // --- handlers of the first slots ------------------------------------------------------------------------------

  const slots: number[] = [];
  const slot = (at: number, name: string, write: (body: FunctionBody) => void): void => {
    slots[at] = own(HANDLER_PARAMETERS, HANDLER_RESULTS);
    builder.nameFunction(slots[at], name);
    define(slots[at], HANDLER_PARAMETERS, write);
  };
  slot(SLOT.decode, 'decode', (body) => {
    settleAt(body, RECORD.start);
    body.i32_const(Status.DECODE);
  });
  slot(SLOT.lookup, 'next page', (body) => {
    body.local_get(STATE);
    pushRip(body, RECORD.start);
    body.local_get(TIME);
    body.return_call(run.lookup);
  });
  slot(SLOT.system, 'system', (body) => {
    const status = body.local('i32');
    body.local_get(TIME);
    body.local_get(RECORD_POINTER);
    body.load('i64.load32_u', RECORD.cost);
    body.i64_const(32);
    body.emit('i64.shl');
    body.emit('i64.add');
    body.i64_const(1);
    body.emit('i64.add');
    body.local_set(TIME);
    inside(body);
    body.local_get(STATE);
    body.local_get(RECORD_POINTER);
    body.call(host.system);
    body.local_tee(status);
    body.emit('i32.eqz');
    body.if();
    body.local_get(STATE);
    pushField(body, 'rip');
    body.local_get(STATE);
    body.call(goOn);
    body.return_call(run.lookup);
    body.end();
    body.local_get(status);
    body.i32_const(Status.FAULT);
    body.emit('i32.eq');
    body.local_get(status);
    body.i32_const(Status.REPEAT);
    body.emit('i32.eq');
    body.emit('i32.or');
    body.if();
    setField(body, 'rip', () => pushRip(body, RECORD.start));
    uncount(body);
    body.end();
    body.local_get(status);
  });
  builder.element(0, 0, slots);
  return builder.build();
}

/** Cycles of a time word, less `timeLimit`. */
function pushElapsed(body: FunctionBody, time: number): void {
  body.local_get(time);
  body.i64_const(32);
  body.emit('i64.shr_s');
}

/** Takes back one instruction of the settled count. */
function uncount(body: FunctionBody): void {
  setField(body, 'instructions', () => {
    pushField(body, 'instructions');
    body.i64_const(-1);
    body.emit('i64.add');
  });
}

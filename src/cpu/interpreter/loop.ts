/**
 * The interpreter's loop as WebAssembly: find the record of the instruction at RIP, account for it, call its handler.
 * Leaves to host code whenever it does not know the way: no record yet, a new fetch page, a fault.
 *
 * Exports: `loop(state) -> Status` runs until the deadline or another status; `one(state, record) -> Status` executes
 * the instruction of one record.
 */
import { FunctionBody } from '../../wasm/function-body.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import { Status } from '../engine.ts';
import type { MachineLayout } from '../layout.ts';
import { LOOKUP_ENTRIES, LOOKUP_ENTRY_BYTES, OFFSET } from '../state.ts';
import { RECORD } from './record.ts';

/** A block of decoded code of one frame: its code mode, then one record pointer a byte of the frame. */
export const BLOCK_HEADER_BYTES = 16;

const STATE = 0;
const FETCH_TAG = 16;
const ADDEND = 24;
const CODE_MODE_64 = 64;

export function loopModule(layout: MachineLayout): Uint8Array<ArrayBuffer> {
  const builder = new ModuleBuilder();
  builder.importMemory('e', 'memory', { minimum: layout.wasmPages, maximum: layout.wasmPages });
  builder.importTable('e', 'handlers', { minimum: 1 });
  const oneArgument = builder.type(['i32'], ['i32']);
  const handlerType = builder.type(['i32', 'i32'], ['i32']);
  const syncFetch = builder.importFunction('e', 'syncFetch', oneArgument);
  const systemHandler = builder.importFunction('e', 'system', handlerType);

  const one = builder.func(handlerType);
  const body = new FunctionBody(['i32', 'i32']);
  const status = body.local('i32');
  executeRecord(body, handlerType, 1, status);
  body.local_get(status);
  builder.code(one, body);
  builder.exportFunction('one', one);

  const loop = builder.func(oneArgument);
  builder.code(loop, loopBody(layout, handlerType, syncFetch));
  builder.exportFunction('loop', loop);

  // Slot 0 of the table: every system instruction.
  const system = builder.func(handlerType);
  body.reset(['i32', 'i32']);
  body.local_get(0);
  body.local_get(1);
  body.call(systemHandler);
  builder.code(system, body);
  builder.exportFunction('system', system);
  return builder.build();
}

/** Adds to a u64 field. The amount is pushed by `amount`. */
function increase(body: FunctionBody, offset: number, amount: () => void): void {
  body.local_get(STATE);
  body.local_get(STATE);
  body.load('i64.load', offset);
  amount();
  body.emit('i64.add');
  body.store('i64.store', offset);
}

/** Accounts for the instruction of `record`, calls its handler, and takes back what did not happen. */
function executeRecord(body: FunctionBody, handlerType: number, record: number, status: number): void {
  const start = body.local('i64');
  body.local_get(STATE);
  body.load('i64.load', OFFSET.rip);
  body.local_set(start);
  increase(body, OFFSET.cycles, () => {
    body.local_get(record);
    body.load('i64.load32_u', RECORD.cost);
  });
  increase(body, OFFSET.instructions, () => body.i64_const(1));
  body.local_get(STATE);
  body.local_get(start);
  body.local_get(record);
  body.load('i64.load16_u', RECORD.length);
  body.emit('i64.add');
  body.store('i64.store', OFFSET.rip);
  body.local_get(STATE);
  body.local_get(record);
  body.local_get(record);
  body.load('i32.load', RECORD.handler);
  body.call_indirect(handlerType);
  body.local_tee(status);
  body.if();
  body.local_get(status);
  body.i32_const(Status.FAULT);
  body.emit('i32.eq');
  body.local_get(status);
  body.i32_const(Status.REPEAT);
  body.emit('i32.eq');
  body.emit('i32.or');
  body.if();
  body.local_get(STATE);
  body.local_get(start);
  body.store('i64.store', OFFSET.rip);
  increase(body, OFFSET.instructions, () => body.i64_const(-1));
  body.end();
  body.end();
  body.free(start);
}

function loopBody(layout: MachineLayout, handlerType: number, syncFetch: number): FunctionBody {
  const body = new FunctionBody(['i32']);
  const linear = body.local('i64');
  const page = body.local('i64');
  const entry = body.local('i32');
  const block = body.local('i32');
  const record = body.local('i32');
  const status = body.local('i32');
  const again = body.loop();

  body.local_get(STATE);
  body.load('i64.load', OFFSET.cycles);
  body.local_get(STATE);
  body.load('i64.load', OFFSET.deadline);
  body.emit('i64.ge_s');
  body.if();
  body.i32_const(Status.DEADLINE);
  body.return();
  body.end();

  body.local_get(STATE);
  body.load('i64.load', OFFSET.rip);
  body.local_get(STATE);
  body.load('i64.load', OFFSET.codeBase);
  body.emit('i64.add');
  body.local_tee(linear);
  body.i64_const(-4096);
  body.emit('i64.and');
  body.local_tee(page);
  body.local_get(STATE);
  body.load('i64.load', OFFSET.fetchPage);
  body.emit('i64.ne');
  body.local_get(STATE);
  body.load('i32.load', OFFSET.fetchTable);
  body.emit('i32.eqz');
  body.emit('i32.or');
  body.if();
  newFetchPage();
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
  body.if();
  body.i32_const(Status.DECODE);
  body.return();
  body.end();

  executeRecord(body, handlerType, record, status);
  body.local_get(status);
  body.emit('i32.eqz');
  body.br_if(again);
  body.end();
  body.local_get(status);
  return body;

  /** A hit of the lookup table in 64-bit mode on a frame with decoded code stays here; all else asks host code. */
  function newFetchPage(): void {
    const known = body.block();
    const ask = body.block();
    body.local_get(STATE);
    body.load('i32.load', OFFSET.codeMode);
    body.i32_const(CODE_MODE_64);
    body.emit('i32.ne');
    body.br_if(ask);
    body.local_get(STATE);
    body.load('i32.load', OFFSET.lookupTable);
    body.local_get(linear);
    body.i64_const(12 - Math.log2(LOOKUP_ENTRY_BYTES));
    body.emit('i64.shr_u');
    body.emit('i32.wrap_i64');
    body.i32_const((LOOKUP_ENTRIES - 1) * LOOKUP_ENTRY_BYTES);
    body.emit('i32.and');
    body.emit('i32.add');
    body.local_tee(entry);
    body.load('i64.load', FETCH_TAG);
    body.local_get(page);
    body.local_get(STATE);
    body.load('i64.load', OFFSET.tlbGeneration);
    body.emit('i64.or');
    body.emit('i64.ne');
    body.br_if(ask);
    // block = codeIndex[(page + addend - ramBase) >> 12]
    body.local_get(page);
    body.local_get(entry);
    body.load('i64.load', ADDEND);
    body.emit('i64.add');
    body.emit('i32.wrap_i64');
    body.i32_const(layout.ramBase);
    body.emit('i32.sub');
    body.i32_const(12);
    body.emit('i32.shr_u');
    body.i32_const(2);
    body.emit('i32.shl');
    body.load('i32.load', layout.codeIndex);
    body.local_tee(block);
    body.emit('i32.eqz');
    body.br_if(ask);
    body.local_get(block);
    body.load('i32.load', 0);
    body.i32_const(CODE_MODE_64);
    body.emit('i32.ne');
    body.br_if(ask);
    body.local_get(STATE);
    body.local_get(page);
    body.store('i64.store', OFFSET.fetchPage);
    body.local_get(STATE);
    body.local_get(entry);
    body.load('i64.load', ADDEND);
    body.store('i64.store', OFFSET.fetchAddend);
    body.local_get(STATE);
    body.local_get(block);
    body.i32_const(BLOCK_HEADER_BYTES);
    body.emit('i32.add');
    body.store('i32.store', OFFSET.fetchTable);
    body.br(known);
    body.end();
    body.local_get(STATE);
    body.call(syncFetch);
    body.emit('i32.eqz');
    body.if();
    body.i32_const(Status.FAULT);
    body.return();
    body.end();
    body.end();
  }
}

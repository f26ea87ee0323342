/**
 * What the loop module (loop.ts) and handlers share: the types of the functions between them, and pieces of code that
 * both write, with the state in parameter 0, the record in 1 and the time in 2.
 */
import type { FunctionBody, Label } from '../../wasm/function-body.ts';
import type { ValueType } from '../../wasm/types.ts';
import type { MachineLayout } from '../layout.ts';
import { type FieldName, LOOKUP_ENTRIES, LOOKUP_ENTRY_BYTES, OFFSET } from '../state.ts';
import { RECORD } from './record.ts';

/** A block of decoded code of one frame: its code mode, then one record pointer a byte of the frame. */
export const BLOCK_HEADER_BYTES = 16;

const STATE = 0;
const RECORD_POINTER = 1;
const FETCH_TAG = 16;
const ADDEND = 24;
const CODE_MODE_64 = 64;

/** `(state, record, time) -> Status`, the type of handlers. */
export const HANDLER_PARAMETERS: readonly ValueType[] = ['i32', 'i32', 'i64'];
export const HANDLER_RESULTS: readonly ValueType[] = ['i32'];

/** What handlers call of this module, with parameters and results. All but `continues` settle what they must. */
export const RUN_FUNCTIONS = {
  /** (state, rip, time): a tail call; goes on at an address that no record names. */
  lookup: [['i32', 'i64', 'i64'], ['i32']],
  /** (state, next record, time): a tail call; stops before `next`. */
  stop: [HANDLER_PARAMETERS, HANDLER_RESULTS],
  /** (state, record, time): tail calls; the instruction of the record did not happen, or is to go on. */
  fault: [HANDLER_PARAMETERS, HANDLER_RESULTS],
  repeat: [HANDLER_PARAMETERS, HANDLER_RESULTS],
  /** (state, time) -> 1 while a repeated instruction may go on although the run is over: the deadline is what counts for it. */
  continues: [['i32', 'i64'], ['i32']],
  /** (state, record, time, linear address, size, segment is SS) -> (host address or 0, time). */
  slowLoad: [
    ['i32', 'i32', 'i64', 'i64', 'i32', 'i32'],
    ['i32', 'i64'],
  ],
  slowStore: [
    ['i32', 'i32', 'i64', 'i64', 'i32', 'i32'],
    ['i32', 'i64'],
  ],
  /** (state) -> RFLAGS; (state, flags): replaces the status flags. */
  readFlags: [['i32'], ['i64']],
  writeFlags: [['i32', 'i64'], []],
  /** (state, record, time) -> time; completes a store through storeScratch. */
  commitStore: [['i32', 'i32', 'i64'], ['i64']],
} as const satisfies Record<string, readonly [readonly ValueType[], readonly ValueType[]]>;

export type RunFunction = keyof typeof RUN_FUNCTIONS;
export const RUN_FUNCTION_NAMES = Object.keys(RUN_FUNCTIONS) as readonly RunFunction[];

/** Pushes the handler arguments and its slot from a record in a local, and goes there. */
export function dispatch(body: FunctionBody, handlerType: number, record: number, time: number): void {
  body.local_get(STATE);
  body.local_get(record);
  body.local_get(time);
  body.local_get(record);
  body.load('i32.load', RECORD.handler);
  body.return_call_indirect(handlerType);
}

/** For 64-bit mode: goes to `found` with the record of RIP when it is in the fetch page, else falls through. */
export function lookupInPage(body: FunctionBody, rip: number, record: number, found: Label): void {
  const elsewhere = body.block();
  body.local_get(rip);
  body.i64_const(-4096);
  body.emit('i64.and');
  pushField(body, 'fetchPage');
  body.emit('i64.ne');
  body.br_if(elsewhere);
  body.local_get(STATE);
  body.load('i32.load', OFFSET.fetchTable);
  body.local_tee(record);
  body.emit('i32.eqz');
  body.br_if(elsewhere);
  body.local_get(record);
  body.local_get(rip);
  body.emit('i32.wrap_i64');
  body.i32_const(0xfff);
  body.emit('i32.and');
  body.i32_const(2);
  body.emit('i32.shl');
  body.emit('i32.add');
  body.load('i32.load', 0);
  body.local_tee(record);
  body.emit('i32.eqz');
  body.br_if(elsewhere);
  body.local_get(record);
  body.local_set(RECORD_POINTER);
  body.br(found);
  body.end();
}

export function pushField(body: FunctionBody, name: FieldName): void {
  body.local_get(STATE);
  body.load('i64.load', OFFSET[name]);
}

export function setField(body: FunctionBody, name: FieldName, value: () => void): void {
  body.local_get(STATE);
  value();
  body.store('i64.store', OFFSET[name]);
}

/** Pushes the RIP of a place in the record's page. */
export function pushRip(body: FunctionBody, place: typeof RECORD.start | typeof RECORD.end): void {
  pushField(body, 'codePage');
  body.local_get(RECORD_POINTER);
  body.load('i64.load16_u', place);
  body.emit('i64.add');
}

/** A hit of the lookup table in 64-bit mode on a frame with decoded code stays here; all else asks host code. */
export function newFetchPage(
  body: FunctionBody,
  layout: MachineLayout,
  linear: number,
  page: number,
  entry: number,
  block: number,
  askHost: () => void,
): void {
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
  pushField(body, 'tlbGeneration');
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
  setField(body, 'fetchPage', () => body.local_get(page));
  setField(body, 'fetchAddend', () => {
    body.local_get(entry);
    body.load('i64.load', ADDEND);
  });
  body.local_get(STATE);
  body.local_get(block);
  body.i32_const(BLOCK_HEADER_BYTES);
  body.emit('i32.add');
  body.store('i32.store', OFFSET.fetchTable);
  body.br(known);
  body.end();
  askHost();
  body.end();
}

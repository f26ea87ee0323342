/**
 * The WebAssembly module of a region, with one function of a handler's type. It is entered through the records of the
 * region's blocks, whose handlers it stands in for; blocks that follow each other are reached by branches, all others
 * through a dispatch on the block's number.
 *
 *   not enough time for the block -> the first instruction's own handler
 *   registers, flags, lookup table -> locals
 *   loop: dispatch on blockIndex; block 0; block 1; ...
 *   exit: locals -> registers, flags; stop, another handler or the search
 */
import { type ComputationImports, STATE } from '../cpu/interpreter/computation-emitter.ts';
import type { HandlerModule } from '../cpu/interpreter/handlers.ts';
import { HANDLER_PARAMETERS, HANDLER_RESULTS, RUN_FUNCTIONS } from '../cpu/interpreter/chain.ts';
import { RECORD } from '../cpu/interpreter/record.ts';
import { emitCalls } from '../cpu/interpreter/subroutine-linker.ts';
import type { Definition } from '../cpu/algebra.ts';
import { OFFSET } from '../cpu/state.ts';
import type { Instruction } from '../x86/instruction.ts';
import { FunctionBody, type Label } from '../wasm/function-body.ts';
import { ModuleBuilder } from '../wasm/module-builder.ts';
import type { Region } from './region.ts';
import { RegionEmitter, type RegionLocals } from './region-emitter.ts';

const RECORD_POINTER = 1;
const TIME = 2;
const REGISTERS = 16;

export interface RegionCode {
  readonly region: Region;
  readonly legacy: boolean;
  /** Slot that the function will have. */
  readonly slot: number;
  readonly memoryPages: number;
  definition(instruction: Instruction): Definition;
  recordAt(offset: number): number;
  cost(event: string): number;
}

interface Indices {
  readonly handlerType: number;
  readonly lookup: number;
  readonly stop: number;
  readonly readFlags: number;
  readonly writeFlags: number;
}

/** Bytes of the region's module; the function is exported as `f`. */
export function regionModule(code: RegionCode): HandlerModule {
  const builder = new ModuleBuilder();
  builder.importMemory('e', 'memory', { minimum: code.memoryPages, maximum: code.memoryPages });
  builder.importTable('e', 'handlers', { minimum: 1 });
  const handlerType = builder.type(HANDLER_PARAMETERS, HANDLER_RESULTS);
  const run = (name: 'lookup' | 'stop' | 'readFlags' | 'writeFlags'): number => {
    const [parameters, results] = RUN_FUNCTIONS[name];
    return builder.importFunction('e', name, builder.type(parameters, results));
  };
  const indices: Indices = {
    handlerType,
    lookup: run('lookup'),
    stop: run('stop'),
    readFlags: run('readFlags'),
    writeFlags: run('writeFlags'),
  };
  const { bodies, hostFunctions, subroutines } = emitCalls(builder, (calls) => [regionFunction(code, indices, calls)], []);
  const index = builder.func(handlerType);
  builder.code(index, bodies[0]);
  builder.nameFunction(index, `region of ${code.region.blocks.length} blocks`);
  builder.exportFunction('f', index);
  return { bytes: builder.build(), hostFunctions, subroutines };
}

function regionFunction(code: RegionCode, indices: Indices, calls: ComputationImports): FunctionBody {
  const { region } = code;
  const body = new FunctionBody(HANDLER_PARAMETERS, 1 << 16);
  const locals = allocateLocals(body);
  leaveWithoutTime(body, indices);
  enter(body, locals, indices);

  const exit = body.block();
  const search = body.block();
  const again = body.loop();
  const labels: (Label | undefined)[] = [];
  for (let index = region.blocks.length - 1; index >= 0; index--) labels[index] = body.block();
  body.local_get(locals.blockIndex);
  body.br_table(labels as Label[], labels[0] as Label);

  const context = {
    region,
    locals,
    labels: { exit, search, again },
    slot: code.slot,
    legacy: code.legacy,
    cost: code.cost,
    recordAt: code.recordAt,
  };
  const emitter = new RegionEmitter(body, calls, context);
  for (const block of region.blocks) {
    body.end();
    labels[block.index] = undefined;
    emitter.beginBlock(block, labels);
    for (const placed of block.instructions) {
      if (!placed.compiled) {
        emitter.leaveToInterpreter(placed);
        break;
      }
      // Operand objects are shared by all instructions.
      const form: Instruction = { ...placed.instruction, operands: placed.instruction.operands.map((operand) => ({ ...operand })) };
      emitter.beginInstruction(placed, form);
      code.definition(form)(emitter, form);
      if (!emitter.endInstruction()) break;
    }
    emitter.endBlock();
  }
  body.end();
  body.emit('unreachable');
  body.end();

  // What is searched for has no record.
  body.i32_const(0);
  body.local_set(locals.exitRecord);
  body.end();
  leave(body, locals, emitter, indices);
  return body;
}

function allocateLocals(body: FunctionBody): RegionLocals {
  const i32 = (): number => body.local('i32');
  const i64 = (): number => body.local('i64');
  const locals = {
    time: TIME,
    codePage: i64(),
    lookupTable: i32(),
    generation: i64(),
    fetchTable: i32(),
    blockIndex: i32(),
    registers: Array.from({ length: REGISTERS }, i64),
    bits: i64(),
    zspInBits: i32(),
    result: i64(),
    carry: i64(),
    auxiliary: i64(),
    overflow: i64(),
    exitRecord: i32(),
    exitSlot: i32(),
    exitRip: i64(),
  };
  const { registers, ...single } = locals;
  return { ...locals, all: [...registers, ...Object.values(single)].filter((local) => local !== TIME) };
}

/** The deadline may fall into the block, or one instruction is stepped: the interpreter stops at the right one. */
function leaveWithoutTime(body: FunctionBody, { handlerType }: Indices): void {
  body.local_get(TIME);
  body.local_get(RECORD_POINTER);
  body.load('i64.load32_u', RECORD.worst);
  body.i64_const(32);
  body.emit('i64.shl');
  body.emit('i64.add');
  body.i64_const(0);
  body.emit('i64.ge_s');
  body.hint(false);
  body.if();
  body.local_get(STATE);
  body.local_get(RECORD_POINTER);
  body.local_get(TIME);
  body.local_get(RECORD_POINTER);
  body.load('i32.load16_u', RECORD.own);
  body.return_call_indirect(handlerType);
  body.end();
}

function enter(body: FunctionBody, locals: RegionLocals, { readFlags }: Indices): void {
  const load = (name: 'i32.load' | 'i64.load', offset: number, local: number): void => {
    body.local_get(STATE);
    body.load(name, offset);
    body.local_set(local);
  };
  for (const [n, local] of locals.registers.entries()) load('i64.load', OFFSET.gpr + n * 8, local);
  load('i64.load', OFFSET.codePage, locals.codePage);
  load('i32.load', OFFSET.lookupTable, locals.lookupTable);
  load('i64.load', OFFSET.tlbGeneration, locals.generation);
  load('i32.load', OFFSET.fetchTable, locals.fetchTable);
  body.local_get(STATE);
  body.call(readFlags);
  body.local_tee(locals.bits);
  body.local_tee(locals.auxiliary);
  body.local_tee(locals.overflow);
  body.i64_const(1);
  body.emit('i64.and');
  body.local_set(locals.carry);
  body.i32_const(1);
  body.local_set(locals.zspInBits);
  body.local_get(RECORD_POINTER);
  body.load('i32.load16_u', RECORD.entry);
  body.local_set(locals.blockIndex);
}

function leave(body: FunctionBody, locals: RegionLocals, emitter: RegionEmitter, indices: Indices): void {
  for (const register of [...emitter.writtenRegisters].sort((a, b) => a - b)) {
    body.local_get(STATE);
    body.local_get(locals.registers[register]);
    body.store('i64.store', OFFSET.gpr + register * 8);
  }
  if (emitter.flagsWritten) emitter.storeFlags(indices.writeFlags);
  body.local_get(locals.exitRecord);
  body.emit('i32.eqz');
  body.if();
  body.local_get(STATE);
  body.local_get(locals.exitRip);
  body.local_get(TIME);
  body.return_call(indices.lookup);
  body.end();
  body.local_get(TIME);
  body.i64_const(0);
  body.emit('i64.ge_s');
  body.if();
  body.local_get(STATE);
  body.local_get(locals.exitRecord);
  body.local_get(TIME);
  body.return_call(indices.stop);
  body.end();
  body.local_get(STATE);
  body.local_get(locals.exitRecord);
  body.local_get(TIME);
  body.local_get(locals.exitRecord);
  body.load('i32.load', RECORD.handler);
  body.local_get(locals.exitSlot);
  body.local_get(locals.exitSlot);
  body.i32_const(0);
  body.emit('i32.lt_s');
  body.select();
  body.return_call_indirect(indices.handlerType);
}

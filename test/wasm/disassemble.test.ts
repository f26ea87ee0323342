import { describe, expect, test } from 'vitest';
import { disassemble } from '../../src/wasm/disassemble.ts';
import { disassembleCode } from '../../src/wasm/disassemble-code.ts';
import { FunctionBody } from '../../src/wasm/function-body.ts';
import { ModuleBuilder } from '../../src/wasm/module-builder.ts';
import type { LaneAccessName, LaneName, LoadName, PlainName, StoreName } from '../../src/wasm/opcodes.ts';
import { laneAccess, lanes, loads, plain, stores } from '../../src/wasm/opcodes.ts';

function lines(write: (body: FunctionBody) => void): string[] {
  const body = new FunctionBody(['i32', 'i64']);
  write(body);
  return disassembleCode(body.codeBytes());
}

describe('disassembleCode', () => {
  test('every instruction of the tables comes back under its name', () => {
    for (const name of Object.keys(plain)) expect(lines((body) => body.emit(name as PlainName))).toEqual([name]);
    for (const name of Object.keys(loads)) expect(lines((body) => body.load(name as LoadName, 300))).toEqual([`${name} offset=300`]);
    for (const name of Object.keys(stores)) expect(lines((body) => body.store(name as StoreName))).toEqual([name]);
    for (const name of Object.keys(lanes)) expect(lines((body) => body.emit_lane(name as LaneName, 1))).toEqual([`${name} 1`]);
    for (const name of Object.keys(laneAccess))
      expect(lines((body) => body.access_lane(name as LaneAccessName, 1, 16))).toEqual([`${name} offset=16 1`]);
  });

  test('blocks are indented and operands are those of the text format', () => {
    expect(
      lines((body) => {
        const outer = body.block('i64');
        const again = body.loop();
        body.local_get(0);
        body.if(3);
        body.br(outer);
        body.else();
        body.local_tee(1);
        body.br_if(again);
        body.br_table([outer, again], body.functionLabel);
        body.end();
        body.end();
        body.i64_const(-1n);
        body.end();
        body.return();
      }),
    ).toEqual([
      'block (result i64)',
      '  loop',
      '    local.get 0',
      '    if (type 3)',
      '      br 2',
      '    else',
      '      local.tee 1',
      '      br_if 1',
      '      br_table 2 1 3',
      '    end',
      '  end',
      '  i64.const -1',
      'end',
      'return',
    ]);
  });

  test('every method of FunctionBody has its text', () => {
    expect(
      lines((body) => {
        body.call(5);
        body.return_call(6);
        body.call_indirect(2);
        body.call_indirect(2, 1);
        body.return_call_indirect(3, 1);
        body.local_set(1);
        body.global_get(4);
        body.global_set(4);
        body.select();
        body.select('funcref');
        body.ref_null('externref');
        body.ref_func(9);
        body.i32_const(-2147483648);
        body.i64_const(2 ** 40);
        body.i64_const_halves(0, -2147483648);
        body.f32_const(0.5);
        body.f32_const_bits(0xff800000 | 0);
        body.f64_const(-0);
        body.f64_const(1e300);
        body.f64_const_bits(0xfff8000000000000n);
        body.v128_const_i32x4(1, -1, 0, 0x10);
        body.v128_const_i64x2(-1n, 0n);
        body.load('i64.load', 2 ** 33, 0, 1);
        body.memory_size();
        body.memory_grow(1);
        body.memory_fill();
        body.memory_copy();
        body.memory_copy(1, 0);
        body.memory_init(7);
        body.memory_init(7, 1);
        body.data_drop(7);
        body.table_get();
        body.table_set(1);
        body.table_size();
        body.table_grow(1);
        body.table_fill();
        body.table_copy(1, 2);
        body.table_init(3, 1);
        body.elem_drop(3);
        body.i8x16_shuffle([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 31]);
      }),
    ).toEqual([
      'call 5',
      'return_call 6',
      'call_indirect (type 2)',
      'call_indirect 1 (type 2)',
      'return_call_indirect 1 (type 3)',
      'local.set 1',
      'global.get 4',
      'global.set 4',
      'select',
      'select (result funcref)',
      'ref.null extern',
      'ref.func 9',
      'i32.const -2147483648',
      'i64.const 1099511627776',
      'i64.const -9223372036854775808',
      'f32.const 0.5',
      'f32.const -inf',
      'f64.const -0',
      'f64.const 1e+300',
      'f64.const -nan:0x8000000000000',
      'v128.const i32x4 0x00000001 0xffffffff 0x00000000 0x00000010',
      'v128.const i32x4 0xffffffff 0xffffffff 0x00000000 0x00000000',
      'i64.load 1 offset=8589934592 align=1',
      'memory.size',
      'memory.grow 1',
      'memory.fill',
      'memory.copy',
      'memory.copy 1 0',
      'memory.init 7',
      'memory.init 1 7',
      'data.drop 7',
      'table.get',
      'table.set 1',
      'table.size',
      'table.grow 1',
      'table.fill',
      'table.copy 1 2',
      'table.init 1 3',
      'elem.drop 3',
      'i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 31',
    ]);
  });

  test('an unknown opcode is named with its position', () => {
    expect(() => disassembleCode(Uint8Array.of(0x01, 0x06))).toThrow('unknown opcode 0x6 at 1');
    expect(() => disassembleCode(Uint8Array.of(0xfd, 0xff, 0x7f))).toThrow('unknown opcode');
  });
});

describe('disassemble', () => {
  test('a module with every section reads as text', () => {
    const module = new ModuleBuilder();
    const handler = module.type(['i32', 'i64'], ['i64']);
    const nothing = module.type([], []);
    const slow = module.importFunction('host', 'slow', handler);
    module.importMemory('host', 'guest', { minimum: 1, maximum: 65536, addressType: 'i64' });
    module.importMemory('host', 'shared', { minimum: 1, maximum: 2, shared: true });
    module.importTable('host', 'regions', { minimum: 16 });
    module.importGlobal('host', 'base', { type: 'i32', mutable: false });
    const table = module.table({ minimum: 1, maximum: 4, elementType: 'funcref' });
    const global = module.global({ type: 'i64', mutable: true }, -1n);
    const region = module.func(handler);
    const other = module.func(nothing);
    const body = new FunctionBody(['i32', 'i64']);
    const sum = body.local('i64');
    body.local('i64');
    body.local('f64');
    body.local_get(0);
    body.load('i64.load', 8);
    body.local_tee(sum);
    body.emit('i64.eqz');
    body.if('i64');
    body.local_get(0);
    body.local_get(1);
    body.call(slow);
    body.else();
    body.local_get(sum);
    body.end();
    module.code(region, body);
    body.reset([]);
    module.code(other, body);
    module.nameFunction(region, 'region_401000');
    module.export('run "it"', 'func', region);
    module.export('state', 'global', global);
    module.element(0, 3, [region, other]);
    module.element(table, 0, [slow]);
    module.data(Uint8Array.of(1, 0xab), 16);
    module.data(Uint8Array.of(2));
    expect(disassemble(module.build())).toBe(`(module
  (type (;0;) (func (param i32 i64) (result i64)))
  (type (;1;) (func))
  (import "host" "slow" (func (;0;) (type 0)))
  (import "host" "guest" (memory (;0;) i64 1 65536))
  (import "host" "shared" (memory (;1;) 1 2 shared))
  (import "host" "regions" (table (;0;) 16 funcref))
  (import "host" "base" (global (;0;) i32))
  (table (;1;) 1 4 funcref)
  (global (;1;) (mut i64) (i64.const -1))
  (export "run \\u{22}it\\u{22}" (func 1))
  (export "state" (global 1))
  (elem (;0;) (i32.const 3) func 1 2)
  (elem (;1;) (table 1) (i32.const 0) func 0)
  (func (;1;) (type 0) (param i32 i64) (result i64) ;; "region_401000"
    (local i64 i64)
    (local f64)
    local.get 0
    i64.load offset=8
    local.tee 2
    i64.eqz
    if (result i64)
      local.get 0
      local.get 1
      call 0
    else
      local.get 2
    end
  )
  (func (;2;) (type 1)
  )
  (data (;0;) (i64.const 16) "\\01\\ab")
  (data (;1;) "\\02")
)
`);
  });

  test('what is not a module is refused', () => {
    expect(() => disassemble(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7))).toThrow('not a WebAssembly module');
    expect(() => disassemble(Uint8Array.of(0, 0x61, 0x73))).toThrow(RangeError);
  });
});

import { describe, expect, test } from 'vitest';
import { FunctionBody } from '../../src/wasm/function-body.ts';
import { ModuleBuilder } from '../../src/wasm/module-builder.ts';
import type { AddressType } from '../../src/wasm/types.ts';
import { exportsOf } from './execution.ts';

function constantFunction(module: ModuleBuilder, body: FunctionBody, value: number): number {
  const func = module.func(module.type([], ['i32']));
  body.reset([]);
  body.i32_const(value);
  module.code(func, body);
  return func;
}

describe('ModuleBuilder', () => {
  test('an empty module is the eight bytes of its header', () => {
    expect([...new ModuleBuilder().build()]).toEqual([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  });

  test('the same function type has one index', () => {
    const module = new ModuleBuilder();
    expect(module.type(['i32'], ['i64'])).toBe(0);
    expect(module.type(['i32', 'i64'], [])).toBe(1);
    expect(module.type([], ['i32', 'i64'])).toBe(2);
    expect(module.type(['i32'], ['i64'])).toBe(0);
  });

  test('imported functions, memory, table and global are reached under their indices', () => {
    const module = new ModuleBuilder();
    const double = module.importFunction('host', 'double', module.type(['i32'], ['i32']));
    module.importMemory('host', 'memory', { minimum: 1, maximum: 2 });
    const table = module.importTable('host', 'table', { minimum: 4 });
    const counter = module.importGlobal('host', 'counter', { type: 'i64', mutable: true });
    const own = module.global({ type: 'i64', mutable: true }, 1n << 40n);
    const body = new FunctionBody(['i32']);
    body.local_get(0);
    body.load('i32.load16_u', 2);
    body.call(double);
    body.global_get(counter);
    body.global_get(own);
    body.emit('i64.add');
    body.global_set(counter);
    const func = module.func(module.type(['i32'], ['i32']));
    module.code(func, body);
    module.element(table, 3, [func]);
    module.exportFunction('run', func);
    module.export('own', 'global', own);

    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2 });
    const hostTable = new WebAssembly.Table({ element: 'anyfunc', initial: 4 });
    const hostCounter = new WebAssembly.Global({ value: 'i64', mutable: true }, 2n);
    const double_ = (value: number): number => value * 2;
    const exports = exportsOf(module.build(), { host: { memory, double: double_, table: hostTable, counter: hostCounter } });
    new Uint8Array(memory.buffer).set([0, 0, 0, 0x34, 0x12], 0);
    expect(exports['run']!(1)).toBe(0x1234 * 2);
    expect(hostCounter.value).toBe((1n << 40n) + 2n);
    expect(hostTable.get(3)).toBe(exports['run']);
    expect(hostTable.get(2)).toBe(null);
  });

  test('code may come in another order than the declarations', () => {
    const module = new ModuleBuilder();
    const type = module.type([], ['i32']);
    const functions = [module.func(type), module.func(type), module.func(type), module.func(type)];
    const body = new FunctionBody();
    for (const index of [2, 0, 1, 3]) {
      body.reset([]);
      body.i32_const(index * 100);
      module.code(functions[index]!, body);
      module.exportFunction(`f${index}`, functions[index]!);
    }
    const exports = exportsOf(module.build());
    expect([0, 1, 2, 3].map((index) => exports[`f${index}`]!())).toEqual([0, 100, 200, 300]);
  });

  test('call_indirect and tail calls reach functions through a table', () => {
    const module = new ModuleBuilder();
    const step = module.type(['i32', 'i32'], ['i32']);
    const table = module.table({ minimum: 2, maximum: 2 });
    const second = module.table({ minimum: 1 });
    const even = module.func(step);
    const odd = module.func(step);
    const start = module.func(step);
    const body = new FunctionBody();
    // Two functions that hand a count to one another: without tail calls a million steps would overflow the stack.
    for (const [func, other, result] of [
      [even, 1, 0],
      [odd, 0, 1],
    ] as const) {
      body.reset(['i32', 'i32']);
      body.local_get(0);
      body.emit('i32.eqz');
      body.if();
      body.i32_const(result);
      body.return();
      body.end();
      body.local_get(0);
      body.i32_const(1);
      body.emit('i32.sub');
      body.local_get(1);
      body.i32_const(other);
      body.return_call_indirect(step, table);
      module.code(func, body);
    }
    body.reset(['i32', 'i32']);
    body.local_get(0);
    body.local_get(1);
    body.i32_const(0);
    body.call_indirect(step, second);
    module.code(start, body);
    module.element(table, 0, [even, odd]);
    module.element(second, 0, [even]);
    module.exportFunction('run', start);
    const run = exportsOf(module.build())['run']!;
    expect([run(1_000_000, 0), run(1_000_001, 0)]).toEqual([0, 1]);
  });

  test('return_call replaces the frame', () => {
    const module = new ModuleBuilder();
    const type = module.type(['i64'], ['i64']);
    const down = module.func(type);
    const body = new FunctionBody(['i64']);
    body.local_get(0);
    body.emit('i64.eqz');
    body.if();
    body.i64_const(99);
    body.return();
    body.end();
    body.local_get(0);
    body.i64_const(1);
    body.emit('i64.sub');
    body.return_call(down);
    module.code(down, body);
    module.exportFunction('run', down);
    expect(exportsOf(module.build())['run']!(1_000_000n)).toBe(99n);
  });

  for (const addressType of ['i32', 'i64'] as AddressType[])
    test(`bulk memory instructions work on a memory with ${addressType} addresses`, () => {
      const module = new ModuleBuilder();
      module.memory({ minimum: 1, maximum: addressType === 'i64' ? 70_000 : 10, addressType });
      module.data(Uint8Array.of(1, 2, 3), 16);
      const passive = module.data(Uint8Array.of(9, 8, 7, 6));
      const body = new FunctionBody();
      const address = (value: number): void => (addressType === 'i64' ? body.i64_const(value) : body.i32_const(value));
      const run = module.func(module.type([], [addressType]));
      address(100);
      body.i32_const(1);
      body.i32_const(3);
      body.memory_init(passive);
      body.data_drop(passive);
      address(200);
      address(16);
      address(3);
      body.memory_copy();
      address(300);
      body.i32_const(0xee);
      address(2);
      body.memory_fill();
      address(1);
      body.memory_grow();
      body.emit('drop');
      address(65536);
      body.i64_const(-1);
      body.store('i64.store32', 8);
      body.memory_size();
      module.code(run, body);
      module.exportFunction('run', run);
      module.export('memory', 'memory', 0);
      const exports = exportsOf(module.build());
      expect(Number(exports['run']!())).toBe(2);
      const bytes = new Uint8Array((exports['memory'] as unknown as WebAssembly.Memory).buffer);
      expect([...bytes.slice(16, 19), ...bytes.slice(100, 104)]).toEqual([1, 2, 3, 8, 7, 6, 0]);
      expect([...bytes.slice(200, 204), ...bytes.slice(300, 303)]).toEqual([1, 2, 3, 0, 0xee, 0xee, 0]);
      expect([...bytes.slice(65543, 65549)]).toEqual([0, 0xff, 0xff, 0xff, 0xff, 0]);
    });

  test('a memory with i64 addresses takes offsets above 4 GiB', () => {
    const module = new ModuleBuilder();
    module.importMemory('host', 'memory', { minimum: 1, addressType: 'i64' });
    const body = new FunctionBody(['i64']);
    body.local_get(0);
    body.load('i64.load', 2 ** 33 + 8);
    const func = module.func(module.type(['i64'], ['i64']));
    module.code(func, body);
    module.exportFunction('run', func);
    const memory = new WebAssembly.Memory({ initial: 1n, address: 'i64' } as unknown as WebAssembly.MemoryDescriptor);
    const run = exportsOf(module.build(), { host: { memory } })['run']!;
    expect(() => run(0n)).toThrow(WebAssembly.RuntimeError);
    // Address arithmetic does not wrap, so a negative base cannot bring the sum back into range (§4.6.9).
    expect(() => run(-(2n ** 33n))).toThrow(WebAssembly.RuntimeError);
  });

  test('a second memory is reached by its index', () => {
    const module = new ModuleBuilder();
    module.memory({ minimum: 1 });
    const second = module.memory({ minimum: 1, addressType: 'i64' });
    const body = new FunctionBody();
    body.i64_const(8);
    body.i32_const(77);
    body.store('i32.store', 4, 0, second);
    body.i64_const(12);
    body.load('i32.load', 0, 2, second);
    body.i32_const(12);
    body.load('i32.load8_u');
    body.emit('i32.sub');
    const func = module.func(module.type([], ['i32']));
    module.code(func, body);
    module.exportFunction('run', func);
    expect(exportsOf(module.build())['run']!()).toBe(77);
  });

  test('table instructions move references', () => {
    const module = new ModuleBuilder();
    const table = module.table({ minimum: 2 });
    const body = new FunctionBody();
    const value = constantFunction(module, body, 5);
    module.exportFunction('value', value);
    body.reset([]);
    body.ref_func(value);
    body.i32_const(3);
    body.table_grow(table);
    body.emit('drop');
    body.i32_const(0);
    body.i32_const(4);
    body.table_get(table);
    body.table_set(table);
    body.i32_const(4);
    body.ref_null('funcref');
    body.i32_const(1);
    body.table_fill(table);
    body.i32_const(4);
    body.table_get(table);
    body.emit('ref.is_null');
    body.i32_const(0);
    body.call_indirect(module.type([], ['i32']), table);
    body.emit('i32.add');
    body.table_size(table);
    body.emit('i32.add');
    const func = module.func(module.type([], ['i32']));
    module.code(func, body);
    module.exportFunction('run', func);
    expect(exportsOf(module.build())['run']!()).toBe(1 + 5 + 5);
  });

  test('globals of each type start with their constant', () => {
    const module = new ModuleBuilder();
    module.export('a', 'global', module.global({ type: 'i32', mutable: false }, -5));
    module.export('b', 'global', module.global({ type: 'f64', mutable: false }, 0.25));
    module.export('c', 'global', module.global({ type: 'f32', mutable: false }, -0.5));
    module.export('d', 'global', module.global({ type: 'funcref', mutable: true }));
    module.global({ type: 'v128', mutable: true }, 5n << 64n);
    const exports = exportsOf(module.build()) as unknown as Record<string, WebAssembly.Global>;
    expect(['a', 'b', 'c', 'd'].map((name) => exports[name]!.value)).toEqual([-5, 0.25, -0.5, null]);
  });

  test('a function name appears in the stack of a trap', () => {
    const module = new ModuleBuilder();
    const body = new FunctionBody();
    body.emit('unreachable');
    const func = module.func(module.type([], []));
    module.code(func, body);
    module.nameFunction(func, 'block_4010a0');
    module.exportFunction('run', func);
    let stack = '';
    try {
      exportsOf(module.build())['run']!();
    } catch (error) {
      stack = (error as Error).stack ?? '';
    }
    expect(stack).toContain('block_4010a0');
  });

  test('reset gives the bytes of a new builder', () => {
    const body = new FunctionBody();
    const fill = (module: ModuleBuilder): Uint8Array<ArrayBuffer> => {
      module.importMemory('host', 'memory', { minimum: 1, addressType: 'i64' });
      module.exportFunction('run', constantFunction(module, body, 3));
      module.element(module.table({ minimum: 1 }), 0, [0]);
      return module.build();
    };
    const reused = new ModuleBuilder();
    const first = fill(reused);
    reused.data(Uint8Array.of(1), 0);
    reused.global({ type: 'i32', mutable: true });
    reused.nameFunction(0, 'name');
    reused.reset();
    expect(fill(reused)).toEqual(fill(new ModuleBuilder()));
    expect(fill(new ModuleBuilder())).toEqual(first);
  });

  test('misuse is refused at once', () => {
    const module = new ModuleBuilder();
    const body = new FunctionBody();
    expect(() => module.func(0)).toThrow('no function type 0');
    const func = module.func(module.type([], []));
    expect(() => module.importFunction('host', 'late', 0)).toThrow('after the definition of a func');
    expect(() => module.build()).toThrow('function 0 has no code');
    module.code(func, body);
    expect(() => module.code(func, body)).toThrow('not a declared function without code');
    expect(() => module.code(7, body)).toThrow('not a declared function without code');
  });

  test('branch hints stand before the code, with offsets from the locals of their function', () => {
    const module = new ModuleBuilder();
    const body = new FunctionBody(['i32']);
    const local = body.local('i64');
    body.local_get(0);
    body.hint(false);
    body.if();
    body.i64_const(1);
    body.local_set(local);
    body.end();
    body.local_get(local);
    const func = module.func(module.type(['i32'], ['i64']));
    module.code(func, body);
    module.exportFunction('run', func);
    const bytes = module.build();
    const [section] = WebAssembly.Module.customSections(new WebAssembly.Module(bytes), 'metadata.code.branch_hint');
    // One function, number 0, with one hint: offset 5 (three bytes of locals, two of local.get), one byte, unlikely.
    expect([...new Uint8Array(section!)]).toEqual([1, 0, 1, 5, 1, 0]);
    expect(Buffer.from(bytes).indexOf('metadata.code.branch_hint')).toBeLessThan(
      Buffer.from(bytes).lastIndexOf(Buffer.from([0x20, 0, 0x04, 0x40])),
    );
    expect(exportsOf(bytes)['run']!(1)).toBe(1n);
  });
});

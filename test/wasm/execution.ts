/** Builds modules of one function and runs them, for the tests of this folder. */

import { FunctionBody } from '../../src/wasm/function-body.ts';
import { ModuleBuilder } from '../../src/wasm/module-builder.ts';
import type { ValueType } from '../../src/wasm/types.ts';

export function moduleOf(
  parameters: readonly ValueType[],
  results: readonly ValueType[],
  write: (body: FunctionBody, module: ModuleBuilder) => void,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const body = new FunctionBody(parameters);
  write(body, module);
  const func = module.func(module.type(parameters, results));
  module.code(func, body);
  module.exportFunction('run', func);
  return module.build();
}

export function exportsOf(
  bytes: Uint8Array<ArrayBuffer>,
  imports?: WebAssembly.Imports,
): Record<string, (...values: unknown[]) => unknown> {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  return instance.exports as Record<string, (...values: unknown[]) => unknown>;
}

/** The exported function of a module that needs no imports. */
export function functionOf(
  parameters: readonly ValueType[],
  results: readonly ValueType[],
  write: (body: FunctionBody, module: ModuleBuilder) => void,
): (...values: unknown[]) => unknown {
  return exportsOf(moduleOf(parameters, results, write))['run']!;
}

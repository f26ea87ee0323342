/**
 * Compiles subroutines on demand: the first handler that calls one makes a module with it and all that it calls and
 * that no earlier module holds. Later modules, handlers' and subroutines', import the functions, so each exists once.
 */
import { FunctionBody } from '../../wasm/function-body.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import type { ValueType } from '../../wasm/types.ts';
import type { Subroutine } from '../subroutine.ts';
import { ComputationEmitter, type ComputationImports, type Word } from './computation-emitter.ts';

type HostFunctions = Readonly<Record<string, unknown>>;

/** What code calls, and the code, with the indices of the imports that `emitCalls` added for them. */
interface Emitted {
  readonly bodies: readonly FunctionBody[];
  readonly hostFunctions: readonly string[];
  /** Subroutines that are imported. */
  readonly subroutines: readonly Subroutine[];
}

/**
 * Emits code that calls host functions and subroutines. Imports come before definitions, so the code is emitted twice
 * when it calls anything: once to see what, once with the indices. `own` are defined in the same module, in this order,
 * behind the imports.
 */
export function emitCalls(
  builder: ModuleBuilder,
  emit: (calls: ComputationImports) => FunctionBody[],
  own: readonly Subroutine[],
): Emitted {
  const hostFunctions = new Set<string>();
  const subroutines = new Set<Subroutine>();
  let bodies = emit({
    hostFunction: (name) => {
      hostFunctions.add(name);
      return 0;
    },
    subroutine: (subroutine) => {
      if (!own.includes(subroutine)) subroutines.add(subroutine);
      return 0;
    },
  });
  const hostIndices = new Map<string, number>();
  const indices = new Map<Subroutine, number>();
  let next = 0;
  for (const name of hostFunctions) {
    next = builder.importFunction('h', name, builder.type(['i64', 'i64', 'i64'], ['i64']));
    hostIndices.set(name, next++);
  }
  for (const subroutine of subroutines) {
    next = builder.importFunction('s', subroutine.name, typeOf(builder, subroutine));
    indices.set(subroutine, next++);
  }
  for (const subroutine of own) indices.set(subroutine, next++);
  if (hostIndices.size + indices.size > 0) {
    bodies = emit({
      hostFunction: (name) => hostIndices.get(name) as number,
      subroutine: (subroutine) => indices.get(subroutine) as number,
    });
  }
  return { bodies, hostFunctions: [...hostFunctions], subroutines: [...subroutines] };
}

const words = (count: number): ValueType[] => new Array<ValueType>(count).fill('i64');
const parameters = (subroutine: Subroutine): ValueType[] => ['i32', ...words(subroutine.parameters)];

function typeOf(builder: ModuleBuilder, subroutine: Subroutine): number {
  return builder.type(parameters(subroutine), words(subroutine.results));
}

function emitSubroutine(subroutine: Subroutine, calls: ComputationImports): FunctionBody {
  const body = new FunctionBody(parameters(subroutine));
  const emitter = new ComputationEmitter(body, calls);
  const args: Word[] = Array.from({ length: subroutine.parameters }, (_, n) => ({ local: n + 1 }));
  emitter.finish(subroutine.body(emitter, ...args));
  return body;
}

export class SubroutineLinker {
  private readonly memory: WebAssembly.Memory;
  private readonly memoryPages: number;
  private readonly hostFunctions: HostFunctions;
  private readonly functions = new Map<string, unknown>();

  constructor(memory: WebAssembly.Memory, memoryPages: number, hostFunctions: HostFunctions) {
    this.memory = memory;
    this.memoryPages = memoryPages;
    this.hostFunctions = hostFunctions;
  }

  /** The imports of a module that calls these: 'h' and 's'. */
  imports(hostFunctions: readonly string[], subroutines: readonly Subroutine[]): Record<'h' | 's', HostFunctions> {
    const missing = subroutines.filter(({ name }) => !this.functions.has(name));
    if (missing.length > 0) this.compile(missing);
    return {
      h: Object.fromEntries(hostFunctions.map((name) => [name, this.hostFunctions[name]])),
      s: Object.fromEntries(subroutines.map(({ name }) => [name, this.functions.get(name)])),
    };
  }

  private compile(roots: readonly Subroutine[]): void {
    const own = this.closure(roots);
    const builder = new ModuleBuilder();
    builder.importMemory('e', 'memory', { minimum: this.memoryPages, maximum: this.memoryPages });
    const emitted = emitCalls(builder, (calls) => own.map((subroutine) => emitSubroutine(subroutine, calls)), own);
    own.forEach((subroutine, n) => {
      const index = builder.func(typeOf(builder, subroutine));
      builder.code(index, emitted.bodies[n]);
      builder.nameFunction(index, subroutine.name);
      builder.exportFunction(subroutine.name, index);
    });
    const imports = { e: { memory: this.memory }, ...this.imports(emitted.hostFunctions, emitted.subroutines) };
    const module = new WebAssembly.Module(builder.build());
    const { exports } = new WebAssembly.Instance(module, imports as unknown as WebAssembly.Imports);
    for (const { name } of own) this.functions.set(name, exports[name]);
  }

  /** The roots and everything that they call, less what is compiled already. */
  private closure(roots: readonly Subroutine[]): Subroutine[] {
    const found = [...roots];
    for (const subroutine of found) {
      emitSubroutine(subroutine, {
        hostFunction: () => 0,
        subroutine: (callee) => {
          if (!this.functions.has(callee.name) && !found.includes(callee)) found.push(callee);
          return 0;
        },
      });
    }
    return found;
  }
}

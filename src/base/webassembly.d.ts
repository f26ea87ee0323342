/**
 * The WebAssembly JavaScript interface, as far as paravane uses it. TypeScript declares it only in its DOM library,
 * which would let browser-only names into the core. Includes memory64 (`address: 'i64'`, sizes as BigInt).
 * Source: WebAssembly JavaScript Interface, §5 "The WebAssembly Namespace".
 */

declare namespace WebAssembly {
  type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128' | 'externref' | 'anyfunc';
  type ImportExportKind = 'function' | 'table' | 'memory' | 'global' | 'tag';
  type ExportValue = ((...args: never[]) => unknown) | Global | Memory | Table | Tag;
  type Exports = Record<string, ExportValue>;
  type ModuleImports = Record<string, ExportValue | number | bigint>;
  type Imports = Record<string, ModuleImports>;

  /** Sizes in pages of 64 KiB; a BigInt exactly when `address` is `'i64'`. */
  type MemoryDescriptor =
    | { initial: number; maximum?: number; shared?: boolean; address?: 'i32' }
    | { initial: bigint; maximum?: bigint; shared?: boolean; address: 'i64' };

  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBuffer;
    grow(delta: number): number;
    grow(delta: bigint): bigint;
  }

  interface TableDescriptor {
    element: 'anyfunc' | 'externref';
    initial: number;
    maximum?: number;
  }

  class Table {
    constructor(descriptor: TableDescriptor, value?: unknown);
    readonly length: number;
    get(index: number): unknown;
    grow(delta: number, value?: unknown): number;
    set(index: number, value?: unknown): void;
  }

  class Global {
    constructor(descriptor: { value: ValueType; mutable?: boolean }, value?: unknown);
    // biome-ignore lint/suspicious/noExplicitAny: the type follows the descriptor, which the interface does not express
    value: any;
  }

  class Tag {
    constructor(descriptor: { parameters: ValueType[] });
  }

  class Exception extends Error {
    constructor(tag: Tag, payload: unknown[], options?: { traceStack?: boolean });
    is(tag: Tag): boolean;
    getArg(tag: Tag, index: number): unknown;
  }

  class Module {
    constructor(bytes: Uint8Array<ArrayBufferLike> | ArrayBuffer);
    static exports(module: Module): { name: string; kind: ImportExportKind }[];
    static imports(module: Module): { module: string; name: string; kind: ImportExportKind }[];
    static customSections(module: Module, name: string): ArrayBuffer[];
  }

  class Instance {
    constructor(module: Module, imports?: Imports);
    readonly exports: Exports;
  }

  class CompileError extends Error {}
  class LinkError extends Error {}
  class RuntimeError extends Error {}

  function validate(bytes: Uint8Array<ArrayBufferLike> | ArrayBuffer): boolean;
  function compile(bytes: Uint8Array<ArrayBufferLike> | ArrayBuffer): Promise<Module>;
  function instantiate(module: Module, imports?: Imports): Promise<Instance>;
}

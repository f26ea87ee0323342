/**
 * The types of the WebAssembly binary format (core specification §5.3) in the specification's own words, with their byte codes.
 * Everything in this folder writes or reads them; a caller names them as strings ('i64', 'funcref').
 */

export const valueTypeCodes = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  funcref: 0x70,
  externref: 0x6f,
} as const;

export type ValueType = keyof typeof valueTypeCodes;
export type ReferenceType = 'funcref' | 'externref';

/** Result of a block: nothing, one value, or the index of a function type (which also allows parameters). */
export type BlockType = 'empty' | ValueType | number;

/** Width of addresses: 'i64' is memory64 (core specification 3.0 §2.3.10, address types). */
export type AddressType = 'i32' | 'i64';

/** Limits in pages of 64 KiB for a memory, in elements for a table. `addressType` is 'i32' when absent. */
export interface Limits {
  readonly minimum: number;
  readonly maximum?: number;
  readonly addressType?: AddressType;
}

/** A shared memory must have a maximum. */
export interface MemoryType extends Limits {
  readonly shared?: boolean;
}

export interface TableType extends Limits {
  readonly elementType?: ReferenceType;
}

export interface GlobalType {
  readonly type: ValueType;
  readonly mutable: boolean;
}

export const externalKinds = { func: 0, table: 1, memory: 2, global: 3 } as const;
export type ExternalKind = keyof typeof externalKinds;

/** Section ids in the order in which a module must have them (§5.5.2; data count stands before code). */
export const sectionIds = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  dataCount: 12,
  code: 10,
  data: 11,
} as const;

export const emptyBlockCode = 0x40;
export const functionTypeCode = 0x60;

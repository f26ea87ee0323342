/**
 * C structures of the public headers as data: each field's offset in the 32-bit and the 64-bit ABI, and its type.
 * Readers and writers are derived from it, so no offset is typed twice.
 * One number stands for both ABIs. Values of 64 bits and of C longs or pointers (`word`) are bigints, smaller ones numbers.
 */

export type AbiSize = 32 | 64;
type Both = number | readonly [in32: number, in64: number];

export type FieldType = 'u8' | 's8' | 'u16' | 's16' | 'u32' | 's32' | 'u64' | 's64' | 'word' | `bytes${number}`;
export type Fields = Readonly<Record<string, readonly [offset: Both, type: FieldType]>>;
type FieldValue<T extends FieldType> = T extends `bytes${number}` ? Uint8Array : T extends 'u64' | 's64' | 'word' ? bigint : number;
export type Values<F extends Fields> = { -readonly [K in keyof F]: FieldValue<F[K][1]> };

export interface Struct<F extends Fields> {
  readonly name: string;
  readonly fields: F;
  size(abi?: AbiSize): number;
  offset(field: keyof F & string, abi?: AbiSize): number;
  /** All fields from `bytes`, which begin with the structure. `bytesN` fields are copies. */
  read(bytes: Uint8Array, abi?: AbiSize): Values<F>;
  /** Puts the given fields into `into` (default: a new zeroed structure) and returns it. Values are truncated to the field. */
  write(values: Partial<Values<F>>, into?: Uint8Array, abi?: AbiSize): Uint8Array;
}

export function struct<const F extends Fields>(name: string, size: Both, fields: F): Struct<F> {
  const pick = (both: Both, abi: AbiSize): number => (typeof both === 'number' ? both : both[abi === 32 ? 0 : 1]);
  return {
    name,
    fields,
    size: (abi = 64) => pick(size, abi),
    offset: (field, abi = 64) => pick((fields[field] as F[string])[0], abi),
    read(bytes, abi = 64) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const values: Record<string, number | bigint | Uint8Array> = {};
      for (const [key, [offset, type]] of Object.entries(fields)) {
        values[key] = readField(view, pick(offset, abi), type, abi);
      }
      return values as Values<F>;
    },
    write(values, into, abi = 64) {
      const bytes = into ?? new Uint8Array(pick(size, abi));
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (const [key, value] of Object.entries(values) as [string, number | bigint | Uint8Array | undefined][]) {
        const field = fields[key];
        if (field === undefined) throw new RangeError(`${name} has no field ${key}`);
        if (value !== undefined) writeField(view, pick(field[0], abi), field[1], value, abi);
      }
      return bytes;
    },
  };
}

function readField(view: DataView, at: number, type: FieldType, abi: AbiSize): number | bigint | Uint8Array {
  switch (type) {
    case 'u8':
      return view.getUint8(at);
    case 's8':
      return view.getInt8(at);
    case 'u16':
      return view.getUint16(at, true);
    case 's16':
      return view.getInt16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 's32':
      return view.getInt32(at, true);
    case 'u64':
      return view.getBigUint64(at, true);
    case 's64':
      return view.getBigInt64(at, true);
    case 'word':
      return abi === 32 ? BigInt(view.getUint32(at, true)) : view.getBigUint64(at, true);
    default:
      return new Uint8Array(view.buffer, view.byteOffset + at, byteCount(type)).slice();
  }
}

function writeField(view: DataView, at: number, type: FieldType, value: number | bigint | Uint8Array, abi: AbiSize): void {
  if (value instanceof Uint8Array) {
    new Uint8Array(view.buffer, view.byteOffset + at, byteCount(type)).set(value.subarray(0, byteCount(type)));
    return;
  }
  switch (type) {
    case 'u8':
    case 's8':
      return view.setUint8(at, Number(value));
    case 'u16':
    case 's16':
      return view.setUint16(at, Number(value), true);
    case 'u32':
    case 's32':
      return view.setUint32(at, Number(value), true);
    case 'u64':
    case 's64':
      return view.setBigUint64(at, BigInt(value), true);
    case 'word':
      return abi === 32 ? view.setUint32(at, Number(BigInt.asUintN(32, BigInt(value))), true) : view.setBigUint64(at, BigInt(value), true);
    default:
      throw new TypeError(`${type} takes bytes`);
  }
}

function byteCount(type: FieldType): number {
  return Number(type.slice('bytes'.length));
}

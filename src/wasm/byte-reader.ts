/**
 * Reads what byte-buffer.ts writes: LEB128 integers, IEEE 754 numbers and names of the WebAssembly binary format (core specification §5.2).
 * For the disassembler, so it prefers plain answers to speed. Reading past the end or an overlong integer throws a RangeError.
 */

export class ByteReader {
  readonly bytes: Uint8Array;
  position: number;
  readonly end: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.position >= this.end;
  }

  u8(): number {
    return this.bytes[this.#take(1)] as number;
  }

  u32(): number {
    return Number(BigInt.asUintN(32, this.#leb(5).value));
  }

  u64(): bigint {
    return BigInt.asUintN(64, this.#leb(10).value);
  }

  s32(): number {
    return Number(this.#signed(5));
  }

  /** Also reads the s33 of a block type. */
  s64(): bigint {
    return BigInt.asIntN(64, this.#signed(10));
  }

  word32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  word64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  name(): string {
    const length = this.u32();
    const start = this.#take(length);
    return new TextDecoder().decode(this.bytes.subarray(start, start + length));
  }

  #signed(maximum: number): bigint {
    const { value, bits } = this.#leb(maximum);
    return BigInt.asIntN(bits, value);
  }

  #leb(maximum: number): { value: bigint; bits: number } {
    let value = 0n;
    let bits = 0;
    for (let count = 0; count < maximum; count++) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << BigInt(bits);
      bits += 7;
      if (byte < 0x80) return { value, bits };
    }
    throw new RangeError(`integer of more than ${maximum} bytes at ${this.position}`);
  }

  #take(count: number): number {
    const position = this.position;
    if (position + count > this.end) throw new RangeError(`${count} bytes wanted at ${position}, the end is at ${this.end}`);
    this.position += count;
    return position;
  }
}

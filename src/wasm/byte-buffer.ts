/**
 * A growing byte array that is written once and reused (`clear()` keeps the storage), with the integers of the WebAssembly binary format:
 * LEB128 as in core specification §5.2.2, little-endian IEEE 754 as in §5.2.3.
 *
 * Writing allocates only when the storage grows. 64-bit values are split into halves through a scratch view instead of BigInt
 * arithmetic, which would allocate at each shift. Sizes that are known only afterwards take five bytes and are patched (§5.2.2 allows the
 * padding).
 */

const MAXIMUM_LEB = 10;

export class ByteBuffer {
  bytes: Uint8Array<ArrayBuffer>;
  length = 0;
  readonly #scratch = new DataView(new ArrayBuffer(8));
  readonly #encoder = new TextEncoder();

  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(Math.max(capacity, 16));
  }

  clear(): void {
    this.length = 0;
  }

  /** A copy of what has been written. */
  toUint8Array(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.length + count > this.bytes.length) this.#grow(this.length + count);
  }

  u8(value: number): void {
    if (this.length === this.bytes.length) this.#grow(this.length + 1);
    this.bytes[this.length++] = value;
  }

  /** Unsigned LEB128 of an integer from 0 to 2**32 - 1; a negative int32 is taken as its unsigned value. */
  u32(value: number): void {
    this.reserve(5);
    const bytes = this.bytes;
    let rest = value >>> 0;
    while (rest >= 0x80) {
      bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[this.length++] = rest;
  }

  /** Unsigned LEB128 of a safe integer, for offsets and limits of memory64. */
  u64(value: number): void {
    if (!(Number.isSafeInteger(value) && value >= 0)) throw new RangeError(`not an unsigned safe integer: ${value}`);
    this.reserve(MAXIMUM_LEB);
    let rest = value;
    while (rest >= 0x80000000) {
      this.bytes[this.length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.u32(rest);
  }

  /** Signed LEB128 of an int32; a uint32 is taken as the int32 of the same bits. */
  s32(value: number): void {
    this.reserve(5);
    const bytes = this.bytes;
    let rest = value | 0;
    while (rest < -0x40 || rest > 0x3f) {
      bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>= 7;
    }
    bytes[this.length++] = rest & 0x7f;
  }

  /** Signed LEB128 of a 64-bit value; bigints are taken modulo 2**64, numbers must be safe integers. */
  s64(value: bigint | number): void {
    if (typeof value === 'bigint') {
      this.#scratch.setBigInt64(0, value, true);
      this.s64Halves(this.#scratch.getInt32(0, true), this.#scratch.getInt32(4, true));
    } else if (value === (value | 0)) {
      this.s32(value);
    } else {
      if (!Number.isSafeInteger(value)) throw new RangeError(`not a safe integer: ${value}`);
      this.s64Halves(value | 0, Math.floor(value / 0x100000000) | 0);
    }
  }

  /** Signed LEB128 of `high * 2**32 + (low >>> 0)`. */
  s64Halves(low: number, high: number): void {
    this.reserve(MAXIMUM_LEB);
    const bytes = this.bytes;
    let restLow = low | 0;
    let restHigh = high | 0;
    // Done when the high half and the bits of the low half from bit 6 up are all copies of the sign.
    while (restHigh !== restLow >> 31 || restLow < -0x40 || restLow > 0x3f) {
      bytes[this.length++] = (restLow & 0x7f) | 0x80;
      restLow = (restLow >>> 7) | (restHigh << 25);
      restHigh >>= 7;
    }
    bytes[this.length++] = restLow & 0x7f;
  }

  /** Four bytes, little-endian. */
  word32(value: number): void {
    this.reserve(4);
    const bytes = this.bytes;
    bytes[this.length++] = value;
    bytes[this.length++] = value >> 8;
    bytes[this.length++] = value >> 16;
    bytes[this.length++] = value >> 24;
  }

  /** Eight bytes, little-endian, modulo 2**64. */
  word64(value: bigint): void {
    this.#scratch.setBigInt64(0, value, true);
    this.word32(this.#scratch.getInt32(0, true));
    this.word32(this.#scratch.getInt32(4, true));
  }

  f32(value: number): void {
    this.#scratch.setFloat32(0, value, true);
    this.word32(this.#scratch.getInt32(0, true));
  }

  f64(value: number): void {
    this.#scratch.setFloat64(0, value, true);
    this.word32(this.#scratch.getInt32(0, true));
    this.word32(this.#scratch.getInt32(4, true));
  }

  /** A name: its UTF-8 bytes after their count (§5.2.4). */
  name(text: string): void {
    const encoded = this.#encoder.encode(text);
    this.u32(encoded.length);
    this.append(encoded, 0, encoded.length);
  }

  /** Bytes `start` to `end` of an array; short runs are copied without making a view. */
  append(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    if (end - start > 128) {
      this.bytes.set(source.subarray(start, end), this.length);
      this.length += end - start;
    } else {
      for (let index = start; index < end; index++) this.bytes[this.length++] = source[index] as number;
    }
  }

  /** Leaves five bytes for a size; returns the position for `patchSize`. */
  placeholder(): number {
    this.reserve(5);
    const position = this.length;
    this.length += 5;
    return position;
  }

  /** Fills a placeholder with the number of bytes written after it. */
  patchSize(position: number): void {
    this.patchU32(position, this.length - position - 5);
  }

  /** Fills a placeholder with a value, padded to five bytes. */
  patchU32(position: number, value: number): void {
    const bytes = this.bytes;
    bytes[position] = (value & 0x7f) | 0x80;
    bytes[position + 1] = ((value >>> 7) & 0x7f) | 0x80;
    bytes[position + 2] = ((value >>> 14) & 0x7f) | 0x80;
    bytes[position + 3] = ((value >>> 21) & 0x7f) | 0x80;
    bytes[position + 4] = value >>> 28;
  }

  #grow(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

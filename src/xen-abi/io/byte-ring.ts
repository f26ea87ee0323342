/**
 * A ring of bytes in a shared page, as the console and xenstore use it: free-running 32-bit indices, a power-of-two
 * size, one producer and one consumer in different domains. The other side's index is not to be trusted: more than
 * `size` bytes between the two means a corrupt ring. Sources: Xen public/io/console.h, xs_wire.h.
 *
 * The side of the page is any {@link SharedPage}: host code copies out of its domain's memory, a test has an array.
 */

export interface ByteRingLayout {
  /** Offsets in the page, and bytes of the data area. */
  readonly data: number;
  readonly size: number;
  readonly consumer: number;
  readonly producer: number;
}

export interface SharedPage {
  read(offset: number, length: number): Uint8Array;
  write(offset: number, bytes: Uint8Array): void;
  readU32(offset: number): number;
  writeU32(offset: number, value: number): void;
}

/** Bytes that wait in the ring, or undefined when its indices are corrupt. */
export function ringLevel(page: SharedPage, ring: ByteRingLayout): number | undefined {
  const level = (page.readU32(ring.producer) - page.readU32(ring.consumer)) >>> 0;
  return level > ring.size ? undefined : level;
}

/** Takes up to `limit` bytes and advances the consumer index. Undefined when the ring is corrupt; nothing is changed then. */
export function takeBytes(page: SharedPage, ring: ByteRingLayout, limit: number): Uint8Array | undefined {
  const level = ringLevel(page, ring);
  if (level === undefined) return undefined;
  const length = Math.min(level, limit);
  const consumer = page.readU32(ring.consumer);
  const bytes = new Uint8Array(length);
  const at = consumer & (ring.size - 1);
  const first = Math.min(length, ring.size - at);
  bytes.set(page.read(ring.data + at, first), 0);
  if (length > first) bytes.set(page.read(ring.data, length - first), first);
  if (length > 0) page.writeU32(ring.consumer, (consumer + length) >>> 0);
  return bytes;
}

/** Puts as many of `bytes` as fit and advances the producer index. Undefined when the ring is corrupt. */
export function putBytes(page: SharedPage, ring: ByteRingLayout, bytes: Uint8Array): number | undefined {
  const level = ringLevel(page, ring);
  if (level === undefined) return undefined;
  const length = Math.min(ring.size - level, bytes.length);
  const producer = page.readU32(ring.producer);
  const at = producer & (ring.size - 1);
  const first = Math.min(length, ring.size - at);
  if (length > 0) {
    page.write(ring.data + at, bytes.subarray(0, first));
    if (length > first) page.write(ring.data, bytes.subarray(first, length));
    page.writeU32(ring.producer, (producer + length) >>> 0);
  }
  return length;
}

/**
 * CRC-32 as in Ethernet and zlib (reflected 0xEDB88320), four bytes at a step. It finds torn and damaged records of
 * journals, footers and checkpoints; against malice it does nothing.
 */

const tables: readonly Uint32Array[] = buildTables();

/** The CRC of `bytes`, continuing `previous` (0 at first). */
export function crc32(bytes: Uint8Array, previous = 0): number {
  const [t0, t1, t2, t3] = tables as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  let crc = ~previous;
  let at = 0;
  for (const end = bytes.length - 3; at < end; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc = t3[crc & 0xff]! ^ t2[(crc >>> 8) & 0xff]! ^ t1[(crc >>> 16) & 0xff]! ^ t0[crc >>> 24]!;
  }
  for (; at < bytes.length; at++) crc = t0[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

function buildTables(): Uint32Array[] {
  const first = Uint32Array.from({ length: 256 }, (_, n) => {
    let value = n;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
    return value;
  });
  const result = [first];
  for (let step = 1; step < 4; step++) {
    const before = result[step - 1]!;
    result.push(before.map((value) => first[value & 0xff]! ^ (value >>> 8)));
  }
  return result;
}

/**
 * The checksums that clients may send with a body, by the names in `x-amz-checksum-NAME`; digests are big-endian.
 * Source: Amazon S3 User Guide, "Checking object integrity"; polynomials: CRC-32C RFC 3720 §12.1, CRC-64/NVME NVM
 * Express NVM Command Set §5.2.1.3.4 (reflected, all ones at both ends).
 */

import { crc32 } from '../disk/crc32.ts';
import type { Hashing, RunningHash } from './message.ts';

/** null for a name that is not known. */
export function runningChecksum(name: string, hashing: Hashing): RunningHash | null {
  switch (name) {
    case 'sha1':
    case 'sha256':
      return hashing.hash(name);
    case 'crc32':
      return runningCrc32();
    case 'crc32c':
      return runningCrc(0, 0x82f6_3b78, 4);
    case 'crc64nvme':
      return runningCrc(0x9a6c_9329, 0xac4b_c9b5, 8);
    default:
      return null;
  }
}

function runningCrc32(): RunningHash {
  let crc = 0;
  return {
    update: (bytes) => {
      crc = crc32(bytes, crc);
    },
    digest: () => bigEndian(0, crc, 4),
  };
}

/** Bytewise, over a register of two 32-bit halves; for 32 bits the upper one stays zero. */
function runningCrc(polynomialHigh: number, polynomialLow: number, width: 4 | 8): RunningHash {
  const [tableHigh, tableLow] = buildTables(polynomialHigh, polynomialLow);
  let [high, low] = [width === 8 ? -1 : 0, -1];
  return {
    update: (bytes) => {
      for (let i = 0; i < bytes.length; i++) {
        const index = (low ^ bytes[i]!) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ tableLow[index]!;
        high = (high >>> 8) ^ tableHigh[index]!;
      }
    },
    digest: () => bigEndian(~high, ~low, width),
  };
}

function buildTables(polynomialHigh: number, polynomialLow: number): [Int32Array, Int32Array] {
  const [tableHigh, tableLow] = [new Int32Array(256), new Int32Array(256)];
  for (let n = 0; n < 256; n++) {
    let [high, low] = [0, n];
    for (let bit = 0; bit < 8; bit++) {
      const out = low & 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (out) {
        low ^= polynomialLow;
        high ^= polynomialHigh;
      }
    }
    tableHigh[n] = high;
    tableLow[n] = low;
  }
  return [tableHigh, tableLow];
}

function bigEndian(high: number, low: number, width: 4 | 8): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, high);
  view.setInt32(4, low);
  return bytes.subarray(8 - width);
}

/**
 * The erasure code at 1 MiB of data: encode, and decode with all parity shares in use, at (2,3), (3,4), (5,7), (9,12).
 * RACS_ISAL, a program built from test/real/racs-isal.c with Debian's libisal-dev, is run beside it when set, and
 * RACS_CODEC_PEER, a folder in which npm has installed @ronomon/reed-solomon (native), likewise.
 */

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Bench } from 'tinybench';
import { fillRandom, seedRandom } from '../src/base/random.ts';
import { Codec, shareBytes } from '../src/racs/codec/codec.ts';

const codes = [
  [2, 3],
  [3, 4],
  [5, 7],
  [9, 12],
] as const;

const range = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);

export default function addCases(bench: Bench): void {
  const data = new Uint8Array(1 << 20);
  fillRandom(seedRandom(1n), data);
  for (const [k, n] of codes) {
    const codec = new Codec({ k, n });
    const length = shareBytes(data.length, k);
    codec.layout(length);
    codec.fillData(data);
    codec.encode();
    const present = range(n - k, n);
    const missing = range(0, n - k);
    codec.reconstruct(present, missing);
    bench
      .add(`encode (${k},${n}) 1 MiB`, () => codec.encode())
      .add(`decode (${k},${n}) 1 MiB, ${n - k} data shares missing`, () => codec.reconstruct(present, missing))
      .add(`encode (${k},${n}) 1 MiB with copies in and out and checksums`, () => {
        codec.fillData(data);
        codec.encode();
        for (let i = 0; i < n; i++) {
          codec.checksum(i, 0, length, 0n);
          codec.slot(i).slice();
        }
      });
    addPeer(bench, k, n, data);
  }
  const { RACS_ISAL } = process.env;
  if (!RACS_ISAL) return;
  const lines = spawnSync(RACS_ISAL, ['bench', ...codes.flat().map(String)])
    .stdout.toString()
    .trim()
    .split('\n');
  process.stdout.write(lines.map((line) => `codec  ISA-L encode, k n path MB/s: ${line}\n`).join(''));
}

interface ReedSolomon {
  create(k: number, m: number): unknown;
  encode(
    context: unknown,
    sources: number,
    targets: number,
    buffer: Buffer,
    at: number,
    size: number,
    parity: Buffer,
    parityAt: number,
    paritySize: number,
    done: () => void,
  ): void;
}

function addPeer(bench: Bench, k: number, n: number, data: Uint8Array): void {
  const folder = process.env.RACS_CODEC_PEER;
  if (!folder) return;
  const peer = createRequire(join(folder, 'package.json'))('@ronomon/reed-solomon') as ReedSolomon;
  const context = peer.create(k, n - k);
  const size = Math.ceil(data.length / k / 8) * 8;
  const buffer = Buffer.alloc(size * k);
  buffer.set(data);
  const parity = Buffer.alloc(size * (n - k));
  const [sources, targets] = [(1 << k) - 1, ((1 << (n - k)) - 1) << k];
  bench.add(
    `@ronomon/reed-solomon encode (${k},${n}) 1 MiB`,
    () =>
      new Promise<void>((resolve) => peer.encode(context, sources, targets, buffer, 0, buffer.length, parity, 0, parity.length, resolve)),
  );
}

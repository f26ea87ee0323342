/** What saving and hashing state costs: a megabyte of memory, and a record such as hypervisor state is made of. */

import type { Bench } from 'tinybench';
import { hashStream, saveStream } from '../src/base/persist.ts';

export default function addCases(bench: Bench): void {
  const mebibyte = new Uint8Array(1 << 20).fill(0x5a);
  const record = { ports: Array.from({ length: 1000 }, (_, port) => ({ port, state: 'unbound', remote: BigInt(port) })) };
  bench
    .add('hashStream 1 MiB of memory', () => void hashStream((w) => w.bytes(mebibyte)))
    .add('saveStream 1000 small records', () => void saveStream((w) => w.plain(record)));
}

/**
 * XXH64 as WebAssembly, for data whose length is a multiple of 32 bytes: the checksum of every block of a share.
 * It finds chance damage and mix-ups; it is not meant to withstand someone who makes collisions.
 * Source: XXH64 algorithm description, xxHash repository `doc/xxhash_spec.md` 0.2.0, "XXH64 Algorithm Description".
 */

import { FunctionBody } from '../../wasm/function-body.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';

const prime1 = 0x9e3779b185ebca87n;
const prime2 = 0xc2b2ae3d27d4eb4fn;
const prime3 = 0x165667b19e3779f9n;
const prime4 = 0x85ebca77c2b2ae63n;
const prime5 = 0x27d4eb2f165667c5n;

/** The digest of `length` bytes at `address`, as a signed 64-bit number. */
export type HashFunction = (address: number, length: number, seed: bigint) => bigint;

/** Imports `racs.memory`, exports `hash`. */
export function buildHash(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.importMemory('racs', 'memory', { minimum: 0 });
  const func = module.func(module.type(['i32', 'i32', 'i64'], ['i64']));
  const body = new FunctionBody(['i32', 'i32', 'i64']);
  const [address, length, seed] = [0, 1, 2] as const;
  const end = body.local('i32');
  const lanes = [prime1 + prime2, prime2, 0n, -prime1].map((offset) => {
    const lane = body.local('i64');
    body.local_get(seed);
    body.i64_const(offset);
    body.emit('i64.add');
    body.local_set(lane);
    return lane;
  });
  const digest = body.local('i64');

  /** Leaves round(stack top, value): rotl(acc + value * prime2, 31) * prime1. */
  const round = (value: () => void): void => {
    value();
    times(prime2);
    body.emit('i64.add');
    rotate(31);
    times(prime1);
  };
  const times = (by: bigint): void => {
    body.i64_const(by);
    body.emit('i64.mul');
  };
  const plus = (addend: bigint): void => {
    body.i64_const(addend);
    body.emit('i64.add');
  };
  const rotate = (by: number): void => {
    body.i64_const(by);
    body.emit('i64.rotl');
  };

  body.local_get(address);
  body.local_get(length);
  body.emit('i32.add');
  body.local_set(end);
  const loop = body.loop();
  lanes.forEach((lane, i) => {
    body.local_get(lane);
    round(() => {
      body.local_get(address);
      body.load('i64.load', i * 8);
    });
    body.local_set(lane);
  });
  body.local_get(address);
  body.i32_const(32);
  body.emit('i32.add');
  body.local_tee(address);
  body.local_get(end);
  body.emit('i32.lt_u');
  body.br_if(loop);
  body.end();

  lanes.forEach((lane, i) => {
    body.local_get(lane);
    rotate([1, 7, 12, 18][i]!);
    if (i > 0) body.emit('i64.add');
  });
  for (const lane of lanes) {
    // digest = (digest ^ round(0, lane)) * prime1 + prime4
    body.i64_const(0);
    round(() => body.local_get(lane));
    body.emit('i64.xor');
    times(prime1);
    plus(prime4);
  }
  body.local_get(length);
  body.emit('i64.extend_i32_u');
  body.emit('i64.add');
  for (const [shift, prime] of [
    [33, prime2],
    [29, prime3],
    [32, null],
  ] as const) {
    body.local_tee(digest);
    body.local_get(digest);
    body.i64_const(shift);
    body.emit('i64.shr_u');
    body.emit('i64.xor');
    if (prime !== null) times(prime);
  }
  module.code(func, body);
  module.exportFunction('hash', func);
  return module.build();
}

/** XXH64 of any bytes, slowly: for names and headers. */
export function hash64(bytes: Uint8Array, seed: bigint): bigint {
  const wrap = (x: bigint): bigint => BigInt.asUintN(64, x);
  const rotl = (x: bigint, by: bigint): bigint => wrap((x << by) | (x >> (64n - by)));
  const round = (acc: bigint, value: bigint): bigint => wrap(rotl(wrap(acc + value * prime2), 31n) * prime1);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let h = wrap(seed + prime5);
  if (bytes.length >= 32) {
    const acc = [seed + prime1 + prime2, seed + prime2, seed, seed - prime1].map(wrap);
    for (; at + 32 <= bytes.length; at += 32) for (let i = 0; i < 4; i++) acc[i] = round(acc[i]!, view.getBigUint64(at + i * 8, true));
    h = wrap(rotl(acc[0]!, 1n) + rotl(acc[1]!, 7n) + rotl(acc[2]!, 12n) + rotl(acc[3]!, 18n));
    for (const lane of acc) h = wrap((h ^ round(0n, lane)) * prime1 + prime4);
  }
  h = wrap(h + BigInt(bytes.length));
  for (; at + 8 <= bytes.length; at += 8) h = wrap(rotl(h ^ round(0n, view.getBigUint64(at, true)), 27n) * prime1 + prime4);
  for (; at + 4 <= bytes.length; at += 4) h = wrap(rotl(h ^ wrap(BigInt(view.getUint32(at, true)) * prime1), 23n) * prime2 + prime3);
  for (; at < bytes.length; at++) h = wrap(rotl(h ^ wrap(BigInt(bytes[at]!) * prime5), 11n) * prime1);
  h = wrap((h ^ (h >> 33n)) * prime2);
  h = wrap((h ^ (h >> 29n)) * prime3);
  return h ^ (h >> 32n);
}

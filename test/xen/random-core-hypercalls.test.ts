/**
 * A guest that calls anything with anything. Whatever happens, the books are consistent after each call, the other
 * domain is as it was, and when the domains are gone everything is free.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DOMID_SELF, Hypercall } from '../../src/xen-abi/xen.ts';
import { audit, census } from '../../src/xen/census.ts';
import { destroyDomain, resumeDomain } from '../../src/xen/domain-lifecycle.ts';
import { coreHypercalls } from '../../src/xen/hypercall/core-hypercalls.ts';
import { unblock, wake } from '../../src/xen/scheduler.ts';
import { guestBase, TestGuest, testHost } from './core-guest.ts';

const numbers = coreHypercalls.map((row) => row.number);
const pageOffset = fc.integer({ min: 0, max: 0x6fff });
const pointer = fc.oneof(
  { weight: 6, arbitrary: pageOffset.map((offset) => guestBase + BigInt(offset)) },
  { weight: 2, arbitrary: fc.constantFrom(0n, 0xffff_8000_0000_0000n, 0x7fff_ffff_fff0n, guestBase + 0x8000n, (1n << 64n) - 1n) },
  { weight: 1, arbitrary: fc.bigInt(0n, (1n << 64n) - 1n) },
);
const small = fc.integer({ min: 0, max: 40 }).map(BigInt);
const argument = fc.oneof(small, small, pointer, fc.bigInt(0n, (1n << 64n) - 1n));
/** Structures are made of words that mean something: small numbers, domain ids, frames, pointers into the guest. */
const word = fc.oneof(
  small,
  fc.constantFrom(BigInt(DOMID_SELF), 0x7ff1n, 0x7ff2n, 0xffff_ffffn, 1n << 63n),
  fc.integer({ min: 0, max: 300 }).map(BigInt),
  pointer,
  fc.tuple(small, small).map(([low, high]) => low | (high << 32n)),
  fc.tuple(small, small, small).map(([a, b, c]) => a | (b << 16n) | (c << 32n)),
);
/** Mostly the structure's address where the call wants one; anything at all now and then. */
const call = fc
  .record({
    number: fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...numbers) }, fc.integer({ min: 0, max: 70 })),
    args: fc.tuple(argument, argument, argument, argument),
    command: fc.integer({ min: 0, max: 30 }).map(BigInt),
    count: fc.oneof(fc.constant(1n), small),
    wild: fc.integer({ min: 0, max: 9 }),
    at: pageOffset,
    words: fc.array(word, { minLength: 4, maxLength: 20 }),
  })
  .map(({ number, args, command, count, wild, at, words }) => {
    const here = guestBase + BigInt(at);
    if (wild === 0) return { number, args, at, words };
    const toolstack = number === Hypercall.domctl || number === Hypercall.sysctl;
    const shaped: Record<number, bigint[]> = {
      [Hypercall.domctl]: [here],
      [Hypercall.sysctl]: [here],
      [Hypercall.event_channel_op_compat]: [here],
      [Hypercall.multicall]: [here, count],
      [Hypercall.grant_table_op]: [command % 13n, here, count],
      [Hypercall.vcpu_op]: [command % 15n, count % 3n, here],
      [Hypercall.console_io]: [command % 2n, count, here],
    };
    const [first = 0n, ...rest] = words;
    const header = toolstack ? [(command % 30n) | (0x15n << 32n), first & 0xffn, ...rest] : words;
    return { number, args: shaped[number] ?? [command, here, count, args[3]], at, words: header };
  });

describe('random hypercalls of the core', () => {
  it('from an unprivileged domain keep the books and hurt nobody else', () => {
    fc.assert(
      fc.property(fc.array(call, { minLength: 20, maxLength: 60, size: 'max' }), (calls) => runCalls(1, calls)),
      { numRuns: 200 },
    );
  });

  it('from Dom0 keep the books', () => {
    fc.assert(
      fc.property(fc.array(call, { minLength: 20, maxLength: 60, size: 'max' }), (calls) => runCalls(0, calls)),
      { numRuns: 200 },
    );
  });
});

function runCalls(id: number, calls: { number: number; args: bigint[]; at: number; words: bigint[] }[]): void {
  const host = testHost({ cpus: 3, frames: 256 });
  const { hypervisor, platform } = host;
  const before = census(hypervisor);
  const other = new TestGuest(host, { id: 2 });
  const guest = new TestGuest(host, { id, vcpus: 2, maxPages: 40 });
  const bystander = census(hypervisor).frames.get(2);
  // Page tables have no types in this kind of domain, so freeing one would be allowed: hold them, as pv/ would.
  const kept = heldFrames(guest);
  for (const frame of kept) expect(hypervisor.frames.getPage(frame, id)).toBe(true);
  for (const { number, args, at, words } of calls) {
    revive(guest);
    if (!guest.vcpu.running) break;
    guest.write(at, new Uint8Array(new BigUint64Array(words).buffer).subarray(0, 0x7000 - at));
    guest.call(number, args);
    platform.settle();
    expect(audit(hypervisor), `after ${number}(${args})`).toEqual([]);
  }
  if (id !== 0 && hypervisor.domains.has(2)) {
    expect(census(hypervisor).frames.get(2)).toBe(bystander);
    expect(other.domain).toMatchObject({ shutDown: false, dying: 0, crashReason: undefined });
  }
  for (const frame of kept) hypervisor.frames.putPage(frame);
  for (const domain of [...hypervisor.domains.values()]) destroyDomain(hypervisor, domain);
  expect(audit(hypervisor)).toEqual([]);
  expect(census(hypervisor)).toEqual(before);
  expect(platform.cpus.every((cpu) => hypervisor.currentOn(cpu) === undefined)).toBe(true);
}

/** Ends whatever keeps vCPU 0 from the next call: it has blocked, gone down, or shut the domain down. */
function revive(guest: TestGuest): void {
  const { hypervisor, platform } = guest.host;
  resumeDomain(hypervisor, guest.domain);
  guest.vcpu.down = false;
  unblock(hypervisor, guest.vcpu);
  wake(hypervisor, guest.vcpu);
  platform.settle();
}

function heldFrames(guest: TestGuest): number[] {
  const { memory } = guest.host.platform;
  const frames = [guest.vcpu.pv?.guestTable as number];
  for (let level = 0; level < 3; level++) {
    frames.push(Number((memory.readU64((frames[level] as number) * 4096) >> 12n) & 0xfffffn));
  }
  return [...frames, ...guest.pages];
}

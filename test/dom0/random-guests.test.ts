/**
 * Two hostile DomUs beside a Dom0 that serves them: random hypercalls with random and with nearly right arguments on
 * pages, tables, grants and ports, their own and each other's. After each, all reference and type counts are recounted;
 * in the end Dom0 destroys both, and everything is free.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seedRandom } from '../../src/base/random.ts';
import { Dom0, type Dom0Request } from '../../src/dom0/dom0.ts';
import { buildDom0 } from '../../src/xen/build-dom0.ts';
import { audit, census } from '../../src/xen/census.ts';
import { sendGlobalVirq } from '../../src/xen/event-delivery.ts';
import { attachHostGuest } from '../../src/xen/host-guest.ts';
import type { Hypervisor } from '../../src/xen/hypervisor.ts';
import { audit as auditPageTypes, type ExternalReferences } from '../../src/xen/pv/audit.ts';
import { PvDomains } from '../../src/xen/pv/pv-domains.ts';
import { startHypervisor } from '../../src/xen/start.ts';
import type { GuestPort, HostGuest } from '../../src/xen-abi/guest-port.ts';
import { Hypercall, VIRQ_CONSOLE } from '../../src/xen-abi/xen.ts';
import { ascii, buildElf, concat, elfNote } from '../support/elf-builder.ts';
import { FakePlatform } from '../support/fake-platform.ts';

const PAGE = 4096n;
/** Pages that the guests play with, and where their words lie. */
const PLAY = 16;
const PLAY_AT = 0x10n * PAGE;
const SCRATCH = 0x30n * PAGE;
const GRANTS_AT = 0x31n * PAGE;
const SELF = 0x7ff0n;

const notes = concat(elfNote(5, 'xen-3.0'), elfNote(8, 'generic'));
const kernel = buildElf({
  entry: 0x1000n,
  segments: [
    { virtual: 0x1000n, data: ascii('code'), memoryBytes: 0x40000n },
    { type: 4, virtual: 0n, data: notes },
  ],
});

interface Step {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly flags: bigint;
  readonly wild: bigint;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.integer({ min: 0, max: 15 }),
  a: fc.integer({ min: 0, max: 31 }),
  b: fc.integer({ min: 0, max: 31 }),
  c: fc.integer({ min: 0, max: 511 }),
  flags: fc.constantFrom(0n, 1n, 3n, 3n, 5n, 7n, 7n, 0x25n, 0x67n, 0x87n, 0x107n),
  wild: fc.oneof(fc.bigInt(0n, 64n), fc.bigInt(0n, (1n << 64n) - 1n), fc.constantFrom(SCRATCH, PLAY_AT, 0xffff_8000_0000_0000n)),
});

/** Calls that end, stop or wait have no meaning for code that runs to its end; the scheduler's have tests of their own. */
const EXCLUDED: ReadonlySet<number> = new Set([Hypercall.sched_op, Hypercall.sched_op_compat, Hypercall.iret, Hypercall.vcpu_op]);
const anyCall = Array.from({ length: 49 }, (_, number) => number).filter((number) => !EXCLUDED.has(number));

class HostileGuest implements HostGuest {
  readonly image = { virtBase: 0n, pages: 0 };
  readonly #steps: readonly Step[];
  readonly #after: (what: string) => void;
  readonly #domid: number;
  #frames: number[] = [];
  #tables: number[] = [];
  #peerFrame = 0;

  constructor(domid: number, steps: readonly Step[], after: (what: string) => void) {
    this.#domid = domid;
    this.#steps = steps;
    this.#after = after;
  }

  start(port: GuestPort): void {
    const word = (address: bigint): bigint =>
      new DataView((port.readVirtual(address, 8) ?? new Uint8Array(8)).buffer).getBigUint64(0, true);
    const list = word(port.startInfo + 104n);
    const frame = (pfn: bigint): number => Number(word(list + 8n * pfn));
    this.#frames = Array.from({ length: PLAY }, (_, i) => frame(PLAY_AT / PAGE + BigInt(i)));
    const base = word(port.startInfo + 88n) / PAGE;
    this.#tables = Array.from({ length: Number(word(port.startInfo + 96n)) }, (_, i) => frame(base + BigInt(i)));
    this.#peerFrame = (this.#frames[0] as number) + 1;
    // The grant table, so that what the guests grant each other exists.
    this.#put(port, [SELF | (1n << 32n), 0n, SCRATCH + 256n]);
    port.hypercall(Hypercall.grant_table_op, 2n, SCRATCH, 1n);
    port.hypercall(Hypercall.update_va_mapping, GRANTS_AT, (word(SCRATCH + 256n) << 12n) | 0x63n, 2n);
    for (let n = 0; n < 4; n++) this.#grant(port, 8 + n, 1n, this.#domid + (n % 2), this.#frames[n] as number);
    for (const one of this.#steps) {
      const what = this.#run(port, one);
      this.#after(`${what} ${JSON.stringify(one, (_key, value) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value))}`);
      // A guest that has lost its scratch page can pass nothing any more.
      if (!port.writeVirtual(SCRATCH, new Uint8Array(8))) break;
    }
  }

  upcall(): void {}
  attach(): void {}
  save(): void {}
  restore(): void {}

  #put(port: GuestPort, words: readonly bigint[]): bigint {
    port.writeVirtual(SCRATCH, new Uint8Array(new BigUint64Array(words.map((value) => BigInt.asUintN(64, value))).buffer));
    return SCRATCH;
  }

  #grant(port: GuestPort, reference: number, flags: bigint, domid: number, frame: number): void {
    const entry = flags | (BigInt(domid) << 16n) | (BigInt(frame) << 32n);
    port.writeVirtual(GRANTS_AT + BigInt(8 * reference), new Uint8Array(new BigUint64Array([entry]).buffer));
  }

  #pick(n: number): bigint {
    if (n < PLAY) return BigInt(this.#frames[n] as number);
    if (n < PLAY + 6) return BigInt(this.#tables[(n - PLAY) % this.#tables.length] as number);
    const oddities = [0, this.#peerFrame, 1, 6000, 1 << 20];
    return BigInt(oddities[(n - PLAY - 6) % oddities.length] as number);
  }

  /** Domain ids: the caller, the other two, nobody, the reserved ones. */
  #domain(n: number): bigint {
    return [SELF, 1n, 2n, 0n, 9n, 0x7ff1n, 0x7ff2n][n % 7] as bigint;
  }

  #run(port: GuestPort, { kind, a, b, c, flags, wild }: Step): string {
    const frame = this.#pick(a);
    const entry = (this.#pick(b) << 12n) | flags;
    const page = PLAY_AT + BigInt(a % PLAY) * PAGE;
    const slot = BigInt(c);
    const reference = 8 + (b % 4);
    const granter = c % 3 === 0 ? BigInt(Math.max(1, this.#domid - 1)) : c % 11 === 0 ? this.#domain(a) : BigInt(this.#domid);
    const call = (number: number, ...args: bigint[]): string => `${number} -> ${port.hypercall(number, ...args)}`;
    switch (kind) {
      case 0:
      case 1:
        return call(Hypercall.mmu_update, this.#put(port, [(frame << 12n) | (slot * 8n) | (wild & 2n), entry]), 1n, 0n, SELF);
      case 2: // tables of few entries, and pages of other domains
        return call(Hypercall.mmu_update, this.#put(port, [(frame << 12n) | ((slot % 4n) * 8n), entry]), 1n, 0n, this.#domain(c));
      case 3:
        return call(Hypercall.update_va_mapping, page, entry, slot % 4n);
      case 4: // so that the page can become a table
        return call(Hypercall.update_va_mapping, page, (BigInt(this.#frames[a % PLAY] as number) << 12n) | 1n, 2n);
      case 5:
        if (c % 2 === 0 && a < PLAY) port.hypercall(Hypercall.update_va_mapping, page, (frame << 12n) | 1n, 2n);
        return call(Hypercall.mmuext_op, this.#put(port, [BigInt(b % 5), frame]), 1n, 0n, c % 16 === 0 ? this.#domain(b) : SELF);
      case 6:
        return call(
          Hypercall.mmuext_op,
          this.#put(port, [[15n, 16n, 17n, 13n, wild % 24n][c % 5] as bigint, frame, this.#pick(b)]),
          1n,
          0n,
          SELF,
        );
      case 7:
        // For this domain, or for the next one.
        this.#grant(port, reference, BigInt([1, 1, 5, 2, 0][c % 5] as number), this.#domid + (c % 2), Number(frame));
        return 'grants';
      case 8:
      case 9: {
        const mapping = BigInt([2, 2, 2, 6, 3, 1, 7, 0x12][c % 8] as number) | (BigInt(reference) << 32n);
        return call(Hypercall.grant_table_op, 0n, this.#put(port, [page, mapping, granter, 0n]), 1n);
      }
      case 10:
        return call(Hypercall.grant_table_op, [1n, 1n, 1n, 7n][c % 4] as bigint, this.#put(port, [page, wild & 1n, BigInt(b % 4)]), 1n);
      case 11: {
        const [from, to] = [(c & 1) !== 0, (c & 2) !== 0];
        const side = (granted: boolean): bigint[] => (granted ? [BigInt(reference), granter] : [frame, c % 7 === 0 ? 1n : SELF]);
        const flags = BigInt(Number(from) + 2 * Number(to));
        return call(
          Hypercall.grant_table_op,
          5n,
          this.#put(port, [...side(from), ...side(to), 64n | ((c % 9 === 0 ? wild & 3n : flags) << 16n)]),
          1n,
        );
      }
      case 12:
        return call(Hypercall.event_channel_op, slot % 14n, this.#put(port, [this.#domain(a) | (BigInt(b % 8) << 32n), BigInt(c % 8)]));
      case 13: {
        const at = this.#put(port, [SCRATCH + 64n, 1n, BigInt(c % 3), this.#domain(a), 0n, 0n, 0n, 0n, frame, this.#pick(b)]);
        return call(Hypercall.memory_op, [0n, 1n, 6n, 2n, 7n, 9n, wild % 30n][b % 7] as bigint, at);
      }
      case 14:
        return call(Hypercall.set_gdt, this.#put(port, [frame, this.#pick(b)]), slot * 3n);
      default:
        this.#put(port, [wild, entry, slot, frame, wild >> 32n, 1n]);
        return call(anyCall[(a * 32 + b) % anyCall.length] as number, [slot % 32n, SCRATCH, wild][c % 3] as bigint, SCRATCH, wild, entry);
    }
  }
}

/** Grants that are mapped for a device hold references that no page table shows. */
function deviceMappings(hypervisor: Hypervisor): ExternalReferences {
  const references = new Map<number, number>();
  const writable = new Map<number, number>();
  for (const { grants } of hypervisor.domains.values()) {
    for (const { domain, reference, flags } of grants.mappings.values()) {
      const frame = hypervisor.domains.get(domain)?.grants.active.get(reference)?.frame;
      if ((flags & 1) === 0 || frame === undefined) continue;
      references.set(frame, (references.get(frame) ?? 0) + 1);
      if ((flags & 4) === 0) writable.set(frame, (writable.get(frame) ?? 0) + 1);
    }
  }
  return { references, writable };
}

function runGuests(scripts: readonly (readonly Step[])[]): void {
  const platform = new FakePlatform({ frames: 5000 });
  const pv = new PvDomains();
  const hypervisor = startHypervisor(platform, { kinds: [pv] });
  const dom0 = new Dom0({
    consoles: { output: () => {}, input: () => new Uint8Array(0) },
    random: seedRandom(1n),
    observer: {
      failed: (_request, error) => {
        throw error;
      },
    },
  });
  buildDom0(hypervisor, { pages: 1024, kernel: { hostCode: dom0 } });
  platform.settle();
  const ask = (request: Dom0Request): void => {
    dom0.submit(request);
    sendGlobalVirq(hypervisor, VIRQ_CONSOLE);
    platform.settle();
  };
  const check = (what: string): void => {
    const problems = [...audit(hypervisor), ...auditPageTypes(pv.parts, deviceMappings(hypervisor))];
    if (problems.length > 0) expect(problems, what).toEqual([]);
  };
  const before = census(hypervisor);
  for (const [i, steps] of scripts.entries()) {
    ask({ kind: 'create', config: { name: `guest${i}`, kernel, memoryMiB: 4, onShutdown: 'preserve' }, paused: true });
    const domain = hypervisor.domains.get(i + 1);
    const vcpu = domain?.vcpus[0];
    if (domain === undefined || vcpu === undefined) throw new Error(`no domain ${i + 1}`);
    const guest = new HostileGuest(domain.id, steps, (what) => check(`domain ${domain.id}: ${what}`));
    attachHostGuest(hypervisor, vcpu, guest, vcpu.context.gpr[6] as bigint);
    ask({ kind: 'unpause', domid: domain.id });
    check(`domain ${domain.id} has run`);
  }
  expect(hypervisor.domains.size).toBe(scripts.length + 1);
  for (const i of scripts.keys()) {
    ask({ kind: 'destroy', domid: i + 1 });
    check(`domain ${i + 1} is destroyed`);
  }
  expect(census(hypervisor)).toEqual(before);
}

describe('two hostile guests beside Dom0', () => {
  it('upset no count, no other domain, and leave nothing behind', () => {
    const script = fc.array(step, { minLength: 20, maxLength: 80, size: 'max' });
    fc.assert(
      fc.property(script, script, script, (one, two, three) => runGuests([one, two, three])),
      { numRuns: 12 },
    );
  });
});

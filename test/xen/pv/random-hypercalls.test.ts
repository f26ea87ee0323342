import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SmallDomain } from './small-domain.ts';

/**
 * A hostile guest: random paging, descriptor, trap and context hypercalls with arguments that are nearly right. After each
 * the counts of all frames are compared with a recount, nothing may throw, and in the end everything must be free.
 */

interface Step {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly flags: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.integer({ min: 0, max: 13 }),
  a: fc.integer({ min: 0, max: 31 }),
  b: fc.integer({ min: 0, max: 31 }),
  c: fc.integer({ min: 0, max: 599 }),
  flags: fc.constantFrom(0, 1, 1, 3, 5, 5, 7, 7, 0x25, 0x67, 0x87, 0x107, 0x17, 0x201),
});

/** Eight frames that the guest plays with (their pages are unmapped first now and then), its own tables, and oddities. */
function pick(d: SmallDomain, n: number): number {
  if (n < 16) return d.mfn(20 + (n % 8));
  if (n < 21) return d.table(3); // the L1 that maps those frames
  if (n < 24) return d.table(n - 21);
  const oddities = [0, d.domain.sharedInfoFrame, d.pv.slots.m2pL3, d.mfn(5), 2047, 5000, -1, d.state.guestTable];
  return oddities[n - 24] as number;
}

function run(d: SmallDomain, { kind, a, b, c, flags }: Step): void {
  const frame = pick(d, a);
  const entry = BigInt.asUintN(64, (BigInt(pick(d, b)) << 12n) | BigInt(flags) | (c % 7 === 0 ? 1n << 52n : 0n));
  const page = d.virtual(20 + (a % 8));
  switch (kind) {
    case 0:
    case 1:
      d.mmuUpdate(BigInt.asUintN(52, (BigInt(frame) << 12n) | BigInt((c % 512) * 8) | (kind === 1 ? 2n : 0n)), entry);
      return;
    case 2: // of few entries, so that they meet
      d.mmuUpdate(BigInt.asUintN(52, (BigInt(frame) << 12n) | BigInt((c % 4) * 8)), entry);
      return;
    case 3:
      d.updateVa(page, entry, c % 8);
      return;
    case 4: // makes the page read-only, so that it can become a table
      d.updateVa(page, d.entry(d.mfn(20 + (a % 8)), 1));
      return;
    case 5:
      d.updateVa(d.virtual(c), entry, c % 4);
      return;
    case 6:
    case 7:
      d.mmuext(c % 5, BigInt.asUintN(64, BigInt(frame)));
      return;
    case 8:
      d.mmuext(c % 2 === 0 ? 15 : c % 23, BigInt.asUintN(64, BigInt(frame)), BigInt(pick(d, b)));
      return;
    case 9:
      d.call(2, d.put([BigInt.asUintN(64, BigInt(frame)), BigInt.asUintN(64, BigInt(pick(d, b)))]), c * 3);
      return;
    case 10:
      d.call(10, BigInt.asUintN(64, BigInt(frame) << 12n) | BigInt((c % 512) * 8), BigInt(flags) * 0x1234_5678_9abcn);
      return;
    case 11:
      d.mmuext(13, d.virtual(20 + (a % 8)), c);
      d.hypervisor.entered = d.cpu;
      d.pv.descriptors.mapLdtPage(d.vcpu, c % 4);
      return;
    case 12: // M2P, foreign domains
      d.mmuUpdate(BigInt.asUintN(52, BigInt(frame) << 12n) | 1n, entry, [0x7ff0, 1, 2, 0x7ff1, 0x7ff2, 0x20001][c % 6]);
      return;
    default: // plain numbers of any size where pointers are expected
      d.call([0, 4, 8, 22, 28, 30][c % 6] as number, entry, BigInt(c) << 40n, entry >> 7n, BigInt(a));
  }
}

describe('random hypercalls of a hostile PV guest', () => {
  it('never upset the reference and type counts', () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }),
        fc.boolean(),
        fc.boolean(),
        (steps, privileged, prepared) => {
          const d = new SmallDomain({ privileged });
          if (prepared) for (let pfn = 20; pfn < 28; pfn++) d.updateVa(d.virtual(pfn), d.entry(d.mfn(pfn), 1));
          const scratch = d.mfn(600);
          for (const one of steps) {
            run(d, one);
            const problems = d.audit();
            if (problems.length > 0) expect(problems, JSON.stringify(one)).toEqual([]);
            // The guest may have taken its scratch page away; a guest that cannot reach its memory makes no calls.
            if (d.cpu.translate(d.virtual(600), true, true) !== scratch * 4096) break;
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it('leave nothing behind when the domain is destroyed', async () => {
    const { destroyDomain } = await import('../../../src/xen/domain-lifecycle.ts');
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), (steps) => {
        const d = new SmallDomain();
        const scratch = d.mfn(600);
        for (const one of steps) {
          run(d, one);
          if (d.cpu.translate(d.virtual(600), true, true) !== scratch * 4096) break;
        }
        const { hypervisor } = d;
        hypervisor.entered = d.cpu;
        destroyDomain(hypervisor, d.domain);
        hypervisor.entered = undefined;
        expect(hypervisor.domains.size).toBe(0);
        expect(d.audit()).toEqual([]);
        const fresh = new SmallDomain();
        hypervisor.entered = fresh.cpu;
        expect(hypervisor.allocator.free).toBe(fresh.hypervisor.allocator.free + 1100 + framesBeside(fresh));
      }),
      { numRuns: 25 },
    );
  });
});

/** Frames that a domain of {@link SmallDomain} takes beside its memory: everything that is allocated and not its own or the hypervisor's own. */
function framesBeside(d: SmallDomain): number {
  const area = d.pv.slots.areas.get(1);
  return d.domain.xenHeapPages + (area === undefined ? 0 : 2 + area.l1.length);
}

import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { CostTable } from '../../src/timing/cost-model.ts';
import { differenceOf, Ledger } from '../../src/timing/ledger.ts';
import { newTranslationRequest } from '../../src/timing/model.ts';
import { priorValues } from '../../src/timing/parameters.ts';
import { ModelledTlb } from '../../src/timing/translation-model.ts';

const costs = new CostTable(priorValues);

/** A walk of four tables. */
function request(page: number) {
  const built = Object.assign(newTranslationRequest(), { page, levels: 4 });
  built.entries.set([0x1000, 0x2000, 0x3000, 0x4000 + (page % 512) * 8]);
  return built;
}

/** A processor's counters, and the ways in which they advance. */
class Counters {
  cycles = 1000n;
  instructions = 50n;
  readonly tlb = new ModelledTlb(costs);
  readonly ledger = new Ledger(costs, this.tlb);

  constructor(user = true) {
    this.ledger.start(this.cycles, this.instructions, user);
  }
  run(instructions: number, twelfths: number): void {
    this.instructions += BigInt(instructions);
    this.cycles += BigInt(twelfths);
  }
  charge(event: string, count = 1, layer?: number): void {
    const twelfths = costs.cost(event) * count;
    this.cycles += BigInt(twelfths);
    this.ledger.charge(event, count, twelfths, layer);
  }
  translate(page: number, layer?: number): void {
    const twelfths = this.tlb.lookup(request(page));
    if (twelfths === 0) return;
    this.cycles += BigInt(twelfths);
    this.ledger.charge('translation', 1, twelfths, layer);
  }
  privilege(from: number, to: number): void {
    this.ledger.privilege(from, to, this.cycles, this.instructions);
  }
  snapshot() {
    return this.ledger.snapshot(this.cycles, this.instructions);
  }
}

let cpu: Counters;
beforeEach(() => {
  cpu = new Counters();
});

describe('the ledger', () => {
  it('gives instructions to the layer that ran, and rows to the one that pays', () => {
    const before = cpu.snapshot();
    cpu.run(10, 40);
    cpu.charge('syscall');
    cpu.privilege(3, 0);
    cpu.run(5, 35);
    cpu.charge('mov_cr3', 2);
    cpu.charge('vm_exit');
    cpu.charge('xen.null_hypercall', 1, 1);
    cpu.privilege(0, 3);
    cpu.run(1, 4);
    const parts = cpu.ledger.parts(differenceOf(before, cpu.snapshot()));
    expect(parts.map((p) => [p.layer, p.kind, p.name, p.count, p.twelfths])).toEqual([
      ['user', 'instructions', 'instructions', 11, 44],
      ['kernel', 'instructions', 'instructions', 5, 35],
      ['kernel', 'hardware', 'syscall', 1, 480],
      ['kernel', 'hardware', 'mov_cr3', 2, 2400],
      ['hypervisor 0', 'exit', 'vm_exit', 1, 9132],
      ['hypervisor 1', 'hypervisor', 'xen.null_hypercall', 1, 1176],
    ]);
  });

  it('tells user and kernel of a PV guest by what the hypervisor says, since both run at CPL 3', () => {
    const before = cpu.snapshot();
    cpu.ledger.guestMode('kernel', cpu.cycles, cpu.instructions);
    cpu.run(7, 70);
    cpu.ledger.guestMode('user', cpu.cycles, cpu.instructions);
    cpu.run(3, 30);
    cpu.privilege(3, 3);
    cpu.run(2, 20);
    const parts = cpu.ledger.parts(differenceOf(before, cpu.snapshot()));
    expect(parts.map((p) => [p.layer, p.count])).toEqual([
      ['user', 5],
      ['kernel', 7],
    ]);
  });

  it('splits translations into references by stage and recency, and counts the misses', () => {
    const before = cpu.snapshot();
    cpu.translate(0x400);
    cpu.translate(0x401);
    cpu.translate(0x401);
    const parts = cpu.ledger.parts(differenceOf(before, cpu.snapshot()));
    expect(parts.map((p) => [p.layer, p.name, p.count, p.twelfths / 12])).toEqual([
      ['user', 'tlb misses', 2, 0],
      ['user', 'walk.guest.near', 1, 4],
      ['user', 'walk.guest.far', 4, 4 * 42],
    ]);
  });

  it('sums to the time that passed, exactly, whatever happens in whatever order', () => {
    const step = fc.oneof(
      fc.tuple(fc.constant('run'), fc.nat(1000), fc.nat(100_000)),
      fc.tuple(fc.constant('charge'), fc.nat(costs.rows.length - 1), fc.nat(5)),
      fc.tuple(fc.constant('translate'), fc.nat(5000), fc.nat(1)),
      fc.tuple(fc.constant('privilege'), fc.constantFrom(0, 3), fc.constantFrom(0, 3)),
      fc.tuple(fc.constant('mode'), fc.nat(1), fc.nat(1)),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, cut) => {
        const world = new Counters();
        let before = world.snapshot();
        steps.forEach(([kind, a, b], i) => {
          if (i === cut) before = world.snapshot();
          if (kind === 'run') world.run(a, b);
          if (kind === 'charge') world.charge(costs.rows[a]!.name, b, b > 2 ? 1 : undefined);
          if (kind === 'translate') world.translate(a, b === 1 ? 0 : undefined);
          if (kind === 'privilege') world.privilege(a, b);
          if (kind === 'mode') world.ledger.guestMode(a === 1 ? 'user' : 'kernel', world.cycles, world.instructions);
        });
        const after = world.snapshot();
        const parts = world.ledger.parts(differenceOf(before, after));
        expect(parts.reduce((sum, part) => sum + part.twelfths, 0)).toBe(after.time - before.time);
        for (const part of parts) {
          if (part.kind === 'instructions' || part.name === 'tlb misses') continue;
          expect(part.twelfths).toBe(part.count * costs.cost(part.name));
        }
      }),
    );
  });

  it('finds a charge that did not advance the clock', () => {
    cpu.ledger.charge('iret', 1, costs.cost('iret'));
    expect(() => cpu.snapshot()).toThrow('were charged but did not pass');
  });

  it('finds a translation that was charged at another price than its references', () => {
    cpu.tlb.lookup(request(1));
    expect(() => cpu.ledger.charge('translation', 1, 5)).toThrow('2016 twelfths were counted, 5 charged');
  });

  it('refuses a name that is no row, and a hypervisor layer that is not there', () => {
    expect(() => cpu.ledger.charge('xen.free_lunch', 1, 0)).toThrow('no cost row is named');
    expect(() => cpu.ledger.charge('iret', 1, 0, 2)).toThrow('no hypervisor layer 2');
  });
});

/**
 * A second DomU beside the first, with real guest code in both: Dom0 builds it, serves it and destroys it by hypercalls.
 * Afterwards the frames, ports, grants and xenstore nodes are counted, and the first domain has noticed nothing.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BareMachine } from '../../src/machine/bare-machine.ts';
import { barePlatform } from '../../src/machine/bare-platform.ts';
import type { DomainConfig } from '../../src/dom0/toolstack/domain-config.ts';
import { machineParts } from '../../src/stacks/machine-parts.ts';
import { startDom0, xenLayer } from '../../src/stacks/xen-layer.ts';
import { audit, census } from '../../src/xen/census.ts';
import { pushConsoleInput } from '../../src/xen/hypercall/console-io.ts';
import { audit as auditPageTypes } from '../../src/xen/pv/audit.ts';

const image = (name: string): Uint8Array => readFileSync(new URL(`../../guests/${name}`, import.meta.url));
const nanokernel = image('nanokernel/nanokernel.elf');
const typing = image('hostile/typing.elf');
const fatal = image('hostile/fatal.elf');

/** One hypervisor with its Dom0, and `cpuCount - 1` processors for DomUs. */
function host(cpuCount: number) {
  const parts = machineParts({ stack: 'pv', image: nanokernel, imageName: '', console: () => {} });
  const machine = new BareMachine({ ...parts.machine, cpuCount, memoryBytes: 64 << 20, transmit: () => {} });
  const consoles = new Map<number, string>();
  const said: string[] = [];
  const dom0Calls = new Set<string>();
  let awaited: () => boolean = () => false;
  const look = (): void => {
    if (awaited()) machine.stop({ reason: 'stopped' });
  };
  const say = (text: string): void => {
    said.push(text);
    look();
  };
  const xen = xenLayer({
    platform: barePlatform(machine),
    layer: 0,
    epoch: 0n,
    seed: 0n,
    observer: {
      hypercall: ({ domain, name }) => {
        if (domain === 0) dom0Calls.add(name);
      },
    },
    consoles: (domid, bytes) => {
      consoles.set(domid, (consoles.get(domid) ?? '') + String.fromCharCode(...bytes));
      look();
    },
    dom0Observer: {
      failed: (_request, error) => {
        throw error;
      },
      shutDown: ({ name }, reason) => say(`${name} shut down with ${reason}`),
      destroyed: ({ name }) => say(`${name} destroyed`),
    },
  });
  startDom0(xen);
  const { hypervisor, dom0 } = xen;
  return {
    hypervisor,
    said,
    dom0Calls,
    text: (domid: number): string => consoles.get(domid) ?? '',
    create(config: Omit<DomainConfig, 'memoryMiB'>): void {
      dom0.submit({ kind: 'create', config: { memoryMiB: 16, ...config } });
      pushConsoleInput(hypervisor, new Uint8Array(0));
    },
    /** Runs until `condition` holds, which is looked at whenever a console speaks or Dom0 sees a domain end. */
    until(condition: () => boolean): void {
      awaited = condition;
      const end = machine.run(machine.instructions + 50_000_000n);
      expect(end.reason).toBe('stopped');
      expect(condition()).toBe(true);
    },
    run(instructions: bigint): void {
      awaited = () => false;
      machine.run(machine.instructions + instructions);
    },
    books: () => ({ census: census(hypervisor), nodes: [...dom0.xenstored.store.owned] }),
    faults: () => [...audit(hypervisor), ...auditPageTypes(xen.pv.parts)],
  };
}

describe('a second DomU', () => {
  it('is built, run and destroyed by hypercalls of Dom0, and leaves no frame, port, grant or node behind', () => {
    const all = host(3);
    all.create({ name: 'first', kernel: nanokernel, commandLine: 'rows=null-call reps=1 nohalt' });
    all.until(() => all.text(1).includes('DONE'));
    const before = all.books();
    const ticks = all.hypervisor.domain(1)?.counts.get('set_timer_op') ?? 0;
    expect(before.census).toMatchObject({ domains: 2, grantMappings: 2 });

    all.dom0Calls.clear();
    all.create({ name: 'second', kernel: typing });
    all.until(() => all.text(2).includes('PASS '));
    const during = all.books();
    expect(during.census.domains).toBe(3);
    expect(during.census.frames.get(2)).toBeGreaterThan(16 * 256 - 1);
    expect([during.census.portsOf.get(2), during.census.grantMappings]).toEqual([2, 4]);
    expect(during.census.freeFrames).toBeLessThan(before.census.freeFrames - 16 * 256);
    expect(new Map(during.nodes).size).toBeGreaterThan(new Map(before.nodes).size);
    all.until(() => all.said.includes('second destroyed'));

    expect(all.said).toEqual(['second shut down with 0', 'second destroyed']);
    expect(all.text(2)).toContain('VERDICT SUCCESS');
    expect(all.books()).toEqual(before);
    expect(all.faults()).toEqual([]);
    const used = ['domctl', 'memory_op.populate_physmap', 'mmu_update', 'mmuext_op', 'event_channel_op.alloc_unbound'];
    used.push('event_channel_op.bind_interdomain', 'grant_table_op.map_grant_ref', 'grant_table_op.unmap_grant_ref');
    expect([...all.dom0Calls]).toEqual(expect.arrayContaining([...used, 'event_channel_op.close']));

    all.run(2_000_000n);
    expect(all.hypervisor.domain(1)?.counts.get('set_timer_op')).toBeGreaterThan(ticks);
    expect(all.hypervisor.domain(1)?.shutDown).toBe(false);
  });

  it.each([2, 3])('may crash without the first one noticing (%i processors with that of Dom0)', (cpuCount) => {
    const all = host(cpuCount);
    all.run(1n); // Dom0 binds its own ports
    const before = all.books().census;
    all.create({ name: 'first', kernel: nanokernel, commandLine: 'rows=fork-proc reps=1 kfork=0 ksys=0' });
    all.until(() => all.text(1).includes('CONFIG'));
    all.create({ name: 'second', kernel: fatal, commandLine: 'case=bounce_stack_not_mapped' });
    all.until(() => all.said.includes('second destroyed'));
    expect(all.said).toEqual(['second shut down with 3', 'second destroyed']);
    expect(all.text(1)).not.toContain('DONE');
    all.until(() => all.said.includes('first destroyed'));
    expect(all.said.slice(2)).toEqual(['first shut down with 0', 'first destroyed']);
    expect(all.text(1)).toMatch(/^PERITER fork-proc .*faults: exec=28\.000 read=7\.000 cow=13\.000 reuse=3\.000/m);
    expect(all.text(1)).toContain('DONE');
    expect(all.books().census).toEqual(before);
    expect(all.faults()).toEqual([]);
  });
});

/** A hypervisor in a full domain of another, with a PV guest of its own: everything by composition. */

import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/base/errors.ts';
import { seedRandom } from '../../src/base/random.ts';
import { Dom0 } from '../../src/dom0/dom0.ts';
import { passed } from '../../src/dom0/kernel/layer-below.ts';
import { Passthrough } from '../../src/nesting/passthrough.ts';
import { buildDom0 } from '../../src/xen/build-dom0.ts';
import { audit, census } from '../../src/xen/census.ts';
import { fitted } from '../../src/timing/fitted.ts';
import { CostTable } from '../../src/timing/cost-model.ts';
import { differenceOf, Ledger } from '../../src/timing/ledger.ts';
import type { ModelledTlb } from '../../src/timing/translation-model.ts';
import { callHypercall } from '../../src/xen/hypercall/dispatch.ts';
import type { HypervisorObserver } from '../../src/xen/events.ts';
import { fullDomainPlatform, requireVirtualization } from '../../src/xen/hvm/full-domain-platform.ts';
import { FullDomains } from '../../src/xen/hvm/full-domains.ts';
import { XEN_PROFILE } from '../../src/xen/hvm/profile.ts';
import { PvDomains } from '../../src/xen/pv/pv-domains.ts';
import { startHypervisor } from '../../src/xen/start.ts';
import { evtchn_alloc_unbound } from '../../src/xen-abi/event-channel.ts';
import { gnttab_query_size } from '../../src/xen-abi/grant-table.ts';
import { HVM_PARAM_CALLBACK_IRQ, xen_add_to_physmap } from '../../src/xen-abi/hvm.ts';
import * as abi from '../../src/xen-abi/passthrough.ts';
import { DOMID_SELF } from '../../src/xen-abi/xen.ts';
import { buildElf, concat, elfNote } from '../support/elf-builder.ts';
import { asm, type FullMachine, fullMachine, multibootKernel } from '../support/full-machine.ts';

const data = 0x1800;

/** syscall with rax, rdi, rsi and rdx; all values below 2^31. */
function hypercall(number: number, ...args: number[]): number[] {
  const load = [0xbf, 0xbe, 0xba].flatMap((opcode, i) => [opcode, ...dword(args[i] ?? 0)]);
  return [...load, 0xb8, ...dword(number), 0x0f, 0x05];
}
const dword = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];

/** Asks for the version, sleeps until its timer fires at 3 ms, computes until it fires again, and shuts down. */
function pvKernel(): Uint8Array {
  return pvImage([
    ...hypercall(17, 0), // xen_version
    ...hypercall(24, 7, 0, 0), // no periodic timer
    ...hypercall(32, 1, data + 0x100), // bind_virq TIMER
    ...hypercall(15, 3_000_000), // at 3 ms
    ...hypercall(29, 3, data + 0x110), // poll
    ...hypercall(15, 3_500_000),
    ...[0xb9, ...dword(60_000), 0xff, 0xc9, 0x75, 0xfc], // mov ecx, 60000; again: dec ecx; jnz again
    ...hypercall(29, 2, data + 0x130), // shutdown(poweroff)
  ]);
}

function pvImage(code: readonly number[]): Uint8Array {
  const image = new Uint8Array(0x1000);
  image.set(code);
  const view = new DataView(image.buffer);
  // sched_poll { ports, nr_ports, timeout }: the port is the first that is free, and stands in evtchn_bind_virq.
  view.setBigUint64(data - 0x1000 + 0x110, BigInt(data + 0x108), true);
  view.setUint32(data - 0x1000 + 0x118, 1, true);
  const notes = concat(elfNote(5, 'xen-3.0'), elfNote(8, 'generic'), elfNote(2, 0x2000n));
  return buildElf({
    entry: 0x1000n,
    segments: [
      { virtual: 0x1000n, data: image, memoryBytes: 0x5000n },
      { type: 4, virtual: 0n, data: notes },
    ],
  });
}

/** One call of the upper Dom0 to the layer below. */
function pass(dom0: Dom0, sub: number, command: number, pointer = 0n, count = 0n): number {
  return Number(dom0.kernel.calls.port.hypercall(abi.HYPERVISOR_passthrough, BigInt(sub), BigInt(command), pointer, count));
}

function nested(flavour: 'xen' | 'kvm', engine: 'interpreter' | 'reference' = 'interpreter', below: HypervisorObserver = {}) {
  return nest(fullMachine({ flavour, engine, cpuCount: 3, memoryMiB: 64, observers: [below] }));
}

/** Puts a hypervisor with its Dom0 and a PV guest into a full domain of the host. */
function nest(host: FullMachine, kernel = pvKernel()) {
  host.ask({ kind: 'create', paused: true, config: { name: 'blanket', type: 'full', memoryMiB: 24, vcpus: 2, onShutdown: 'preserve' } });
  host.run();
  const domain = host.hypervisor.domains.get(1)!;
  const platform = fullDomainPlatform({ hypervisor: host.hypervisor, kind: host.full, domain });
  const calls: string[] = [];
  const hypervisor = startHypervisor(platform, {
    kinds: [new PvDomains()],
    hypercalls: new Passthrough().hypercalls,
    observers: [
      {
        hypercallEnter: (vcpu, name) => calls.push(`d${vcpu.domain.id} ${name}`),
      },
    ],
  });
  const said: string[] = [];
  const dom0 = new Dom0({
    consoles: { output: () => {}, input: () => new Uint8Array(0) },
    random: seedRandom(2n),
    layerBelow: true,
    observer: {
      created: ({ domid }) => said.push(`created ${domid}`),
      shutDown: ({ domid }, reason) => said.push(`shut down ${domid} ${reason}`),
      failed: (_request, _error, message) => said.push(`failed: ${message}`),
    },
  });
  dom0.submit({ kind: 'create', config: { name: 'guest', kernel, memoryMiB: 4, onShutdown: 'preserve' } });
  buildDom0(hypervisor, { pages: 2048, kernel: { hostCode: dom0 } });
  host.ask({ kind: 'unpause', domid: 1 });
  return { host, domain, platform, hypervisor, dom0, said, calls };
}

describe.each(['xen', 'kvm'] as const)('a hypervisor in a full domain of %s', (flavour) => {
  it('runs a PV guest, whose hypercalls it handles itself', () => {
    const { host, domain, said, hypervisor } = nested(flavour);
    host.run(500_000n);
    expect(said).toEqual(['created 1', 'shut down 1 0']);
    const guest = hypervisor.domains.get(1)!;
    expect([...guest.counts]).toEqual([
      ['xen_version.version', 1],
      ['vcpu_op.stop_periodic_timer', 1],
      ['event_channel_op.bind_virq', 1],
      ['set_timer_op', 2],
      ['sched_op.poll', 1],
      ['sched_op.shutdown', 1],
    ]);
    // It slept until 3 ms and computed beyond 3.5 ms, of 100 MHz.
    expect(Number(host.machine.processors[0]!.cycles)).toBeGreaterThan(350_000);
    // None of the guest's calls left the domain: what did are timers, interrupts and idling of the hypervisor.
    expect([...domain.counts.keys()].filter((name) => name.startsWith('exit.')).sort()).toEqual(
      ['exit.apic', 'exit.external-interrupt', 'exit.hlt', ...(flavour === 'xen' ? ['exit.vmcall'] : [])].sort(),
    );
    expect(audit(host.hypervisor)).toEqual([]);
    expect(audit(hypervisor)).toEqual([]);
  });

  it('runs as well with both its vCPUs on one processor, beside another full domain', () => {
    const host = fullMachine({ flavour, cpuCount: 2, memoryMiB: 64 });
    const { said, hypervisor } = nest(host);
    // Prints, then computes for ever.
    const kernel = multibootKernel([...asm.print('beside\n'), 0xeb, 0xfe]);
    host.ask({ kind: 'create', config: { name: 'beside', type: 'full', kernel, memoryMiB: 4 } });
    host.run(12_000_000n);
    expect(said).toEqual(['created 1', 'shut down 1 0']);
    expect(host.output.get(2)).toBe('beside\n');
    expect(host.hypervisor.domains.get(2)?.vcpus[0]?.processor).toBe(host.hypervisor.domains.get(1)?.vcpus[0]?.processor);
    expect(audit(hypervisor)).toEqual([]);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('does the same on both engines, to the cycle', () => {
    const results = (['interpreter', 'reference'] as const).map((engine) => {
      const { host, domain, said } = nested(flavour, engine);
      host.run(500_000n);
      return { said, cycles: host.machine.processors.map(({ cycles }) => cycles), counts: [...domain.counts] };
    });
    expect(results[0]).toEqual(results[1]);
  });
});

it('accounts for every cycle, by layer: exits below, the hypervisor paths above, the guest', () => {
  const costs = new CostTable(fitted.values);
  const host = fullMachine({ cpuCount: 3, memoryMiB: 64, timing: costs });
  const { hypervisor } = nest(host);
  const processor = host.machine.processors[0]!;
  const ledger = new Ledger(costs, processor.translation as ModelledTlb);
  const counters = (): [bigint, bigint] => [processor.state.get('cycles'), processor.state.get('instructions')];
  ledger.start(...counters(), true);
  processor.ledger = ledger;
  const before = ledger.snapshot(...counters());
  host.run(500_000n);
  expect(hypervisor.domains.get(1)?.shutdownCode).toBe(0);
  const parts = ledger.parts(differenceOf(before, ledger.snapshot(...counters()))); // the sum is asserted there
  const names = (layer: string): string[] => parts.filter((part) => part.layer === layer).map(({ name }) => name);
  expect(names('hypervisor 0')).toEqual(expect.arrayContaining(['vm_exit', 'vm_handle_apic', 'vm_handle_hlt', 'vm_handle_interrupt']));
  expect(names('hypervisor 1')).toEqual(expect.arrayContaining(['xen.null_hypercall', 'tlb misses', 'walk.second_stage.far']));
  expect(names('hypervisor 1').filter((name) => name.startsWith('vm_'))).toEqual([]);
  expect(names('hypervisor 0').filter((name) => name.startsWith('walk.second_stage'))).toEqual([]);
  expect(names('kernel')).toEqual(expect.arrayContaining(['syscall', 'interrupt_delivery']));
  const count = (name: string): number => parts.find((part) => part.name === name)?.count ?? 0;
  const handled = parts.filter(({ name }) => name.startsWith('vm_handle_')).reduce((sum, part) => sum + part.count, 0);
  expect(count('vm_exit')).toBe(handled);
});

describe('passthrough', () => {
  it('shows a call of the upper Dom0 at its own layer and at the layer below', () => {
    const below: string[] = [];
    const { host, calls, dom0, domain } = nested('xen', 'interpreter', {
      hypercallEnter: (vcpu, name) => {
        if (vcpu.domain.id === 1) below.push(name);
      },
    });
    host.run();
    const upper = calls.filter((name) => name.includes('passthrough'));
    expect(upper).toEqual([
      'd0 passthrough.xen_version.version',
      'd0 passthrough.xen_version.get_features',
      'd0 passthrough.hvm_op.set_param',
    ]);
    expect(below).toEqual(['xen_version.version', 'xen_version.get_features', 'hvm_op.set_param']);
    expect(dom0.below).toEqual({ version: { major: 4, minor: 17 }, features: expect.any(Number) });
    expect(host.full.of(domain).params[HVM_PARAM_CALLBACK_IRQ]! >> 56n).toBe(2n);
    expect(domain.counts.get('exit.vmcall')).toBe(3);
  });

  it('passes what its table names and nothing else', () => {
    const { host, dom0, hypervisor, domain } = nested('xen');
    host.run(500_000n);
    const { calls } = dom0.kernel;
    const place = (bytes: Uint8Array): bigint => {
      calls.begin();
      return calls.place(bytes);
    };
    const physmap = (values: { space: number; idx: bigint; gpfn: bigint }): bigint =>
      place(xen_add_to_physmap.write({ domid: DOMID_SELF, ...values }));
    expect(pass(dom0, abi.PASSTHROUGH_memory_op, 6)).toBe(-22); // populate_physmap
    expect(pass(dom0, abi.PASSTHROUGH_event_channel_op, 0)).toBe(-22); // bind_interdomain
    expect(pass(dom0, 6, 0)).toBe(-38);
    expect(pass(dom0, abi.PASSTHROUGH_event_channel_op, 4, 0x1234n)).toBe(-14);
    expect(pass(dom0, abi.PASSTHROUGH_grant_table_op, 6, 0n, 513n)).toBe(-22);

    // A port of the layer below: made, sent on, closed; then it is not there.
    const port = passed(calls, 'alloc_unbound', abi.PASSTHROUGH_event_channel_op, 6, evtchn_alloc_unbound, {
      dom: DOMID_SELF,
      remote_dom: 0,
    }).port;
    expect(domain.events.ports[port]?.state).toBe(1);
    const portArgument = Uint8Array.of(port, 0, 0, 0);
    expect(pass(dom0, abi.PASSTHROUGH_event_channel_op, 4, place(portArgument))).toBe(0);
    expect(pass(dom0, abi.PASSTHROUGH_event_channel_op, 9, place(portArgument))).toBe(0);
    expect(pass(dom0, abi.PASSTHROUGH_event_channel_op, 3, place(portArgument))).toBe(0);
    expect(pass(dom0, abi.PASSTHROUGH_event_channel_op, 4, place(portArgument))).toBe(-22);

    // shared_info of the layer below goes where this hypervisor has no memory: the hole below 1 MiB.
    const hole = 0xc0n;
    expect(pass(dom0, abi.PASSTHROUGH_memory_op, 7, physmap({ space: 0, idx: 0n, gpfn: 0x200n }))).toBe(-22); // its RAM
    expect(pass(dom0, abi.PASSTHROUGH_memory_op, 7, physmap({ space: 2, idx: 0n, gpfn: hole }))).toBe(-22); // gmfn
    expect(pass(dom0, abi.PASSTHROUGH_memory_op, 7, physmap({ space: 0, idx: 0n, gpfn: hole }))).toBe(0);
    expect(host.full.of(domain).physmap.machineFrame(Number(hole))).toBe(domain.sharedInfoFrame);
    const size = passed(calls, 'query_size', abi.PASSTHROUGH_grant_table_op, 6, gnttab_query_size, { dom: DOMID_SELF }, 1n);
    expect(size).toMatchObject({ nr_frames: 1, max_nr_frames: 64, status: 0 });
    expect(audit(host.hypervisor)).toEqual([]);
    expect(audit(hypervisor)).toEqual([]);
  });

  it('is not for other domains', () => {
    const { host, hypervisor } = nested('xen');
    host.run(40_000n);
    const guest = hypervisor.domains.get(1)!.vcpus[0]!;
    expect(callHypercall(hypervisor, guest, BigInt(abi.HYPERVISOR_passthrough), [0n, 0n])).toBe(-1n);
  });

  it('finds nobody on KVM', () => {
    const { host, dom0, calls, domain } = nested('kvm');
    host.run();
    expect(dom0.below).toBeUndefined();
    expect(calls).toContain('d0 passthrough.xen_version.version');
    expect(domain.counts.get('exit.vmcall')).toBeUndefined();
  });
});

it("leaves the layer above out where the hardware does: CPUID and VMCALL of the PV guest's kernel go to the layer below", () => {
  const store = (offset: number, register: number): number[] => [0x89, 0x04 | (register << 3), 0x25, ...dword(data + offset)]; // mov [address], register
  const code = [
    ...[0xb8, ...dword(0x4000_0000), 0x0f, 0xa2], // cpuid
    ...store(0x200, 3),
    ...[0xb8, ...dword(17), 0x31, 0xff, 0x0f, 0x01, 0xc1], // vmcall xen_version(0)
    ...store(0x204, 0),
    ...hypercall(29, 2, data + 0x130),
  ];
  const host = fullMachine({ cpuCount: 3, memoryMiB: 64 });
  const { hypervisor, domain } = nest(host, pvImage(code));
  host.run();
  const guest = hypervisor.domains.get(1)!;
  expect(guest.shutdownCode).toBe(0);
  expect(domain.counts.get('exit.cpuid')).toBeGreaterThan(0);
  const words = [...Array(hypervisor.frames.frameCount).keys()]
    .filter((frame) => hypervisor.frames.owner[frame] === 1)
    .map((frame) => [hypervisor.memory.readU32(frame * 4096 + 0xa00), hypervisor.memory.readU32(frame * 4096 + 0xa04) | 0]);
  expect(words).toContainEqual([0x566e6558, -1]); // "XenV" of the layer below; -EPERM from CPL 3
});

describe('a full domain with a hypervisor in it', () => {
  it('can be destroyed while its guests run, and leaves nothing behind', () => {
    const host = fullMachine({ cpuCount: 3, memoryMiB: 64 });
    const before = census(host.hypervisor);
    const { hypervisor } = nest(host);
    host.run(40_000n); // the guest computes
    expect(hypervisor.domains.get(1)?.shutDown).toBe(false);
    host.ask({ kind: 'destroy', domid: 1 });
    host.run();
    expect(host.said.at(-1)).toBe('destroyed 1');
    expect(census(host.hypervisor)).toEqual(before);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('stops, with everything in it, when its Dom0 passes a shutdown', () => {
    const { host, dom0, domain } = nested('xen');
    host.run(500_000n);
    const { calls } = dom0.kernel;
    calls.begin();
    const reason = calls.place(Uint8Array.of(1, 0, 0, 0));
    expect(pass(dom0, abi.PASSTHROUGH_sched_op, 2, reason)).toBe(0);
    host.run();
    expect(host.said.at(-1)).toBe('shut down 1 1');
    expect(domain.shutdownCode).toBe(1);
  });
});

describe('a full domain inside a full domain', () => {
  it('is refused in one line where it is put together', () => {
    const { platform } = nested('xen');
    expect(() => requireVirtualization(platform)).toThrow(ConfigError);
    expect(() => requireVirtualization(platform)).toThrow(/full domain inside a full domain/);
  });

  it('is refused by the hypervisor when its Dom0 asks for it', () => {
    const { host, domain } = nested('xen');
    host.run();
    const platform = fullDomainPlatform({ hypervisor: host.hypervisor, kind: host.full, domain });
    const inner = startHypervisor(platform, { kinds: [new PvDomains(), new FullDomains(XEN_PROFILE)] });
    const said: string[] = [];
    const dom0 = new Dom0({
      consoles: { output: () => {}, input: () => new Uint8Array(0) },
      random: seedRandom(3n),
      observer: { failed: (_request, _error, message) => said.push(message) },
    });
    dom0.submit({ kind: 'create', config: { name: 'deeper', type: 'full', memoryMiB: 4 } });
    buildDom0(inner, { pages: 1024, kernel: { hostCode: dom0 } });
    host.run();
    expect(said).toEqual(['domctl.createdomain of domain 0 failed with errno 19']);
  });
});

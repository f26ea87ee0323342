/** A hypervisor in a full domain of another, with a PV guest of its own: everything by composition. */

import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/base/errors.ts';
import { seedRandom } from '../../src/base/random.ts';
import { Dom0 } from '../../src/dom0/dom0.ts';
import { Passthrough } from '../../src/nesting/passthrough.ts';
import { buildDom0 } from '../../src/xen/build-dom0.ts';
import { audit } from '../../src/xen/census.ts';
import type { HypervisorObserver } from '../../src/xen/events.ts';
import { fullDomainPlatform, requireVirtualization } from '../../src/xen/hvm/full-domain-platform.ts';
import { FullDomains } from '../../src/xen/hvm/full-domains.ts';
import { XEN_PROFILE } from '../../src/xen/hvm/profile.ts';
import { PvDomains } from '../../src/xen/pv/pv-domains.ts';
import { startHypervisor } from '../../src/xen/start.ts';
import { HVM_PARAM_CALLBACK_IRQ } from '../../src/xen-abi/hvm.ts';
import { buildElf, concat, elfNote } from '../support/elf-builder.ts';
import { fullMachine } from '../support/full-machine.ts';

const data = 0x1800;

/** syscall with rax, rdi, rsi and rdx; all values below 2^31. */
function hypercall(number: number, ...args: number[]): number[] {
  const load = [0xbf, 0xbe, 0xba].flatMap((opcode, i) => [opcode, ...dword(args[i] ?? 0)]);
  return [...load, 0xb8, ...dword(number), 0x0f, 0x05];
}
const dword = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];

/** Asks for the version, sleeps until its timer fires at 3 ms, computes until it fires again, and shuts down. */
function pvKernel(): Uint8Array {
  const code = [
    ...hypercall(17, 0), // xen_version
    ...hypercall(24, 7, 0, 0), // no periodic timer
    ...hypercall(32, 1, data + 0x100), // bind_virq TIMER
    ...hypercall(15, 3_000_000), // at 3 ms
    ...hypercall(29, 3, data + 0x110), // poll
    ...hypercall(15, 3_500_000),
    ...[0xb9, ...dword(60_000), 0xff, 0xc9, 0x75, 0xfc], // mov ecx, 60000; again: dec ecx; jnz again
    ...hypercall(29, 2, data + 0x130), // shutdown(poweroff)
  ];
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

function nested(flavour: 'xen' | 'kvm', engine: 'interpreter' | 'reference' = 'interpreter', below: HypervisorObserver = {}) {
  const host = fullMachine({ flavour, engine, cpuCount: 3, memoryMiB: 64, observers: [below] });
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
  dom0.submit({ kind: 'create', config: { name: 'guest', kernel: pvKernel(), memoryMiB: 4, onShutdown: 'preserve' } });
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

  it('does the same on both engines, to the cycle', () => {
    const results = (['interpreter', 'reference'] as const).map((engine) => {
      const { host, domain, said } = nested(flavour, engine);
      host.run(500_000n);
      return { said, cycles: host.machine.processors.map(({ cycles }) => cycles), counts: [...domain.counts] };
    });
    expect(results[0]).toEqual(results[1]);
  });
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

  it('finds nobody on KVM', () => {
    const { host, dom0, calls, domain } = nested('kvm');
    host.run();
    expect(dom0.below).toBeUndefined();
    expect(calls).toContain('d0 passthrough.xen_version.version');
    expect(domain.counts.get('exit.vmcall')).toBeUndefined();
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

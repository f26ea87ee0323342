/** Host code in ring 0 of a full domain: which of its operations leave to the layer below, by flavour. */

import { describe, expect, it } from 'vitest';
import type { PlatformCpu } from '../../../src/platform/cpu.ts';
import type { Platform } from '../../../src/platform/platform.ts';
import { Cr0, Cr4 } from '../../../src/x86/control-registers.ts';
import { Msr } from '../../../src/x86/msr-index.ts';
import type { GlobalFlush } from '../../../src/xen/hvm/full-domain-cpu.ts';
import { fullDomainPlatform } from '../../../src/xen/hvm/full-domain-platform.ts';
import { timerVector } from '../../../src/xen/hvm/interrupts.ts';
import { fullMachine } from '../../support/full-machine.ts';

const TS = BigInt(Cr0.TS);
const PGE = BigInt(Cr4.PGE);
const poke = 0x40;

/** A full domain with two vCPUs whose ring 0 is `handler`, called for every interrupt; it idles afterwards. */
function hostCode(handler: (cpu: PlatformCpu, vector: number) => void, flavour: 'xen' | 'kvm' = 'xen', globalFlush?: GlobalFlush) {
  const host = fullMachine({ flavour, cpuCount: 3 });
  host.ask({ kind: 'create', paused: true, config: { name: 'host-code', type: 'full', memoryMiB: 4, vcpus: 2, onShutdown: 'preserve' } });
  host.run();
  const domain = host.hypervisor.domains.get(1)!;
  const platform = fullDomainPlatform({ hypervisor: host.hypervisor, kind: host.full, domain, ...(globalFlush && { globalFlush }) });
  for (const cpu of platform.cpus) {
    const never = (): void => {
      throw new Error('no guest runs');
    };
    cpu.owner = {
      exception: never,
      syscall: never,
      sysenter: never,
      interrupt: (on, vector) => {
        handler(on, vector);
        on.halt();
      },
    };
    cpu.halt();
  }
  host.ask({ kind: 'unpause', domid: 1 });
  host.run();
  const exits = (): Record<string, number> =>
    Object.fromEntries([...domain.counts].filter(([name]) => name.startsWith('exit.')).map(([name, count]) => [name.slice(5), count]));
  return { host, domain, platform, exits };
}

/** Exits of one handler that does `work`, without those of the interrupt that calls it (its end, HLT). */
function exitsOf(
  work: (cpu: PlatformCpu, platform: Platform) => void,
  flavour: 'xen' | 'kvm',
  globalFlush?: GlobalFlush,
): Record<string, number> {
  let calls = 0;
  const { host, platform, exits } = hostCode(
    (cpu) => {
      calls++;
      work(cpu, platform);
    },
    flavour,
    globalFlush,
  );
  platform.cpus[0]!.sendInterrupt(0, poke);
  host.run();
  expect(calls).toBe(1);
  const found = exits();
  expect(found['hlt']).toBe(1);
  const apic = found['apic']! - 1;
  return Object.fromEntries(Object.entries({ ...found, apic, hlt: 0 }).filter(([, count]) => count !== 0));
}

describe('host code in ring 0 of a full domain', () => {
  it.each([
    ['MOV CR3', (cpu: PlatformCpu) => cpu.writeCr3(0x1000n), {}, {}],
    ['INVLPG', (cpu: PlatformCpu) => cpu.invalidatePage(0x1000n), {}, {}],
    ['a flush of everything', (cpu: PlatformCpu) => cpu.flushTranslations(), {}, {}],
    ['WRMSR FS_BASE', (cpu: PlatformCpu) => cpu.writeMsr(Msr.IA32_FS_BASE, 1n), {}, {}],
    ['SWAPGS', (cpu: PlatformCpu) => (cpu.kernelGsBase = 1n), {}, {}],
    ['WRMSR KERNEL_GS_BASE', (cpu: PlatformCpu) => cpu.writeMsr(Msr.IA32_KERNEL_GS_BASE, 1n), { wrmsr: 1 }, {}],
    ['CR0.TS, set and cleared', (cpu: PlatformCpu) => [TS, 0n].map((ts) => cpu.writeCr0((cpu.cr0 & ~TS) | ts)), { 'cr-write': 2 }, {}],
    ['CPUID', (cpu: PlatformCpu) => cpu.cpuid(0, 0), { cpuid: 1 }, { cpuid: 1 }],
    ['its timer', (cpu: PlatformCpu) => cpu.setTimer(undefined), { apic: 1 }, { apic: 1 }],
    ['a port', (_cpu: PlatformCpu, platform: Platform) => platform.io.write(0x80, 1, 0), { io: 1 }, { io: 1 }],
  ] as const)('leaves for %s as the timing model says', (_what, work, onXen, onKvm) => {
    expect(exitsOf(work, 'xen')).toEqual(onXen);
    expect(exitsOf(work, 'kvm')).toEqual(onKvm);
  });

  it('flushes by CR4.PGE where it is told to, which costs two exits on Xen and none on KVM', () => {
    const work = (cpu: PlatformCpu): void => {
      cpu.writeCr4(cpu.cr4 | PGE);
      cpu.flushTranslations();
    };
    expect(exitsOf(work, 'xen', 'toggle-pge')).toEqual({ 'cr-write': 3 });
    expect(exitsOf(work, 'kvm', 'toggle-pge')).toEqual({});
    expect(exitsOf(work, 'xen')).toEqual({}); // PGE stays off
  });

  it('is interrupted by its timer and by other vCPUs while it idles, each once', () => {
    const seen: string[] = [];
    const { host, platform, exits } = hostCode((cpu, vector) => {
      seen.push(`${cpu.index}:${vector.toString(16)}`);
      if (vector !== poke) return;
      cpu.setTimer(cpu.cycles + 50_000n);
      cpu.sendInterrupt(1, 0x50);
    });
    platform.cpus[0]!.sendInterrupt(0, poke);
    host.run();
    expect(seen).toEqual([`0:${poke.toString(16)}`, '1:50', `0:${timerVector.toString(16)}`]);
    // Ends of interrupt: 3; timer and ICR: 2. Every handler idles.
    expect(exits()).toEqual({ apic: 5, hlt: 3 });
    expect(Number(platform.cpus[0]!.cycles)).toBeGreaterThan(50_000);
  });

  it('sees and changes registers the same way whether its vCPU runs or not', () => {
    const read = (cpu: PlatformCpu): unknown[] => [
      cpu.gpr(3),
      cpu.rip,
      cpu.rflags,
      cpu.fsBase,
      cpu.kernelGsBase,
      cpu.cr2,
      cpu.cpl,
      cpu.segment(2),
    ];
    const write = (cpu: PlatformCpu): void => {
      cpu.setGpr(3, 0x1234_5678_9abcn);
      cpu.rip = 0x4000n;
      cpu.fsBase = 0x7000n;
      cpu.kernelGsBase = 0x8000n;
      cpu.cr2 = 0x9000n;
      cpu.setSegment(2, { ...cpu.segment(2), limit: 0x1fff });
    };
    let running: unknown[] = [];
    const { host, platform } = hostCode((cpu) => {
      running = read(cpu);
      write(cpu);
    });
    const cpu = platform.cpus[0]!;
    write(cpu);
    const idle = read(cpu);
    cpu.sendInterrupt(0, poke);
    host.run();
    expect(running).toEqual(idle);
    expect(read(cpu)).toEqual(idle);
  });
});

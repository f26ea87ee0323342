/**
 * A full domain as a platform: what a hypervisor in its ring 0 runs on, in place of a bare machine. So nesting is a
 * composition. The domain is created and given memory like any other, by its toolstack's hypercalls; instead of a
 * kernel's first context, {@link fullDomainPlatform} leaves its vCPUs waiting for their first interrupt.
 */

import { ConfigError } from '../../base/errors.ts';
import type { PlatformCpu } from '../../platform/cpu.ts';
import type { LayerBelow, Platform, PortIo } from '../../platform/platform.ts';
import type { Domain } from '../domain.ts';
import { callHypercall } from '../hypercall/dispatch.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { accessPort, type PortExit } from './exits.ts';
import { hostCodeContext } from './first-context.ts';
import { FullDomainCpu, type GlobalFlush } from './full-domain-cpu.ts';
import { FullDomainMemory } from './full-domain-memory.ts';
import type { FullDomains } from './full-domains.ts';

export interface FullDomainPlatformOptions {
  readonly hypervisor: Hypervisor;
  readonly kind: FullDomains;
  readonly domain: Domain;
  /** Default `no-global-pages`. */
  readonly globalFlush?: GlobalFlush;
}

/** @throws {ConfigError} when the layer below has no virtualization to give: a full domain inside a full domain. */
export function fullDomainPlatform(options: FullDomainPlatformOptions): Platform {
  const { hypervisor, kind, domain } = options;
  requireVirtualization(hypervisor.platform);
  const full = kind.of(domain);
  const memory = new FullDomainMemory(hypervisor.memory, full);
  const cpus = domain.vcpus.map((vcpu) => {
    hostCodeContext(vcpu.context);
    vcpu.initialised = true;
    vcpu.down = false;
    return new FullDomainCpu(hypervisor, kind, vcpu, memory, options.globalFlush ?? 'no-global-pages');
  });
  return {
    memory,
    cpus,
    tscKhz: hypervisor.platform.tscKhz,
    io: ports(hypervisor, kind, domain, cpus),
    below: layerBelow(hypervisor, kind, domain, cpus),
  };
}

/** Full domains need virtualization of their platform. @throws {ConfigError} in one line. */
export function requireVirtualization(platform: Platform): void {
  if (platform.cpus.every((cpu) => cpu.virtualization !== undefined)) return;
  throw new ConfigError('a full domain inside a full domain: full domains offer no virtualization extension to their guests');
}

/** Port I/O exits; it is the vCPU that runs whose host code asks, or nobody's time. */
function ports(hypervisor: Hypervisor, kind: FullDomains, domain: Domain, cpus: readonly FullDomainCpu[]): PortIo {
  const access = (exit: PortExit): number => {
    const vcpu = domain.vcpus.find(({ running }) => running) ?? (domain.vcpus[0] as Vcpu);
    const cpu = hypervisor.cpuOf(vcpu);
    cpus[vcpu.id]?.leaveFor('io', () => accessPort(hypervisor, kind.of(domain), vcpu, cpu, exit));
    return exit.value;
  };
  return {
    read: (port, size) => access({ reason: 'io', port, size, direction: 'in', value: 2 ** (8 * size) - 1 }),
    write: (port, size, value) => {
      access({ reason: 'io', port, size, direction: 'out', value });
    },
  };
}

function layerBelow(hypervisor: Hypervisor, kind: FullDomains, domain: Domain, cpus: readonly FullDomainCpu[]): LayerBelow {
  const { profile } = kind;
  return {
    signature: profile.signature,
    hypercall(cpu: PlatformCpu, number: number, args: readonly bigint[]): bigint {
      const vcpu = domain.vcpus[cpu.index] as Vcpu;
      const call = (): bigint => {
        if (!profile.xenHypercalls) return profile.unknownCall;
        const registers = Array.from({ length: 6 }, (_, i) => BigInt.asUintN(64, args[i] ?? 0n));
        for (;;) {
          const outcome = callHypercall(hypervisor, vcpu, BigInt(number), registers);
          if (outcome === 'restart') continue;
          return outcome === 'no-result' ? 0n : BigInt.asIntN(64, outcome);
        }
      };
      return cpus[cpu.index]?.leaveFor('vmcall', call) ?? call();
    },
  };
}

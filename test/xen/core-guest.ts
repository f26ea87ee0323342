/**
 * A guest for tests of the core: a domain with some memory mapped one to one from virtual address 0x100000, whose
 * "kernel" is the test. `call` executes a SYSCALL on the guest's cpu.
 */

import { createDomain, createVcpus, defaultDomainConfig } from '../../src/xen/domain-lifecycle.ts';
import { assignFrames } from '../../src/xen/domain-memory.ts';
import type { Domain } from '../../src/xen/domain.ts';
import { applyContext } from '../../src/xen/hypercall/vcpu-op.ts';
import type { Hypervisor, HypervisorOptions } from '../../src/xen/hypervisor.ts';
import { startHypervisor } from '../../src/xen/start.ts';
import { unpauseDomain } from '../../src/xen/scheduler.ts';
import type { Vcpu } from '../../src/xen/vcpu.ts';
import { vcpu_guest_context, vcpu_guest_context_64, VGCF_online } from '../../src/xen-abi/vcpu.ts';
import { type FakeCpu, FakePlatform } from '../support/fake-platform.ts';
import { type CoreKind, coreKind } from './core-kind.ts';

export const guestBase = 0x100000n;

export interface TestHost {
  readonly platform: FakePlatform;
  readonly hypervisor: Hypervisor;
  readonly kind: CoreKind;
}

export function testHost(options: ConstructorParameters<typeof FakePlatform>[0] = {}, more: Partial<HypervisorOptions> = {}): TestHost {
  const platform = new FakePlatform(options);
  const kind = coreKind();
  const hypervisor = startHypervisor(platform, { kinds: [kind], ...more });
  return { platform, hypervisor, kind };
}

export class TestGuest {
  readonly host: TestHost;
  readonly domain: Domain;
  /** Machine frames of the mapped pages, in order. */
  readonly pages: number[] = [];

  constructor(host: TestHost, options: { id?: number; pages?: number; vcpus?: number; maxPages?: number } = {}) {
    this.host = host;
    const { hypervisor } = host;
    const domain = createDomain(hypervisor, {
      ...defaultDomainConfig,
      id: options.id,
      privileged: options.id === 0,
      maxVcpus: options.vcpus ?? 1,
    });
    if (typeof domain === 'number') throw new Error(`createDomain: ${domain}`);
    this.domain = domain;
    domain.maxPages = options.maxPages ?? 64;
    createVcpus(hypervisor, domain);
    const take = (): number => {
      const frame = hypervisor.allocator.allocate();
      assignFrames(hypervisor, domain, frame, 1);
      hypervisor.memory.zeroFrame(frame);
      return frame;
    };
    const [l4, l3, l2, l1] = [take(), take(), take(), take()];
    const link = (table: number, index: number, target: number): void =>
      hypervisor.memory.writeU64(table * 4096 + index * 8, (BigInt(target) << 12n) | 7n);
    link(l4, 0, l3);
    link(l3, 0, l2);
    link(l2, 0, l1);
    for (let i = 0; i < (options.pages ?? 8); i++) {
      const frame = take();
      this.pages.push(frame);
      link(l1, 256 + i, frame);
    }
    const image = vcpu_guest_context_64.write({ ctrlreg3: BigInt(l4) << 12n }, vcpu_guest_context.write({ flags: BigInt(VGCF_online) }));
    for (const vcpu of domain.vcpus) {
      const outcome = applyContext(hypervisor, vcpu, image);
      if (outcome < 0) throw new Error(`applyContext: ${outcome}`);
    }
    domain.controllerPauses = 0;
    unpauseDomain(hypervisor, domain);
    host.platform.settle();
  }

  get vcpu(): Vcpu {
    return this.domain.vcpus[0] as Vcpu;
  }

  cpu(vcpuId = 0): FakeCpu {
    return this.host.platform.cpus[(this.domain.vcpus[vcpuId] as Vcpu).processor] as FakeCpu;
  }

  /** Virtual address of a byte in the mapped pages. */
  at(offset: number): bigint {
    return guestBase + BigInt(offset);
  }

  write(offset: number, bytes: Uint8Array): bigint {
    for (const [i, byte] of bytes.entries()) this.host.platform.memory.writeU8(this.#machine(offset + i), byte);
    return this.at(offset);
  }

  read(offset: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => this.host.platform.memory.readU8(this.#machine(offset + i)));
  }

  /** Executes a hypercall on vCPU `vcpuId`, which must be running, and returns RAX as a signed number. */
  call(number: number, args: readonly bigint[] = [], vcpuId = 0): bigint {
    const vcpu = this.domain.vcpus[vcpuId] as Vcpu;
    if (!vcpu.running) throw new Error(`vcpu ${this.domain.id}.${vcpuId} does not run`);
    const cpu = this.cpu(vcpuId);
    cpu.setGpr(0, BigInt(number));
    [7, 6, 2, 10, 8, 9].forEach((register, i) => {
      cpu.setGpr(register, BigInt.asUintN(64, args[i] ?? 0n));
    });
    cpu.owner?.syscall(cpu);
    const registers = vcpu.running ? cpu.context : vcpu.context;
    return BigInt.asIntN(64, registers.gpr[0] as bigint);
  }

  #machine(offset: number): number {
    return (this.pages[Math.floor(offset / 4096)] as number) * 4096 + (offset % 4096);
  }
}

/** A hypervisor on a fake platform with one small PV domain built by start-of-day, its first vCPU running. */
import { planStartOfDay, type StartOfDayPlan } from '../../../src/xen-abi/start-of-day.ts';
import type { Domain } from '../../../src/xen/domain.ts';
import { createDomain, createVcpus, defaultDomainConfig } from '../../../src/xen/domain-lifecycle.ts';
import { callHypercall } from '../../../src/xen/hypercall/dispatch.ts';
import type { Hypervisor } from '../../../src/xen/hypervisor.ts';
import { startHypervisor } from '../../../src/xen/start.ts';
import { leave } from '../../../src/xen/ring-zero.ts';
import { unpauseDomain } from '../../../src/xen/scheduler.ts';
import { audit } from '../../../src/xen/pv/audit.ts';
import type { Pv } from '../../../src/xen/pv/pv.ts';
import { PvDomains } from '../../../src/xen/pv/pv-domains.ts';
import type { PvVcpu, Vcpu } from '../../../src/xen/vcpu.ts';
import { buildInitialDomain } from './build-domain.ts';
import type { FakeMemory } from '../../support/fake-platform.ts';
import { type FakeCpu, fakePlatform } from './fake-platform.ts';

export const VIRT_BASE = 0x40_0000n;
const PAGES = 1100;

export class SmallDomain {
  readonly hypervisor: Hypervisor;
  readonly memory: FakeMemory;
  readonly pv: Pv;
  readonly domain: Domain;
  readonly vcpu: Vcpu;
  readonly cpu: FakeCpu;
  readonly plan: StartOfDayPlan;
  /** Machine frame of each guest frame. */
  readonly frames: Int32Array;
  readonly log: string[] = [];

  constructor(options: { linearTables?: boolean; mmioFrames?: number; privileged?: boolean } = {}) {
    const platform = fakePlatform(2048, 2, options.mmioFrames ?? 0);
    const kind = new PvDomains(options);
    const observer = { console: (_domain: unknown, line: string) => this.log.push(line) };
    this.hypervisor = startHypervisor(platform, { kinds: [kind], observers: [observer], placement: () => 0 });
    this.memory = platform.memory;
    this.pv = kind.parts;
    this.plan = planStartOfDay({
      kernel: {
        virtBase: VIRT_BASE,
        virtStart: VIRT_BASE,
        virtEnd: VIRT_BASE + 0x8000n,
        entry: VIRT_BASE,
        initP2m: undefined,
        modStartPfn: false,
      },
      totalPages: PAGES,
      ramdiskBytes: 0,
      initialDomain: false,
    });
    const domain = createDomain(this.hypervisor, { ...defaultDomainConfig, id: 1, privileged: options.privileged ?? false });
    if (typeof domain === 'number') throw new Error(`no domain: ${domain}`);
    createVcpus(this.hypervisor, domain);
    const frames = buildInitialDomain(this.pv, domain, {
      plan: this.plan,
      contents: [],
      ramdisk: undefined,
      hypercallPage: undefined,
      startInfo: { flags: 0, storePort: 0, consolePort: 0, commandLine: '' },
    });
    if (typeof frames === 'number') throw new Error(`not built: ${frames}`);
    this.frames = frames;
    this.domain = domain;
    this.vcpu = domain.vcpus[0] as Vcpu;
    this.cpu = platform.cpus[0] as FakeCpu;
    unpauseDomain(this.hypervisor, domain);
    leave(this.hypervisor, this.cpu);
    if (!this.vcpu.running) throw new Error('the vCPU does not run');
  }

  get state(): PvVcpu {
    return this.vcpu.pv as PvVcpu;
  }
  mfn(pfn: number): number {
    return this.frames[pfn] as number;
  }
  /** Frame of the plan's table number `i` (0: L4, 1: L3, 2: L2, then L1s). */
  table(i: number): number {
    return this.mfn((this.plan.tables[i] as { pfn: number }).pfn);
  }
  virtual(pfn: number): bigint {
    return VIRT_BASE + BigInt(pfn) * 4096n;
  }
  /** A hypercall with these arguments; undefined where it has no result. */
  call(number: number, ...args: (bigint | number)[]): number | undefined {
    this.hypervisor.entered = this.cpu;
    const result = callHypercall(
      this.hypervisor,
      this.vcpu,
      BigInt(number),
      args.map((arg) => BigInt.asUintN(64, BigInt(arg))),
    );
    this.hypervisor.entered = undefined;
    return typeof result === 'bigint' ? Number(BigInt.asIntN(64, result)) : undefined;
  }
  /** Writes words to guest memory (the scratch page unless told) and returns the address. */
  put(words: readonly (bigint | number)[], address = this.virtual(600)): bigint {
    const bytes = new Uint8Array(words.length * 8);
    const view = new DataView(bytes.buffer);
    for (const [i, word] of words.entries()) view.setBigUint64(8 * i, BigInt.asUintN(64, BigInt(word)), true);
    if (this.cpu.writeVirtual(address, bytes, true) !== undefined) throw new Error(`cannot write ${address}`);
    return address;
  }
  get(address: bigint, count: number): bigint[] {
    const bytes = new Uint8Array(count * 8);
    if (this.cpu.readVirtual(address, bytes, true) !== undefined) throw new Error(`cannot read ${address}`);
    const view = new DataView(bytes.buffer);
    return Array.from({ length: count }, (_, i) => view.getBigUint64(8 * i, true));
  }
  mmuUpdate(ptr: bigint | number, val: bigint | number, foreign = 0x7ff0): number | undefined {
    return this.call(1, this.put([ptr, val]), 1, 0, foreign);
  }
  mmuext(command: number, arg1: bigint | number, arg2: bigint | number = 0, foreign = 0x7ff0): number | undefined {
    return this.call(26, this.put([command, arg1, arg2]), 1, 0, foreign);
  }
  updateVa(address: bigint, value: bigint | number, flags = 0): number | undefined {
    return this.call(14, address, value, flags);
  }
  entry(frame: number, flags: number): bigint {
    return (BigInt(frame) << 12n) | BigInt(flags);
  }
  /** Machine address of an entry. */
  at(table: number, index: number): number {
    return table * 4096 + index * 8;
  }
  /** A frame of the domain, filled with entries and unmapped or mapped read-only, so that it may become a table. */
  makeTable(pfn: number, entries: Record<number, bigint>): number {
    const frame = this.mfn(pfn);
    this.memory.zeroFrame(frame);
    for (const [index, entry] of Object.entries(entries)) this.memory.writeU64(this.at(frame, Number(index)), entry);
    const result = this.updateVa(this.virtual(pfn), this.entry(frame, 0x21));
    if (result !== 0) throw new Error(`page ${pfn} not made read-only: ${result}`);
    return frame;
  }
  audit(): string[] {
    return audit(this.pv);
  }
}

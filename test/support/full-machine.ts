/**
 * A bare machine with one layer of hypervisor and its Dom0, for tests of full domains: multiboot kernels made of bytes,
 * built and ended by Dom0's hypercalls, executed for real. Every event costs one cycle, so that time passes.
 */

import { seedRandom } from '../../src/base/random.ts';
import { WESTMERE } from '../../src/cpu/cpuid/models.ts';
import type { VirtioDevice } from '../../src/devices/virtio/device.ts';
import { Dom0, type Dom0Request } from '../../src/dom0/dom0.ts';
import { BareMachine, type EngineName } from '../../src/machine/bare-machine.ts';
import { barePlatform } from '../../src/machine/bare-platform.ts';
import type { CostTable } from '../../src/timing/cost-model.ts';
import { FREE_TRANSLATION } from '../../src/timing/model.ts';
import { ModelledTlb } from '../../src/timing/translation-model.ts';
import { buildDom0 } from '../../src/xen/build-dom0.ts';
import type { Domain } from '../../src/xen/domain.ts';
import { sendGlobalVirq } from '../../src/xen/event-delivery.ts';
import type { HypervisorObserver } from '../../src/xen/events.ts';
import { FullDomains } from '../../src/xen/hvm/full-domains.ts';
import { FULL_PROFILES } from '../../src/xen/hvm/profile.ts';
import { PvDomains } from '../../src/xen/pv/pv-domains.ts';
import { startHypervisor } from '../../src/xen/start.ts';
import { VIRQ_CONSOLE } from '../../src/xen-abi/xen.ts';

export interface FullMachineOptions {
  readonly flavour?: 'xen' | 'kvm';
  readonly engine?: EngineName;
  readonly memoryMiB?: number;
  readonly cpuCount?: number;
  readonly observers?: readonly HypervisorObserver[];
  /** Costs and TLB of the timing model, instead of one cycle for every event. */
  readonly timing?: CostTable;
  /** Virtio devices of each full domain. */
  readonly virtio?: () => readonly VirtioDevice[];
}

export function fullMachine(options: FullMachineOptions = {}) {
  const { timing } = options;
  const machine = new BareMachine({
    cpuCount: options.cpuCount ?? 2,
    memoryBytes: (options.memoryMiB ?? 32) << 20,
    engine: options.engine ?? 'interpreter',
    costs: timing ?? { cost: () => 12 },
    newTranslation: () => (timing === undefined ? { ...FREE_TRANSLATION, save() {} } : new ModelledTlb(timing)),
    cpuid: WESTMERE,
    tscKhz: 100_000,
    transmit: () => {},
  });
  const full = new FullDomains(FULL_PROFILES[options.flavour ?? 'xen'], options.virtio && { virtio: options.virtio });
  const hypervisor = startHypervisor(barePlatform(machine), {
    kinds: [new PvDomains(), full],
    ...(options.observers && { observers: options.observers }),
  });
  const output = new Map<number, string>();
  const input = new Map<number, string>();
  const said: string[] = [];
  const dom0 = new Dom0({
    consoles: {
      output: (domid, bytes) => {
        output.set(domid, (output.get(domid) ?? '') + String.fromCharCode(...bytes));
      },
      input: (domid, most) => {
        const text = input.get(domid) ?? '';
        input.set(domid, text.slice(most));
        return Uint8Array.from(text.slice(0, most), (char) => char.charCodeAt(0));
      },
    },
    random: seedRandom(1n),
    observer: {
      created: ({ domid }) => said.push(`created ${domid}`),
      shutDown: ({ domid }, reason) => said.push(`shut down ${domid} ${reason}`),
      destroyed: ({ domid }) => said.push(`destroyed ${domid}`),
      failed: (_request, _error, message) => said.push(`failed: ${message}`),
    },
  });
  buildDom0(hypervisor, { pages: 2048, kernel: { hostCode: dom0 } });
  const run = (instructions = 200_000n) => machine.run(machine.instructions + instructions);
  run();
  const ask = (...requests: Dom0Request[]): void => {
    for (const request of requests) dom0.submit(request);
    sendGlobalVirq(hypervisor, VIRQ_CONSOLE);
  };
  return {
    machine,
    hypervisor,
    full,
    dom0,
    output,
    /** What Dom0 will send to a domain's console at its next occasion. */
    input,
    said,
    run,
    ask,
    /** Creates a full domain around a kernel, runs until nothing happens any more, and gives the domain. */
    boot(kernel: Uint8Array, instructions?: bigint, vcpus = 1): Domain {
      ask({ kind: 'create', config: { name: `guest-${said.length}`, type: 'full', kernel, memoryMiB: 4, vcpus, onShutdown: 'preserve' } });
      const before = hypervisor.nextDomainId;
      run(instructions);
      const domain = hypervisor.domains.get(before);
      if (domain === undefined) throw new Error(`no domain: ${said.join('; ')}`);
      return domain;
    },
    /** 32 bits of a domain's guest-physical memory. */
    word(domain: Domain, address: number): number {
      const frame = full.of(domain).physmap.machineFrame(address >> 12);
      return hypervisor.memory.readU32(frame * 4096 + (address & 0xfff));
    },
  };
}

export type FullMachine = ReturnType<typeof fullMachine>;

export const loadAddress = 0x10_0000;
const headerBytes = 32;
/** Where the code of {@link multibootKernel} begins. */
export const codeAddress = loadAddress + headerBytes;

/** A multiboot kernel: a header with load addresses, then 32-bit code. */
export function multibootKernel(code: readonly number[]): Uint8Array {
  const image = new Uint8Array(Math.max(headerBytes + code.length, 64));
  const view = new DataView(image.buffer);
  const flags = 0x10000;
  const end = loadAddress + image.length;
  [0x1badb002, flags, -(0x1badb002 + flags), loadAddress, loadAddress, end, end, codeAddress].forEach((word, i) => {
    view.setUint32(4 * i, word >>> 0, true);
  });
  image.set(code, headerBytes);
  return image;
}

const dword = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];

/** A few instructions of 32-bit code, by what they do. */
export const asm = {
  dword,
  /** mov dx, port; mov al, byte; out dx, al */
  out8: (port: number, byte: number): number[] => [0x66, 0xba, port & 0xff, port >> 8, 0xb0, byte, 0xee],
  /** mov dx, port; mov ax, word; out dx, ax */
  out16: (port: number, word: number): number[] => [0x66, 0xba, port & 0xff, port >> 8, 0x66, 0xb8, word & 0xff, word >> 8, 0x66, 0xef],
  print: (text: string): number[] => [...text].flatMap((char) => asm.out8(0x3f8, char.charCodeAt(0))),
  powerOff: (): number[] => [...asm.out16(0x604, 0x2000), 0xeb, 0xfe],
  eax: (value: number): number[] => [0xb8, ...dword(value)],
  ebx: (value: number): number[] => [0xbb, ...dword(value)],
  ecx: (value: number): number[] => [0xb9, ...dword(value)],
  edx: (value: number): number[] => [0xba, ...dword(value)],
  esp: (value: number): number[] => [0xbc, ...dword(value)],
  /** mov [address], eax */
  storeEax: (address: number): number[] => [0xa3, ...dword(address)],
  storeEbx: (address: number): number[] => [0x89, 0x1d, ...dword(address)],
  storeEcx: (address: number): number[] => [0x89, 0x0d, ...dword(address)],
  storeEdx: (address: number): number[] => [0x89, 0x15, ...dword(address)],
  /** mov eax, [address] */
  loadEax: (address: number): number[] => [0xa1, ...dword(address)],
  /** mov dword [address], value */
  store: (address: number, value: number): number[] => [0xc7, 0x05, ...dword(address), ...dword(value)],
  vmcall: [0x0f, 0x01, 0xc1],
  cpuid: [0x0f, 0xa2],
  rdmsr: [0x0f, 0x32],
  wrmsr: [0x0f, 0x30],
  hlt: [0xf4],
  cli: [0xfa],
  sti: [0xfb],
  lgdt: (address: number): number[] => [0x0f, 0x01, 0x15, ...dword(address)],
  lidt: (address: number): number[] => [0x0f, 0x01, 0x1d, ...dword(address)],
};

/** Stores a flat GDT (0x08 code, 0x10 data, 0x18 user code, 0x20 user data) at 0x1000 and loads it. */
export function loadGdt(): number[] {
  const rows: [number, number][] = [
    [0, 0],
    [0x0000ffff, 0x00cf9b00],
    [0x0000ffff, 0x00cf9300],
    [0x0000ffff, 0x00cffb00],
    [0x0000ffff, 0x00cff300],
  ];
  const code = rows.flatMap(([low, high], i) => [...asm.store(0x1000 + 8 * i, low), ...asm.store(0x1004 + 8 * i, high)]);
  // Limit and base at 0x0ff0 (six bytes from 0x0ff2).
  return [...code, ...asm.store(0x0ff0, (8 * rows.length - 1) << 16), ...asm.store(0x0ff4, 0x1000), ...asm.lgdt(0x0ff2)];
}

/** An IDT at 0x2000 with one interrupt gate. */
export function loadIdt(vector: number, handler: number): number[] {
  return [
    ...asm.store(0x2000 + 8 * vector, 0x0008_0000 | (handler & 0xffff)),
    ...asm.store(0x2004 + 8 * vector, (handler & 0xffff_0000) | 0x8e00),
    ...asm.store(0x0fe0, 0x7ff << 16),
    ...asm.store(0x0fe4, 0x2000),
    ...asm.lidt(0x0fe2),
  ];
}

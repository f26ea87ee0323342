/** The PC of a full domain beyond its 8259s: local APICs and their timers, start-up of vCPUs, virtio, KVM's clock. */
import { describe, expect, it } from 'vitest';
import { VirtioEntropy } from '../../../src/devices/virtio/entropy.ts';
import { audit } from '../../../src/xen/census.ts';
import { asm, codeAddress, fullMachine, loadGdt, loadIdt, multibootKernel } from '../../support/full-machine.ts';

const scratch = 0x20_0000;
const EOI = 0xfee0_00b0;
const ICR = 0xfee0_0300;
const ICR_HIGH = 0xfee0_0310;

/** Handler first (inc dword [scratch]; EOI; iret), then GDT, IDT and the rest with interrupts on. */
function withHandler(vector: number, code: readonly number[]): Uint8Array {
  const handler = [0xff, 0x05, ...asm.dword(scratch), ...asm.store(EOI, 0), 0xcf];
  const setUp = [...asm.esp(0x9_0000), ...loadGdt(), ...loadIdt(vector, codeAddress + 2), ...asm.sti];
  return multibootKernel([0xeb, handler.length, ...handler, ...setUp, ...code]);
}

describe.each(['interpreter', 'reference'] as const)('a full domain on the %s engine', (engine) => {
  it('is woken by the timer of its local APIC', () => {
    const host = fullMachine({ engine });
    const timer = [...asm.store(0xfee0_03e0, 0xb), ...asm.store(0xfee0_0320, 0x41), ...asm.store(0xfee0_0380, 20_000)];
    const domain = host.boot(withHandler(0x41, [...timer, ...asm.hlt, ...asm.powerOff()]));
    expect(host.said.at(-1)).toBe(`shut down ${domain.id} 0`);
    expect(host.word(domain, scratch)).toBe(1);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('reads and writes registers of its APICs, and ones where nothing is', () => {
    const host = fullMachine({ engine });
    const domain = host.boot(
      multibootKernel([
        ...[...asm.loadEax(0xfee0_0030), ...asm.storeEax(scratch)],
        ...[...asm.store(0xfec0_0000, 1), ...asm.loadEax(0xfec0_0010), ...asm.storeEax(scratch + 4)],
        ...[...asm.loadEax(0xfed0_0000), ...asm.storeEax(scratch + 8)],
        ...[...asm.ecx(0x1b), ...asm.rdmsr, ...asm.storeEax(scratch + 12)],
        ...asm.powerOff(),
      ]),
    );
    expect([0, 4, 8, 12].map((at) => host.word(domain, scratch + at) >>> 0)).toEqual([0x5_0014, 0x17_0020, 0xffff_ffff, 0xfee0_0900]);
  });

  it('starts its other vCPU by INIT and a start-up message, and interrupts it', () => {
    const host = fullMachine({ engine, cpuCount: 3 });
    // The trampoline at 0x8000 is written by the first vCPU: lgdt [0x0FF2]; lidt [0x0FE2]; CR0.PE; jump to 32-bit code.
    const far = codeAddress + 0x400;
    const trampoline = [
      ...[0x0f, 0x01, 0x16, 0xf2, 0x0f, 0x0f, 0x01, 0x1e, 0xe2, 0x0f, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0],
      ...[0x66, 0xea, ...asm.dword(far), 0x08, 0x00],
    ];
    const place: number[] = [];
    for (let n = 0; n < trampoline.length; n += 4) {
      const [a = 0, b = 0, c = 0, d = 0] = trampoline.slice(n, n + 4);
      place.push(...asm.store(0x8000 + n, (a | (b << 8) | (c << 16) | (d << 24)) >>> 0));
    }
    const start = [...asm.store(ICR_HIGH, 1 << 24), ...asm.store(ICR, 0x4500), ...asm.store(ICR, 0x4608)];
    // again: cmp dword [scratch + 4], 7; jne again; send 0x41 to it; wait for its handler; off
    const waitUp = [0x83, 0x3d, ...asm.dword(scratch + 4), 7, 0x75, 0xf7];
    const waitHandler = [0x83, 0x3d, ...asm.dword(scratch), 1, 0x75, 0xf7];
    const main = [...place, ...start, ...waitUp, ...asm.store(ICR, 0x4041), ...waitHandler, ...asm.powerOff()];
    // The other: DS, SS, ESP, its APIC on, says 7, sleeps.
    const other = [
      ...[0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xd0, ...asm.esp(0x8_0000)],
      ...[...asm.store(0xfee0_00f0, 0x1ff), ...asm.store(scratch + 4, 7), ...asm.sti, ...asm.hlt, 0xeb, 0xfd],
    ];
    const first = withHandler(0x41, main);
    const image = new Uint8Array(32 + 0x400 + other.length);
    image.set(first);
    image.set(other, 32 + 0x400);
    const end = 0x10_0000 + image.length;
    for (const at of [20, 24]) new DataView(image.buffer).setUint32(at, end, true);
    const domain = host.boot(image, 600_000n, 2);
    expect(host.said.at(-1)).toBe(`shut down ${domain.id} 0`);
    expect([host.word(domain, scratch + 4), host.word(domain, scratch)]).toEqual([7, 1]);
  });
});

describe('a full domain that resets its machine', () => {
  it('shuts down with the reason that asks for a reboot', () => {
    const host = fullMachine();
    host.boot(multibootKernel([...asm.out8(0xcf9, 6), 0xeb, 0xfe]));
    expect(host.said.at(-1)).toMatch(/^shut down \d+ 1$/);
  });
});

describe('a full domain of KVM', () => {
  it('finds a clock that the time stamp counter drives', () => {
    const host = fullMachine({ flavour: 'kvm' });
    const area = 0x21_0000;
    const domain = host.boot(
      multibootKernel([
        ...[...asm.eax(0x4000_0001), ...asm.cpuid, ...asm.storeEax(scratch)],
        ...[...asm.edx(0), ...asm.eax(area | 1), ...asm.ecx(0x4b56_4d01), ...asm.wrmsr, ...asm.rdmsr, ...asm.storeEax(scratch + 4)],
        ...[...asm.edx(0), ...asm.eax(area + 64), ...asm.ecx(0x4b56_4d00), ...asm.wrmsr],
        ...asm.powerOff(),
      ]),
    );
    expect(host.word(domain, scratch) >>> 0).toBe((1 << 3) | (1 << 24));
    expect(host.word(domain, scratch + 4)).toBe(area | 1);
    const { multiplier, shift } = host.hypervisor.time;
    expect(host.word(domain, area) % 2).toBe(0);
    expect(host.word(domain, area + 24) >>> 0).toBe(multiplier);
    expect(host.word(domain, area + 28)).toBe((shift & 0xff) | 0x100);
    expect(host.word(domain, area + 64)).toBe(2);
  });

  it('is there for KVM only', () => {
    const host = fullMachine({ flavour: 'xen' });
    // The write faults, and without an IDT that is the end.
    host.boot(multibootKernel([...asm.edx(0), ...asm.eax(1), ...asm.ecx(0x4b56_4d01), ...asm.wrmsr, ...asm.powerOff()]));
    expect(host.said.at(-1)).toMatch(/^shut down \d+ 3$/);
  });
});

describe('a full domain with a virtio device', () => {
  it("lets it read and write the domain's own memory, and nothing else", () => {
    const host = fullMachine({ virtio: () => [new VirtioEntropy(1n)] });
    const base = 0xc000_0000;
    const config = (offset: number, value: number): number[] => [
      ...[...asm.edx(0xcf8), ...asm.eax((0x8000_1000 | offset) >>> 0), 0xef, ...asm.edx(0xcfc), ...asm.eax(value), 0xef],
    ];
    const word = (offset: number, value: number): number[] => [0x66, 0xc7, 0x05, ...asm.dword(base + offset), value & 0xff, value >> 8];
    const byte = (offset: number, value: number): number[] => [0xc6, 0x05, ...asm.dword(base + offset), value];
    const table = 0x22_0000;
    const domain = host.boot(
      multibootKernel([
        ...[...config(0x10, base), ...config(4, 6)],
        ...[...byte(0x14, 3), ...asm.store(base + 8, 1), ...asm.store(base + 0xc, 1), ...byte(0x14, 0xb)],
        ...[...word(0x16, 0), ...word(0x18, 8)],
        ...[...asm.store(base + 0x20, table), ...asm.store(base + 0x28, table + 0x400), ...asm.store(base + 0x30, table + 0x800)],
        ...[...word(0x1c, 1), ...byte(0x14, 0xf)],
        // One buffer of 8 bytes for the device to write to.
        ...[...asm.store(table, scratch), ...asm.store(table + 8, 8), ...asm.store(table + 12, 2)],
        ...[...asm.store(table + 0x400, 0x1_0000), ...word(0x3000, 0)],
        ...asm.powerOff(),
      ]),
    );
    expect(host.word(domain, table + 0x800)).toBe(0x1_0000);
    expect(host.word(domain, table + 0x808)).toBe(8);
    expect(host.word(domain, scratch) | host.word(domain, scratch + 4)).not.toBe(0);
  });
});

import { describe, expect, it } from 'vitest';
import { audit, census } from '../../../src/xen/census.ts';
import { vcpu_hvm_context_32 } from '../../../src/xen-abi/hvm.ts';
import { asm, codeAddress, fullMachine, loadGdt, loadIdt, multibootKernel } from '../../support/full-machine.ts';

const scratch = 0x20_0000;

/** PIT at 1 ms, PIC at vectors 0x20.., a handler that counts; waits for three ticks by HLT, then prints and powers off. */
function tickingKernel(): Uint8Array {
  // Handler first: jumped over. inc dword [scratch]; EOI; iret
  const handler = [0xff, 0x05, ...asm.dword(scratch), 0x50, 0x52, ...asm.out8(0x20, 0x20), 0x5a, 0x58, 0xcf];
  const setUp = [
    ...asm.esp(0x9_0000),
    ...loadGdt(),
    ...loadIdt(0x20, codeAddress + 2),
    ...[0x11, 0x20, 0x04, 0x01].flatMap((word, i) => asm.out8(i === 0 ? 0x20 : 0x21, word)),
    ...asm.out8(0x21, 0xfe),
    ...asm.out8(0x43, 0x34),
    ...asm.out8(0x40, 1193 & 0xff),
    ...asm.out8(0x40, 1193 >> 8),
    ...asm.sti,
  ];
  // again: hlt; cmp dword [scratch], 3; jb again
  const wait = [0xf4, 0x83, 0x3d, ...asm.dword(scratch), 3, 0x72, 0xf6];
  return multibootKernel([0xeb, handler.length, ...handler, ...setUp, ...wait, ...asm.print('three\n'), ...asm.powerOff()]);
}

describe.each(['interpreter', 'reference'] as const)('a full domain on the %s engine', (engine) => {
  it('prints on its serial port, which Dom0 reads from the console ring, and powers off', () => {
    const host = fullMachine({ engine });
    const domain = host.boot(multibootKernel([...asm.print('hello\n'), ...asm.powerOff()]));
    expect(host.output.get(domain.id)).toBe('hello\n');
    expect(host.said).toEqual(['created 1', 'shut down 1 0']);
    expect(domain.counts.get('exit.io')).toBe(7);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('takes timer interrupts and sleeps between them', () => {
    const host = fullMachine({ engine });
    const domain = host.boot(tickingKernel());
    expect(host.output.get(domain.id)).toBe('three\n');
    expect(host.word(domain, scratch)).toBe(3);
    expect(domain.counts.get('exit.hlt')).toBe(3);
    expect(host.said.at(-1)).toBe('shut down 1 0');
    // Three periods of 1193 ticks of 1.193182 MHz at 100 MHz.
    expect(Number(host.machine.processors[0]!.cycles)).toBeGreaterThan(299_900);
    expect(Number(host.machine.processors[0]!.cycles)).toBeLessThan(310_000);
  });
});

it('gives the same cycles and exits on both engines', () => {
  const results = (['interpreter', 'reference'] as const).map((engine) => {
    const host = fullMachine({ engine });
    const domain = host.boot(tickingKernel());
    return {
      cycles: host.machine.processors.map(({ cycles }) => cycles),
      instructions: host.machine.instructions,
      counts: [...domain.counts],
    };
  });
  expect(results[0]).toEqual(results[1]);
});

describe('what a full domain sees of its hypervisor', () => {
  const signature = [
    ...asm.eax(0x4000_0000),
    ...asm.cpuid,
    ...asm.storeEax(scratch),
    ...asm.storeEbx(scratch + 4),
    ...asm.storeEcx(scratch + 8),
    ...asm.storeEdx(scratch + 12),
    ...asm.eax(1),
    ...asm.cpuid,
    ...asm.storeEcx(scratch + 16),
    ...asm.eax(17),
    ...asm.ebx(0),
    ...asm.vmcall,
    ...asm.storeEax(scratch + 20),
    ...asm.powerOff(),
  ];

  it.each([
    ['xen', 'XenVMMXenVMM', 0x4000_0002, 0x0004_0011],
    ['kvm', 'KVMKVMKVM\0\0\0', 0x4000_0001, -1000],
  ] as const)('is the %s signature, and its hypercalls', (flavour, text, highest, version) => {
    const host = fullMachine({ flavour });
    const domain = host.boot(multibootKernel(signature));
    const bytes = new Uint8Array(new Uint32Array([4, 8, 12].map((offset) => host.word(domain, scratch + offset))).buffer);
    expect(String.fromCharCode(...bytes)).toBe(text);
    expect(host.word(domain, scratch)).toBe(highest);
    expect(host.word(domain, scratch + 16) >>> 31).toBe(1);
    expect(host.word(domain, scratch + 20) | 0).toBe(version);
    expect(domain.counts.get('exit.cpuid')).toBe(2);
    expect(domain.counts.get('exit.vmcall')).toBe(1);
  });

  it('is a hypercall page whose stubs call', () => {
    const host = fullMachine();
    const page = 0x20_1000;
    const code = [
      ...asm.esp(0x9_0000),
      ...asm.ecx(0x4000_0000),
      ...asm.eax(page),
      ...asm.edx(0),
      ...asm.wrmsr,
      ...asm.ebx(0),
      ...asm.eax(page + 17 * 32), // xen_version
      ...[0xff, 0xd0], // call eax
      ...asm.storeEax(scratch),
      ...asm.powerOff(),
    ];
    const domain = host.boot(multibootKernel(code));
    expect(host.word(domain, scratch)).toBe(0x0004_0011);
  });

  it('answers VMCALL from CPL 3 with -EPERM', () => {
    const host = fullMachine();
    const target = 23; // bytes of the pushes and iret below
    const prologue = [...asm.esp(0x9_0000), ...loadGdt()];
    const user = codeAddress + prologue.length + target;
    const enter = [0x6a, 0x23, 0x68, ...asm.dword(0x8_0000), 0x68, ...asm.dword(0x3002), 0x6a, 0x1b, 0x68, ...asm.dword(user), 0xcf];
    while (enter.length < target) enter.push(0x90);
    const userData = [0x66, 0xb8, 0x23, 0x00, 0x8e, 0xd8]; // mov ax, 0x23; mov ds, ax
    const code = [...userData, ...asm.eax(17), ...asm.ebx(0), ...asm.vmcall, ...asm.storeEax(scratch), ...asm.powerOff()];
    const domain = host.boot(multibootKernel([...prologue, ...enter, ...code]));
    expect(host.word(domain, scratch) | 0).toBe(-1);
    expect(host.said.at(-1)).toBe('shut down 1 0');
  });

  it('reads all ones where nothing is, and writes there go nowhere', () => {
    const host = fullMachine();
    const code = [...asm.store(0xf000_0000, 5), ...asm.loadEax(0xf000_0000), ...asm.storeEax(scratch), ...asm.powerOff()];
    const domain = host.boot(multibootKernel(code));
    expect(host.word(domain, scratch)).toBe(0xffff_ffff);
    expect(domain.counts.get('exit.second-stage-violation')).toBe(2);
    expect(host.said.at(-1)).toBe('shut down 1 0');
  });
});

it('gets what is typed at its console through the serial port, by polling or by interrupt', () => {
  const host = fullMachine();
  // again: in al, 3fdh; test al, 1; jz again; in al, 3f8h; mov [scratch], al
  const poll = [0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7, 0x66, 0xba, 0xf8, 0x03, 0xec, 0xa2, ...asm.dword(scratch)];
  // Handler of IRQ 4: reads the byte into scratch + 4 and ends the interrupt.
  const handler = [0x66, 0xba, 0xf8, 0x03, 0xec, 0xa2, ...asm.dword(scratch + 4), ...asm.out8(0x20, 0x20), 0xcf];
  const code = [
    ...asm.esp(0x9_0000),
    ...poll,
    ...loadGdt(),
    ...loadIdt(0x24, codeAddress + 2),
    ...[0x11, 0x20, 0x04, 0x01].flatMap((word, i) => asm.out8(i === 0 ? 0x20 : 0x21, word)),
    ...asm.out8(0x21, 0xef),
    ...asm.out8(0x3f9, 1),
    ...asm.sti,
    ...[0xf4, 0x83, 0x3d, ...asm.dword(scratch + 4), 0, 0x74, 0xf6], // again: hlt; cmp dword [scratch + 4], 0; je again
    ...asm.powerOff(),
  ];
  const domain = host.boot(multibootKernel([0xeb, handler.length, ...handler, ...code]), 20_000n);
  for (const key of ['a', 'b']) {
    host.input.set(domain.id, key);
    host.ask();
    host.run(20_000n);
  }
  expect([0, 4].map((at) => String.fromCharCode(host.word(domain, scratch + at)))).toEqual(['a', 'b']);
  expect(host.said.at(-1)).toBe('shut down 1 0');
});

it('brings up a second vCPU by VCPUOP_initialise and VCPUOP_up, which runs on another processor', () => {
  const host = fullMachine({ cpuCount: 3 });
  const context = 0x20_1000;
  // The second vCPU writes its APIC id and halts for good; the first waits for the word.
  const second = [...asm.eax(1), ...asm.cpuid, ...asm.storeEbx(scratch), ...asm.cli, ...asm.hlt];
  const image = vcpu_hvm_context_32.write({
    mode: 0,
    eip: codeAddress + 2,
    eflags: 2,
    cr0: 0x11,
    ...{ cs_limit: 0xffff_ffff, ds_limit: 0xffff_ffff, ss_limit: 0xffff_ffff, es_limit: 0xffff_ffff, tr_limit: 0x67 },
    ...{ cs_ar: 0xc9b, ds_ar: 0xc93, ss_ar: 0xc93, es_ar: 0xc93, tr_ar: 0x8b },
  });
  const words = new Uint32Array(image.buffer);
  const vcpuOp = (command: number, at: number): number[] => [
    ...asm.eax(24),
    ...asm.ebx(command),
    ...asm.ecx(1),
    ...asm.edx(context),
    ...asm.vmcall,
    ...asm.storeEax(scratch + at),
  ];
  const first = [
    ...[...words].flatMap((word, i) => asm.store(context + 4 * i, word)),
    ...vcpuOp(1, 4), // up, too early
    ...vcpuOp(0, 8), // initialise
    ...vcpuOp(0, 12), // twice
    ...vcpuOp(3, 16), // is_up
    ...vcpuOp(1, 20), // up
    ...[0x83, 0x3d, ...asm.dword(scratch), 0, 0x74, 0xf7], // again: cmp dword [scratch], 0; je again
    ...asm.powerOff(),
  ];
  const domain = host.boot(multibootKernel([0xeb, second.length, ...second, ...first]), undefined, 2);
  expect([4, 8, 12, 16, 20].map((at) => host.word(domain, scratch + at) | 0)).toEqual([-22, 0, -17, 0, 0]);
  expect(host.word(domain, scratch) >>> 16).toBe(0x0102); // APIC id 1 of 2 processors
  expect(host.said.at(-1)).toBe('shut down 1 0');
  expect(host.machine.processors[1]!.state.get('instructions')).toBeGreaterThan(0n);
});

describe('the end of a full domain', () => {
  it('keeps the value written to the debug exit', () => {
    const host = fullMachine();
    const domain = host.boot(multibootKernel([...asm.out8(0xf4, 0x2a), 0xeb, 0xfe]));
    expect(host.said.at(-1)).toBe('shut down 1 0');
    expect(host.full.of(domain).exitCode).toBe(0x2a);
  });

  it('is a power-off when its last vCPU halts with interrupts off', () => {
    const host = fullMachine();
    host.boot(multibootKernel([...asm.cli, ...asm.hlt]));
    expect(host.said.at(-1)).toBe('shut down 1 0');
  });

  it('is a crash with a report after a triple fault, and the others go on', () => {
    const host = fullMachine();
    const broken = host.boot(multibootKernel([0x0f, 0x0b])); // ud2 without an IDT
    expect(broken.crashReason).toMatch(/triple fault of vCPU 0 at 0x100020/);
    expect(host.said.at(-1)).toBe('shut down 1 3');
    const next = host.boot(multibootKernel([...asm.print('still here\n'), ...asm.powerOff()]));
    expect(host.output.get(next.id)).toBe('still here\n');
  });

  it.each([
    ['an MSR that does not exist', [...asm.ecx(0x1234), ...asm.rdmsr]],
    ['a hypercall page outside of its memory', [...asm.ecx(0x4000_0000), ...asm.eax(0xf000_0000), ...asm.edx(0), ...asm.wrmsr]],
    ['a second page of hypercalls', [...asm.ecx(0x4000_0000), ...asm.eax(0x20_1001), ...asm.edx(0), ...asm.wrmsr]],
  ])('follows from #GP without a handler: %s', (_what, code) => {
    const host = fullMachine();
    expect(host.boot(multibootKernel([...code, ...asm.powerOff()])).crashReason).toMatch(/triple fault/);
  });

  it('leaves nothing behind when Dom0 has destroyed it', () => {
    const host = fullMachine();
    const before = census(host.hypervisor);
    for (const code of [asm.powerOff(), [0x0f, 0x0b], [0xeb, 0xfe]]) {
      const domain = host.boot(multibootKernel(code), 50_000n);
      host.ask({ kind: 'destroy', domid: domain.id });
      host.run(50_000n);
      expect(host.said.at(-1)).toBe(`destroyed ${domain.id}`);
      expect(census(host.hypervisor)).toEqual(before);
      expect(audit(host.hypervisor)).toEqual([]);
    }
  });
});

it('refuses a multiboot kernel that does not fit, before anything exists', () => {
  const host = fullMachine();
  const before = census(host.hypervisor);
  host.ask({ kind: 'create', config: { name: 'bad', type: 'full', kernel: new Uint8Array(100).fill(1), memoryMiB: 4 } });
  host.run();
  expect(host.said).toEqual(['failed: bad: no multiboot header, no Linux header and no PVH note']);
  expect(census(host.hypervisor)).toEqual(before);
});

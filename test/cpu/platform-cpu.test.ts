/** The faces of a processor: what each operation charges, to whom, and what leaves to a layer below. */
import { describe, expect, it } from 'vitest';
import { BarePlatformCpu } from '../../src/cpu/platform-cpu.ts';
import { slowLoad } from '../../src/cpu/mmu/access.ts';
import type { GuestControl, PlatformCpu } from '../../src/platform/cpu.ts';
import type { VmExit } from '../../src/platform/virtualization.ts';
import { Cr4 } from '../../src/x86/control-registers.ts';
import { Msr } from '../../src/x86/msr-index.ts';
import { Register } from '../../src/x86/registers.ts';
import { newCpuContext } from '../../src/platform/context.ts';
import { enterLongMode, RecordingTranslation, setCpl, testProcessor } from './support/test-processor.ts';

function bare() {
  const translation = new RecordingTranslation();
  const test = testProcessor({ translation, cost: () => 24 });
  enterLongMode(test);
  const paid: string[] = [];
  test.processor.ledger = {
    charge: (event, count, twelfths, layer) => paid.push(`${event} ${count} ${twelfths} ${layer}`),
    privilege() {},
    guestMode() {},
  };
  const sent: string[] = [];
  const cpu = new BarePlatformCpu(test.processor, { requestInterrupt: (target, vector) => sent.push(`${target} ${vector}`) });
  return { ...test, cpu, translation, paid, sent };
}

type Intercepts = GuestControl['intercepts'];

function inGuest(intercepts: Partial<Intercepts>, answer: (cpu: PlatformCpu, exit: VmExit) => void = () => {}) {
  const machine = bare();
  const exits: string[] = [];
  const control: GuestControl = {
    vpid: 5,
    secondStage: { machineFrame: (frame) => frame, writable: () => true, leafShift: () => 21, generation: 0 },
    ringZero: undefined,
    pendingInterrupt: undefined,
    interruptWindow: false,
    intercepts: { cr3: false, cr4Pge: false, cr0Ts: false, invlpg: false, rdtsc: false, kernelGsBase: false, ...intercepts },
    onExit(cpu, exit) {
      exits.push(exit.reason);
      answer(cpu, exit);
    },
  };
  machine.cpu.virtualization.enter(control);
  machine.translation.flushes.length = 0;
  return { ...machine, exits, control, face: machine.cpu.virtualization.guestFace(1) };
}

describe('a bare processor', () => {
  it('charges each privileged operation to layer 0 by its own row', () => {
    const { cpu, paid, processor } = bare();
    cpu.writeCr3(0x1000n);
    cpu.writeCr0(cpu.cr0);
    cpu.writeCr4(cpu.cr4);
    cpu.invalidatePage(0x5000n);
    cpu.flushTranslations();
    cpu.writeMsr(Msr.IA32_LSTAR, 0x1234n);
    cpu.readMsr(Msr.IA32_LSTAR);
    cpu.cpuid(0, 0);
    cpu.charge('hypercall', 3);
    const rows = ['mov_cr3 1', 'mov_cr0 1', 'mov_cr4 1', 'invlpg 1', 'mov_cr3 1', 'wrmsr 1', 'rdmsr 1', 'cpuid 1'];
    expect(paid).toEqual([...rows.map((row) => `${row} 24 0`), 'hypercall 3 72 0']);
    expect(processor.state.get('cycles')).toBe(24n * 11n);
  });

  it('flushes what the architecture flushes', () => {
    const { cpu, translation, processor } = bare();
    cpu.writeCr3(0x1000n);
    cpu.writeCr4(BigInt(Cr4.PAE));
    cpu.writeCr3(0x1000n);
    cpu.writeCr4(BigInt(Cr4.PAE | Cr4.PGE));
    cpu.invalidatePage(0xffff_8000_0000_5123n);
    expect(translation.flushes).toEqual(['non-global 0', 'all 0', 'all 0', 'all 0', 'page 0 ffff800000005']);
    // An address in a table that is not there may once have been in a large page.
    slowLoad(processor, 0x123000n, 4);
    const generation = processor.state.get('tlbGeneration');
    cpu.invalidatePage(0x123000n);
    expect(processor.state.get('tlbGeneration')).toBe(generation);
    cpu.invalidatePage(0x4000_0000n);
    expect(processor.state.get('tlbGeneration')).toBe(generation + 1n);
  });

  it('sends its own pages through the modelled TLB and pays for them', () => {
    const { cpu, translation, paid } = bare();
    translation.cost = 7;
    cpu.touch('frame-table', 12);
    expect(translation.flushes).toEqual(['touch frame-table 12 0']);
    expect(paid).toEqual(['translation 1 7 0']);
  });

  it('ends the run when its timer or another processor may need it', () => {
    const { cpu, processor, sent } = bare();
    for (const act of [() => cpu.setTimer(1000n), () => cpu.sendInterrupt(1, 0xf3)]) {
      processor.until = 1n << 40n;
      act();
      expect(processor.until).toBe(0n);
    }
    expect(processor.timerDeadline).toBe(1000n);
    expect(sent).toEqual(['1 243']);
  });

  it('refuses to replace the registers in the middle of an instruction', () => {
    const { cpu, processor } = bare();
    processor.insideInstruction = 1;
    expect(() => cpu.loadContext(newCpuContext())).toThrow(/middle of an instruction/);
    expect(() => cpu.virtualization.enter(undefined)).toThrow(/middle of an instruction/);
  });
});

describe('entering a guest', () => {
  it('switches VPID and second stages, and drops the lookup table', () => {
    const machine = bare();
    slowLoad(machine.processor, 0x123000n, 4);
    const generation = machine.processor.state.get('tlbGeneration');
    const guest = inGuest({});
    expect(guest.processor.state.get32('vpid')).toBe(5);
    expect(guest.processor.secondStages).toEqual([guest.control.secondStage]);
    guest.cpu.virtualization.enter(undefined);
    expect(guest.processor.state.get32('vpid')).toBe(0);
    expect(guest.processor.secondStages).toEqual([]);
    expect(guest.processor.state.get('tlbGeneration')).toBeGreaterThan(generation);
  });

  it('gives translations the VPID, the stages and the smaller page size', () => {
    const { processor, translation } = inGuest({});
    slowLoad(processor, 0x123000n, 4);
    expect(translation.requests[0]).toMatchObject({ vpid: 5, secondStages: 1, pageShift: 12, guestShift: 21, guestPhysical: 0x123000 });
  });
});

describe("a guest's processor as its own hypervisor sees it", () => {
  const everything = { cr3: true, cr4Pge: true, cr0Ts: true, invlpg: true, kernelGsBase: true };

  it('pays at its own layer, and leaves only for what the layer below intercepts', () => {
    for (const [intercepts, expected] of [
      [{}, []],
      [everything, ['cr-write', 'cr-write', 'cr-write', 'cr-write', 'invlpg', 'wrmsr']],
    ] as const) {
      const { face, exits, paid, charged, processor } = inGuest(intercepts);
      face.writeCr3(0x1000n);
      face.writeCr4(BigInt(Cr4.PAE));
      face.writeCr0(face.cr0 | 8n);
      face.flushTranslations();
      face.invalidatePage(0x5000n);
      face.writeMsr(Msr.IA32_FS_BASE, 0n);
      face.writeMsr(Msr.IA32_KERNEL_GS_BASE, 0n);
      expect(exits).toEqual(expected);
      expect(paid[0]).toBe('mov_cr3 1 24 1');
      expect(charged.filter((event) => event === 'vm_exit')).toHaveLength(expected.length);
      expect(processor.boundaryDue).toBe(expected.length > 0);
    }
  });

  it('asks CPUID and unknown MSRs of the layer below, and keeps the interrupted registers', () => {
    const { face, exits, processor } = inGuest({}, (cpu, exit) => {
      if (exit.reason === 'cpuid') {
        const leaf = cpu.gpr(Register.RAX);
        for (const register of [Register.RAX, Register.RBX, Register.RCX, Register.RDX]) cpu.setGpr(register, leaf + BigInt(register));
      }
      if (exit.reason === 'rdmsr') exit.value = 0x77n;
      if (exit.reason === 'wrmsr') exit.refused = true;
    });
    for (let i = 0; i < 4; i++) processor.state.set('gpr', BigInt(100 + i), i);
    expect(face.cpuid(0x4000_0000, 0)).toEqual([0x4000_0000, 0x4000_0003, 0x4000_0001, 0x4000_0002]);
    expect(face.readMsr(0x1b)).toBe(0x77n);
    expect(face.writeMsr(0x1b, 0n)).toBe(false);
    expect(exits).toEqual(['cpuid', 'rdmsr', 'wrmsr']);
    expect([0, 1, 2, 3].map((i) => processor.state.get('gpr', i))).toEqual([100n, 101n, 102n, 103n]);
  });

  it('touches its pages under the VPID of the guest', () => {
    const { face, translation, paid } = inGuest({});
    translation.cost = 3;
    face.touch('vcpu', 2);
    expect(translation.flushes).toEqual(['touch vcpu 2 5']);
    expect(paid).toContain('translation 1 3 1');
  });

  it('gets the events of CPL 3 while it owns ring 0', () => {
    const { processor, control, face } = inGuest({});
    const seen: PlatformCpu[] = [];
    control.ringZero = {
      cpu: face,
      owner: { exception: (cpu) => seen.push(cpu), syscall() {}, sysenter() {}, interrupt() {} },
    };
    setCpl(processor, 3);
    processor.ringZero?.owner.exception(processor.ringZero.cpu, {
      vector: 6,
      errorCode: undefined,
      faultAddress: 0n,
      kind: 'fault',
      instructionLength: 0,
    });
    expect(seen).toEqual([face]);
  });
});

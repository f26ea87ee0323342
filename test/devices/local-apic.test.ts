import { describe, expect, it } from 'vitest';
import { ApicRegister } from '../../src/devices/apic-registers.ts';
import { DeliveryMode, messageSignalled } from '../../src/devices/interrupt-message.ts';
import { MSR_APIC_BASE, MSR_TSC_DEADLINE } from '../../src/devices/local-apic.ts';
import { LocalApics } from '../../src/devices/local-apics.ts';
import { deviceContract } from './device-contract.ts';

const TSC_KHZ = 1_000_000; // 10 cycles a count of the timer

function apics(processors = 2) {
  const said: string[] = [];
  const all = new LocalApics({
    processors,
    tscKhz: TSC_KHZ,
    x2apic: true,
    tscDeadline: true,
    physicalAddressBits: 40,
    endOfInterrupt: (vector) => said.push(`eoi ${vector}`),
    nmi: (cpu) => said.push(`nmi ${cpu}`),
    init: (cpu) => said.push(`init ${cpu}`),
    startup: (cpu, vector) => said.push(`startup ${cpu} ${vector}`),
  });
  for (const apic of all.all) apic.writeMemory(ApicRegister.SPURIOUS << 4, 0x1ff, 0n);
  return { all, said, first: all.all[0], second: all.all[1] };
}
const write = (apic: ReturnType<typeof apics>['first'], register: number, value: number, now = 0n): void =>
  apic.writeMemory(register << 4, value, now);
const read = (apic: ReturnType<typeof apics>['first'], register: number, now = 0n): number => apic.readMemory(register << 4, now);

describe('priorities of a local APIC', () => {
  it('takes the highest vector first and holds back what is not above the one in service', () => {
    const { first } = apics();
    first.request(0x31, false);
    first.request(0x42, false);
    expect(first.acknowledge()).toBe(0x42);
    first.request(0x4f, false); // the same class
    expect(first.pendingVector).toBe(-1);
    first.request(0x51, false);
    expect(first.acknowledge()).toBe(0x51);
    write(first, ApicRegister.EOI, 0);
    expect(first.pendingVector).toBe(-1);
    write(first, ApicRegister.EOI, 0);
    expect(first.acknowledge()).toBe(0x4f);
    write(first, ApicRegister.EOI, 0);
    expect(first.acknowledge()).toBe(0x31);
  });

  it('holds back vectors of the task priority class and below', () => {
    const { first } = apics();
    write(first, ApicRegister.TASK_PRIORITY, 0x50);
    first.request(0x5f, false);
    expect(first.pendingVector).toBe(-1);
    expect(read(first, ApicRegister.PROCESSOR_PRIORITY)).toBe(0x50);
    first.taskPriorityClass = 4;
    expect(first.pendingVector).toBe(0x5f);
  });

  it('shows requests and services as bits', () => {
    const { first } = apics();
    first.request(0x41, true);
    expect(read(first, ApicRegister.REQUEST + 2)).toBe(2);
    expect(read(first, ApicRegister.TRIGGER_MODE + 2)).toBe(2);
    first.acknowledge();
    expect(read(first, ApicRegister.REQUEST + 2)).toBe(0);
    expect(read(first, ApicRegister.IN_SERVICE + 2)).toBe(2);
  });

  it('tells the end of level-triggered interrupts only', () => {
    const { first, said } = apics();
    first.request(0x41, false);
    first.acknowledge();
    write(first, ApicRegister.EOI, 0);
    first.request(0x41, true);
    first.acknowledge();
    write(first, ApicRegister.EOI, 0);
    expect(said).toEqual(['eoi 65']);
  });

  it('accepts nothing while it is switched off by software, and masks its local vectors then', () => {
    const { first } = apics();
    write(first, ApicRegister.LINT0, 0x700);
    write(first, ApicRegister.SPURIOUS, 0xff);
    first.request(0x41, false);
    expect(first.pendingVector).toBe(-1);
    expect(read(first, ApicRegister.LINT0)).toBe(0x1_0700);
    expect(first.takesExternal).toBe(false);
  });
});

describe('the timer of a local APIC', () => {
  it('fires once after its count times its divider', () => {
    const { first } = apics();
    write(first, ApicRegister.TIMER, 0x40);
    write(first, ApicRegister.DIVIDE, 0b0011); // by 16
    write(first, ApicRegister.INITIAL_COUNT, 100, 1000n);
    expect(first.nextEvent).toBe(1000n + 100n * 16n * 10n);
    expect(read(first, ApicRegister.CURRENT_COUNT, 1000n + 160n * 30n)).toBe(70);
    first.advance(16_999n);
    expect(first.pendingVector).toBe(-1);
    first.advance(17_000n);
    expect(first.acknowledge()).toBe(0x40);
    expect(first.nextEvent).toBeUndefined();
    expect(read(first, ApicRegister.CURRENT_COUNT, 20_000n)).toBe(0);
  });

  it('fires again and again, and loses the periods that nobody took', () => {
    const { first } = apics();
    write(first, ApicRegister.TIMER, 0x2_0040);
    write(first, ApicRegister.DIVIDE, 0b1011); // by 1
    write(first, ApicRegister.INITIAL_COUNT, 100, 0n);
    first.advance(3_500n);
    expect(first.acknowledge()).toBe(0x40);
    expect(first.pendingVector).toBe(-1);
    expect(first.nextEvent).toBe(4_000n);
  });

  it('waits for a value of the time stamp counter in deadline mode', () => {
    const { first } = apics();
    expect(first.writeMsr(MSR_TSC_DEADLINE, 5_000n, 0n, 0n)).toBe(true);
    expect(first.nextEvent).toBeUndefined(); // not in that mode
    write(first, ApicRegister.TIMER, 0x4_0040);
    first.writeMsr(MSR_TSC_DEADLINE, 5_000n, 0n, 1_000n);
    expect(first.nextEvent).toBe(4_000n);
    expect(first.readMsr(MSR_TSC_DEADLINE, 0n)).toBe(5_000n);
    write(first, ApicRegister.INITIAL_COUNT, 7); // ignored
    first.advance(4_000n);
    expect(first.acknowledge()).toBe(0x40);
    expect(first.readMsr(MSR_TSC_DEADLINE, 0n)).toBe(0n);
    first.writeMsr(MSR_TSC_DEADLINE, 9_000n, 4_000n, 1_000n);
    first.writeMsr(MSR_TSC_DEADLINE, 0n, 4_000n, 1_000n);
    expect(first.nextEvent).toBeUndefined();
  });

  it('is silent while its vector is masked', () => {
    const { first } = apics();
    write(first, ApicRegister.TIMER, 0x1_0040);
    write(first, ApicRegister.INITIAL_COUNT, 1, 0n);
    first.advance(1_000n);
    expect(first.pendingVector).toBe(-1);
  });
});

describe('messages between local APICs', () => {
  it('reach the processor with the physical id', () => {
    const { first, second } = apics();
    write(first, ApicRegister.COMMAND_HIGH, 1 << 24);
    write(first, ApicRegister.COMMAND, 0x4061);
    expect([first.pendingVector, second.pendingVector]).toEqual([-1, 0x61]);
  });

  it('reach those that share a bit of a flat logical destination', () => {
    const { all } = apics(3);
    for (const apic of all.all) write(apic, ApicRegister.LOGICAL_DESTINATION, (1 << (24 + apic.id)) >>> 0);
    all.send({ mode: DeliveryMode.FIXED, vector: 0x61, destination: 0b101, logical: true, level: false });
    expect(all.all.map((apic) => apic.pendingVector)).toEqual([0x61, -1, 0x61]);
  });

  it('reach members of the named cluster only', () => {
    const { all } = apics(3);
    for (const apic of all.all) {
      write(apic, ApicRegister.DESTINATION_FORMAT, 0);
      write(apic, ApicRegister.LOGICAL_DESTINATION, [0x11, 0x12, 0x21][apic.id] * 0x100_0000);
    }
    all.send({ mode: DeliveryMode.FIXED, vector: 0x61, destination: 0x13, logical: true, level: false });
    expect(all.all.map((apic) => apic.pendingVector)).toEqual([0x61, 0x61, -1]);
  });

  it('go to oneself, to all, and to all others by shorthand', () => {
    const { first, second } = apics();
    write(first, ApicRegister.COMMAND, 0x4_0061);
    expect([first.pendingVector, second.pendingVector]).toEqual([0x61, -1]);
    write(first, ApicRegister.COMMAND, 0xc_0071);
    expect([first.pendingVector, second.pendingVector]).toEqual([0x61, 0x71]);
    write(first, ApicRegister.COMMAND, 0x8_0081);
    expect([first.pendingVector, second.pendingVector]).toEqual([0x81, 0x81]);
  });

  it('of lowest priority go to one, the one that does the least important work', () => {
    const { all, first, second } = apics();
    write(first, ApicRegister.TASK_PRIORITY, 0x30);
    all.send({ mode: DeliveryMode.LOWEST, vector: 0x61, destination: 0xff, logical: false, level: false });
    expect([first.pendingVector, second.pendingVector]).toEqual([-1, 0x61]);
  });

  it('carry NMI, INIT and start-up, and INIT forgets everything but the base', () => {
    const { first, second, said } = apics();
    second.request(0x50, false);
    write(first, ApicRegister.COMMAND_HIGH, 1 << 24);
    write(first, ApicRegister.COMMAND, 0x4400);
    write(first, ApicRegister.COMMAND, 0xc500);
    write(first, ApicRegister.COMMAND, 0x8500); // de-assertion: nothing
    write(first, ApicRegister.COMMAND, 0x4699);
    expect(said).toEqual(['nmi 1', 'init 1', 'startup 1 153']);
    expect(second.pendingVector).toBe(-1);
    expect(read(second, ApicRegister.SPURIOUS)).toBe(0xff);
  });

  it('with vectors below 16 are errors of sender or receiver', () => {
    const { first, second } = apics();
    write(first, ApicRegister.COMMAND, 0x4_000f);
    write(first, ApicRegister.ERROR_STATUS, 0);
    expect(read(first, ApicRegister.ERROR_STATUS)).toBe(0x20);
    write(first, ApicRegister.ERROR, 0xee);
    second.request(3, false);
    write(second, ApicRegister.ERROR_STATUS, 0);
    expect(read(second, ApicRegister.ERROR_STATUS)).toBe(0x40);
  });

  it('come from devices by a write to their addresses', () => {
    expect(messageSignalled(0xfee0_1004, 0x4061)).toEqual({ mode: 0, vector: 0x61, destination: 1, logical: true, level: false });
    expect(messageSignalled(0xfed0_0000, 0x61)).toBeUndefined();
  });
});

describe('x2APIC mode', () => {
  const X2APIC = 0xfee0_0c00n;

  function inX2apic() {
    const parts = apics();
    for (const apic of parts.all.all) apic.writeMsr(MSR_APIC_BASE, X2APIC, 0n, 0n);
    return parts;
  }

  it('is entered from xAPIC mode, and left to nothing but "disabled"', () => {
    const { first } = apics();
    expect(first.page).toBe(0xfee0_0000);
    expect(first.writeMsr(MSR_APIC_BASE, 0xfee0_0400n, 0n, 0n)).toBe(false);
    expect(first.writeMsr(MSR_APIC_BASE, X2APIC, 0n, 0n)).toBe(true);
    expect(first.page).toBeUndefined();
    expect(first.readMsr(MSR_APIC_BASE, 0n)).toBe(X2APIC | 0x100n);
    expect(first.writeMsr(MSR_APIC_BASE, 0xfee0_0800n, 0n, 0n)).toBe(false);
    expect(first.writeMsr(MSR_APIC_BASE, 0xfee0_0000n, 0n, 0n)).toBe(true);
    expect(first.writeMsr(MSR_APIC_BASE, X2APIC, 0n, 0n)).toBe(false);
    expect(first.takesExternal).toBe(true);
  });

  it('has whole ids, a logical id made of it, and one command register', () => {
    const { first, second } = inX2apic();
    expect(second.readMsr(0x802, 0n)).toBe(1n);
    expect(second.readMsr(0x80d, 0n)).toBe(2n);
    expect(first.writeMsr(0x830, (1n << 32n) | 0x61n, 0n, 0n)).toBe(true);
    expect(second.pendingVector).toBe(0x61);
    expect(first.readMsr(0x830, 0n)).toBe((1n << 32n) | 0x61n);
    expect(first.writeMsr(0x83f, 0x77n, 0n, 0n)).toBe(true);
    expect(first.pendingVector).toBe(0x77);
  });

  it('faults on what does not exist, is read-only, or has reserved bits', () => {
    const { first } = inX2apic();
    expect([0x80e, 0x831, 0x83f, 0x80b, 0x8ff].map((index) => first.readMsr(index, 0n))).toEqual(new Array(5).fill(undefined));
    expect(first.writeMsr(0x80b, 1n, 0n, 0n)).toBe(false);
    expect(first.writeMsr(0x802, 1n, 0n, 0n)).toBe(false);
    expect(first.writeMsr(0x808, 0x100n, 0n, 0n)).toBe(false);
    expect(first.writeMsr(0x832, 1n << 32n, 0n, 0n)).toBe(false);
    expect(apics().first.readMsr(0x802, 0n)).toBeUndefined(); // xAPIC mode
  });
});

describe('saved local APICs', () => {
  deviceContract(
    () => apics().all,
    (all) => {
      const [first] = all.all;
      write(first, ApicRegister.TIMER, 0x2_0040);
      write(first, ApicRegister.INITIAL_COUNT, 1000, 77n);
      first.request(0x61, true);
      first.acknowledge();
      first.request(0x81, false);
      write(first, ApicRegister.TASK_PRIORITY, 0x10);
    },
    (all) => {
      const [first] = all.all;
      const registers = Array.from({ length: 0x40 }, (_, register) => read(first, register, 5_000n));
      return [registers, first.nextEvent, first.acknowledge(), all.all[1].pendingVector];
    },
  );
});

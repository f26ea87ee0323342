/** Interrupts, start-up and time of several processors on the bare machine, by code that uses their local APICs. */
import { describe, expect, it } from 'vitest';
import { loadKernel } from '../../src/boot/load-kernel.ts';
import { hashStream } from '../../src/base/persist.ts';
import { WESTMERE } from '../../src/cpu/cpuid/models.ts';
import { BareMachine, type EngineName } from '../../src/machine/bare-machine.ts';
import { enterFlat } from '../../src/machine/start-state.ts';
import { FREE_TRANSLATION } from '../../src/timing/model.ts';
import { asm, codeAddress, loadGdt, loadIdt, multibootKernel } from '../support/full-machine.ts';

const ICR = 0xfee0_0300;
const ICR_HIGH = 0xfee0_0310;
const EOI = 0xfee0_00b0;
const SCRATCH = 0x20_0000;
/** Where the other processor begins: page 8. */
const TRAMPOLINE = 0x8000;
const FLAG = 0x500;

function machineWith(engine: EngineName, cpuCount: number, code: readonly number[], trampoline: readonly number[] = []): BareMachine {
  const machine = new BareMachine({
    cpuCount,
    memoryBytes: 4 << 20,
    engine,
    costs: { cost: () => 12 },
    newTranslation: () => ({ ...FREE_TRANSLATION, save() {} }),
    cpuid: WESTMERE,
    tscKhz: 100_000,
    transmit: () => {},
  });
  const start = loadKernel(machine.memory, multibootKernel(code), { name: 'test', commandLine: '', processors: cpuCount });
  machine.memory.writeBytes(TRAMPOLINE, Uint8Array.from(trampoline));
  machine.parkSecondaryProcessors();
  enterFlat(machine.processors[0], start);
  return machine;
}

const startOther = [
  ...asm.store(ICR_HIGH, 1 << 24),
  ...asm.store(ICR, 0x4500), // INIT
  ...asm.store(ICR, 0x4608), // start-up at page 8
];
/** again: cmp byte [FLAG], value; jne again */
const waitFor = (value: number): number[] => [0x80, 0x3d, ...asm.dword(FLAG), value, 0x75, 0xf7];
/** 16 bits: mov byte [FLAG], value */
const sayFlag = (value: number): number[] => [0xc6, 0x06, FLAG & 0xff, FLAG >> 8, value];

describe.each(['interpreter', 'reference', 'jit'] as const)('processors on the %s engine', (engine) => {
  it('wait for the start-up message and begin in real mode at its page', () => {
    // push cs; pop word [FLAG + 2]; mov byte [FLAG], 0x42; cli; hlt
    const other = [0x0e, 0x8f, 0x06, (FLAG + 2) & 0xff, (FLAG + 2) >> 8, ...sayFlag(0x42), 0xfa, 0xf4];
    const machine = machineWith(engine, 2, [...startOther, ...waitFor(0x42), ...asm.powerOff()], other);
    expect(machine.run(400_000n)).toEqual({ reason: 'power-off' });
    expect(machine.memory.readU16(FLAG + 2)).toBe(0x0800);
    expect(machine.processors[1].state.get32('halted')).toBe(1);
  });

  it('never run without it', () => {
    const machine = machineWith(engine, 2, [...asm.cli, ...asm.hlt], sayFlag(1));
    expect(machine.run(400_000n)).toEqual({ reason: 'deadlock' });
    expect(machine.memory.readU8(FLAG)).toBe(0);
    expect(machine.processors[1].state.get('instructions')).toBe(0n);
  });

  it('interrupt each other', () => {
    // Handler of vector 0x41: inc dword [SCRATCH]; EOI; iret
    const handler = [0xff, 0x05, ...asm.dword(SCRATCH), ...asm.store(EOI, 0), 0xcf];
    const before = [0xeb, handler.length, ...handler, ...asm.esp(0x9_0000), ...loadGdt(), ...loadIdt(0x41, codeAddress + 2), ...asm.sti];
    // The other one goes to flat protected mode by the same table (lgdt [0x0FF2]; CR0.PE; far jump) and sends vector 0x41
    // to processor 0, which sleeps until it has come.
    const target = TRAMPOLINE + 18;
    const enter = [0x0f, 0x01, 0x16, 0xf2, 0x0f, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0];
    const send = [0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, ...asm.store(ICR_HIGH, 0), ...asm.store(ICR, 0x4041), 0xfa, 0xf4];
    const other = [...enter, 0xea, target & 0xff, target >> 8, 0x08, 0x00, ...send];
    const machine = machineWith(engine, 2, [...before, ...startOther, ...asm.hlt, ...asm.powerOff()], other);
    expect(machine.run(400_000n)).toEqual({ reason: 'power-off' });
    expect(machine.memory.readU32(SCRATCH)).toBe(1);
  });

  it('are woken from HLT by the timer of their local APIC at its cycle', () => {
    const handler = [...asm.store(EOI, 0), 0xcf];
    const code = [
      ...[0xeb, handler.length, ...handler],
      ...[...asm.esp(0x9_0000), ...loadGdt(), ...loadIdt(0x41, codeAddress + 2)],
      ...asm.store(0xfee0_03e0, 0xb), // divide by 1: 1 cycle a count at 100 MHz
      ...asm.store(0xfee0_0320, 0x41),
      ...asm.store(0xfee0_0380, 50_000),
      ...[...asm.sti, ...asm.hlt, ...asm.powerOff()],
    ];
    const machine = machineWith(engine, 1, code);
    expect(machine.run(400_000n)).toEqual({ reason: 'power-off' });
    const { cycles } = machine.processors[0];
    expect(cycles).toBeGreaterThan(50_000n);
    expect(cycles).toBeLessThan(50_200n);
  });

  it('see one clock: no time stamp is below one that another has read before', () => {
    // Both: rdtsc, compare with the last value that anybody stored, count steps back, store; until the limit.
    // mov ecx, N; again: rdtsc; cmp eax, [LAST]; jae ok; inc dword [BACK]; ok: mov [LAST], eax; loop again
    const LAST = 0x600;
    const BACK = 0x604;
    const loop32 = [
      ...[0x0f, 0x31, 0x3b, 0x05, ...asm.dword(LAST), 0x73, 0x06, 0xff, 0x05, ...asm.dword(BACK)],
      ...[0xa3, ...asm.dword(LAST), 0xe2, 0xe9],
    ];
    // The same in 16-bit code, with operand size prefixes.
    const loop16 = [
      ...[0x0f, 0x31, 0x66, 0x3b, 0x06, LAST & 0xff, LAST >> 8, 0x73, 0x05, 0x66, 0xff, 0x06, BACK & 0xff, BACK >> 8],
      ...[0x66, 0xa3, LAST & 0xff, LAST >> 8, 0xe2, 0xec],
    ];
    const other = [...sayFlag(1), 0xb9, 0x00, 0x60, ...loop16, ...sayFlag(2), 0xfa, 0xf4];
    const code = [...startOther, ...waitFor(1), ...asm.ecx(0x1000), ...loop32, ...waitFor(2), ...asm.powerOff()];
    const machine = machineWith(engine, 2, code, other);
    expect(machine.run(1_000_000n)).toEqual({ reason: 'power-off' });
    expect(machine.memory.readU32(BACK)).toBe(0);
    expect(machine.memory.readU32(LAST)).toBeGreaterThan(0x800);
  });

  it('end the run when one asks for a reset', () => {
    for (const code of [asm.out8(0xcf9, 6), asm.out8(0x64, 0xfe), asm.out8(0x92, 1)]) {
      expect(machineWith(engine, 1, code).run(1000n)).toEqual({ reason: 'reset' });
    }
  });
});

describe('a machine of two processors', () => {
  it('ends in the same state on both engines', () => {
    const hashes = (['interpreter', 'reference', 'jit'] as const).map((engine) => {
      const machine = machineWith(engine, 2, [...startOther, ...waitFor(0x42), ...asm.powerOff()], [...sayFlag(0x42), 0xfa, 0xf4]);
      machine.run(400_000n);
      return hashStream((writer) => machine.save(writer));
    });
    expect(hashes[0]).toBe(hashes[1]);
  });
});
